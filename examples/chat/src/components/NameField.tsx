import { useState } from "react";
import { Avatar } from "./Avatar";
import { PencilIcon } from "./icons";

interface Props {
  author: string;
  onAuthor: (name: string) => void;
}

/** The reader's own name, to be edited in place; an empty one is not taken. */
export function NameField({ author, onAuthor }: Props) {
  const [draft, setDraft] = useState(author);

  function onChange(text: string) {
    setDraft(text);
    if (text.trim() !== "") {
      onAuthor(text.trim());
    }
  }

  return (
    <footer className="me">
      <Avatar name={author} />
      <label className="me-field">
        <span>You are</span>
        <input
          type="text"
          value={draft}
          onChange={(event) => onChange(event.target.value)}
          onBlur={() => setDraft(author)}
          aria-label="Your name"
          maxLength={40}
          autoComplete="off"
          spellCheck={false}
        />
      </label>
      <PencilIcon />
    </footer>
  );
}

import { useState } from "react";
import { Avatar } from "./Avatar";

interface Props {
  name: string;
  /** Told when the reader leaves the field. */
  onName: (name: string) => void;
}

/** The reader's own name, to be edited in place. */
export function Me({ name, onName }: Props) {
  const [draft, setDraft] = useState<string>();
  return (
    <footer className="me">
      <Avatar name={name} size={34} />
      <label className="me-field">
        <span>You are</span>
        <input
          type="text"
          value={draft ?? name}
          onChange={(event) => setDraft(event.target.value)}
          onBlur={() => {
            onName(draft ?? name);
            setDraft(undefined);
          }}
          onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
          aria-label="Your name"
          maxLength={40}
          autoComplete="off"
          spellCheck={false}
        />
      </label>
    </footer>
  );
}

import { useState } from "react";

interface Props {
  title: string;
  /** Told when the reader is done, if the text is another one. */
  onChange: (title: string) => void;
}

/** An issue's title, to be edited in place: Enter or leaving the field keeps it, Escape does not. */
export function Title({ title, onChange }: Props) {
  const [draft, setDraft] = useState<string>();

  function finish() {
    if (draft !== undefined && draft.trim() !== "" && draft.trim() !== title) {
      onChange(draft.trim());
    }
    setDraft(undefined);
  }

  return (
    <h2 className="title">
      <textarea
        rows={1}
        value={draft ?? title}
        aria-label="Title"
        maxLength={200}
        onChange={(event) => setDraft(event.target.value.replaceAll("\n", " "))}
        onBlur={finish}
        onKeyDown={(event) => {
          if (event.key === "Enter") {
            event.preventDefault();
            event.currentTarget.blur();
          } else if (event.key === "Escape") {
            setDraft(undefined);
          }
        }}
      />
    </h2>
  );
}

import { type FormEvent, useState } from "react";
import type { Id } from "../../convex/_generated/dataModel";
import { errorText } from "../lib/errorText";
import { PRIORITIES, type Priority } from "../lib/issues";
import { useCreateIssue } from "../lib/mutations";
import { PlusIcon } from "./icons";

interface Props {
  project: Id<"projects">;
  me: Id<"members"> | undefined;
}

/** The field for a new issue. A title that the server refuses comes back to it. */
export function NewIssue({ project, me }: Props) {
  const create = useCreateIssue();
  const [title, setTitle] = useState("");
  const [priority, setPriority] = useState<Priority>("normal");
  const [error, setError] = useState<string | null>(null);

  async function onSubmit(event: FormEvent) {
    event.preventDefault();
    if (me === undefined || title.trim() === "") {
      return;
    }
    setTitle("");
    setError(null);
    try {
      await create({ project, title, priority, author: me });
    } catch (failure) {
      setError(errorText(failure));
      setTitle((typedSince) => typedSince || title);
    }
  }

  return (
    <form className="new-issue" onSubmit={onSubmit}>
      <input
        value={title}
        onChange={(event) => setTitle(event.target.value)}
        placeholder="What needs to be done?"
        aria-label="New issue's title"
        maxLength={200}
        autoComplete="off"
      />
      <select
        value={priority}
        onChange={(event) => setPriority(event.target.value as Priority)}
        aria-label="New issue's priority"
      >
        {Object.entries(PRIORITIES).map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
      <button type="submit" className="button" disabled={me === undefined || title.trim() === ""}>
        <PlusIcon /> Add
      </button>
      {error !== null && <p role="alert">{error}</p>}
    </form>
  );
}

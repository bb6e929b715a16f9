import { useMutation } from "convex/react";
import { type FormEvent, useState } from "react";
import { api } from "../../convex/_generated/api";
import { errorText } from "../lib/errorText";
import { hashOf } from "../lib/useRoute";
import { PlusIcon } from "./icons";

/** Creates a project and goes to it. */
export function NewProject() {
  const create = useMutation(api.projects.create);
  const [key, setKey] = useState("");
  const [name, setName] = useState("");
  const [error, setError] = useState<string | null>(null);

  async function onSubmit(event: FormEvent) {
    event.preventDefault();
    try {
      await create({ key, name });
      window.location.hash = hashOf({ key: key.trim().toUpperCase() });
      setKey("");
      setName("");
      setError(null);
    } catch (failure) {
      setError(errorText(failure));
    }
  }

  return (
    <form className="new-project" onSubmit={onSubmit}>
      <input
        className="new-project-key"
        value={key}
        onChange={(event) => setKey(event.target.value.toUpperCase())}
        placeholder="KEY"
        aria-label="New project's key"
        maxLength={5}
        autoComplete="off"
      />
      <input
        value={name}
        onChange={(event) => setName(event.target.value)}
        placeholder="Add a project"
        aria-label="New project's name"
        maxLength={60}
        autoComplete="off"
      />
      <button type="submit" aria-label="Create project" disabled={key.trim() === "" || name.trim() === ""}>
        <PlusIcon />
      </button>
      {error !== null && <p role="alert">{error}</p>}
    </form>
  );
}

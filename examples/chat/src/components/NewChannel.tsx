import { useMutation } from "convex/react";
import { type FormEvent, useState } from "react";
import { api } from "../../convex/_generated/api";
import { errorText } from "../lib/errorText";
import { PlusIcon } from "./icons";

/** Creates a channel and goes to it. */
export function NewChannel({ onCreated }: { onCreated: (name: string) => void }) {
  const create = useMutation(api.channels.create);
  const [name, setName] = useState("");
  const [error, setError] = useState<string | null>(null);

  async function onSubmit(event: FormEvent) {
    event.preventDefault();
    try {
      const created = await create({ name });
      setName("");
      setError(null);
      onCreated(created);
    } catch (failure) {
      setError(errorText(failure));
    }
  }

  return (
    <form className="new-channel" onSubmit={onSubmit}>
      <input
        type="text"
        value={name}
        onChange={(event) => setName(event.target.value)}
        placeholder="Add a channel"
        aria-label="New channel's name"
        maxLength={32}
        autoComplete="off"
      />
      <button type="submit" aria-label="Create channel" disabled={name.trim() === ""}>
        <PlusIcon />
      </button>
      {error !== null && <p role="alert">{error}</p>}
    </form>
  );
}

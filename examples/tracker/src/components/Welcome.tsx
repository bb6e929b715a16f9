import { useMutation } from "convex/react";
import { api } from "../../convex/_generated/api";
import { hashOf } from "../lib/useRoute";
import { ConnectionBadge } from "./ConnectionBadge";
import { BoxIcon } from "./icons";

/** What an empty tracker shows. */
export function Welcome() {
  const fill = useMutation(api.sample.fill);

  async function onFill() {
    await fill();
    window.location.hash = hashOf({ key: "WEB" });
  }

  return (
    <main className="welcome">
      <span className="welcome-icon">
        <BoxIcon />
      </span>
      <h1>No projects yet</h1>
      <p>Create one on the left, or begin with two projects that have some issues in them.</p>
      <button type="button" className="button" onClick={() => void onFill()}>
        Add sample data
      </button>
      <ConnectionBadge />
    </main>
  );
}

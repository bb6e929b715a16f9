import { useQuery } from "convex/react";
import type { FunctionReturnType } from "convex/server";
import { api } from "../../convex/_generated/api";
import type { Id } from "../../convex/_generated/dataModel";
import { PRIORITIES, STATUSES } from "../lib/issues";
import { Ago } from "./Ago";

type Entry = FunctionReturnType<typeof api.activity.list>[number];

/** The newest changes of an issue. */
export function History({ issue }: { issue: Id<"issues"> }) {
  const entries = useQuery(api.activity.list, { issue }) ?? [];
  return (
    <div className="history">
      <h3>History</h3>
      <ol aria-label="History">
        {entries.map((entry) => (
          <li key={entry._id}>
            <span>
              <strong>{entry.member}</strong> {described(entry)}
            </span>
            <Ago ms={entry._creationTime} />
          </li>
        ))}
      </ol>
    </div>
  );
}

function described({ event, assignee }: Entry): string {
  switch (event.kind) {
    case "created":
      return "created the issue";
    case "status":
      return `moved it from ${STATUSES[event.from]} to ${STATUSES[event.to]}`;
    case "priority":
      return `changed the priority from ${PRIORITIES[event.from]} to ${PRIORITIES[event.to]}`;
    case "assigned":
      return event.to === null ? "assigned it to nobody" : `assigned it to ${assignee ?? "somebody"}`;
  }
}

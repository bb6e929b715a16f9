import { usePaginatedQuery, useQuery } from "convex/react";
import { useState } from "react";
import { api } from "../../convex/_generated/api";
import type { Doc, Id } from "../../convex/_generated/dataModel";
import { type Filter, PAGE, STATUSES } from "../lib/issues";
import { ConnectionBadge } from "./ConnectionBadge";
import { IssueRow } from "./IssueRow";
import { LoadMore } from "./LoadMore";
import { NewIssue } from "./NewIssue";

/** Counts are told up to this one. */
const COUNTED = 100;

interface Props {
  project: Doc<"projects">;
  /** undefined until the server knows who the reader is. */
  me: Id<"members"> | undefined;
  /** The number of the issue whose details are open. */
  selected: number | undefined;
}

/** A project: its issues, a page at a time, and the field to add one. */
export function ProjectView({ project, me, selected }: Props) {
  const [filter, setFilter] = useState<Filter>("all");
  const counts = useQuery(api.projects.counts, { project: project._id });
  const narrowed = filter === "all" ? {} : filter === "mine" ? { assignee: me } : { status: filter };
  const issues = usePaginatedQuery(api.issues.list, { project: project._id, ...narrowed }, { initialNumItems: PAGE });

  return (
    <main className="view">
      <header className="view-header">
        <h1>{project.name}</h1>
        <ConnectionBadge />
      </header>
      <div className="filters" role="group" aria-label="Show issues">
        {(["all", "open", "doing", "done", "mine"] as const).map((each) => (
          <button
            type="button"
            key={each}
            className="filter"
            aria-pressed={each === filter}
            disabled={each === "mine" && me === undefined}
            onClick={() => setFilter(each)}
          >
            {each === "all" ? "All" : each === "mine" ? "Mine" : STATUSES[each]}
            {counts !== undefined && each !== "all" && each !== "mine" && (
              <span className="count">{counts[each] < COUNTED ? counts[each] : `${COUNTED}+`}</span>
            )}
          </button>
        ))}
      </div>
      <NewIssue project={project._id} me={me} />
      <div className="issues-frame">
        <ol className="issues" aria-label="Issues" aria-busy={issues.status === "LoadingFirstPage"}>
          {issues.results.map((issue) => (
            <IssueRow key={issue._id} projectKey={project.key} issue={issue} selected={issue.number === selected} />
          ))}
        </ol>
        {issues.status === "Exhausted" && issues.results.length === 0 && <p className="nothing">Nothing here.</p>}
        <LoadMore what="issues" status={issues.status} onMore={() => issues.loadMore(PAGE)} />
      </div>
    </main>
  );
}

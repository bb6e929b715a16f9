import { useQuery } from "convex/react";
import { useState } from "react";
import { api } from "../../convex/_generated/api";
import type { Id } from "../../convex/_generated/dataModel";
import { errorText } from "../lib/errorText";
import { type Issue, PRIORITIES, type Priority, STATUSES, type Status } from "../lib/issues";
import { useUpdateIssue } from "../lib/mutations";
import { Ago } from "./Ago";
import { Comments } from "./Comments";
import { Field } from "./Field";
import { History } from "./History";
import { CloseIcon } from "./icons";
import { Title } from "./Title";

interface Props {
  projectKey: string;
  number: number;
  me: Id<"members"> | undefined;
  myName: string;
  onClose: () => void;
}

/** One issue: what it is about, its state, its comments and its history. */
export function IssueDetail({ projectKey, number, me, myName, onClose }: Props) {
  const issue = useQuery(api.issues.byName, { key: projectKey, number });
  const name = `${projectKey}-${number}`;
  return (
    <section className="detail" aria-label={`Issue ${name}`}>
      <header className="detail-header">
        <span className="issue-name">{name}</span>
        <button type="button" className="close" aria-label="Close" onClick={onClose}>
          <CloseIcon />
        </button>
      </header>
      {issue === undefined && <p className="nothing">Loading…</p>}
      {issue === null && <p className="nothing">There is no issue {name}.</p>}
      {issue && <Loaded issue={issue} me={me} myName={myName} />}
    </section>
  );
}

function Loaded({ issue, me, myName }: { issue: Issue; me: Id<"members"> | undefined; myName: string }) {
  const members = useQuery(api.members.list) ?? [];
  const update = useUpdateIssue(issue);
  const [error, setError] = useState<string | null>(null);

  function change(what: { title?: string; status?: Status; priority?: Priority; assignee?: Id<"members"> | null }) {
    if (me !== undefined) {
      setError(null);
      update({ issue: issue._id, member: me, ...what }).catch((failure: unknown) => setError(errorText(failure)));
    }
  }

  return (
    <>
      <Title title={issue.title} onChange={(title) => change({ title })} />
      <p className="byline">
        {issue.author?.name ?? "Somebody"} · <Ago ms={issue._creationTime} />
      </p>
      {error !== null && <p role="alert">{error}</p>}
      <div className="fields">
        <Field
          label="Status"
          value={issue.status}
          options={Object.entries(STATUSES)}
          onChange={(status) => change({ status: status as Status })}
        />
        <Field
          label="Priority"
          value={issue.priority}
          options={Object.entries(PRIORITIES)}
          onChange={(priority) => change({ priority: priority as Priority })}
        />
        <Field
          label="Assignee"
          value={issue.assignee?._id ?? ""}
          options={[["", "Nobody"], ...members.map(({ _id, name }): [string, string] => [_id, name])]}
          onChange={(id) => change({ assignee: id === "" ? null : (id as Id<"members">) })}
        />
      </div>
      {issue.description !== "" && <p className="description">{issue.description}</p>}
      <Comments issue={issue._id} me={me} myName={myName} />
      <History issue={issue._id} />
    </>
  );
}

import { isPending, type ListedIssue, PRIORITIES, STATUSES } from "../lib/issues";
import { hashOf } from "../lib/useRoute";
import { Ago } from "./Ago";
import { Avatar } from "./Avatar";
import { PriorityIcon, StatusIcon } from "./icons";

interface Props {
  projectKey: string;
  issue: ListedIssue;
  selected: boolean;
}

export function IssueRow({ projectKey, issue, selected }: Props) {
  const { _id, _creationTime, number, title, status, priority, assignee } = issue;
  const name = `${projectKey}-${number}`;
  const pending = isPending(_id);
  return (
    <li className={pending ? "issue pending" : "issue"} aria-label={`${name}: ${title}`}>
      <a href={hashOf({ key: projectKey, number })} aria-current={selected ? "true" : undefined}>
        <span role="img" aria-label={PRIORITIES[priority]} title={PRIORITIES[priority]}>
          <PriorityIcon priority={priority} />
        </span>
        <span className="issue-name">{name}</span>
        <span role="img" aria-label={STATUSES[status]} title={STATUSES[status]}>
          <StatusIcon status={status} />
        </span>
        <span className="issue-title">{title}</span>
        <span className="issue-age">
          <Ago ms={_creationTime} />
        </span>
        {assignee === null ? (
          <span className="nobody" role="img" aria-label="Not assigned" title="Not assigned" />
        ) : (
          <span role="img" aria-label={assignee.name} title={assignee.name}>
            <Avatar name={assignee.name} size={24} />
          </span>
        )}
      </a>
    </li>
  );
}

import type { CSSProperties } from "react";
import type { Doc } from "../../convex/_generated/dataModel";
import { isPending } from "../lib/messageMutations";
import { hueOf } from "../lib/person";
import { clockTime, fullTime } from "../lib/time";
import { Avatar } from "./Avatar";
import { TrashIcon } from "./icons";

interface Props {
  message: Doc<"messages">;
  /** Sent under the reader's own name. */
  own: boolean;
  /** Came while the page was open. */
  fresh: boolean;
  /** Belongs to the group of the message before it. */
  continues: boolean;
  onDelete: () => void;
}

export function Message({ message, own, fresh, continues, onDelete }: Props) {
  const pending = isPending(message._id);
  const classes = ["message", own && "own", continues && "continues", pending && "pending", fresh && (pending || !own) && "fresh"];
  const time = new Date(message._creationTime);
  return (
    <li
      className={classes.filter(Boolean).join(" ")}
      style={{ "--hue": hueOf(message.author) } as CSSProperties}
      aria-label={`${message.author}: ${message.body}`}
    >
      {continues ? <span className="avatar-gap" /> : <Avatar name={message.author} />}
      <div className="message-main">
        {!continues && (
          <div className="message-meta">
            <span className="message-author">{own ? "You" : message.author}</span>
            <time dateTime={time.toISOString()} title={fullTime(message._creationTime)}>
              {clockTime(message._creationTime)}
            </time>
          </div>
        )}
        <div className="bubble-row">
          <p className="bubble" title={fullTime(message._creationTime)}>
            {message.body}
          </p>
          {own && !pending && (
            <button type="button" className="delete" onClick={onDelete} aria-label={`Delete message: ${message.body}`}>
              <TrashIcon />
            </button>
          )}
        </div>
      </div>
    </li>
  );
}

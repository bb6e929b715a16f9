import { Fragment, useState } from "react";
import type { Doc } from "../../convex/_generated/dataModel";
import { channelArgs, DEFAULT_CHANNEL } from "../lib/channels";
import { isPending, useRemoveMessage } from "../lib/messageMutations";
import { dayKey, dayLabel } from "../lib/time";
import { useStickToBottom } from "../lib/useStickToBottom";
import { BubblesIcon, DownIcon } from "./icons";
import { Message } from "./Message";

/** Messages of one author this close together are shown as one group. */
const GROUP_MS = 5 * 60 * 1000;

interface Props {
  channel: string;
  author: string;
  /** undefined while they load. */
  newestFirst: Doc<"messages">[] | undefined;
}

export function MessageList({ channel, author, newestFirst }: Props) {
  const [openedAt] = useState(() => Date.now());
  const remove = useRemoveMessage(channelArgs(channel));
  const newest = newestFirst?.[0];
  const { ref, atBottom, scrollToBottom } = useStickToBottom(
    newest?._id,
    newest !== undefined && isPending(newest._id),
  );
  const messages = newestFirst?.toReversed() ?? [];

  return (
    <div className="messages-frame">
      <div className="messages" ref={ref}>
        {newestFirst === undefined && <MessageSkeleton />}
        {newestFirst?.length === 0 && <EmptyChannel channel={channel} />}
        <ol role="log" aria-label={`Messages in ${channel}`}>
          {messages.map((message, index) => {
            const before = messages[index - 1];
            const newDay = before === undefined || dayKey(before._creationTime) !== dayKey(message._creationTime);
            return (
              <Fragment key={message._id}>
                {newDay && <DayDivider ms={message._creationTime} />}
                <Message
                  message={message}
                  own={message.author === author}
                  fresh={message._creationTime > openedAt}
                  continues={!newDay && follows(before, message)}
                  onDelete={() => void remove({ id: message._id })}
                />
              </Fragment>
            );
          })}
        </ol>
      </div>
      {!atBottom && (
        <button type="button" className="to-bottom" onClick={scrollToBottom}>
          <DownIcon /> Newest messages
        </button>
      )}
    </div>
  );
}

function follows(before: Doc<"messages">, message: Doc<"messages">): boolean {
  return before.author === message.author && message._creationTime - before._creationTime < GROUP_MS;
}

function DayDivider({ ms }: { ms: number }) {
  return (
    <li className="day">
      <span>{dayLabel(ms, Date.now())}</span>
    </li>
  );
}

function EmptyChannel({ channel }: { channel: string }) {
  const columns = channel === DEFAULT_CHANNEL ? "author, body" : "author, body, channel";
  const values = channel === DEFAULT_CHANNEL ? "'psql', 'Hello!'" : `'psql', 'Hello!', '${channel}'`;
  return (
    <div className="empty">
      <span className="empty-icon">
        <BubblesIcon />
      </span>
      <h2>No messages in #{channel} yet</h2>
      <p>Write the first one below, or from any SQL client:</p>
      <code>
        INSERT INTO messages({columns})
        <br />
        VALUES ({values});
      </code>
    </div>
  );
}

function MessageSkeleton() {
  return (
    <div className="message-skeletons" aria-label="Loading messages" role="img">
      {[52, 38, 64, 30].map((width) => (
        <div key={width}>
          <span className="skeleton disc" />
          <span className="skeleton" style={{ width: `${width}%` }} />
        </div>
      ))}
    </div>
  );
}

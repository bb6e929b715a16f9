import { useQuery } from "convex/react";
import { useState } from "react";
import { api } from "../../convex/_generated/api";
import { channelArgs, DEFAULT_CHANNEL } from "../lib/channels";
import { errorText } from "../lib/errorText";
import { useSendMessage } from "../lib/messageMutations";
import { Composer } from "./Composer";
import { ConnectionBadge } from "./ConnectionBadge";
import { MessageList } from "./MessageList";

/** One channel: its messages, and the field to write a new one. */
export function ChannelView({ channel, author }: { channel: string; author: string }) {
  const args = channelArgs(channel);
  const newestFirst = useQuery(api.messages.list, args);
  const send = useSendMessage();
  const [error, setError] = useState<string | null>(null);

  async function onSend(body: string) {
    setError(null);
    try {
      await send({ author, body, ...args });
      return true;
    } catch (failure) {
      setError(errorText(failure));
      return false;
    }
  }

  return (
    <main className="view">
      <header className="view-header">
        <div>
          <h1>
            <span className="hash" aria-hidden="true">
              #
            </span>
            {channel}
          </h1>
          <p>{topic(channel, newestFirst?.length)}</p>
        </div>
        <ConnectionBadge />
      </header>
      <MessageList channel={channel} author={author} newestFirst={newestFirst} />
      {error !== null && (
        <p className="send-error" role="alert">
          {error}
        </p>
      )}
      <Composer channel={channel} onSend={onSend} />
    </main>
  );
}

function topic(channel: string, count: number | undefined): string {
  if (count === undefined) {
    return "Loading…";
  }
  const what = channel === DEFAULT_CHANNEL ? "Everyone is here" : "A channel of its own";
  return count === 0 ? what : `${what} · newest ${count} ${count === 1 ? "message" : "messages"}`;
}

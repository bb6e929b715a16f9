import { useMutation } from "convex/react";
import { api } from "../../convex/_generated/api";
import type { Id } from "../../convex/_generated/dataModel";

const PENDING_PREFIX = "pending-";
const PAGE = 50;

/** True for a message that is shown before the server has it. */
export const isPending = (id: string): boolean => id.startsWith(PENDING_PREFIX);

/** Sends a message and shows it at once, ahead of the server's answer. */
export function useSendMessage() {
  return useMutation(api.messages.send).withOptimisticUpdate((store, args) => {
    const query = args.channel === undefined ? {} : { channel: args.channel };
    const shown = store.getQuery(api.messages.list, query);
    if (shown === undefined) {
      return;
    }
    const message = {
      ...args,
      _id: `${PENDING_PREFIX}${crypto.randomUUID()}` as Id<"messages">,
      _creationTime: Date.now(),
    };
    store.setQuery(api.messages.list, query, [message, ...shown].slice(0, PAGE));
  });
}

/** Deletes a message and hides it at once. */
export function useRemoveMessage(channel: { channel?: string }) {
  return useMutation(api.messages.remove).withOptimisticUpdate((store, { id }) => {
    const shown = store.getQuery(api.messages.list, channel);
    if (shown !== undefined) {
      store.setQuery(
        api.messages.list,
        channel,
        shown.filter((message) => message._id !== id),
      );
    }
  });
}

import type { FunctionReturnType } from "convex/server";
import type { api } from "../../convex/_generated/api";

export type ListedIssue = FunctionReturnType<typeof api.issues.list>["page"][number];
export type Issue = NonNullable<FunctionReturnType<typeof api.issues.byName>>;
export type Status = ListedIssue["status"];
export type Priority = ListedIssue["priority"];

export const STATUSES: Record<Status, string> = { open: "Open", doing: "In progress", done: "Done" };
export const PRIORITIES: Record<Priority, string> = { urgent: "Urgent", high: "High", normal: "Normal", low: "Low" };

/** What the list of a project is narrowed to. */
export type Filter = "all" | Status | "mine";

/** How many issues, or comments, come at first and with each "Load more". */
export const PAGE = 10;

const PENDING = "pending-";

/** An id for what is shown before the server has it. */
export const pendingId = (): string => `${PENDING}${crypto.randomUUID()}`;

export const isPending = (id: string): boolean => id.startsWith(PENDING);

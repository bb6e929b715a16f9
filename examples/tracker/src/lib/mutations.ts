// The mutations, each with what it changes on the page before the server has answered.
import type { OptimisticLocalStore } from "convex/browser";
import { insertAtTop, useMutation } from "convex/react";
import { api } from "../../convex/_generated/api";
import type { Id } from "../../convex/_generated/dataModel";
import { type Issue, pendingId, type Status } from "./issues";

/** Creates an issue; it stands on top of the project's list at once. */
export function useCreateIssue() {
  return useMutation(api.issues.create).withOptimisticUpdate((store, { project, title, priority = "normal" }) => {
    const before = store.getQuery(api.projects.list)?.find(({ _id }) => _id === project);
    const item = {
      _id: pendingId() as Id<"issues">,
      _creationTime: Date.now(),
      number: (before?.issues ?? 0) + 1,
      title: title.trim(),
      status: "open" as const,
      priority,
      assignee: null,
    };
    for (const { args, value } of store.getAllQueries(api.issues.list)) {
      const fits = args.project === project && (args.status ?? "open") === "open" && args.assignee === undefined;
      if (fits && value !== undefined && args.paginationOpts.cursor === null) {
        store.setQuery(api.issues.list, args, { ...value, page: [item, ...value.page] });
      }
    }
    moveCount(store, project, undefined, "open");
  });
}

/** Changes an issue, in the lists and in its details at once. */
export function useUpdateIssue(issue: Issue) {
  return useMutation(api.issues.update).withOptimisticUpdate((store, { issue: id, title, status, priority, assignee }) => {
    const person = store.getQuery(api.members.list)?.find(({ _id }) => _id === assignee) ?? null;
    const change = {
      ...(title !== undefined && { title: title.trim() }),
      ...(status !== undefined && { status }),
      ...(priority !== undefined && { priority }),
    };
    const assigned = assignee !== undefined && { assignee: person && { _id: person._id, name: person.name } };
    // Every page of every list: an issue that no longer fits its list leaves it when the server says so.
    for (const { args, value } of store.getAllQueries(api.issues.list)) {
      if (value?.page.some((item) => item._id === id)) {
        const page = value.page.map((item) => (item._id === id ? { ...item, ...change, ...assigned } : item));
        store.setQuery(api.issues.list, args, { ...value, page });
      }
    }
    const args = { key: issue.project.key, number: issue.number };
    const shown = store.getQuery(api.issues.byName, args);
    if (shown) {
      store.setQuery(api.issues.byName, args, { ...shown, ...change, ...(assignee !== undefined && { assignee: person }) });
      moveCount(store, shown.project._id, shown.status, status ?? shown.status);
    }
  });
}

/** Adds a comment; it stands on top of the others at once. */
export function useAddComment(myName: string) {
  return useMutation(api.comments.add).withOptimisticUpdate((store, { issue, body }) => {
    insertAtTop({
      paginatedQuery: api.comments.list,
      argsToMatch: { issue },
      localQueryStore: store,
      item: { _id: pendingId() as Id<"comments">, _creationTime: Date.now(), body: body.trim(), author: myName },
    });
  });
}

function moveCount(store: OptimisticLocalStore, project: Id<"projects">, from: Status | undefined, to: Status) {
  const counts = store.getQuery(api.projects.counts, { project });
  if (counts !== undefined && from !== to) {
    const taken = from === undefined ? {} : { [from]: counts[from] - 1 };
    store.setQuery(api.projects.counts, { project }, { ...counts, ...taken, [to]: counts[to] + 1 });
  }
}

import type { PaginationStatus } from "convex/react";

interface Props {
  what: string;
  status: PaginationStatus;
  onMore: () => void;
}

/** The button at the end of a list that has more. */
export function LoadMore({ what, status, onMore }: Props) {
  if (status === "Exhausted") {
    return null;
  }
  return (
    <button type="button" className="load-more" disabled={status !== "CanLoadMore"} onClick={onMore}>
      {status === "CanLoadMore" ? `Load more ${what}` : "Loading…"}
    </button>
  );
}

import { useConvexConnectionState } from "convex/react";

/** Says whether the page is connected to the server. */
export function ConnectionBadge() {
  const { isWebSocketConnected, hasEverConnected } = useConvexConnectionState();
  const state = isWebSocketConnected ? "live" : hasEverConnected ? "lost" : "connecting";
  const label = { live: "Live", lost: "Reconnecting…", connecting: "Connecting…" }[state];
  return (
    <div className="badge" data-state={state} role="status" aria-label="Connection">
      <span className="badge-dot" aria-hidden="true" />
      {label}
    </div>
  );
}

import { useCallback, useSyncExternalStore } from "react";
import { DEFAULT_CHANNEL } from "./channels";

function subscribe(onChange: () => void): () => void {
  window.addEventListener("hashchange", onChange);
  return () => window.removeEventListener("hashchange", onChange);
}

function current(): string {
  try {
    return decodeURIComponent(window.location.hash.slice(1)) || DEFAULT_CHANNEL;
  } catch {
    return DEFAULT_CHANNEL; // A hash that is not well-formed names no channel.
  }
}

/** The channel named in the address (after #), and a way to go to another. */
export function useChannelRoute(): [string, (name: string) => void] {
  const channel = useSyncExternalStore(subscribe, current);
  const go = useCallback((name: string) => {
    window.location.hash = encodeURIComponent(name);
  }, []);
  return [channel, go];
}

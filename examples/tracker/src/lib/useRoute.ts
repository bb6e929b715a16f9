import { useCallback, useSyncExternalStore } from "react";

/** What the address names after its #: a project (WEB), or an issue of it (WEB-12). */
export interface Route {
  key?: string;
  number?: number;
}

function subscribe(onChange: () => void): () => void {
  window.addEventListener("hashchange", onChange);
  return () => window.removeEventListener("hashchange", onChange);
}

const current = (): string => window.location.hash.slice(1);

function parse(hash: string): Route {
  const match = /^([A-Z]+)(?:-(\d+))?$/.exec(hash);
  return match === null ? {} : { key: match[1], number: match[2] === undefined ? undefined : Number(match[2]) };
}

/** The address of a project or of an issue. */
export const hashOf = ({ key, number }: Route): string => `#${key}${number === undefined ? "" : `-${number}`}`;

/** The route, and a way to go to another. */
export function useRoute(): [Route, (route: Route) => void] {
  const hash = useSyncExternalStore(subscribe, current);
  const go = useCallback((route: Route) => {
    window.location.hash = hashOf(route);
  }, []);
  return [parse(hash), go];
}

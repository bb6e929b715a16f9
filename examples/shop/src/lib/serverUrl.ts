/**
 * The address of the server: VITE_CONVEX_URL where it is set; else the local
 * default while developing, and the page's own origin once built.
 */
export function serverUrl(): string {
  const configured: unknown = import.meta.env.VITE_CONVEX_URL;
  if (typeof configured === "string" && configured !== "") {
    return configured;
  }
  return import.meta.env.DEV ? "http://127.0.0.1:3210" : window.location.origin;
}

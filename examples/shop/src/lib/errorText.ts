import { ConvexError } from "convex/values";

/** What to tell the reader about a failed call. */
export function errorText(error: unknown): string {
  if (error instanceof ConvexError) {
    const data: unknown = error.data;
    if (typeof data === "object" && data !== null && "message" in data) {
      return String(data.message);
    }
    return String(data);
  }
  return error instanceof Error ? error.message : String(error);
}

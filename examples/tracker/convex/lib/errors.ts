import { ConvexError } from "convex/values";

/** An error for the reader: the page shows its message. */
export function refuse(code: string, message: string): never {
  throw new ConvexError({ code, message });
}

/** The text without blanks around it; refuses an empty one and one that is too long. */
export function text(what: string, value: string, maxLength: number): string {
  const trimmed = value.trim();
  if (trimmed === "") {
    refuse("empty", `${what} needs some text.`);
  }
  if (trimmed.length > maxLength) {
    refuse("too_long", `${what} has at most ${maxLength} characters; this one has ${trimmed.length}.`);
  }
  return trimmed;
}

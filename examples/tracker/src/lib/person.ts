/** Up to two letters that stand for a name: "Ada Lovelace" gives "AL". */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const first = words[0] ?? "?";
  const last = words.length > 1 ? (words[words.length - 1] ?? "") : "";
  return (firstLetter(first) + firstLetter(last)).toUpperCase();
}

/** The first character as a reader sees it, so that an emoji is not cut in two. */
function firstLetter(word: string): string {
  return [...word][0] ?? "";
}

/** Hues that stay apart from each other and readable on both themes, in degrees. */
const HUES = [12, 38, 85, 145, 172, 205, 236, 265, 292, 325, 350];

/** The hue of a name; the same name has the same hue everywhere. */
export function hueOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const char of name.trim().toLowerCase()) {
    hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  }
  return HUES[(hash >>> 0) % HUES.length] ?? 236;
}

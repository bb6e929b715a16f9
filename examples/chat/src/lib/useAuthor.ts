import { useCallback, useState } from "react";

const STORAGE_KEY = "pg-live-chat.author";
const ADJECTIVES = ["Brisk", "Calm", "Clever", "Gentle", "Keen", "Lucky", "Merry", "Quiet", "Sunny", "Swift"];
const ANIMALS = ["Badger", "Falcon", "Fox", "Heron", "Lynx", "Marten", "Otter", "Owl", "Seal", "Wren"];

const pick = (words: readonly string[]): string => words[Math.floor(Math.random() * words.length)] ?? "Guest";

/** The stored name, or a made-up one that is stored at once so that a reload keeps it. */
function initialAuthor(): string {
  const stored = localStorage.getItem(STORAGE_KEY);
  if (stored !== null && stored.trim() !== "") {
    return stored;
  }
  const invented = `${pick(ADJECTIVES)} ${pick(ANIMALS)}`;
  localStorage.setItem(STORAGE_KEY, invented);
  return invented;
}

/** The name that messages are sent under, kept in this browser, and a way to change it. */
export function useAuthor(): [string, (name: string) => void] {
  const [author, setAuthor] = useState(initialAuthor);
  const change = useCallback((name: string) => {
    localStorage.setItem(STORAGE_KEY, name);
    setAuthor(name);
  }, []);
  return [author, change];
}

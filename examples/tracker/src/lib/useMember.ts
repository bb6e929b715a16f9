import { useConvex } from "convex/react";
import { useCallback, useEffect, useState } from "react";
import { api } from "../../convex/_generated/api";
import type { Id } from "../../convex/_generated/dataModel";

const STORAGE_KEY = "pg-live-tracker.name";
const NAMES = ["Alex Doe", "Kim Lee", "Robin Hood", "Sam Carter", "Toni Stark"];

function initialName(): string {
  const stored = localStorage.getItem(STORAGE_KEY)?.trim();
  return stored || (NAMES[Math.floor(Math.random() * NAMES.length)] ?? "Guest");
}

/** Who uses this page: a name that this browser keeps, and the member of that name once the server has it. */
export function useMember() {
  const convex = useConvex();
  const [name, setStored] = useState(initialName);
  const [id, setId] = useState<Id<"members">>();

  useEffect(() => {
    let current = true;
    localStorage.setItem(STORAGE_KEY, name);
    setId(undefined);
    void convex.mutation(api.members.join, { name }).then((joined) => {
      if (current) {
        setId(joined);
      }
    });
    return () => {
      current = false;
    };
  }, [convex, name]);

  const setName = useCallback((text: string) => {
    if (text.trim() !== "") {
      setStored(text.trim());
    }
  }, []);
  return { name, id, setName };
}

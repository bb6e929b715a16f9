import { useCallback, useState } from "react";

const STORAGE_KEY = "pg-live-shop.customer";

/** The name that orders are placed under, kept in this browser, and a way to change it. */
export function useCustomer(): [string, (name: string) => void] {
  const [customer, setCustomer] = useState(() => localStorage.getItem(STORAGE_KEY) ?? "Guest");
  const change = useCallback((name: string) => {
    localStorage.setItem(STORAGE_KEY, name);
    setCustomer(name);
  }, []);
  return [customer, change];
}

/** Days as people say them. The server does not know the reader's day, so there they are plain dates. */

import { useSyncExternalStore } from "react";

const DAY_MS = 86_400_000;

/** The reader's day as YYYY-MM-DD; null on the server and in the first drawing. */
export function useToday(): string | null {
  return useSyncExternalStore(subscribe, today, () => null);
}

export type Due = { text: string; overdue: boolean };

export function dueText(due: string, today: string | null): Due {
  const days = today ? Math.round((Date.parse(due) - Date.parse(today)) / DAY_MS) : null;
  if (days === null || Math.abs(days) > 1) {
    const sameYear = today?.slice(0, 4) === due.slice(0, 4);
    const text = new Intl.DateTimeFormat("en-GB", {
      day: "numeric",
      month: "short",
      year: sameYear ? undefined : "numeric",
      timeZone: "UTC",
    }).format(Date.parse(due));
    const overdue = days !== null && days < 0;
    return { text: overdue ? `Overdue since ${text}` : `Due ${text}`, overdue };
  }
  if (days === 0) return { text: "Due today", overdue: false };
  return days === 1 ? { text: "Due tomorrow", overdue: false } : { text: "Overdue since yesterday", overdue: true };
}

function today(): string {
  const now = new Date();
  return new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 10);
}

function subscribe(changed: () => void): () => void {
  const timer = setInterval(changed, 60_000);
  return () => clearInterval(timer);
}

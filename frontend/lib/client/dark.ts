/** Whether the person wants dark pages, for what does not learn it by a style sheet. */

import { useSyncExternalStore } from "react";

const DARK = "(prefers-color-scheme: dark)";

export function useDark(): boolean {
  return useSyncExternalStore(subscribe, () => window.matchMedia(DARK).matches, () => false);
}

function subscribe(changed: () => void): () => void {
  const query = window.matchMedia(DARK);
  query.addEventListener("change", changed);
  return () => query.removeEventListener("change", changed);
}

/** Whether the page's script runs: false on the server and until the first drawing is taken over. */

import { useSyncExternalStore } from "react";

export function useReady(): boolean {
  return useSyncExternalStore(subscribe, () => true, () => false);
}

function subscribe(): () => void {
  return () => undefined;
}

/**
 * What a page was made with, and whether it has been shown before. On the way back to a page Next.js
 * hands out what it was first made with, however old that is by then.
 */

import { useEffect, useState } from "react";

const shown = new WeakSet<object>();

/** Whether this is not the first time that a component is there with it. It stays so. */
export function useSeen(first: object): boolean {
  const [seen] = useState(() => shown.has(first));
  useEffect(() => {
    shown.add(first);
  }, [first]);
  return seen;
}

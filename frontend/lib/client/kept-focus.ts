/**
 * Keeps the focus in a list whose rows may go under it, as a task does that is completed while only
 * open ones show: it moves to the same control of the row that takes the place, or to the fallback.
 * Rows are the list's children; their controls have a `data-control`.
 */

import { useEffect, useRef, type FocusEvent, type RefObject } from "react";

type Held = { element: HTMLElement; index: number; control: string | undefined };
type Place = RefObject<HTMLElement | null>;

export function useKeptFocus(list: Place, fallback: Place) {
  const held = useRef<Held | null>(null);

  useEffect(() => {
    const lost = held.current;
    if (!lost || lost.element.isConnected) return;
    held.current = null;
    // After those who move the focus themselves.
    requestAnimationFrame(() => {
      if (document.activeElement !== document.body) return;
      const rows = list.current?.children ?? [];
      const row = rows[Math.min(lost.index, rows.length - 1)];
      const control = row?.querySelector<HTMLElement>(`[data-control="${lost.control ?? "done"}"]:enabled`);
      if (control) control.focus();
      else fallback.current?.focus({ preventScroll: true });
    });
  });

  return {
    onFocus({ target, currentTarget }: FocusEvent<HTMLElement>) {
      const index = [...currentTarget.children].findIndex((row) => row.contains(target));
      held.current = { element: target, index, control: target.dataset.control };
    },
    // React tells nothing of an element that loses the focus by being taken away.
    onBlur() {
      held.current = null;
    },
  };
}

"use client";

import type { Notice } from "@/lib/client/tasks";

type Props = { notice: Notice | null; dismiss: () => void };

/** What the last change came to. It stays until the next one: who reads slowly reads it too. */
export function NoticeBar({ notice, dismiss }: Props) {
  const look = notice?.failed ? "bg-danger-tint text-danger" : "bg-tint text-text";
  return (
    // Both regions are there before they say something: readers announce what changes in them.
    <div className={notice ? `flex items-center gap-2 rounded-lg py-1.5 pr-1.5 pl-4 ${look}` : "contents"}>
      <div className="min-w-0 flex-1 break-words empty:hidden" role="status">
        {notice && !notice.failed ? notice.text : null}
      </div>
      <div className="min-w-0 flex-1 break-words empty:hidden" role="alert">
        {notice?.failed ? notice.text : null}
      </div>
      {notice?.undo ? (
        <button className="button-quiet text-accent" onClick={notice.undo}>
          Undo
        </button>
      ) : null}
      {notice ? (
        <button className="button-quiet" onClick={dismiss}>
          Dismiss
        </button>
      ) : null}
    </div>
  );
}

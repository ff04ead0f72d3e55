"use client";

import type { Notice } from "@/lib/client/tasks";

type Props = {
  notice: Notice | null;
  dismiss: () => void;
  /** A button was used, and goes with the notice: the focus wants another place. */
  done: () => void;
};

const SAID = "min-w-0 flex-1 break-words";

/** What the last change came to. It stays until the next one: who reads slowly reads it too. */
export function NoticeBar({ notice, dismiss, done }: Props) {
  const look = notice?.failed ? "bg-danger-tint text-danger" : "bg-tint text-text";
  return (
    // Both regions are there before they say something, and never `display: none`: readers announce
    // only what changes in a region that they know.
    <div className={notice ? `flex items-center gap-2 rounded-lg py-1.5 pr-1.5 pl-4 ${look}` : "contents"}>
      <div className={notice && !notice.failed ? SAID : "sr-only"} role="status">
        {notice && !notice.failed ? notice.text : null}
      </div>
      <div className={notice?.failed ? SAID : "sr-only"} role="alert">
        {notice?.failed ? notice.text : null}
      </div>
      {notice?.undo ? (
        <button
          className="button-quiet text-accent"
          onClick={() => {
            notice.undo?.();
            done();
          }}
        >
          Undo
        </button>
      ) : null}
      {notice ? (
        <button
          className="button-quiet"
          onClick={() => {
            dismiss();
            done();
          }}
        >
          Dismiss
        </button>
      ) : null}
    </div>
  );
}

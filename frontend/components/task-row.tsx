"use client";

import { useRef } from "react";

import { EditTask } from "@/components/edit-task";
import { dueText } from "@/lib/client/today";
import type { Change, Task } from "@/lib/task";

type Props = {
  task: Task;
  today: string | null;
  /** Whether a change of it is on its way. */
  busy: boolean;
  editing: boolean;
  edit: (on: boolean) => void;
  change: (change: Change, done: string) => Promise<boolean>;
  remove: () => void;
};

const PRIORITY_LOOK = { high: "font-medium text-danger", medium: "text-soft", low: "text-soft" };

export function TaskRow({ task, today, busy, editing, edit, change, remove }: Props) {
  const editButton = useRef<HTMLButtonElement>(null);
  // A task that is still being added has no number of the server's yet.
  const coming = task.id < 0;
  const due = task.due ? dueText(task.due, today) : null;

  function leave() {
    edit(false);
    requestAnimationFrame(() => editButton.current?.focus());
  }

  if (editing) {
    return (
      <li className="p-4">
        <EditTask
          task={task}
          cancel={leave}
          save={(wanted) => {
            leave();
            void change(wanted, `“${wanted.title ?? task.title}” saved.`);
          }}
        />
      </li>
    );
  }
  return (
    <li className={`flex items-start gap-3 px-4 py-2.5 ${coming ? "opacity-70" : ""}`} aria-busy={busy}>
      <label className="flex min-w-0 flex-1 cursor-pointer items-start gap-3 py-1">
        <input
          type="checkbox"
          data-control="done"
          className="mt-0.5 size-5 shrink-0 cursor-pointer accent-accent"
          checked={task.completed}
          disabled={coming}
          onChange={() =>
            void change({ completed: !task.completed }, `“${task.title}” ${task.completed ? "is open again" : "done"}.`)
          }
        />
        <span className="min-w-0">
          <span className={`block wrap-anywhere ${task.completed ? "text-soft line-through" : ""}`}>{task.title}</span>
          <span className="flex flex-wrap gap-x-3 text-sm">
            {due ? (
              <span className={due.overdue && !task.completed ? "font-medium text-warm" : "text-soft"}>{due.text}</span>
            ) : null}
            <span className={task.completed ? "text-soft" : PRIORITY_LOOK[task.priority]}>{task.priority} priority</span>
            {coming ? <span className="text-soft">being added…</span> : null}
          </span>
        </span>
      </label>
      <div className="flex shrink-0">
        <button
          data-control="edit"
          ref={editButton}
          className="button-quiet px-2 text-sm sm:px-3"
          aria-label={`Edit “${task.title}”`}
          disabled={coming}
          onClick={() => edit(true)}
        >
          Edit
        </button>
        <button
          data-control="delete"
          className="button-quiet px-2 text-sm sm:px-3"
          aria-label={`Delete “${task.title}”`}
          disabled={coming}
          onClick={remove}
        >
          Delete
        </button>
      </div>
    </li>
  );
}

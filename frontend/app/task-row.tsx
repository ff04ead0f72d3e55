"use client";

import { useActionState } from "react";

import { complete, remove } from "@/app/actions";
import type { Task } from "@/lib/backend";

export function TaskRow({ task }: { task: Task }) {
  const [notDone, toggle, toggling] = useActionState(complete.bind(null, task.id, !task.completed), null);
  const [notGone, drop, dropping] = useActionState(remove.bind(null, task.id), null);
  const failure = notDone ?? notGone;
  return (
    <li className="flex flex-wrap items-center gap-3 py-3" aria-busy={toggling || dropping}>
      <form action={toggle}>
        <button
          aria-label={`${task.completed ? "Reopen" : "Complete"} “${task.title}”`}
          className="grid size-7 place-items-center rounded-full border-2 border-zinc-500 text-sm"
          disabled={toggling}
        >
          {task.completed ? "✓" : ""}
        </button>
      </form>
      <div className="min-w-0 flex-1">
        <p className={`break-words ${task.completed ? "text-zinc-600 line-through dark:text-zinc-400" : ""}`}>
          {task.title}
        </p>
        <p className="text-sm text-zinc-600 dark:text-zinc-400">
          {task.due ? `due ${task.due}, ` : ""}
          {task.priority}
        </p>
      </div>
      <form action={drop}>
        <button
          aria-label={`Delete “${task.title}”`}
          className="rounded-md px-2 py-1 text-sm text-red-700 hover:underline dark:text-red-400"
          disabled={dropping}
        >
          Delete
        </button>
      </form>
      {failure ? (
        <p role="alert" className="basis-full text-sm text-red-700 dark:text-red-400">
          {failure}
        </p>
      ) : null}
    </li>
  );
}

"use client";

import { useActionState } from "react";

import { add } from "@/app/actions";
import { PRIORITIES, TITLE_LENGTH } from "@/lib/form";

const FIELD =
  "h-10 rounded-md border border-zinc-400 bg-white px-3 py-2 dark:border-zinc-600 dark:bg-zinc-900";

export function AddTask() {
  const [failure, submit, pending] = useActionState(add, null);
  return (
    <form action={submit} className="flex flex-wrap items-end gap-3">
      <label className="flex min-w-48 flex-1 flex-col gap-1 text-sm">
        New task
        <input className={FIELD} name="title" required maxLength={TITLE_LENGTH} autoComplete="off" />
      </label>
      <label className="flex flex-col gap-1 text-sm">
        Due
        <input className={FIELD} name="due" type="date" />
      </label>
      <label className="flex flex-col gap-1 text-sm">
        Priority
        <select className={FIELD} name="priority" defaultValue="medium">
          {PRIORITIES.map((priority) => (
            <option key={priority}>{priority}</option>
          ))}
        </select>
      </label>
      <button
        className="h-10 rounded-md bg-blue-700 px-4 font-medium text-white hover:bg-blue-800 disabled:opacity-60"
        disabled={pending}
      >
        {pending ? "Adding…" : "Add"}
      </button>
      <p role="alert" className="basis-full text-sm text-red-700 empty:hidden dark:text-red-400">
        {failure}
      </p>
    </form>
  );
}

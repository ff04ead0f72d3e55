"use client";

import { useState, type FormEvent } from "react";

import { PRIORITIES, TITLE_LENGTH, type Change, type NewTask, type Priority, type Task } from "@/lib/task";

type Props = { task: Task; save: (change: Change) => void; cancel: () => void };

export function EditTask({ task, save, cancel }: Props) {
  const [wanted, setWanted] = useState<NewTask>({ title: task.title, due: task.due, priority: task.priority });

  function submit(event: FormEvent) {
    event.preventDefault();
    const title = wanted.title.trim();
    if (title) save({ ...wanted, title });
  }

  return (
    <form
      onSubmit={submit}
      onKeyDown={(event) => {
        if (event.key === "Escape") cancel();
      }}
      aria-label={`Edit “${task.title}”`}
      className="grid grid-cols-2 items-end gap-3 sm:grid-cols-[1fr_auto_auto]"
    >
      <label className="col-span-2 flex flex-col gap-1 text-sm font-medium sm:col-span-1">
        Title
        <input
          className="field font-normal"
          value={wanted.title}
          onChange={(event) => setWanted({ ...wanted, title: event.target.value })}
          required
          maxLength={TITLE_LENGTH}
          autoComplete="off"
          // Who asked to edit goes on by typing.
          autoFocus
          onFocus={(event) => event.target.select()}
        />
      </label>
      <label className="flex min-w-0 flex-col gap-1 text-sm font-medium">
        Due
        <input
          className="field font-normal"
          type="date"
          value={wanted.due ?? ""}
          onChange={(event) => setWanted({ ...wanted, due: event.target.value || null })}
        />
      </label>
      <label className="flex min-w-0 flex-col gap-1 text-sm font-medium">
        Priority
        <select
          className="field font-normal"
          value={wanted.priority}
          onChange={(event) => setWanted({ ...wanted, priority: event.target.value as Priority })}
        >
          {PRIORITIES.map((priority) => (
            <option key={priority}>{priority}</option>
          ))}
        </select>
      </label>
      <div className="col-span-2 flex gap-2 sm:col-span-3">
        <button className="button-main">Save</button>
        <button type="button" className="button-quiet" onClick={cancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}

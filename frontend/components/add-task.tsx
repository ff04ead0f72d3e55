"use client";

import { useState, type FormEvent } from "react";

import { PRIORITIES, TITLE_LENGTH, type NewTask, type Priority } from "@/lib/task";

type Props = { add: (task: NewTask) => Promise<boolean> };

/** On a phone what goes with a title shows once there is one, and leaves the room to the tasks till then. */
const BEGUN = "max-sm:hidden max-sm:group-focus-within:block max-sm:group-data-begun:block";
const DETAIL = `min-w-0 flex-col gap-1 text-sm font-medium flex max-sm:hidden max-sm:group-focus-within:flex max-sm:group-data-begun:flex`;

const EMPTY: NewTask = { title: "", due: null, priority: "medium" };

export function AddTask({ add }: Props) {
  const [task, setTask] = useState(EMPTY);

  async function submit(event: FormEvent) {
    event.preventDefault();
    const wanted = { ...task, title: task.title.trim() };
    if (!wanted.title) return;
    setTask({ ...EMPTY, priority: task.priority });
    // What was refused comes back, unless something else is typed by then.
    if (!(await add(wanted))) setTask((now) => (now.title === "" ? wanted : now));
  }

  return (
    <form
      onSubmit={submit}
      data-begun={task.title === "" ? undefined : ""}
      className="group card grid grid-cols-2 items-end gap-3 p-4 sm:grid-cols-[1fr_auto_auto_auto]"
    >
      <label className="col-span-2 flex flex-col gap-1 text-sm font-medium sm:col-span-1">
        New task
        <input
          className="field font-normal"
          value={task.title}
          onChange={(event) => setTask({ ...task, title: event.target.value })}
          required
          maxLength={TITLE_LENGTH}
          autoComplete="off"
          placeholder="What is to be done?"
        />
      </label>
      <label className={DETAIL}>
        Due
        <input
          className="field font-normal"
          type="date"
          value={task.due ?? ""}
          onChange={(event) => setTask({ ...task, due: event.target.value || null })}
        />
      </label>
      <label className={DETAIL}>
        Priority
        <select
          className="field font-normal"
          value={task.priority}
          onChange={(event) => setTask({ ...task, priority: event.target.value as Priority })}
        >
          {PRIORITIES.map((priority) => (
            <option key={priority}>{priority}</option>
          ))}
        </select>
      </label>
      <button className={`button-main col-span-2 sm:col-span-1 ${BEGUN}`}>Add</button>
    </form>
  );
}

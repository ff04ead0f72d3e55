"use client";

import { useEffect, useRef, useState } from "react";

import { AddTask } from "@/components/add-task";
import { NoticeBar } from "@/components/notice-bar";
import { TaskFilter } from "@/components/task-filter";
import { TaskRow } from "@/components/task-row";
import { useKeptFocus } from "@/lib/client/kept-focus";
import { useSeen } from "@/lib/client/seen";
import { useTasks } from "@/lib/client/tasks";
import { useToday } from "@/lib/client/today";
import type { Loaded } from "@/lib/loaded";
import { LIMIT, matching, queryIn, searchOf, type Query, type Task } from "@/lib/task";

type Props = { initial: Loaded<Task[]>; initialQuery: Query };

export function TaskBoard({ initial, initialQuery }: Props) {
  const seen = useSeen(initial);
  // Who comes back finds what the address says, which may have changed since the page was made.
  const [query, setQuery] = useState(() => (seen ? queryIn(window.location.search) : initialQuery));
  const [editing, setEditing] = useState<number | null>(null);
  const today = useToday();
  const board = useTasks(initial, seen, query);
  // Where the focus goes when what had it is gone. A field would unfold under a finger.
  const heading = useRef<HTMLHeadingElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const visible = matching(board.tasks, query);
  const keeping = useKeptFocus(list, heading);

  // The address says what is shown, so that a reload and a link show it as well.
  useEffect(() => {
    window.history.replaceState(null, "", `/tasks${searchOf(query)}`);
  }, [query, initial]);

  return (
    <div className="flex flex-col gap-5 py-6 sm:py-8">
      <div className="flex items-baseline justify-between gap-4">
        <h1 ref={heading} tabIndex={-1} className="text-2xl font-semibold sm:text-3xl">
          Tasks
        </h1>
        {board.failure === null ? <p className="text-soft">{board.allOpen ? openText(board.tasks) : shownText(visible.length)}</p> : null}
      </div>
      <AddTask add={board.add} />
      <TaskFilter query={query} change={setQuery} loading={board.loading} />
      <NoticeBar notice={board.notice} dismiss={board.dismiss} done={() => heading.current?.focus({ preventScroll: true })} />
      {board.failure === null ? (
        visible.length > 0 ? (
          <ul ref={list} {...keeping} aria-label="Tasks" aria-busy={board.loading} className="card divide-y divide-line">
            {visible.map((task) => (
              <TaskRow
                key={task.id}
                task={task}
                today={today}
                busy={board.busy(task.id)}
                editing={editing === task.id}
                edit={(on) => setEditing(on ? task.id : null)}
                change={(change, done) => board.change(task, change, done)}
                remove={() => void board.remove(task)}
              />
            ))}
          </ul>
        ) : (
          <Nothing narrowed={searchOf({ ...query, sort: "created" }) !== ""} loading={board.loading} />
        )
      ) : (
        <div role="alert" className="card flex flex-col items-start gap-3 p-6">
          <p className="font-medium">Your tasks cannot be shown.</p>
          <p className="text-soft">{board.failure}</p>
          <button className="button-main" onClick={board.reload} disabled={board.loading}>
            {board.loading ? "Trying…" : "Try again"}
          </button>
        </div>
      )}
      {board.cut ? (
        <p className="text-center text-sm text-soft">Only {LIMIT} tasks are shown. Search finds the others.</p>
      ) : null}
    </div>
  );
}

function openText(tasks: readonly Task[]): string {
  const open = tasks.filter((task) => !task.completed).length;
  return open === 0 ? "Nothing open" : `${open} open`;
}

/** Where others may be open that are not here. */
function shownText(number: number): string {
  return number === 1 ? "1 task shown" : `${number} tasks shown`;
}

function Nothing({ narrowed, loading }: { narrowed: boolean; loading: boolean }) {
  if (loading) return <p className="card p-8 text-center text-soft">Searching…</p>;
  return (
    <div className="card p-8 text-center">
      <p className="font-medium">{narrowed ? "No task fits" : "Nothing to do"}</p>
      <p className="mt-1 text-soft">
        {narrowed ? "Search for something else, or show all tasks." : "Add a task above, or ask the assistant to."}
      </p>
    </div>
  );
}

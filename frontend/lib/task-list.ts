/**
 * Tasks that change at once and are rolled back when the server refuses: what the server has
 * confirmed, and the changes that are on their way, applied to it in order. A change leaves the line
 * by being confirmed or by being refused; the others stay as they are.
 */

import type { Change, NewTask, Task } from "@/lib/task";

export type Operation =
  | { kind: "add"; key: number; task: NewTask; at: string }
  | { kind: "change"; key: number; id: number; change: Change }
  | { kind: "delete"; key: number; id: number };

export type TaskList = { confirmed: readonly Task[]; pending: readonly Operation[] };

export type Event =
  | { kind: "loaded"; tasks: readonly Task[] }
  | { kind: "began"; operation: Operation }
  | { kind: "confirmed"; key: number; task: Task | null }
  | { kind: "refused"; key: number };

export function reduce(list: TaskList, event: Event): TaskList {
  switch (event.kind) {
    case "loaded":
      return { ...list, confirmed: event.tasks };
    case "began":
      return { ...list, pending: [...list.pending, event.operation] };
    case "refused":
      return { ...list, pending: list.pending.filter(({ key }) => key !== event.key) };
    case "confirmed": {
      const operation = list.pending.find(({ key }) => key === event.key);
      if (!operation) return list;
      return {
        confirmed: settled(list.confirmed, operation, event.task),
        pending: list.pending.filter(({ key }) => key !== event.key),
      };
    }
  }
}

/** What people see: the confirmed tasks with everything that is on its way. */
export function shown(list: TaskList): Task[] {
  return list.pending.reduce<Task[]>(applied, [...list.confirmed]);
}

/** Whether a change of this task is on its way. */
export function busy(list: TaskList, id: number): boolean {
  return list.pending.some((operation) => (operation.kind === "add" ? -operation.key : operation.id) === id);
}

function applied(tasks: Task[], operation: Operation): Task[] {
  switch (operation.kind) {
    case "add":
      return [...tasks, { ...operation.task, id: -operation.key, completed: false, created_at: operation.at }];
    case "change":
      return tasks.map((task) => (task.id === operation.id ? { ...task, ...operation.change } : task));
    case "delete":
      return tasks.filter((task) => task.id !== operation.id);
  }
}

function settled(tasks: readonly Task[], operation: Operation, task: Task | null): Task[] {
  const others = tasks.filter(({ id }) => id !== (operation.kind === "add" ? task?.id : operation.id));
  return task ? [...others, task] : others;
}

import { expect, test } from "vitest";

import { matching, queryOf, routeOf, searchOf, type Query, type Task } from "@/lib/task";
import { busy, reduce, shown, type Event, type TaskList } from "@/lib/task-list";

function task(id: number, change: Partial<Task> = {}): Task {
  return { id, title: `task ${id}`, due: null, priority: "medium", completed: false, created_at: "2030-01-01T00:00:00Z", ...change };
}

const ADD: Event = { kind: "began", operation: { kind: "add", key: 1, task: { title: "new", due: null, priority: "low" }, at: "now" } };
const DONE: Event = { kind: "began", operation: { kind: "change", key: 2, id: 1, change: { completed: true } } };
const GONE: Event = { kind: "began", operation: { kind: "delete", key: 3, id: 2 } };

function after(...events: Event[]): TaskList {
  return events.reduce(reduce, { confirmed: [task(1), task(2)], pending: [] });
}

function titles(list: TaskList): string[] {
  return shown(list).map(({ title, completed }) => (completed ? `${title} done` : title));
}

test.each<[string, Event[], string[]]>([
  ["a change shows at once", [DONE], ["task 1 done", "task 2"]],
  ["an addition shows at once", [ADD], ["task 1", "task 2", "new"]],
  ["a deletion shows at once", [GONE], ["task 1"]],
  ["what is refused is as before", [ADD, DONE, GONE, { kind: "refused", key: 1 }, { kind: "refused", key: 2 }, { kind: "refused", key: 3 }], ["task 1", "task 2"]],
  ["one refusal leaves the others", [ADD, DONE, GONE, { kind: "refused", key: 3 }], ["task 1 done", "task 2", "new"]],
  ["what is confirmed is what the server says", [DONE, { kind: "confirmed", key: 2, task: task(1, { title: "renamed", completed: true }) }], ["task 2", "renamed done"]],
  ["a confirmed deletion stays", [GONE, { kind: "confirmed", key: 3, task: null }], ["task 1"]],
  ["a confirmed addition is there once, even when it was loaded meanwhile", [ADD, { kind: "loaded", tasks: [task(1), task(9, { title: "new" })] }, { kind: "confirmed", key: 1, task: task(9, { title: "new" }) }], ["task 1", "new"]],
  ["loading keeps what is on its way", [DONE, { kind: "loaded", tasks: [task(1), task(5)] }], ["task 1 done", "task 5"]],
  ["an answer to nothing changes nothing", [{ kind: "confirmed", key: 7, task: task(8) }], ["task 1", "task 2"]],
])("%s", (_, events, expected) => {
  expect(titles(after(...events))).toEqual(expected);
});

test("a task is busy while a change of it is on its way", () => {
  const list = after(ADD, DONE);
  expect([busy(list, 1), busy(list, 2), busy(list, -1)]).toEqual([true, false, true]);
});

const ANY: Query = { q: "", show: "all", priority: "any", sort: "created" };
const TASKS = [
  task(1, { title: "Milk", due: "2030-01-02", priority: "low" }),
  task(2, { title: "bread", priority: "high", completed: true }),
  task(3, { title: "almond milk", due: "2030-01-01" }),
  task(-1, { title: "coming" }),
];

test.each<[Partial<Query>, number[]]>([
  [{}, [-1, 3, 2, 1]],
  [{ q: " MILK " }, [3, 1]],
  [{ show: "done" }, [2]],
  [{ show: "open", priority: "low" }, [1]],
  [{ sort: "due" }, [3, 1, -1, 2]],
  [{ sort: "priority" }, [2, -1, 3, 1]],
  [{ sort: "title" }, [3, 2, -1, 1]],
])("%j", (query, expected) => {
  expect(matching(TASKS, { ...ANY, ...query }).map(({ id }) => id)).toEqual(expected);
});

test("an address and a query say the same", () => {
  const query: Query = { q: "a&b", show: "done", priority: "high", sort: "due" };
  expect(queryOf(Object.fromEntries(new URLSearchParams(searchOf(query))))).toEqual(query);
  expect(searchOf(queryOf({ show: "nonsense", sort: ["due", "title"] }))).toBe("");
  expect(routeOf(query)).toBe("/api/tasks?limit=200&sort=due&order=asc&q=a%26b&completed=true&priority=high");
});

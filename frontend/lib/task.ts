/** A task as the backend has it, and which of them to show in which order. Knows no page. */

export const PRIORITIES = ["low", "medium", "high"] as const;
export const TITLE_LENGTH = 200;
/** As many as a page shows; the backend would give more. */
export const LIMIT = 200;

export type Priority = (typeof PRIORITIES)[number];

export type Task = {
  id: number;
  title: string;
  /** A day as YYYY-MM-DD. */
  due: string | null;
  priority: Priority;
  completed: boolean;
  created_at: string;
};

export type NewTask = Pick<Task, "title" | "due" | "priority">;
export type Change = Partial<NewTask & Pick<Task, "completed">>;

export const SHOWN = ["all", "open", "done"] as const;
export const SORTS = ["created", "due", "priority", "title"] as const;

export type Query = {
  q: string;
  show: (typeof SHOWN)[number];
  priority: Priority | "any";
  sort: (typeof SORTS)[number];
};

type Parameters = Record<string, string | string[] | undefined>;

/** The query that an address asks for; what is no choice counts as not said. */
export function queryOf(parameters: Parameters): Query {
  return {
    q: typeof parameters.q === "string" ? parameters.q : "",
    show: oneOf(SHOWN, parameters.show) ?? "all",
    priority: oneOf(PRIORITIES, parameters.priority) ?? "any",
    sort: oneOf(SORTS, parameters.sort) ?? "created",
  };
}

/** As `queryOf`, for the address' part after the path. */
export function queryIn(search: string): Query {
  return queryOf(Object.fromEntries(new URLSearchParams(search)));
}

/** The address' part after the path, without what goes without saying. */
export function searchOf(query: Query): string {
  const parameters = new URLSearchParams();
  if (query.q.trim()) parameters.set("q", query.q.trim());
  if (query.show !== "all") parameters.set("show", query.show);
  if (query.priority !== "any") parameters.set("priority", query.priority);
  if (query.sort !== "created") parameters.set("sort", query.sort);
  return parameters.size > 0 ? `?${parameters}` : "";
}

/** The backend's route for a query. */
export function routeOf(query: Query): string {
  const parameters = new URLSearchParams({ limit: String(LIMIT), sort: query.sort });
  // The newest and the most urgent first, dates and titles from the beginning.
  parameters.set("order", query.sort === "created" || query.sort === "priority" ? "desc" : "asc");
  if (query.q.trim()) parameters.set("q", query.q.trim());
  if (query.show !== "all") parameters.set("completed", String(query.show === "done"));
  if (query.priority !== "any") parameters.set("priority", query.priority);
  return `/api/tasks?${parameters}`;
}

/** Whether every open task is among what the query asks for. */
export function asksForAllOpen(query: Query): boolean {
  return query.q.trim() === "" && query.show !== "done" && query.priority === "any";
}

/** The same question, answered from what is known here, so that a page need not wait. */
export function matching(tasks: readonly Task[], query: Query): Task[] {
  const q = query.q.trim().toLowerCase();
  return tasks
    .filter((task) => !q || task.title.toLowerCase().includes(q))
    .filter((task) => query.show === "all" || task.completed === (query.show === "done"))
    .filter((task) => query.priority === "any" || task.priority === query.priority)
    .sort((a, b) => compare(a, b, query.sort) || newestFirst(a, b));
}

function compare(a: Task, b: Task, sort: Query["sort"]): number {
  switch (sort) {
    case "created":
      return newestFirst(a, b);
    case "due":
      // What has no date comes after what has one.
      return (a.due ?? "9999-99-99").localeCompare(b.due ?? "9999-99-99");
    case "priority":
      return PRIORITIES.indexOf(b.priority) - PRIORITIES.indexOf(a.priority);
    case "title":
      return a.title.localeCompare(b.title);
  }
}

/** Ids grow; those of tasks that are still on their way are negative and newer than all. */
function newestFirst(a: Task, b: Task): number {
  return age(b) - age(a);
}

function age(task: Task): number {
  return task.id < 0 ? Number.MAX_SAFE_INTEGER + task.id : task.id;
}

function oneOf<T extends string>(choices: readonly T[], value: unknown): T | undefined {
  return choices.find((choice) => choice === value);
}

"use client";

import { PRIORITIES, SHOWN, type Query } from "@/lib/task";

type Props = { query: Query; change: (query: Query) => void; loading: boolean };

const SHOWN_NAMES = { all: "All", open: "Open", done: "Done" };
const SORT_NAMES = { created: "Newest first", due: "Due date", priority: "Priority", title: "Title" };

export function TaskFilter({ query, change, loading }: Props) {
  return (
    <div role="search" aria-label="Tasks" className="grid grid-cols-2 items-end gap-3 lg:grid-cols-[1fr_auto_auto_auto]">
      <label className="col-span-2 flex flex-col gap-1 text-sm font-medium lg:col-span-1">
        <span className="flex justify-between">
          Search
          <span role="status" className="font-normal text-soft">
            {loading ? "Searching…" : ""}
          </span>
        </span>
        <input
          className="field font-normal"
          type="search"
          value={query.q}
          onChange={(event) => change({ ...query, q: event.target.value })}
          autoComplete="off"
        />
      </label>
      <fieldset className="col-span-2 lg:col-span-1">
        <legend className="mb-1 text-sm font-medium">Show</legend>
        <div className="grid min-h-11 grid-cols-3 rounded-[0.625rem] border border-field bg-card p-0.5 lg:w-56">
          {SHOWN.map((show) => (
            <label
              key={show}
              className="grid cursor-pointer place-items-center rounded-lg text-soft has-checked:bg-accent has-checked:font-medium has-checked:text-on-accent has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-accent"
            >
              <input
                className="sr-only"
                type="radio"
                name="show"
                checked={query.show === show}
                onChange={() => change({ ...query, show })}
              />
              {SHOWN_NAMES[show]}
            </label>
          ))}
        </div>
      </fieldset>
      <label className="flex min-w-0 flex-col gap-1 text-sm font-medium">
        Only priority
        <select
          className="field font-normal"
          value={query.priority}
          onChange={(event) => change({ ...query, priority: event.target.value as Query["priority"] })}
        >
          <option>any</option>
          {PRIORITIES.map((priority) => (
            <option key={priority}>{priority}</option>
          ))}
        </select>
      </label>
      <label className="flex min-w-0 flex-col gap-1 text-sm font-medium">
        Sort by
        <select
          className="field font-normal"
          value={query.sort}
          onChange={(event) => change({ ...query, sort: event.target.value as Query["sort"] })}
        >
          {Object.entries(SORT_NAMES).map(([sort, name]) => (
            <option key={sort} value={sort}>
              {name}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

"use client";

import { useState } from "react";

import { PRIORITIES, SHOWN, type Query } from "@/lib/task";

type Props = { query: Query; change: (query: Query) => void; loading: boolean };

const SHOWN_NAMES = { all: "All", open: "Open", done: "Done" };
const SORT_NAMES = { created: "Newest first", due: "Due date", priority: "Priority", title: "Title" };

export function TaskFilter({ query, change, loading }: Props) {
  // Where there is little room, the two that are used least are folded away.
  const [open, setOpen] = useState(query.priority !== "any" || query.sort !== "created");
  const folded = open ? "flex" : "hidden lg:flex";
  return (
    <div role="search" aria-label="Tasks" className="grid grid-cols-2 items-end gap-3 lg:grid-cols-[1fr_auto_auto_auto]">
      <div className="col-span-2 flex items-end gap-2 lg:col-span-1">
        <label className="flex min-w-0 flex-1 flex-col gap-1 text-sm font-medium">
          <span className="max-lg:sr-only">Search</span>
          <input
            className="field font-normal lg:placeholder:text-transparent"
            type="search"
            placeholder="Search"
            value={query.q}
            onChange={(event) => change({ ...query, q: event.target.value })}
            autoComplete="off"
          />
        </label>
        <span role="status" className="sr-only">
          {loading ? "Searching…" : ""}
        </span>
        <button
          type="button"
          className="button-quiet min-h-11 border border-field bg-card lg:hidden"
          aria-expanded={open}
          aria-controls="more-filters"
          onClick={() => setOpen(!open)}
        >
          Filter
        </button>
      </div>
      <fieldset className="col-span-2 lg:col-span-1">
        <legend className="mb-1 text-sm font-medium max-lg:sr-only">Show</legend>
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
      <label id="more-filters" className={`min-w-0 flex-col gap-1 text-sm font-medium ${folded}`}>
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
      <label className={`min-w-0 flex-col gap-1 text-sm font-medium ${folded}`}>
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

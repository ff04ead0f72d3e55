/**
 * A page's tasks: loads them for a query, changes them at once, and takes back what the server
 * refuses with a sentence why.
 */

import { useCallback, useEffect, useReducer, useRef, useState } from "react";

import { request } from "@/lib/client/request";
import type { Loaded } from "@/lib/loaded";
import { asksForAllOpen, LIMIT, routeOf, type Change, type NewTask, type Query, type Task } from "@/lib/task";
import { busy, reduce, shown, type Operation } from "@/lib/task-list";

/** How long typing may pause before the server is asked. */
const PAUSE_MS = 250;
const LOST = "The connection broke in the middle of the answer. The list shows what came of it.";

export type Notice = { text: string; failed: boolean; undo?: () => void };

export type Tasks = {
  tasks: Task[];
  loading: boolean;
  /** Why there is nothing to show; null when there is. */
  failure: string | null;
  /** Whether there are more than can be shown. */
  cut: boolean;
  /** Whether every open task is among them. */
  allOpen: boolean;
  notice: Notice | null;
  busy: (id: number) => boolean;
  dismiss: () => void;
  reload: () => void;
  add: (task: NewTask) => Promise<boolean>;
  change: (task: Task, change: Change, done: string) => Promise<boolean>;
  remove: (task: Task) => Promise<boolean>;
};

/** An operation before it has its key. */
type Draft = Operation extends infer One ? (One extends Operation ? Omit<One, "key"> : never) : never;

/** `old` are initial tasks that may have changed since: then they are loaded again at once. */
export function useTasks(initial: Loaded<Task[]>, old: boolean, query: Query): Tasks {
  const [list, dispatch] = useReducer(reduce, { confirmed: initial.ok ? initial.value : [], pending: [] });
  const [failure, setFailure] = useState(initial.ok ? null : initial.reason);
  const [loading, setLoading] = useState(old);
  const [cut, setCut] = useState(initial.ok && initial.value.length === LIMIT);
  const [asksForAll, setAsksForAll] = useState(!old && asksForAllOpen(query));
  const [notice, setNotice] = useState<Notice | null>(null);
  const keys = useRef(0);
  const lines = useRef(new Map<number, Promise<unknown>>());
  // Counts confirmed changes: what was asked before one of them may come back without it.
  const changes = useRef(0);

  const route = routeOf(query);
  const all = asksForAllOpen(query);
  const load = useCallback(async (signal: AbortSignal) => {
    setLoading(true);
    for (let before = -1; before !== changes.current && !signal.aborted; ) {
      before = changes.current;
      const answer = await request<Task[]>("GET", route, undefined, signal);
      if (signal.aborted) return;
      if (changes.current !== before) continue;
      setFailure(answer.ok ? null : answer.reason);
      if (answer.ok) {
        dispatch({ kind: "loaded", tasks: answer.value });
        setCut(answer.value.length === LIMIT);
        setAsksForAll(all);
      }
    }
    if (!signal.aborted) setLoading(false);
  }, [route, all]);

  const [attempt, setAttempt] = useState(0);
  const reload = () => setAttempt((count) => count + 1);
  const asked = useRef(old ? null : `${route} 0`);
  useEffect(() => {
    const question = `${route} ${attempt}`;
    if (asked.current === question) return;
    const pause = asked.current === null ? 0 : PAUSE_MS;
    asked.current = question;
    const stop = new AbortController();
    const timer = setTimeout(() => void load(stop.signal), pause);
    return () => {
      clearTimeout(timer);
      stop.abort();
      asked.current = "";
    };
  }, [route, attempt, load]);

  /** Shows it at once, sends it after what is already on its way for the same task, and settles it. */
  async function carryOut(
    line: number,
    draft: Draft,
    send: () => Promise<Loaded<Task | null>>,
    title: string,
    refused: string,
  ): Promise<boolean> {
    const key = ++keys.current;
    dispatch({ kind: "began", operation: { ...draft, key } as Operation });
    setNotice(null);
    const answer = (lines.current.get(line) ?? Promise.resolve()).then(send);
    lines.current.set(line, answer);
    const result = await answer;
    if (lines.current.get(line) === answer) lines.current.delete(line);
    if (result.ok) {
      changes.current += 1;
      dispatch({ kind: "confirmed", key, task: result.value });
    } else if (result.status === 404 && draft.kind !== "add") {
      // Deleted meanwhile, by the assistant or at another screen: it would come back for good.
      changes.current += 1;
      dispatch({ kind: "confirmed", key, task: null });
      setNotice({ text: `“${title}” is no longer there.`, failed: draft.kind === "change" });
    } else {
      dispatch({ kind: "refused", key });
      // Of an answer that was cut off only the server knows what it did.
      const unknown = result.status >= 200 && result.status < 300;
      if (unknown) reload();
      setNotice({ text: unknown ? LOST : `“${title}” ${refused}. ${result.reason}`, failed: true });
    }
    return result.ok;
  }

  async function add(task: NewTask): Promise<boolean> {
    const draft: Draft = { kind: "add", task, at: new Date().toISOString() };
    // Additions keep their order among themselves.
    const done = await carryOut(0, draft, () => request<Task>("POST", "/api/tasks", task), task.title, "was not added");
    if (done) setNotice({ text: `“${task.title}” added.`, failed: false });
    return done;
  }

  async function change(task: Task, change: Change, done: string): Promise<boolean> {
    const send = () => request<Task>("PATCH", `/api/tasks/${task.id}`, change);
    const draft: Draft = { kind: "change", id: task.id, change };
    const ok = await carryOut(task.id, draft, send, task.title, "was not changed");
    if (ok) setNotice({ text: done, failed: false });
    return ok;
  }

  async function remove(task: Task): Promise<boolean> {
    const send = () => request<null>("DELETE", `/api/tasks/${task.id}`);
    const draft: Draft = { kind: "delete", id: task.id };
    const ok = await carryOut(task.id, draft, send, task.title, "was not deleted");
    if (ok) setNotice({ text: `“${task.title}” deleted.`, failed: false, undo: () => void restore(task) });
    return ok;
  }

  /** A task like the one that was deleted, with its state. */
  async function restore({ title, due, priority, completed }: Task): Promise<void> {
    let open: string | null = null;
    const send = async () => {
      const added = await request<Task>("POST", "/api/tasks", { title, due, priority });
      if (!added.ok || !completed) return added;
      const done = await request<Task>("PATCH", `/api/tasks/${added.value.id}`, { completed });
      if (done.ok) return done;
      // It is there all the same, and not as it was.
      open = done.reason;
      return added;
    };
    const draft: Draft = { kind: "add", task: { title, due, priority }, at: new Date().toISOString() };
    const ok = await carryOut(0, draft, send, title, "was not brought back");
    if (!ok) return;
    if (open === null) setNotice({ text: `“${title}” is back.`, failed: false });
    else setNotice({ text: `“${title}” is back, but open. ${open}`, failed: true });
  }

  return {
    tasks: shown(list),
    loading,
    failure,
    cut,
    allOpen: asksForAll && !cut,
    notice,
    busy: (id) => busy(list, id),
    dismiss: () => setNotice(null),
    reload,
    add,
    change,
    remove,
  };
}

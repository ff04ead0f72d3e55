/** What a form holds, as a task, or what is wrong with it. */

import type { Answer, NewTask, Priority } from "@/lib/backend";

export const TITLE_LENGTH = 200;
export const PRIORITIES: readonly Priority[] = ["low", "medium", "high"];

export function taskOf(form: FormData): Answer<NewTask> {
  const title = text(form, "title").trim();
  const due = text(form, "due");
  const priority = PRIORITIES.find((one) => one === text(form, "priority"));
  if (!title) return { ok: false, reason: "A task needs a title." };
  if (title.length > TITLE_LENGTH) {
    return { ok: false, reason: `A title has at most ${TITLE_LENGTH} characters.` };
  }
  if (due && !/^\d{4}-\d{2}-\d{2}$/.test(due)) return { ok: false, reason: "That is not a date." };
  return { ok: true, value: { title, due: due || null, priority: priority ?? "medium" } };
}

function text(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value : "";
}

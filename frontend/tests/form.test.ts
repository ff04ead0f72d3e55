import { expect, test } from "vitest";

import { taskOf } from "@/lib/form";

test.each([
  [{ title: " milk " }, { title: "milk", due: null, priority: "medium" }],
  [{ title: "milk", due: "2030-01-31", priority: "high" }, { title: "milk", due: "2030-01-31", priority: "high" }],
  [{ title: "milk", priority: "urgent" }, { title: "milk", due: null, priority: "medium" }],
  [{}, "A task needs a title."],
  [{ title: "   " }, "A task needs a title."],
  [{ title: "x".repeat(201) }, "A title has at most 200 characters."],
  [{ title: "milk", due: "tomorrow" }, "That is not a date."],
])("%j", (fields: Record<string, string>, expected) => {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  const task = taskOf(form);
  expect(task.ok ? task.value : task.reason).toEqual(expected);
});

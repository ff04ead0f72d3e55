import { cleanup, render, screen, waitFor, within } from "@testing-library/react";
import userEvent, { type UserEvent } from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";

import { TaskBoard } from "@/components/task-board";
import type { Loaded } from "@/lib/loaded";
import { queryOf, type Task } from "@/lib/task";

import { Origin } from "./support/server";

// jsdom opens no other pages.
const leave = vi.hoisted(() => vi.fn());
vi.mock("@/lib/client/leave", () => ({ leave }));

const MILK: Task = { id: 1, title: "Milk", due: "2020-01-31", priority: "high", completed: false, created_at: "2020-01-01T00:00:00Z" };
const BREAD: Task = { ...MILK, id: 2, title: "Bread", due: null, priority: "low" };

let origin: Origin;
let user: UserEvent;
beforeEach(() => {
  origin = new Origin();
  user = userEvent.setup();
  window.history.replaceState(null, "", "/tasks");
});

function show(initial: Loaded<Task[]> = { ok: true, value: [MILK, BREAD] }, asked: Parameters<typeof queryOf>[0] = {}) {
  render(<TaskBoard initial={initial} initialQuery={queryOf(asked)} />);
}

function titles(): string[] {
  return screen.queryAllByRole("checkbox").map((box) => (box as HTMLInputElement).labels?.[0]?.textContent ?? "");
}

function row(title: string): HTMLElement {
  return screen.getByRole("button", { name: `Edit “${title}”` }).closest("li") as HTMLElement;
}

test("an added task shows at once, and stays when the server takes it", async () => {
  show();
  await user.type(screen.getByLabelText("New task"), "  Tea {Enter}");
  const sent = await origin.next();
  expect(sent).toMatchObject({ method: "POST", path: "/api/tasks", body: { title: "Tea", due: null, priority: "medium" } });
  expect(within(row("Tea")).getByText("being added…")).toBeVisible();
  expect(screen.getByLabelText("New task")).toHaveValue("");
  sent.answer(201, { ...MILK, id: 3, title: "Tea" });
  expect(await screen.findByText("“Tea” added.")).toBeVisible();
  expect(within(row("Tea")).queryByText("being added…")).toBeNull();
});

test("an added task that the server refuses goes, with a reason, and its title comes back", async () => {
  show();
  await user.type(screen.getByLabelText("New task"), "Tea{Enter}");
  (await origin.next()).answer(503, { detail: "The database is away" });
  expect(await screen.findByText("“Tea” was not added. The database is away.")).toBeVisible();
  expect(titles().join()).not.toMatch(/Tea/);
  expect(screen.getByLabelText("New task")).toHaveValue("Tea");
});

test.each([
  ["refuses", (held: Awaited<ReturnType<Origin["next"]>>) => held.answer(503, { detail: "The database is away" }), "The database is away."],
  ["cannot be reached", (held: Awaited<ReturnType<Origin["next"]>>) => held.fail(), "The application cannot be reached."],
])("a task that is done is open again when the server %s", async (_, end, reason) => {
  show();
  await user.click(screen.getByRole("checkbox", { name: /Milk/ }));
  expect(screen.getByRole("checkbox", { name: /Milk/ })).toBeChecked();
  end(await origin.next());
  const alert = await screen.findByText(/“Milk” was not changed\./);
  expect(alert).toHaveTextContent(reason);
  expect(screen.getByRole("checkbox", { name: /Milk/ })).not.toBeChecked();
});

test.each([
  ["changed", () => user.click(screen.getByRole("checkbox", { name: /Milk/ }))],
  ["deleted", () => user.click(screen.getByRole("button", { name: "Delete “Milk”" }))],
])("a task that is %s here and was deleted elsewhere goes for good", async (_, act) => {
  show();
  await act();
  (await origin.next()).answer(404, { detail: "No such task" });
  expect(await screen.findByText("“Milk” is no longer there.")).toBeVisible();
  expect(titles().join()).toBe("Breadlow priority");
  expect(screen.queryByRole("button", { name: "Undo" })).toBeNull();
});

test("who comes back to the page sees the tasks as they are now, in the view that was left", async () => {
  // What Next.js made the page with, and hands out again on the way back.
  const initial: Loaded<Task[]> = { ok: true, value: [MILK] };
  show(initial);
  expect(titles().length).toBe(1);
  cleanup();
  window.history.replaceState(null, "", "/tasks?show=open");
  show(initial);
  const asked = await origin.next();
  expect(asked).toMatchObject({ method: "GET", path: "/api/tasks?limit=200&sort=created&order=desc&completed=false" });
  asked.answer(200, [BREAD]);
  await waitFor(() => expect(titles().join()).toBe("Breadlow priority"));
  expect(screen.getByText("1 open")).toBeVisible();
  expect(window.location.search).toBe("?show=open");
});

test("who is signed out meanwhile is led back to the same view", async () => {
  show({ ok: true, value: [MILK] }, { q: "mil" });
  await user.click(screen.getByRole("checkbox", { name: /Milk/ }));
  (await origin.next()).answer(401, { detail: "You are signed out" });
  await waitFor(() => expect(leave).toHaveBeenCalledWith("/sign-in?next=%2Ftasks%3Fq%3Dmil"));
});

test("two changes of one task reach the server one after the other", async () => {
  show();
  const box = screen.getByRole("checkbox", { name: /Milk/ });
  await user.click(box);
  await user.click(box);
  const first = await origin.next();
  expect(first.body).toEqual({ completed: true });
  const second = origin.next();
  first.answer(200, { ...MILK, completed: true });
  expect((await second).body).toEqual({ completed: false });
  expect(screen.getByRole("checkbox", { name: /Milk/ })).not.toBeChecked();
  (await second).answer(200, MILK);
  expect(await screen.findByText("“Milk” is open again.")).toBeVisible();
});

test("editing takes the focus, Escape gives it back, Enter saves", async () => {
  show();
  await user.click(screen.getByRole("button", { name: "Edit “Milk”" }));
  expect(screen.getByLabelText("Title")).toHaveFocus();
  await user.keyboard("Oat milk{Escape}");
  await waitFor(() => expect(screen.getByRole("button", { name: "Edit “Milk”" })).toHaveFocus());
  await user.keyboard("{Enter}Oat milk{Enter}");
  const sent = await origin.next();
  expect(sent).toMatchObject({ method: "PATCH", path: "/api/tasks/1", body: { title: "Oat milk", due: MILK.due, priority: "high" } });
  expect(titles().join()).toMatch(/Oat milk/);
  sent.answer(200, { ...MILK, title: "Oat milk" });
  expect(await screen.findByText("“Oat milk” saved.")).toBeVisible();
});

test("a deleted task goes at once, the focus goes to the next, and undo brings it back", async () => {
  show();
  await user.click(screen.getByRole("button", { name: "Delete “Bread”" }));
  expect(titles().join()).not.toMatch(/Bread/);
  await waitFor(() => expect(screen.getByRole("button", { name: "Delete “Milk”" })).toHaveFocus());
  (await origin.next()).answer(204);
  await user.click(await screen.findByRole("button", { name: "Undo" }));
  const sent = await origin.next();
  expect(sent).toMatchObject({ method: "POST", body: { title: "Bread", due: null, priority: "low" } });
  sent.answer(201, { ...BREAD, id: 4 });
  expect(await screen.findByText("“Bread” is back.")).toBeVisible();
});

test("a deleted task comes back when the server refuses", async () => {
  show();
  await user.click(screen.getByRole("button", { name: "Delete “Bread”" }));
  (await origin.next()).answer(500, {});
  expect(await screen.findByText("“Bread” was not deleted. The application answered with 500.")).toBeVisible();
  expect(titles().join()).toMatch(/Bread/);
});

test("a deleted task that was done comes back, and says so when it is open now", async () => {
  show({ ok: true, value: [{ ...BREAD, completed: true }] });
  await user.click(screen.getByRole("button", { name: "Delete “Bread”" }));
  (await origin.next()).answer(204);
  await user.click(await screen.findByRole("button", { name: "Undo" }));
  (await origin.next()).answer(201, { ...BREAD, id: 4 });
  const done = await origin.next();
  expect(done).toMatchObject({ method: "PATCH", path: "/api/tasks/4", body: { completed: true } });
  done.answer(503, { detail: "The database is away" });
  expect(await screen.findByText("“Bread” is back, but open. The database is away.")).toBeVisible();
  expect(screen.getByRole("checkbox", { name: /Bread/ })).not.toBeChecked();
});

test("an answer that is cut off jams nothing: the list is read anew, and the task can be changed", async () => {
  show();
  await user.click(screen.getByRole("checkbox", { name: /Milk/ }));
  (await origin.next()).stream(new Response('{"id": 1, "ti'));
  expect(await screen.findByText(/The connection broke in the middle of the answer\./)).toBeVisible();
  const again = await origin.next();
  expect(again).toMatchObject({ method: "GET", path: "/api/tasks?limit=200&sort=created&order=desc" });
  again.answer(200, [{ ...MILK, completed: true }, BREAD]);
  await waitFor(() => expect(screen.getByRole("checkbox", { name: /Milk/ })).toBeChecked());
  await user.click(screen.getByRole("checkbox", { name: /Milk/ }));
  const next = await origin.next();
  expect(next.body).toEqual({ completed: false });
  next.answer(200, MILK);
  expect(await screen.findByText("“Milk” is open again.")).toBeVisible();
});

test("a list that is cut off says so", async () => {
  show({ ok: false, status: 504, reason: "The backend does not answer." });
  await user.click(screen.getByRole("button", { name: "Try again" }));
  (await origin.next()).stream(new Response('[{"id": 1, "ti'));
  expect(await screen.findByText("The connection broke.")).toBeVisible();
  expect(screen.getByRole("button", { name: "Try again" })).toBeEnabled();
});

const DONE = { ...BREAD, completed: true };
test.each<[string, Task[], Record<string, string>, string]>([
  ["all", [MILK, DONE], {}, "1 open"],
  ["all, in another order", [DONE], { sort: "title" }, "Nothing open"],
  ["the open ones", [MILK], { show: "open" }, "1 open"],
  ["the done ones", [DONE], { show: "done" }, "1 task shown"],
  ["what a search finds", [DONE], { q: "bread" }, "1 task shown"],
  ["one priority", [], { priority: "high" }, "0 tasks shown"],
  ["as many as a page shows", Array.from({ length: 200 }, (_, id) => ({ ...DONE, id: id + 1 })), {}, "200 tasks shown"],
])("of %s the page counts what it knows", (_, tasks, asked, text) => {
  show({ ok: true, value: tasks }, asked);
  expect(screen.getByText(text)).toBeVisible();
});

test("the focus stays in the list when a task goes under it", async () => {
  show({ ok: true, value: [MILK, BREAD] }, { show: "open" });
  await user.click(screen.getByRole("checkbox", { name: /Bread/ }));
  await waitFor(() => expect(screen.getByRole("checkbox", { name: /Milk/ })).toHaveFocus());
  await user.keyboard(" ");
  await waitFor(() => expect(screen.getByRole("heading", { name: "Tasks" })).toHaveFocus());
});

test.each(["Undo", "Dismiss"])("%s goes and leaves the focus at the heading", async (name) => {
  show();
  await user.click(screen.getByRole("button", { name: "Delete “Bread”" }));
  (await origin.next()).answer(204);
  await user.click(await screen.findByRole("button", { name }));
  expect(screen.queryByRole("button", { name })).toBeNull();
  expect(screen.getByRole("heading", { name: "Tasks" })).toHaveFocus();
});

test("a search narrows at once, asks the server, and is in the address", async () => {
  show();
  await user.type(screen.getByRole("searchbox"), "mil");
  expect(titles().length).toBe(1);
  expect(window.location.search).toBe("?q=mil");
  const sent = await origin.next();
  expect(sent.path).toBe("/api/tasks?limit=200&sort=created&order=desc&q=mil");
  sent.answer(200, [MILK, { ...MILK, id: 8, title: "Almond milk" }]);
  expect(await screen.findByRole("checkbox", { name: /Almond milk/ })).toBeVisible();
});

test("nothing is said in words, whether there is nothing or nothing fits", async () => {
  show({ ok: true, value: [] });
  expect(screen.getByText("Nothing to do")).toBeVisible();
  await user.click(screen.getByRole("radio", { name: "Done" }));
  (await origin.next()).answer(200, []);
  expect(await screen.findByText("No task fits")).toBeVisible();
});

test("tasks that cannot be shown say so, and can be tried again", async () => {
  show({ ok: false, status: 504, reason: "The backend does not answer." });
  expect(screen.getByText("The backend does not answer.")).toBeVisible();
  await user.click(screen.getByRole("button", { name: "Try again" }));
  (await origin.next()).answer(200, [MILK]);
  expect(await screen.findByRole("checkbox", { name: /Milk/ })).toBeVisible();
  expect(screen.queryByText("The backend does not answer.")).toBeNull();
});

test("a date that is past is called so in words", () => {
  show();
  expect(within(row("Milk")).getByText("Overdue since 31 Jan 2020")).toBeVisible();
});

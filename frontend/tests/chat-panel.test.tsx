import { render, screen, waitFor } from "@testing-library/react";
import userEvent, { type UserEvent } from "@testing-library/user-event";
import { beforeEach, expect, test } from "vitest";

import { ChatPanel } from "@/components/chat-panel";
import type { Assistant, Message } from "@/lib/chat";
import type { FirstChat } from "@/lib/client/chat";

import { Origin } from "./support/server";

const LOCAL: Assistant = { kind: "local", model: "m" };
const TALK = [{ id: 7, title: "Shopping", updated_at: "2030-01-01T00:00:00Z" }];
const OLD: Message[] = [
  { id: 1, role: "user", text: "what is left?", tools: [] },
  { id: 2, role: "assistant", text: "**Milk** <b>", tools: [{ name: "list_tasks", arguments: {} }] },
];

let origin: Origin;
let user: UserEvent;
beforeEach(() => {
  origin = new Origin();
  user = userEvent.setup();
  window.history.replaceState(null, "", "/chat");
});

function show(first: Partial<FirstChat> = {}, assistant: Assistant = LOCAL) {
  const whole: FirstChat = { conversation: null, messages: { ok: true, value: [] }, conversations: { ok: true, value: TALK }, ...first };
  render(<ChatPanel first={whole} assistant={{ ok: true, value: assistant }} />);
}

class Answer {
  private controller!: ReadableStreamDefaultController<Uint8Array>;
  readonly response = new Response(
    new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.controller = controller;
      },
    }),
  );

  say(name: string, data: unknown): void {
    this.controller.enqueue(new TextEncoder().encode(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`));
  }

  end(): void {
    this.controller.close();
  }
}

test("an answer shows while it comes, with what the assistant did, and the address names the conversation", async () => {
  show();
  await user.type(screen.getByLabelText("Message"), "add milk{Enter}");
  const asked = await origin.next();
  const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  expect(asked).toMatchObject({
    method: "POST",
    path: "/api/chat",
    body: { conversation_id: null, message: "add milk", timezone },
  });
  expect(screen.getByText("Thinking…")).toBeVisible();
  const answer = new Answer();
  asked.stream(answer.response);
  answer.say("conversation", { id: 9, title: "add milk" });
  answer.say("tool", { name: "add_task", arguments: { title: "milk" }, result: {} });
  answer.say("delta", { text: "Added **mi" });
  expect(await screen.findByText("Added a task · “milk”")).toBeVisible();
  expect(screen.getByText("Added **mi")).toBeVisible();
  answer.say("delta", { text: "lk**." });
  answer.say("done", { message_id: 3 });
  answer.end();
  expect(await screen.findByText("milk")).toHaveProperty("tagName", "STRONG");
  expect((await origin.next()).path).toBe("/api/conversations");
  await waitFor(() => expect(window.location.pathname).toBe("/chat/9"));
});

test("a conversation that is there is shown, and nothing in it becomes HTML", () => {
  show({ conversation: 7, messages: { ok: true, value: OLD } });
  expect(screen.getByText("Milk")).toHaveProperty("tagName", "STRONG");
  expect(screen.getByText(/<b>/)).toBeVisible();
  expect(screen.getByText("Looked at the tasks")).toBeVisible();
});

test.each([
  ["the backend's refusal", (held: Awaited<ReturnType<Origin["next"]>>) => held.answer(504, { detail: "The backend does not answer." }), "The backend does not answer."],
  ["a network that is away", (held: Awaited<ReturnType<Origin["next"]>>) => held.fail(), "The connection broke."],
  ["a stream that breaks off", (held: Awaited<ReturnType<Origin["next"]>>) => held.stream(new Response("event: delta\ndata: {\"text\":\"half\"}\n\n")), "The connection broke before the end of the answer."],
])("%s is said where the answer would be", async (_, end, reason) => {
  show();
  await user.type(screen.getByLabelText("Message"), "add milk{Enter}");
  end(await origin.next());
  expect(await screen.findByText(reason)).toBeVisible();
  expect(screen.getByRole("button", { name: "Send" })).toBeEnabled();
  (await origin.next()).answer(200, TALK);
  await waitFor(() => expect(screen.queryByText("The assistant is answering.")).toBeNull());
  expect(screen.queryByText("The answer is complete.")).toBeNull();
});

const STOP = "/api/conversations/9/messages/4/stop";
const STOPPED = "You stopped this answer.";

test.each(["before", "after"])("an answer is stopped where it is made, also %s its message has a number", async (moment) => {
  show();
  await user.type(screen.getByLabelText("Message"), "delete all{Enter}");
  const asked = await origin.next();
  const answer = new Answer();
  asked.stream(answer.response);
  if (moment === "before") await user.click(screen.getByRole("button", { name: "Stop" }));
  answer.say("conversation", { id: 9, title: "delete all", message_id: 4 });
  if (moment === "after") {
    answer.say("delta", { text: "I am" });
    await screen.findByText("I am");
    await user.click(screen.getByRole("button", { name: "Stop" }));
  }
  // It is not over before the server says so.
  expect(screen.getByRole("button", { name: "Stopping…" })).toBeVisible();
  const stop = await origin.next();
  expect(stop).toMatchObject({ method: "POST", path: STOP });
  stop.answer(204);
  answer.say("error", { message: STOPPED });
  answer.end();
  expect(await screen.findByText(STOPPED)).toBeVisible();
  expect(await screen.findByRole("button", { name: "Send" })).toBeEnabled();
  expect(screen.queryByText("The answer is complete.")).toBeNull();
});

test("a stop that does not reach the server says so, and the answer goes on", async () => {
  show();
  await user.type(screen.getByLabelText("Message"), "add milk{Enter}");
  const asked = await origin.next();
  const answer = new Answer();
  asked.stream(answer.response);
  answer.say("conversation", { id: 9, title: "add milk", message_id: 4 });
  await waitFor(() => expect(window.location.pathname).toBe("/chat/9"));
  await user.click(screen.getByRole("button", { name: "Stop" }));
  (await origin.next()).answer(504, { detail: "The backend does not answer." });
  expect(await screen.findByText("The answer could not be stopped. The backend does not answer.")).toBeVisible();
  expect(screen.getByRole("button", { name: "Stop" })).toBeEnabled();
  answer.say("delta", { text: "Added." });
  answer.say("done", { message_id: 5 });
  answer.end();
  expect(await screen.findByText("Added.")).toBeVisible();
  (await origin.next()).answer(200, []);
  expect(await screen.findByText("The answer is complete.")).toBeInTheDocument();
});

test("of conversations that are opened one after the other the last one shows", async () => {
  const others = [...TALK, { id: 8, title: "Garden", updated_at: "2030-01-01T00:00:00Z" }];
  show({ conversations: { ok: true, value: others } });
  await user.click(screen.getAllByRole("button", { name: "Shopping" })[0] as HTMLElement);
  const slow = await origin.next();
  await user.click(screen.getAllByRole("button", { name: "Garden" })[0] as HTMLElement);
  (await origin.next()).answer(200, [{ id: 5, role: "user", text: "plant trees", tools: [] }]);
  expect(await screen.findByText("plant trees")).toBeVisible();
  slow.answer(200, OLD);
  await user.type(screen.getByLabelText("Message"), "go on{Enter}");
  expect((await origin.next()).body).toMatchObject({ conversation_id: 8 });
  expect(screen.queryByText("what is left?")).toBeNull();
});

test("a new conversation stays one when an earlier one comes late", async () => {
  show();
  await user.click(screen.getAllByRole("button", { name: "Shopping" })[0] as HTMLElement);
  const slow = await origin.next();
  // What is said meanwhile would be said in the wrong one.
  await user.type(screen.getByLabelText("Message"), "hello{Enter}");
  expect(screen.getByLabelText("Message")).toHaveValue("hello");
  await user.click(screen.getByRole("button", { name: "New conversation" }));
  slow.answer(200, OLD);
  await user.type(screen.getByLabelText("Message"), "{Enter}");
  expect((await origin.next()).body).toMatchObject({ conversation_id: null, message: "hello" });
  expect(screen.queryByText("what is left?")).toBeNull();
});

test("an earlier conversation is opened and a new one begun", async () => {
  show();
  await user.click(screen.getAllByRole("button", { name: "Shopping" })[0] as HTMLElement);
  const asked = await origin.next();
  expect(asked.path).toBe("/api/conversations/7/messages");
  asked.answer(200, OLD);
  expect(await screen.findByText("what is left?")).toBeVisible();
  await waitFor(() => expect(window.location.pathname).toBe("/chat/7"));
  await user.click(screen.getByRole("button", { name: "New conversation" }));
  expect(screen.getByText("What can I do for your tasks?")).toBeVisible();
  await waitFor(() => expect(window.location.pathname).toBe("/chat"));
  expect(screen.getByLabelText("Message")).toHaveFocus();
});

test("a deleted conversation comes back when the server refuses", async () => {
  show();
  await user.click(screen.getAllByRole("button", { name: "Delete the conversation “Shopping”" })[0] as HTMLElement);
  expect(screen.queryByRole("button", { name: "Shopping" })).toBeNull();
  (await origin.next()).answer(500, {});
  expect(await screen.findByText(/The conversation was not deleted\./)).toBeVisible();
  expect(screen.getAllByRole("button", { name: "Shopping" }).length).toBeGreaterThan(0);
});

test.each<[Assistant, RegExp]>([
  [LOCAL, /built-in assistant answers/],
  [{ kind: "openai", model: "gpt-x" }, /gpt-x .* answers/],
])("%j is named", (assistant, words) => {
  show({}, assistant);
  expect(screen.getByText(words)).toBeVisible();
});

test("Enter sends, Shift and Enter begin a line, and nothing is sent while an answer comes", async () => {
  show();
  await user.type(screen.getByLabelText("Message"), "a{Shift>}{Enter}{/Shift}b{Enter}");
  expect((await origin.next()).body).toMatchObject({ conversation_id: null, message: "a\nb" });
  await user.type(screen.getByLabelText("Message"), "c{Enter}");
  await waitFor(() => expect(screen.getByLabelText("Message")).toHaveValue("c"));
});

import { act, cleanup, render, screen, waitFor } from "@testing-library/react";
import userEvent, { type UserEvent } from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

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
  const rest: FirstChat = { conversation: null, messages: { ok: true, value: [] }, conversations: { ok: true, value: TALK } };
  render(<ChatPanel first={Object.assign(first, { ...rest, ...first })} assistant={{ ok: true, value: assistant }} />);
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

  /** Breaks off when whoever asked gives up, as a real one does. */
  endWith(signal: AbortSignal | null | undefined): void {
    signal?.addEventListener("abort", () => this.controller.error(signal.reason));
  }

  comment(): void {
    this.controller.enqueue(new TextEncoder().encode(":\n\n"));
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

test("a page that is left while an answer comes asks for nothing more", async () => {
  show();
  await user.type(screen.getByLabelText("Message"), "add milk{Enter}");
  const asked = await origin.next();
  const answer = new Answer();
  asked.stream(answer.response);
  answer.endWith(asked.signal);
  answer.say("conversation", { id: 9, title: "add milk", message_id: 4 });
  await waitFor(() => expect(window.location.pathname).toBe("/chat/9"));
  cleanup();
  expect(asked.signal?.aborted).toBe(true);
  await new Promise((done) => setTimeout(done));
  void fetch("/the next");
  expect((await origin.next()).path).toBe("/the next");
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

describe("time passes", () => {
  beforeEach(() => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    user = userEvent.setup({ advanceTimers: vi.advanceTimersByTime });
  });
  afterEach(() => vi.useRealTimers());

  const pass = (seconds: number) => act(() => vi.advanceTimersByTimeAsync(seconds * 1000));

  test("an answer is waited for as long as the backend says that it is there, and no longer", async () => {
    show();
    await user.type(screen.getByLabelText("Message"), "add milk{Enter}");
    const asked = await origin.next();
    const answer = new Answer();
    asked.stream(answer.response);
    answer.endWith(asked.signal);
    answer.say("conversation", { id: 9, title: "add milk", message_id: 4 });
    for (let seconds = 0; seconds < 120; seconds += 15) {
      await pass(15);
      answer.comment();
    }
    await pass(15);
    expect(screen.getByText("Thinking…")).toBeVisible();
    expect(screen.getByRole("button", { name: "Stop" })).toBeEnabled();
    await pass(61);
    expect(await origin.next()).toMatchObject({ method: "GET", path: "/api/conversations/9/messages" });
  });

  const ASKED: Message = { id: 4, role: "user", text: "add milk", tools: [], answering: true };
  const ANSWERED: Message = { id: 5, role: "assistant", text: "Added milk.", tools: [] };

  test("an answer whose stream breaks is waited for where it is made: nobody asks for the same once more", async () => {
    show();
    await user.type(screen.getByLabelText("Message"), "add milk{Enter}");
    const answer = new Answer();
    (await origin.next()).stream(answer.response);
    answer.say("conversation", { id: 9, title: "add milk", message_id: 4 });
    answer.say("delta", { text: "Added" });
    await screen.findByText("Added");
    answer.end();
    (await origin.next()).answer(200, [ASKED]);
    expect(await screen.findByText("Still being answered…")).toBeVisible();
    expect(screen.queryByRole("button", { name: "Send" })).toBeNull();
    (await origin.next()).answer(200, TALK);
    await pass(2);
    const look = await origin.next();
    expect(look).toMatchObject({ method: "GET", path: "/api/conversations/9/messages" });
    look.answer(200, [{ ...ASKED, answering: false }, ANSWERED]);
    expect(await screen.findByText("Added milk.")).toBeVisible();
    expect(screen.getByRole("button", { name: "Send" })).toBeEnabled();
  });

  test("one that was whole when its stream broke is shown and announced", async () => {
    show();
    await user.type(screen.getByLabelText("Message"), "add milk{Enter}");
    const answer = new Answer();
    (await origin.next()).stream(answer.response);
    answer.say("conversation", { id: 9, title: "add milk", message_id: 4 });
    answer.end();
    (await origin.next()).answer(200, [{ ...ASKED, answering: false }, ANSWERED]);
    expect(await screen.findByText("Added milk.")).toBeVisible();
    expect(screen.getByRole("status")).toHaveTextContent("The answer is here.");
  });

  const MESSAGES = "/api/conversations/7/messages";

  test("a page that is loaded while an answer is made says so, and shows it when it is there", async () => {
    show({ conversation: 7, messages: { ok: true, value: [ASKED] } });
    expect(screen.getByText("Still being answered…")).toBeVisible();
    // Nobody asks for the same once more.
    expect(screen.queryByRole("button", { name: "Send" })).toBeNull();
    await user.type(screen.getByLabelText("Message"), "add milk{Enter}");
    for (const status of [200, 503]) {
      await pass(2);
      const look = await origin.next();
      expect(look).toMatchObject({ method: "GET", path: MESSAGES });
      look.answer(status, [ASKED]);
    }
    await pass(2);
    (await origin.next()).answer(200, [{ ...ASKED, answering: false }, ANSWERED]);
    expect(await screen.findByText("Added milk.")).toBeVisible();
    // Who cannot see it hears that it is there.
    expect(screen.getByRole("status")).toHaveTextContent(/^The answer is here\.$/);
    expect(screen.getByRole("button", { name: "Send" })).toBeEnabled();
  });

  test("of two questions at once the one that waits is waited for, and can be stopped", async () => {
    const other: Message[] = [{ ...ASKED, id: 6, text: "what is left?", answering: false }, { ...ANSWERED, id: 8, text: "Nothing." }];
    show({ conversation: 7, messages: { ok: true, value: [ASKED, ...other] } });
    expect(screen.getByText("Still being answered…")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Stop" }));
    const stop = await origin.next();
    expect(stop).toMatchObject({ method: "POST", path: `${MESSAGES}/4/stop` });
    stop.answer(204);
    await pass(2);
    (await origin.next()).answer(200, [{ ...ASKED, answering: false }, ...other, { ...ANSWERED, id: 9, text: STOPPED }]);
    expect(await screen.findByText(STOPPED)).toBeVisible();
  });

  test("an answer that cannot be looked at for two minutes is not waited for, and the page says why", async () => {
    show({ conversation: 7, messages: { ok: true, value: [ASKED] } });
    await pass(2);
    for (let seconds = 0; seconds <= 120; seconds += 2) {
      expect(screen.getByText("Still being answered…")).toBeVisible();
      (await origin.next()).answer(503, { detail: "The database is away." });
      await pass(2);
    }
    expect(await screen.findByText("The answer cannot be shown. The database is away.")).toBeVisible();
    expect(screen.queryByText("Still being answered…")).toBeNull();
    expect(screen.getByRole("button", { name: "Send" })).toBeEnabled();
  });

  test("the two minutes are over when every look takes long, too", async () => {
    show({ conversation: 7, messages: { ok: true, value: [ASKED] } });
    await pass(2);
    for (let seconds = 0; seconds < 120; seconds += 30) {
      const look = await origin.next();
      expect(screen.getByText("Still being answered…")).toBeVisible();
      await pass(28);
      look.answer(504, { detail: "The backend does not answer." });
      await pass(2);
    }
    (await origin.next()).answer(504, { detail: "The backend does not answer." });
    expect(await screen.findByText("The answer cannot be shown. The backend does not answer.")).toBeVisible();
  });

  test("failures that end begin anew", async () => {
    show({ conversation: 7, messages: { ok: true, value: [ASKED] } });
    for (let look = 1; look <= 70; look++) {
      await pass(2);
      (await origin.next()).answer(look === 35 ? 200 : 503, [ASKED]);
    }
    expect(screen.getByText("Still being answered…")).toBeVisible();
  });

  test("so does a conversation that is opened, and its answer can be stopped", async () => {
    show();
    await user.click(screen.getAllByRole("button", { name: "Shopping" })[0] as HTMLElement);
    (await origin.next()).answer(200, [ASKED]);
    await user.click(await screen.findByRole("button", { name: "Stop" }));
    const stop = await origin.next();
    expect(stop).toMatchObject({ method: "POST", path: `${MESSAGES}/4/stop` });
    stop.answer(204);
    expect(screen.getByRole("button", { name: "Stopping…" })).toBeVisible();
    await pass(2);
    // It is stopped and not kept yet.
    (await origin.next()).answer(200, [ASKED]);
    await pass(2);
    (await origin.next()).answer(200, [{ ...ASKED, answering: false }, { ...ANSWERED, text: STOPPED }]);
    expect(await screen.findByText(STOPPED)).toBeVisible();
    expect(screen.getByRole("button", { name: "Send" })).toBeEnabled();
  });

  test("an answer that nobody makes any more is not waited for", async () => {
    show({ conversation: 7, messages: { ok: true, value: [ASKED] } });
    await pass(2);
    (await origin.next()).answer(200, [{ ...ASKED, answering: false }]);
    expect(await screen.findByRole("button", { name: "Send" })).toBeEnabled();
    expect(screen.getByText("add milk")).toBeVisible();
    expect(screen.getByRole("status")).toHaveTextContent(/^$/);
  });
});

describe("who comes back to the page", () => {
  test("sees the conversation that the address names, as it is now", async () => {
    const first: FirstChat = { conversation: null, messages: { ok: true, value: [] }, conversations: { ok: true, value: [] } };
    show(first);
    cleanup();
    // Since then something was said, and the address has named it.
    window.history.replaceState(null, "", "/chat/7");
    show(first);
    expect(screen.queryByText("What can I do for your tasks?")).toBeNull();
    const asked = [await origin.next(), await origin.next()];
    expect(asked.map(({ path }) => path).sort()).toEqual(["/api/conversations", "/api/conversations/7/messages"]);
    for (const one of asked) one.answer(200, one.path === "/api/conversations" ? TALK : OLD);
    expect(await screen.findByText("what is left?")).toBeVisible();
    expect(screen.getAllByRole("button", { name: "Shopping" }).length).toBeGreaterThan(0);
    expect(window.location.pathname).toBe("/chat/7");
  });

  test("finds a new conversation where one was begun", async () => {
    const first: FirstChat = { conversation: 7, messages: { ok: true, value: OLD }, conversations: { ok: true, value: TALK } };
    window.history.replaceState(null, "", "/chat/7");
    show(first);
    cleanup();
    window.history.replaceState(null, "", "/chat");
    show(first);
    expect(screen.getByText("What can I do for your tasks?")).toBeVisible();
    expect((await origin.next()).path).toBe("/api/conversations");
    expect(window.location.pathname).toBe("/chat");
  });
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

test("a deleted conversation stays away whatever list comes late, and what came meanwhile stays", async () => {
  show();
  await user.type(screen.getByLabelText("Message"), "plant trees{Enter}");
  (await origin.next()).fail();
  // The list that is asked for after each answer.
  const list = await origin.next();
  await user.click(screen.getAllByRole("button", { name: "Delete the conversation “Shopping”" })[0] as HTMLElement);
  const drop = await origin.next();
  list.answer(200, [{ id: 8, title: "Garden", updated_at: "2030-01-02T00:00:00Z" }, ...TALK]);
  await screen.findAllByRole("button", { name: "Garden" });
  expect(screen.queryByRole("button", { name: "Shopping" })).toBeNull();
  drop.answer(500, {});
  await screen.findAllByRole("button", { name: "Shopping" });
  expect(screen.getAllByRole("button", { name: "Garden" }).length).toBeGreaterThan(0);
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

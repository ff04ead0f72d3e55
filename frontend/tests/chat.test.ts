import { expect, test } from "vitest";

import { conversationIn, deed, pathOf, reduceChat, type Chat, type ChatEvent } from "@/lib/chat";
import { blocks, inlines } from "@/lib/markdown";
import { events } from "@/lib/sse";

function streamOf(pieces: string[]): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(encoder.encode(piece));
      controller.close();
    },
  });
}

async function read(stream: ReadableStream<Uint8Array>): Promise<string[]> {
  const found = [];
  for await (const { name, data } of events(stream)) found.push(`${name} ${data}`);
  return found;
}

const STREAM = 'event: delta\ndata: {"text":"ä"}\n\n: awake\n\nevent: tool\r\ndata: 1\r\ndata: 2\r\n\r\ndata: x\n\nevent: cut';
const EVENTS = ['delta {"text":"ä"}', "tool 1\n2", "message x"];

test("events come out whole, however the stream is cut", async () => {
  for (let size = 1; size < STREAM.length; size++) {
    const pieces = STREAM.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
    expect(await read(streamOf(pieces)), `pieces of ${size}`).toEqual(EVENTS);
  }
});

test("a letter that is cut in two bytes is whole", async () => {
  const bytes = new TextEncoder().encode("data: ä\n\n");
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  expect(await read(stream)).toEqual(["message ä"]);
});

test("whatever comes is heard, comments too", async () => {
  let heard = 0;
  const found = [];
  for await (const { name } of events(streamOf([":\n\n", "event: a\nda", "ta: 1\n\n"]), () => heard++)) found.push(name);
  expect([heard, found]).toEqual([3, ["a"]]);
});

test.each([
  ["/chat/7", 7],
  ["/chat", null],
  ["/chat/7/8", null],
  ["/chat/x", null],
  ["/tasks", null],
])("the address %s names the conversation %j", (path, number) => {
  expect(conversationIn(path)).toBe(number);
  if (number !== null) expect(pathOf(number)).toBe(path);
});

function event(name: string, data: unknown): ChatEvent {
  return { kind: "received", event: { name, data: JSON.stringify(data) } };
}

function after(...all: ChatEvent[]): Chat {
  return all.reduce(reduceChat, { conversation: null, messages: [], answering: false, awaited: null });
}

test("an answer is put together from its events", () => {
  const chat = after(
    { kind: "asked", text: "add milk" },
    event("conversation", { id: 7, title: "Milk" }),
    event("tool", { name: "add_task", arguments: { title: "milk" }, result: {} }),
    event("delta", { text: "Added " }),
    event("delta", { text: "milk." }),
    event("something new", {}),
    event("done", { message_id: 12 }),
    { kind: "ended" },
  );
  expect(chat).toEqual({
    conversation: 7,
    answering: false,
    awaited: null,
    messages: [
      { id: null, role: "user", text: "add milk", tools: [] },
      { id: 12, role: "assistant", text: "Added milk.", tools: [{ name: "add_task", arguments: { title: "milk" } }] },
    ],
  });
});

test.each<[string, ChatEvent]>([
  ["the stream's own error", event("error", { message: "why" })],
  ["a broken connection", { kind: "failed", reason: "why" }],
])("%s keeps what came and says why no more does", (_, end) => {
  const chat = after({ kind: "asked", text: "a" }, event("delta", { text: "half" }), end, { kind: "ended" });
  expect(chat.messages.at(-1)).toMatchObject({ text: "half", failure: "why" });
  expect(chat.answering).toBe(false);
});

test.each([
  [{ name: "add_task", arguments: { title: "milk", due: "2030-01-01", priority: null } }, "Added a task · “milk” · due 2030-01-01"],
  [{ name: "complete_task", arguments: { task_id: 2, completed: false } }, "Reopened a task · no. 2"],
  [{ name: "complete_task", arguments: { task_id: 2, completed: true } }, "Completed a task · no. 2"],
  [{ name: "list_tasks", arguments: { query: "milk", completed: false } }, "Looked at the tasks · “milk” · open"],
  [{ name: "some_other", arguments: { a: [1] } }, "some other · a [1]"],
])("%j is a line", (call, line) => {
  expect(deed(call)).toBe(line);
});

const text = (words: string) => ({ kind: "text", text: words });

test.each([
  ["a **b** `c` *d*", [text("a "), { kind: "strong", children: [text("b")] }, text(" "), { kind: "code", text: "c" }, text(" "), { kind: "emphasis", children: [text("d")] }]],
  ["<img src=x onerror=alert(1)>", [text("<img src=x onerror=alert(1)>")]],
  ["[a](https://b.example/c)", [{ kind: "link", href: "https://b.example/c", children: [text("a")] }]],
  ["[a](javascript:alert(1))", [text("[a](javascript:alert(1))")]],
  ["2 * 3 * 4", [text("2 * 3 * 4")]],
  ["**open", [text("**open")]],
])("%s", (source, expected) => {
  expect(inlines(source)).toEqual(expected);
});

test("paragraphs, lists and code are told apart", () => {
  const source = "# Head\none\ntwo\n\n1. a\n2. b\n\n- c\n```js\n<b>\n```\nend";
  expect(blocks(source)).toEqual([
    { kind: "paragraph", lines: [[{ kind: "strong", children: [text("Head")] }], [text("one")], [text("two")]] },
    { kind: "list", ordered: true, start: 1, items: [[text("a")], [text("b")]] },
    { kind: "list", ordered: false, start: 1, items: [[text("c")]] },
    { kind: "code", text: "<b>" },
    { kind: "paragraph", lines: [[text("end")]] },
  ]);
});

test("a fence that is still open is code already", () => {
  expect(blocks("```\nx")).toEqual([{ kind: "code", text: "x" }]);
});

/** A conversation as the page has it, and how each event of the stream changes it. */

import type { ServerEvent } from "@/lib/sse";

export type Assistant = { kind: "openai" | "local"; model: string };
export type Conversation = { id: number; title: string; updated_at: string };
export type ToolCall = { name: string; arguments: Record<string, unknown> };

export type Message = {
  /** Null as long as the server has not given one. */
  id: number | null;
  role: "user" | "assistant";
  text: string;
  tools: ToolCall[];
  /** Why the answer ends here before its end; null when it does not. */
  failure?: string | null;
  /** Of a person's message: its answer is being made, as far as the server knows. */
  answering?: boolean;
};

export type Chat = {
  conversation: number | null;
  messages: readonly Message[];
  answering: boolean;
  /** The person's message whose answer is being made for another page, or for this one before it was loaded. */
  awaited: number | null;
};

export type ChatEvent =
  | { kind: "asked"; text: string }
  | { kind: "received"; event: ServerEvent }
  | { kind: "failed"; reason: string }
  | { kind: "ended" }
  | { kind: "opened"; conversation: number | null; messages: readonly Message[] };

export function reduceChat(chat: Chat, event: ChatEvent): Chat {
  switch (event.kind) {
    case "opened": {
      const awaited = event.messages.findLast(({ answering }) => answering)?.id ?? null;
      return { conversation: event.conversation, messages: event.messages, answering: awaited !== null, awaited };
    }
    case "asked": {
      const question: Message = { id: null, role: "user", text: event.text, tools: [] };
      const answer: Message = { id: null, role: "assistant", text: "", tools: [] };
      return { ...chat, messages: [...chat.messages, question, answer], answering: true, awaited: null };
    }
    case "received":
      return received(chat, event.event);
    case "failed":
      return { ...last(chat, () => ({ failure: event.reason })), answering: false, awaited: null };
    case "ended":
      return { ...chat, answering: false, awaited: null };
  }
}

function received(chat: Chat, { name, data }: ServerEvent): Chat {
  const value = JSON.parse(data) as Record<string, unknown>;
  switch (name) {
    case "conversation":
      return { ...chat, conversation: value.id as number };
    case "delta":
      return last(chat, ({ text }) => ({ text: text + String(value.text) }));
    case "tool": {
      const call = { name: String(value.name), arguments: (value.arguments ?? {}) as Record<string, unknown> };
      return last(chat, ({ tools }) => ({ tools: [...tools, call] }));
    }
    case "done":
      return last(chat, () => ({ id: value.message_id as number }));
    case "error":
      return last(chat, () => ({ failure: String(value.message) }));
    default:
      return chat;
  }
}

/** Changes the answer that is being written. */
function last(chat: Chat, change: (message: Message) => Partial<Message>): Chat {
  const message = chat.messages.at(-1);
  if (!message || message.role !== "assistant") return chat;
  return { ...chat, messages: [...chat.messages.slice(0, -1), { ...message, ...change(message) }] };
}

/** The page of a conversation, or of one that is still to begin. */
export function pathOf(conversation: number | null): string {
  return conversation === null ? "/chat" : `/chat/${conversation}`;
}

/** Which conversation a page's address names. */
export function conversationIn(path: string): number | null {
  const [, digits] = /^\/chat\/(\d+)$/.exec(path) ?? [];
  return digits === undefined ? null : Number(digits);
}

const VERBS: Record<string, string> = {
  add_task: "Added a task",
  list_tasks: "Looked at the tasks",
  update_task: "Changed a task",
  mark_task: "Completed a task",
  reopen_task: "Reopened a task",
  delete_task: "Deleted a task",
};

/** What the assistant did, in a line: the deed and what it was given. */
export function deed({ name, arguments: given }: ToolCall): string {
  if (name === "complete_task") {
    const { completed, ...rest } = given;
    return deed({ name: completed === false ? "reopen_task" : "mark_task", arguments: rest });
  }
  const parts = Object.entries(given).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return [VERBS[name] ?? name.replaceAll("_", " "), ...parts.map(([key, value]) => detail(key, value))].join(" · ");
}

function detail(key: string, value: unknown): string {
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  switch (key) {
    case "title":
    case "query":
    case "q":
      return `“${text}”`;
    case "task_id":
      return `no. ${text}`;
    case "completed":
      return value === true ? "done" : "open";
    default:
      return `${key.replaceAll("_", " ")} ${text}`;
  }
}

/** A conversation on a page: sends what is asked, shows the answer while it comes, and can stop it. */

import { useCallback, useEffect, useReducer, useRef, useState } from "react";

import { explain } from "@/lib/explain";
import { request, toSignIn } from "@/lib/client/request";
import { reduceChat, type Chat, type Conversation, type Message } from "@/lib/chat";
import type { Loaded } from "@/lib/loaded";
import { events } from "@/lib/sse";

/** How long the stream may say nothing before the answer counts as lost. */
const SILENCE_MS = 60_000;

export type Talk = Chat & {
  conversations: readonly Conversation[];
  /** Why something beside the answer did not work. */
  failure: string | null;
  opening: boolean;
  /** A stop is asked for and not there yet. */
  stopping: boolean;
  /** Whether there was a whole answer. */
  ask: (text: string) => Promise<boolean>;
  /** Ends the answer where it is made. Leaving the page does not: what is asked for is then still done. */
  stop: () => void;
  open: (id: number) => Promise<void>;
  begin: () => void;
  drop: (id: number) => Promise<boolean>;
};

export type FirstChat = {
  conversation: number | null;
  messages: Loaded<Message[]>;
  conversations: Loaded<Conversation[]>;
};

/** An answer that is coming. */
type Running = {
  stream: AbortController;
  /** Where its message is, once that is known. */
  message: string | null;
  stopping: boolean;
};

export function useChat(first: FirstChat): Talk {
  const [chat, dispatch] = useReducer(reduceChat, {
    conversation: first.messages.ok ? first.conversation : null,
    messages: first.messages.ok ? first.messages.value : [],
    answering: false,
  });
  const [conversations, setConversations] = useState(first.conversations.ok ? first.conversations.value : []);
  const [failure, setFailure] = useState(reasonOf(first));
  const [opening, setOpening] = useState(false);
  const [stopping, setStopping] = useState(false);
  const running = useRef<Running | null>(null);
  // Counts what was opened or begun: only the last of them is shown.
  const turn = useRef(0);

  useEffect(() => () => running.current?.stream.abort(), []);

  // The address names the conversation, so that a reload and a link show it.
  useEffect(() => {
    const path = chat.conversation === null ? "/chat" : `/chat/${chat.conversation}`;
    if (window.location.pathname !== path) window.history.replaceState(null, "", path);
  }, [chat.conversation]);

  const refresh = useCallback(async () => {
    const answer = await request<Conversation[]>("GET", "/api/conversations");
    if (answer.ok) setConversations(answer.value);
  }, []);

  async function ask(text: string): Promise<boolean> {
    const own: Running = { stream: new AbortController(), message: null, stopping: false };
    running.current = own;
    setFailure(null);
    dispatch({ kind: "asked", text });
    let complete = false;
    try {
      // What "tomorrow" means depends on where the person is.
      const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      await stream({ conversation_id: chat.conversation, message: text, timezone }, own.stream, (event) => {
        dispatch({ kind: "received", event });
        complete ||= event.name === "done";
        if (event.name !== "conversation") return;
        const { id, message_id } = JSON.parse(event.data) as { id: number; message_id: number };
        own.message = `/api/conversations/${id}/messages/${message_id}`;
        if (own.stopping) void end(own);
      });
      dispatch({ kind: "ended" });
    } catch (error) {
      // Another conversation was opened meanwhile: nobody waits for this one.
      if (running.current !== own) return false;
      dispatch({ kind: "failed", reason: error instanceof Refused ? error.message : "The connection broke." });
    }
    running.current = null;
    setStopping(false);
    await refresh();
    return complete;
  }

  function stop(): void {
    const own = running.current;
    if (!own || own.stopping) return;
    own.stopping = true;
    setStopping(true);
    // Before it is known where the message is, the server is just taking it: then once it has.
    if (own.message) void end(own);
  }

  /** The stream then tells the end, with what was done until then. */
  async function end(own: Running): Promise<void> {
    const answer = await request<null>("POST", `${own.message}/stop`);
    if (answer.ok || running.current !== own) return;
    own.stopping = false;
    setStopping(false);
    setFailure(`The answer could not be stopped. ${answer.reason}`);
  }

  /** Whether an answer was left, which goes on being made. */
  function leave(): boolean {
    const left = running.current;
    left?.stream.abort();
    running.current = null;
    setStopping(false);
    setFailure(null);
    return left !== null;
  }

  async function open(id: number): Promise<void> {
    const own = ++turn.current;
    const left = leave();
    setOpening(true);
    const answer = await request<Message[]>("GET", `/api/conversations/${id}/messages`);
    if (turn.current !== own) return;
    setOpening(false);
    if (answer.ok) {
      dispatch({ kind: "opened", conversation: id, messages: answer.value });
    } else {
      if (left) dispatch({ kind: "failed", reason: "This answer goes on without you. Open the conversation again to see it." });
      setFailure(`The conversation cannot be opened. ${answer.reason}`);
    }
  }

  function begin(): void {
    turn.current += 1;
    leave();
    setOpening(false);
    dispatch({ kind: "opened", conversation: null, messages: [] });
  }

  async function drop(id: number): Promise<boolean> {
    const before = conversations;
    const own = turn.current;
    setConversations(before.filter((one) => one.id !== id));
    const answer = await request<null>("DELETE", `/api/conversations/${id}`);
    if (!answer.ok) {
      setConversations(before);
      setFailure(`The conversation was not deleted. ${answer.reason}`);
    } else if (chat.conversation === id && turn.current === own) begin();
    return answer.ok;
  }

  return {
    ...chat,
    conversations,
    failure,
    opening,
    stopping,
    ask,
    stop,
    open,
    begin,
    drop,
  };
}

class Refused extends Error {}

async function stream(
  body: object,
  stop: AbortController,
  take: (event: { name: string; data: string }) => void,
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(new Refused("The assistant does not answer.")), SILENCE_MS);
  };
  heard();
  try {
    const response = await fetch("/api/chat", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify(body),
      signal: stop.signal,
    });
    if (response.status === 401) toSignIn();
    if (!response.ok || !response.body) throw new Refused(await explain(response));
    let ended = false;
    for await (const event of events(response.body)) {
      heard();
      take(event);
      ended ||= event.name === "done" || event.name === "error";
    }
    if (!ended) throw new Refused("The connection broke before the end of the answer.");
  } catch (error) {
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}

function reasonOf({ messages, conversations }: FirstChat): string | null {
  if (!messages.ok) return `The conversation cannot be shown. ${messages.reason}`;
  return conversations.ok ? null : `Your conversations cannot be shown. ${conversations.reason}`;
}

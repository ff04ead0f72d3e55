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
  ask: (text: string) => Promise<void>;
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

export function useChat(first: FirstChat): Talk {
  const [chat, dispatch] = useReducer(reduceChat, {
    conversation: first.messages.ok ? first.conversation : null,
    messages: first.messages.ok ? first.messages.value : [],
    answering: false,
  });
  const [conversations, setConversations] = useState(first.conversations.ok ? first.conversations.value : []);
  const [failure, setFailure] = useState(reasonOf(first));
  const [opening, setOpening] = useState(false);
  const running = useRef<AbortController | null>(null);

  useEffect(() => () => running.current?.abort(), []);

  // The address names the conversation, so that a reload and a link show it.
  useEffect(() => {
    const path = chat.conversation === null ? "/chat" : `/chat/${chat.conversation}`;
    if (window.location.pathname !== path) window.history.replaceState(null, "", path);
  }, [chat.conversation]);

  const refresh = useCallback(async () => {
    const answer = await request<Conversation[]>("GET", "/api/conversations");
    if (answer.ok) setConversations(answer.value);
  }, []);

  async function ask(text: string): Promise<void> {
    const stop = new AbortController();
    running.current = stop;
    setFailure(null);
    dispatch({ kind: "asked", text });
    try {
      // What "tomorrow" means depends on where the person is.
      const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      await stream({ conversation_id: chat.conversation, message: text, timezone }, stop, (event) =>
        dispatch({ kind: "received", event }),
      );
      dispatch({ kind: "ended" });
    } catch (error) {
      // Another conversation was opened meanwhile: nobody waits for this one.
      if (running.current !== stop) return;
      dispatch({ kind: "failed", reason: error instanceof Refused ? error.message : "The connection broke." });
    }
    running.current = null;
    await refresh();
  }

  function leave(): void {
    running.current?.abort();
    running.current = null;
    setFailure(null);
  }

  async function open(id: number): Promise<void> {
    leave();
    setOpening(true);
    const answer = await request<Message[]>("GET", `/api/conversations/${id}/messages`);
    setOpening(false);
    if (answer.ok) dispatch({ kind: "opened", conversation: id, messages: answer.value });
    else setFailure(`The conversation cannot be opened. ${answer.reason}`);
  }

  function begin(): void {
    leave();
    dispatch({ kind: "opened", conversation: null, messages: [] });
  }

  async function drop(id: number): Promise<boolean> {
    const before = conversations;
    setConversations(before.filter((one) => one.id !== id));
    const answer = await request<null>("DELETE", `/api/conversations/${id}`);
    if (!answer.ok) {
      setConversations(before);
      setFailure(`The conversation was not deleted. ${answer.reason}`);
    } else if (chat.conversation === id) begin();
    return answer.ok;
  }

  return {
    ...chat,
    conversations,
    failure,
    opening,
    ask,
    stop: () => running.current?.abort(new Refused("You stopped the answer.")),
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

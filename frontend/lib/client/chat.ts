/** A conversation on a page: sends what is asked, shows the answer while it comes, and can stop it. */

import { useEffect, useEffectEvent, useReducer, useRef, useState } from "react";

import { Refused, stream, untilAnswered } from "@/lib/client/answer";
import { useConversations } from "@/lib/client/conversations";
import { request } from "@/lib/client/request";
import { useSeen } from "@/lib/client/seen";
import { conversationIn, pathOf, reduceChat, type Chat, type Conversation, type Message } from "@/lib/chat";
import type { Loaded } from "@/lib/loaded";

export type Talk = Omit<Chat, "awaited"> & {
  conversations: readonly Conversation[];
  /** Why something beside the answer did not work. */
  failure: string | null;
  opening: boolean;
  /** The answer is being made, and was asked for from elsewhere or before the page was loaded: it shows when it is whole. */
  awaited: boolean;
  /** A stop is asked for and not there yet. */
  stopping: boolean;
  /** What has become of the answer, for who cannot see it. What went wrong announces itself. */
  announced: string;
  ask: (text: string) => Promise<void>;
  /** Ends the answer where it is made. Leaving the page does not: what is asked for is then still done. */
  stop: () => void;
  /** The messages, when they could be had and nothing else was opened since. */
  open: (id: number) => Promise<readonly Message[] | null>;
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
  /** The conversation, once the server has taken the question. */
  conversation: number | null;
  /** Where its message is, once that is known. */
  message: string | null;
  stopping: boolean;
};

const NOTHING: Chat = { conversation: null, messages: [], answering: false, awaited: null };

export function useChat(first: FirstChat): Talk {
  const seen = useSeen(first);
  // Who comes back finds what the address names, as it is now.
  const [named] = useState(() => (seen ? conversationIn(window.location.pathname) : null));
  const [chat, dispatch] = useReducer(reduceChat, seen ? NOTHING : begun(first));
  const list = useConversations(first.conversations);
  const [failure, setFailure] = useState(seen ? null : reasonOf(first));
  const [opening, setOpening] = useState(named !== null);
  const [stopping, setStopping] = useState(false);
  const [announced, setAnnounced] = useState("");
  const running = useRef<Running | null>(null);
  // Counts what was opened or begun: only the last of them is shown.
  const turn = useRef(0);

  useEffect(
    () => () => {
      running.current?.stream.abort();
      running.current = null;
    },
    [],
  );

  // The address names the conversation, so that a reload and a link show it.
  useEffect(() => {
    const path = pathOf(chat.conversation);
    if (!opening && window.location.pathname !== path) window.history.replaceState(null, "", path);
  }, [chat.conversation, opening, first]);

  const comeBack = useEffectEvent(() => {
    void list.refresh();
    if (named !== null) void open(named);
  });
  useEffect(() => {
    if (seen) comeBack();
  }, [seen]);

  const awaited = messagePath(chat.conversation, chat.awaited);
  const arrived = useEffectEvent((conversation: number, answer: Loaded<Message[]>) => {
    setStopping(false);
    if (answer.ok) {
      dispatch({ kind: "opened", conversation, messages: answer.value });
      setAnnounced(arrival(answer.value));
    } else {
      dispatch({ kind: "ended" });
      setFailure(`The answer cannot be shown. ${answer.reason}`);
    }
    void list.refresh();
  });
  const { conversation } = chat;
  useEffect(() => {
    if (awaited === null || conversation === null) return;
    const over = new AbortController();
    void untilAnswered(conversation, over.signal).then((answer) => {
      if (!over.signal.aborted) arrived(conversation, answer);
    });
    return () => over.abort();
  }, [awaited, conversation]);

  async function ask(text: string): Promise<void> {
    const own: Running = { stream: new AbortController(), conversation: null, message: null, stopping: false };
    running.current = own;
    setFailure(null);
    setAnnounced("The assistant is answering.");
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
        const message = messagePath(id, message_id);
        own.conversation = id;
        own.message = message;
        if (own.stopping && message !== null) void end(message, own);
      });
      dispatch({ kind: "ended" });
    } catch (error) {
      // Another conversation was opened meanwhile: nobody waits for this one.
      if (running.current !== own) return;
      // The question was taken, so it is being answered without this connection, or was: the conversation tells.
      if (own.conversation !== null) {
        const messages = await open(own.conversation);
        if (messages !== null) setAnnounced(arrival(messages));
        await list.refresh();
        return;
      }
      dispatch({ kind: "failed", reason: error instanceof Refused ? error.message : "The connection broke." });
    }
    running.current = null;
    setStopping(false);
    setAnnounced(complete ? "The answer is complete." : "");
    await list.refresh();
  }

  function stop(): void {
    if (stopping || !chat.answering) return;
    const own = running.current;
    if (own) own.stopping = true;
    setStopping(true);
    const message = own ? own.message : awaited;
    // Before it is known where the message is, the server is just taking it: then once it has.
    if (message !== null) void end(message, own);
  }

  /** The stream then tells the end, with what was done until then, or the conversation does. */
  async function end(message: string, own: Running | null): Promise<void> {
    const at = turn.current;
    const answer = await request<null>("POST", `${message}/stop`);
    if (answer.ok || running.current !== own || turn.current !== at) return;
    if (own) own.stopping = false;
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
    setAnnounced("");
    return left !== null;
  }

  async function open(id: number): Promise<readonly Message[] | null> {
    const own = ++turn.current;
    const left = leave();
    setOpening(true);
    const answer = await request<Message[]>("GET", `/api/conversations/${id}/messages`);
    if (turn.current !== own) return null;
    setOpening(false);
    if (answer.ok) {
      dispatch({ kind: "opened", conversation: id, messages: answer.value });
      return answer.value;
    }
    if (left) dispatch({ kind: "failed", reason: "This answer goes on without you. Open the conversation again to see it." });
    setFailure(`The conversation cannot be opened. ${answer.reason}`);
    return null;
  }

  function begin(): void {
    turn.current += 1;
    leave();
    setOpening(false);
    dispatch({ kind: "opened", conversation: null, messages: [] });
  }

  async function drop(id: number): Promise<boolean> {
    const own = turn.current;
    const refused = await list.drop(id);
    if (refused !== null) setFailure(`The conversation was not deleted. ${refused}`);
    else if (chat.conversation === id && turn.current === own) begin();
    return refused === null;
  }

  const { conversations } = list;
  const shown = { conversations, failure, opening, awaited: awaited !== null, announced, stopping };
  return { ...chat, ...shown, ask, stop, open, begin, drop };
}

function begun({ conversation, messages }: FirstChat): Chat {
  return messages.ok ? reduceChat(NOTHING, { kind: "opened", conversation, messages: messages.value }) : NOTHING;
}

/** Where a message is; null as long as the server has given it no number. */
function messagePath(conversation: number | null, message: number | null): string | null {
  if (conversation === null || message === null) return null;
  return `/api/conversations/${conversation}/messages/${message}`;
}

/** Of an answer that did not come by a stream: it may be whole, or cut short, which it says itself. */
function arrival(messages: readonly Message[]): string {
  const waits = messages.some(({ answering }) => answering);
  return !waits && messages.at(-1)?.role === "assistant" ? "The answer is here." : "";
}

function reasonOf({ messages, conversations }: FirstChat): string | null {
  if (!messages.ok) return `The conversation cannot be shown. ${messages.reason}`;
  return conversations.ok ? null : `Your conversations cannot be shown. ${conversations.reason}`;
}

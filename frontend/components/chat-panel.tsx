"use client";

import { useEffect, useRef } from "react";

import { Alert } from "@/components/alert";
import { ChatHeading } from "@/components/chat-heading";
import { ChatMessage } from "@/components/chat-message";
import { Composer } from "@/components/composer";
import { ConversationList } from "@/components/conversation-list";
import { useChat, type FirstChat } from "@/lib/client/chat";
import type { Assistant } from "@/lib/chat";
import type { Loaded } from "@/lib/loaded";

const EXAMPLES = ["Add milk for tomorrow", "What is left?", "Done with 1"];

type Props = { first: FirstChat; assistant: Loaded<Assistant> };

/** The application's own chat. */
export function ChatPanel({ first, assistant }: Props) {
  const talk = useChat(first);
  const field = useRef<HTMLTextAreaElement>(null);
  const end = useRef<HTMLDivElement>(null);
  const answer = talk.messages.at(-1);

  // Keeps the newest words in sight.
  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [talk.messages]);

  function chosen() {
    field.current?.focus();
  }

  return (
    <div className="grid flex-1 grid-rows-[auto_1fr] gap-4 py-4 md:grid-cols-[15rem_1fr] md:grid-rows-1 md:gap-6 md:py-6">
      <ConversationList
        conversations={talk.conversations}
        current={talk.conversation}
        open={(id) => void talk.open(id).then(chosen)}
        begin={() => {
          talk.begin();
          chosen();
        }}
        drop={(id) => void talk.drop(id).then(chosen)}
      />
      <section aria-labelledby="chat-title" className="flex min-w-0 flex-col gap-4">
        <ChatHeading id="chat-title" assistant={assistant} />
        <div className="flex flex-1 flex-col gap-4" aria-busy={talk.answering || talk.opening}>
          {talk.messages.length === 0 && !talk.opening ? (
            <Welcome ask={(text) => void talk.ask(text)} />
          ) : (
            <ol aria-label="Messages" className="flex flex-col gap-4">
              {talk.messages.map((message, index) => (
                <ChatMessage key={index} message={message} writing={talk.answering && message === answer} />
              ))}
            </ol>
          )}
          {talk.failure ? <Alert>{talk.failure}</Alert> : null}
          <p role="status" className={talk.awaited ? "self-start text-soft" : "sr-only"}>
            {talk.awaited ? "Still being answered…" : talk.announced}
          </p>
        </div>
        <Composer
          ref={field}
          answering={talk.answering}
          stopping={talk.stopping}
          opening={talk.opening}
          ask={(text) => void talk.ask(text)}
          stop={talk.stop}
        />
        <div ref={end} />
      </section>
    </div>
  );
}

function Welcome({ ask }: { ask: (text: string) => void }) {
  return (
    <div className="m-auto flex max-w-md flex-col items-center gap-4 py-10 text-center">
      <p className="text-lg font-medium">What can I do for your tasks?</p>
      <ul className="flex flex-wrap justify-center gap-2">
        {EXAMPLES.map((text) => (
          <li key={text}>
            <button className="button-quiet border border-line bg-card" onClick={() => ask(text)}>
              {text}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

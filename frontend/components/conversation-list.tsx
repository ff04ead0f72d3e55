"use client";

import { useRef } from "react";

import type { Conversation } from "@/lib/chat";

type Props = {
  conversations: readonly Conversation[];
  current: number | null;
  open: (id: number) => void;
  begin: () => void;
  drop: (id: number) => void;
};

/** Beside the chat where there is room, folded above it on a phone. */
export function ConversationList({ conversations, current, open, begin, drop }: Props) {
  const fold = useRef<HTMLDetailsElement>(null);

  function close() {
    if (fold.current) fold.current.open = false;
  }

  const list =
    conversations.length === 0 ? (
      <p className="px-3 py-2 text-sm text-soft">No conversation yet.</p>
    ) : (
      <ul className="flex flex-col gap-1">
        {conversations.map(({ id, title }) => (
          <li key={id} className="group flex items-center rounded-lg has-aria-[current]:bg-tint">
            <button
              className="min-w-0 flex-1 truncate rounded-lg px-3 py-2 text-left hover:bg-tint"
              aria-current={id === current ? "true" : undefined}
              title={title}
              onClick={() => {
                close();
                open(id);
              }}
            >
              {title || "Untitled"}
            </button>
            <button
              className="button-quiet shrink-0 px-2 text-sm md:opacity-0 md:group-focus-within:opacity-100 md:group-hover:opacity-100"
              aria-label={`Delete the conversation “${title}”`}
              onClick={() => drop(id)}
            >
              Delete
            </button>
          </li>
        ))}
      </ul>
    );

  return (
    <nav aria-label="Conversations" className="flex flex-col gap-2">
      <div className="flex items-start gap-2">
        <details ref={fold} className="card min-w-0 flex-1 p-1 md:hidden">
          <summary className="cursor-pointer rounded-lg px-3 py-1.5 text-soft">Earlier conversations</summary>
          {list}
        </details>
        <button
          className="button-quiet min-h-11 border border-field bg-card md:flex-1"
          onClick={() => {
            close();
            begin();
          }}
        >
          New <span className="max-md:sr-only">conversation</span>
        </button>
      </div>
      <div className="hidden md:block">{list}</div>
    </nav>
  );
}

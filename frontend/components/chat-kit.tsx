"use client";

import { ChatKit, useChatKit } from "@openai/chatkit-react";
import { useEffect, useState, type ReactNode } from "react";

import { ChatHeading } from "@/components/chat-heading";
import type { Assistant } from "@/lib/chat";
import { CHATKIT_SCRIPT } from "@/lib/csp";
import type { Loaded } from "@/lib/loaded";

type Talk = {
  domainKey: string;
  /** The one that the address names. */
  conversation: number | null;
  assistant: Loaded<Assistant>;
};

type Props = Talk & {
  /** What shows instead when ChatKit does not come. */
  children: ReactNode;
};

/** How long ChatKit's script may take. */
const PATIENCE_MS = 8_000;

/** OpenAI's ChatKit over the application's own backend, when its script can be had. */
export function ChatKitOr({ children, ...talk }: Props) {
  const [state, setState] = useState<"loading" | "there" | "away">("loading");

  useEffect(() => {
    let over = false;
    const settle = (next: "there" | "away") => {
      if (!over) setState(next);
      over = true;
    };
    const timer = setTimeout(() => settle("away"), PATIENCE_MS);
    loadScript().then(
      () => settle("there"),
      () => settle("away"),
    );
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, []);

  if (state === "away") return children;
  return (
    <section aria-labelledby="chat-title" className="flex flex-1 flex-col gap-4 py-4 md:py-6">
      <ChatHeading id="chat-title" assistant={talk.assistant} />
      {state === "loading" ? (
        <p role="status" className="py-10 text-center text-soft">
          Loading the chat…
        </p>
      ) : (
        <Panel {...talk} />
      )}
    </section>
  );
}

function Panel({ domainKey, conversation }: Talk) {
  const { control } = useChatKit({
    api: { url: `${window.location.origin}/chatkit`, domainKey, fetch: fetchWithZone },
    initialThread: conversation === null ? null : String(conversation),
    // The address names the conversation, so that a reload and a link show it.
    onThreadChange: ({ threadId }) => window.history.replaceState(null, "", threadId ? `/chat/${threadId}` : "/chat"),
  });
  return <ChatKit control={control} className="h-[calc(100dvh-9rem)] w-full" />;
}

/** What "tomorrow" means depends on where the person is, which each request says beside itself. */
const fetchWithZone: typeof fetch = (input, init) => {
  if (typeof init?.body !== "string") return fetch(input, init);
  const request = JSON.parse(init.body) as { metadata?: Record<string, unknown> };
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const body = JSON.stringify({ ...request, metadata: { ...request.metadata, timezone: timeZone } });
  return fetch(input, { ...init, body });
};

let script: Promise<void> | undefined;

/** Resolves when ChatKit's element is known to the browser. */
function loadScript(): Promise<void> {
  return (script ??= new Promise<void>((loaded, failed) => {
    const element = document.createElement("script");
    element.src = CHATKIT_SCRIPT;
    element.async = true;
    element.onload = () => void customElements.whenDefined("openai-chatkit").then(() => loaded());
    element.onerror = () => {
      script = undefined;
      failed(new Error("ChatKit's script cannot be had"));
    };
    document.head.append(element);
  }));
}

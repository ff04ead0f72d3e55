"use client";

import { ChatKit, useChatKit } from "@openai/chatkit-react";
import { useEffect, useEffectEvent, useState, type ReactNode } from "react";

import { ChatHeading } from "@/components/chat-heading";
import { conversationIn, pathOf, type Assistant } from "@/lib/chat";
import { useDark } from "@/lib/client/dark";
import { CHATKIT_SCRIPT } from "@/lib/csp";
import type { Loaded } from "@/lib/loaded";

type Props = {
  domainKey: string;
  assistant: Loaded<Assistant>;
  /** What shows instead when ChatKit does not come. */
  children: ReactNode;
};

/** How long ChatKit's script may take. */
const PATIENCE_MS = 8_000;

/** OpenAI's ChatKit over the application's own backend, when its script can be had and stays. */
export function ChatKitOr({ domainKey, assistant, children }: Props) {
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
      <ChatHeading id="chat-title" assistant={assistant} />
      {state === "loading" ? (
        <p role="status" className="py-10 text-center text-soft">
          Loading the chat…
        </p>
      ) : (
        <Panel domainKey={domainKey} gone={() => setState("away")} />
      )}
    </section>
  );
}

function Panel({ domainKey, gone }: { domainKey: string; gone: () => void }) {
  // What the page was made with may be old by now: on the way back only the address is as it was left.
  const [first] = useState(() => conversationIn(window.location.pathname));
  const dark = useDark();
  const { control, ref } = useChatKit({
    api: { url: `${window.location.origin}/chatkit`, domainKey, fetch: fetchWithZone },
    // It does not ask the browser.
    theme: dark ? "dark" : "light",
    initialThread: first === null ? null : String(first),
    // The address names the conversation, so that a reload and a link show it.
    onThreadChange: ({ threadId }) => window.history.replaceState(null, "", pathOf(threadId ? Number(threadId) : null)),
  });

  const leave = useEffectEvent(gone);
  // It takes its frame away, and leaves nothing, when OpenAI does not say that the key is this site's.
  useEffect(() => {
    const root = ref.current?.shadowRoot;
    if (!root) return;
    const framed = () => root.querySelector("iframe") !== null;
    let before = framed();
    const watch = new MutationObserver(() => {
      if (before && !framed()) leave();
      before = framed();
    });
    watch.observe(root, { childList: true, subtree: true });
    return () => watch.disconnect();
  }, [ref]);

  return <ChatKit control={control} className="h-[calc(100dvh-9rem)] w-full" />;
}

/**
 * What "tomorrow" means depends on where the person is, which each request says beside itself. Only
 * the application is told: ChatKit may have OpenAI asked by this function as well.
 */
const fetchWithZone: typeof fetch = (input, init) => {
  const here = new URL(String(input), window.location.href).origin === window.location.origin;
  if (!here || typeof init?.body !== "string") return fetch(input, init);
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

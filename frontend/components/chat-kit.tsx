"use client";

import { ChatKit, useChatKit } from "@openai/chatkit-react";
import { useEffect, useState, type ReactNode } from "react";

import { CHATKIT_SCRIPT } from "@/lib/csp";

type Props = {
  domainKey: string;
  /** What shows instead when ChatKit does not come. */
  children: ReactNode;
};

/** How long ChatKit's script may take. */
const PATIENCE_MS = 8_000;

/** OpenAI's ChatKit over the application's own backend, when its script can be had. */
export function ChatKitOr({ domainKey, children }: Props) {
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
  if (state === "loading") {
    return (
      <p role="status" className="py-10 text-center text-soft">
        Loading the chat…
      </p>
    );
  }
  return <Panel domainKey={domainKey} />;
}

function Panel({ domainKey }: { domainKey: string }) {
  const { control } = useChatKit({ api: { url: `${window.location.origin}/chatkit`, domainKey } });
  return (
    <section aria-label="Chat" className="flex flex-1 py-4">
      <ChatKit control={control} className="h-[calc(100dvh-6rem)] w-full" />
    </section>
  );
}

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

import type { ChatKitEvents, ChatKitOptions, CustomApiConfig } from "@openai/chatkit-react";
import { act, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { CHATKIT_SCRIPT } from "@/lib/csp";

let ChatKitOr: typeof import("@/components/chat-kit").ChatKitOr;
const dark = { matches: false, ...emitter() };

beforeEach(async () => {
  dark.matches = false;
  vi.stubGlobal("matchMedia", () => dark);
  // The script is loaded once for a document; each test has a document of its own.
  document.head.replaceChildren();
  vi.resetModules();
  ({ ChatKitOr } = await import("@/components/chat-kit"));
});
afterEach(() => vi.useRealTimers());

/** A query of the browser, as much of it as is asked for. */
function emitter() {
  const target = new EventTarget();
  return {
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
    dispatchEvent: target.dispatchEvent.bind(target),
  };
}

/** ChatKit's element as far as a page can see it: a frame in an open shadow root. */
const setOptions = vi.fn<(options: ChatKitOptions) => void>();
customElements.define("openai-chatkit", class extends HTMLElement {
  setOptions(options: ChatKitOptions): void {
    setOptions(options);
    if (!this.shadowRoot) this.attachShadow({ mode: "open" }).innerHTML = "<div><iframe title=frame></iframe></div>";
  }
});

function show(path = "/chat"): HTMLScriptElement {
  window.history.replaceState(null, "", path);
  render(
    <ChatKitOr domainKey="domain_pk_1" assistant={{ ok: true, value: { kind: "openai", model: "gpt-x" } }}>
      our own chat
    </ChatKitOr>,
  );
  expect(screen.getByText("Loading the chat…")).toBeVisible();
  expectHeading();
  const script = document.head.querySelector("script");
  expect(script?.src).toBe(CHATKIT_SCRIPT);
  return script as HTMLScriptElement;
}

/** The page says what it is and who answers, while it loads and when ChatKit is there. */
function expectHeading(): void {
  expect(screen.getByRole("heading", { level: 1, name: "Chat" })).toBeVisible();
  expect(screen.getByText("gpt-x by OpenAI's interface answers.")).toBeVisible();
}

test("a script that cannot be had leaves the application's own chat", async () => {
  fireEvent.error(show());
  expect(await screen.findByText("our own chat")).toBeVisible();
});

test("so does one that does not come in time", () => {
  vi.useFakeTimers();
  show();
  act(() => vi.advanceTimersByTime(8_000));
  expect(screen.getByText("our own chat")).toBeVisible();
});

test("and one that takes its frame away, as it does with a key that OpenAI does not know", async () => {
  fireEvent.load(show());
  await waitFor(() => expect(screen.queryByText("Loading the chat…")).toBeNull());
  expect(screen.queryByText("our own chat")).toBeNull();
  document.querySelector("openai-chatkit")?.shadowRoot?.querySelector("div")?.remove();
  expect(await screen.findByText("our own chat")).toBeVisible();
});

test("ChatKit is dark when the person's pages are", async () => {
  dark.matches = true;
  fireEvent.load(show());
  await waitFor(() => expect(setOptions).toHaveBeenLastCalledWith(expect.objectContaining({ theme: "dark" })));
  act(() => {
    dark.matches = false;
    dark.dispatchEvent(new Event("change"));
  });
  expect(setOptions).toHaveBeenLastCalledWith(expect.objectContaining({ theme: "light" }));
});

test("ChatKit talks to the application's own origin, with the key that it was given", async () => {
  fireEvent.load(show("/chat/7"));
  await waitFor(() => expect(screen.queryByText("Loading the chat…")).toBeNull());
  expectHeading();
  expect(setOptions).toHaveBeenCalledWith(
    expect.objectContaining({ api: expect.objectContaining({ url: `${window.location.origin}/chatkit`, domainKey: "domain_pk_1" }) }),
  );
  expect(screen.queryByText("our own chat")).toBeNull();

  // It opens what the address names, and the address goes along.
  const [options] = setOptions.mock.lastCall as [ChatKitOptions];
  expect(options.initialThread).toBe("7");
  const element = document.querySelector("openai-chatkit");
  const name = "chatkit.thread.change" satisfies keyof ChatKitEvents;
  const change = (threadId: string | null) => {
    const event: ChatKitEvents[typeof name] = new CustomEvent(name, { detail: { threadId } });
    element?.dispatchEvent(event);
  };
  change("9");
  expect(window.location.pathname).toBe("/chat/9");
  change(null);
  expect(window.location.pathname).toBe("/chat");

  // Each request says where the person is.
  const sent = vi.fn<typeof fetch>(() => Promise.resolve(new Response()));
  vi.stubGlobal("fetch", sent);
  const body = { type: "threads.create", params: {}, metadata: { mine: 1 } };
  await (options.api as CustomApiConfig).fetch?.("/chatkit", { method: "POST", body: JSON.stringify(body) });
  const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const [path, init] = sent.mock.lastCall as Parameters<typeof fetch>;
  expect([path, init?.method]).toEqual(["/chatkit", "POST"]);
  expect(JSON.parse(init?.body as string)).toEqual({ ...body, metadata: { mine: 1, timezone } });

  // And nobody else is told.
  const key = JSON.stringify({ domain_key: "domain_pk_1" });
  await (options.api as CustomApiConfig).fetch?.("https://api.openai.com/", { method: "POST", body: key });
  expect(sent).toHaveBeenLastCalledWith("https://api.openai.com/", { method: "POST", body: key });
  vi.unstubAllGlobals();
});

import { act, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { CHATKIT_SCRIPT } from "@/lib/csp";

let ChatKitOr: typeof import("@/components/chat-kit").ChatKitOr;

beforeEach(async () => {
  // The script is loaded once for a document; each test has a document of its own.
  document.head.replaceChildren();
  vi.resetModules();
  ({ ChatKitOr } = await import("@/components/chat-kit"));
});
afterEach(() => vi.useRealTimers());

function show(): HTMLScriptElement {
  render(<ChatKitOr domainKey="domain_pk_1">our own chat</ChatKitOr>);
  expect(screen.getByText("Loading the chat…")).toBeVisible();
  const script = document.head.querySelector("script");
  expect(script?.src).toBe(CHATKIT_SCRIPT);
  return script as HTMLScriptElement;
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

test("ChatKit talks to the application's own origin, with the key that it was given", async () => {
  const setOptions = vi.fn();
  customElements.define("openai-chatkit", class extends HTMLElement {
    setOptions = setOptions;
  });
  fireEvent.load(show());
  await screen.findByRole("region", { name: "Chat" });
  expect(setOptions).toHaveBeenCalledWith(
    expect.objectContaining({ api: expect.objectContaining({ url: `${window.location.origin}/chatkit`, domainKey: "domain_pk_1" }) }),
  );
  expect(screen.queryByText("our own chat")).toBeNull();
});

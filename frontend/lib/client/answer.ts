/** The browser's two ways to an answer: the stream of one that it asks for, and waiting for one that is being made. */

import { explain } from "@/lib/explain";
import { request, toSignIn } from "@/lib/client/request";
import type { Message } from "@/lib/chat";
import type { Loaded } from "@/lib/loaded";
import { events, type ServerEvent } from "@/lib/sse";

/** How long the stream may say nothing at all before the connection counts as lost; the backend is never so silent. */
const SILENCE_MS = 60_000;
/** How often is looked whether an answer is there. */
const LOOK_MS = 2_000;
/** For how long looks may fail, one after the other, whatever each of them takes. */
const PATIENCE_MS = 120_000;

/** Why there is no answer, as a sentence for people. */
export class Refused extends Error {}

/** Asks, and hands out the events of the answer until its end. Throws Refused, and what `stop` is aborted with. */
export async function stream(body: object, stop: AbortController, take: (event: ServerEvent) => void): Promise<void> {
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
    for await (const event of events(response.body, heard)) {
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

/** The conversation once its questions are answered, or will not be any more; or why that cannot be known. */
export async function untilAnswered(conversation: number, signal: AbortSignal): Promise<Loaded<Message[]>> {
  /** When the first of the looks began that have failed since the last one that did not. */
  let failing: number | null = null;
  for (;;) {
    await pause(signal);
    const began = Date.now();
    const answer = await request<Message[]>("GET", `/api/conversations/${conversation}/messages`, undefined, signal);
    if (signal.aborted) return answer;
    if (answer.ok) {
      failing = null;
      if (!answer.value.some(({ answering }) => answering)) return answer;
    } else {
      failing ??= began;
      // What is gone, or not to be seen any more, does not come back by waiting.
      if (Date.now() - failing >= PATIENCE_MS || [401, 404].includes(answer.status)) return answer;
    }
  }
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resume) => {
    const over = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", over);
      resume();
    };
    const timer = setTimeout(over, LOOK_MS);
    signal.addEventListener("abort", over);
  });
}

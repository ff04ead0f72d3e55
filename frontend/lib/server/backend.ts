/**
 * The way to the backend: requests of the browser are passed on with the user's token instead of the
 * browser's cookies, and answers come back as they are made. Knows nothing of what they are about.
 */

import { log, reasonOf } from "@/lib/server/log";
import { sameOrigin } from "@/lib/server/same-origin";
import { services } from "@/lib/server/services";
import { findSession, forgetToken, tokenOf, type Session } from "@/lib/server/session";

/** How long the backend may take until it begins to answer. What then streams takes its time. */
const HEADERS_MS = 10_000;
const BODY_BYTES = 1024 * 1024;
const UNCHANGING = ["GET", "HEAD"];

/** Passes a request on to the same path of the backend. Answers for itself when it cannot. */
export async function forward(request: Request): Promise<Response> {
  if (!UNCHANGING.includes(request.method) && !sameOrigin(request.headers)) {
    return refusal(403, "This request comes from another site.");
  }
  const found = await findSession(request.headers, true).catch((error: unknown) => {
    log("error", "a session cannot be checked", { reason: reasonOf(error) });
  });
  if (!found) return refusal(503, "Sign-in cannot be checked right now. Try again in a moment.");
  if (!found.session) return refusal(401, "You are signed out.");
  const body = await bodyOf(request);
  if (body === "too long") return refusal(413, "That is too long.");

  const { pathname, search } = new URL(request.url);
  const response = await ask(found.session, `${pathname}${search}`, {
    method: request.method,
    headers: picked(request.headers, ["accept", "content-type"]),
    body,
    signal: request.signal,
  });
  for (const cookie of found.cookies) response.headers.append("set-cookie", cookie);
  return response;
}

type Question = { method: string; headers: Headers; body?: ArrayBuffer; signal?: AbortSignal };

/** Asks the backend for this user; a token that it does not accept is made anew once. */
export async function ask(session: Session, path: string, question: Question): Promise<Response> {
  // What follows the path is what people search for: nothing for a log.
  const logged = path.replace(/\?.*$/s, "");
  try {
    let response = await send(session, path, question);
    if (response.status === 401) {
      forgetToken(session);
      await response.body?.cancel();
      response = await send(session, path, question);
    }
    if (response.status === 401) {
      await response.body?.cancel();
      log("error", "the backend does not accept this frontend's tokens", { path: logged });
      return refusal(502, "The backend does not accept this sign-in.");
    }
    const headers = picked(response.headers, ["content-type", "x-request-id", "retry-after", "x-accel-buffering"]);
    // Without `no-transform` a stream would be held back to be compressed.
    headers.set("cache-control", "no-store, no-transform");
    return new Response(response.body, { status: response.status, headers });
  } catch (error) {
    if (question.signal?.aborted) return refusal(499, "The request was given up.");
    // The reason names addresses inside the cluster, which are for the log and not for the page.
    log("error", "the backend cannot be asked", { path: logged, reason: reasonOf(error) });
    const late = error instanceof DOMException && error.name === "TimeoutError";
    return late ? refusal(504, "The backend does not answer.") : refusal(502, "The backend cannot be reached.");
  }
}

async function send(session: Session, path: string, question: Question): Promise<Response> {
  const headers = new Headers(question.headers);
  headers.set("authorization", `Bearer ${await tokenOf(session)}`);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new DOMException("no answer", "TimeoutError")), HEADERS_MS);
  const signals = question.signal ? [question.signal, late.signal] : [late.signal];
  try {
    return await fetch(new URL(path, services().config.backend), {
      method: question.method,
      headers,
      body: question.body,
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.any(signals),
    });
  } finally {
    clearTimeout(timer);
  }
}

async function bodyOf(request: Request): Promise<ArrayBuffer | undefined | "too long"> {
  if (UNCHANGING.includes(request.method) || !request.body) return undefined;
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    if (length > BODY_BYTES) return "too long";
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks)).buffer;
}

function picked(headers: Headers, names: string[]): Headers {
  const found = new Headers();
  for (const name of names) {
    const value = headers.get(name);
    if (value !== null) found.set(name, value);
  }
  return found;
}

/** The shape in which the backend says what is wrong. */
function refusal(status: number, detail: string): Response {
  return Response.json({ detail }, { status, headers: { "cache-control": "no-store" } });
}

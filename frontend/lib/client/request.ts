/**
 * The browser's calls to the application's own origin. Who is signed out is led to the sign-in page;
 * everything else that fails is a sentence for people.
 */

import { explain } from "@/lib/explain";
import { leave } from "@/lib/client/leave";
import type { Loaded } from "@/lib/loaded";

export async function request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Loaded<T>> {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  }).catch(() => null);
  if (signal?.aborted) return { ok: false, status: 0, reason: "" };
  if (!response) return { ok: false, status: 0, reason: "The application cannot be reached. Are you offline?" };
  if (response.status === 401) toSignIn();
  if (!response.ok) return { ok: false, status: response.status, reason: await explain(response) };
  if (response.status === 204) return { ok: true, value: null as T };
  try {
    return { ok: true, value: (await response.json()) as T };
  } catch {
    // The head came and the rest did not.
    return { ok: false, status: response.status, reason: signal?.aborted ? "" : "The connection broke." };
  }
}

export function toSignIn(): void {
  const { pathname, search } = window.location;
  leave(`/sign-in?next=${encodeURIComponent(`${pathname}${search}`)}`);
}

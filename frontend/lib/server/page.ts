/** What pages ask for before they are drawn: who is asking, and the first data from the backend. */

import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { cache } from "react";

import { explain } from "@/lib/explain";
import type { Loaded } from "@/lib/loaded";
import { PAGE_HEADER } from "@/lib/return-path";
import { ask } from "@/lib/server/backend";
import { log, reasonOf } from "@/lib/server/log";
import { findSession, type Session } from "@/lib/server/session";

/** Who is asking: nobody who is signed in, or nobody can tell while the database is away. */
type Asking = Session | "nobody" | "unknown";

/** Pages set no cookies, so they leave a session's end where it is. */
export const whoAsks = cache(async (): Promise<Asking> => {
  const given = await headers();
  try {
    return (await findSession(given, false)).session ?? "nobody";
  } catch (error) {
    log("error", "a session cannot be checked", { reason: reasonOf(error) });
    return "unknown";
  }
});

/**
 * The session of who is signed in; who is not is led to the sign-in page, and back from there. Null
 * when that is not known: then there is nothing to show but that.
 */
export async function requireSession(): Promise<Session | null> {
  const asking = await whoAsks();
  const asked = (await headers()).get(PAGE_HEADER) ?? "/";
  if (asking === "nobody") redirect(`/sign-in?next=${encodeURIComponent(asked)}`);
  return asking === "unknown" ? null : asking;
}

export async function load<T>(session: Session, path: string): Promise<Loaded<T>> {
  const response = await ask(session, path, { method: "GET", headers: new Headers() });
  if (!response.ok) return { ok: false, status: response.status, reason: await explain(response) };
  try {
    return { ok: true, value: (await response.json()) as T };
  } catch {
    return { ok: false, status: response.status, reason: "The backend's answer broke off." };
  }
}

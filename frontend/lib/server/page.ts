/** What pages ask for before they are drawn: who is asking, and the first data from the backend. */

import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { cache } from "react";

import { explain } from "@/lib/explain";
import type { Loaded } from "@/lib/loaded";
import { ask } from "@/lib/server/backend";
import { findSession, type Session } from "@/lib/server/session";

/** Pages set no cookies, so they leave a session's end where it is. */
export const currentSession = cache(async (): Promise<Session | null> => {
  return (await findSession(await headers(), false)).session;
});

/** Leads who is signed out to the sign-in page, and back to `path` from there. */
export async function requireSession(path: string): Promise<Session> {
  return (await currentSession()) ?? redirect(`/sign-in?next=${encodeURIComponent(path)}`);
}

export async function load<T>(session: Session, path: string): Promise<Loaded<T>> {
  const response = await ask(session, path, { method: "GET", headers: new Headers() });
  if (response.ok) return { ok: true, value: (await response.json()) as T };
  return { ok: false, status: response.status, reason: await explain(response) };
}

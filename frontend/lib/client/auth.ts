/** Signing up, in and out. A refusal comes back as a sentence, null means that it is done. */

import { explain } from "@/lib/explain";

/** As at an address without TLS, when the public one has it. */
const NO_COOKIE =
  "That was right, but this browser does not keep the cookie here, so you are not signed in. " +
  "Open the application at its public address, and allow it cookies.";

export type Credentials = { email: string; password: string };

export async function signIn(credentials: Credentials): Promise<string | null> {
  return enter("sign-in/email", credentials);
}

export async function signUp(account: Credentials & { name: string }): Promise<string | null> {
  return enter("sign-up/email", account);
}

export async function signOut(): Promise<string | null> {
  return post("sign-out", {});
}

/** Comes in, and makes sure of it: a browser that does not take the cookie says nothing. */
async function enter(path: string, body: object): Promise<string | null> {
  const refused = await post(path, body);
  if (refused !== null) return refused;
  const response = await fetch("/api/auth/get-session").catch(() => null);
  const session: unknown = response?.ok ? await response.json().catch(() => undefined) : undefined;
  return session === null ? NO_COOKIE : null;
}

async function post(path: string, body: object): Promise<string | null> {
  const response = await fetch(`/api/auth/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  }).catch(() => null);
  if (!response) return "The application cannot be reached. Are you offline?";
  if (response.ok) return null;
  if (response.status >= 500) return "That does not work right now. Try again in a moment.";
  return explain(response);
}

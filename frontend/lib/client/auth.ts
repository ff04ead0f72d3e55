/** Signing up, in and out. A refusal comes back as a sentence, null means that it is done. */

import { explain } from "@/lib/explain";

export type Credentials = { email: string; password: string };

export async function signIn(credentials: Credentials): Promise<string | null> {
  return post("sign-in/email", credentials);
}

export async function signUp(account: Credentials & { name: string }): Promise<string | null> {
  return post("sign-up/email", account);
}

export async function signOut(): Promise<string | null> {
  return post("sign-out", {});
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

/**
 * Who is asking, and the token that tells the backend so. Each question is put to the database, so
 * that who signed out is out at once; tokens are made once and kept until they are nearly over.
 */

import { TOKEN_SECONDS } from "@/lib/server/auth";
import { services } from "@/lib/server/services";
import { signedAnew } from "@/lib/server/secrets";

export type User = { id: string; name: string; email: string };
export type Session = { id: string; user: User };
/** A session, and the Set-Cookie headers that keep it going. */
export type Found = { session: Session | null; cookies: string[] };

/** A token is replaced this long before its end, so that none ends on its way. */
const MARGIN_MS = 120_000;
const KEPT = 10_000;

const tokens = new Map<string, { token: string; until: number }>();

/** Throws when the database cannot be asked. */
export async function findSession(headers: Headers, mayRefresh: boolean): Promise<Found> {
  const { auth, rolling } = services();
  const known = await withKnownSignature(headers);
  const { response, headers: answered } = await auth.api.getSession({
    headers: known.headers,
    query: { disableRefresh: !mayRefresh },
    returnHeaders: true,
  });
  if (!response) return { session: null, cookies: [] };
  const cookies = answered.getSetCookie();
  // While a change rolls the newer signature is the one to keep: whoever has it got it after all that.
  if (cookies.length === 0 && known.cookie && !rolling) {
    const seconds = Math.floor((response.session.expiresAt.getTime() - Date.now()) / 1000);
    cookies.push(`${known.cookie}; Max-Age=${seconds}`);
  }
  const { id, name, email } = response.user;
  return { session: { id: response.session.id, user: { id, name, email } }, cookies };
}

/** Headers whose session cookie the current secret has signed, and that cookie when a former one had. */
export async function withKnownSignature(headers: Headers): Promise<{ headers: Headers; cookie: string | null }> {
  const { auth, config } = services();
  const { name, attributes } = (await auth.$context).authCookies.sessionToken;
  const parts = (headers.get("cookie") ?? "").split(/;\s*/);
  const at = parts.findIndex((part) => part.startsWith(`${name}=`));
  const value = parts[at]?.slice(name.length + 1);
  const renewed = value ? await signedAnew(decoded(value), config.secrets) : null;
  if (renewed === null) return { headers, cookie: null };
  const pair = `${name}=${encodeURIComponent(renewed)}`;
  parts[at] = pair;
  const changed = new Headers(headers);
  changed.set("cookie", parts.join("; "));
  return {
    headers: changed,
    cookie: `${pair}; Path=/; HttpOnly; SameSite=Lax${attributes.secure ? "; Secure" : ""}`,
  };
}

/** A token for the backend that says who this session's user is, and nothing else. */
export async function tokenOf(session: Session): Promise<string> {
  const kept = tokens.get(session.id);
  if (kept && kept.until > Date.now()) return kept.token;
  const until = Date.now() + TOKEN_SECONDS * 1000 - MARGIN_MS;
  const iat = Math.floor(Date.now() / 1000);
  const { token } = await services().auth.api.signJWT({ body: { payload: { sub: session.user.id, iat } } });
  // The oldest goes first: a Map keeps the order in which its keys came.
  tokens.delete(session.id);
  if (tokens.size >= KEPT) tokens.delete(tokens.keys().next().value as string);
  tokens.set(session.id, { token, until });
  return token;
}

/** After the backend refused it: the next one is made anew. */
export function forgetToken(session: Session): void {
  tokens.delete(session.id);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

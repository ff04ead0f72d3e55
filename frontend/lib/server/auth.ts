/**
 * Sign-in: Better Auth with e-mail and password over the application's PostgreSQL, and the keys with
 * which the backend is told who is asking. Knows nothing of pages or of the backend.
 */

import { betterAuth, type DBAdapter } from "better-auth";
import { jwt } from "better-auth/plugins";
import type { Pool } from "pg";

import type { Config } from "@/lib/server/config";
import { log } from "@/lib/server/log";
import { decryptable, versioned, type Versioned } from "@/lib/server/secrets";

const DAY = 24 * 3600;
/** How long a token for the backend lives, in seconds. */
export const TOKEN_SECONDS = 900;
/** How far clocks may be apart, the one of the backend included, which believes a token for some seconds more. */
const LEEWAY_SECONDS = 60;

export type Auth = ReturnType<typeof createAuth>;

export function createAuth(config: Config, pool: Pool) {
  const secrets = config.secrets.map(versioned);
  return betterAuth({
    appName: "Todo Chatbot",
    baseURL: config.origin,
    secrets,
    database: pool,
    trustedOrigins: config.trustedOrigins,
    emailAndPassword: { enabled: true, minPasswordLength: 8, maxPasswordLength: 128 },
    session: { expiresIn: 7 * DAY, updateAge: DAY },
    // Counted in the database, so that two replicas count together. Generous, because behind a
    // NodePort all visitors share the node's address.
    rateLimit: {
      enabled: true,
      storage: "database",
      window: 60,
      max: 300,
      customRules: {
        "/sign-in/email": { window: 60, max: 30 },
        "/sign-up/email": { window: 60, max: 30 },
        // The backend's way to the keys.
        "/jwks": false,
      },
    },
    advanced: {
      ipAddress: {
        // Written by client-address.mjs from the connection itself, whatever a client claims.
        ipAddressHeaders: ["x-client-address"],
        trustedProxies: config.trustedProxies,
      },
      // On in tests as well, where Better Auth would leave them out.
      disableOriginCheck: false,
      disableCSRFCheck: false,
    },
    // Tokens for the backend are made and kept on this side; browsers have no use for them.
    disabledPaths: ["/token"],
    plugins: [
      jwt({
        disableSettingJwtHeader: true,
        jwt: { issuer: config.origin, audience: config.origin, expirationTime: `${TOKEN_SECONDS}s` },
        jwks: { rotationInterval: 30 * DAY, gracePeriod: DAY },
        adapter: { getJwks: (ctx) => keysThatCount(ctx.context.adapter, secrets) },
      }),
    ],
    telemetry: { enabled: false },
    logger: { log: (level, message) => log(level === "debug" ? "info" : level, message) },
  });
}

/**
 * The keys that sign or whose tokens may be about. One whose secret is not known here counts as
 * expired, so that a new one is made. Replicas that a change of the secret has not replaced yet still
 * sign with it: the first that misses the secret writes an end for them into the row, and the public
 * half stays published until what was signed before that end is over.
 */
async function keysThatCount(adapter: DBAdapter, secrets: readonly Versioned[]): Promise<Jwk[]> {
  const now = Date.now();
  const counting: Jwk[] = [];
  for (const key of await adapter.findMany<Jwk>({ model: "jwks" })) {
    if (decryptable(JSON.parse(key.privateKey) as string, secrets)) {
      counting.push(key);
      continue;
    }
    const latest = now + TOKEN_SECONDS * 1000;
    const end = Math.min(key.expiresAt?.getTime() ?? latest, latest);
    if (end !== key.expiresAt?.getTime()) {
      const where = [{ field: "id", value: key.id }];
      await adapter.update({ model: "jwks", where, update: { expiresAt: new Date(end) } });
    }
    if (end + (TOKEN_SECONDS + LEEWAY_SECONDS) * 1000 < now) continue;
    // A minute ago: Better Auth compares with the time at which it began to ask.
    counting.push({ ...key, expiresAt: new Date(Math.min(end, now - 60_000)) });
  }
  return counting;
}

type Jwk = { id: string; publicKey: string; privateKey: string; createdAt: Date; expiresAt?: Date };

/**
 * What lives as long as the process: configuration, connections, sign-in. Made once, although
 * Next.js loads this module into more than one bundle.
 */

import { Pool } from "pg";

import { createAuth, type Auth } from "@/lib/server/auth";
import { readConfig, type Config } from "@/lib/server/config";
import { log, reasonOf } from "@/lib/server/log";
import { whileRolling } from "@/lib/server/secrets";

export type Services = {
  config: Config;
  pool: Pool;
  auth: Auth;
  migrated: boolean;
  /** A changed BETTER_AUTH_SECRET may not have come to all replicas yet. */
  rolling: boolean;
};

/** Longer than an update rolls, one that waits for somebody's help included: by then every replica knows the new one. */
const ROLLING_MS = 60 * 60_000;

const KEY = Symbol.for("todo-frontend.services");
const holder = globalThis as { [KEY]?: Services };

/** Throws ConfigError when the environment is not complete. */
export function services(): Services {
  return (holder[KEY] ??= create());
}

function create(): Services {
  const config = readConfig(process.env);
  const pool = new Pool({
    ...config.database,
    max: 5,
    // Who waits at the other end is a person.
    connectionTimeoutMillis: 5_000,
    query_timeout: 8_000,
  });
  // An idle connection that breaks is replaced; without a listener it would end the process.
  pool.on("error", (error) => log("warn", "a database connection broke", { reason: reasonOf(error) }));
  const rolling = config.secrets.length > 1;
  const first = { ...config, secrets: whileRolling(config.secrets) };
  const own = { config: first, pool, auth: createAuth(first, pool), migrated: false, rolling };
  if (rolling) {
    setTimeout(() => Object.assign(own, { config, auth: createAuth(config, pool), rolling: false }), ROLLING_MS).unref();
  }
  return own;
}

/**
 * What lives as long as the process: configuration, connections, sign-in. Made once, although
 * Next.js loads this module into more than one bundle.
 */

import { Pool } from "pg";

import { createAuth, type Auth } from "@/lib/server/auth";
import { readConfig, type Config } from "@/lib/server/config";
import { log, reasonOf } from "@/lib/server/log";

export type Services = { config: Config; pool: Pool; auth: Auth; migrated: boolean };

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
  return { config, pool, auth: createAuth(config, pool), migrated: false };
}

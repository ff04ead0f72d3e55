/**
 * Brings Better Auth's tables to what this version of it wants, and touches no other table.
 *
 * However many replicas start at once, one migrates: the lock ends with the transaction in which all
 * of it happens, so a pooler in transaction mode may sit between.
 */

import { getMigrations } from "better-auth/db/migration";
import { Client, type ClientConfig, type Pool } from "pg";

import type { Auth } from "@/lib/server/auth";
import { log, reasonOf } from "@/lib/server/log";

/** Any number does, as long as nothing else in this database takes the same lock. */
const LOCK = 7_305_011_923;
const RETRY_MS = 500;

export async function migrate(auth: Auth, database: ClientConfig): Promise<void> {
  const client = new Client({ ...database, connectionTimeoutMillis: 5_000 });
  // A connection that breaks also fails the query that uses it, which is where it is dealt with.
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("BEGIN");
    await client.query("SELECT pg_advisory_xact_lock($1)", [LOCK]);
    const { runMigrations } = await getMigrations({ ...auth.options, database: poolOf(client) });
    await runMigrations();
    await client.query("COMMIT");
  } finally {
    // An open transaction is rolled back by its end.
    await client.end().catch(() => undefined);
  }
}

/** As `migrate`, until it is done; each new reason why it is not is logged once. */
export async function migrateWhenPossible(auth: Auth, database: ClientConfig): Promise<void> {
  for (let said = ""; ; ) {
    try {
      await migrate(auth, database);
      // The first token would make the first key; made here, the backend finds it published.
      await auth.api.signJWT({ body: { payload: {} } });
      log("info", "sign-in is ready: its tables are at the newest migration");
      return;
    } catch (error) {
      const reason = reasonOf(error);
      if (reason !== said) log("warn", "waiting for the database", { reason });
      said = reason;
      await new Promise((resume) => setTimeout(resume, RETRY_MS));
    }
  }
}

/** One connection in the shape of a pool, for a library that asks for a pool. */
function poolOf(client: Client): Pool {
  const connection = { query: client.query.bind(client), release: () => undefined };
  return { connect: async () => connection, end: async () => undefined } as unknown as Pool;
}

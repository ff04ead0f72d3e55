/** The server's start: what is wrong with the environment is said in one line, then sign-in's tables. */

import { ConfigError } from "@/lib/server/config";
import { log } from "@/lib/server/log";
import { migrateWhenPossible } from "@/lib/server/migrate";
import { services } from "@/lib/server/services";

/** Migrates beside the server; readiness says when that is done. */
export function start(): void {
  try {
    const own = services();
    void migrateWhenPossible(own.auth, own.config.database).then(() => {
      own.migrated = true;
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    log("error", "the configuration is not complete", { reason: error.message });
    process.exit(1);
  }
}

/**
 * Whether people may be sent here. Once sign-in's tables are there this stays true, whatever becomes
 * of the database or the backend: a page that says what is wrong beats a connection that is refused.
 */

import { services } from "@/lib/server/services";

export const dynamic = "force-dynamic";

export function GET(): Response {
  const { migrated } = services();
  return Response.json(
    { status: migrated ? "ok" : "starting", needs: migrated ? [] : ["database"] },
    { status: migrated ? 200 : 503 },
  );
}

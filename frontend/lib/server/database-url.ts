/**
 * Turns the forms in which people are given a PostgreSQL address into what `pg` takes. Knows URLs
 * and nothing of where they come from, nor does it connect. No reason repeats the text: it has a
 * password in it.
 */

import type { ClientConfig } from "pg";

const SCHEMES = ["postgresql:", "postgres:", "postgresql+asyncpg:"];
/** As libpq defines them: `require` encrypts and asks no certificate, the `verify-` ones do. */
const TLS: Record<string, ClientConfig["ssl"]> = {
  disable: false,
  // These two take what the server offers; `pg` offers nothing first, so they go without.
  allow: false,
  prefer: false,
  require: { rejectUnauthorized: false },
  "verify-ca": { checkServerIdentity: () => undefined },
  "verify-full": true,
};
/** libpq's wish for SCRAM with channel binding; TLS alone meets it in drivers that are not libpq. */
const CHANNEL_BINDING = ["disable", "prefer", "require"];
/** Certificates are always verified with public authorities. */
const ROOT_CERTIFICATES = ["system"];

/** Throws an Error whose message goes after the variable's name. */
export function parseDatabaseUrl(text: string): ClientConfig {
  if (!URL.canParse(text)) throw new Error("is not a URL like postgresql://user:password@host:5432/name");
  const url = new URL(text);
  if (!SCHEMES.includes(url.protocol)) {
    throw new Error("must begin with postgresql://, postgres:// or postgresql+asyncpg://");
  }
  if (!url.hostname) throw new Error("names no host");
  // `pg` would take it for none and use its own.
  if (url.port === "0") throw new Error("names a port other than 1 to 65535");
  const database = decodeURIComponent(url.pathname.slice(1));
  if (!database) throw new Error("names no database after the host");
  const { sslmode, channel_binding, sslrootcert, ...rest } = Object.fromEntries(url.searchParams);
  expectOneOf("sslmode", sslmode, Object.keys(TLS));
  expectOneOf("channel_binding", channel_binding, CHANNEL_BINDING);
  expectOneOf("sslrootcert", sslrootcert, ROOT_CERTIFICATES);
  const unknown = Object.keys(rest).sort()[0];
  if (unknown !== undefined) throw new Error(`has a parameter that is not understood: ${unknown}`);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port ? Number(url.port) : 5432,
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database,
    ssl: sslmode === undefined ? false : TLS[sslmode],
  };
}

function expectOneOf(name: string, value: string | undefined, allowed: readonly string[]): void {
  if (value !== undefined && !allowed.includes(value)) {
    throw new Error(`has a value of ${name} other than ${allowed.join(", ")}`);
  }
}

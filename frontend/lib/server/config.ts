/**
 * The configuration, all of it from the environment and read at run time, so that one image serves
 * every environment. What is missing or malformed becomes one line that names the variable and
 * never its value.
 */

import type { ClientConfig } from "pg";

import { parseDatabaseUrl } from "@/lib/server/database-url";
import type { Secrets } from "@/lib/server/secrets";

export type Config = {
  /** The public origin: where people open the application, and the issuer of its tokens. */
  origin: string;
  /** Other origins that it may be opened at; a `*` stands for any port or any part of an address. */
  trustedOrigins: string[];
  /** Addresses or CIDR ranges of proxies whose X-Forwarded-For is believed. */
  trustedProxies: string[];
  secrets: Secrets;
  backend: URL;
  database: ClientConfig;
  /** Names this site to OpenAI's ChatKit; null shows the application's own chat. */
  chatkitKey: string | null;
};

export class ConfigError extends Error {}

/** As a former one it would be two others, which anybody may guess. */
const COMMA = "has a comma, which separates the former ones: choose one without; this one cannot be a former one either";

type Environment = Record<string, string | undefined>;

/** Throws ConfigError. The environment is an argument: Next.js writes NEXT_PUBLIC_ names into builds. */
export function readConfig(environment: Environment): Config {
  const wrong: string[] = [];
  const check = <T>(name: string, read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      wrong.push(`${name} ${(error as Error).message}`);
    }
  };
  const text = (name: string) => environment[name]?.trim() || undefined;
  const required = (name: string) => {
    const value = text(name);
    if (!value) throw new Error("is not set");
    return value;
  };

  const origin = check("BETTER_AUTH_URL", () => httpUrl(required("BETTER_AUTH_URL")).origin);
  const backend = check("BACKEND_URL", () => httpUrl(required("BACKEND_URL")));
  const secret = check("BETTER_AUTH_SECRET", () => {
    const value = required("BETTER_AUTH_SECRET");
    if (value.includes(",")) throw new Error(COMMA);
    return value;
  });
  const url = text("DATABASE_URL");
  const database = url
    ? check("DATABASE_URL", () => parseDatabaseUrl(url))
    : check("DATABASE_URL", () => composed(text));
  const config = {
    origin,
    backend,
    database,
    trustedOrigins: list(text("TRUSTED_ORIGINS")),
    trustedProxies: list(text("TRUSTED_PROXIES")),
    // One that was taken back is its own former one.
    secrets: [...new Set([secret, ...list(text("BETTER_AUTH_SECRET_PREVIOUS"))])],
    chatkitKey: text("NEXT_PUBLIC_OPENAI_DOMAIN_KEY") ?? null,
  };
  if (wrong.length > 0) throw new ConfigError(wrong.join("; "));
  return config as Config;
}

function composed(text: (name: string) => string | undefined): ClientConfig {
  const password = text("POSTGRES_PASSWORD");
  if (!password) throw new Error("is not set, and POSTGRES_PASSWORD is not set either");
  return {
    host: text("POSTGRES_HOST") ?? "localhost",
    port: Number(text("POSTGRES_PORT") ?? 5432),
    user: text("POSTGRES_USER") ?? "todo",
    password,
    database: text("POSTGRES_DB") ?? "todo",
    ssl: false,
  };
}

function httpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !["http:", "https:"].includes(url.protocol)) {
    throw new Error("is not a URL like http://localhost:30080");
  }
  return url;
}

function list(text: string | undefined): string[] {
  return (text ?? "").split(",").map((part) => part.trim()).filter(Boolean);
}

import { describe, expect, test } from "vitest";

import { readConfig } from "@/lib/server/config";
import { parseDatabaseUrl } from "@/lib/server/database-url";

const WHOLE = {
  BETTER_AUTH_URL: "http://localhost:30080/",
  BETTER_AUTH_SECRET: "hidden-secret",
  BACKEND_URL: "http://backend:8000",
  POSTGRES_PASSWORD: "hidden-password",
};

function check(change: Record<string, string>): unknown {
  return readConfig({ ...WHOLE, ...change });
}

test("what is whole is read", () => {
  expect(check({ TRUSTED_ORIGINS: "http://a, http://b:*,", BETTER_AUTH_SECRET_PREVIOUS: "before" })).toMatchObject({
    origin: "http://localhost:30080",
    trustedOrigins: ["http://a", "http://b:*"],
    trustedProxies: [],
    secrets: ["hidden-secret", "before"],
    database: { host: "localhost", port: 5432, user: "todo", database: "todo", password: "hidden-password" },
    chatkitKey: null,
  });
});

test("a secret that is its own former one is one secret", () => {
  const secrets = ["hidden-secret", "before"];
  expect(check({ BETTER_AUTH_SECRET_PREVIOUS: "before, hidden-secret, before" })).toMatchObject({ secrets });
});

test("an empty variable counts as one that is not set", () => {
  expect(check({ NEXT_PUBLIC_OPENAI_DOMAIN_KEY: " ", DATABASE_URL: "" })).toMatchObject({ chatkitKey: null });
});

test.each([
  [{ BETTER_AUTH_URL: "" }, "BETTER_AUTH_URL is not set"],
  [{ BETTER_AUTH_URL: "localhost:30080" }, "BETTER_AUTH_URL is not a URL like http://localhost:30080"],
  [{ BETTER_AUTH_SECRET: "" }, "BETTER_AUTH_SECRET is not set"],
  [{ BETTER_AUTH_SECRET: "hidden,secret" }, "BETTER_AUTH_SECRET has a comma, which separates the former ones: choose one without; this one cannot be a former one either"],
  [{ BACKEND_URL: "nowhere" }, "BACKEND_URL is not a URL like http://localhost:30080"],
  [{ POSTGRES_PASSWORD: "" }, "DATABASE_URL is not set, and POSTGRES_PASSWORD is not set either"],
  [{ DATABASE_URL: "mysql://hidden@h/n" }, "DATABASE_URL must begin with postgresql://, postgres:// or postgresql+asyncpg://"],
  [{ BACKEND_URL: "", BETTER_AUTH_SECRET: "" }, "BACKEND_URL is not set; BETTER_AUTH_SECRET is not set"],
])("%j is one line without a value", (change, line) => {
  expect(() => check(change as Record<string, string>)).toThrow(new Error(line));
  expect(line).not.toMatch(/hidden/);
});

describe("DATABASE_URL", () => {
  const BASE = { host: "db", port: 5432, user: "u", password: "p", database: "n", ssl: false };

  test.each([
    ["postgresql://u:p@db/n", {}],
    ["postgres://u:p@db:6543/n", { port: 6543 }],
    ["postgresql+asyncpg://u:p%40%2F%25@db/n", { password: "p@/%" }],
    ["postgresql://u:p@db/n?sslmode=require&channel_binding=require", { ssl: { rejectUnauthorized: false } }],
    ["postgresql://u:p@db/n?sslmode=verify-full&sslrootcert=system", { ssl: true }],
    ["postgresql://u:p@db/n?sslmode=disable", {}],
    ["postgresql://u:p@[::1]/n", { host: "::1" }],
  ])("%s", (url, difference) => {
    expect(parseDatabaseUrl(url)).toEqual({ ...BASE, ...difference });
  });

  test.each([
    ["not a url", "is not a URL like postgresql://user:password@host:5432/name"],
    ["postgresql:///n", "names no host"],
    ["postgresql://u:p@db:0/n", "names a port other than 1 to 65535"],
    ["postgresql://u:p@db:65536/n", "is not a URL like postgresql://user:password@host:5432/name"],
    ["postgresql://u:p@db", "names no database after the host"],
    ["postgresql://u:p@db/n?sslmode=on", "has a value of sslmode other than disable, allow, prefer, require, verify-ca, verify-full"],
    ["postgresql://u:p@db/n?channel_binding=on", "has a value of channel_binding other than disable, prefer, require"],
    ["postgresql://u:p@db/n?sslrootcert=/etc/hidden", "has a value of sslrootcert other than system"],
    ["postgresql://u:p@db/n?pool=1", "has a parameter that is not understood: pool"],
  ])("%s is refused", (url, reason) => {
    expect(() => parseDatabaseUrl(url)).toThrow(reason);
  });
});

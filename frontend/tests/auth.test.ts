import { createPublicKey, verify, type JsonWebKey } from "node:crypto";

import { Client, Pool, type ClientConfig } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";

import { createAuth, type Auth } from "@/lib/server/auth";
import { readConfig, type Config } from "@/lib/server/config";
import { parseDatabaseUrl } from "@/lib/server/database-url";
import { migrate } from "@/lib/server/migrate";

import { Postgres } from "./support/postgres";

const ORIGIN = "http://localhost:30080";
const OLD = "old secret of more than thirty-two characters 4711";
const NEW = "new secret of more than thirty-two characters 0815";
const ADA = { name: "Ada", email: "ada@example.com", password: "correct horse" };

let postgres: Postgres;
let database: ClientConfig;
let pools: Pool[];

beforeAll(async () => {
  postgres = await Postgres.start();
}, 60_000);
afterAll(() => postgres.stop());

beforeEach(async () => {
  database = await postgres.database();
  pools = [];
  for (const level of ["info", "warn", "error"] as const) vi.spyOn(console, level).mockImplementation(() => undefined);
});
afterEach(async () => {
  await Promise.all(pools.map((pool) => pool.end()));
});

function authOf(change: Partial<Config> = {}, where = database): Auth {
  const config = readConfig({
    BETTER_AUTH_URL: ORIGIN,
    BACKEND_URL: "http://127.0.0.1:1",
    BETTER_AUTH_SECRET: OLD,
    POSTGRES_PASSWORD: "unused",
    TRUSTED_ORIGINS: "http://localhost:*,http://127.0.0.1:*,http://192.168.*.*:*",
  });
  const pool = new Pool({ ...where, max: 5 });
  pools.push(pool);
  return createAuth({ ...config, ...change }, pool);
}

async function ready(change: Partial<Config> = {}): Promise<Auth> {
  const auth = authOf(change);
  await migrate(auth, database);
  return auth;
}

function post(auth: Auth, path: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
  return auth.handler(
    new Request(`${ORIGIN}/api/auth/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", origin: ORIGIN, "x-client-address": "10.0.0.1", ...headers },
      body: JSON.stringify(body),
    }),
  );
}

async function tables(): Promise<string[]> {
  const rows = await postgres.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1", database.database as string);
  return rows.map((row) => row.tablename as string);
}

async function keysOf(auth: Auth): Promise<(JsonWebKey & { kid: string })[]> {
  const response = await auth.handler(new Request(`${ORIGIN}/api/auth/jwks`));
  return ((await response.json()) as { keys: (JsonWebKey & { kid: string })[] }).keys;
}

async function tokenOf(auth: Auth): Promise<string> {
  return (await auth.api.signJWT({ body: { payload: { sub: "ada" } } })).token;
}

/** The claims of a token that one of the published keys signed. */
async function claims(auth: Auth, token: string): Promise<Record<string, unknown>> {
  const [head, body, signature] = token.split(".") as [string, string, string];
  const { kid, alg } = JSON.parse(Buffer.from(head, "base64url").toString()) as { kid: string; alg: string };
  expect(alg).toBe("EdDSA");
  const key = (await keysOf(auth)).find((one) => one.kid === kid);
  expect(key, "its key is published").toBeDefined();
  const publicKey = createPublicKey({ key: key as JsonWebKey, format: "jwk" });
  expect(verify(null, Buffer.from(`${head}.${body}`), publicKey, Buffer.from(signature, "base64url"))).toBe(true);
  return JSON.parse(Buffer.from(body, "base64url").toString()) as Record<string, unknown>;
}

describe("a database over TLS with a certificate of its own", () => {
  const url = (mode: string) => {
    const password = encodeURIComponent(database.password as string);
    return parseDatabaseUrl(`postgresql://todo:${password}@127.0.0.1:${database.port}/${database.database}?sslmode=${mode}`);
  };

  test("is encrypted with sslmode=require", async () => {
    const client = new Client(url("require"));
    await client.connect();
    const { rows } = await client.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    await client.end();
    expect(rows).toEqual([{ ssl: true }]);
  });

  test.each([["verify-ca"], ["verify-full"]])("is refused with sslmode=%s", async (mode) => {
    await expect(new Client(url(mode)).connect()).rejects.toThrow(/self-signed certificate/);
  });
});

describe("migrations", () => {
  const TABLES = ["account", "jwks", "rateLimit", "session", "user", "verification"];

  test("run once however many replicas start, and again without a change", async () => {
    await Promise.all([1, 2, 3, 4].map(() => migrate(authOf(), database)));
    await migrate(authOf(), database);
    expect(await tables()).toEqual(TABLES);
  });

  test("pass through a pooler in transaction mode", async () => {
    const pooled = postgres.pooled(database);
    await Promise.all([1, 2, 3, 4].map(() => migrate(authOf({}, pooled), pooled)));
    expect(await tables()).toEqual(TABLES);
    expect((await post(authOf({}, pooled), "sign-up/email", ADA)).status).toBe(200);
  });

  test("leave the tables of others alone", async () => {
    await postgres.sql("CREATE TABLE task (id bigint PRIMARY KEY); INSERT INTO task VALUES (1)", database.database as string);
    await migrate(authOf(), database);
    expect(await tables()).toEqual([...TABLES, "task"].sort());
    expect(await postgres.sql("SELECT id FROM task", database.database as string)).toEqual([{ id: "1" }]);
  });

  test("one that fails leaves nothing behind", async () => {
    await postgres.sql('CREATE VIEW "verification" AS SELECT 1', database.database as string);
    await expect(migrate(authOf(), database)).rejects.toThrow();
    expect(await tables()).toEqual([]);
  });
});

describe("sign-in", () => {
  test("takes the right password and no other", async () => {
    const auth = await ready();
    expect((await post(auth, "sign-up/email", ADA)).status).toBe(200);
    expect((await post(auth, "sign-in/email", ADA)).status).toBe(200);
    expect((await post(auth, "sign-in/email", { ...ADA, password: "wrong horse" })).status).toBe(401);
  });

  test("a browser that has kept no cookie is told that there is no session", async () => {
    const auth = await ready();
    const response = await auth.handler(new Request(`${ORIGIN}/api/auth/get-session`));
    expect([response.status, await response.json()]).toEqual([200, null]);
  });

  test.each([
    ["http://localhost:30080", false],
    ["https://todo.example.com", true],
  ])("cookies at %s are Secure: %s", async (origin, secure) => {
    const auth = await ready({ origin });
    const cookie = (await post(auth, "sign-up/email", ADA, { origin })).headers.getSetCookie().join();
    expect(cookie).toMatch(/; HttpOnly/i);
    expect(cookie).toMatch(/; SameSite=Lax/i);
    expect(/; Secure/i.test(cookie)).toBe(secure);
  });

  test.each([
    ["http://localhost:30080", 200],
    ["http://localhost:3000", 200],
    ["http://127.0.0.1:41234", 200],
    ["http://192.168.49.2:30080", 200],
    ["http://192.168.evil.example:8080", 403],
    ["http://localhost.evil.example", 403],
    ["https://evil.example", 403],
  ])("from a page at %s is answered with %i", async (origin, status) => {
    const auth = await ready();
    expect((await post(auth, "sign-up/email", ADA, { origin })).status).toBe(status);
  });

  test("is counted by two replicas together, and by nobody's claim", async () => {
    const replicas = [await ready(), authOf()];
    const wrong = { ...ADA, password: "wrong horse" };
    const statuses = [];
    for (let n = 0; n < 34; n++) {
      const claimed = { "x-forwarded-for": `10.1.0.${n}` };
      statuses.push((await post(replicas[n % 2] as Auth, "sign-in/email", wrong, claimed)).status);
    }
    expect(statuses.filter((status) => status === 401).length).toBe(30);
    expect(statuses.slice(30)).toEqual([429, 429, 429, 429]);
    const elsewhere = await post(replicas[0] as Auth, "sign-in/email", wrong, { "x-client-address": "10.0.0.2" });
    expect(elsewhere.status).toBe(401);
  });
});

describe("tokens for the backend", () => {
  test("say who, by whom and for whom, for a quarter of an hour", async () => {
    const auth = await ready();
    const { sub, iss, aud, exp } = await claims(auth, await tokenOf(auth));
    expect({ sub, iss, aud }).toEqual({ sub: "ada", iss: ORIGIN, aud: ORIGIN });
    expect(Math.abs((exp as number) - Date.now() / 1000 - 900)).toBeLessThan(60);
  });

  test("are not handed to browsers", async () => {
    const auth = await ready();
    const cookie = (await post(auth, "sign-up/email", ADA)).headers.getSetCookie()[0]?.split(";")[0] ?? "";
    const get = (path: string) => auth.handler(new Request(`${ORIGIN}/api/auth/${path}`, { headers: { cookie } }));
    expect((await get("token")).status).toBe(404);
    const session = await get("get-session");
    expect(session.status).toBe(200);
    expect(session.headers.get("set-auth-jwt")).toBeNull();
  });
});

describe("a changed BETTER_AUTH_SECRET, on existing data", () => {
  test.each([
    ["with the former one known", [NEW, OLD] as [string, ...string[]], 1],
    ["without the former one", [NEW] as [string, ...string[]], 2],
  ])("%s: sign-in works and old tokens still verify", async (_, secrets, keys) => {
    const before = await ready();
    await post(before, "sign-up/email", ADA);
    const old = await tokenOf(before);

    const after = await ready({ secrets });
    expect((await post(after, "sign-in/email", ADA)).status).toBe(200);
    expect((await claims(after, await tokenOf(after))).sub).toBe("ada");
    expect((await claims(after, old)).sub).toBe("ada");
    expect((await keysOf(after)).length).toBe(keys);
  });

  test("replicas before and after it work side by side", async () => {
    const before = await ready();
    const after = authOf({ secrets: [NEW] });
    for (const auth of [before, after, before, after]) {
      for (const other of [before, after]) expect((await claims(other, await tokenOf(auth))).sub).toBe("ada");
    }
    expect((await keysOf(before)).length).toBe(2);
  });

  describe("without the former one, as time passes", () => {
    beforeEach(() => vi.useFakeTimers({ toFake: ["Date"] }));
    afterEach(() => vi.useRealTimers());

    const pass = (minutes: number) => vi.setSystemTime(Date.now() + minutes * 60_000);
    const keyOf = (token: string) => (JSON.parse(Buffer.from(token.split(".")[0] as string, "base64url").toString()) as { kid: string }).kid;
    const published = async (auth: Auth) => (await keysOf(auth)).map(({ kid }) => kid);

    test("what replicas that are not replaced yet sign verifies until it expires, and then the key goes", async () => {
      const before = await ready();
      const first = await tokenOf(before);
      const after = authOf({ secrets: [NEW] });
      const made = keyOf(await tokenOf(after));
      for (let minute = 0; minute < 14; minute++) {
        pass(1);
        expect(keyOf(await tokenOf(after))).toBe(made);
      }
      const last = await tokenOf(before);
      expect(keyOf(last)).toBe(keyOf(first));
      const { exp } = await claims(after, last);
      // One of them that is there for longer makes a key anew, which is published as well.
      pass(2);
      const late = await tokenOf(before);
      expect(keyOf(late)).not.toBe(keyOf(first));
      expect((await claims(after, late)).sub).toBe("ada");
      vi.setSystemTime((exp as number) * 1000 + 10_000);
      expect((await claims(after, last)).sub).toBe("ada");
      pass(3);
      expect(await published(after)).not.toContain(keyOf(first));
      expect(await published(after)).toContain(made);
      pass(60);
      expect(await published(after)).toEqual([made]);
    });

    test("a key that is taken back with its secret is replaced", async () => {
      const before = await ready();
      await tokenOf(before);
      await tokenOf(authOf({ secrets: [NEW] }));
      pass(60);
      expect((await claims(before, await tokenOf(before))).sub).toBe("ada");
    });
  });
});

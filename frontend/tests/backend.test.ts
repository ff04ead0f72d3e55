import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";

import { POST as handle } from "@/app/api/auth/[...all]/route";
import { forward } from "@/lib/server/backend";
import { migrate } from "@/lib/server/migrate";
import { services } from "@/lib/server/services";

import { PASSWORD, Postgres } from "./support/postgres";

const ORIGIN = "http://localhost:30080";
const OURS = { "sec-fetch-site": "same-origin" };
const KEY = Symbol.for("todo-frontend.services");

let postgres: Postgres;
let backend: Server;
let answer: RequestListener;
let seen: { method?: string; url?: string; headers: IncomingMessage["headers"]; body: string }[];
let cookie: string;

beforeAll(async () => {
  postgres = await Postgres.start();
  const database = await postgres.database();
  backend = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    seen.push({ method: request.method, url: request.url, headers: request.headers, body });
    answer(request, response);
  }).listen(0, "127.0.0.1");
  await once(backend, "listening");
  vi.stubEnv("BETTER_AUTH_URL", ORIGIN);
  vi.stubEnv("BETTER_AUTH_SECRET", "a secret of more than thirty-two characters 4711");
  vi.stubEnv("BACKEND_URL", `http://127.0.0.1:${(backend.address() as AddressInfo).port}`);
  vi.stubEnv("POSTGRES_HOST", database.host as string);
  vi.stubEnv("POSTGRES_PORT", String(database.port));
  vi.stubEnv("POSTGRES_DB", database.database as string);
  vi.stubEnv("POSTGRES_PASSWORD", PASSWORD);
  await migrate(services().auth, database);
  const signedUp = await services().auth.handler(
    new Request(`${ORIGIN}/api/auth/sign-up/email`, {
      method: "POST",
      headers: { "content-type": "application/json", origin: ORIGIN, "x-client-address": "10.0.0.1" },
      body: JSON.stringify({ name: "Ada", email: "ada@example.com", password: "correct horse" }),
    }),
  );
  cookie = signedUp.headers.getSetCookie()[0]?.split(";")[0] ?? "";
});

afterAll(async () => {
  await services().pool.end();
  backend.closeAllConnections();
  backend.close();
  await postgres.stop();
  vi.unstubAllEnvs();
});

beforeEach(() => {
  seen = [];
  answer = (_, response) => response.writeHead(200, { "content-type": "application/json" }).end("[]");
  for (const level of ["info", "warn", "error"] as const) vi.spyOn(console, level).mockImplementation(() => undefined);
});
afterEach(() => vi.useRealTimers());

function request(method: string, path: string, headers: Record<string, string> = {}, body?: string): Request {
  return new Request(`${ORIGIN}${path}`, { method, headers: { cookie, ...headers }, body });
}

async function refusal(response: Response): Promise<unknown[]> {
  return [response.status, ((await response.json()) as { detail: string }).detail];
}

function claims(authorization: string | undefined): Record<string, unknown> {
  return JSON.parse(Buffer.from(authorization?.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;
}

test("a request goes on with the user's token instead of the cookies", async () => {
  const response = await forward(request("GET", "/api/tasks?q=a%26b", { accept: "application/json", "x-evil": "1" }));
  expect([response.status, await response.json()]).toEqual([200, []]);
  const [{ url, headers }] = seen as [(typeof seen)[0]];
  expect(url).toBe("/api/tasks?q=a%26b");
  expect(headers.authorization).toMatch(/^Bearer ey/);
  expect(claims(headers.authorization)).toMatchObject({ iss: ORIGIN, aud: ORIGIN });
  expect([headers.cookie, headers["x-evil"]]).toEqual([undefined, undefined]);
});

test("the token is kept and never comes back", async () => {
  answer = (_, response) => response.writeHead(200, { "x-request-id": "7", "x-accel-buffering": "no", "set-cookie": "a=b", server: "s" }).end("[]");
  const first = await forward(request("GET", "/api/tasks"));
  await forward(request("GET", "/api/tasks"));
  expect(seen[0]?.headers.authorization).toBe(seen[1]?.headers.authorization);
  expect(Object.fromEntries(first.headers)).toEqual({ "cache-control": "no-store, no-transform", "x-request-id": "7", "x-accel-buffering": "no" });
});

test("a body goes along, byte by byte", async () => {
  await forward(request("POST", "/api/tasks", { ...OURS, "content-type": "application/json" }, '{"title":"ä"}'));
  expect(seen[0]).toMatchObject({ method: "POST", body: '{"title":"ä"}' });
  expect(seen[0]?.headers["content-type"]).toBe("application/json");
});

test("what streams comes through while it is made", async () => {
  let finish: () => void = () => undefined;
  answer = (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: 1\n\n");
    finish = () => response.end("data: 2\n\n");
  };
  const response = await forward(request("POST", "/api/chat", OURS, "{}"));
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const next = async () => new TextDecoder().decode((await reader.read()).value);
  expect(await next()).toBe("data: 1\n\n");
  finish();
  expect(await next()).toBe("data: 2\n\n");
});

test("who gives up takes the backend's work along", async () => {
  const closed = new Promise((resolve) => {
    answer = (asked, response) => {
      response.writeHead(200).write("data: 1\n\n");
      asked.socket.once("close", resolve);
    };
  });
  const stop = new AbortController();
  const response = await forward(new Request(request("POST", "/api/chat", OURS, "{}"), { signal: stop.signal }));
  const read = response.text();
  stop.abort();
  await expect(read).rejects.toThrow();
  await closed;
});

test("a token that is refused is made anew once", async () => {
  let asked = 0;
  answer = (_, response) => response.writeHead(asked++ === 0 ? 401 : 200).end("[]");
  expect((await forward(request("POST", "/api/tasks", OURS, "{}"))).status).toBe(200);
  expect(seen.map(({ body }) => body)).toEqual(["{}", "{}"]);
});

test.each([
  ["refused", 401, 502],
  ["not there", 0, 502],
])("what people search for is in no log when the backend is %s", async (_, status, expected) => {
  const { config } = services();
  const there = config.backend;
  if (status === 0) config.backend = new URL("http://127.0.0.1:1");
  answer = (_, response) => response.writeHead(status).end();
  const response = await forward(request("GET", "/api/tasks?q=surgery"));
  config.backend = there;
  expect(response.status).toBe(expected);
  const logged = vi.mocked(console.error).mock.calls.flat().join();
  expect(logged).toContain('"path":"/api/tasks"');
  expect(logged).not.toContain("surgery");
});

test("each route passes on what the backend has there", async () => {
  const tasks = await import("@/app/api/tasks/[[...path]]/route");
  const conversations = await import("@/app/api/conversations/[[...path]]/route");
  expect(Object.keys(tasks).sort()).toEqual(["DELETE", "GET", "PATCH", "POST"]);
  expect(Object.keys(conversations).sort()).toEqual(["DELETE", "GET", "POST"]);
});

describe("is answered here", () => {
  test("without a session", async () => {
    const response = await forward(request("GET", "/api/tasks", { cookie: "better-auth.session_token=forged.signature" }));
    expect(await refusal(response)).toEqual([401, "You are signed out."]);
  });

  test.each([["POST"], ["PATCH"], ["DELETE"]])("a %s from another site", async (method) => {
    const response = await forward(request(method, "/api/tasks/1", { "sec-fetch-site": "cross-site" }));
    expect(await refusal(response)).toEqual([403, "This request comes from another site."]);
  });

  test("a body that is too long", async () => {
    const response = await forward(request("POST", "/api/tasks", OURS, "x".repeat(1024 * 1024 + 1)));
    expect(await refusal(response)).toEqual([413, "That is too long."]);
  });

  test("a backend that accepts no token, without the user being signed out", async () => {
    answer = (_, response) => response.writeHead(401).end();
    expect(await refusal(await forward(request("GET", "/api/tasks")))).toEqual([502, "The backend does not accept this sign-in."]);
    expect(seen.length).toBe(2);
  });

  test("a backend that does not answer", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    answer = () => void vi.advanceTimersByTime(10_000);
    expect(await refusal(await forward(request("GET", "/api/tasks")))).toEqual([504, "The backend does not answer."]);
  });

  test("a backend that is not there, without its address", async () => {
    const { config } = services();
    const there = config.backend;
    config.backend = new URL("http://127.0.0.1:1");
    expect(await refusal(await forward(request("GET", "/api/tasks")))).toEqual([502, "The backend cannot be reached."]);
    config.backend = there;
  });

  test("a database that is away", async () => {
    const holder = globalThis as { [KEY]?: ReturnType<typeof services> };
    const whole = holder[KEY];
    holder[KEY] = undefined;
    vi.stubEnv("POSTGRES_PORT", "1");
    const response = await forward(request("GET", "/api/tasks"));
    await services().pool.end();
    holder[KEY] = whole;
    expect(await refusal(response)).toEqual([503, "Sign-in cannot be checked right now. Try again in a moment."]);
  });
});

describe("a changed secret", () => {
  const NEW = "another secret of more than thirty-two characters";
  const OLDER = "an older secret of more than thirty-two characters";
  const holder = globalThis as { [KEY]?: ReturnType<typeof services> };
  let before: ReturnType<typeof services>;
  let started: ReturnType<typeof services>[];

  beforeEach(() => {
    before = services();
    started = [];
    vi.stubEnv("POSTGRES_PORT", String(before.config.database.port));
    // So that the minutes after a start pass when a test says so.
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(async () => {
    vi.useRealTimers();
    holder[KEY] = before;
    vi.stubEnv("BETTER_AUTH_SECRET", before.config.secrets[0]);
    vi.stubEnv("BETTER_AUTH_SECRET_PREVIOUS", "");
    await Promise.all(started.map(({ pool }) => pool.end()));
  });

  /** A replica with these secrets that has just started. */
  function replica(secret: string, ...former: string[]): ReturnType<typeof services> {
    holder[KEY] = undefined;
    vi.stubEnv("BETTER_AUTH_SECRET", secret);
    vi.stubEnv("BETTER_AUTH_SECRET_PREVIOUS", former.join());
    started.push(services());
    return services();
  }

  /** Asks a replica with a cookie: the status, and the cookie that a browser has afterwards. */
  async function visit(at: ReturnType<typeof services>, shown: string): Promise<[number, string]> {
    holder[KEY] = at;
    const response = await forward(request("GET", "/api/tasks", { cookie: shown }));
    return [response.status, response.headers.getSetCookie()[0]?.split(";")[0] ?? shown];
  }

  async function signIn(at: ReturnType<typeof services>): Promise<string> {
    holder[KEY] = at;
    const response = await handle(
      new Request(`${ORIGIN}/api/auth/sign-in/email`, {
        method: "POST",
        headers: { "content-type": "application/json", origin: ORIGIN, "x-client-address": "10.0.0.1" },
        body: JSON.stringify({ email: "ada@example.com", password: "correct horse" }),
      }),
    );
    expect(response.status).toBe(200);
    return response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  }

  const pass = () => vi.advanceTimersByTime(60 * 60_000);

  test("signs nobody out while replicas that know it and replicas that do not answer in turn", async () => {
    const old = before;
    const young = replica(NEW, old.config.secrets[0]);
    let shown = cookie;
    for (const at of [old, young, old, young, young, old]) {
      const [status, kept] = await visit(at, shown);
      expect(status).toBe(200);
      shown = kept;
    }
    // Nor whoever signs in meanwhile, at whichever.
    for (const at of [old, young]) {
      const own = await signIn(at);
      for (const other of [young, old]) expect((await visit(other, own))[0]).toBe(200);
    }
  });

  test("signs each cookie once all replicas know it, and the former one can be forgotten", async () => {
    const old = before.config.secrets[0];
    const first = replica(NEW, old, OLDER);
    pass();
    const [status, renewed] = await visit(first, cookie);
    expect(status).toBe(200);
    expect(renewed).not.toBe(cookie);
    // A replica that has only just started leaves it as it is.
    const second = replica(NEW, old, OLDER);
    expect(await visit(second, renewed)).toEqual([200, renewed]);
    expect(await visit(second, cookie)).toEqual([200, cookie]);
    const later = replica(NEW);
    expect((await visit(later, renewed))[0]).toBe(200);
    expect((await visit(later, cookie))[0]).toBe(401);
  });

  test("gives a cookie that keeps its attributes", async () => {
    const at = replica(NEW, before.config.secrets[0]);
    pass();
    holder[KEY] = at;
    const response = await forward(request("GET", "/api/tasks"));
    expect(response.headers.getSetCookie()[0]).toMatch(
      /^better-auth\.session_token=.*; Path=\/; HttpOnly; SameSite=Lax; Max-Age=6\d{5}$/,
    );
  });
});

import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";

import { addTask, deleteTask, health, tasks } from "@/lib/backend";

type Reply = { status: number; body: string };

let server: Server;
let reply: Reply;
let seen: IncomingMessage;

beforeAll(async () => {
  server = createServer((request, response) => {
    seen = request;
    response.writeHead(reply.status, { "Content-Type": "application/json" }).end(reply.body);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
});

afterAll(() => server.close());

beforeEach(() => {
  vi.stubEnv("BACKEND_URL", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  vi.stubEnv("MCP_API_KEY", "key");
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});

test("tasks are asked for with the key", async () => {
  reply = { status: 200, body: "[]" };
  expect(await tasks()).toEqual({ ok: true, value: [] });
  expect(seen.headers.authorization).toBe("Bearer key");
});

test("health needs no key, and its body counts when the database is away", async () => {
  const body = { status: "ok", database: "unavailable", reason: "r", environment: "e", version: "1" };
  reply = { status: 503, body: JSON.stringify(body) };
  expect(await health()).toEqual({ ok: true, value: body });
  expect(seen.headers.authorization).toBeUndefined();
});

test("an answer without a body is one", async () => {
  reply = { status: 204, body: "" };
  expect(await deleteTask(7)).toEqual({ ok: true, value: null });
  expect([seen.method, seen.url]).toEqual(["DELETE", "/api/tasks/7"]);
});

test.each([
  [401, "The backend does not accept this frontend's key."],
  [404, "That task is no longer there."],
  [422, "The backend does not accept that."],
  [500, "The backend answered with 500."],
])("%i is a sentence", async (status, reason) => {
  reply = { status, body: "{}" };
  expect(await addTask({ title: "milk", due: null, priority: "low" })).toEqual({ ok: false, reason });
});

test.each([
  ["", "BACKEND_URL is not set."],
  ["http://127.0.0.1:1", "The backend cannot be reached."],
])("BACKEND_URL %j is a sentence without an address", async (url, reason) => {
  vi.stubEnv("BACKEND_URL", url);
  expect(await tasks()).toEqual({ ok: false, reason });
});

/** Builds the application where every secret is set, and looks for them in what browsers get. */

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";

import { beforeAll, expect, test } from "vitest";

const HOME = join(import.meta.dirname, "../..");
const NAMES = [
  "BETTER_AUTH_SECRET",
  "BETTER_AUTH_SECRET_PREVIOUS",
  "DATABASE_URL",
  "MCP_API_KEY",
  "NEXT_PUBLIC_OPENAI_DOMAIN_KEY",
  "OPENAI_API_KEY",
  "POSTGRES_PASSWORD",
];
/** Read at run time, so that one build serves every environment. */
const ADDRESSES = ["BACKEND_URL", "BETTER_AUTH_URL", "TRUSTED_ORIGINS"];
const CANARY = "canary-7d41f0b2";

beforeAll(() => {
  const values = Object.fromEntries([...NAMES, ...ADDRESSES].map((name) => [name, `${CANARY}-${name.toLowerCase()}`]));
  execFileSync(process.execPath, ["node_modules/next/dist/bin/next", "build"], {
    cwd: HOME,
    env: { ...process.env, ...values, NODE_ENV: "production", NEXT_TELEMETRY_DISABLED: "1" },
    stdio: "ignore",
  });
}, 300_000);

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

test("what browsers get names no secret", () => {
  const files = filesIn(join(HOME, ".next/static"));
  expect(files.some((path) => path.endsWith(".js"))).toBe(true);
  const found = files.flatMap((path) => {
    const text = readFileSync(path, "latin1");
    return [...NAMES, ...ADDRESSES, CANARY].filter((word) => text.includes(word)).map((word) => `${path}: ${word}`);
  });
  expect(found).toEqual([]);
});

test("nothing of the machine that built it is in the whole output", () => {
  const ours = (path: string) => !path.includes("/node_modules/");
  const found = filesIn(join(HOME, ".next/standalone")).filter(ours).filter((path) => readFileSync(path, "latin1").includes(CANARY));
  expect(found).toEqual([]);
});

test("a server whose environment is not complete says so in one line and ends", () => {
  const server = spawnSync(process.execPath, [join(HOME, ".next/standalone/server.js")], {
    env: { PATH: process.env.PATH, NODE_ENV: "production", HOSTNAME: "127.0.0.1", PORT: "0", BETTER_AUTH_SECRET: CANARY },
    encoding: "utf8",
  });
  expect(server.status).toBe(1);
  const lines = server.stderr.trim().split("\n");
  expect(lines.length, server.stderr).toBe(1);
  expect((JSON.parse(lines[0] as string) as { reason: string }).reason).toBe(
    "BETTER_AUTH_URL is not set; BACKEND_URL is not set; DATABASE_URL is not set, and POSTGRES_PASSWORD is not set either",
  );
  expect(`${server.stdout}${server.stderr}`).not.toContain(CANARY);
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

test.each([
  ["whose name is not known", { POSTGRES_HOST: "todo-postgres.invalid" }],
  ["that refuses", { POSTGRES_HOST: "127.0.0.1", POSTGRES_PORT: "1" }],
])("with a database %s pages say so in words, and the log without a stack", async (_, database) => {
  const port = await freePort();
  const server = spawn(process.execPath, [join(HOME, ".next/standalone/server.js")], {
    env: {
      PATH: process.env.PATH,
      NODE_ENV: "production",
      HOSTNAME: "127.0.0.1",
      PORT: String(port),
      BETTER_AUTH_URL: "http://localhost:30080",
      BETTER_AUTH_SECRET: `${CANARY} and thirty-two characters more`,
      BACKEND_URL: "http://127.0.0.1:1",
      POSTGRES_PASSWORD: CANARY,
      ...database,
    },
  });
  const written: string[] = [];
  for (const output of [server.stdout, server.stderr]) output.on("data", (data) => written.push(String(data)));
  try {
    const there = () => fetch(`http://127.0.0.1:${port}/api/health`).then(({ ok }) => ok, () => false);
    await expect.poll(there, { timeout: 30_000 }).toBe(true);
    for (const path of ["/", "/sign-in", "/sign-up", "/tasks", "/chat", "/chat/7"]) {
      const page = await fetch(`http://127.0.0.1:${port}${path}`, { redirect: "manual", headers: { cookie: "better-auth.session_token=a.b" } });
      expect([path, page.status]).toEqual([path, 200]);
      const text = await page.text();
      expect(text.match(/<h1[^>]*>([^<]*)/)?.[1], path).toBe("This page cannot be shown right now");
      expect(text.match(/<main/g)?.length, path).toBe(1);
    }
  } finally {
    server.kill();
    await once(server, "close");
  }
  const log = written.join("");
  expect(log).toContain('"a session cannot be checked"');
  expect(log).not.toContain(CANARY);
  expect(log).not.toMatch(/^ {4}at /m);
}, 60_000);

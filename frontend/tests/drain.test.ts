import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { createInterface } from "node:readline";

import { expect, test } from "vitest";

const SERVER = `
  import { createServer } from "node:http";
  const server = createServer(({ url }, response) => {
    response.write("ok");
    if (url !== "/endless") response.end();
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
`;

function start() {
  const drain = new URL("../drain.mjs", import.meta.url).href;
  return spawn(process.execPath, ["--import", drain, "--input-type=module", "--eval", SERVER]);
}

test("an answer that does not end is not waited for until the kill", { timeout: 60_000 }, async () => {
  const child = start();
  try {
    const ended = once(child, "exit");
    const [port] = (await once(createInterface(child.stdout), "line")) as [string];
    const [response] = (await once(get({ host: "127.0.0.1", port, path: "/endless" }), "response")) as [IncomingMessage];
    response.on("error", () => undefined).resume();
    child.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
  } finally {
    child.kill("SIGKILL");
  }
});

test("a kept connection is answered and closed after SIGTERM", { timeout: 30_000 }, async () => {
  const child = start();
  try {
    const ended = once(child, "exit");
    const [port] = (await once(createInterface(child.stdout), "line")) as [string];
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = async () => {
      const [response] = (await once(get({ host: "127.0.0.1", port, agent }), "response")) as [IncomingMessage];
      await once(response.resume(), "end");
      expect(response.statusCode).toBe(200);
      return response.headers.connection;
    };
    expect(await ask()).toBe("keep-alive");
    child.kill("SIGTERM");
    // The signal is handled between two requests: ask until one is told to close.
    while ((await ask()) !== "close");
    expect(await ended).toEqual([0, null]);
  } finally {
    child.kill("SIGKILL");
  }
});

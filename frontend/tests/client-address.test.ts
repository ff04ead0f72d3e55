import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { expect, test } from "vitest";

const SERVER = `
  import { createServer } from "node:http";
  const server = createServer((request, response) => response.end(request.headers["x-client-address"]));
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
`;

test.each([
  ["", {}, "127.0.0.1"],
  ["", { "x-forwarded-for": "10.9.9.9" }, "127.0.0.1"],
  ["", { "x-client-address": "10.9.9.9" }, "127.0.0.1"],
  ["127.0.0.1", { "x-forwarded-for": "10.9.9.9" }, "10.9.9.9, 127.0.0.1"],
  ["127.0.0.1", { "x-client-address": "10.9.9.9" }, "127.0.0.1"],
])("with TRUSTED_PROXIES=%j a client that sends %j is %s", async (proxies, headers, address) => {
  const preload = new URL("../client-address.mjs", import.meta.url).href;
  const child = spawn(process.execPath, ["--import", preload, "--input-type=module", "--eval", SERVER], {
    env: { ...process.env, TRUSTED_PROXIES: proxies },
  });
  try {
    const [port] = (await once(createInterface(child.stdout), "line")) as [string];
    const response = await fetch(`http://127.0.0.1:${port}`, { headers: headers as Record<string, string> });
    expect(await response.text()).toBe(address);
  } finally {
    child.kill("SIGKILL");
  }
});

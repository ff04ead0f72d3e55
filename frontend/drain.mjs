// Loaded before the server (`node --import ./drain.mjs server.js`, NEXT_MANUAL_SIG_HANDLE=1): stops
// it without losing a request of those who keep connections open. A server that simply closes its
// idle connections races with a client that is just sending on one; so, told to stop, this one goes
// on answering for a while and asks every client to close.

import { subscribe } from "node:diagnostics_channel";

// Longer than idle connections are kept by the clients that matter: Node's fetch keeps them for 4 s.
const IDLE_MS = 5_000;

const servers = new Set();
let draining = false;

subscribe("http.server.request.start", ({ response, server }) => {
  servers.add(server);
  if (draining) response.setHeader("Connection", "close");
});

// Requests that are under way end first; those that take longer than the grace period do not.
async function stop() {
  await Promise.all([...servers].map((server) => new Promise((closed) => server.close(closed))));
  process.exit(0);
}

process.once("SIGTERM", () => {
  draining = true;
  setTimeout(stop, IDLE_MS);
});
process.once("SIGINT", () => process.exit(130));

// Loaded before the server (`node --import ./drain.mjs server.js`, NEXT_MANUAL_SIG_HANDLE=1): stops
// it without losing a request of those who keep connections open. A server that simply closes its
// idle connections races with a client that is just sending on one; so, told to stop, this one goes
// on answering for a while and asks every client to close.

import { subscribe } from "node:diagnostics_channel";

// Longer than idle connections are kept by the clients that matter: Node's fetch keeps them for 4 s.
const IDLE_MS = 5_000;
// For requests that are under way after that. Both end within the pod's grace period, so that it is
// this server that ends what takes longer, and not a kill.
const REQUEST_MS = 15_000;

const servers = new Set();
let draining = false;

subscribe("http.server.request.start", ({ response, server }) => {
  servers.add(server);
  if (draining) response.setHeader("Connection", "close");
});

async function stop() {
  setTimeout(() => process.exit(0), REQUEST_MS);
  await Promise.all([...servers].map((server) => new Promise((closed) => server.close(closed))));
  process.exit(0);
}

process.once("SIGTERM", () => {
  draining = true;
  setTimeout(stop, IDLE_MS);
});
process.once("SIGINT", () => process.exit(130));

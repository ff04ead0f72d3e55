// Loaded before the server: writes down whom a request comes from, as the connection has it. What a
// client claims about itself is passed on only as the part that a trusted proxy may have written.

import { subscribe } from "node:diagnostics_channel";

subscribe("http.server.request.start", ({ request }) => {
  const forwarded = request.headers["x-forwarded-for"];
  const address = request.socket.remoteAddress?.replace(/^::ffff:/, "");
  request.headers["x-client-address"] = address;
  if (forwarded && address && process.env.TRUSTED_PROXIES) {
    request.headers["x-client-address"] = `${forwarded}, ${address}`;
  }
});

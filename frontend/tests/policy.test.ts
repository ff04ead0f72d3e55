import { unstable_doesMiddlewareMatch } from "next/experimental/testing/server";
import { NextRequest } from "next/server";
import { expect, test, vi } from "vitest";

import { CHATKIT_SCRIPT, policy } from "@/lib/csp";
import { PAGE_HEADER, returnPath } from "@/lib/return-path";
import { sameOrigin } from "@/lib/server/same-origin";
import { config as pages, proxy } from "@/proxy";

const OPENAI = /openai\.com/;

function directives(text: string): Record<string, string> {
  return Object.fromEntries(text.split("; ").map((part) => [part.slice(0, part.indexOf(" ")), part]));
}

test("nothing runs or loads from elsewhere", () => {
  const text = policy("n", { chatkit: false, development: false });
  expect(text).not.toMatch(OPENAI);
  expect(text).not.toMatch(/unsafe|\*|https?:/);
  expect(directives(text)).toMatchObject({
    "default-src": "default-src 'self'",
    "script-src": "script-src 'self' 'nonce-n' 'strict-dynamic'",
    "frame-src": "frame-src 'none'",
    "frame-ancestors": "frame-ancestors 'none'",
    "base-uri": "base-uri 'none'",
  });
});

test("ChatKit's hosts are allowed where it needs them, when it is on", () => {
  const found = directives(policy("n", { chatkit: true, development: false }));
  const hosts = (text: string) => text.split(" ").filter((source) => OPENAI.test(source));
  const allowed = Object.entries(found).map(([name, text]) => [name, hosts(text)] as const);
  const cdn = "https://cdn.platform.openai.com";
  // The script asks OpenAI's API whether the key is this site's, and shows nothing without an answer.
  expect(Object.fromEntries(allowed.filter(([, found]) => found.length > 0))).toEqual({
    "script-src": [cdn],
    "connect-src": [cdn, "https://api.openai.com"],
    "frame-src": [cdn],
  });
  expect(new URL(CHATKIT_SCRIPT).origin).toBe(cdn);
  expect(found["script-src"]).not.toMatch(/unsafe/);
});

test("each page has a nonce of its own, and the key is read when it is asked for", () => {
  const page = () => proxy(new NextRequest("http://localhost:30080/tasks")).headers.get("content-security-policy") ?? "";
  const nonce = (text: string) => /'nonce-([^']+)'/.exec(text)?.[1];
  const [first, second] = [page(), page()];
  expect(nonce(first)).toMatch(/^[A-Za-z0-9+/]{22}==$/);
  expect(nonce(first)).not.toBe(nonce(second));
  expect(first).not.toMatch(OPENAI);
  vi.stubEnv("NEXT_PUBLIC_OPENAI_DOMAIN_KEY", "domain_pk_1");
  expect(page()).toMatch(OPENAI);
  vi.unstubAllEnvs();
});

test.each([["/chat/5"], ["/tasks?q=a%26b&show=done"], ["/"]])("a page at %s knows its own address, whatever a client claims", (path) => {
  const request = new NextRequest(`http://localhost:30080${path}`, { headers: { [PAGE_HEADER]: "/claimed" } });
  // So Next.js hands on what it is to see of a request.
  expect(proxy(request).headers.get(`x-middleware-request-${PAGE_HEADER}`)).toBe(path);
});

test.each([
  ["/tasks", true],
  ["/chat/7", true],
  ["/chatkitx", true],
  ["/chatkit/more", true],
  ["/icon_svg", true],
  ["/icon.svg.html", true],
  ["/chatkit", false],
  ["/icon.svg", false],
  ["/api/tasks", false],
  ["/_next/static/chunks/main.js", false],
])("%s has a policy of a page: %s", (path, expected) => {
  expect(unstable_doesMiddlewareMatch({ config: pages, url: path })).toBe(expected);
});

test.each([
  [{ "sec-fetch-site": "same-origin" }, true],
  [{ "sec-fetch-site": "same-site" }, false],
  [{ "sec-fetch-site": "cross-site" }, false],
  [{ "sec-fetch-site": "none" }, false],
  // Sec-Fetch-Site is what browsers say themselves; an Origin beside it adds nothing.
  [{ "sec-fetch-site": "cross-site", origin: "http://localhost:30080", host: "localhost:30080" }, false],
  [{ origin: "http://192.168.49.2:30080", host: "192.168.49.2:30080" }, true],
  [{ origin: "http://evil.example", host: "192.168.49.2:30080" }, false],
  [{ origin: "null", host: "192.168.49.2:30080" }, false],
  [{}, true],
])("a change with %j is from here: %s", (headers, expected) => {
  expect(sameOrigin(new Headers(headers as Record<string, string>))).toBe(expected);
});

test.each([
  ["/chat/3", "/chat/3"],
  ["/tasks?show=done", "/tasks?show=done"],
  [undefined, "/tasks"],
  ["https://evil.example", "/tasks"],
  ["//evil.example", "/tasks"],
  ["/\\evil.example", "/tasks"],
  ["/\t/evil.example", "/tasks"],
  ["/.//evil.example", "/tasks"],
  ["/a/..//evil.example", "/tasks"],
  ["/%2e//evil.example", "/tasks"],
  ["javascript:alert(1)", "/tasks"],
  [["/chat", "/tasks"], "/tasks"],
])("sign-in leads back from %j to %s", (next, expected) => {
  expect(returnPath(next)).toBe(expected);
});

/** Before each page: a nonce of its own, the policy that names it, and the address that was asked for. */

import { NextResponse, type NextRequest } from "next/server";

import { policy } from "@/lib/csp";
import { PAGE_HEADER } from "@/lib/return-path";

// By a name that is put together: Next.js writes NEXT_PUBLIC_ variables into builds where it sees them.
const CHATKIT_KEY = ["NEXT_PUBLIC", "OPENAI_DOMAIN_KEY"].join("_");

export function proxy(request: NextRequest): NextResponse {
  const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64");
  const value = policy(nonce, {
    chatkit: Boolean(process.env[CHATKIT_KEY]?.trim()),
    development: process.env.NODE_ENV === "development",
  });
  const headers = new Headers(request.headers);
  // Next.js reads the nonce for its own scripts from the request.
  headers.set("content-security-policy", value);
  headers.set(PAGE_HEADER, `${request.nextUrl.pathname}${request.nextUrl.search}`);
  const response = NextResponse.next({ request: { headers } });
  response.headers.set("content-security-policy", value);
  return response;
}

export const config = {
  matcher: [{ source: "/((?!api/|chatkit$|_next/static/|icon\\.svg$).*)" }],
};

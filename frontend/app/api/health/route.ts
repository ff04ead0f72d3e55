/** How this process is, and only this one: a backend that is down takes no frontend with it. */

export const dynamic = "force-dynamic";

export function GET(): Response {
  return Response.json({ status: "ok" });
}

/** By this header of a request a page knows its own address, query included: proxy.ts writes it. */
export const PAGE_HEADER = "x-page";

/** Where sign-in leads back to: a path of this application and nothing else. */
export function returnPath(next: string | string[] | undefined): string {
  const path = typeof next === "string" ? next : "";
  const base = "http://here.invalid";
  if (!path.startsWith("/") || !URL.canParse(path, base)) return "/tasks";
  const url = new URL(path, base);
  // Dots that go may leave two slashes behind, which begin another host.
  const here = url.origin === base && !url.pathname.startsWith("//");
  return here ? `${url.pathname}${url.search}` : "/tasks";
}

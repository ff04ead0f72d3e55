/** Where sign-in leads back to: a path of this application and nothing else. */
export function returnPath(next: string | string[] | undefined): string {
  const path = typeof next === "string" ? next : "";
  const base = "http://here.invalid";
  if (!path.startsWith("/") || !URL.canParse(path, base)) return "/tasks";
  const url = new URL(path, base);
  return url.origin === base ? `${url.pathname}${url.search}` : "/tasks";
}

/**
 * Whether a request that changes something comes from a page of this application. Browsers say where
 * a request comes from in headers that no page can set; who says nothing is no browser.
 */

export function sameOrigin(headers: Headers): boolean {
  const site = headers.get("sec-fetch-site");
  if (site) return site === "same-origin";
  // On plain HTTP at other addresses than localhost browsers send only this one.
  const origin = headers.get("origin");
  if (!origin) return true;
  return URL.canParse(origin) && new URL(origin).host === headers.get("host");
}

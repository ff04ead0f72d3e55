/**
 * The content security policy: scripts run by nonce, everything comes from the application itself,
 * and OpenAI's hosts are in it only when ChatKit is on.
 */

export const CHATKIT_SCRIPT = "https://cdn.platform.openai.com/deployments/chatkit/chatkit.js";
const CHATKIT_HOST = new URL(CHATKIT_SCRIPT).origin;
/** Is asked whether the key is this site's. Where it cannot be, ChatKit takes itself off the page. */
const KEY_HOST = "https://api.openai.com";

export function policy(nonce: string, options: { chatkit: boolean; development: boolean }): string {
  const chatkit = options.chatkit ? [CHATKIT_HOST] : [];
  const directives: Record<string, string[]> = {
    "default-src": ["'self'"],
    // What a script with the nonce loads may run as well; React's development build evaluates text.
    "script-src": [
      "'self'",
      `'nonce-${nonce}'`,
      "'strict-dynamic'",
      ...chatkit,
      ...(options.development ? ["'unsafe-eval'"] : []),
    ],
    // ChatKit's element brings its styles inline, and the development server does too.
    "style-src": options.chatkit || options.development ? ["'self'", "'unsafe-inline'"] : ["'self'", `'nonce-${nonce}'`],
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "connect-src": ["'self'", ...chatkit, ...(options.chatkit ? [KEY_HOST] : [])],
    "frame-src": chatkit.length > 0 ? chatkit : ["'none'"],
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
  };
  return Object.entries(directives).map(([name, sources]) => `${name} ${sources.join(" ")}`).join("; ");
}

/** Better Auth's own routes. A cookie that a former secret signed counts as well. */

import { services } from "@/lib/server/services";
import { withKnownSignature } from "@/lib/server/session";

async function handle(request: Request): Promise<Response> {
  const { headers, cookie } = await withKnownSignature(request.headers);
  return services().auth.handler(cookie ? new Request(request, { headers }) : request);
}

export { handle as GET, handle as POST };

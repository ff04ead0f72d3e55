import { redirect } from "next/navigation";

import { UnavailablePage } from "@/components/unavailable-page";
import { whoAsks } from "@/lib/server/page";

export default async function Page() {
  const asking = await whoAsks();
  if (asking === "unknown") return <UnavailablePage />;
  redirect(asking === "nobody" ? "/sign-in" : "/tasks");
}

import { redirect } from "next/navigation";

import { currentSession } from "@/lib/server/page";

export default async function Page() {
  redirect((await currentSession()) ? "/tasks" : "/sign-in");
}

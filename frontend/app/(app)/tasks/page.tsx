import type { Metadata } from "next";

import { TaskBoard } from "@/components/task-board";
import { Unavailable } from "@/components/unavailable";
import { load, requireSession } from "@/lib/server/page";
import { queryOf, routeOf, type Task } from "@/lib/task";

export const metadata: Metadata = { title: "Tasks" };

export default async function Page({ searchParams }: PageProps<"/tasks">) {
  const query = queryOf(await searchParams);
  const session = await requireSession();
  if (!session) return <Unavailable />;
  return <TaskBoard initial={await load<Task[]>(session, routeOf(query))} initialQuery={query} />;
}

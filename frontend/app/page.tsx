import { connection } from "next/server";

import { AddTask } from "@/app/add-task";
import { TaskRow } from "@/app/task-row";
import { health, tasks, type Answer, type Health, type Task } from "@/lib/backend";

export default async function Page() {
  // Asked anew for every request: what the page says is how things are now.
  await connection();
  const [state, list] = await Promise.all([health(), tasks()]);
  return (
    <main className="mx-auto flex max-w-2xl flex-col gap-6 px-4 py-10">
      <h1 className="text-3xl font-semibold">Todo Chatbot</h1>
      <AddTask />
      <Tasks list={list} />
      <State state={state} />
    </main>
  );
}

function Tasks({ list }: { list: Answer<Task[]> }) {
  if (!list.ok) {
    return (
      <p role="alert" className="text-red-700 dark:text-red-400">
        The tasks cannot be shown. {list.reason}
      </p>
    );
  }
  if (list.value.length === 0) return <p>Nothing to do. The first task goes in above.</p>;
  return (
    <ul className="divide-y divide-zinc-300 dark:divide-zinc-700" aria-label="Tasks">
      {list.value.map((task) => (
        <TaskRow key={task.id} task={task} />
      ))}
    </ul>
  );
}

function State({ state }: { state: Answer<Health> }) {
  const facts: [string, string][] = state.ok
    ? [
        ["Backend", state.value.status],
        ["Database", [state.value.database, state.value.reason].filter(Boolean).join(", ")],
        ["Environment", state.value.environment],
        ["Version", state.value.version],
      ]
    : [["Backend", state.reason]];
  return (
    <footer className="border-t border-zinc-300 pt-4 text-sm text-zinc-600 dark:border-zinc-700 dark:text-zinc-400">
      <dl className="grid grid-cols-[max-content_1fr] gap-x-4 gap-y-1">
        {facts.map(([name, value]) => (
          <div key={name} className="contents">
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </footer>
  );
}

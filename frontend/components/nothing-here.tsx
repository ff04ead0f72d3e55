import Link from "next/link";

/** What an address says that leads nowhere, or to what is someone else's. */
export function NothingHere() {
  return (
    <div className="mx-auto my-auto flex max-w-md flex-col justify-center gap-4 px-4 py-10">
      <h1 className="text-2xl font-semibold">There is no such page</h1>
      <p className="text-soft">The address may be mistyped, or what was here is gone.</p>
      <p>
        <Link href="/tasks" className="rounded font-medium text-accent underline underline-offset-2">
          To your tasks
        </Link>
      </p>
    </div>
  );
}

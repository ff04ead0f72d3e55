import Link from "next/link";
import { connection } from "next/server";

export default async function NotFound() {
  // Drawn for each request: its scripts need the request's nonce.
  await connection();
  return (
    <main className="mx-auto flex min-h-dvh max-w-md flex-col justify-center gap-4 px-4 py-10">
      <h1 className="text-2xl font-semibold">There is no such page</h1>
      <p className="text-soft">The address may be mistyped, or what was here is gone.</p>
      <p>
        <Link href="/tasks" className="rounded font-medium text-accent underline underline-offset-2">
          To your tasks
        </Link>
      </p>
    </main>
  );
}

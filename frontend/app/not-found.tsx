import { connection } from "next/server";

import { NothingHere } from "@/components/nothing-here";

export default async function NotFound() {
  // Drawn for each request: its scripts need the request's nonce.
  await connection();
  return (
    <main className="flex min-h-dvh">
      <NothingHere />
    </main>
  );
}

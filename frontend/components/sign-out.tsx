"use client";

import { useState } from "react";

import { signOut } from "@/lib/client/auth";
import { leave } from "@/lib/client/leave";

export function SignOut() {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);

  async function click() {
    setBusy(true);
    const refused = await signOut();
    if (refused === null) return leave("/sign-in");
    setFailure(refused);
    setBusy(false);
  }

  return (
    <div className="relative ml-auto md:ml-0">
      <button className="button-quiet" disabled={busy} onClick={click}>
        {busy ? "Signing out…" : "Sign out"}
      </button>
      {failure ? (
        <p role="alert" className="card absolute top-11 right-0 w-64 p-3 text-sm text-danger shadow-lg">
          You are still signed in. {failure}
        </p>
      ) : null}
    </div>
  );
}

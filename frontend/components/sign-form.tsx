"use client";

import Link from "next/link";
import { useRef, useState, type FormEvent } from "react";

import { Alert } from "@/components/alert";
import { signIn, signUp } from "@/lib/client/auth";
import { leave } from "@/lib/client/leave";
import { useReady } from "@/lib/client/ready";

const TEXT = {
  in: { action: "Sign in", busy: "Signing in…", other: "No account yet?", link: "Create one", path: "/sign-up" },
  up: { action: "Create account", busy: "Creating…", other: "You have an account?", link: "Sign in", path: "/sign-in" },
};

type Props = {
  mode: keyof typeof TEXT;
  /** Where to go afterwards: a path of this application. */
  next: string;
  go?: (path: string) => void;
};

export function SignForm({ mode, next, go = leave }: Props) {
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [visible, setVisible] = useState(false);
  // Before the page's script runs, a submitted form would put the password into the address.
  const ready = useReady();
  const password = useRef<HTMLInputElement>(null);
  const text = TEXT[mode];

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const value = (name: string) => String(form.get(name) ?? "");
    const credentials = { email: value("email").trim(), password: value("password") };
    setBusy(true);
    setFailure(null);
    const refused =
      mode === "in" ? await signIn(credentials) : await signUp({ ...credentials, name: value("name").trim() });
    if (refused === null) return go(next);
    setFailure(refused);
    setBusy(false);
    password.current?.focus();
  }

  return (
    <form method="post" onSubmit={submit} className="flex flex-col gap-4" aria-busy={busy}>
      {mode === "up" ? (
        <label className="flex flex-col gap-1 font-medium">
          Name
          <input className="field font-normal" name="name" required maxLength={100} autoComplete="name" />
        </label>
      ) : null}
      <label className="flex flex-col gap-1 font-medium">
        E-mail
        <input className="field font-normal" name="email" type="email" required maxLength={254} autoComplete="email" />
      </label>
      <div className="flex flex-col gap-1">
        <div className="flex items-end justify-between">
          <label htmlFor="password" className="font-medium">
            Password
          </label>
          <button
            type="button"
            className="rounded text-sm text-accent underline-offset-2 hover:underline"
            aria-pressed={visible}
            aria-controls="password"
            onClick={() => setVisible(!visible)}
          >
            Show password
          </button>
        </div>
        <input
          ref={password}
          id="password"
          className="field"
          name="password"
          type={visible ? "text" : "password"}
          required
          minLength={mode === "up" ? 8 : undefined}
          maxLength={128}
          autoComplete={mode === "up" ? "new-password" : "current-password"}
          aria-describedby={mode === "up" ? "password-hint" : undefined}
        />
        {mode === "up" ? (
          <p id="password-hint" className="text-sm text-soft">
            8 characters or more.
          </p>
        ) : null}
      </div>
      {failure ? <Alert>{failure}</Alert> : null}
      <button className="button-main" disabled={busy || !ready}>
        {busy ? text.busy : text.action}
      </button>
      <p className="text-center text-soft">
        {text.other}{" "}
        <Link
          className="rounded font-medium text-accent underline underline-offset-2"
          href={next === "/tasks" ? text.path : `${text.path}?next=${encodeURIComponent(next)}`}
        >
          {text.link}
        </Link>
      </p>
    </form>
  );
}

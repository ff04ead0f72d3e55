import Link from "next/link";
import type { ReactNode } from "react";

import { Mark } from "@/components/mark";
import { Navigation } from "@/components/navigation";
import { SignOut } from "@/components/sign-out";
import { UnavailablePage } from "@/components/unavailable-page";
import { requireSession } from "@/lib/server/page";

/** The frame of the pages for people who are signed in. */
export default async function Layout({ children }: { children: ReactNode }) {
  const session = await requireSession();
  if (!session) return <UnavailablePage />;
  const { user } = session;
  return (
    <div className="flex min-h-dvh flex-col">
      <a
        href="#main"
        className="sr-only rounded-lg bg-accent px-4 py-2 text-on-accent focus:not-sr-only focus:absolute focus:top-2 focus:left-2 focus:z-20"
      >
        Skip to the content
      </a>
      <header className="sticky top-0 z-10 border-b border-line bg-card">
        <div className="mx-auto flex h-14 max-w-5xl items-center gap-1 px-4 sm:gap-4">
          <Link href="/tasks" className="flex items-center gap-2.5 rounded-lg font-semibold" aria-label="Todo Chatbot">
            <Mark />
            <span className="hidden sm:inline">Todo Chatbot</span>
          </Link>
          <Navigation />
          <span className="ml-auto hidden max-w-52 truncate text-sm text-soft md:block" title={user.email}>
            {user.name}
          </span>
          <SignOut />
        </div>
      </header>
      <main id="main" tabIndex={-1} className="mx-auto flex w-full max-w-5xl flex-1 flex-col px-4 outline-none">
        {children}
      </main>
    </div>
  );
}

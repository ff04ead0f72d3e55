"use client";

import { useRouter } from "next/navigation";
import { startTransition } from "react";

type Props = {
  /** What else is to be done before the page is asked for again. */
  reset?: () => void;
};

/** What shows when a page cannot be made at all, such as when the database is away. */
export function Unavailable({ reset }: Props) {
  const router = useRouter();
  const again = () =>
    startTransition(() => {
      router.refresh();
      reset?.();
    });
  return (
    <div className="mx-auto my-auto flex max-w-md flex-col justify-center gap-4 px-4 py-10">
      <h1 className="text-2xl font-semibold">This page cannot be shown right now</h1>
      <p className="text-soft">
        The application is running, but something that it needs does not answer, most likely its database. Nothing is
        lost; try again in a moment.
      </p>
      <button className="button-main self-start" onClick={again}>
        Try again
      </button>
    </div>
  );
}

import { Unavailable } from "@/components/unavailable";

type Props = { reset?: () => void };

/** The same as a page of its own, where not even the frame can be drawn. */
export function UnavailablePage({ reset }: Props) {
  return (
    <main className="flex min-h-dvh">
      <Unavailable reset={reset} />
    </main>
  );
}

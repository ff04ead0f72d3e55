import { redirect } from "next/navigation";

import { Mark } from "@/components/mark";
import { SignForm } from "@/components/sign-form";
import { UnavailablePage } from "@/components/unavailable-page";
import { returnPath } from "@/lib/return-path";
import { whoAsks } from "@/lib/server/page";

type Props = {
  mode: "in" | "up";
  title: string;
  parameters: Promise<{ next?: string | string[] }>;
};

/** The frame around both forms; who is signed in already needs neither. */
export async function SignPage({ mode, title, parameters }: Props) {
  const next = returnPath((await parameters).next);
  const asking = await whoAsks();
  if (asking === "unknown") return <UnavailablePage />;
  if (asking !== "nobody") redirect(next);
  return (
    <main className="mx-auto flex min-h-dvh w-full max-w-md flex-col justify-center gap-6 px-4 py-10">
      <p className="flex items-center justify-center gap-2.5 text-lg font-semibold">
        <Mark /> Todo Chatbot
      </p>
      <section className="card flex flex-col gap-5 p-6 sm:p-8" aria-labelledby="title">
        <h1 id="title" className="text-2xl font-semibold">
          {title}
        </h1>
        <SignForm mode={mode} next={next} />
      </section>
    </main>
  );
}

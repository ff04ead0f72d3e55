import type { Metadata } from "next";

import { SignPage } from "@/components/sign-page";

export const metadata: Metadata = { title: "Sign in" };

export default function Page({ searchParams }: PageProps<"/sign-in">) {
  return <SignPage mode="in" title="Sign in" parameters={searchParams} />;
}

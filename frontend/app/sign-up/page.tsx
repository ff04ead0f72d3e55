import type { Metadata } from "next";

import { SignPage } from "@/components/sign-page";

export const metadata: Metadata = { title: "Sign up" };

export default function Page({ searchParams }: PageProps<"/sign-up">) {
  return <SignPage mode="up" title="Create an account" parameters={searchParams} />;
}

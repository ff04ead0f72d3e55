import type { Metadata } from "next";
import { notFound } from "next/navigation";

import { ChatKitOr } from "@/components/chat-kit";
import { ChatPanel } from "@/components/chat-panel";
import { Unavailable } from "@/components/unavailable";
import type { Assistant, Conversation, Message } from "@/lib/chat";
import type { Loaded } from "@/lib/loaded";
import { load, requireSession } from "@/lib/server/page";
import { services } from "@/lib/server/services";

const NOTHING_YET: Loaded<Message[]> = { ok: true, value: [] };

export const metadata: Metadata = { title: "Chat" };

export default async function Page({ params }: PageProps<"/chat/[[...id]]">) {
  const { id = [] } = await params;
  const conversation = id.length === 0 ? null : Number(id[0]);
  if (id.length > 1 || (conversation !== null && !Number.isSafeInteger(conversation))) notFound();

  const session = await requireSession();
  if (!session) return <Unavailable />;
  const [assistant, conversations, messages] = await Promise.all([
    load<Assistant>(session, "/api/assistant"),
    load<Conversation[]>(session, "/api/conversations"),
    conversation === null
      ? NOTHING_YET
      : load<Message[]>(session, `/api/conversations/${conversation}/messages`),
  ]);
  if (!messages.ok && messages.status === 404) notFound();

  const panel = <ChatPanel first={{ conversation, messages, conversations }} assistant={assistant} />;
  const { chatkitKey } = services().config;
  if (!chatkitKey) return panel;
  return (
    <ChatKitOr domainKey={chatkitKey} assistant={assistant}>
      {panel}
    </ChatKitOr>
  );
}

/** The list of conversations beside the chat: renewed when something was said, and shorter at once when one is deleted. */

import { useCallback, useState } from "react";

import { request } from "@/lib/client/request";
import type { Conversation } from "@/lib/chat";
import type { Loaded } from "@/lib/loaded";

type Conversations = {
  conversations: readonly Conversation[];
  refresh: () => Promise<void>;
  /** Null once it is gone, otherwise why it is not. */
  drop: (id: number) => Promise<string | null>;
};

export function useConversations(first: Loaded<Conversation[]>): Conversations {
  const [loaded, setLoaded] = useState(first.ok ? first.value : []);
  // Those that are deleted or about to be: a list that was asked for before may still have them.
  const [dropped, setDropped] = useState<ReadonlySet<number>>(new Set());

  const refresh = useCallback(async () => {
    const answer = await request<Conversation[]>("GET", "/api/conversations");
    if (answer.ok) setLoaded(answer.value);
  }, []);

  async function drop(id: number): Promise<string | null> {
    setDropped((now) => new Set([...now, id]));
    const answer = await request<null>("DELETE", `/api/conversations/${id}`);
    // Another screen may have been faster.
    if (answer.ok || answer.status === 404) return null;
    setDropped((now) => new Set([...now].filter((one) => one !== id)));
    return answer.reason;
  }

  return { conversations: loaded.filter(({ id }) => !dropped.has(id)), refresh, drop };
}

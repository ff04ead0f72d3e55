import type { Assistant } from "@/lib/chat";
import type { Loaded } from "@/lib/loaded";

type Props = { id: string; assistant: Loaded<Assistant> };

/** What the page is, and who answers on it, whichever chat is below. */
export function ChatHeading({ id, assistant }: Props) {
  return (
    <div className="flex flex-wrap items-baseline justify-between gap-x-4">
      <h1 id={id} className="text-2xl font-semibold">
        Chat
      </h1>
      <p className="text-sm text-soft">{whoAnswers(assistant)}</p>
    </div>
  );
}

function whoAnswers(assistant: Loaded<Assistant>): string {
  if (!assistant.ok) return "Who answers is not known right now.";
  return assistant.value.kind === "openai"
    ? `${assistant.value.model} by OpenAI's interface answers.`
    : "The built-in assistant answers: it knows plain sentences about tasks.";
}

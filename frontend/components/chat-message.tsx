import { RichText } from "@/components/rich-text";
import { deed, type Message } from "@/lib/chat";

type Props = { message: Message; writing: boolean };

export function ChatMessage({ message, writing }: Props) {
  if (message.role === "user") {
    return (
      <li className="max-w-[85%] self-end rounded-2xl rounded-br-md bg-tint px-4 py-2.5">
        <span className="sr-only">You: </span>
        <span className="wrap-anywhere whitespace-pre-wrap">{message.text}</span>
      </li>
    );
  }
  return (
    <li className="card flex max-w-[92%] flex-col gap-2 self-start rounded-2xl rounded-bl-md px-4 py-3">
      <span className="sr-only">Assistant: </span>
      {message.tools.length > 0 ? (
        <ul aria-label="What the assistant did" className="flex flex-col gap-0.5 border-l-2 border-line pl-3 text-sm text-soft">
          {message.tools.map((call, index) => (
            <li key={index} data-tool={call.name} className="wrap-anywhere">
              {deed(call)}
            </li>
          ))}
        </ul>
      ) : null}
      {message.text ? <RichText text={message.text} /> : null}
      {writing && !message.text ? <p className="animate-pulse text-soft">Thinking…</p> : null}
      {message.failure ? (
        <p role="alert" className="text-danger">
          {message.failure}
        </p>
      ) : null}
    </li>
  );
}

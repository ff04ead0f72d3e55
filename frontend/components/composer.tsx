"use client";

import { useState, type FormEvent, type KeyboardEvent, type Ref } from "react";

type Props = {
  answering: boolean;
  stopping: boolean;
  /** Another conversation is being opened: what is said now would not be said in it. */
  opening: boolean;
  ask: (text: string) => void;
  stop: () => void;
  ref: Ref<HTMLTextAreaElement>;
};

const LENGTH = 4000;

export function Composer({ answering, stopping, opening, ask, stop, ref }: Props) {
  const [text, setText] = useState("");

  function send() {
    if (answering || opening || !text.trim()) return;
    ask(text.trim());
    setText("");
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    send();
  }

  function press(event: KeyboardEvent) {
    // Enter also ends a word that is being put together by an input method.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  }

  return (
    <form onSubmit={submit} className="sticky bottom-0 -mx-4 flex items-end gap-2 bg-page px-4 pt-2 pb-4">
      <label className="flex min-w-0 flex-1 flex-col">
        <span className="sr-only">Message</span>
        <textarea
          ref={ref}
          className="field field-sizing-content max-h-40 resize-none py-2.5"
          rows={1}
          value={text}
          maxLength={LENGTH}
          placeholder="Ask for something"
          aria-describedby="composer-hint"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={press}
        />
      </label>
      <span id="composer-hint" className="sr-only">
        Enter sends, Shift and Enter begin a new line.
      </span>
      {answering ? (
        <button type="button" className="button-main" aria-disabled={stopping} onClick={stop}>
          {stopping ? "Stopping…" : "Stop"}
        </button>
      ) : (
        <button className="button-main">Send</button>
      )}
    </form>
  );
}

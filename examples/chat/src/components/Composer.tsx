import { type FormEvent, type KeyboardEvent, useLayoutEffect, useRef, useState } from "react";
import { SendIcon } from "./icons";

interface Props {
  channel: string;
  /** Resolves to whether the message was taken; if not, its text comes back to the field. */
  onSend: (body: string) => Promise<boolean>;
}

/** The field for a new message: Enter sends, Shift+Enter starts a new line. */
export function Composer({ channel, onSend }: Props) {
  const [body, setBody] = useState("");
  const field = useRef<HTMLTextAreaElement | null>(null);

  useLayoutEffect(() => {
    const element = field.current;
    if (element !== null) {
      element.style.height = "auto";
      element.style.height = `${element.scrollHeight}px`;
    }
  }, [body]);

  async function send() {
    if (body.trim() === "") {
      return;
    }
    setBody("");
    if (!(await onSend(body))) {
      setBody((typedSince) => typedSince || body);
    }
  }

  function onSubmit(event: FormEvent) {
    event.preventDefault();
    void send();
    field.current?.focus();
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      void send();
    }
  }

  return (
    <form className="composer" onSubmit={onSubmit}>
      <div className="composer-box">
        <textarea
          ref={field}
          rows={1}
          value={body}
          onChange={(event) => setBody(event.target.value)}
          onKeyDown={onKeyDown}
          placeholder={`Message #${channel}`}
          aria-label={`Message #${channel}`}
          maxLength={2000}
          autoFocus
        />
        <button type="submit" aria-label="Send" disabled={body.trim() === ""}>
          <SendIcon />
        </button>
      </div>
      <p className="composer-hint" aria-hidden="true">
        <kbd>Enter</kbd> to send · <kbd>Shift</kbd>+<kbd>Enter</kbd> for a new line
      </p>
    </form>
  );
}

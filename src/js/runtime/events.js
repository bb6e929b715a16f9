// Events and abort signals. Timeouts need timers, which queries and mutations do not have.
(function events(host, shared) {
  "use strict";

  const CODES = {
    IndexSizeError: 1, NotFoundError: 8, NotSupportedError: 9, InvalidStateError: 11, SyntaxError: 12,
    InvalidAccessError: 15, TypeMismatchError: 17, NetworkError: 19, AbortError: 20, QuotaExceededError: 22,
    TimeoutError: 23, DataCloneError: 25, InvalidCharacterError: 5,
  };
  class DOMException extends Error {
    #name;
    constructor(message = "", name = "Error") {
      super(`${message}`);
      this.#name = `${name}`;
    }
    get name() {
      return this.#name;
    }
    get code() {
      return CODES[this.#name] ?? 0;
    }
  }

  class Event {
    #type;
    #cancelable;
    defaultPrevented = false;
    target = null;
    constructor(type, options = {}) {
      this.#type = `${type}`;
      this.#cancelable = Boolean(options?.cancelable);
    }
    get type() {
      return this.#type;
    }
    get cancelable() {
      return this.#cancelable;
    }
    preventDefault() {
      if (this.#cancelable) this.defaultPrevented = true;
    }
    stopPropagation() {}
    stopImmediatePropagation() {}
  }

  class EventTarget {
    #listeners = new Map();
    addEventListener(type, listener, options) {
      if (listener === null || listener === undefined) return;
      const once = typeof options === "object" && Boolean(options?.once);
      const listeners = this.#listeners.get(type) ?? [];
      if (!listeners.some((other) => other.listener === listener)) listeners.push({ listener, once });
      this.#listeners.set(type, listeners);
    }
    removeEventListener(type, listener) {
      this.#listeners.set(type, (this.#listeners.get(type) ?? []).filter((other) => other.listener !== listener));
    }
    dispatchEvent(event) {
      event.target = this;
      for (const { listener, once } of [...(this.#listeners.get(event.type) ?? [])]) {
        if (once) this.removeEventListener(event.type, listener);
        if (typeof listener === "function") listener.call(this, event);
        else listener.handleEvent(event);
      }
      return !event.defaultPrevented;
    }
  }

  const key = {};
  class AbortSignal extends EventTarget {
    #aborted = false;
    #reason;
    onabort = null;
    constructor(secret) {
      super();
      if (secret !== key) throw new TypeError("Illegal constructor");
    }
    static abort(reason) {
      const signal = new AbortSignal(key);
      abort(signal, reason);
      return signal;
    }
    static any(signals) {
      const result = new AbortSignal(key);
      for (const signal of signals) {
        if (signal.aborted) abort(result, signal.reason);
        else signal.addEventListener("abort", () => abort(result, signal.reason), { once: true });
      }
      return result;
    }
    static timeout() {
      throw shared.notInFunctions("AbortSignal.timeout()");
    }
    static trigger(signal, reason = new DOMException("The operation was aborted", "AbortError")) {
      if (signal.#aborted) return;
      signal.#aborted = true;
      signal.#reason = reason;
      const event = new Event("abort");
      signal.onabort?.(event);
      signal.dispatchEvent(event);
    }
    get aborted() {
      return this.#aborted;
    }
    get reason() {
      return this.#reason;
    }
    throwIfAborted() {
      if (this.#aborted) throw this.#reason;
    }
  }
  const abort = AbortSignal.trigger;
  delete AbortSignal.trigger;

  class AbortController {
    #signal = new AbortSignal(key);
    get signal() {
      return this.#signal;
    }
    abort(reason) {
      abort(this.#signal, reason);
    }
  }

  return { DOMException, Event, EventTarget, AbortController, AbortSignal };
})

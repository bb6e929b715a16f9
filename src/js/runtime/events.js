// Events and abort signals. Timeouts need timers, which queries and mutations do not have.
(function events(host, shared) {
  "use strict";

  const CODES = {
    IndexSizeError: 1, HierarchyRequestError: 3, WrongDocumentError: 4, InvalidCharacterError: 5,
    NoModificationAllowedError: 7, NotFoundError: 8, NotSupportedError: 9, InUseAttributeError: 10,
    InvalidStateError: 11, SyntaxError: 12, InvalidModificationError: 13, NamespaceError: 14, InvalidAccessError: 15,
    TypeMismatchError: 17, SecurityError: 18, NetworkError: 19, AbortError: 20, URLMismatchError: 21,
    QuotaExceededError: 22, TimeoutError: 23, InvalidNodeTypeError: 24, DataCloneError: 25,
  };
  class DOMException extends Error {
    #name;
    constructor(message = "", options = "Error") {
      const named = typeof options === "object" && options !== null;
      super(`${message}`, named && "cause" in options ? { cause: options.cause } : undefined);
      this.#name = `${named ? (options.name ?? "Error") : options}`;
    }
    get name() {
      return this.#name;
    }
    get code() {
      return CODES[this.#name] ?? 0;
    }
    get [Symbol.toStringTag]() {
      return "DOMException";
    }
  }
  for (const [name, code] of Object.entries(CODES)) {
    const constant = `${name.replace(/Error$/, "").replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase()}_ERR`;
    const property = { value: code, enumerable: true };
    Object.defineProperty(DOMException, constant, property);
    Object.defineProperty(DOMException.prototype, constant, property);
  }

  // Set while an event is dispatched: what of it the target may change.
  let dispatching;

  class Event {
    #type;
    #bubbles;
    #cancelable;
    #composed;
    #canceled = false;
    #stopped = false;
    #passive = false;
    #target = null;
    #phase = 0;
    #timeStamp = 0;
    static {
      dispatching = {
        begin(event, target) {
          if (event.#phase !== 0) throw new DOMException("The event is already being dispatched", "InvalidStateError");
          event.#target = target;
          event.#phase = Event.AT_TARGET;
          event.#stopped = false;
        },
        call(event, passive, listener, target) {
          event.#passive = passive;
          try {
            if (typeof listener === "function") listener.call(target, event);
            else listener.handleEvent(event);
          } finally {
            event.#passive = false;
          }
          return event.#stopped;
        },
        end(event) {
          event.#phase = 0;
        },
      };
    }
    static NONE = 0;
    static CAPTURING_PHASE = 1;
    static AT_TARGET = 2;
    static BUBBLING_PHASE = 3;
    constructor(type, options = {}) {
      if (arguments.length === 0) throw new TypeError("An Event needs a type");
      this.#type = `${type}`;
      this.#bubbles = Boolean(options?.bubbles);
      this.#cancelable = Boolean(options?.cancelable);
      this.#composed = Boolean(options?.composed);
    }
    get type() {
      return this.#type;
    }
    get bubbles() {
      return this.#bubbles;
    }
    get cancelable() {
      return this.#cancelable;
    }
    get composed() {
      return this.#composed;
    }
    get defaultPrevented() {
      return this.#canceled;
    }
    get returnValue() {
      return !this.#canceled;
    }
    get target() {
      return this.#target;
    }
    get srcElement() {
      return this.#target;
    }
    get currentTarget() {
      return this.#phase === 0 ? null : this.#target;
    }
    get eventPhase() {
      return this.#phase;
    }
    get isTrusted() {
      return false;
    }
    get timeStamp() {
      return this.#timeStamp;
    }
    composedPath() {
      return this.#phase === 0 ? [] : [this.#target];
    }
    preventDefault() {
      if (this.#cancelable && !this.#passive) this.#canceled = true;
    }
    stopPropagation() {}
    stopImmediatePropagation() {
      this.#stopped = true;
    }
    get [Symbol.toStringTag]() {
      return "Event";
    }
  }

  let forgetListeners;
  class EventTarget {
    #listeners = [];
    static {
      forgetListeners = (target) => {
        target.#listeners = [];
      };
    }
    addEventListener(type, listener, options = false) {
      if (listener === null || listener === undefined) return;
      const details = typeof options === "object" && options !== null ? options : { capture: options };
      const capture = Boolean(details.capture);
      const known = this.#listeners.some((entry) => entry.type === `${type}` && entry.listener === listener && entry.capture === capture);
      if (known || details.signal?.aborted) return;
      const entry = { type: `${type}`, listener, capture, once: Boolean(details.once), passive: Boolean(details.passive) };
      this.#listeners.push(entry);
      details.signal?.addEventListener("abort", () => this.#remove(entry), { once: true });
    }
    removeEventListener(type, listener, options = false) {
      const capture = Boolean(typeof options === "object" && options !== null ? options.capture : options);
      this.#remove(this.#listeners.find((entry) => entry.type === `${type}` && entry.listener === listener && entry.capture === capture));
    }
    #remove(entry) {
      this.#listeners = this.#listeners.filter((other) => other !== entry);
    }
    dispatchEvent(event) {
      if (!(event instanceof Event)) throw new TypeError("dispatchEvent takes an Event");
      dispatching.begin(event, this);
      try {
        for (const entry of [...this.#listeners].sort((a, b) => b.capture - a.capture)) {
          if (entry.type !== event.type || !this.#listeners.includes(entry)) continue;
          if (entry.once) this.#remove(entry);
          if (dispatching.call(event, entry.passive, entry.listener, this)) break;
        }
      } finally {
        dispatching.end(event);
      }
      return !event.defaultPrevented;
    }
    get [Symbol.toStringTag]() {
      return "EventTarget";
    }
  }

  let abort;
  const key = {};
  class AbortSignal extends EventTarget {
    #aborted = false;
    #reason;
    // Signals made of this one by AbortSignal.any().
    #dependents = [];
    #handler = null;
    static {
      abort = (signal, reason = new DOMException("This operation was aborted", "AbortError")) => {
        if (signal.#aborted) return;
        const signals = [signal];
        for (const each of signals) {
          each.#aborted = true;
          each.#reason = reason;
          signals.push(...each.#dependents.filter((dependent) => !dependent.#aborted && !signals.includes(dependent)));
        }
        for (const each of signals) each.dispatchEvent(new Event("abort"));
      };
    }
    constructor(secret) {
      if (secret !== key) throw new TypeError("Illegal constructor");
      super();
    }
    static abort(reason) {
      const signal = new AbortSignal(key);
      abort(signal, reason);
      return signal;
    }
    static any(signals) {
      const result = new AbortSignal(key);
      for (const signal of signals) {
        if (signal.aborted) {
          abort(result, signal.reason);
          return result;
        }
      }
      for (const signal of signals) signal.#dependents.push(result);
      return result;
    }
    static timeout() {
      shared.refuse("AbortSignal.timeout()");
    }
    get aborted() {
      return this.#aborted;
    }
    get reason() {
      return this.#reason;
    }
    get onabort() {
      return this.#handler;
    }
    set onabort(handler) {
      if (this.#handler !== null) this.removeEventListener("abort", this.#handler);
      this.#handler = typeof handler === "function" ? handler : null;
      if (this.#handler !== null) this.addEventListener("abort", this.#handler);
    }
    throwIfAborted() {
      if (this.#aborted) throw this.#reason;
    }
    get [Symbol.toStringTag]() {
      return "AbortSignal";
    }
  }

  class AbortController {
    #signal = new AbortSignal(key);
    get signal() {
      return this.#signal;
    }
    abort(reason) {
      abort(this.#signal, reason);
    }
    get [Symbol.toStringTag]() {
      return "AbortController";
    }
  }

  return { DOMException, Event, EventTarget, AbortController, AbortSignal, forgetListeners };
})

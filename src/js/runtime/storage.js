// Values that follow a call through its awaits: V8 carries one value per continuation, here a Map.
(function storage(host) {
  "use strict";

  const within = (context, callback, receiver, args) => {
    const outer = host.continuation();
    host.setContinuation(context);
    try {
      return Reflect.apply(callback, receiver, args);
    } finally {
      host.setContinuation(outer);
    }
  };

  class AsyncLocalStorage {
    static bind(callback) {
      return AsyncResource.bind(callback);
    }
    static snapshot() {
      const context = host.continuation();
      return (callback, ...args) => within(context, callback, undefined, args);
    }
    getStore() {
      return host.continuation()?.get(this);
    }
    run(store, callback, ...args) {
      return within(new Map(host.continuation()).set(this, store), callback, undefined, args);
    }
    exit(callback, ...args) {
      const context = new Map(host.continuation());
      context.delete(this);
      return within(context, callback, undefined, args);
    }
    enterWith(store) {
      host.setContinuation(new Map(host.continuation()).set(this, store));
    }
    disable() {
      const context = new Map(host.continuation());
      context.delete(this);
      host.setContinuation(context);
    }
  }

  class AsyncResource {
    #context = host.continuation();
    #type;
    constructor(type) {
      this.#type = type;
    }
    get type() {
      return this.#type;
    }
    static bind(callback, type = "bound") {
      return new AsyncResource(type).bind(callback);
    }
    bind(callback) {
      const context = this.#context;
      return function bound(...args) {
        return within(context, callback, this, args);
      };
    }
    runInAsyncScope(callback, receiver, ...args) {
      return within(this.#context, callback, receiver, args);
    }
  }

  return { AsyncLocalStorage, AsyncResource };
})

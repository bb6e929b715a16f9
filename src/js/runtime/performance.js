// The timeline of a call. Its clock stands still, so all of it happens at 0.
(function performanceTimeline(host, shared) {
  "use strict";

  const { DOMException, EventTarget, forgetListeners } = shared.use("events");
  const key = {};

  class PerformanceEntry {
    #name;
    #startTime;
    #duration;
    constructor(secret, name, startTime, duration) {
      if (secret !== key) throw new TypeError("Illegal constructor");
      this.#name = name;
      this.#startTime = startTime;
      this.#duration = duration;
    }
    get name() {
      return this.#name;
    }
    get entryType() {
      return "";
    }
    get startTime() {
      return this.#startTime;
    }
    get duration() {
      return this.#duration;
    }
    toJSON() {
      const { name, entryType, startTime, duration } = this;
      return { name, entryType, startTime, duration };
    }
  }

  const detailOf = (options) => (options?.detail === undefined ? null : host.structuredClone(options.detail));

  class PerformanceMark extends PerformanceEntry {
    #detail;
    constructor(name, options = {}) {
      const startTime = options?.startTime ?? 0;
      if (startTime < 0) throw new TypeError("startTime must not be negative");
      super(key, `${name}`, startTime, 0);
      this.#detail = detailOf(options);
    }
    get entryType() {
      return "mark";
    }
    get detail() {
      return this.#detail;
    }
  }

  class PerformanceMeasure extends PerformanceEntry {
    #detail;
    constructor(secret, name, startTime, duration, detail) {
      super(secret, name, startTime, duration);
      this.#detail = detail;
    }
    get entryType() {
      return "measure";
    }
    get detail() {
      return this.#detail;
    }
  }

  class Performance extends EventTarget {
    #entries = [];
    constructor(secret) {
      if (secret !== key) throw new TypeError("Illegal constructor");
      super();
    }
    get timeOrigin() {
      return shared.now();
    }
    now() {
      return 0;
    }
    mark(name, options = {}) {
      const mark = new PerformanceMark(name, options);
      this.#entries.push(mark);
      return mark;
    }
    measure(name, startOrOptions = undefined, endMark = undefined) {
      const options = typeof startOrOptions === "object" && startOrOptions !== null ? startOrOptions : { start: startOrOptions };
      const end = this.#timeOf(options.end ?? endMark) ?? this.#timeOf(options.start) + (options.duration ?? NaN);
      const endTime = Number.isNaN(end) ? this.now() : (end ?? this.now());
      const startTime = this.#timeOf(options.start) ?? (options.duration === undefined ? 0 : endTime - options.duration);
      const measure = new PerformanceMeasure(key, `${name}`, startTime, endTime - startTime, detailOf(options));
      this.#entries.push(measure);
      return measure;
    }
    #timeOf(mark) {
      if (mark === undefined || typeof mark === "number") return mark;
      const found = this.getEntriesByName(`${mark}`, "mark").at(-1);
      if (found === undefined) throw new DOMException(`There is no mark "${mark}"`, "SyntaxError");
      return found.startTime;
    }
    clearMarks(name = undefined) {
      this.#clear("mark", name);
    }
    clearMeasures(name = undefined) {
      this.#clear("measure", name);
    }
    #clear(type, name) {
      this.#entries = this.#entries.filter((entry) => entry.entryType !== type || (name !== undefined && entry.name !== `${name}`));
    }
    getEntries() {
      return [...this.#entries].sort((a, b) => a.startTime - b.startTime);
    }
    getEntriesByType(type) {
      return this.getEntries().filter((entry) => entry.entryType === type);
    }
    getEntriesByName(name, type = undefined) {
      return this.getEntries().filter((entry) => entry.name === name && (type === undefined || entry.entryType === type));
    }
    toJSON() {
      return { timeOrigin: this.timeOrigin };
    }
  }

  for (const Class of [Performance, PerformanceEntry, PerformanceMark, PerformanceMeasure]) {
    Object.defineProperty(Class.prototype, Symbol.toStringTag, { value: Class.name, configurable: true });
  }
  const performance = new Performance(key);
  const forget = () => {
    performance.clearMarks();
    performance.clearMeasures();
    forgetListeners(performance);
  };
  return { forget, performance, Performance, PerformanceEntry, PerformanceMark, PerformanceMeasure };
})

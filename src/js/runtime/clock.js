// The clock that functions see: `Date` and the formatting of the present date ask `now`, milliseconds since 1970.
(function clock(now) {
  "use strict";

  const define = (target, name, value) =>
    Object.defineProperty(target, name, { value, writable: true, enumerable: false, configurable: true });

  const NativeDate = Date;
  const { construct } = Reflect;
  const FrozenDate = function Date(...args) {
    if (new.target === undefined) return new NativeDate(now()).toString();
    return construct(NativeDate, args.length === 0 ? [now()] : args, new.target);
  };
  Object.defineProperty(FrozenDate, "length", { value: 7, configurable: true });
  Object.defineProperty(FrozenDate, "prototype", { value: NativeDate.prototype, writable: false });
  define(FrozenDate, "now", now);
  define(FrozenDate, "parse", NativeDate.parse);
  define(FrozenDate, "UTC", NativeDate.UTC);
  define(NativeDate.prototype, "constructor", FrozenDate);
  define(globalThis, "Date", FrozenDate);

  // Formatting without a date formats the present one.
  const DateTimeFormat = Intl.DateTimeFormat.prototype;
  const nativeFormat = Object.getOwnPropertyDescriptor(DateTimeFormat, "format").get;
  const nativeFormatToParts = DateTimeFormat.formatToParts;
  Object.defineProperty(DateTimeFormat, "format", {
    get() {
      const format = nativeFormat.call(this);
      return (date) => format(date === undefined ? now() : date);
    },
    enumerable: false,
    configurable: true,
  });
  define(DateTimeFormat, "formatToParts", function formatToParts(date) {
    return nativeFormatToParts.call(this, date === undefined ? now() : date);
  });
})

var Ze = Object.defineProperty;
var n = (e, t) => Ze(e, "name", { value: t, configurable: !0 });

// ../../node_modules/convex/dist/esm/values/base64.js
var A = [], x = [], et = Uint8Array, pe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
for (O = 0, Ee = pe.length; O < Ee; ++O)
  A[O] = pe[O], x[pe.charCodeAt(O)] = O;
var O, Ee;
x[45] = 62;
x[95] = 63;
function tt(e) {
  var t = e.length;
  if (t % 4 > 0)
    throw new Error("Invalid string. Length must be a multiple of 4");
  var r = e.indexOf("=");
  r === -1 && (r = t);
  var o = r === t ? 0 : 4 - r % 4;
  return [r, o];
}
n(tt, "getLens");
function rt(e, t, r) {
  return (t + r) * 3 / 4 - r;
}
n(rt, "_byteLength");
function P(e) {
  var t, r = tt(e), o = r[0], s = r[1], c = new et(rt(e, o, s)), i = 0, f = s > 0 ? o - 4 : o, p;
  for (p = 0; p < f; p += 4)
    t = x[e.charCodeAt(p)] << 18 | x[e.charCodeAt(p + 1)] << 12 | x[e.charCodeAt(p + 2)] << 6 | x[e.charCodeAt(p + 3)], c[i++] = t >> 16 & 255, c[i++] = t >> 8 & 255, c[i++] = t & 255;
  return s === 2 && (t = x[e.charCodeAt(p)] << 2 | x[e.charCodeAt(p + 1)] >> 4, c[i++] = t & 255), s === 1 && (t = x[e.charCodeAt(p)] << 10 | x[e.charCodeAt(p + 1)] << 4 | x[e.charCodeAt(p + 2)] >> 2, c[i++] = t >> 8 & 255, c[i++] = t & 255), c;
}
n(P, "toByteArray");
function nt(e) {
  return A[e >> 18 & 63] + A[e >> 12 & 63] + A[e >> 6 & 63] + A[e & 63];
}
n(nt, "tripletToBase64");
function ot(e, t, r) {
  for (var o, s = [], c = t; c < r; c += 3)
    o = (e[c] << 16 & 16711680) + (e[c + 1] << 8 & 65280) + (e[c + 2] & 255), s.push(nt(o));
  return s.join("");
}
n(ot, "encodeChunk");
function N(e) {
  for (var t, r = e.length, o = r % 3, s = [], c = 16383, i = 0, f = r - o; i < f; i += c)
    s.push(
      ot(
        e,
        i,
        i + c > f ? f : i + c
      )
    );
  return o === 1 ? (t = e[r - 1], s.push(A[t >> 2] + A[t << 4 & 63] + "==")) : o === 2 && (t = (e[r - 2] << 8) + e[r - 1], s.push(
    A[t >> 10] + A[t >> 4 & 63] + A[t << 2 & 63] + "="
  )), s.join("");
}
n(N, "fromByteArray");

// ../../node_modules/convex/dist/esm/common/index.js
function F(e) {
  if (e === void 0)
    return {};
  if (!k(e))
    throw new Error(
      `The arguments to a Convex function must be an object. Received: ${e}`
    );
  return e;
}
n(F, "parseArgs");
function k(e) {
  let t = typeof e == "object", r = Object.getPrototypeOf(e), o = r === null || r === Object.prototype || // Objects generated from other contexts (e.g. across Node.js `vm` modules) will not satisfy the previous
  // conditions but are still simple objects.
  r?.constructor?.name === "Object";
  return t && o;
}
n(k, "isSimpleObject");

// ../../node_modules/convex/dist/esm/values/value.js
var Oe = !0, j = BigInt("-9223372036854775808"), L = BigInt("9223372036854775807"), me = BigInt("0"), st = BigInt("8"), it = BigInt("256"), de = "This commit timestamp is unresolved: its value is assigned when the mutation commits. Read the document after the mutation completes to get its value.", I = class {
  static {
    n(this, "CommitTsPlaceholder");
  }
  [Symbol.toPrimitive](t) {
    if (t === "string")
      return this.toString();
    throw new Error(de);
  }
  valueOf() {
    throw new Error(de);
  }
  toJSON() {
    throw new Error(de);
  }
  toString() {
    return "[unresolved commit timestamp]";
  }
}, _e = new I();
function Ie(e) {
  return Number.isNaN(e) || !Number.isFinite(e) || Object.is(e, -0);
}
n(Ie, "isSpecial");
function at(e) {
  e < me && (e -= j + j);
  let t = e.toString(16);
  t.length % 2 === 1 && (t = "0" + t);
  let r = new Uint8Array(new ArrayBuffer(8)), o = 0;
  for (let s of t.match(/.{2}/g).reverse())
    r.set([parseInt(s, 16)], o++), e >>= st;
  return N(r);
}
n(at, "slowBigIntToBase64");
function ct(e) {
  let t = P(e);
  if (t.byteLength !== 8)
    throw new Error(
      `Received ${t.byteLength} bytes, expected 8 for $integer`
    );
  let r = me, o = me;
  for (let s of t)
    r += BigInt(s) * it ** o, o++;
  return r > L && (r += j + j), r;
}
n(ct, "slowBase64ToBigInt");
function ut(e) {
  if (e < j || L < e)
    throw new Error(
      `BigInt ${e} does not fit into a 64-bit signed integer.`
    );
  let t = new ArrayBuffer(8);
  return new DataView(t).setBigInt64(0, e, !0), N(new Uint8Array(t));
}
n(ut, "modernBigIntToBase64");
function lt(e) {
  let t = P(e);
  if (t.byteLength !== 8)
    throw new Error(
      `Received ${t.byteLength} bytes, expected 8 for $integer`
    );
  return new DataView(t.buffer).getBigInt64(0, !0);
}
n(lt, "modernBase64ToBigInt");
var ft = DataView.prototype.setBigInt64 ? ut : at, pt = DataView.prototype.getBigInt64 ? lt : ct, Se = 1024;
function ye(e) {
  if (e.length > Se)
    throw new Error(
      `Field name ${e} exceeds maximum field name length ${Se}.`
    );
  if (e.startsWith("$"))
    throw new Error(`Field name ${e} starts with a '$', which is reserved.`);
  for (let t = 0; t < e.length; t += 1) {
    let r = e.charCodeAt(t);
    if (r < 32 || r >= 127)
      throw new Error(
        `Field name ${e} has invalid character '${e[t]}': Field names can only contain non-control ASCII characters`
      );
  }
}
n(ye, "validateObjectField");
function m(e) {
  if (e === null || typeof e == "boolean" || typeof e == "number" || typeof e == "string")
    return e;
  if (Array.isArray(e))
    return e.map((o) => m(o));
  if (typeof e != "object")
    throw new Error(`Unexpected type of ${e}`);
  let t = Object.entries(e);
  if (t.length === 1) {
    let o = t[0][0];
    if (o === "$bytes") {
      if (typeof e.$bytes != "string")
        throw new Error(`Malformed $bytes field on ${e}`);
      return P(e.$bytes).buffer;
    }
    if (o === "$integer") {
      if (typeof e.$integer != "string")
        throw new Error(`Malformed $integer field on ${e}`);
      return pt(e.$integer);
    }
    if (o === "$float") {
      if (typeof e.$float != "string")
        throw new Error(`Malformed $float field on ${e}`);
      let s = P(e.$float);
      if (s.byteLength !== 8)
        throw new Error(
          `Received ${s.byteLength} bytes, expected 8 for $float`
        );
      let i = new DataView(s.buffer).getFloat64(0, Oe);
      if (!Ie(i))
        throw new Error(`Float ${i} should be encoded as a number`);
      return i;
    }
    if (o === "$commitTs") {
      if (e.$commitTs !== null)
        throw new Error(`Malformed $commitTs field on ${e}`);
      return _e;
    }
    if (o === "$set")
      throw new Error(
        "Received a Set which is no longer supported as a Convex type."
      );
    if (o === "$map")
      throw new Error(
        "Received a Map which is no longer supported as a Convex type."
      );
  }
  let r = {};
  for (let [o, s] of Object.entries(e))
    ye(o), r[o] = m(s);
  return r;
}
n(m, "jsonToConvex");
var Te = 16384;
function _(e) {
  let t = JSON.stringify(e, (r, o) => o === void 0 ? "undefined" : typeof o == "function" ? "[Function]" : typeof o == "symbol" ? String(o) : typeof o == "bigint" ? `${o.toString()}n` : o);
  if (t.length > Te) {
    let r = "[...truncated]", o = Te - r.length, s = t.codePointAt(o - 1);
    return s !== void 0 && s > 65535 && (o -= 1), t.substring(0, o) + r;
  }
  return t;
}
n(_, "stringifyValueForError");
function J(e, t, r, o) {
  if (e === void 0) {
    let i = r && ` (present at path ${r} in original object ${_(
      t
    )})`;
    throw new Error(
      `undefined is not a valid Convex value${i}. To learn about Convex's supported types, see https://docs.convex.dev/using/types.`
    );
  }
  if (e === null)
    return e;
  if (typeof e == "bigint") {
    if (e < j || L < e)
      throw new Error(
        `BigInt ${e} does not fit into a 64-bit signed integer.`
      );
    return { $integer: ft(e) };
  }
  if (typeof e == "number")
    if (Ie(e)) {
      let i = new ArrayBuffer(8);
      return new DataView(i).setFloat64(0, e, Oe), { $float: N(new Uint8Array(i)) };
    } else
      return e;
  if (typeof e == "boolean" || typeof e == "string")
    return e;
  if (e instanceof ArrayBuffer)
    return { $bytes: N(new Uint8Array(e)) };
  if (e instanceof I)
    return { $commitTs: null };
  if (Array.isArray(e))
    return e.map(
      (i, f) => J(i, t, r + `[${f}]`, !1)
    );
  if (e instanceof Set)
    throw new Error(
      he(r, "Set", [...e], t)
    );
  if (e instanceof Map)
    throw new Error(
      he(r, "Map", [...e], t)
    );
  if (!k(e)) {
    let i = e?.constructor?.name, f = i ? `${i} ` : "";
    throw new Error(
      he(r, f, e, t)
    );
  }
  let s = {}, c = Object.entries(e);
  c.sort(([i, f], [p, T]) => i === p ? 0 : i < p ? -1 : 1);
  for (let [i, f] of c)
    f !== void 0 ? (ye(i), s[i] = J(f, t, r + `.${i}`, !1)) : o && (ye(i), s[i] = $e(
      f,
      t,
      r + `.${i}`
    ));
  return s;
}
n(J, "convexToJsonInternal");
function he(e, t, r, o) {
  return e ? `${t}${_(
    r
  )} is not a supported Convex type (present at path ${e} in original object ${_(
    o
  )}). To learn about Convex's supported types, see https://docs.convex.dev/using/types.` : `${t}${_(
    r
  )} is not a supported Convex type.`;
}
n(he, "errorMessageForUnsupportedType");
function $e(e, t, r) {
  if (e === void 0)
    return { $undefined: null };
  if (t === void 0)
    throw new Error(
      `Programming error. Current value is ${_(
        e
      )} but original value is undefined`
    );
  return J(e, t, r, !1);
}
n($e, "convexOrUndefinedToJsonInternal");
function b(e) {
  return J(e, e, "", !1);
}
n(b, "convexToJson");
function v(e) {
  return $e(e, e, "");
}
n(v, "convexOrUndefinedToJson");

// ../../node_modules/convex/dist/esm/values/errors.js
var dt = Object.defineProperty, ht = /* @__PURE__ */ n((e, t, r) => t in e ? dt(e, t, { enumerable: !0, configurable: !0, writable: !0, value: r }) : e[t] = r, "__defNormalProp"), we = /* @__PURE__ */ n((e, t, r) => ht(e, typeof t != "symbol" ? t + "" : t, r), "__publicField"), Ce, Pe, mt = Symbol.for("ConvexError"), D = class extends (Pe = Error, Ce = mt, Pe) {
  static {
    n(this, "ConvexError");
  }
  constructor(t) {
    super(typeof t == "string" ? t : _(t)), we(this, "name", "ConvexError"), we(this, "data"), we(this, Ce, !0), this.data = t;
  }
};

// ../../node_modules/convex/dist/esm/values/validators.js
var yt = Object.defineProperty, wt = /* @__PURE__ */ n((e, t, r) => t in e ? yt(e, t, { enumerable: !0, configurable: !0, writable: !0, value: r }) : e[t] = r, "__defNormalProp"), l = /* @__PURE__ */ n((e, t, r) => wt(e, typeof t != "symbol" ? t + "" : t, r), "__publicField"), gt = "https://docs.convex.dev/error#undefined-validator";
function q(e, t) {
  let r = t !== void 0 ? ` for field "${t}"` : "";
  throw new Error(
    `A validator is undefined${r} in ${e}. This is often caused by circular imports. See ${gt} for details.`
  );
}
n(q, "throwUndefinedValidatorError");
var w = class {
  static {
    n(this, "BaseValidator");
  }
  constructor({ isOptional: t }) {
    l(this, "type"), l(this, "fieldPaths"), l(this, "isOptional"), l(this, "isConvexValidator"), this.isOptional = t, this.isConvexValidator = !0;
  }
}, Q = class e extends w {
  static {
    n(this, "VId");
  }
  /**
   * Usually you'd use `v.id(tableName)` instead.
   */
  constructor({
    isOptional: t,
    tableName: r
  }) {
    if (super({ isOptional: t }), l(this, "tableName"), l(this, "kind", "id"), typeof r != "string")
      throw new Error("v.id(tableName) requires a string");
    this.tableName = r;
  }
  /** @internal */
  get json() {
    return { type: "id", tableName: this.tableName };
  }
  /** Allow this field to be validated as absent. */
  optional() {
    return new e({
      isOptional: "optional",
      tableName: this.tableName
    });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
}, M = class e extends w {
  static {
    n(this, "VFloat64");
  }
  constructor() {
    super(...arguments), l(this, "kind", "float64");
  }
  /** @internal */
  get json() {
    return { type: "number" };
  }
  /** Allow this field to be validated as absent. */
  optional() {
    return new e({
      isOptional: "optional"
    });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
}, B = class e extends w {
  static {
    n(this, "VInt64");
  }
  constructor() {
    super(...arguments), l(this, "kind", "int64");
  }
  /** @internal */
  get json() {
    return { type: "bigint" };
  }
  /** Allow this validated field to be absent. */
  optional() {
    return new e({ isOptional: "optional" });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
}, H = class e extends w {
  static {
    n(this, "VCommitTs");
  }
  constructor() {
    super(...arguments), l(this, "kind", "commitTs");
  }
  /** @internal */
  get json() {
    return { type: this.kind };
  }
  /** Allow this validated field to be absent. */
  optional() {
    return new e({
      isOptional: "optional"
    });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
}, z = class e extends w {
  static {
    n(this, "VBoolean");
  }
  constructor() {
    super(...arguments), l(this, "kind", "boolean");
  }
  /** @internal */
  get json() {
    return { type: this.kind };
  }
  /** Allow this validated field to be absent. */
  optional() {
    return new e({
      isOptional: "optional"
    });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
}, W = class e extends w {
  static {
    n(this, "VBytes");
  }
  constructor() {
    super(...arguments), l(this, "kind", "bytes");
  }
  /** @internal */
  get json() {
    return { type: this.kind };
  }
  /** Allow this validated field to be absent. */
  optional() {
    return new e({ isOptional: "optional" });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
}, G = class e extends w {
  static {
    n(this, "VString");
  }
  constructor() {
    super(...arguments), l(this, "kind", "string");
  }
  /** @internal */
  get json() {
    return { type: this.kind };
  }
  /** Allow this validated field to be absent. */
  optional() {
    return new e({
      isOptional: "optional"
    });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
}, X = class e extends w {
  static {
    n(this, "VNull");
  }
  constructor() {
    super(...arguments), l(this, "kind", "null");
  }
  /** @internal */
  get json() {
    return { type: this.kind };
  }
  /** Allow this validated field to be absent. */
  optional() {
    return new e({ isOptional: "optional" });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
}, Y = class e extends w {
  static {
    n(this, "VAny");
  }
  constructor() {
    super(...arguments), l(this, "kind", "any");
  }
  /** @internal */
  get json() {
    return {
      type: this.kind
    };
  }
  /** Allow this validated field to be absent. */
  optional() {
    return new e({
      isOptional: "optional"
    });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
}, K = class e extends w {
  static {
    n(this, "VObject");
  }
  /**
   * Usually you'd use `v.object({ ... })` instead.
   */
  constructor({
    isOptional: t,
    fields: r
  }) {
    super({ isOptional: t }), l(this, "fields"), l(this, "kind", "object"), globalThis.Object.entries(r).forEach(([o, s]) => {
      if (s === void 0 && q("v.object()", o), !s.isConvexValidator)
        throw new Error("v.object() entries must be validators");
    }), this.fields = r;
  }
  /** @internal */
  get json() {
    return {
      type: this.kind,
      value: globalThis.Object.fromEntries(
        globalThis.Object.entries(this.fields).map(([t, r]) => [
          t,
          {
            fieldType: r.json,
            optional: r.isOptional === "optional"
          }
        ])
      )
    };
  }
  /** Allow this validated field to be absent. */
  optional() {
    return new e({
      isOptional: "optional",
      fields: this.fields
    });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
  /**
   * Create a new VObject with the specified fields omitted.
   * @param fields The field names to omit from this VObject.
   */
  omit(...t) {
    let r = { ...this.fields };
    for (let o of t)
      delete r[o];
    return new e({
      isOptional: this.isOptional,
      fields: r
    });
  }
  /**
   * Create a new VObject with only the specified fields.
   * @param fields The field names to pick from this VObject.
   */
  pick(...t) {
    let r = {};
    for (let o of t)
      r[o] = this.fields[o];
    return new e({
      isOptional: this.isOptional,
      fields: r
    });
  }
  /**
   * Create a new VObject with all fields marked as optional.
   */
  partial() {
    let t = {};
    for (let [r, o] of globalThis.Object.entries(this.fields))
      t[r] = o.asOptional();
    return new e({
      isOptional: this.isOptional,
      fields: t
    });
  }
  /**
   * Create a new VObject with additional fields merged in.
   * @param fields An object with additional validators to merge into this VObject.
   */
  extend(t) {
    return new e({
      isOptional: this.isOptional,
      fields: { ...this.fields, ...t }
    });
  }
}, Z = class e extends w {
  static {
    n(this, "VLiteral");
  }
  /**
   * Usually you'd use `v.literal(value)` instead.
   */
  constructor({ isOptional: t, value: r }) {
    if (super({ isOptional: t }), l(this, "value"), l(this, "kind", "literal"), typeof r != "string" && typeof r != "boolean" && typeof r != "number" && typeof r != "bigint")
      throw new Error("v.literal(value) must be a string, number, or boolean");
    this.value = r;
  }
  /** @internal */
  get json() {
    return {
      type: this.kind,
      value: b(this.value)
    };
  }
  /** Allow this validated field to be absent. */
  optional() {
    return new e({
      isOptional: "optional",
      value: this.value
    });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
}, ee = class e extends w {
  static {
    n(this, "VArray");
  }
  /**
   * Usually you'd use `v.array(element)` instead.
   */
  constructor({
    isOptional: t,
    element: r
  }) {
    super({ isOptional: t }), l(this, "element"), l(this, "kind", "array"), r === void 0 && q("v.array()"), this.element = r;
  }
  /** @internal */
  get json() {
    return {
      type: this.kind,
      value: this.element.json
    };
  }
  /** Allow this validated field to be absent. */
  optional() {
    return new e({
      isOptional: "optional",
      element: this.element
    });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
}, te = class e extends w {
  static {
    n(this, "VRecord");
  }
  /**
   * Usually you'd use `v.record(key, value)` instead.
   */
  constructor({
    isOptional: t,
    key: r,
    value: o
  }) {
    if (super({ isOptional: t }), l(this, "key"), l(this, "value"), l(this, "kind", "record"), r === void 0 && q("v.record()", "key"), o === void 0 && q("v.record()", "value"), r.isOptional === "optional")
      throw new Error("Record validator cannot have optional keys");
    if (o.isOptional === "optional")
      throw new Error("Record validator cannot have optional values");
    if (!r.isConvexValidator || !o.isConvexValidator)
      throw new Error("Key and value of v.record() must be validators");
    this.key = r, this.value = o;
  }
  /** @internal */
  get json() {
    return {
      type: this.kind,
      // This cast is needed because TypeScript thinks the key type is too wide
      keys: this.key.json,
      values: {
        fieldType: this.value.json,
        optional: !1
      }
    };
  }
  /** Allow this validated field to be absent. */
  optional() {
    return new e({
      isOptional: "optional",
      key: this.key,
      value: this.value
    });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
}, re = class e extends w {
  static {
    n(this, "VUnion");
  }
  /**
   * Usually you'd use `v.union(...members)` instead.
   */
  constructor({ isOptional: t, members: r }) {
    super({ isOptional: t }), l(this, "members"), l(this, "kind", "union"), r.forEach((o, s) => {
      if (o === void 0 && q("v.union()", `member at index ${s}`), !o.isConvexValidator)
        throw new Error("All members of v.union() must be validators");
    }), this.members = r;
  }
  /** @internal */
  get json() {
    return {
      type: this.kind,
      value: this.members.map((t) => t.json)
    };
  }
  /** Allow this validated field to be absent. */
  optional() {
    return new e({
      isOptional: "optional",
      members: this.members
    });
  }
  /** @internal */
  asOptional() {
    return this.optional();
  }
};

// ../../node_modules/convex/dist/esm/values/validator.js
function U(e) {
  return e?.isConvexValidator === !0;
}
n(U, "isValidator");
function ne(e) {
  return U(e) ? e : a.object(e);
}
n(ne, "asObjectValidator");
var a = {
  /**
   * Validates that the value is a document ID for the given table.
   *
   * IDs are strings at runtime but are typed as `Id<"tableName">` in
   * TypeScript for type safety.
   *
   * @example
   * ```typescript
   * args: { userId: v.id("users") }
   * ```
   *
   * @param tableName The name of the table.
   */
  id: /* @__PURE__ */ n((e) => new Q({
    isOptional: "required",
    tableName: e
  }), "id"),
  /**
   * Validates that the value is `null`.
   *
   * Use `returns: v.null()` for functions that don't return a meaningful value.
   * JavaScript `undefined` is not a valid Convex value, it is automatically
   * converted to `null`.
   */
  null: /* @__PURE__ */ n(() => new X({ isOptional: "required" }), "null"),
  /**
   * Validates that the value is a JavaScript `number` (Convex Float64).
   *
   * Supports all IEEE-754 double-precision floating point numbers including
   * NaN and Infinity.
   *
   * Alias for `v.float64()`.
   */
  number: /* @__PURE__ */ n(() => new M({ isOptional: "required" }), "number"),
  /**
   * Validates that the value is a JavaScript `number` (Convex Float64).
   *
   * Supports all IEEE-754 double-precision floating point numbers.
   */
  float64: /* @__PURE__ */ n(() => new M({ isOptional: "required" }), "float64"),
  /**
   * @deprecated Use `v.int64()` instead.
   */
  bigint: /* @__PURE__ */ n(() => new B({ isOptional: "required" }), "bigint"),
  /**
   * Validates that the value is a JavaScript `bigint` (Convex Int64).
   *
   * Supports BigInts between -2^63 and 2^63-1.
   *
   * @example
   * ```typescript
   * args: { timestamp: v.int64() }
   * // Usage: createDoc({ timestamp: 1234567890n })
   * ```
   */
  int64: /* @__PURE__ */ n(() => new B({ isOptional: "required" }), "int64"),
  /**
   * Validates that the value is a commit timestamp: an int64 (`bigint`)
   * assigned from the transaction's commit timestamp.
   *
   * An index on a field with this validator orders documents by commit order.
   * Accepts any int64 value; write `db.vars.commitTs` to have the field
   * resolve to the commit timestamp when the mutation commits.
   */
  commitTs: /* @__PURE__ */ n(() => new H({ isOptional: "required" }), "commitTs"),
  /**
   * Validates that the value is a `boolean`.
   */
  boolean: /* @__PURE__ */ n(() => new z({ isOptional: "required" }), "boolean"),
  /**
   * Validates that the value is a `string`.
   *
   * Strings are stored as UTF-8 and their storage size is calculated as their
   * UTF-8 encoded size.
   */
  string: /* @__PURE__ */ n(() => new G({ isOptional: "required" }), "string"),
  /**
   * Validates that the value is an `ArrayBuffer` (Convex Bytes).
   *
   * Use for binary data.
   */
  bytes: /* @__PURE__ */ n(() => new W({ isOptional: "required" }), "bytes"),
  /**
   * Validates that the value is exactly equal to the given literal.
   *
   * Useful for discriminated unions and enum-like patterns.
   *
   * @example
   * ```typescript
   * // Discriminated union pattern:
   * v.union(
   *   v.object({ kind: v.literal("error"), message: v.string() }),
   *   v.object({ kind: v.literal("success"), value: v.number() }),
   * )
   * ```
   *
   * @param literal The literal value to compare against.
   */
  literal: /* @__PURE__ */ n((e) => new Z({ isOptional: "required", value: e }), "literal"),
  /**
   * Validates that the value is an `Array` where every element matches the
   * given validator.
   *
   * Arrays can have at most 8192 elements.
   *
   * @example
   * ```typescript
   * args: { tags: v.array(v.string()) }
   * args: { coordinates: v.array(v.number()) }
   * args: { items: v.array(v.object({ name: v.string(), qty: v.number() })) }
   * ```
   *
   * @param element The validator for the elements of the array.
   */
  array: /* @__PURE__ */ n((e) => new ee({ isOptional: "required", element: e }), "array"),
  /**
   * Validates that the value is an `Object` with the specified properties.
   *
   * Objects can have at most 1024 entries. Field names must be non-empty and
   * must not start with `"$"` or `"_"` (`_` is reserved for system fields
   * like `_id` and `_creationTime`; `$` is reserved for Convex internal use).
   *
   * @example
   * ```typescript
   * args: {
   *   user: v.object({
   *     name: v.string(),
   *     email: v.string(),
   *     age: v.optional(v.number()),
   *   })
   * }
   * ```
   *
   * @param fields An object mapping property names to their validators.
   */
  object: /* @__PURE__ */ n((e) => new K({ isOptional: "required", fields: e }), "object"),
  /**
   * Validates that the value is a `Record` (object with dynamic keys).
   *
   * Records are objects at runtime but allow dynamic keys, unlike `v.object()`
   * which requires known property names. Keys must be ASCII characters only,
   * non-empty, and not start with `"$"` or `"_"`.
   *
   * @example
   * ```typescript
   * // Map of user IDs to scores:
   * args: { scores: v.record(v.id("users"), v.number()) }
   *
   * // Map of string keys to string values:
   * args: { metadata: v.record(v.string(), v.string()) }
   * ```
   *
   * @param keys The validator for the keys of the record.
   * @param values The validator for the values of the record.
   */
  record: /* @__PURE__ */ n((e, t) => new te({
    isOptional: "required",
    key: e,
    value: t
  }), "record"),
  /**
   * Validates that the value matches at least one of the given validators.
   *
   * @example
   * ```typescript
   * // Allow string or number:
   * args: { value: v.union(v.string(), v.number()) }
   *
   * // Discriminated union (recommended pattern):
   * v.union(
   *   v.object({ kind: v.literal("text"), body: v.string() }),
   *   v.object({ kind: v.literal("image"), url: v.string() }),
   * )
   *
   * // Nullable value:
   * returns: v.union(v.object({ ... }), v.null())
   * ```
   *
   * @param members The validators to match against.
   */
  union: /* @__PURE__ */ n((...e) => new re({
    isOptional: "required",
    members: e
  }), "union"),
  /**
   * A validator that accepts any Convex value without validation.
   *
   * Prefer using specific validators when possible for better type safety
   * and runtime validation.
   */
  any: /* @__PURE__ */ n(() => new Y({ isOptional: "required" }), "any"),
  /**
   * Makes a property optional in an object validator.
   *
   * An optional property can be omitted entirely when creating a document or
   * calling a function. This is different from `v.nullable()` which requires
   * the property to be present but allows `null`.
   *
   * @example
   * ```typescript
   * v.object({
   *   name: v.string(),              // required
   *   nickname: v.optional(v.string()), // can be omitted
   * })
   *
   * // Valid: { name: "Alice" }
   * // Valid: { name: "Alice", nickname: "Ali" }
   * // Invalid: { name: "Alice", nickname: null }  - use v.nullable() for this
   * ```
   *
   * @param value The property value validator to make optional.
   */
  optional: /* @__PURE__ */ n((e) => e.asOptional(), "optional"),
  /**
   * Allows a value to be either the given type or `null`.
   *
   * This is shorthand for `v.union(value, v.null())`. Unlike `v.optional()`,
   * the property must still be present, but may be `null`.
   *
   * @example
   * ```typescript
   * v.object({
   *   name: v.string(),
   *   deletedAt: v.nullable(v.number()), // must be present, can be null
   * })
   *
   * // Valid: { name: "Alice", deletedAt: null }
   * // Valid: { name: "Alice", deletedAt: 1234567890 }
   * // Invalid: { name: "Alice" }  - deletedAt is required
   * ```
   */
  nullable: /* @__PURE__ */ n((e) => a.union(e, a.null()), "nullable")
};

// ../../node_modules/convex/dist/esm/values/compare_utf8.js
var Ne = /* @__PURE__ */ n(() => Array.from({ length: 4 }, () => 0), "arr"), Tr = Ne(), Or = Ne();

// ../../node_modules/convex/dist/esm/index.js
var g = "1.48.0";

// ../../node_modules/convex/dist/esm/server/impl/syscall.js
function $(e, t) {
  if (typeof Convex > "u" || Convex.syscall === void 0)
    throw new Error(
      "The Convex database and auth objects are being used outside of a Convex backend. Did you mean to use `useQuery` or `useMutation` to call a Convex function?"
    );
  let r = Convex.syscall(e, JSON.stringify(t));
  return JSON.parse(r);
}
n($, "performSyscall");
async function h(e, t) {
  if (typeof Convex > "u" || Convex.asyncSyscall === void 0)
    throw new Error(
      "The Convex database and auth objects are being used outside of a Convex backend. Did you mean to use `useQuery` or `useMutation` to call a Convex function?"
    );
  let r;
  try {
    r = await Convex.asyncSyscall(e, JSON.stringify(t));
  } catch (o) {
    if (o.data !== void 0) {
      let s = new D(o.message);
      throw s.data = m(o.data), s;
    }
    throw new Error(o.message);
  }
  return JSON.parse(r);
}
n(h, "performAsyncSyscall");

// ../../node_modules/convex/dist/esm/server/functionName.js
var V = Symbol.for("functionName");

// ../../node_modules/convex/dist/esm/server/components/paths.js
var je = Symbol.for("toReferencePath");
function xt(e) {
  return e[je] ?? null;
}
n(xt, "extractReferencePath");
function bt(e) {
  return e.startsWith("function://");
}
n(bt, "isFunctionHandle");
function S(e) {
  let t;
  if (typeof e == "string")
    bt(e) ? t = { functionHandle: e } : t = { name: e };
  else if (e[V])
    t = { name: e[V] };
  else {
    let r = xt(e);
    if (!r)
      throw new Error(`${e} is not a functionReference`);
    t = { reference: r };
  }
  return t;
}
n(S, "getFunctionAddress");

// ../../node_modules/convex/dist/esm/server/impl/validate.js
function d(e, t, r, o) {
  if (e === void 0)
    throw new TypeError(
      `Must provide arg ${t} \`${o}\` to \`${r}\``
    );
}
n(d, "validateArg");
function Re(e, t, r, o) {
  if (!Number.isInteger(e) || e < 0)
    throw new TypeError(
      `Arg ${t} \`${o}\` to \`${r}\` must be a non-negative integer`
    );
}
n(Re, "validateArgIsNonNegativeInteger");

// ../../node_modules/convex/dist/esm/server/impl/authentication_impl.js
function Fe(e) {
  return {
    getUserIdentity: /* @__PURE__ */ n(async () => await h("1.0/getUserIdentity", {
      requestId: e
    }), "getUserIdentity")
  };
}
n(Fe, "setupAuth");

// ../../node_modules/convex/dist/esm/server/filter_builder.js
var vt = Object.defineProperty, Et = /* @__PURE__ */ n((e, t, r) => t in e ? vt(e, t, { enumerable: !0, configurable: !0, writable: !0, value: r }) : e[t] = r, "__defNormalProp"), qe = /* @__PURE__ */ n((e, t, r) => Et(e, typeof t != "symbol" ? t + "" : t, r), "__publicField"), oe = class {
  static {
    n(this, "Expression");
  }
  /**
   * @internal
   */
  constructor() {
    qe(this, "_isExpression"), qe(this, "_value");
  }
};

// ../../node_modules/convex/dist/esm/server/impl/filter_builder_impl.js
var At = Object.defineProperty, St = /* @__PURE__ */ n((e, t, r) => t in e ? At(e, t, { enumerable: !0, configurable: !0, writable: !0, value: r }) : e[t] = r, "__defNormalProp"), Tt = /* @__PURE__ */ n((e, t, r) => St(e, typeof t != "symbol" ? t + "" : t, r), "__publicField"), y = class extends oe {
  static {
    n(this, "ExpressionImpl");
  }
  constructor(t) {
    super(), Tt(this, "inner"), this.inner = t;
  }
  serialize() {
    return this.inner;
  }
};
function u(e) {
  return e instanceof y ? e.serialize() : { $literal: v(e) };
}
n(u, "serializeExpression");
var Me = {
  //  Comparisons  /////////////////////////////////////////////////////////////
  eq(e, t) {
    return new y({
      $eq: [u(e), u(t)]
    });
  },
  neq(e, t) {
    return new y({
      $neq: [u(e), u(t)]
    });
  },
  lt(e, t) {
    return new y({
      $lt: [u(e), u(t)]
    });
  },
  lte(e, t) {
    return new y({
      $lte: [u(e), u(t)]
    });
  },
  gt(e, t) {
    return new y({
      $gt: [u(e), u(t)]
    });
  },
  gte(e, t) {
    return new y({
      $gte: [u(e), u(t)]
    });
  },
  //  Arithmetic  //////////////////////////////////////////////////////////////
  add(e, t) {
    return new y({
      $add: [u(e), u(t)]
    });
  },
  sub(e, t) {
    return new y({
      $sub: [u(e), u(t)]
    });
  },
  mul(e, t) {
    return new y({
      $mul: [u(e), u(t)]
    });
  },
  div(e, t) {
    return new y({
      $div: [u(e), u(t)]
    });
  },
  mod(e, t) {
    return new y({
      $mod: [u(e), u(t)]
    });
  },
  neg(e) {
    return new y({ $neg: u(e) });
  },
  //  Logic  ///////////////////////////////////////////////////////////////////
  and(...e) {
    return new y({ $and: e.map(u) });
  },
  or(...e) {
    return new y({ $or: e.map(u) });
  },
  not(e) {
    return new y({ $not: u(e) });
  },
  //  Other  ///////////////////////////////////////////////////////////////////
  field(e) {
    return new y({ $field: e });
  }
};

// ../../node_modules/convex/dist/esm/server/index_range_builder.js
var Ot = Object.defineProperty, _t = /* @__PURE__ */ n((e, t, r) => t in e ? Ot(e, t, { enumerable: !0, configurable: !0, writable: !0, value: r }) : e[t] = r, "__defNormalProp"), It = /* @__PURE__ */ n((e, t, r) => _t(e, typeof t != "symbol" ? t + "" : t, r), "__publicField"), se = class {
  static {
    n(this, "IndexRange");
  }
  /**
   * @internal
   */
  constructor() {
    It(this, "_isIndexRange");
  }
};

// ../../node_modules/convex/dist/esm/server/impl/index_range_builder_impl.js
var $t = Object.defineProperty, Ct = /* @__PURE__ */ n((e, t, r) => t in e ? $t(e, t, { enumerable: !0, configurable: !0, writable: !0, value: r }) : e[t] = r, "__defNormalProp"), Be = /* @__PURE__ */ n((e, t, r) => Ct(e, typeof t != "symbol" ? t + "" : t, r), "__publicField"), ie = class e extends se {
  static {
    n(this, "IndexRangeBuilderImpl");
  }
  constructor(t) {
    super(), Be(this, "rangeExpressions"), Be(this, "isConsumed"), this.rangeExpressions = t, this.isConsumed = !1;
  }
  static new() {
    return new e([]);
  }
  consume() {
    if (this.isConsumed)
      throw new Error(
        "IndexRangeBuilder has already been used! Chain your method calls like `q => q.eq(...).eq(...)`. See https://docs.convex.dev/using/indexes"
      );
    this.isConsumed = !0;
  }
  eq(t, r) {
    return this.consume(), new e(
      this.rangeExpressions.concat({
        type: "Eq",
        fieldPath: t,
        value: v(r)
      })
    );
  }
  gt(t, r) {
    return this.consume(), new e(
      this.rangeExpressions.concat({
        type: "Gt",
        fieldPath: t,
        value: v(r)
      })
    );
  }
  gte(t, r) {
    return this.consume(), new e(
      this.rangeExpressions.concat({
        type: "Gte",
        fieldPath: t,
        value: v(r)
      })
    );
  }
  lt(t, r) {
    return this.consume(), new e(
      this.rangeExpressions.concat({
        type: "Lt",
        fieldPath: t,
        value: v(r)
      })
    );
  }
  lte(t, r) {
    return this.consume(), new e(
      this.rangeExpressions.concat({
        type: "Lte",
        fieldPath: t,
        value: v(r)
      })
    );
  }
  export() {
    return this.consume(), this.rangeExpressions;
  }
};

// ../../node_modules/convex/dist/esm/server/search_filter_builder.js
var Pt = Object.defineProperty, Nt = /* @__PURE__ */ n((e, t, r) => t in e ? Pt(e, t, { enumerable: !0, configurable: !0, writable: !0, value: r }) : e[t] = r, "__defNormalProp"), jt = /* @__PURE__ */ n((e, t, r) => Nt(e, typeof t != "symbol" ? t + "" : t, r), "__publicField"), ae = class {
  static {
    n(this, "SearchFilter");
  }
  /**
   * @internal
   */
  constructor() {
    jt(this, "_isSearchFilter");
  }
};

// ../../node_modules/convex/dist/esm/server/impl/search_filter_builder_impl.js
var Rt = Object.defineProperty, Ft = /* @__PURE__ */ n((e, t, r) => t in e ? Rt(e, t, { enumerable: !0, configurable: !0, writable: !0, value: r }) : e[t] = r, "__defNormalProp"), Ue = /* @__PURE__ */ n((e, t, r) => Ft(e, typeof t != "symbol" ? t + "" : t, r), "__publicField"), ce = class e extends ae {
  static {
    n(this, "SearchFilterBuilderImpl");
  }
  constructor(t) {
    super(), Ue(this, "filters"), Ue(this, "isConsumed"), this.filters = t, this.isConsumed = !1;
  }
  static new() {
    return new e([]);
  }
  consume() {
    if (this.isConsumed)
      throw new Error(
        "SearchFilterBuilder has already been used! Chain your method calls like `q => q.search(...).eq(...)`."
      );
    this.isConsumed = !0;
  }
  search(t, r) {
    return d(t, 1, "search", "fieldName"), d(r, 2, "search", "query"), this.consume(), new e(
      this.filters.concat({
        type: "Search",
        fieldPath: t,
        value: r
      })
    );
  }
  eq(t, r) {
    return d(t, 1, "eq", "fieldName"), arguments.length !== 2 && d(r, 2, "search", "value"), this.consume(), new e(
      this.filters.concat({
        type: "Eq",
        fieldPath: t,
        value: v(r)
      })
    );
  }
  export() {
    return this.consume(), this.filters;
  }
};

// ../../node_modules/convex/dist/esm/server/impl/query_impl.js
var qt = Object.defineProperty, Mt = /* @__PURE__ */ n((e, t, r) => t in e ? qt(e, t, { enumerable: !0, configurable: !0, writable: !0, value: r }) : e[t] = r, "__defNormalProp"), ge = /* @__PURE__ */ n((e, t, r) => Mt(e, typeof t != "symbol" ? t + "" : t, r), "__publicField"), Ve = 256, R = class {
  static {
    n(this, "QueryInitializerImpl");
  }
  constructor(t) {
    ge(this, "tableName"), this.tableName = t;
  }
  withIndex(t, r) {
    d(t, 1, "withIndex", "indexName");
    let o = ie.new();
    return r !== void 0 && (o = r(o)), new C({
      source: {
        type: "IndexRange",
        indexName: this.tableName + "." + t,
        range: o.export(),
        order: null
      },
      operators: []
    });
  }
  withSearchIndex(t, r) {
    d(t, 1, "withSearchIndex", "indexName"), d(r, 2, "withSearchIndex", "searchFilter");
    let o = ce.new();
    return new C({
      source: {
        type: "Search",
        indexName: this.tableName + "." + t,
        filters: r(o).export()
      },
      operators: []
    });
  }
  fullTableScan() {
    return new C({
      source: {
        type: "FullTableScan",
        tableName: this.tableName,
        order: null
      },
      operators: []
    });
  }
  order(t) {
    return this.fullTableScan().order(t);
  }
  // This is internal API and should not be exposed to developers yet.
  async count() {
    let t = await h("1.0/count", {
      table: this.tableName
    });
    return m(t);
  }
  filter(t) {
    return this.fullTableScan().filter(t);
  }
  limit(t) {
    return this.fullTableScan().limit(t);
  }
  collect() {
    return this.fullTableScan().collect();
  }
  take(t) {
    return this.fullTableScan().take(t);
  }
  paginate(t) {
    return this.fullTableScan().paginate(t);
  }
  first() {
    return this.fullTableScan().first();
  }
  unique() {
    return this.fullTableScan().unique();
  }
  [Symbol.asyncIterator]() {
    return this.fullTableScan()[Symbol.asyncIterator]();
  }
};
function ke(e) {
  throw new Error(
    e === "consumed" ? "This query is closed and can't emit any more values." : "This query has been chained with another operator and can't be reused."
  );
}
n(ke, "throwClosedError");
var C = class e {
  static {
    n(this, "QueryImpl");
  }
  constructor(t) {
    ge(this, "state"), ge(this, "tableNameForErrorMessages"), this.state = { type: "preparing", query: t }, t.source.type === "FullTableScan" ? this.tableNameForErrorMessages = t.source.tableName : this.tableNameForErrorMessages = t.source.indexName.split(".")[0];
  }
  takeQuery() {
    if (this.state.type !== "preparing")
      throw new Error(
        "A query can only be chained once and can't be chained after iteration begins."
      );
    let t = this.state.query;
    return this.state = { type: "closed" }, t;
  }
  startQuery() {
    if (this.state.type === "executing")
      throw new Error("Iteration can only begin on a query once.");
    (this.state.type === "closed" || this.state.type === "consumed") && ke(this.state.type);
    let t = this.state.query, { queryId: r } = $("1.0/queryStream", { query: t, version: g });
    return this.state = { type: "executing", queryId: r }, r;
  }
  closeQuery() {
    if (this.state.type === "executing") {
      let t = this.state.queryId;
      $("1.0/queryCleanup", { queryId: t });
    }
    this.state = { type: "consumed" };
  }
  order(t) {
    d(t, 1, "order", "order");
    let r = this.takeQuery();
    if (r.source.type === "Search")
      throw new Error(
        "Search queries must always be in relevance order. Can not set order manually."
      );
    if (r.source.order !== null)
      throw new Error("Queries may only specify order at most once");
    return r.source.order = t, new e(r);
  }
  filter(t) {
    d(t, 1, "filter", "predicate");
    let r = this.takeQuery();
    if (r.operators.length >= Ve)
      throw new Error(
        `Can't construct query with more than ${Ve} operators`
      );
    return r.operators.push({
      filter: u(t(Me))
    }), new e(r);
  }
  limit(t) {
    d(t, 1, "limit", "n");
    let r = this.takeQuery();
    return r.operators.push({ limit: t }), new e(r);
  }
  [Symbol.asyncIterator]() {
    return this.startQuery(), this;
  }
  async next() {
    (this.state.type === "closed" || this.state.type === "consumed") && ke(this.state.type);
    let t = this.state.type === "preparing" ? this.startQuery() : this.state.queryId, { value: r, done: o } = await h("1.0/queryStreamNext", {
      queryId: t
    });
    return o && this.closeQuery(), { value: m(r), done: o };
  }
  return() {
    return this.closeQuery(), Promise.resolve({ done: !0, value: void 0 });
  }
  async paginate(t) {
    if (d(t, 1, "paginate", "options"), typeof t?.numItems != "number" || t.numItems < 0)
      throw new Error(
        `\`options.numItems\` must be a positive number. Received \`${t?.numItems}\`.`
      );
    let r = this.takeQuery(), o = t.numItems, s = t.cursor, c = t?.endCursor ?? null, i = t.maximumRowsRead ?? null, { page: f, isDone: p, continueCursor: T, splitCursor: fe, pageStatus: Ye } = await h("1.0/queryPage", {
      query: r,
      cursor: s,
      endCursor: c,
      pageSize: o,
      maximumRowsRead: i,
      maximumBytesRead: t.maximumBytesRead,
      version: g
    });
    return {
      page: f.map((Ke) => m(Ke)),
      isDone: p,
      continueCursor: T,
      splitCursor: fe,
      pageStatus: Ye
    };
  }
  async collect() {
    let t = [];
    for await (let r of this)
      t.push(r);
    return t;
  }
  async take(t) {
    return d(t, 1, "take", "n"), Re(t, 1, "take", "n"), this.limit(t).collect();
  }
  async first() {
    let t = await this.take(1);
    return t.length === 0 ? null : t[0];
  }
  async unique() {
    let t = await this.take(2);
    if (t.length === 0)
      return null;
    if (t.length === 2)
      throw new Error(`unique() query returned more than one result from table ${this.tableNameForErrorMessages}:
 [${t[0]._id}, ${t[1]._id}, ...]`);
    return t[0];
  }
};

// ../../node_modules/convex/dist/esm/server/impl/database_impl.js
async function xe(e, t, r) {
  if (d(t, 1, "get", "id"), typeof t != "string")
    throw new Error(
      `Invalid argument \`id\` for \`db.get\`, expected string but got '${typeof t}': ${t}`
    );
  let o = {
    id: b(t),
    isSystem: r,
    version: g,
    table: e
  }, s = await h("1.0/get", o);
  return m(s);
}
n(xe, "get");
function Je() {
  let e = /* @__PURE__ */ n((s = !1) => ({
    get: /* @__PURE__ */ n(async (c, i) => i !== void 0 ? await xe(c, i, s) : await xe(void 0, c, s), "get"),
    query: /* @__PURE__ */ n((c) => new ue(c, s).query(), "query"),
    normalizeId: /* @__PURE__ */ n((c, i) => {
      d(c, 1, "normalizeId", "tableName"), d(i, 2, "normalizeId", "id");
      let f = c.startsWith("_");
      if (f !== s)
        throw new Error(
          `${f ? "System" : "User"} tables can only be accessed from db.${s ? "" : "system."}normalizeId().`
        );
      let p = $("1.0/db/normalizeId", {
        table: c,
        idString: i
      });
      return m(p).id;
    }, "normalizeId"),
    // We set the system reader on the next line
    system: null,
    table: /* @__PURE__ */ n((c) => new ue(c, s), "table")
  }), "reader"), { system: t, ...r } = e(!0), o = e();
  return o.system = r, o;
}
n(Je, "setupReader");
var ue = class {
  static {
    n(this, "TableReader");
  }
  constructor(t, r) {
    this.tableName = t, this.isSystem = r;
  }
  async get(t) {
    return xe(this.tableName, t, this.isSystem);
  }
  query() {
    let t = this.tableName.startsWith("_");
    if (t !== this.isSystem)
      throw new Error(
        `${t ? "System" : "User"} tables can only be accessed from db.${this.isSystem ? "" : "system."}query().`
      );
    return new R(this.tableName);
  }
};

// ../../node_modules/convex/dist/esm/server/impl/storage_impl.js
function Le(e) {
  return {
    getUrl: /* @__PURE__ */ n(async (t) => (d(t, 1, "getUrl", "storageId"), await h("1.0/storageGetUrl", {
      requestId: e,
      version: g,
      storageId: t
    })), "getUrl"),
    getMetadata: /* @__PURE__ */ n(async (t) => await h("1.0/storageGetMetadata", {
      requestId: e,
      version: g,
      storageId: t
    }), "getMetadata")
  };
}
n(Le, "setupStorageReader");

// ../../node_modules/convex/dist/esm/server/impl/meta_impl.js
async function Ut() {
  let e;
  try {
    e = await h("1.0/getTransactionMetrics", {});
  } catch (t) {
    throw t.message?.includes("Unknown async operation") ? new Error(
      "getTransactionMetrics() can only be called from a query or mutation. It is not available in actions or outside of a Convex function."
    ) : t;
  }
  return m(e);
}
n(Ut, "getTransactionMetrics");
async function Vt() {
  let { name: e, componentPath: t } = await h(
    "1.0/getFunctionMetadata",
    {}
  );
  return {
    name: e,
    componentPath: t
  };
}
n(Vt, "getFunctionMetadata");
async function kt() {
  let e = await h(
    "1.0/getDeploymentMetadata",
    {}
  ), t = m(e);
  return {
    name: t.name,
    region: t.region ?? null,
    class: t.class
  };
}
n(kt, "getDeploymentMetadata");
function Jt() {
  let e = $("1.0/getSnapshotTs", {});
  return m(e);
}
n(Jt, "getSnapshotTs");
function De(e) {
  return {
    getFunctionMetadata: /* @__PURE__ */ n(async () => ({
      ...await Vt(),
      type: "query",
      visibility: e
    }), "getFunctionMetadata"),
    getTransactionMetrics: Ut,
    getDeploymentMetadata: kt,
    getSnapshotTs: Jt
  };
}
n(De, "setupQueryMeta");

// ../../node_modules/convex/dist/esm/server/impl/registration_impl.js
function Lt(e) {
  if (e instanceof R || e instanceof C)
    throw new Error(
      "Return value is a Query. Results must be retrieved with `.collect()`, `.take(n), `.unique()`, or `.first()`."
    );
}
n(Lt, "validateReturnValue");
async function Dt(e, t, r) {
  let o;
  try {
    o = await Promise.resolve(e(t, ...r));
  } catch (s) {
    throw Ht(s);
  }
  return o;
}
n(Dt, "invokeFunction");
function Qt(e, t) {
  return (r, o) => (globalThis.console.warn(
    `Convex functions should not directly call other Convex functions. Consider calling a helper function instead. e.g. \`export const foo = ${e}(...); await foo(ctx);\` is not supported. See https://docs.convex.dev/production/best-practices/#use-helper-functions-to-write-shared-code`
  ), t(r, o));
}
n(Qt, "dontCallDirectly");
function Ht(e) {
  if (typeof e == "object" && e !== null && Symbol.for("ConvexError") in e) {
    let t = e;
    return t.data = JSON.stringify(
      b(t.data === void 0 ? null : t.data)
    ), t.ConvexErrorSymbol = Symbol.for("ConvexError"), t;
  } else
    return e;
}
n(Ht, "serializeConvexErrorData");
function zt() {
  if (typeof window > "u" || window.__convexAllowFunctionsInBrowser)
    return;
  (Object.getOwnPropertyDescriptor(globalThis, "window")?.get?.toString().includes("[native code]") ?? !1) && console.error(
    "Convex functions should not be imported in the browser. This will throw an error in future versions of `convex`. If this is a false negative, please report it to Convex support."
  );
}
n(zt, "assertNotBrowser");
function Qe(e, t) {
  if (t === void 0)
    throw new Error(
      `A validator is undefined for field "${e}". This is often caused by circular imports. See https://docs.convex.dev/error#undefined-validator for details.`
    );
  return t;
}
n(Qe, "strictReplacer");
function Wt(e) {
  return () => {
    let t = a.any();
    return typeof e == "object" && e.args !== void 0 && (t = ne(e.args)), JSON.stringify(t.json, Qe);
  };
}
n(Wt, "exportArgs");
function Gt(e) {
  return () => {
    let t;
    return typeof e == "object" && e.returns !== void 0 && (t = ne(e.returns)), JSON.stringify(t ? t.json : null, Qe);
  };
}
n(Gt, "exportReturns");
async function Xt(e, t, r) {
  let s = m(JSON.parse(t)), c = {
    db: Je(),
    auth: Fe(""),
    storage: Le(""),
    meta: De(r),
    runQuery: /* @__PURE__ */ n((f, p, T) => {
      if (T?.useStaleSnapshot)
        throw new Error(
          "`useStaleSnapshot` is only supported in mutations, not queries."
        );
      return Kt("query", f, p, T?.transactionLimits);
    }, "runQuery")
  }, i = await Dt(e, c, s);
  return Lt(i), JSON.stringify(b(i === void 0 ? null : i));
}
n(Xt, "invokeQuery");
var Yt = /* @__PURE__ */ n(((e) => {
  let t = typeof e == "function" ? e : e.handler, r = Qt("query", t);
  return zt(), r.isQuery = !0, r.isPublic = !0, r.invokeQuery = (o) => Xt(t, o, "public"), r.exportArgs = Wt(e), r.exportReturns = Gt(e), r._handler = t, r;
}), "queryGeneric");
async function Kt(e, t, r, o) {
  let s = F(r), c = {
    udfType: e,
    args: b(s),
    ...S(t)
  };
  o && (c.transactionLimits = o);
  let i = await h("1.0/runUdf", c);
  return m(i);
}
n(Kt, "runUdf");

// ../../node_modules/convex/dist/esm/server/pagination.js
var ts = a.object({
  numItems: a.number(),
  cursor: a.union(a.string(), a.null()),
  endCursor: a.optional(a.union(a.string(), a.null())),
  id: a.optional(a.number()),
  maximumRowsRead: a.optional(a.number()),
  maximumBytesRead: a.optional(a.number())
});

// ../../node_modules/convex/dist/esm/server/api.js
function He(e = []) {
  let t = {
    get(r, o) {
      if (typeof o == "string") {
        let s = [...e, o];
        return He(s);
      } else if (o === V) {
        if (e.length < 2) {
          let i = ["api", ...e].join(".");
          throw new Error(
            `API path is expected to be of the form \`api.moduleName.functionName\`. Found: \`${i}\``
          );
        }
        let s = e.slice(0, -1).join("/"), c = e[e.length - 1];
        return c === "default" ? s : s + ":" + c;
      } else return o === Symbol.toStringTag ? "FunctionReference" : void 0;
    }
  };
  return new Proxy({}, t);
}
n(He, "createApi");
var Zt = He();

// ../../node_modules/convex/dist/esm/server/logVars.js
var tr = Symbol("var.requestId"), rr = Symbol("var.ip"), nr = Symbol("var.userAgent"), or = Symbol("var.now"), sr = Symbol("var.convexActor"), ir = {
  [tr]: "requestId",
  [rr]: "ip",
  [nr]: "userAgent",
  [or]: "now",
  [sr]: "convexActor"
};

// ../../node_modules/convex/dist/esm/server/schema.js
var ar = Object.defineProperty, cr = /* @__PURE__ */ n((e, t, r) => t in e ? ar(e, t, { enumerable: !0, configurable: !0, writable: !0, value: r }) : e[t] = r, "__defNormalProp"), E = /* @__PURE__ */ n((e, t, r) => cr(e, typeof t != "symbol" ? t + "" : t, r), "__publicField"), le = class {
  static {
    n(this, "TableDefinition");
  }
  /**
   * @internal
   */
  constructor(t) {
    E(this, "indexes"), E(this, "stagedDbIndexes"), E(this, "searchIndexes"), E(this, "stagedSearchIndexes"), E(this, "vectorIndexes"), E(this, "stagedVectorIndexes"), E(this, "validator"), E(this, "stagedValidator"), this.indexes = [], this.stagedDbIndexes = [], this.searchIndexes = [], this.stagedSearchIndexes = [], this.vectorIndexes = [], this.stagedVectorIndexes = [], this.validator = t;
  }
  /**
   * This API is experimental: it may change or disappear.
   *
   * Returns indexes defined on this table.
   * Intended for the advanced use cases of dynamically deciding which index to use for a query.
   */
  " indexes"() {
    return this.indexes;
  }
  index(t, r) {
    return Array.isArray(r) ? this.indexes.push({
      indexDescriptor: t,
      fields: r
    }) : r.staged ? this.stagedDbIndexes.push({
      indexDescriptor: t,
      fields: r.fields
    }) : this.indexes.push({
      indexDescriptor: t,
      fields: r.fields
    }), this;
  }
  searchIndex(t, r) {
    return r.staged ? this.stagedSearchIndexes.push({
      indexDescriptor: t,
      searchField: r.searchField,
      filterFields: r.filterFields || []
    }) : this.searchIndexes.push({
      indexDescriptor: t,
      searchField: r.searchField,
      filterFields: r.filterFields || []
    }), this;
  }
  vectorIndex(t, r) {
    return r.staged ? this.stagedVectorIndexes.push({
      indexDescriptor: t,
      vectorField: r.vectorField,
      dimensions: r.dimensions,
      filterFields: r.filterFields || []
    }) : this.vectorIndexes.push({
      indexDescriptor: t,
      vectorField: r.vectorField,
      dimensions: r.dimensions,
      filterFields: r.filterFields || []
    }), this;
  }
  /**
   * Stage changes to this table's document validator.
   *
   * Convex validates the staged validator against the table's existing
   * documents in the background, while the validator passed to
   * {@link defineTable} remains the one enforced on writes. Once
   * the background validation succeeds, apply the staged changes
   * and remove `.staged()`.
   *
   * For an object validator, pass only the fields to add or replace. Fields
   * omitted from the changes keep their enforced validators.
   * Set a field to `undefined` to remove it from the staged validator.
   * For nested objects, you must specify the full object validator.
   *
   * ```ts
   * defineTable({
   *   apple: v.string(),
   *   banana: v.number(),
   *   legacy: v.optional(v.string()),
   * }).staged({
   *   banana: v.union(v.string(), v.number()),
   *   legacy: undefined,
   * })
   * ```
   *
   * See [Staged validators](https://docs.convex.dev/database/schemas#staged-validators).
   *
   * @param documentSchema - Field changes for a table defined as an object or
   * `v.any()`, or a full schema validator specifying the proposed next document
   * type. Use a full schema validator for a table defined as a union.
   * @returns A {@link TableDefinition} with the staged validator attached.
   */
  staged(t) {
    if (this.stagedValidator !== void 0)
      throw new Error("Table cannot have more than one staged validator.");
    if (U(t))
      this.stagedValidator = t;
    else {
      if (this.validator.kind !== "object" && this.validator.kind !== "any")
        throw new Error(
          "Specifying top-level field changes is only supported for simple table definitions. For a table defined with a union or record validator, you must stage a fully defined object or union validator."
        );
      let r = this.validator.kind === "object" ? this.validator.fields : {}, o = Object.fromEntries(
        Object.entries({ ...r, ...t }).filter(
          (s) => s[1] !== void 0
        )
      );
      this.stagedValidator = a.object(o);
    }
    return this.self();
  }
  /**
   * Work around for https://github.com/microsoft/TypeScript/issues/57035
   */
  self() {
    return this;
  }
  /**
   * Export the contents of this definition.
   *
   * This is called internally by the Convex framework.
   * @internal
   */
  export() {
    let t = this.validator.json;
    if (typeof t != "object")
      throw new Error(
        "Invalid validator: please make sure that the parameter of `defineTable` is valid (see https://docs.convex.dev/database/schemas)"
      );
    let r;
    if (this.stagedValidator !== void 0 && (r = this.stagedValidator.json, typeof r != "object"))
      throw new Error(
        "Invalid staged validator: please make sure that the parameter of `.staged()` is valid (see https://docs.convex.dev/database/schemas)"
      );
    return {
      indexes: this.indexes,
      stagedDbIndexes: this.stagedDbIndexes,
      searchIndexes: this.searchIndexes,
      stagedSearchIndexes: this.stagedSearchIndexes,
      vectorIndexes: this.vectorIndexes,
      stagedVectorIndexes: this.stagedVectorIndexes,
      documentType: t,
      stagedDocumentType: r
    };
  }
};
function be(e) {
  return U(e) ? new le(e) : new le(a.object(e));
}
n(be, "defineTable");
function We(e, t) {
  switch (t.kind) {
    case "object":
      return t.extend({
        _id: a.id(e),
        _creationTime: a.number()
      });
    case "union":
      return a.union(
        ...t.members.map(
          (r) => We(e, r)
        )
      );
    // `v.any()` already permits the system fields.
    case "any":
      return t;
    default:
      throw new Error(
        `Invalid validator for table "${e}": a table's documents must be objects, or a union of objects (see https://docs.convex.dev/database/schemas)`
      );
  }
}
n(We, "addSystemFields");
function Ge(e, t) {
  return We(e, t.validator);
}
n(Ge, "docValidator");
function ze(e, t) {
  let r = e.tables[t];
  if (r === void 0)
    throw new Error(
      `Table "${t}" is not in this schema. Tables in this schema: ${Object.keys(
        e.tables
      ).join(", ")}`
    );
  return r;
}
n(ze, "tableInSchema");
var ve = class {
  static {
    n(this, "SchemaDefinition");
  }
  /**
   * @internal
   */
  constructor(t, r) {
    E(this, "tables"), E(this, "strictTableNameTypes"), E(this, "schemaValidation"), this.tables = t, this.schemaValidation = r?.schemaValidation === void 0 ? !0 : r.schemaValidation;
  }
  /**
   * The validator for whole documents of a table in this schema: the table's
   * own validator with the `_id` and `_creationTime` system fields added.
   *
   * @example
   * ```ts
   * export const get = query({
   *   args: { id: schema.id("messages") },
   *   returns: v.union(schema.doc("messages"), v.null()),
   *   handler: (ctx, args) => ctx.db.get(args.id),
   * });
   * ```
   *
   * @param tableName - The name of a table in this schema.
   * @returns A validator matching documents of that table.
   */
  doc(t) {
    return Ge(t, ze(this, t));
  }
  /**
   * The validator for IDs of a table in this schema.
   *
   * Same as `v.id(tableName)`, but only accepts tables in this schema.
   *
   * @param tableName - The name of a table in this schema.
   * @returns A validator matching IDs of that table.
   */
  id(t) {
    return ze(this, t), a.id(t);
  }
  /**
   * Export the contents of this definition.
   *
   * This is called internally by the Convex framework.
   * @internal
   */
  export() {
    return JSON.stringify({
      tables: Object.entries(this.tables).map(([t, r]) => {
        let {
          indexes: o,
          stagedDbIndexes: s,
          searchIndexes: c,
          stagedSearchIndexes: i,
          vectorIndexes: f,
          stagedVectorIndexes: p,
          documentType: T,
          stagedDocumentType: fe
        } = r.export();
        return {
          tableName: t,
          indexes: o,
          stagedDbIndexes: s,
          searchIndexes: c,
          stagedSearchIndexes: i,
          vectorIndexes: f,
          stagedVectorIndexes: p,
          documentType: T,
          stagedDocumentType: fe
        };
      }),
      schemaValidation: this.schemaValidation
    });
  }
};
function Xe(e, t) {
  return new ve(e, t);
}
n(Xe, "defineSchema");
var Ms = Xe({
  _scheduled_functions: be({
    name: a.string(),
    args: a.array(a.any()),
    scheduledTime: a.float64(),
    completedTime: a.optional(a.float64()),
    state: a.union(
      a.object({ kind: a.literal("pending") }),
      a.object({ kind: a.literal("inProgress") }),
      a.object({ kind: a.literal("success") }),
      a.object({ kind: a.literal("failed"), error: a.string() }),
      a.object({ kind: a.literal("canceled") })
    )
  }),
  _storage: be({
    sha256: a.string(),
    size: a.float64(),
    contentType: a.optional(a.string())
  })
});

export {
  n as a,
  D as b,
  Yt as c
};

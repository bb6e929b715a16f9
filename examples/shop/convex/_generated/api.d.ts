/* eslint-disable */
/**
 * References to the functions of this app.
 *
 * Written by `pg-live dev` and `pg-live deploy`; changes are overwritten.
 * @module
 */

import type * as lib_errors from "../lib/errors.js";
import type * as orders from "../orders.js";
import type * as products from "../products.js";
import type * as sample from "../sample.js";
import type * as stock from "../stock.js";

import type { ApiFromModules, FilterApi, FunctionReference } from "convex/server";

declare const fullApi: ApiFromModules<{
  "lib/errors": typeof lib_errors;
  "orders": typeof orders;
  "products": typeof products;
  "sample": typeof sample;
  "stock": typeof stock;
}>;

/** The public functions: `api.messages.list` is export `list` of `messages.ts`. */
export declare const api: FilterApi<typeof fullApi, FunctionReference<any, "public">>;

/** The functions that only other functions may call. */
export declare const internal: FilterApi<typeof fullApi, FunctionReference<any, "internal">>;

/** The functions of mounted components. */
export declare const components: {};

/* eslint-disable */
/**
 * References to the functions of this app.
 *
 * Written by `pg-live dev` and `pg-live deploy`; changes are overwritten.
 * @module
 */

import type * as channels from "../channels.js";
import type * as messages from "../messages.js";

import type { ApiFromModules, FilterApi, FunctionReference } from "convex/server";

declare const fullApi: ApiFromModules<{
  "channels": typeof channels;
  "messages": typeof messages;
}>;

/** The public functions: `api.messages.list` is export `list` of `messages.ts`. */
export declare const api: FilterApi<typeof fullApi, FunctionReference<any, "public">>;

/** The functions that only other functions may call. */
export declare const internal: FilterApi<typeof fullApi, FunctionReference<any, "internal">>;

/** The functions of mounted components. */
export declare const components: {};

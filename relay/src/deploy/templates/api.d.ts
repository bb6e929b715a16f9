/* eslint-disable */
/**
 * References to the functions of this app.
 *
 * Written by `pg-live dev` and `pg-live deploy`; changes are overwritten.
 * @module
 */

@IMPORTS@import type { ApiFromModules, FilterApi, FunctionReference } from "convex/server";

declare const fullApi: ApiFromModules<{
@MODULES@}>;

/** The public functions: `api.messages.list` is export `list` of `messages.ts`. */
export declare const api: FilterApi<typeof fullApi, FunctionReference<any, "public">>;

/** The functions that only other functions may call. */
export declare const internal: FilterApi<typeof fullApi, FunctionReference<any, "internal">>;

/** The functions of mounted components. */
export declare const components: {};

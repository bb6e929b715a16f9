/* eslint-disable */
/**
 * References to the functions of this app.
 *
 * Written by `pg-live dev` and `pg-live deploy`; changes are overwritten.
 * @module
 */

import { anyApi, componentsGeneric } from "convex/server";

/** The public functions: `api.messages.list` is export `list` of `messages.ts`. */
export const api = anyApi;
/** The functions that only other functions may call. */
export const internal = anyApi;
/** The functions of mounted components. */
export const components = componentsGeneric();

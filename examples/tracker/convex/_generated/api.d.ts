/* eslint-disable */
/**
 * References to the functions of this app.
 *
 * Written by `pg-live dev` and `pg-live deploy`; changes are overwritten.
 * @module
 */

import type * as activity from "../activity.js";
import type * as comments from "../comments.js";
import type * as issues from "../issues.js";
import type * as lib_errors from "../lib/errors.js";
import type * as members from "../members.js";
import type * as projects from "../projects.js";
import type * as sample from "../sample.js";

import type { ApiFromModules, FilterApi, FunctionReference } from "convex/server";

declare const fullApi: ApiFromModules<{
  "activity": typeof activity;
  "comments": typeof comments;
  "issues": typeof issues;
  "lib/errors": typeof lib_errors;
  "members": typeof members;
  "projects": typeof projects;
  "sample": typeof sample;
}>;

/** The public functions: `api.messages.list` is export `list` of `messages.ts`. */
export declare const api: FilterApi<typeof fullApi, FunctionReference<any, "public">>;

/** The functions that only other functions may call. */
export declare const internal: FilterApi<typeof fullApi, FunctionReference<any, "internal">>;

/** The functions of mounted components. */
export declare const components: {};

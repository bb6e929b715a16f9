/* eslint-disable */
/**
 * What functions are made of.
 *
 * Written by `pg-live dev` and `pg-live deploy`; changes are overwritten.
 * @module
 */

import type {
  ActionBuilder,
  GenericActionCtx,
  GenericDatabaseReader,
  GenericDatabaseWriter,
  GenericMutationCtx,
  GenericQueryCtx,
  HttpActionBuilder,
  MutationBuilder,
  QueryBuilder,
} from "convex/server";
import type { DataModel } from "./dataModel.js";

/** The environment variables that every deployment has. */
type Env = {
  readonly CONVEX_CLOUD_URL: string;
  readonly CONVEX_SITE_URL: string;
};

/** Makes a query that clients may call and subscribe to. It reads. */
export declare const query: QueryBuilder<DataModel, "public">;
/** Makes a query that only other functions may call. */
export declare const internalQuery: QueryBuilder<DataModel, "internal">;
/** Makes a mutation that clients may call. It reads and writes, in one transaction. */
export declare const mutation: MutationBuilder<DataModel, "public">;
/** Makes a mutation that only other functions may call. */
export declare const internalMutation: MutationBuilder<DataModel, "internal">;
/** Makes an action that clients may call. It may do anything, through queries and mutations. */
export declare const action: ActionBuilder<DataModel, "public">;
/** Makes an action that only other functions may call. */
export declare const internalAction: ActionBuilder<DataModel, "internal">;
/** Makes an action that answers HTTP requests; `http.ts` says which. */
export declare const httpAction: HttpActionBuilder;
/** The environment variables of the deployment. */
export declare const env: Env;

/** What a query receives first. */
export type QueryCtx = GenericQueryCtx<DataModel>;
/** What a mutation receives first. */
export type MutationCtx = GenericMutationCtx<DataModel>;
/** What an action receives first. */
export type ActionCtx = GenericActionCtx<DataModel>;
/** `ctx.db` of a query. */
export type DatabaseReader = GenericDatabaseReader<DataModel>;
/** `ctx.db` of a mutation. */
export type DatabaseWriter = GenericDatabaseWriter<DataModel>;

/* eslint-disable */
/**
 * Types of the tables: anything goes, since there is no `schema.ts`.
 *
 * Written by `pg-live dev` and `pg-live deploy`; changes are overwritten.
 * @module
 */

import type { AnyDataModel } from "convex/server";
import type { GenericId } from "convex/values";

/** All tables; a `schema.ts` would say which. */
export type DataModel = AnyDataModel;

/** The names of all tables. */
export type TableNames = string;

/** A document of any table. */
export type Doc = any;

/** The id of a document of a table: a string at run time, a type of its own here. */
export type Id<TableName extends TableNames = TableNames> = GenericId<TableName>;

/* eslint-disable */
/**
 * Types of the tables in `schema`.
 *
 * Written by `pg-live dev` and `pg-live deploy`; changes are overwritten.
 * @module
 */

import type {
  DataModelFromSchemaDefinition,
  DocumentByName,
  SystemTableNames,
  TableNamesInDataModel,
} from "convex/server";
import type { GenericId } from "convex/values";
import schema from "../schema.js";

/** All tables with their documents and indexes. */
export type DataModel = DataModelFromSchemaDefinition<typeof schema>;

/** The names of all tables. */
export type TableNames = TableNamesInDataModel<DataModel>;

/** A document of a table. */
export type Doc<TableName extends TableNames> = DocumentByName<DataModel, TableName>;

/** The id of a document of a table: a string at run time, a type of its own here. */
export type Id<TableName extends TableNames | SystemTableNames> = GenericId<TableName>;

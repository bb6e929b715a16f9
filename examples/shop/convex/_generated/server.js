/* eslint-disable */
/**
 * What functions are made of.
 *
 * Written by `pg-live dev` and `pg-live deploy`; changes are overwritten.
 * @module
 */

import {
  actionGeneric,
  httpActionGeneric,
  internalActionGeneric,
  internalMutationGeneric,
  internalQueryGeneric,
  mutationGeneric,
  queryGeneric,
} from "convex/server";

/** Makes a query that clients may call and subscribe to. It reads. */
export const query = queryGeneric;
/** Makes a query that only other functions may call. */
export const internalQuery = internalQueryGeneric;
/** Makes a mutation that clients may call. It reads and writes, in one transaction. */
export const mutation = mutationGeneric;
/** Makes a mutation that only other functions may call. */
export const internalMutation = internalMutationGeneric;
/** Makes an action that clients may call. It may do anything, through queries and mutations. */
export const action = actionGeneric;
/** Makes an action that only other functions may call. */
export const internalAction = internalActionGeneric;
/** Makes an action that answers HTTP requests; `http.ts` says which. */
export const httpAction = httpActionGeneric;
/** The environment variables of the deployment. */
export const env = process.env;

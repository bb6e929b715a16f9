// Prints the rows that came last, and again whenever they change: node watch.mjs
import { ConvexClient } from "convex/browser";
import { anyApi } from "convex/server";

const client = new ConvexClient(process.env.PG_LIVE_URL ?? "http://127.0.0.1:3210");
client.onUpdate(anyApi.@MODULE@.recent, { limit: 10 }, (rows) => console.log(rows));

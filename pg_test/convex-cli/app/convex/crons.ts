import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";

const crons = cronJobs();
crons.interval("clear the notes", { hours: 24 }, internal.notes.clear, {});
export default crons;

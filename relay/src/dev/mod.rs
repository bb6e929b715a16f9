//! `pg-live dev`: a private Postgres, the deployed app and the relay, in one command.

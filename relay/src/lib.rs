//! The relay of pg_live and what its command line needs around it.
//!
//! [`cli`] is the command line; [`serve`] is the network service, [`deploy`] bundles and deploys an app's functions, [`dev`] runs
//! a private Postgres and both of the others for one app.

#![forbid(unsafe_code)]

pub mod cli;
pub mod deploy;
pub mod dev;
pub mod postgres;
pub mod serve;

//! Functions of LANGUAGE js: hardened contexts that live long, bodies compiled once per version.

mod call;
mod ops;
mod realm;
mod thrown;
mod values;

pub(in crate::js) use call::{call_routine, check_routine};
pub(super) use realm::Realm;

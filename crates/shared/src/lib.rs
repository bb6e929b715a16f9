//! What lies in shared memory, as plain data: whoever calls it holds the lock.
//!
//! [`Ring`] is the log's body, [`Board`] is what relays fetch (R7), [`Owners`] are those who
//! do, [`Redefinitions`] are the recent changes that older snapshots see too (R17); [`Watched`],
//! [`WatchedColumns`] and [`Requests`] need no lock. Each is valid when all its bytes are zero. [`widen`] makes 64 bits of the
//! transaction ids that Postgres keeps there.
#![forbid(unsafe_code)]

mod board;
mod owners;
mod redefinitions;
mod requests;
mod ring;
mod watched;
mod xid;

pub use board::{Board, Fetched, Gap, Watermark};
pub use owners::{Attached, Owners, TooMany};
pub use redefinitions::{Fates, Redefinitions, Suspects};
pub use requests::Requests;
pub use ring::{Full, Ring, Span};
pub use watched::{Watched, WatchedColumns};
pub use xid::widen;

//! The relay's state machine of one client: query set, versions, transitions, clock.
#![forbid(unsafe_code)]

//! What the walk over a plan takes, beside planning.

use std::ffi::CStr;
use std::hint::black_box;
use std::time::{Duration, Instant};

use pgrx::pg_sys;

use super::elements;
use super::walk::Walk;

/// Times of a number of repetitions, together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// Planning.
    pub(crate) planning: Duration,
    /// What the walk over a new plan adds.
    pub(crate) walk: Duration,
    /// What is left of it when the plan is used again.
    pub(crate) again: Duration,
}

/// Plans a query and walks over the plan, so many times. `None`: it is not one query that can be planned.
pub(crate) fn measure(query: &CStr, repetitions: u32) -> Option<Times> {
    let mut times = Times::default();
    let none = std::ptr::null_mut();
    // SAFETY: in a transaction, with its snapshot; an ERROR is a panic here. The plan is not executed, and each is made
    // from a copy, since planning changes what it plans.
    unsafe {
        let parsed = elements::<pg_sys::RawStmt>(pg_sys::pg_parse_query(query.as_ptr()));
        let [statement] = parsed[..] else { return None };
        let queries = pg_sys::pg_analyze_and_rewrite_fixedparams(
            statement,
            query.as_ptr(),
            std::ptr::null(),
            0,
            std::ptr::null_mut(),
        );
        let [analyzed] = elements::<pg_sys::Query>(queries)[..] else {
            return None;
        };
        if (*analyzed).commandType != pg_sys::CmdType::CMD_SELECT {
            return None;
        }
        for _ in 0..repetitions {
            let copy = pg_sys::copyObjectImpl(analyzed.cast()).cast::<pg_sys::Query>();
            let start = Instant::now();
            let plan = pg_sys::pg_plan_query(copy, query.as_ptr(), 0, none);
            let planned = Instant::now();
            let walk = Walk::of(&*plan);
            black_box(walk.reads(none));
            let walked = Instant::now();
            black_box(walk.reads(none));
            times.again += walked.elapsed();
            times.walk += walked - planned;
            times.planning += planned - start;
        }
    }
    Some(times)
}

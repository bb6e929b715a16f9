//! Making an image, in a process of its own.
//!
//! V8 ends the process over some values that it cannot store, and takes tens of milliseconds for the rest. So a
//! backend forks: the child lets go of all that it shares with the server, makes the file and exits. It tries all
//! modules at once; if that kills a process, each by itself, to find out which can be stored.

use super::super::engine;
use super::super::frame::Frame;
use super::super::platform;
use super::super::process::{self, Forked};
use super::Image;
use super::evaluate::{evaluate, try_out};
use super::file::Claim;
use crate::js::{Call, Code, ImagePlace, Limits};

/// Calls of a deployment without an image after which one is made.
const CALLS_BEFORE: u32 = 8;
/// Longest that a process may take, in seconds of its own time.
const PATIENCE_SECONDS: u32 = 60;

/// What an image is made of.
pub(super) struct Job {
    place: ImagePlace,
    max_bytes: u64,
    pub(super) deployment: i64,
    pub(super) import_unix_ms: f64,
    pub(super) limits: Limits,
    pub(super) code: Code,
}

/// An image that is to be made.
pub(in crate::js::v8) struct Wish {
    job: Job,
    claim: Claim,
}

/// At the end of a call: whether the image of its deployment should be made, because there is none and calls keep
/// coming. Its code is gathered while the call's host is at hand.
pub(in crate::js::v8) fn wish(frame: &Frame<'_>, call: &Call<'_>, limits: &Limits) -> Option<Wish> {
    let engine = &frame.engine;
    let place = call.image?;
    if engine.depth.get() > 0 || !engine.lacks_image(CALLS_BEFORE) {
        return None;
    }
    let claim = Claim::take(place)?;
    let Ok(code) = frame.call_host(|host| host.code()) else {
        claim.give_up();
        return None;
    };
    let job = Job {
        place: place.clone(),
        max_bytes: (place.max_bytes)(),
        deployment: call.deployment,
        import_unix_ms: call.import_unix_ms,
        limits: limits.clone(),
        code,
    };
    Some(Wish { job, claim })
}

/// Forks the process that makes the image. To be called when nothing uses the engine.
pub(in crate::js::v8) fn start(wish: Wish) {
    let Wish { job, claim } = wish;
    process::reap();
    match process::fork() {
        Some(Forked::Child) => process::in_child(|| {
            process::leave_parent(PATIENCE_SECONDS);
            (job.place.leave_server)();
            make(&job, claim);
        }),
        Some(Forked::Parent(child)) => process::reap_later(child),
        None => claim.give_up(),
    }
}

fn make(job: &Job, claim: Claim) {
    engine::forget_parent();
    platform::set_fatal(|_| process::leave(1));
    let all: Vec<&str> = job.code.entries.iter().map(String::as_str).collect();
    let made = attempt(job, &claim, &all, &[]) || {
        let (good, bad): (Vec<&str>, Vec<&str>) = all
            .iter()
            .partition(|path| attempt(job, &claim, &[**path], &[]));
        attempt(job, &claim, &good, &bad)
    };
    if made {
        // If the folder is gone, so is the draft.
        drop(claim.fulfil(&job.place, job.max_bytes));
    } else {
        claim.give_up();
    }
}

/// Writes a draft with the modules at `paths` and tries it out, in yet another process; says whether that lived.
fn attempt(job: &Job, claim: &Claim, paths: &[&str], others: &[&str]) -> bool {
    process::succeeds_in_child(|| {
        let Ok(bytes) = evaluate(job, paths, others) else {
            return false;
        };
        claim.write(&bytes).is_ok()
            && Image::open_file(&job.place, claim.draft())
                .is_some_and(|image| try_out(job, image).is_ok())
    })
}

//! The subscriptions of this session. A result is registered when the transaction that read it has ended: then no
//! snapshot is held, and the transaction's own writes have their outcome.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use pg_live_invalidation::{Generation, LogEntry, Owner, Sub};
use pgrx::pg_sys;

use super::query::{Query, Registration};
use crate::api::subscription::{attach_session, detach_session};
use crate::error::{Error, Result};
use crate::invalidator;
use crate::invalidator::log::Place;
use crate::pg::shmem;
use crate::pg::xact::{self, Level, Stage};

/// Subscriptions that a session may have.
const SUBSCRIPTIONS_MAX: usize = 10_000;

thread_local! {
    static SESSION: RefCell<Session> = RefCell::default();
    static WATCHES_TRANSACTIONS: Cell<bool> = const { Cell::new(false) };
}

#[derive(Default)]
struct Session {
    attached: Option<Attached>,
    last: Sub,
    subscriptions: BTreeMap<Sub, Subscription>,
    /// Results of the running transaction.
    pending: Vec<Pending>,
}

#[derive(Clone, Copy)]
struct Attached {
    owner: Owner,
    boot: u64,
    /// The last batch that was fetched.
    batch: u64,
}

struct Subscription {
    query: Query,
    /// Whose it is.
    role: pg_sys::Oid,
    /// The last run; earlier ones do not count any more.
    generation: Generation,
    is_stale: bool,
    /// Where the running transaction made it.
    made: Option<Level>,
}

struct Pending {
    owner: Owner,
    sub: Sub,
    generation: Generation,
    level: Level,
    registration: Option<Registration>,
}

/// Attaches the session to the boot that runs, under another number than before (R8).
pub(super) fn attach() -> Result<Owner> {
    if !WATCHES_TRANSACTIONS.replace(true) {
        xact::at_transaction_end(at_end);
        xact::at_rollback_to_savepoint(at_rollback);
    }
    SESSION.with_borrow_mut(Session::fetch);
    if let Some(attached) = SESSION.with_borrow(|session| session.attached) {
        return Ok(attached.owner);
    }
    let (owner, boot) = attach_session()?;
    SESSION.with_borrow_mut(|session| {
        session.attached = Some(Attached {
            owner,
            boot,
            batch: 0,
        });
    });
    Ok(owner)
}

/// A new subscription, and what its first run needs to be registered.
pub(super) fn add(owner: Owner, query: Query, registration: Option<Registration>) -> Result<Sub> {
    SESSION.with_borrow_mut(|session| {
        if session.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(Error::InvalidParameter(format!(
                "this session has {SUBSCRIPTIONS_MAX} live queries, no more can be taken"
            )));
        }
        session.last += 1;
        let sub = session.last;
        let level = xact::level();
        session.subscriptions.insert(
            sub,
            Subscription {
                query,
                role: crate::pg::session::outer_user(),
                generation: 1,
                is_stale: false,
                made: Some(level),
            },
        );
        session.pending.push(Pending {
            owner,
            sub,
            generation: 1,
            level,
            registration,
        });
        Ok(sub)
    })
}

/// What a subscription of the role runs.
pub(super) fn query(id: Sub, role: pg_sys::Oid) -> Result<Query> {
    SESSION.with_borrow(|session| {
        let known = session.subscriptions.get(&id);
        let known = known.filter(|known| known.role == role);
        known
            .map(|known| known.query.clone())
            .ok_or_else(|| Error::InvalidParameter(format!("this session has no live query {id}")))
    })
}

/// The name of a subscription, if the session has it under this owner.
pub(in crate::api) fn own_subscription(owner: Owner, sub: Sub) -> Option<String> {
    SESSION.with_borrow(|session| {
        let attached = session.attached?;
        let known = session.subscriptions.get(&sub)?;
        let own = attached.owner == owner && known.role == crate::pg::session::outer_user();
        own.then(|| known.query.name())
    })
}

/// A subscription was run again.
pub(super) fn renew(owner: Owner, id: Sub, registration: Option<Registration>) {
    SESSION.with_borrow_mut(|session| {
        let Some(known) = session.subscriptions.get_mut(&id) else {
            return;
        };
        known.generation += 1;
        known.is_stale = false;
        session.pending.push(Pending {
            owner,
            sub: id,
            generation: known.generation,
            level: xact::level(),
            registration,
        });
    });
}

/// The role's subscriptions whose last results may be out of date.
pub(super) fn stale(role: pg_sys::Oid) -> Vec<(Sub, String)> {
    SESSION.with_borrow_mut(|session| {
        session.fetch();
        let all = session.subscriptions.iter();
        let stale = all.filter(|(_, known)| known.is_stale && known.role == role);
        stale
            .map(|(sub, known)| (*sub, known.query.name()))
            .collect()
    })
}

/// Ends a subscription of the role, or all of them, at once. Returns how many.
pub(super) fn remove(id: Option<Sub>, role: pg_sys::Oid) -> i64 {
    SESSION.with_borrow_mut(|session| {
        let all = session.subscriptions.iter();
        let meant =
            all.filter(|(sub, known)| known.role == role && id.is_none_or(|id| id == **sub));
        let meant: Vec<Sub> = meant.map(|(sub, _)| *sub).collect();
        for sub in &meant {
            session.subscriptions.remove(sub);
            session.pending.retain(|pending| pending.sub != *sub);
        }
        session.unregister(&meant);
        if session.subscriptions.is_empty() {
            session.detach();
        }
        i64::try_from(meant.len()).unwrap_or(i64::MAX)
    })
}

impl Session {
    /// Takes in what the worker has told. If some of that may be lost everything is stale (R8).
    fn fetch(&mut self) {
        let Some(attached) = &mut self.attached else {
            return;
        };
        let slot = shmem::own_slot();
        let news = slot
            .filter(|slot| {
                slot.place()
                    .is_some_and(|place| place.boot == attached.boot)
            })
            .and_then(|slot| {
                let mut board = slot.board_mut();
                let news = board.fetch(attached.owner, attached.boot, attached.batch);
                news.ok()
            });
        let Some(news) = news else {
            self.detach();
            self.subscriptions
                .values_mut()
                .for_each(|known| known.is_stale = true);
            return;
        };
        for item in news {
            attached.batch = attached.batch.max(item.n);
            if let Some(known) = self.subscriptions.get_mut(&item.sub)
                && known.generation == item.generation
            {
                known.is_stale = true;
            }
        }
    }

    fn detach(&mut self) {
        if let Some(attached) = self.attached.take() {
            detach_session(attached.owner);
        }
    }

    /// Without room in the log they stay with the worker until the session ends, and what it tells of them is ignored.
    fn unregister(&self, subs: &[Sub]) {
        let (Some(attached), Some(slot)) = (self.attached, shmem::own_slot()) else {
            return;
        };
        for sub in subs {
            let entry = LogEntry::Unregister {
                owner: attached.owner,
                sub: *sub,
                generation: Generation::MAX,
            };
            if let Ok(bytes) = entry.encode() {
                let _ = slot.push_reader(attached.boot, attached.owner, &bytes);
            }
        }
        slot.wake_worker();
    }

    /// Undoes what was done at these levels: nothing of it was registered.
    fn undo(&mut self, from: Option<Level>) {
        let undone = |level: Level| from.is_none_or(|from| level >= from);
        let (gone, kept): (Vec<Pending>, Vec<Pending>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|pending| undone(pending.level));
        self.pending = kept;
        for pending in gone {
            let known = self.subscriptions.get_mut(&pending.sub);
            match known {
                Some(known) if known.made.is_some_and(undone) => {
                    self.subscriptions.remove(&pending.sub);
                }
                Some(known) => known.is_stale = true,
                None => {}
            }
        }
    }

    /// R6: registers the results of the transaction that has ended. Those that cannot be are stale.
    fn register(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let subs: BTreeSet<Sub> = pending.iter().map(|pending| pending.sub).collect();
        let own = xact::current_xid();
        let mut registered = BTreeSet::new();
        for pending in pending {
            let newest = self.subscriptions.get(&pending.sub);
            let is_newest = newest.is_some_and(|known| known.generation == pending.generation);
            let is_current = self.attached.is_some_and(|at| at.owner == pending.owner);
            let Some(mut registration) = pending.registration.filter(|_| is_newest && is_current)
            else {
                continue;
            };
            if let Some(own) = own {
                // Snapshots do not list their own transaction. It may have written after the result was read.
                registration.snapshot.exclude(own);
            }
            let place = Place {
                boot: registration.boot,
                position: 0,
            };
            let name = (pending.owner, pending.sub, pending.generation);
            let Registration {
                snapshot, reads, ..
            } = registration;
            if invalidator::register(name, Some(place), snapshot, reads).is_ok() {
                registered.insert(pending.sub);
            }
        }
        for sub in &subs {
            if let Some(known) = self.subscriptions.get_mut(sub) {
                known.made = None;
                known.is_stale |= !registered.contains(sub);
            }
        }
        if registered.len() < subs.len()
            && let Some(slot) = shmem::own_slot()
        {
            slot.want_hint();
        }
    }
}

fn at_end(stage: Stage) {
    SESSION.with_borrow_mut(|session| {
        if session.pending.is_empty() {
            return;
        }
        match stage {
            Stage::Before => {}
            Stage::Committed => session.register(),
            // Whether what they have seen comes about is decided elsewhere.
            Stage::Prepared | Stage::Aborted => session.undo(None),
        }
    });
}

fn at_rollback(level: Level) {
    SESSION.with_borrow_mut(|session| {
        if !session.pending.is_empty() {
            session.undo(Some(level));
        }
    });
}

//! The extension's part of Postgres' shared memory: a directory of slots, one slot for each
//! database that has live queries. It exists only if the library was preloaded.

use std::ffi::CStr;
use std::mem::size_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use pg_live_shared::{Redefinitions, Requests, Ring, Span, Watched, WatchedColumns};
use pgrx::pg_sys;

use super::latch::ProcessSeat;
use super::lwlock::{Guarded, LwLock, Reading, Writing};
use crate::decoder::DecoderSeat;
use crate::error::{Error, Result};
use crate::invalidator::log::LogState;
use crate::invalidator::settings;
use crate::journal::{self, JournalState};

/// What relays fetch, with room for some hundred thousand invalidations.
pub(crate) type Board = pg_live_shared::Board<{ 4 * 1024 * 1024 }>;

const TRANCHE: &CStr = c"pg_live";

/// What is counted for `live.stats`, in the order of the names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counter {
    /// Write-sets published.
    Published,
    /// Write-sets that were widened to fit.
    Widened,
    /// Times the log was full.
    Overflows,
    /// Registrations taken.
    Registrations,
    /// Registrations refused, for one of the reasons that follow.
    RegistrationsRefused,
    /// No worker, or another boot.
    RefusedNoBoot,
    /// No room in the log.
    RefusedLogFull,
    /// No room in the worker's memory.
    RefusedMemory,
    /// The owner was not attached.
    RefusedNoOwner,
    /// Registrations whose read-sets were widened to whole tables, for lack of memory.
    ReadSetsWidened,
    /// Log entries processed by the worker.
    Processed,
    /// Invalidations: registered results that a commit contradicted.
    Invalidations,
    /// Those among them that were due when the result was registered.
    InvalidationsAtOnce,
    /// Batches of invalidations stored.
    Batches,
    /// Notifications sent.
    Notifies,
    /// Boots begun.
    Boots,
    /// Functions run.
    Functions,
    /// Microseconds of processor time spent in their JavaScript.
    FunctionTimeUs,
    /// Rows of document tables fetched by functions, those ahead of need too.
    RowsFetched,
    /// Records of calls that found no room in the queue, or not for all lines.
    LogRecordsDropped,
}

impl Counter {
    /// Every counter with its name in `live.stats`.
    pub(crate) const ALL: [(Counter, &'static str); 20] = [
        (Counter::Published, "write_sets_published"),
        (Counter::Widened, "write_sets_widened"),
        (Counter::Overflows, "log_overflows"),
        (Counter::Registrations, "registrations"),
        (Counter::RegistrationsRefused, "registrations_refused"),
        (Counter::RefusedNoBoot, "registrations_refused_no_worker"),
        (Counter::RefusedLogFull, "registrations_refused_log_full"),
        (Counter::RefusedMemory, "registrations_refused_memory_full"),
        (Counter::RefusedNoOwner, "registrations_refused_no_owner"),
        (Counter::ReadSetsWidened, "read_sets_widened"),
        (Counter::Processed, "log_entries_processed"),
        (Counter::Invalidations, "invalidations"),
        (
            Counter::InvalidationsAtOnce,
            "invalidations_at_registration",
        ),
        (Counter::Batches, "batches"),
        (Counter::Notifies, "notifies"),
        (Counter::Boots, "boots"),
        (Counter::Functions, "functions_run"),
        (Counter::FunctionTimeUs, "function_time_us"),
        (Counter::RowsFetched, "rows_fetched"),
        (Counter::LogRecordsDropped, "log_records_dropped"),
    ];
}

/// A slot as it lies in shared memory; the ring's bytes follow it.
#[repr(C)]
struct SlotMemory {
    database: AtomicU32,
    worker_seat: AtomicI32,
    worker_pid: AtomicI32,
    wanted: AtomicBool,
    stop: AtomicBool,
    overflow: AtomicBool,
    memory_full: AtomicBool,
    hint_wanted: AtomicBool,
    scribe_seat: AtomicI32,
    scribe_pid: AtomicI32,
    decoder: DecoderSeat,
    counters: [AtomicU64; Counter::ALL.len()],
    watched: Watched,
    watched_columns: WatchedColumns,
    capture_requests: Requests,
    log: LogState,
    board: Board,
    journal: JournalState,
}

/// The head of our shared memory; the slots follow it.
#[repr(C)]
struct Directory {
    launcher_seat: AtomicI32,
    /// Transactions that were about to commit a change of a catalog, and those of them that have ended.
    catalog_changes_begun: AtomicU64,
    catalog_changes_ended: AtomicU64,
    ring_bytes: u64,
}

/// The slot of one database.
pub(crate) struct Slot {
    memory: NonNull<SlotMemory>,
    log: Guarded<LogState>,
    board: Guarded<Board>,
    ring: NonNull<[u8]>,
    journal: Guarded<JournalState>,
    journal_ring: NonNull<[u8]>,
    /// Its place in the directory.
    pub(crate) index: usize,
}

/// All of our shared memory, as this process sees it.
pub(crate) struct Memory {
    directory: NonNull<Directory>,
    claims: LwLock,
    slots: Vec<Slot>,
}

/// Set in the postmaster and inherited by every process it forks; set again after a crash, when
/// shared memory is made anew.
static MEMORY: AtomicPtr<Memory> = AtomicPtr::new(std::ptr::null_mut());
static PREVIOUS_REQUEST_HOOK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static PREVIOUS_STARTUP_HOOK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

type Hook = unsafe extern "C-unwind" fn();

fn slot_stride() -> usize {
    let rings = settings::ring_bytes() + journal::settings::queue_bytes();
    (size_of::<SlotMemory>() + rings).next_multiple_of(128)
}

fn total_bytes() -> usize {
    size_of::<Directory>().next_multiple_of(128) + settings::max_databases() * slot_stride()
}

/// Asks for shared memory and locks. To be called while the library is being preloaded.
pub(crate) fn request() {
    // SAFETY: in the postmaster, before shared memory is made; hooks are plain globals there.
    unsafe {
        remember(&PREVIOUS_REQUEST_HOOK, pg_sys::shmem_request_hook);
        pg_sys::shmem_request_hook = Some(on_request);
        remember(&PREVIOUS_STARTUP_HOOK, pg_sys::shmem_startup_hook);
        pg_sys::shmem_startup_hook = Some(on_startup);
    }
}

fn remember(store: &AtomicPtr<()>, hook: Option<Hook>) {
    store.store(
        hook.map_or(std::ptr::null_mut(), |hook| hook as *mut ()),
        Ordering::Relaxed,
    );
}

/// # Safety
/// `store` must hold what [`remember`] put there.
unsafe fn call_previous(store: &AtomicPtr<()>) {
    let hook = store.load(Ordering::Relaxed);
    if !hook.is_null() {
        // SAFETY: a function of this type was stored.
        unsafe { std::mem::transmute::<*mut (), Hook>(hook)() };
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_request() {
    // SAFETY: Postgres calls this hook where these requests are allowed.
    unsafe {
        call_previous(&PREVIOUS_REQUEST_HOOK);
        pg_sys::RequestAddinShmemSpace(total_bytes());
        let locks = i32::try_from(1 + 3 * settings::max_databases()).unwrap_or(i32::MAX);
        pg_sys::RequestNamedLWLockTranche(TRANCHE.as_ptr(), locks);
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_startup() {
    // SAFETY: Postgres calls this hook once shared memory exists; the size was requested.
    unsafe {
        call_previous(&PREVIOUS_STARTUP_HOOK);
        let mut found = false;
        let start = pg_sys::ShmemInitStruct(TRANCHE.as_ptr(), total_bytes(), &raw mut found);
        let start = NonNull::new(start.cast::<u8>());
        let Some(start) = start else { return };
        if !found {
            start.as_ptr().write_bytes(0, total_bytes());
        }
        let memory = Memory::at(start);
        if !found {
            memory.reset();
        }
        // An older one is left in place: a postmaster makes one per crash of the cluster.
        MEMORY.store(Box::into_raw(Box::new(memory)), Ordering::Release);
    }
}

/// Our shared memory.
///
/// # Errors
/// [`Error::NotPreloaded`] if there is none.
pub(crate) fn memory() -> Result<&'static Memory> {
    let memory = MEMORY.load(Ordering::Acquire);
    // SAFETY: null, or a box that is never freed.
    unsafe { memory.as_ref() }.ok_or(Error::NotPreloaded)
}

/// The slot of this process's database, if there is one.
pub(crate) fn own_slot() -> Option<&'static Slot> {
    memory().ok()?.slot_of(own_database())
}

/// The oid of the database that this process is connected to, 0 if none.
pub(crate) fn own_database() -> u32 {
    // SAFETY: a plain global, set once at connection.
    unsafe { pg_sys::MyDatabaseId.to_u32() }
}

impl Memory {
    /// # Safety
    /// `start` must be our shared memory, zeroed or initialised, with its locks allocated.
    unsafe fn at(start: NonNull<u8>) -> Memory {
        let base = size_of::<Directory>().next_multiple_of(128);
        // SAFETY: the layout that `total_bytes` adds up; all-zero bytes are valid for every part.
        unsafe {
            let slots = (0..settings::max_databases())
                .map(|index| Slot::at(start.add(base + index * slot_stride()), index))
                .collect();
            Memory {
                directory: start.cast(),
                claims: LwLock::of_tranche(TRANCHE, 0),
                slots,
            }
        }
    }

    fn reset(&self) {
        self.directory()
            .launcher_seat
            .store(ProcessSeat::NOBODY, Ordering::Relaxed);
        for slot in &self.slots {
            slot.set_worker(None);
            slot.set_scribe(None);
        }
    }

    fn directory(&self) -> &Directory {
        // SAFETY: initialised shared memory whose fields are atomics or never change.
        unsafe { self.directory.as_ref() }
    }

    /// All slots.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The slot of a database, if it has one.
    pub(crate) fn slot_of(&self, database: u32) -> Option<&Slot> {
        self.slots
            .iter()
            .find(|slot| database != 0 && slot.database() == database)
    }

    /// The slot of a database; a free one is taken if it has none. With `wanted` the launcher keeps
    /// a worker for it, and a slot that nobody wants counts as free.
    ///
    /// # Errors
    /// [`Error::NoDatabaseSlot`] if all are taken by other databases.
    pub(crate) fn claim(&self, database: u32, wanted: bool) -> Result<&Slot> {
        let slot = self.claims.exclusive(|| {
            let slot = self
                .slot_of(database)
                .or_else(|| self.slots.iter().find(|slot| slot.database() == 0))
                .or_else(|| self.slots.iter().find(|slot| wanted && !slot.is_wanted()))?;
            let memory = slot.memory();
            if slot.database() != database {
                memory.stop.store(false, Ordering::Relaxed);
                memory.capture_requests.clear();
                // Nobody takes these two locks the other way round.
                slot.journal_mut().span = Span::default();
                slot.log_mut().redefinitions = Redefinitions::default();
                memory
                    .counters
                    .iter()
                    .for_each(|counter| counter.store(0, Ordering::Relaxed));
                memory.database.store(database, Ordering::Release);
            }
            if wanted {
                memory.wanted.store(true, Ordering::Release);
            }
            Some(slot)
        });
        slot.ok_or(Error::NoDatabaseSlot)
    }

    /// Gives a slot back. Its log must have no boot any more.
    pub(crate) fn release(&self, slot: &Slot) {
        self.claims.exclusive(|| {
            slot.memory().wanted.store(false, Ordering::Release);
            slot.memory().database.store(0, Ordering::Release);
        });
    }

    /// A transaction that changes the catalog is about to commit.
    pub(crate) fn begin_catalog_change(&self) {
        let begun = &self.directory().catalog_changes_begun;
        begun.fetch_add(1, Ordering::SeqCst);
    }

    /// Such a transaction has ended, and new snapshots see how.
    pub(crate) fn end_catalog_change(&self) {
        let ended = &self.directory().catalog_changes_ended;
        ended.fetch_add(1, Ordering::SeqCst);
    }

    /// How many transactions that change a catalog have been about to commit.
    pub(crate) fn catalog_changes_begun(&self) -> u64 {
        self.directory()
            .catalog_changes_begun
            .load(Ordering::SeqCst)
    }

    /// The same, if all of them have ended.
    pub(crate) fn settled_catalog_changes(&self) -> Option<u64> {
        let ended = self
            .directory()
            .catalog_changes_ended
            .load(Ordering::SeqCst);
        (self.catalog_changes_begun() == ended).then_some(ended)
    }

    /// Says where the launcher can be woken.
    pub(crate) fn set_launcher(&self, seat: Option<ProcessSeat>) {
        let raw = seat.map_or(ProcessSeat::NOBODY, ProcessSeat::to_raw);
        self.directory().launcher_seat.store(raw, Ordering::Release);
    }

    /// Wakes the launcher, if it runs.
    pub(crate) fn wake_launcher(&self) {
        let raw = self.directory().launcher_seat.load(Ordering::Acquire);
        if let Some(seat) = ProcessSeat::from_raw(raw) {
            seat.wake();
        }
    }
}

impl Slot {
    /// # Safety
    /// As [`Memory::at`], for the slot's own part.
    unsafe fn at(start: NonNull<u8>, index: usize) -> Slot {
        let memory = start.cast::<SlotMemory>();
        // SAFETY: the fields lie within the slot; each is reached through its lock only.
        unsafe {
            let log = NonNull::new_unchecked(&raw mut (*memory.as_ptr()).log);
            let board = NonNull::new_unchecked(&raw mut (*memory.as_ptr()).board);
            let ring = start.add(size_of::<SlotMemory>());
            let journal = NonNull::new_unchecked(&raw mut (*memory.as_ptr()).journal);
            let journal_ring = ring.add(settings::ring_bytes());
            Slot {
                memory,
                log: Guarded::new(LwLock::of_tranche(TRANCHE, 1 + 3 * index), log),
                board: Guarded::new(LwLock::of_tranche(TRANCHE, 2 + 3 * index), board),
                ring: NonNull::slice_from_raw_parts(ring, settings::ring_bytes()),
                journal: Guarded::new(LwLock::of_tranche(TRANCHE, 3 + 3 * index), journal),
                journal_ring: NonNull::slice_from_raw_parts(
                    journal_ring,
                    journal::settings::queue_bytes(),
                ),
                index,
            }
        }
    }

    fn memory(&self) -> Atomics<'_> {
        // SAFETY: atomics in initialised shared memory that outlives every process using it. No
        // reference to the guarded parts is made.
        unsafe {
            let memory = self.memory.as_ptr();
            Atomics {
                database: &(*memory).database,
                worker_seat: &(*memory).worker_seat,
                worker_pid: &(*memory).worker_pid,
                wanted: &(*memory).wanted,
                stop: &(*memory).stop,
                overflow: &(*memory).overflow,
                memory_full: &(*memory).memory_full,
                hint_wanted: &(*memory).hint_wanted,
                scribe_seat: &(*memory).scribe_seat,
                scribe_pid: &(*memory).scribe_pid,
                decoder: &(*memory).decoder,
                counters: &(*memory).counters,
                watched: &(*memory).watched,
                watched_columns: &(*memory).watched_columns,
                capture_requests: &(*memory).capture_requests,
            }
        }
    }

    /// The oid of the database, 0 if the slot is free.
    pub(crate) fn database(&self) -> u32 {
        self.memory().database.load(Ordering::Acquire)
    }

    /// Whether a worker is to serve the slot.
    pub(crate) fn is_wanted(&self) -> bool {
        self.memory().wanted.load(Ordering::Acquire)
    }

    /// Shared access to the log's state.
    pub(crate) fn log(&self) -> Reading<'_, LogState> {
        self.log.read()
    }

    /// Exclusive access to the log's state.
    pub(crate) fn log_mut(&self) -> Writing<'_, LogState> {
        self.log.write()
    }

    /// The ring of the log, for whoever has exclusive access.
    pub(crate) fn ring<'a>(&self, log: &'a mut Writing<'_, LogState>) -> Ring<'a> {
        let mut bytes = self.ring;
        // SAFETY: the bytes belong to this slot and are reached under its log's lock only, which
        // `log` shows to be held exclusively for as long as the ring lives.
        Ring::new(&mut log.span, unsafe { bytes.as_mut() })
    }

    /// Bytes that the ring can hold.
    pub(crate) fn ring_capacity(&self) -> u64 {
        self.ring.len() as u64
    }

    /// Shared access to what relays fetch.
    pub(crate) fn board(&self) -> Reading<'_, Board> {
        self.board.read()
    }

    /// Exclusive access to what relays fetch.
    pub(crate) fn board_mut(&self) -> Writing<'_, Board> {
        self.board.write()
    }

    /// R3: something could not be put into the log; the worker begins a new boot.
    pub(crate) fn set_overflow(&self, on: bool) {
        self.memory().overflow.store(on, Ordering::SeqCst);
    }

    /// Whether the log has a gap.
    pub(crate) fn has_overflow(&self) -> bool {
        self.memory().overflow.load(Ordering::SeqCst)
    }

    /// The worker takes no more registrations, or does again.
    pub(crate) fn set_memory_full(&self, on: bool) {
        self.memory().memory_full.store(on, Ordering::Relaxed);
    }

    /// Whether the worker has no memory for more registrations.
    pub(crate) fn is_memory_full(&self) -> bool {
        self.memory().memory_full.load(Ordering::Relaxed)
    }

    /// Has the worker notify all owners, though no batch of theirs is new.
    pub(crate) fn want_hint(&self) {
        self.memory().hint_wanted.store(true, Ordering::SeqCst);
        self.wake_worker();
    }

    /// Whether that was asked for since the last call.
    pub(crate) fn take_hint(&self) -> bool {
        self.memory().hint_wanted.swap(false, Ordering::SeqCst)
    }

    /// Asks the worker to end and to give the slot back, or takes that back.
    pub(crate) fn set_stop(&self, on: bool) {
        self.memory().stop.store(on, Ordering::SeqCst);
    }

    /// Whether the worker is asked to end.
    pub(crate) fn has_stop(&self) -> bool {
        self.memory().stop.load(Ordering::SeqCst)
    }

    /// Says who the worker is: where it can be woken, and its process id.
    pub(crate) fn set_worker(&self, worker: Option<(ProcessSeat, i32)>) {
        let (seat, pid) = worker.map_or((ProcessSeat::NOBODY, 0), |(s, p)| (s.to_raw(), p));
        self.memory().worker_seat.store(seat, Ordering::Release);
        self.memory().worker_pid.store(pid, Ordering::Release);
    }

    /// The process id of the worker, 0 if there is none.
    pub(crate) fn worker_pid(&self) -> i32 {
        self.memory().worker_pid.load(Ordering::Acquire)
    }

    /// Wakes the worker, if there is one.
    pub(crate) fn wake_worker(&self) {
        let raw = self.memory().worker_seat.load(Ordering::Acquire);
        if let Some(seat) = ProcessSeat::from_raw(raw) {
            seat.wake();
        }
    }

    /// Exclusive access to the state of the journal's queue.
    pub(crate) fn journal_mut(&self) -> Writing<'_, JournalState> {
        self.journal.write()
    }

    /// The ring of the journal's queue, for whoever has exclusive access.
    pub(crate) fn journal_ring<'a>(&self, journal: &'a mut Writing<'_, JournalState>) -> Ring<'a> {
        let mut bytes = self.journal_ring;
        // SAFETY: as for `ring`, under the lock of the journal.
        Ring::new(&mut journal.span, unsafe { bytes.as_mut() })
    }

    /// Bytes of the journal's queue that are in use.
    pub(crate) fn journal_used(&self) -> u64 {
        self.journal.read().span.used()
    }

    /// Bytes that the journal's queue can hold.
    pub(crate) fn journal_capacity(&self) -> usize {
        self.journal_ring.len()
    }

    /// Says who the scribe is: where it can be woken, and its process id.
    pub(crate) fn set_scribe(&self, scribe: Option<(ProcessSeat, i32)>) {
        let (seat, pid) = scribe.map_or((ProcessSeat::NOBODY, 0), |(s, p)| (s.to_raw(), p));
        self.memory().scribe_seat.store(seat, Ordering::Release);
        self.memory().scribe_pid.store(pid, Ordering::Release);
    }

    /// The process id of the scribe, 0 if there is none.
    pub(crate) fn scribe_pid(&self) -> i32 {
        self.memory().scribe_pid.load(Ordering::Acquire)
    }

    /// Wakes the scribe, if there is one.
    pub(crate) fn wake_scribe(&self) {
        let raw = self.memory().scribe_seat.load(Ordering::Acquire);
        if let Some(seat) = ProcessSeat::from_raw(raw) {
            seat.wake();
        }
    }

    /// The relations that live queries look at.
    pub(crate) fn watched(&self) -> &Watched {
        self.memory().watched
    }

    /// Their columns that have conditions, and 0 for a relation that they look at parts of.
    pub(crate) fn watched_columns(&self) -> &WatchedColumns {
        self.memory().watched_columns
    }

    /// The relations that are to be captured.
    pub(crate) fn capture_requests(&self) -> &Requests {
        self.memory().capture_requests
    }

    /// What belongs to the decoder.
    pub(crate) fn decoder(&self) -> &DecoderSeat {
        self.memory().decoder
    }

    /// Adds to a counter.
    pub(crate) fn count(&self, counter: Counter, by: u64) {
        self.memory().counters[counter as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// The value of a counter since the slot was taken.
    pub(crate) fn counter(&self, counter: Counter) -> u64 {
        self.memory().counters[counter as usize].load(Ordering::Relaxed)
    }
}

/// The parts of a slot that need no lock.
struct Atomics<'a> {
    database: &'a AtomicU32,
    worker_seat: &'a AtomicI32,
    worker_pid: &'a AtomicI32,
    wanted: &'a AtomicBool,
    stop: &'a AtomicBool,
    overflow: &'a AtomicBool,
    memory_full: &'a AtomicBool,
    hint_wanted: &'a AtomicBool,
    scribe_seat: &'a AtomicI32,
    scribe_pid: &'a AtomicI32,
    decoder: &'a DecoderSeat,
    counters: &'a [AtomicU64; Counter::ALL.len()],
    watched: &'a Watched,
    watched_columns: &'a WatchedColumns,
    capture_requests: &'a Requests,
}

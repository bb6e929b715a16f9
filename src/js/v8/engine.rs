//! The isolate of this thread and what is kept between calls.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::time::Duration;

use deno_core::v8;

use super::image::Image;
use super::kept::{KeptContexts, ModuleKey};
use super::language::Realm;
use super::memory::{self, BufferAccount, HeapGuard};
use super::modules::ModuleCache;
use super::prepare::Wanted;
use super::sys::{self, CpuClock};
use super::watchdog::Watchdog;
use super::{modules, ops, platform, runtime};
use crate::js::{EngineStats, Failure, ImagePlace, Limits};

/// Stack that V8 and the host must have left to enter another function.
const STACK_RESERVE: usize = 128 * 1024;
/// Least heap an isolate can do with.
const MIN_HEAP: usize = 16 * 1024 * 1024;
/// Room that calls should find in the heap, if it is not small.
const ROOM: usize = 16 * 1024 * 1024;
/// An isolate that has little room left serves so many calls at least: in a new one the first call of each module
/// takes longer.
const CROWDED_CALLS: u32 = 16;
/// After how many calls without an image it is looked for again.
const LOOK_AGAIN_CALLS: u32 = 16;
/// After how many it is made again, if it is still not there.
const MAKE_AGAIN_CALLS: u32 = 1024;

thread_local! {
    // Never dropped: at the end of the process frames of JavaScript may still be on the stack.
    static ENGINE: ManuallyDrop<RefCell<Option<Rc<Engine>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
    static WATCHDOG: ManuallyDrop<RefCell<Option<Rc<Watchdog>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
    static COUNTERS: Cell<Counters> = const { Cell::new(Counters::new()) };
}

#[derive(Clone, Copy)]
struct Counters {
    first_start: Duration,
    contexts: u64,
    isolates: u64,
}

impl Counters {
    const fn new() -> Self {
        Self {
            first_start: Duration::ZERO,
            contexts: 0,
            isolates: 0,
        }
    }
}

/// One isolate and what goes with it. Handles come before the isolate: fields are dropped in this order.
pub(super) struct Engine {
    /// Code of deployments.
    pub(super) modules: RefCell<ModuleCache>,
    /// Contexts for calls to come.
    pub(super) kept: RefCell<KeptContexts>,
    /// Modules for which a context should be prepared.
    pub(super) wanted: RefCell<Vec<Wanted>>,
    /// Guarded modules that were called, so that the next call is worth a context for many.
    pub(super) called: RefCell<HashSet<ModuleKey>>,
    /// Modules whose calls must not share a context, whatever was found at their deploy.
    pub(super) distrusted: RefCell<Vec<ModuleKey>>,
    /// Contexts of functions in LANGUAGE js.
    pub(super) realms: RefCell<Vec<Rc<Realm>>>,
    /// The runtime's own code.
    pub(super) runtime: runtime::Scripts,
    /// The native operations that the runtime gets.
    pub(super) operations: ops::Templates,
    /// Stops functions.
    pub(super) watchdog: Rc<Watchdog>,
    /// Stops functions that use up the heap.
    pub(super) heap: &'static HeapGuard,
    /// What array buffers take.
    pub(super) buffers: &'static BufferAccount,
    /// Processor time of this thread.
    pub(super) clock: CpuClock,
    /// How many calls are nested now.
    pub(super) depth: Cell<usize>,
    /// A microtask queue per depth, so that a nested call does not run what the outer one has queued.
    queues: RefCell<Vec<Queue>>,
    /// Set when the heap should not be used for another call.
    worn_out: Cell<bool>,
    /// Whether JavaScript has run since it was last seen how much of the heap is in use.
    unseen: Cell<bool>,
    /// Bytes of the heap that were alive after the last collection between calls.
    live: Cell<usize>,
    /// Bytes of the heap that were in use at the start: those of an image.
    born: usize,
    /// How many calls have ended.
    ended: Cell<u32>,
    /// Set when the next call should have a new isolate, because little room is left in this one.
    crowded: Cell<bool>,
    /// How many contexts had been made by then.
    contexts: Cell<u64>,
    heap_bytes: usize,
    stack_limit: usize,
    handle: v8::IsolateHandle,
    raw: v8::UnsafeRawIsolatePtr,
    /// What a call wanted that is not here: the image of its deployment.
    wanting: RefCell<Option<Wanting>>,
    isolate: v8::OwnedIsolate,
    /// What the isolate was started from, which it goes on to read.
    image: Option<Image>,
}

/// An image that calls would have liked to have.
struct Wanting {
    place: ImagePlace,
    limits: Limits,
    /// How many calls.
    calls: u32,
}

/// What an isolate is started for.
enum Start {
    /// Calls; from an image if there is one.
    Calls(Option<Image>),
    /// Making an image.
    Image,
}

/// A microtask queue. Leaked when given up, since contexts that are still to be collected name it.
pub(super) struct Queue(*mut v8::MicrotaskQueue);

impl Queue {
    fn new(isolate: &mut v8::Isolate) -> Self {
        let queue = v8::MicrotaskQueue::new(isolate, v8::MicrotasksPolicy::Explicit);
        Self(std::ptr::from_ref::<v8::MicrotaskQueue>(&ManuallyDrop::new(queue)).cast_mut())
    }
}

impl Engine {
    /// This thread's engine, started or renewed if need be. Within a call it is the one that runs. `place`: where
    /// the image of the deployment is that is called.
    pub(super) fn acquire(
        limits: &Limits,
        place: Option<&ImagePlace>,
    ) -> Result<Rc<Self>, Failure> {
        platform::set_fatal(limits.fatal);
        ENGINE.with(|slot| {
            let mut slot = slot.borrow_mut();
            let image = match slot.as_ref() {
                Some(engine) if engine.usable(limits) => match engine.newer_image(limits, place) {
                    Some(image) => Some(image),
                    None => return Ok(Rc::clone(engine)),
                },
                _ => place.and_then(Image::open),
            };
            // The old isolate is disposed of before the new one is entered.
            let left = slot.take();
            let left = left.map(|old| (old.distrusted.take(), old.wanting.take()));
            let (distrusted, wanting) = left.unwrap_or_default();
            let engine = Rc::new(Self::start(limits, Start::Calls(image))?);
            engine.distrusted.replace(distrusted);
            if engine.image.is_none() {
                // Else an image that cannot be made would be tried again soon.
                let same = |wanting: &Wanting| wanting.limits.heap_bytes == limits.heap_bytes;
                engine.wanting.replace(wanting.filter(same));
            }
            *slot = Some(Rc::clone(&engine));
            Ok(engine)
        })
    }

    /// An engine in which the modules of an image are evaluated.
    pub(super) fn for_image(limits: &Limits) -> Result<Self, Failure> {
        Self::start(limits, Start::Image)
    }

    /// An engine without an image.
    pub(super) fn without_image(limits: &Limits) -> Result<Self, Failure> {
        Self::start(limits, Start::Calls(None))
    }

    /// An engine with this image.
    pub(super) fn with_image(limits: &Limits, image: Image) -> Result<Self, Failure> {
        Self::start(limits, Start::Calls(Some(image)))
    }

    /// The image at `place` if this engine has another one or none, and it is time to look.
    fn newer_image(&self, limits: &Limits, place: Option<&ImagePlace>) -> Option<Image> {
        let place = place?;
        let has_it = self.image.as_ref().is_some_and(|image| image.is_at(place));
        if has_it || self.depth.get() > 0 {
            return None;
        }
        let mut wanting = self.wanting.borrow_mut();
        if wanting.as_ref().is_none_or(|other| !other.place.is(place)) {
            *wanting = Some(Wanting {
                place: place.clone(),
                limits: limits.clone(),
                calls: 0,
            });
        }
        let wanting = wanting.as_mut()?;
        wanting.calls = wanting.calls.saturating_add(1);
        let look = wanting.calls == 1 || wanting.calls.is_multiple_of(LOOK_AGAIN_CALLS);
        if look { Image::open(place) } else { None }
    }

    /// Whether it is time to make the image that calls want: there have been `calls` of them.
    pub(super) fn lacks_image(&self, calls: u32) -> bool {
        self.wanting.borrow().as_ref().is_some_and(|wanting| {
            wanting.calls == calls || wanting.calls.is_multiple_of(MAKE_AGAIN_CALLS)
        })
    }

    /// The image, if it has a context for `module`.
    pub(super) fn image_of(&self, module: &ModuleKey) -> Option<&Image> {
        let image = self.image.as_ref();
        image.filter(|image| image.deployment() == module.deployment)
    }

    fn usable(&self, limits: &Limits) -> bool {
        let fits = self.heap_bytes == limits.heap_bytes;
        self.depth.get() > 0 || (fits && !self.worn_out.get() && !self.crowded.get())
    }

    fn start(limits: &Limits, start: Start) -> Result<Self, Failure> {
        let begin = std::time::Instant::now();
        let stack_bytes = platform::start(limits.stack_bytes);
        let watchdog = watchdog()?;
        let base = sys::stack_base()
            .ok_or_else(|| Failure::Engine("the bounds of the stack are unknown".to_owned()))?;
        let heap_bytes = limits.heap_bytes.max(MIN_HEAP);
        let (buffers, allocator) = memory::buffer_allocator(heap_bytes);
        let mut params = v8::CreateParams::default()
            .heap_limits(0, heap_bytes)
            .array_buffer_allocator(allocator.make_shared())
            .allow_atomics_wait(false)
            .external_references(ops::external_references().into());
        if let Start::Calls(Some(image)) = &start
            && let Some(snapshot) = image.snapshot()
        {
            // SAFETY: the engine keeps the image as long as the isolate, and drops it after that.
            let snapshot = unsafe { std::mem::transmute::<&[u8], &'static [u8]>(snapshot) };
            params = params.snapshot_blob(snapshot.into());
        }
        let mut isolate = sys::with_utc(|| {
            let mut isolate = match &start {
                Start::Calls(_) => v8::Isolate::new(params),
                Start::Image => v8::Isolate::snapshot_creator(None, Some(params)),
            };
            // Else V8 would look at the environment when the zone is first needed.
            isolate.date_time_configuration_change_notification(v8::TimeZoneDetection::Redetect);
            isolate
        });
        isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
        isolate.set_oom_error_handler(platform::on_out_of_memory);
        isolate.set_promise_reject_callback(ops::on_promise_rejection);
        isolate.set_host_import_module_dynamically_callback(modules::refuse_dynamic_import);
        let heap = HeapGuard::install(&mut isolate, heap_bytes);
        let operations = ops::Templates::new(&mut isolate);
        // SAFETY: the pointer is used by this engine only, which owns the isolate.
        let raw = unsafe { isolate.as_raw_isolate_ptr() };
        count(|counters| {
            counters.isolates += 1;
            if counters.isolates == 1 {
                counters.first_start = begin.elapsed();
            }
        });
        Ok(Self {
            modules: RefCell::default(),
            kept: RefCell::default(),
            wanted: RefCell::default(),
            called: RefCell::default(),
            distrusted: RefCell::default(),
            realms: RefCell::default(),
            runtime: runtime::Scripts::default(),
            operations,
            watchdog,
            heap,
            buffers,
            clock: CpuClock::of_this_thread(),
            depth: Cell::new(0),
            queues: RefCell::default(),
            worn_out: Cell::new(false),
            unseen: Cell::new(false),
            live: Cell::new(0),
            born: isolate.get_heap_statistics().used_heap_size(),
            ended: Cell::new(0),
            crowded: Cell::new(false),
            contexts: Cell::new(0),
            heap_bytes: limits.heap_bytes,
            stack_limit: base - stack_bytes,
            handle: isolate.thread_safe_handle(),
            raw,
            wanting: RefCell::default(),
            isolate,
            image: match start {
                Start::Calls(image) => image,
                Start::Image => None,
            },
        })
    }

    /// V8's snapshot of the contexts that were added to the isolate. Nothing of it may be in use any more.
    pub(super) fn into_snapshot(self) -> Option<v8::StartupData> {
        let Self {
            modules,
            kept,
            realms,
            runtime,
            operations,
            isolate,
            ..
        } = self;
        drop((modules, kept, realms, runtime, operations));
        isolate.create_blob(v8::FunctionCodeHandling::Keep)
    }

    /// The isolate. Calls nest, so each of them takes the isolate anew.
    pub(super) fn isolate(&self) -> v8::Isolate {
        // SAFETY: the engine owns the isolate, and it is entered on this thread as long as the engine lives.
        unsafe { v8::Isolate::from_raw_isolate_ptr(self.raw) }
    }

    /// A handle for the watchdog.
    pub(super) fn handle(&self) -> v8::IsolateHandle {
        self.handle.clone()
    }

    /// Whether too little stack is left to enter JavaScript.
    pub(super) fn stack_is_short(&self) -> bool {
        sys::stack_pointer() < self.stack_limit + STACK_RESERVE
    }

    /// The microtask queue of the present depth.
    pub(super) fn queue(&self) -> *mut v8::MicrotaskQueue {
        let depth = self.depth.get();
        let mut queues = self.queues.borrow_mut();
        while queues.len() <= depth {
            queues.push(Queue::new(&mut self.isolate()));
        }
        queues[depth].0
    }

    /// Gives up the queue of the present depth, which may hold work of a function that was stopped, and the
    /// contexts that would run it.
    pub(super) fn abandon_queue(&self) {
        let depth = self.depth.get();
        self.kept.borrow_mut().forget_depth(depth);
        self.realms
            .borrow_mut()
            .retain(|realm| realm.depth() != depth);
        if let Some(queue) = self.queues.borrow_mut().get_mut(depth) {
            *queue = Queue::new(&mut self.isolate());
        }
    }

    /// Collects the contexts of past calls when they have become much. V8 by itself would first copy all of
    /// them to the old generation: it learns only in a full collection that a context is dead, and that is
    /// cheap here, between calls, when nearly nothing is alive.
    pub(super) fn collect_garbage(&self, worth: usize) {
        if self.depth.get() > 0 || self.worn_out.get() {
            return;
        }
        self.unseen.set(false);
        let mut isolate = self.isolate();
        let live = self.live.get();
        let used = isolate.get_heap_statistics().used_heap_size();
        let worth = if used > self.roomy_bytes() {
            self.heap_bytes / 8
        } else {
            live.max(worth)
        };
        if used > live + worth {
            platform::collect_garbage(&mut isolate);
            let live = isolate.get_heap_statistics().used_heap_size();
            self.live.set(live);
            self.contexts.set(COUNTERS.get().contexts);
            self.crowded.set(self.is_crowded(live));
        }
    }

    /// After a call: collects what it has left if that is much (`worth` bytes), so that the next one is not stopped for it.
    pub(super) fn clear_up(&self, worth: usize) {
        self.collect_garbage(worth);
        if self.heap.reached() {
            self.wear_out();
        }
    }

    /// How much of the heap may be in use between calls if they are to find room.
    fn roomy_bytes(&self) -> usize {
        let room = ROOM.min(self.heap_bytes / 2);
        self.heap_bytes - room.max(self.heap_bytes / 8 * 3)
    }

    /// Whether the code and the contexts of modules have filled so much of the heap that a call may find too little
    /// room, and a new isolate would help. Contexts of functions in LANGUAGE js stay as long as the session.
    fn is_crowded(&self, live: usize) -> bool {
        live > self.roomy_bytes()
            && live > self.born + self.heap_bytes / 8
            && self.ended.get() >= CROWDED_CALLS
            && self.realms.borrow().is_empty()
    }

    /// Counts a call that has ended.
    pub(super) fn count_call(&self) {
        self.ended.set(self.ended.get().saturating_add(1));
    }

    /// Notes that JavaScript has run.
    pub(super) fn has_run(&self) {
        self.unseen.set(true);
    }

    /// Whether it has since it was last seen how much of the heap is in use.
    pub(super) fn is_unseen(&self) -> bool {
        self.unseen.get()
    }

    /// Whether contexts were made since the last collection, so that some may be garbage. V8 clears away what calls in a
    /// context that stays leave, as it goes.
    pub(super) fn has_made_contexts(&self) -> bool {
        self.contexts.get() != COUNTERS.get().contexts
    }

    /// After a function has used up the heap: restores the limit, and lets the next call that is not nested
    /// have a new isolate.
    pub(super) fn wear_out(&self) {
        self.heap.reset(&mut self.isolate());
        self.worn_out.set(true);
    }
}

/// Starts the isolate anew if the image is there by now that calls would have liked to have.
pub(super) fn adopt_image() {
    ENGINE.with(|slot| {
        let Ok(mut slot) = slot.try_borrow_mut() else {
            return;
        };
        let Some(engine) =
            slot.take_if(|engine| engine.depth.get() == 0 && engine.wanting.borrow().is_some())
        else {
            return;
        };
        let wanting = engine.wanting.take();
        let opened = wanting
            .as_ref()
            .and_then(|wanting| Image::open(&wanting.place));
        let (Some(Wanting { limits, .. }), Some(image)) = (&wanting, opened) else {
            engine.wanting.replace(wanting);
            *slot = Some(engine);
            return;
        };
        let wanted = engine.wanted.take();
        let distrusted = engine.distrusted.take();
        drop(engine);
        // If it does not start, the next call finds out why.
        if let Ok(engine) = Engine::start(limits, Start::Calls(Some(image))) {
            engine.wanted.replace(wanted);
            engine.distrusted.replace(distrusted);
            *slot = Some(Rc::new(engine));
        }
    });
}

/// In a process that was forked: forgets the engine of the parent, whose helper thread is not here. Its isolate
/// stays: V8's read-only heap belongs to it, and that of an image must be the same.
pub(super) fn forget_parent() {
    ENGINE.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut() {
            // Not dropped: neither is this process's to end.
            let _kept = ManuallyDrop::new(slot.take());
        }
    });
    WATCHDOG.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut() {
            // Not dropped: neither is this process's to end.
            let _kept = ManuallyDrop::new(slot.take());
        }
    });
}

/// This thread's engine, if it has one that may be used and runs nothing.
pub(super) fn resting() -> Option<Rc<Engine>> {
    ENGINE.with(|slot| {
        let slot = slot.try_borrow().ok()?;
        let engine = slot.as_ref()?;
        let rests = engine.depth.get() == 0 && !engine.worn_out.get() && !engine.crowded.get();
        rests.then(|| Rc::clone(engine))
    })
}

/// This thread's engine, if it has one.
pub(super) fn present() -> Option<Rc<Engine>> {
    ENGINE.with(|slot| slot.try_borrow().ok()?.as_ref().map(Rc::clone))
}

/// The watchdog of this thread.
fn watchdog() -> Result<Rc<Watchdog>, Failure> {
    WATCHDOG.with(|slot| {
        let mut slot = slot.borrow_mut();
        if let Some(watchdog) = slot.as_ref() {
            return Ok(Rc::clone(watchdog));
        }
        let started = Watchdog::start()
            .map_err(|error| Failure::Engine(format!("the watchdog does not start: {error}")))?;
        Ok(Rc::clone(slot.insert(Rc::new(started))))
    })
}

fn count(change: impl FnOnce(&mut Counters)) {
    COUNTERS.with(|cell| {
        let mut counters = cell.get();
        change(&mut counters);
        cell.set(counters);
    });
}

/// Counts a context.
pub(super) fn count_context() {
    count(|counters| counters.contexts += 1);
}

/// Drops cached code of every deployment but `keep`.
pub(in crate::js) fn forget_others(keep: i64) {
    ENGINE.with(|slot| {
        if let Ok(slot) = slot.try_borrow()
            && let Some(engine) = slot.as_ref()
        {
            // What was alive is garbage now.
            engine.live.set(0);
            engine.modules.borrow_mut().forget_others(keep);
            let mut called = engine.called.borrow_mut();
            called.retain(|module| module.deployment == keep);
            let mut distrusted = engine.distrusted.borrow_mut();
            distrusted.retain(|module| module.deployment == keep);
            if engine.kept.borrow_mut().forget_others(keep) {
                // V8 keeps what it has optimized for a context that served many calls, and the context with it.
                engine.worn_out.set(true);
            }
        }
    });
}

/// Disposes of this thread's engine, unless a call runs.
pub(in crate::js) fn discard() {
    ENGINE.with(|slot| {
        let Ok(mut slot) = slot.try_borrow_mut() else {
            return;
        };
        let idle = |engine: &mut Rc<Engine>| engine.depth.get() == 0;
        // What is distrusted is known nowhere else.
        drop(slot.take_if(|engine| idle(engine) && engine.distrusted.borrow().is_empty()));
        if let Some(engine) = slot.as_mut().filter(|engine| engine.depth.get() == 0) {
            engine.wear_out();
        }
    });
}

/// Figures about this thread's engine.
pub(in crate::js) fn stats() -> EngineStats {
    let counters = COUNTERS.get();
    let mut stats = EngineStats {
        first_start: counters.first_start,
        contexts_made: counters.contexts,
        isolates_made: counters.isolates,
        ..EngineStats::default()
    };
    ENGINE.with(|slot| {
        if let Ok(slot) = slot.try_borrow()
            && let Some(engine) = slot.as_ref()
        {
            let heap = engine.isolate().get_heap_statistics();
            stats.started = true;
            stats.heap_used = heap.used_heap_size();
            stats.heap_total = heap.total_heap_size();
            stats.array_buffers = engine.buffers.used();
            stats.cached_modules = engine.modules.borrow().len();
            if let Some(image) = &engine.image {
                (stats.image_modules, stats.modules_left_out) = image.counts();
            }
        }
    });
    stats
}

//! Bounds of memory: the heap's limit, and array buffers, which live outside of the heap.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use deno_core::v8;

use super::platform;

/// How much the heap may grow past its limit, as a multiple of it, while a function that reached the limit
/// is being stopped.
const GRACE_FACTOR: usize = 2;

/// What array buffers take and may take.
#[derive(Debug)]
pub(super) struct BufferAccount {
    used: AtomicUsize,
    limit: usize,
}

impl BufferAccount {
    /// Bytes that array buffers take.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn allocate(&self, len: usize) -> *mut c_void {
        let before = self.used.fetch_add(len, Ordering::Relaxed);
        if before.saturating_add(len) <= self.limit {
            // SAFETY: calloc may be called with any size; null is a failure V8 expects.
            let data = unsafe { libc::calloc(len.max(1), 1) };
            if !data.is_null() {
                return data;
            }
        }
        self.used.fetch_sub(len, Ordering::Relaxed);
        std::ptr::null_mut()
    }
}

/// # Safety
/// Called by V8 with the account that the allocator was made with.
unsafe extern "C" fn allocate(account: &BufferAccount, len: usize) -> *mut c_void {
    account.allocate(len)
}

/// # Safety
/// Called by V8 with memory that [`allocate`] gave.
unsafe extern "C" fn free(account: &BufferAccount, data: *mut c_void, len: usize) {
    account.used.fetch_sub(len, Ordering::Relaxed);
    // SAFETY: `data` comes from calloc and is freed once.
    unsafe { libc::free(data) };
}

/// # Safety
/// Called by V8 once, when the allocator goes.
unsafe extern "C" fn drop_account(_account: *const BufferAccount) {
    // The account is leaked: the engine reads it as long as the process lives.
}

static VTABLE: v8::RustAllocatorVtable<BufferAccount> = v8::RustAllocatorVtable {
    allocate,
    allocate_uninitialized: allocate,
    free,
    drop: drop_account,
};

/// An allocator of array buffers that gives out at most `limit` bytes. Past it V8 collects garbage, and then
/// treats it as the heap's limit.
pub(super) fn buffer_allocator(
    limit: usize,
) -> (&'static BufferAccount, v8::UniqueRef<v8::Allocator>) {
    let account: &'static BufferAccount = Box::leak(Box::new(BufferAccount {
        used: AtomicUsize::new(0),
        limit,
    }));
    // SAFETY: the account lives as long as the process and is what the vtable's functions expect.
    let allocator = unsafe { v8::new_rust_allocator(account, &VTABLE) };
    (account, allocator)
}

/// Watches an isolate's heap limit. Lives as long as the isolate.
#[derive(Debug)]
pub(super) struct HeapGuard {
    isolate: v8::UnsafeRawIsolatePtr,
    limit: usize,
    reached: Cell<bool>,
    /// Whether the heap may grow beyond it, so that V8 can get to where the function is stopped.
    raised: Cell<bool>,
}

impl HeapGuard {
    /// Installs a guard for `isolate`, whose heap was made with `limit` bytes. The guard is leaked.
    pub(super) fn install(isolate: &mut v8::Isolate, limit: usize) -> &'static Self {
        // SAFETY: the pointer is used on this thread only, and not after the isolate is disposed.
        let raw = unsafe { isolate.as_raw_isolate_ptr() };
        let guard: &'static Self = Box::leak(Box::new(Self {
            isolate: raw,
            limit,
            reached: Cell::new(false),
            raised: Cell::new(false),
        }));
        guard.add_to(isolate);
        isolate.add_gc_epilogue_callback(
            after_collection,
            guard.as_data(),
            v8::GCType::kGCTypeMarkSweepCompact,
        );
        guard
    }

    fn add_to(&'static self, isolate: &mut v8::Isolate) {
        isolate.add_near_heap_limit_callback(near_heap_limit, self.as_data());
    }

    fn as_data(&'static self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// Whether the limit has been reached since the last [`HeapGuard::reset`].
    pub(super) fn reached(&self) -> bool {
        self.reached.get()
    }

    /// Puts the limit back as far as what is alive allows.
    pub(super) fn reset(&'static self, isolate: &mut v8::Isolate) {
        isolate.remove_near_heap_limit_callback(near_heap_limit, self.limit);
        self.reached.set(false);
        self.raised.set(false);
        self.add_to(isolate);
    }
}

/// Stops the function and raises the limit once, so that V8 can get to where it stops.
///
/// # Safety
/// Called by V8 on the isolate's thread with the guard that was installed for it.
unsafe extern "C" fn near_heap_limit(data: *mut c_void, current: usize, initial: usize) -> usize {
    // SAFETY: the guard is leaked, so the reference is valid.
    let guard = unsafe { &*data.cast::<HeapGuard>() };
    // SAFETY: V8 calls this for the live isolate the guard was installed for.
    let isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(guard.isolate) };
    isolate.terminate_execution();
    guard.reached.set(true);
    if guard.raised.replace(true) {
        // The function is in the middle of one operation that does not end; V8 would try for long.
        platform::end("JavaScript used up its memory in an operation that can not be stopped");
        return current;
    }
    current + GRACE_FACTOR * initial
}

/// Stops the function if what lives outside of the heap (WebAssembly memories among it) is more than the limit
/// after a full collection.
///
/// # Safety
/// Called by V8 on the isolate's thread with the guard that was installed for it.
unsafe extern "C" fn after_collection(
    _isolate: v8::UnsafeRawIsolatePtr,
    _kind: v8::GCType,
    _flags: v8::GCCallbackFlags,
    data: *mut c_void,
) {
    // SAFETY: the guard is leaked, so the reference is valid.
    let guard = unsafe { &*data.cast::<HeapGuard>() };
    // SAFETY: V8 calls this for the live isolate the guard was installed for.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(guard.isolate) };
    if isolate.get_heap_statistics().external_memory() > guard.limit {
        guard.reached.set(true);
        isolate.terminate_execution();
    }
}

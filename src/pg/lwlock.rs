//! Postgres' lightweight locks, and shared data that each of them guards.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use pgrx::pg_sys;

/// One lightweight lock in shared memory.
#[derive(Clone, Copy)]
pub(crate) struct LwLock(NonNull<pg_sys::LWLock>);

/// A lock that is held until this value is dropped. Interrupts wait meanwhile.
struct Held(LwLock);

impl LwLock {
    /// The lock number `index` of a tranche that was requested with more than `index` locks.
    ///
    /// # Safety
    /// The tranche must have been requested under this name with that many locks, and the
    /// allocation of shared memory must be under way or over.
    pub(super) unsafe fn of_tranche(name: &std::ffi::CStr, index: usize) -> LwLock {
        // SAFETY: as the caller promises; the array is never freed.
        unsafe {
            let padded = pg_sys::GetNamedLWLockTranche(name.as_ptr()).add(index);
            LwLock(NonNull::new_unchecked((&raw mut (*padded).lock).cast()))
        }
    }

    /// One of Postgres' own individual locks, by its number in `lwlocknames.h`.
    pub(super) fn individual(number: usize) -> LwLock {
        // SAFETY: the array is in shared memory before any of our code that locks runs.
        unsafe {
            let padded = pg_sys::MainLWLockArray.add(number);
            LwLock(NonNull::new_unchecked((&raw mut (*padded).lock).cast()))
        }
    }

    fn take(self, mode: pg_sys::LWLockMode::Type) -> Held {
        // SAFETY: the pointer is to an initialised lock for the server's lifetime.
        unsafe { pg_sys::LWLockAcquire(self.0.as_ptr(), mode) };
        Held(self)
    }

    /// Runs `body` while the lock is held in shared mode. It must not wait for anything else.
    pub(super) fn shared<T>(self, body: impl FnOnce() -> T) -> T {
        let _held = self.take(pg_sys::LWLockMode::LW_SHARED);
        body()
    }

    /// Runs `body` while the lock is held in exclusive mode. It must not wait for anything else.
    pub(super) fn exclusive<T>(self, body: impl FnOnce() -> T) -> T {
        let _held = self.take(pg_sys::LWLockMode::LW_EXCLUSIVE);
        body()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: held by this process since `take`. An ERROR under the lock is a panic on its way
        // up here, before Postgres' own clean-up, which releases all locks, can have run.
        unsafe { pg_sys::LWLockRelease(self.0.0.as_ptr()) };
    }
}

/// Data in shared memory with the lock that guards it.
pub(crate) struct Guarded<T> {
    lock: LwLock,
    data: NonNull<T>,
}

/// Shared access to guarded data.
pub(crate) struct Reading<'a, T> {
    _held: Held,
    data: &'a T,
}

/// Exclusive access to guarded data.
pub(crate) struct Writing<'a, T> {
    _held: Held,
    data: &'a mut T,
}

impl<T> Guarded<T> {
    /// # Safety
    /// `data` must point to an initialised `T` in shared memory that lives as long as the server
    /// and is touched under `lock` only.
    pub(super) unsafe fn new(lock: LwLock, data: NonNull<T>) -> Self {
        Guarded { lock, data }
    }

    /// Waits for the lock in shared mode.
    pub(crate) fn read(&self) -> Reading<'_, T> {
        let _held = self.lock.take(pg_sys::LWLockMode::LW_SHARED);
        // SAFETY: by the promise of `new`; nobody writes while the lock is held in shared mode.
        let data = unsafe { self.data.as_ref() };
        Reading { _held, data }
    }

    /// Waits for the lock in exclusive mode.
    pub(crate) fn write(&self) -> Writing<'_, T> {
        let _held = self.lock.take(pg_sys::LWLockMode::LW_EXCLUSIVE);
        // SAFETY: by the promise of `new`; the lock is held in exclusive mode.
        let data = unsafe { &mut *self.data.as_ptr() };
        Writing { _held, data }
    }
}

impl<T> Deref for Reading<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.data
    }
}

impl<T> Deref for Writing<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.data
    }
}

impl<T> DerefMut for Writing<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.data
    }
}

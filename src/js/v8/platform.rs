//! Starting V8 in this process: once, at the first call, and never taken down again.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use deno_core::v8;

use super::sys;

/// A young generation that holds more than is let grow between two collections, and flags that can be changed
/// later, as [`collect_garbage`] does.
const GC_FLAGS: &str =
    "--min-semi-space-size=8 --max-semi-space-size=8 --no-freeze-flags-after-init";

/// Without `--single-threaded` V8's single-threaded platform crashes at a garbage collection. Bytecode is kept
/// because the same modules are evaluated in every call.
const FLAGS: &str = "--single-threaded --disallow-code-generation-from-strings --no-flush-bytecode";

/// Most pages (64 KiB) of one WebAssembly memory: 64 MiB.
const WASM_FLAG: &str = "--wasm-max-mem-pages=1024";

/// Least of the stack that JavaScript may use, whatever the limits say.
const MIN_STACK_BYTES: usize = 384 * 1024;

thread_local! {
    /// What ends the process in an orderly way when V8 can not go on.
    static FATAL: Cell<Option<fn(&str) -> !>> = const { Cell::new(None) };
    /// Whether this thread is inside V8, and not in a host call made from there.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Starts V8 if this process has not yet. Gives how far from its base the stack may be used: `stack_bytes` of
/// the first call, since V8 fixes it at its start.
pub(super) fn start(stack_bytes: usize) -> usize {
    static STACK_BYTES: OnceLock<usize> = OnceLock::new();
    *STACK_BYTES.get_or_init(|| {
        let kilobytes = stack_bytes.max(MIN_STACK_BYTES) / 1024;
        v8::V8::set_flags_from_string(FLAGS);
        v8::V8::set_flags_from_string(WASM_FLAG);
        v8::V8::set_flags_from_string(GC_FLAGS);
        v8::V8::set_flags_from_string(&format!("--stack-size={kilobytes}"));
        v8::icu::set_default_locale("en-US");
        v8::V8::set_fatal_error_handler(on_fatal_error);
        v8::V8::initialize_platform(v8::new_single_threaded_default_platform(false).make_shared());
        v8::V8::initialize();
        sys::exit_without_destructors();
        sys::catch_traps(on_trap);
        kilobytes * 1024
    })
}

/// Collects everything that is not alive, at once.
///
/// V8 wants a flag for this which also gives every new context a function `gc`; so it is set just here.
pub(super) fn collect_garbage(isolate: &mut v8::Isolate) {
    v8::V8::set_flags_from_string("--expose-gc");
    isolate.request_garbage_collection_for_testing(v8::GarbageCollectionType::Full);
    v8::V8::set_flags_from_string("--no-expose-gc");
}

/// Sets what ends the process when V8 can not go on.
pub(super) fn set_fatal(fatal: fn(&str) -> !) {
    FATAL.set(Some(fatal));
}

/// Marks this thread as inside or outside of V8; gives the former mark.
pub(super) fn set_inside(inside: bool) -> bool {
    INSIDE.replace(inside)
}

/// V8's handler of failed checks.
fn on_fatal_error(file: &str, line: i32, message: &str) {
    end(&format!(
        "JavaScript engine failed: {message} ({file}:{line})"
    ));
}

/// V8's handler of exhausted memory.
///
/// # Safety
/// Called by V8 with a location that is null or a C string.
pub(super) unsafe extern "C" fn on_out_of_memory(
    location: *const c_char,
    _details: &v8::OomDetails,
) {
    let location = if location.is_null() {
        "unknown place".into()
    } else {
        // SAFETY: V8 passes a C string that outlives this call.
        unsafe { CStr::from_ptr(location) }.to_string_lossy()
    };
    end(&format!(
        "JavaScript ran out of memory where it can not recover ({location})"
    ));
}

/// A trap or abort that V8 raised on this thread. One raised elsewhere (a PANIC of Postgres in a host call) is
/// none of ours.
extern "C" fn on_trap(signal: c_int) {
    if INSIDE.get() {
        end("JavaScript engine stopped at a condition it can not recover from");
    }
    sys::raise_by_default(signal);
}

/// Ends the process, or returns if nobody said how: V8 then aborts it.
pub(super) fn end(reason: &str) {
    if let Some(fatal) = FATAL.get() {
        INSIDE.set(false);
        fatal(reason);
    }
}

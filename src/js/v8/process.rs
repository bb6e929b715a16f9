//! Processes that are forked to do work aside, and files that processes share.

use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_void};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;

thread_local! {
    /// Children whose end has not been noticed yet.
    static CHILDREN: RefCell<Vec<libc::pid_t>> = const { RefCell::new(Vec::new()) };
}

/// Which of the two processes this is after a fork.
pub(super) enum Forked {
    /// The new one.
    Child,
    /// The one that forked, with the number of the new one.
    Parent(libc::pid_t),
}

/// Forks this process; `None` if that cannot be. The child has this thread only.
pub(super) fn fork() -> Option<Forked> {
    copy_memory_on_fork()?;
    // SAFETY: the child runs on with what this thread owns, and takes no lock that another thread could hold: the
    // helper thread uses one of its own only, which the child forgets.
    match unsafe { libc::fork() } {
        0 => Some(Forked::Child),
        child if child > 0 => Some(Forked::Parent(child)),
        _ => None,
    }
}

/// Lets a child have all memory of this process: V8 asks the kernel to leave its own out.
fn copy_memory_on_fork() -> Option<()> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    for line in maps.lines() {
        let (start, rest) = line.split_once('-')?;
        let (end, _) = rest.split_once(' ')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let length = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
        // SAFETY: changes nothing in this process; the kernel refuses what it does not allow.
        unsafe { libc::madvise(start as *mut c_void, length, libc::MADV_DOFORK) };
    }
    Some(())
}

/// Runs `body` in a child, which then ends. A panic ends it as well.
pub(super) fn in_child(body: impl FnOnce()) -> ! {
    let ended = catch_unwind(AssertUnwindSafe(body));
    leave(c_int::from(ended.is_err()));
}

/// Ends this process at once.
pub(super) fn leave(status: c_int) -> ! {
    // SAFETY: `_exit` may be called at any time.
    unsafe { libc::_exit(status) }
}

/// Cuts a child off from what its parent has open: no signal gets to the parent's handlers, no file is held, and
/// nothing is printed. It may use the processor for `seconds`, at a lower priority, and leaves no core.
pub(super) fn leave_parent(seconds: u32) {
    const FIRST: libc::c_uint = 3;
    const NICE: c_int = 5;
    // SAFETY: plain calls of the kernel with valid arguments; the process has one thread.
    unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
        let nothing = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        for standard in 0..3 {
            libc::dup2(nothing, standard);
        }
        if libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) != 0 {
            (3..1024).for_each(|descriptor| {
                libc::close(descriptor);
            });
        }
        let limit = |most: u32| libc::rlimit {
            rlim_cur: most.into(),
            rlim_max: most.into(),
        };
        let (time, core) = (limit(seconds), limit(0));
        libc::setrlimit(libc::RLIMIT_CPU, &raw const time);
        libc::setrlimit(libc::RLIMIT_CORE, &raw const core);
        libc::nice(NICE);
    }
}

/// Notes a child whose end is to be noticed by [`reap`].
pub(super) fn reap_later(child: libc::pid_t) {
    CHILDREN.with(|children| children.borrow_mut().push(child));
}

/// Lets go of the children that have ended.
pub(super) fn reap() {
    CHILDREN.with(|children| {
        children.borrow_mut().retain(|child| {
            // SAFETY: the number is of a child of this process that nobody else waits for.
            unsafe { libc::waitpid(*child, std::ptr::null_mut(), libc::WNOHANG) == 0 }
        });
    });
}

/// Whether `body` says yes in a child that lives to say it.
pub(super) fn succeeds_in_child(body: impl FnOnce() -> bool) -> bool {
    match fork() {
        Some(Forked::Child) => in_child(|| leave(c_int::from(!body()))),
        Some(Forked::Parent(child)) => {
            let mut status = 0;
            // SAFETY: the child is this process's own, and `status` is valid for the write.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            waited == child && status == 0
        }
        None => false,
    }
}

/// A file in memory, shared with all processes that have it.
pub(super) struct Mapped {
    start: *mut c_void,
    length: usize,
}

impl Mapped {
    /// Maps a file that is not empty.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
        // SAFETY: a new mapping that nothing else knows of; the descriptor is open.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file.as_raw_fd(),
                0,
            )
        };
        (start != libc::MAP_FAILED).then_some(Self { start, length })
    }

    /// What is in it. Files that are mapped are replaced or removed, never written to.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has this length and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and unmapped once.
        unsafe { libc::munmap(self.start, self.length) };
    }
}

/// Tells the code of this process from that of any other build: what its file was when it was loaded.
pub(in crate::js) fn library_identity() -> Option<&'static [u8]> {
    static IDENTITY: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    IDENTITY.get_or_init(identify_library).as_deref()
}

fn identify_library() -> Option<Vec<u8>> {
    let mut found = MaybeUninit::<libc::Dl_info>::uninit();
    let here = identify_library as fn() -> Option<Vec<u8>>;
    // SAFETY: the structure is written if the result is not 0; the name in it lives as long as the library.
    let name = unsafe {
        if libc::dladdr(here as *const c_void, found.as_mut_ptr()) == 0 {
            return None;
        }
        CStr::from_ptr(found.assume_init().dli_fname)
    };
    let metadata = std::fs::metadata(name.to_str().ok()?).ok()?;
    let facts = [
        metadata.size().cast_signed(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ino().cast_signed(),
    ];
    Some(facts.iter().flat_map(|fact| fact.to_le_bytes()).collect())
}

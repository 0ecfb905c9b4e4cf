//! Whether standard output was closed when the program began.
//!
//! In that case Rust's runtime opens `/dev/null` in its place before `main`. Writing then succeeds, and
//! nobody notices that the output is lost. So this is checked before the runtime starts.

use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether standard output was closed at the start.
pub(crate) fn was_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// A function that the loader calls before the runtime starts.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod before_main {
    use std::sync::atomic::Ordering;

    use crate::stdout::CLOSED;

    // SAFETY: the section is a list of functions without arguments and result, each of which the loader
    // calls once (System V ABI); this one does not use the runtime.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static CHECK: extern "C" fn() = check;

    extern "C" fn check() {
        let closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err();
        CLOSED.store(closed, Ordering::Relaxed);
    }
}

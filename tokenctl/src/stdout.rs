//! Whether standard output was closed when the program began.
//!
//! Rust's runtime opens `/dev/null` in its place before `main`, so that writing succeeds and nobody
//! is told that the token has gone nowhere. It has to be looked at before that.

use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether there was nowhere to print to.
pub(crate) fn was_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// What the loader calls before the runtime begins.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod before_main {
    use super::{CLOSED, Ordering};

    // SAFETY: a section of functions that take nothing and give nothing, each of which the loader
    // calls once (System V ABI); this one needs nothing of the runtime.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static LOOK: extern "C" fn() = look;

    extern "C" fn look() {
        let closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err();
        CLOSED.store(closed, Ordering::Relaxed);
    }
}

//! Stops panics before they reach nginx.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ngx::ffi::{NGX_LOG_ALERT, ngx_conf_t, ngx_log_t};
use ngx::ngx_log_error;

/// Runs `body` and gives its result, or `failed` should it panic: a panic that crossed into nginx
/// would abort the worker.
///
/// Reading a configuration ends with a panic, a request does not: `error_page` and the variables of a
/// log go on with what is kept of it. Whatever is set there for the time of a judgement is therefore
/// taken back by guards, whose `drop` a panic runs, and a judgement that panics has no verdict and
/// fails those that it is a part of.
pub(super) fn guard<R>(log: *mut ngx_log_t, failed: R, body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        ngx_log_error!(NGX_LOG_ALERT, log, "token_auth: internal error, please report it");
        failed
    })
}

/// [`guard`] for a hook that is called while the configuration is read.
pub(super) fn guard_conf<R>(cf: *mut ngx_conf_t, failed: R, body: impl FnOnce() -> R) -> R {
    // SAFETY: nginx passes a valid structure to every configuration hook.
    let log = unsafe { (*cf).log };
    guard(log, failed, body)
}

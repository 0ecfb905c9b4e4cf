//! Stops panics before they reach nginx.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ngx::ffi::{NGX_LOG_ALERT, ngx_conf_t, ngx_log_t};
use ngx::ngx_log_error;

/// Runs `body` and returns its result, or `failed` if it panics: a panic that reached nginx would abort
/// the worker.
///
/// A panic ends the reading of a configuration, but not a request: `error_page` and the variables of a
/// log still use what is kept with it. So everything that is set only during a judgement is reset by
/// guards, whose `drop` also runs in a panic. A judgement that panics has no verdict, and fails the
/// judgements that it is part of.
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

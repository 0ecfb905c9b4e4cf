//! Lines for the error log.

use ngx::ffi::{NGX_LOG_ERR, NGX_LOG_INFO, NGX_LOG_NOTICE, NGX_LOG_WARN, ngx_log_t};

/// A line for the error log.
pub(crate) enum LogLine {
    Info(String),
    Notice(String),
    Warning(String),
    Error(String),
}

/// The log of a server.
#[derive(Clone, Copy)]
pub(crate) struct Log(*mut ngx_log_t);

impl Log {
    /// # Safety
    /// `log` must be valid as long as the value is used.
    pub(super) unsafe fn new(log: *mut ngx_log_t) -> Self {
        Self(log)
    }

    pub(super) fn as_ptr(self) -> *mut ngx_log_t {
        self.0
    }

    /// Writes a line.
    pub(crate) fn write(self, line: LogLine) {
        let (level, text) = match line {
            LogLine::Info(text) => (NGX_LOG_INFO, text),
            LogLine::Notice(text) => (NGX_LOG_NOTICE, text),
            LogLine::Warning(text) => (NGX_LOG_WARN, text),
            LogLine::Error(text) => (NGX_LOG_ERR, text),
        };
        ngx::ngx_log_error!(level, self.0, "{text}");
    }
}

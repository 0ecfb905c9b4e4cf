//! Directives: the table that nginx reads, and the words of a directive while it is being read.

use core::ffi::{CStr, c_char, c_void};
use core::marker::PhantomData;
use core::mem;
use core::ptr::{self, NonNull};

use ngx::core::NGX_CONF_ERROR;
use ngx::ffi::{
    NGX_HTTP_LOC_CONF_OFFSET, NGX_LOG_EMERG, NGX_LOG_WARN, NGX_OK, ngx_command_t,
    ngx_conf_full_name, ngx_conf_t, ngx_http_compile_complex_value,
    ngx_http_compile_complex_value_t, ngx_http_complex_value_t, ngx_int_t, ngx_parse_size,
    ngx_parse_time, ngx_str_t, ngx_uint_t,
};
use ngx::ngx_conf_log_error;

use super::conf::{self, load_mut, main_of};
use super::guard::guard_conf;
use super::names;
use super::request::Request;
use super::string::{bytes, string};
use super::value::{ComplexValue, variables};
use super::variable;
use super::zone::{self, Zone};

/// The function of a directive. Its arguments: the configuration of the level, that of `http`, and the
/// words.
pub(crate) type Apply<L, M> = fn(&mut L, &M, &mut Setting<'_>) -> Result;

/// A row of the table that nginx reads.
#[repr(transparent)]
pub(crate) struct Row(ngx_command_t);

impl Row {
    /// A directive: its name, where it is allowed and how many arguments it takes (the bits of
    /// `ngx_command_t.type`), and its function. `L` and `M` are the types of the module's
    /// configurations.
    pub(crate) const fn new<L: 'static, M: 'static>(
        name: &'static CStr,
        kind: u32,
        apply: &'static Apply<L, M>,
    ) -> Self {
        Self(ngx_command_t {
            name: ngx_str_t { len: name.count_bytes(), data: name.as_ptr().cast_mut().cast() },
            type_: kind as ngx_uint_t,
            set: Some(set::<L, M>),
            conf: NGX_HTTP_LOC_CONF_OFFSET,
            offset: 0,
            post: ptr::from_ref(apply).cast_mut().cast(),
        })
    }
}

/// The table: the rows, and the empty row that ends it.
#[repr(C)]
pub(crate) struct Table<const N: usize> {
    rows: [Row; N],
    end: Row,
}

// SAFETY: the pointers in a row are to statics, and nothing writes through them.
unsafe impl<const N: usize> Sync for Table<N> {}

/// A whole table, whatever its length.
#[derive(Clone, Copy)]
pub(crate) struct Commands(pub(super) *const ngx_command_t);

impl<const N: usize> Table<N> {
    pub(crate) const fn new(rows: [Row; N]) -> Self {
        Self { rows, end: Row(ngx_command_t::empty()) }
    }

    /// The table, for nginx.
    pub(crate) const fn commands(&'static self) -> Commands {
        Commands(ptr::from_ref(self).cast())
    }
}

/// A mistake in a directive. The text continues after `"NAME"`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfError {
    #[error("directive is duplicate")]
    Duplicate,
    #[error("directive has invalid value \"{0}\": {1}")]
    Value(String, String),
    #[error("directive has invalid parameter \"{0}\"")]
    Parameter(String),
    /// Any other mistake, with its own text.
    #[error("directive {0}")]
    Mistake(String),
    /// The file or value that the directive reads is faulty.
    #[error("failed: {0}")]
    Failed(String),
    /// nginx has logged it already.
    #[error("failed")]
    Logged,
}

/// The result of a directive's function.
pub(crate) type Result<T = (), E = ConfError> = core::result::Result<T, E>;

impl ConfError {
    /// An argument with an invalid value, and why it is invalid.
    pub(crate) fn value(value: &[u8], why: &str) -> Self {
        Self::Value(String::from_utf8_lossy(value).into_owned(), why.to_owned())
    }

    /// An argument that the directive does not know.
    pub(crate) fn parameter(parameter: &[u8]) -> Self {
        Self::Parameter(String::from_utf8_lossy(parameter).into_owned())
    }

    /// A mistake of another kind. The text continues after `"NAME" directive`.
    pub(crate) fn mistake(what: impl Into<String>) -> Self {
        Self::Mistake(what.into())
    }
}

/// A directive while it is being read. References to its words end when a block of the directive is
/// read: nginx then stores the words of the block's directives in the same place.
pub(crate) struct Setting<'c> {
    pub(super) cf: NonNull<ngx_conf_t>,
    /// The name of the directive: after a block the words no longer have it.
    pub(super) name: &'c [u8],
    lives: PhantomData<&'c ngx_conf_t>,
}

/// The `set` hook of every directive: calls the function of its row.
unsafe extern "C" fn set<L: 'static, M: 'static>(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    guard_conf(cf, NGX_CONF_ERROR, || {
        // SAFETY: nginx passes a valid structure, and all directives are within `http`.
        unsafe { names::freeze_variables(cf) };
        // SAFETY: nginx passes the row that matched, which `Row::new` made with these types, and what
        // the module stored for this level. Nothing else refers to that while a directive is read.
        let (apply, conf, main, name) = unsafe {
            let apply = *(*command).post.cast::<Apply<L, M>>();
            let (Some(conf), Some(main)) = (load_mut::<L>(conf), main_of::<M>(cf)) else {
                return NGX_CONF_ERROR;
            };
            (apply, conf, main, bytes((*command).name))
        };
        // SAFETY: nginx passes a valid structure, for the time of this call.
        let Some(mut setting) = (unsafe { Setting::new(cf, name) }) else { return NGX_CONF_ERROR };
        match apply(conf, main, &mut setting) {
            Ok(()) => ptr::null_mut(),
            Err(error) => setting.refuse(&error),
        }
    })
}

impl<'c> Setting<'c> {
    /// # Safety
    /// `cf` must be what nginx passes to a `set` hook or a block's handler, and outlive `'c`.
    pub(super) unsafe fn new(cf: *mut ngx_conf_t, name: &'c [u8]) -> Option<Self> {
        NonNull::new(cf).map(|cf| Self { cf, name, lives: PhantomData })
    }

    /// The words of the directive, its name first.
    fn words(&self) -> &[ngx_str_t] {
        // SAFETY: `args` is a valid array of strings while the directive is being read. Reading a block
        // changes the array, but needs `&mut self`.
        unsafe { (*(*self.cf.as_ptr()).args).as_slice() }
    }

    /// Argument number `at`; the name is number 0.
    pub(crate) fn arg(&self, at: usize) -> Option<&[u8]> {
        // SAFETY: nginx keeps the bytes of the words until the configuration has been read.
        self.words().get(at).map(|word| unsafe { bytes(*word) })
    }

    /// The name of the directive.
    pub(crate) fn name(&self) -> String {
        String::from_utf8_lossy(self.name).into_owned()
    }

    /// The first argument; nginx has checked the count.
    pub(crate) fn first(&self) -> &[u8] {
        self.arg(1).unwrap_or_default()
    }

    /// All arguments.
    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        // SAFETY: as in `arg`.
        self.words().iter().skip(1).map(|word| unsafe { bytes(*word) })
    }

    /// The file and line, as nginx writes them in its messages.
    pub(crate) fn position(&self) -> String {
        // SAFETY: the parser's structures are valid while it reads. There is no file if the directive
        // is from the command line.
        unsafe {
            match (*self.cf.as_ptr()).conf_file.as_ref() {
                Some(file) => {
                    let name = String::from_utf8_lossy(bytes(file.file.name));
                    format!("{name}:{}", file.line)
                }
                None => "command line".to_owned(),
            }
        }
    }

    /// Defines a variable called `name`. `get` makes its value from `data`.
    pub(crate) fn define_variable<T: 'static>(
        &self,
        name: &[u8],
        get: fn(Request<'_>, &T) -> Option<Vec<u8>>,
        data: T,
    ) -> Result {
        // SAFETY: nginx has passed the structure to the directive's hook.
        let defined = unsafe { variable::define(self.cf.as_ptr(), name, get, data) };
        defined.ok_or(ConfError::Logged)
    }

    /// The module's configuration of `http` in the configuration before this one, if there is one.
    pub(crate) fn main_before<M: 'static>(&self) -> Option<&'c M> {
        // SAFETY: nginx has passed the structure to the directive's hook, and the result ends before the
        // configuration has been read.
        unsafe { conf::main_before(self.cf.as_ptr()) }
    }

    /// Logs a warning, with file and line.
    pub(crate) fn warn(&self, message: &str) {
        let name = String::from_utf8_lossy(self.name);
        ngx_conf_log_error!(NGX_LOG_WARN, self.cf.as_ptr(), "\"{name}\": {message}");
    }

    /// Warns about `$arg_NAME` in a value that a signature or rule is bound to.
    pub(crate) fn warn_of_arguments(&self, value: &[u8]) {
        for argument in variables(value) {
            let name = argument.get(..4).filter(|start| start.eq_ignore_ascii_case(b"arg_"));
            if let Some(name) = name.and(argument.get(4..)).filter(|name| !name.is_empty()) {
                let name = String::from_utf8_lossy(name);
                self.warn(&format!(
                    "if the query has it several times, $arg_{name} is the first one, but an \
                     application may read another: use $single_arg_{name}, which is empty then"
                ));
            }
        }
    }

    /// Logs an error, with file and line, and returns the value that makes nginx stop reading.
    pub(super) fn refuse(&self, error: &ConfError) -> *mut c_char {
        if !matches!(error, ConfError::Logged) {
            let name = String::from_utf8_lossy(self.name);
            ngx_conf_log_error!(NGX_LOG_EMERG, self.cf.as_ptr(), "\"{name}\" {error}");
        }
        NGX_CONF_ERROR
    }

    /// The shared memory for fetched keys.
    pub(crate) fn zone(&self) -> Option<Zone> {
        // SAFETY: nginx has passed the structure to the directive's hook.
        unsafe { Zone::declare(self.cf.as_ptr(), &zone::KEYS, zone::KEYS_SIZE) }
    }

    /// Compiles a value that may contain variables. nginx checks it for mistakes, and logs them.
    pub(crate) fn compile(&self, value: &[u8]) -> Result<ComplexValue> {
        let cf = self.cf.as_ptr();
        let mut text = string(value);
        // SAFETY: nginx's structures are zeroed, which is valid for each of them, and used only for
        // this call. `cf` is that of the directive, whose pool outlives every request of this
        // configuration.
        unsafe {
            let mut compiled: ngx_http_complex_value_t = mem::zeroed();
            let mut request: ngx_http_compile_complex_value_t = mem::zeroed();
            request.cf = cf;
            request.value = &raw mut text;
            request.complex_value = &raw mut compiled;
            if ngx_http_compile_complex_value(&raw mut request) != NGX_OK as ngx_int_t {
                return Err(ConfError::Logged);
            }
            ComplexValue::new(cf, value).ok_or(ConfError::Logged)
        }
    }

    /// [`Setting::full_path`], which refuses an empty name.
    pub(crate) fn file_path(&self, name: &[u8]) -> Result<Box<[u8]>> {
        match name {
            b"" => Err(ConfError::value(name, "must be the name of a file")),
            name => self.full_path(name),
        }
    }

    /// The full path of a file. A relative name is relative to the configuration's folder.
    pub(crate) fn full_path(&self, name: &[u8]) -> Result<Box<[u8]>> {
        let mut full = string(name);
        // SAFETY: the cycle is the one being configured. The function does not change an absolute path;
        // for a relative one it sets the pointer in `full` to memory of the cycle's pool. It never
        // writes to the bytes, which are copied while both are valid.
        unsafe {
            let cycle = (*self.cf.as_ptr()).cycle;
            if ngx_conf_full_name(cycle, &raw mut full, 1) != NGX_OK as ngx_int_t {
                return Err(ConfError::Logged);
            }
            Ok(bytes(full).into())
        }
    }
}

/// A time such as `30s` or `1h`, in seconds, as `ngx_parse_time` reads it.
pub(crate) fn seconds(value: &[u8]) -> Result<i64> {
    time(value, true)
}

/// A time such as `500ms` or `10m`, in milliseconds.
pub(crate) fn milliseconds(value: &[u8]) -> Result<u64> {
    time(value, false).map(i64::unsigned_abs)
}

fn time(value: &[u8], seconds: bool) -> Result<i64> {
    let mut text = string(value);
    // SAFETY: the function reads the string and writes nothing.
    let time = unsafe { ngx_parse_time(&raw mut text, ngx_uint_t::from(seconds)) };
    match i64::try_from(time) {
        Ok(time) if time >= 0 => Ok(time),
        _ => Err(ConfError::value(value, "must be a time, such as 30s, 5m or 1h")),
    }
}

/// A size such as `64k` or `8m`, in bytes, as `ngx_parse_size` reads it.
pub(crate) fn size(value: &[u8]) -> Result<usize> {
    let mut text = string(value);
    // SAFETY: the function reads the string and writes nothing.
    let size = unsafe { ngx_parse_size(&raw mut text) };
    match usize::try_from(size) {
        Ok(size @ 1..) => Ok(size),
        _ => Err(ConfError::value(value, "must be a size, such as 512k or 8m, or off")),
    }
}

//! The boundary with nginx's configuration parser: a directive's arguments, and what a directive
//! may do with them.

use core::ffi::{c_char, c_void};
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::{mem, ptr};

use ngx::core::NGX_CONF_ERROR;
use ngx::ffi::{
    NGX_HTTP_VAR_NOCACHEABLE, NGX_LOG_EMERG, NGX_LOG_WARN, NGX_MAIN_CONF, NGX_OK, ngx_command_t,
    ngx_conf_full_name, ngx_conf_include, ngx_conf_parse, ngx_conf_t, ngx_http_add_variable,
    ngx_http_compile_complex_value, ngx_http_compile_complex_value_t, ngx_http_complex_value_t,
    ngx_http_conf_ctx_t, ngx_http_max_module, ngx_int_t, ngx_parse_size, ngx_parse_time, ngx_str_t,
    ngx_uint_t,
};
use ngx::ngx_conf_log_error;
use token::{ClaimPath, LoadError, Loaded};

use super::{LocationConf, MainConf};
use crate::ffi::{self, ComplexValue};
use crate::keys::Zone;
use crate::keys::file::{self, Text};

/// A row of the table that nginx reads.
#[repr(transparent)]
pub(crate) struct Command(pub(super) ngx_command_t);

// SAFETY: the pointers in a row are to statics, and nothing writes through them.
unsafe impl Sync for Command {}

/// What a directive does with its arguments.
pub(super) type Apply = fn(&mut LocationConf, &mut Setting<'_>) -> Result;

/// The table of directives, from rows of name, contexts and argument count, and function.
macro_rules! commands {
    ($($name:literal, $kind:expr, $apply:path;)*) => {
        /// The directives, as nginx reads them.
        pub(crate) static COMMANDS: [Command; const { [$($name),*].len() + 1 }] = [
            $(Command(ngx::ffi::ngx_command_t {
                name: ngx::ngx_string!($name),
                type_: ($kind) as ngx::ffi::ngx_uint_t,
                set: Some(super::setting::set),
                conf: ngx::ffi::NGX_HTTP_LOC_CONF_OFFSET,
                offset: 0,
                post: {
                    static APPLY: super::setting::Apply = $apply;
                    (&raw const APPLY).cast_mut().cast()
                },
            }),)*
            Command(ngx::ffi::ngx_command_t::empty()),
        ];
    };
}
pub(super) use commands;

/// A mistake in a directive. The text completes `"NAME" directive`.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfError {
    #[error("is duplicate")]
    Duplicate,
    #[error("has invalid value \"{0}\": {1}")]
    Value(String, String),
    #[error("has invalid parameter \"{0}\"")]
    Parameter(String),
    #[error("has an empty secret (number {0})")]
    EmptySecret(usize),
    #[error("must hold $secure_token_expires, or links would never expire")]
    NoExpires,
    #[error("wants entries of the form \"KID SECRET [encoding=...] [alg=...] [expires=...];\"")]
    NoSecret,
    #[error("at fault: {0}")]
    Keys(LoadError),
    #[error("at fault: \"{0}\": {1}")]
    File(String, String),
    #[error("has duplicate kid {0:?}, which another key source of this level has, too")]
    DuplicateKid(String),
    #[error("{0}")]
    Rule(String),
    #[error("{0}")]
    Provider(&'static str),
    /// nginx has logged it already.
    #[error("failed")]
    Logged,
}

/// What a directive's function gives.
pub(super) type Result<T = (), E = ConfError> = core::result::Result<T, E>;

/// Sets a directive that may stand once on a level.
pub(super) fn once<T>(slot: &mut Option<T>, value: T) -> Result {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ConfError::Duplicate),
    }
}

impl ConfError {
    pub(super) fn value(value: &[u8], why: &str) -> Self {
        Self::Value(String::from_utf8_lossy(value).into_owned(), why.to_owned())
    }

    /// What is wrong with the file at `path`.
    pub(super) fn file(path: &[u8], why: String) -> Self {
        Self::File(String::from_utf8_lossy(path).into_owned(), why)
    }

    pub(super) fn parameter(parameter: &[u8]) -> Self {
        Self::Parameter(String::from_utf8_lossy(parameter).into_owned())
    }
}

/// What may stand in a `jwt_provider` block: a bit of the directive's type that nginx itself does
/// not use, so that nothing but these directives is found there.
pub(super) const PROVIDER: u32 = 0x0080_0000;

/// A variable for what is at a path of the token.
pub(crate) struct NamedClaim {
    /// The names, from the outermost member inwards.
    pub(crate) path: Vec<ClaimPath>,
    /// Whether it is in the header rather than the payload.
    pub(crate) header: bool,
}

/// Claims and kids are UTF-8, so a value that is not could never equal one.
pub(super) fn text(value: &[u8]) -> Result<&str> {
    core::str::from_utf8(value).map_err(|_| ConfError::value(value, "must be UTF-8"))
}

/// The names of the variables in a value, which has them as `$name` or `${name}`.
pub(super) fn variables(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b'$').skip(1).filter_map(|part| {
        let braced = part.strip_prefix(b"{");
        let name = braced.unwrap_or(part);
        let end = name.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
        let (name, rest) = name.split_at_checked(end.unwrap_or(name.len()))?;
        (braced.is_none() || rest.first() == Some(&b'}')).then_some(name)
    })
}

/// Reads a file that a directive names, of `limit` bytes at most.
pub(super) fn read_file(path: &[u8], limit: usize) -> Result<Text> {
    file::read(path, limit).map_err(|error| ConfError::file(path, error.to_string()))
}

/// A directive while it is being read.
pub(super) struct Setting<'c> {
    cf: NonNull<ngx_conf_t>,
    /// Its name, which the words no longer tell once a block has been read.
    name: &'c [u8],
    lives: PhantomData<&'c ngx_conf_t>,
}

/// The `set` hook of every directive: calls the function of its row.
pub(super) unsafe extern "C" fn set(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    ffi::guard_conf(cf, NGX_CONF_ERROR, || {
        // SAFETY: nginx passes a valid structure, and every directive stands within `http`.
        unsafe { crate::register::lock(cf) };
        // SAFETY: nginx passes the row that matched, whose `post` is a static [`Apply`], and the
        // configuration that `create_location_conf` made for this level.
        let (apply, conf, name) = unsafe {
            let apply = *(*command).post.cast::<Apply>();
            (apply, &mut *conf.cast::<LocationConf>(), ffi::bytes((*command).name))
        };
        // SAFETY: nginx passes a valid structure, for the time of this call.
        let Some(mut setting) = (unsafe { Setting::new(cf, name) }) else { return NGX_CONF_ERROR };
        match apply(conf, &mut setting) {
            Ok(()) => ptr::null_mut(),
            Err(error) => setting.refuse(&error),
        }
    })
}

impl<'c> Setting<'c> {
    /// # Safety
    /// `cf` must be what nginx passes to a `set` hook or a block's handler, and outlive `'c`.
    unsafe fn new(cf: *mut ngx_conf_t, name: &'c [u8]) -> Option<Self> {
        NonNull::new(cf).map(|cf| Self { cf, name, lives: PhantomData })
    }

    /// The words of the directive, its name first.
    fn words(&self) -> &'c [ngx_str_t] {
        // SAFETY: `args` is a valid array of strings while the directive is being read.
        unsafe { (*(*self.cf.as_ptr()).args).as_slice() }
    }

    /// Argument `at`; the name is number 0.
    pub(super) fn arg(&self, at: usize) -> Option<&'c [u8]> {
        // SAFETY: nginx keeps the words in the configuration's pool, which outlives the reading.
        self.words().get(at).map(|word| unsafe { ffi::bytes(*word) })
    }

    /// The name of the directive.
    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(self.name).into_owned()
    }

    /// The first argument; nginx has checked the count.
    pub(super) fn first(&self) -> &'c [u8] {
        self.arg(1).unwrap_or_default()
    }

    /// All arguments.
    pub(super) fn values(&self) -> impl Iterator<Item = &'c [u8]> + use<'c> {
        // SAFETY: as in `arg`.
        self.words().iter().skip(1).map(|word| unsafe { ffi::bytes(*word) })
    }

    /// The file and line, as nginx writes them in its messages.
    pub(super) fn position(&self) -> String {
        // SAFETY: the parser's structures are valid while it reads; there is no file when the
        // directive comes from the command line.
        unsafe {
            match (*self.cf.as_ptr()).conf_file.as_ref() {
                Some(file) => {
                    let name = String::from_utf8_lossy(ffi::bytes(file.file.name));
                    format!("{name}:{}", file.line)
                }
                None => "command line".to_owned(),
            }
        }
    }

    /// The configuration of the `http` block.
    pub(super) fn main(&self) -> &'c MainConf {
        // SAFETY: `create_main_conf` made it for this `http` block, it outlives the reading, and
        // only shared references to it are ever made.
        unsafe {
            let context = (*self.cf.as_ptr()).ctx.cast::<ngx_http_conf_ctx_t>();
            &*(*(*context).main_conf.add(crate::module().ctx_index)).cast::<MainConf>()
        }
    }

    /// Registers a variable that shows a claim or a header of a verified token.
    pub(super) fn add_variable(&self, name: &[u8], claim: NamedClaim) -> Result {
        let cf = self.cf.as_ptr();
        let mut name = ffi::string(name);
        // SAFETY: as nginx's own `map` registers its variable; the pool owns what the variable's
        // data points to, and outlives every request of this configuration.
        unsafe {
            // Not changeable: two definitions of one name are a mistake that nginx then reports.
            let flags = NGX_HTTP_VAR_NOCACHEABLE as ngx_uint_t;
            let variable = ngx_http_add_variable(cf, &raw mut name, flags);
            let data = ffi::allocate((*cf).pool, claim);
            if variable.is_null() || data.is_null() {
                return Err(ConfError::Logged);
            }
            (*variable).get_handler = Some(crate::hooks::get_named_claim);
            (*variable).data = data as usize;
        }
        Ok(())
    }

    /// Logs a warning, with file and line.
    pub(super) fn warn(&self, message: &str) {
        let name = String::from_utf8_lossy(self.name);
        ngx_conf_log_error!(NGX_LOG_WARN, self.cf.as_ptr(), "\"{name}\": {message}");
    }

    /// Warns of arguments of the query in a value that something is bound to.
    pub(super) fn warn_of_arguments(&self, value: &[u8]) {
        for argument in variables(value) {
            let name = argument.get(..4).filter(|start| start.eq_ignore_ascii_case(b"arg_"));
            if let Some(name) = name.and(argument.get(4..)).filter(|name| !name.is_empty()) {
                let name = String::from_utf8_lossy(name);
                self.warn(&format!(
                    "$arg_{name} is the first of several arguments, of which an application may \
                     read another one: use $single_arg_{name}, which is empty then"
                ));
            }
        }
    }

    /// Logs an error, with file and line, and gives what ends the reading.
    fn refuse(&self, error: &ConfError) -> *mut c_char {
        if !matches!(error, ConfError::Logged) {
            let name = String::from_utf8_lossy(self.name);
            ngx_conf_log_error!(NGX_LOG_EMERG, self.cf.as_ptr(), "\"{name}\" directive {error}");
        }
        NGX_CONF_ERROR
    }

    /// A time such as `30s` or `1h`, in seconds, as `ngx_parse_time` reads it.
    pub(super) fn seconds(&self, value: &[u8]) -> Result<i64> {
        Self::time(value, true)
    }

    /// A time such as `500ms` or `10m`, in milliseconds.
    pub(super) fn milliseconds(&self, value: &[u8]) -> Result<u64> {
        Self::time(value, false).map(i64::unsigned_abs)
    }

    fn time(value: &[u8], seconds: bool) -> Result<i64> {
        let mut text = ffi::string(value);
        // SAFETY: the function reads the string and writes nothing.
        let time = unsafe { ngx_parse_time(&raw mut text, ngx_uint_t::from(seconds)) };
        match i64::try_from(time) {
            Ok(time) if time >= 0 => Ok(time),
            _ => Err(ConfError::value(value, "must be a time, such as 30s, 5m or 1h")),
        }
    }

    /// The memory that workers share fetched keys in.
    pub(super) fn key_zone(&self) -> Option<Zone> {
        // SAFETY: the structure is the one that nginx has passed to the directive's hook.
        let zone = unsafe { Zone::declare(self.cf.as_ptr()) };
        self.main().has_requests.set(true);
        self.main().key_zone.set(zone);
        zone
    }

    /// A size such as `64k` or `8m`, in bytes, as `ngx_parse_size` reads it.
    pub(super) fn size(&self, value: &[u8]) -> Result<usize> {
        let mut text = ffi::string(value);
        // SAFETY: the function reads the string and writes nothing.
        let size = unsafe { ngx_parse_size(&raw mut text) };
        match usize::try_from(size) {
            Ok(size @ 1..) => Ok(size),
            _ => Err(ConfError::value(value, "must be a size, such as 512k or 8m, or off")),
        }
    }

    /// Compiles a value that may hold variables. nginx looks for mistakes in it, and tells them.
    pub(super) fn compile(&self, value: &[u8]) -> Result<ComplexValue> {
        let cf = self.cf.as_ptr();
        let mut text = ffi::string(value);
        // SAFETY: the structures of nginx's are zeroed, which is valid for each of them, and used
        // for this call only; `cf` is that of the directive, whose pool outlives every request of
        // this configuration.
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

    /// [`Setting::full_path`] of a file that has a name.
    pub(super) fn file_path(&self, name: &[u8]) -> Result<&'c [u8]> {
        match name {
            b"" => Err(ConfError::value(name, "must be the name of a file")),
            name => self.full_path(name),
        }
    }

    /// The path of a file that is named relative to the configuration's folder.
    pub(super) fn full_path(&self, name: &[u8]) -> Result<&'c [u8]> {
        let mut full = ffi::string(name);
        // SAFETY: the cycle is the one being configured; the function replaces the pointer in
        // `full` by one into the cycle's pool and writes nothing through it.
        unsafe {
            let cycle = (*self.cf.as_ptr()).cycle;
            if ngx_conf_full_name(cycle, &raw mut full, 1) != NGX_OK as ngx_int_t {
                return Err(ConfError::Logged);
            }
            Ok(ffi::bytes(full))
        }
    }

    /// Reads the block that this directive opens, with the directives that are marked
    /// [`PROVIDER`], into `inner`.
    pub(super) fn provider_block(&mut self, inner: &mut LocationConf) -> Result {
        let cf = self.cf.as_ptr();
        // SAFETY: as `upstream` of nginx's own does: the block gets a context in which our slot of
        // the location's configurations is `inner`, and the parser its former state back. No other
        // module's directive matches the type, so none looks at the other slots.
        let read = unsafe {
            let saved = *cf;
            let mut context = *saved.ctx.cast::<ngx_http_conf_ctx_t>();
            let mut slots: Vec<*mut c_void> = vec![ptr::null_mut(); ngx_http_max_module];
            let Some(slot) = slots.get_mut(crate::module().ctx_index) else {
                return Err(ConfError::Logged);
            };
            *slot = ptr::from_mut(inner).cast();
            context.loc_conf = slots.as_mut_ptr();
            (*cf).ctx = (&raw mut context).cast();
            // `include` is found by the second bit, which no directive of an HTTP module has.
            (*cf).cmd_type = (PROVIDER | NGX_MAIN_CONF) as ngx_uint_t;
            let read = ngx_conf_parse(cf, ptr::null_mut());
            *cf = saved;
            read
        };
        if read.is_null() { Ok(()) } else { Err(ConfError::Logged) }
    }

    /// Reads the block that this directive opens, giving each of its lines to `entry`.
    pub(super) fn block(&mut self, entry: BlockEntry) -> Result<Loaded> {
        let cf = self.cf.as_ptr();
        let mut block = Block { loaded: Loaded::default(), entry };
        // SAFETY: as `map` and `types` of nginx's own do: the parser is given our handler for the
        // time of the block, and its former state back afterwards. `block` outlives the call.
        let read = unsafe {
            let saved = *cf;
            (*cf).handler = Some(block_line);
            (*cf).handler_conf = (&raw mut block).cast();
            let read = ngx_conf_parse(cf, ptr::null_mut());
            *cf = saved;
            read
        };
        if read.is_null() { Ok(block.loaded) } else { Err(ConfError::Logged) }
    }
}

/// Takes a line of a block.
pub(super) type BlockEntry = fn(&mut Loaded, &Setting<'_>) -> Result;

struct Block {
    loaded: Loaded,
    entry: BlockEntry,
}

unsafe extern "C" fn block_line(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    ffi::guard_conf(cf, NGX_CONF_ERROR, || {
        // SAFETY: nginx passes a valid structure, for the time of this call.
        let setting = unsafe { Setting::new(cf, b"jwt_kids") };
        let Some(setting) = setting else { return NGX_CONF_ERROR };
        if setting.arg(0) == Some(b"include") && setting.values().count() == 1 {
            // SAFETY: nginx's own function, which gives the lines of the file to this handler.
            return unsafe { ngx_conf_include(cf, command, conf) };
        }
        // SAFETY: `handler_conf` is the block of `Setting::block`, which waits for the parser and
        // does not touch it meanwhile.
        let block = unsafe { &mut *conf.cast::<Block>() };
        match (block.entry)(&mut block.loaded, &setting) {
            Ok(()) => ptr::null_mut(),
            Err(error) => setting.refuse(&error),
        }
    })
}

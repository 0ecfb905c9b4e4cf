//! Blocks that a directive opens.

use core::ffi::{c_char, c_void};
use core::ptr;

use ngx::core::NGX_CONF_ERROR;
use ngx::ffi::{
    NGX_MAIN_CONF, ngx_command_t, ngx_conf_include, ngx_conf_parse, ngx_conf_t,
    ngx_http_conf_ctx_t, ngx_http_max_module, ngx_uint_t,
};

use super::conf::{Stored, slot};
use super::directive::{ConfError, Result, Setting};
use super::guard::guard_conf;

/// What may stand in a block that is read by [`Setting::level_block`]: a bit of the directive's type
/// that nginx itself does not use, so that nothing but the module's own directives is found there.
pub(crate) const IN_BLOCK: u32 = 0x0080_0000;

/// Takes a line of a block.
pub(crate) type BlockEntry<T> = fn(&mut T, &Setting<'_>) -> Result;

/// A block whose lines are entries.
struct Block<'b, T> {
    name: &'b [u8],
    into: T,
    entry: BlockEntry<T>,
}

impl Setting<'_> {
    /// Reads the block that this directive opens, with the directives that are marked [`IN_BLOCK`], as
    /// a level of its own.
    pub(crate) fn level_block<L: Default + 'static>(&mut self) -> Result<L> {
        let cf = self.cf.as_ptr();
        let mut inner = Stored::new(L::default());
        // SAFETY: as `upstream` of nginx's own does: the block gets a context in which our slot of
        // the location's configurations is `inner`, and the parser its former state back. No other
        // module's directive matches the type, so none looks at the other slots.
        let read = unsafe {
            let saved = *cf;
            let mut context = *saved.ctx.cast::<ngx_http_conf_ctx_t>();
            let mut slots: Vec<*mut c_void> = vec![ptr::null_mut(); ngx_http_max_module];
            let Some(slot) = slots.get_mut(slot()) else { return Err(ConfError::Logged) };
            *slot = (&raw mut inner).cast();
            context.loc_conf = slots.as_mut_ptr();
            (*cf).ctx = (&raw mut context).cast();
            // `include` is found by the second bit, which no directive of an HTTP module has.
            (*cf).cmd_type = (IN_BLOCK | NGX_MAIN_CONF) as ngx_uint_t;
            let read = ngx_conf_parse(cf, ptr::null_mut());
            *cf = saved;
            read
        };
        if read.is_null() { Ok(inner.value) } else { Err(ConfError::Logged) }
    }

    /// Reads the block that this directive opens, giving each of its lines to `entry`.
    pub(crate) fn block<T>(&mut self, into: T, entry: BlockEntry<T>) -> Result<T> {
        let cf = self.cf.as_ptr();
        let mut block = Block { name: self.name, into, entry };
        // SAFETY: as `map` and `types` of nginx's own do: the parser is given our handler for the
        // time of the block, and its former state back afterwards. `block` outlives the call.
        let read = unsafe {
            let saved = *cf;
            (*cf).handler = Some(block_line::<T>);
            (*cf).handler_conf = (&raw mut block).cast();
            let read = ngx_conf_parse(cf, ptr::null_mut());
            *cf = saved;
            read
        };
        if read.is_null() { Ok(block.into) } else { Err(ConfError::Logged) }
    }
}

unsafe extern "C" fn block_line<T>(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    guard_conf(cf, NGX_CONF_ERROR, || {
        // SAFETY: `handler_conf` is the block of `Setting::block`, which waits for the parser and
        // does not touch it meanwhile.
        let block = unsafe { &mut *conf.cast::<Block<'_, T>>() };
        // SAFETY: nginx passes a valid structure, for the time of this call.
        let setting = unsafe { Setting::new(cf, block.name) };
        let Some(setting) = setting else { return NGX_CONF_ERROR };
        if setting.arg(0) == Some(b"include") && setting.values().count() == 1 {
            // SAFETY: nginx's own function, which gives the lines of the file to this handler.
            return unsafe { ngx_conf_include(cf, command, conf) };
        }
        match (block.entry)(&mut block.into, &setting) {
            Ok(()) => ptr::null_mut(),
            Err(error) => setting.refuse(&error),
        }
    })
}

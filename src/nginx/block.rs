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

/// Marks directives that are allowed in a block read by [`Setting::level_block`]: a bit of the
/// directive's type that nginx itself does not use, so only the module's own directives are found
/// there.
pub(crate) const IN_BLOCK: u32 = 0x0080_0000;

/// The same for blocks of rules.
pub(crate) const IN_RULES: u32 = 0x0040_0000;

/// Reads a line of a block.
pub(crate) type BlockEntry<T> = fn(&mut T, &Setting<'_>) -> Result;

/// A block whose lines are entries.
struct Block<'b, T> {
    name: &'b [u8],
    into: T,
    entry: BlockEntry<T>,
}

impl Setting<'_> {
    /// Reads the block that this directive opens as a level of its own. Directives marked with `allowed`
    /// ([`IN_BLOCK`] or [`IN_RULES`]) are allowed there.
    pub(crate) fn level_block<L: Default + 'static>(&mut self, allowed: u32) -> Result<L> {
        let cf = self.cf.as_ptr();
        let mut inner = Stored::new(L::default());
        // SAFETY: nginx's own `upstream` does the same. The block gets a context in which our slot of
        // the location configurations is `inner`; afterwards the parser gets its old state back. No
        // other module's directive matches the type, so no other module uses the other slots.
        let read = unsafe {
            let saved = *cf;
            let mut context = *saved.ctx.cast::<ngx_http_conf_ctx_t>();
            let mut slots: Vec<*mut c_void> = vec![ptr::null_mut(); ngx_http_max_module];
            let Some(slot) = slots.get_mut(slot()) else { return Err(ConfError::Logged) };
            *slot = (&raw mut inner).cast();
            context.loc_conf = slots.as_mut_ptr();
            (*cf).ctx = (&raw mut context).cast();
            // nginx finds `include` by the second bit, which no directive of an HTTP module has.
            (*cf).cmd_type = (allowed | NGX_MAIN_CONF) as ngx_uint_t;
            let read = ngx_conf_parse(cf, ptr::null_mut());
            *cf = saved;
            read
        };
        if read.is_null() { Ok(inner.value) } else { Err(ConfError::Logged) }
    }

    /// Reads the block that this directive opens, and passes each of its lines to `entry`.
    pub(crate) fn block<T>(&mut self, into: T, entry: BlockEntry<T>) -> Result<T> {
        let cf = self.cf.as_ptr();
        let mut block = Block { name: self.name, into, entry };
        // SAFETY: nginx's own `map` and `types` do the same. The parser gets our handler for the block,
        // and its old state back afterwards. `block` outlives the call.
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
        // SAFETY: `handler_conf` is the block of `Setting::block`, which waits for the parser and does
        // not use the block meanwhile.
        let block = unsafe { &mut *conf.cast::<Block<'_, T>>() };
        // SAFETY: nginx passes a valid structure, for the time of this call.
        let setting = unsafe { Setting::new(cf, block.name) };
        let Some(setting) = setting else { return NGX_CONF_ERROR };
        if setting.arg(0) == Some(b"include") && setting.values().count() == 1 {
            // SAFETY: nginx's own function, which passes the lines of the file to this handler.
            return unsafe { ngx_conf_include(cf, command, conf) };
        }
        match (block.entry)(&mut block.into, &setting) {
            Ok(()) => ptr::null_mut(),
            Err(error) => setting.refuse(&error),
        }
    })
}

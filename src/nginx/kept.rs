//! What is kept with a request, in the pool of its main request: shared by its subrequests, and there
//! until it ends.

use core::any::TypeId;
use core::cell::{Cell, RefCell};
use core::ffi::c_void;
use std::collections::VecDeque;

use ngx::ffi::{ngx_http_variable_value_t, ngx_str_t};

use super::conf::slot;
use super::flags;
use super::pool::{allocate_with, drop_in_place, find};
use super::request::Request;

/// A value of the module's, behind what the boundary itself keeps.
#[repr(C)]
struct Kept<T> {
    own: Own,
    value: T,
}

/// What the boundary keeps of a request.
pub(super) struct Own {
    /// The type of the value behind this, and what drops both.
    of: TypeId,
    drop: unsafe fn(*mut c_void),
    /// Where in the request's pool the long texts are that variables have shown lately.
    pub(super) shown: RefCell<VecDeque<ngx_str_t>>,
    /// How many watch which variables get a value, one within the other.
    watchers: Cell<u32>,
    /// Which variables had a value before the first was evaluated under the eyes of those; `None` where
    /// nobody watches, or none was.
    valued: RefCell<Option<Valued>>,
    /// Whether a variable could not be shown for want of memory.
    pub(super) has_failed: Cell<bool>,
}

/// Whether each variable had a value at some time.
pub(super) struct Valued(Box<[bool]>);

impl<'r> Request<'r> {
    /// What is kept with the request, of the boundary and of the module; `None` when out of memory, or if
    /// the module's is of another type.
    pub(crate) fn context<T: Default + 'static>(self) -> Option<(Memory<'r>, &'r T)> {
        if let Some(own) = self.kept() {
            return Some((Memory { request: self, own }, value_of(own)?));
        }
        let own = Own {
            of: TypeId::of::<T>(),
            drop: drop_in_place::<Kept<T>>,
            shown: RefCell::default(),
            watchers: Cell::default(),
            valued: RefCell::default(),
            has_failed: Cell::default(),
        };
        // SAFETY: the main request outlives its subrequests and shares its pool with them; the
        // context slot is ours alone. Nothing frees the value before the request ends, and only
        // shared references to it are ever made.
        unsafe {
            let main = (*self.raw()).main;
            let kept = allocate_with((*main).pool, Kept { own, value: T::default() }, drop_kept);
            *(*main).ctx.add(slot()) = kept.cast();
            let kept = kept.as_ref()?;
            Some((Memory { request: self, own: &kept.own }, &kept.value))
        }
    }

    /// What is kept with the request, if anything is.
    pub(crate) fn existing_context<T: 'static>(self) -> Option<(Memory<'r>, &'r T)> {
        let own = self.kept()?;
        Some((Memory { request: self, own }, value_of(own)?))
    }

    /// The boundary's own part.
    ///
    /// nginx clears a module's context at an internal redirect; as its realip module does, what is kept
    /// is then found among the pool's cleanups.
    pub(super) fn kept(self) -> Option<&'r Own> {
        // SAFETY: as in `context`; the slot holds null or what `context` has put there, which begins
        // with this part whatever its type is.
        unsafe {
            let main = (*self.raw()).main;
            let slot = (*main).ctx.add(slot());
            let redirected = || {
                flags::token_auth_internal(main) != 0
                    || flags::token_auth_filter_finalize(main) != 0
            };
            if (*slot).is_null() && redirected() {
                *slot = find((*(*main).pool).cleanup, drop_kept);
            }
            (*slot).cast::<Own>().as_ref()
        }
    }

    /// A variable is about to be evaluated.
    pub(super) fn note_values(self) {
        if let Some(own) = self.kept()
            && own.watchers.get() > 0
            && let Ok(mut valued) = own.valued.try_borrow_mut()
        {
            valued.get_or_insert_with(|| Valued(self.values().map(has_value).collect()));
        }
    }
}

/// What the boundary keeps of a request, for those who judge it.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'r> {
    request: Request<'r>,
    own: &'r Own,
}

impl<'r> Memory<'r> {
    /// Watches which variables nginx evaluates, until what this gives is dropped.
    pub(crate) fn watch_variables(self) -> VariableWatch<'r> {
        self.own.watchers.set(self.own.watchers.get() + 1);
        VariableWatch(self)
    }

    /// Whether a variable of the module's could not be shown, so that nginx took it for an empty one.
    pub(crate) fn has_failed_variable(self) -> bool {
        self.own.has_failed.get()
    }
}

fn value_of<'r, T: 'static>(own: &'r Own) -> Option<&'r T> {
    // SAFETY: `own` begins a `Kept` of the type that it names.
    (own.of == TypeId::of::<T>())
        .then(|| unsafe { &(*core::ptr::from_ref(own).cast::<Kept<T>>()).value })
}

/// The cleanup of what is kept, by which it is found after an internal redirect.
unsafe extern "C" fn drop_kept(data: *mut c_void) {
    // SAFETY: nginx passes what `Request::context` has allocated, once; the function is that of its type.
    unsafe { ((*data.cast::<Own>()).drop)(data) }
}

/// Somebody who watches which variables nginx evaluates.
pub(crate) struct VariableWatch<'r>(Memory<'r>);

impl VariableWatch<'_> {
    /// Has nginx evaluate again, when they are read next, the variables that it has evaluated since the
    /// outermost watch began. Within another one this does nothing.
    pub(crate) fn forget_values(&self) {
        if self.0.own.watchers.get() == 1
            && let Ok(mut valued) = self.0.own.valued.try_borrow_mut()
            && let Some(before) = valued.take()
        {
            let had_none =
                before.0.iter().zip(self.0.request.values()).filter(|(had_one, _)| !**had_one);
            had_none.for_each(|(_, value)| forget(value));
        }
    }
}

impl Drop for VariableWatch<'_> {
    fn drop(&mut self) {
        self.0.own.watchers.set(self.0.own.watchers.get() - 1);
        if self.0.own.watchers.get() == 0 {
            self.0.own.valued.take();
        }
    }
}

fn has_value(value: &mut ngx_http_variable_value_t) -> bool {
    value.valid() != 0 || value.not_found() != 0
}

/// Has nginx evaluate a variable when it is read next.
pub(super) fn forget(value: &mut ngx_http_variable_value_t) {
    value.set_valid(0);
    value.set_not_found(0);
}

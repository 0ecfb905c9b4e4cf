//! What is kept with a request, in the pool of its main request: subrequests share it, and it exists
//! until the main request ends.

use core::any::TypeId;
use core::cell::{Cell, RefCell};
use core::ffi::c_void;
use std::collections::VecDeque;

use ngx::ffi::{ngx_http_request_t, ngx_http_variable_value_t, ngx_str_t};

use super::conf::slot;
use super::flags;
use super::held::Held;
use super::pool::{allocate_with, drop_in_place, find};
use super::request::Request;

/// The module's value, preceded by the boundary's own data.
#[repr(C)]
struct Kept<T> {
    own: Own,
    value: T,
}

/// The boundary's own data about a request.
pub(super) struct Own {
    /// The type of the value that follows, and the function that drops both.
    of: TypeId,
    drop: unsafe fn(*mut c_void),
    /// The long texts in the request's pool that variables have shown recently.
    pub(super) shown: RefCell<VecDeque<ngx_str_t>>,
    /// How many nested [`VariableWatch`]es exist.
    watchers: Cell<u32>,
    /// Which variables had a value before the first evaluation of the outermost watch; `None` if there
    /// is no watch, or no evaluation yet.
    valued: RefCell<Option<Valued>>,
    /// Whether a variable could not be shown because memory ran out.
    pub(super) has_failed: Cell<bool>,
    /// The answers that are held back: to the request and to its subrequests.
    held: RefCell<Vec<Held>>,
}

impl Own {
    /// That which goes before a value of this type.
    fn new<T: 'static>() -> Self {
        Self {
            of: TypeId::of::<T>(),
            drop: drop_in_place::<Kept<T>>,
            shown: RefCell::default(),
            watchers: Cell::default(),
            valued: RefCell::default(),
            has_failed: Cell::default(),
            held: RefCell::default(),
        }
    }

    /// Takes out what is held back of the answer to this request, if anything is.
    pub(super) fn take_held(&self, r: *const ngx_http_request_t) -> Option<Held> {
        let mut held = self.held.borrow_mut();
        let at = held.iter().position(|one| one.is_of(r))?;
        Some(held.swap_remove(at))
    }

    /// Holds an answer back.
    pub(super) fn hold(&self, answer: Held) {
        self.held.borrow_mut().push(answer);
    }
}

/// Whether each variable had a value at a certain time.
pub(super) struct Valued(Box<[bool]>);

impl<'r> Request<'r> {
    /// What is kept with the request, of the boundary and of the module; `None` when out of memory, or if
    /// the module's is of another type.
    pub(crate) fn context<T: Default + 'static>(self) -> Option<(Memory<'r>, &'r T)> {
        let existing = self.slot();
        if !existing.is_null() {
            return self.typed(existing);
        }
        let make = || Kept { own: Own::new::<T>(), value: T::default() };
        // SAFETY: the main request outlives its subrequests and shares its pool with them, and the
        // context slot is ours alone. Nothing frees the value before the request ends, and all
        // references to it are shared ones.
        unsafe {
            let main = (*self.raw()).main;
            let kept = allocate_with((*main).pool, make, drop_kept);
            *(*main).ctx.add(slot()) = kept.cast();
            let kept = kept.as_ref()?;
            Some((Memory { request: self, own: &kept.own }, &kept.value))
        }
    }

    /// What is kept with the request, if anything is.
    pub(crate) fn existing_context<T: 'static>(self) -> Option<(Memory<'r>, &'r T)> {
        self.typed(self.slot())
    }

    /// What [`Request::slot`] points to, if it is of this type.
    fn typed<T: 'static>(self, kept: *mut Own) -> Option<(Memory<'r>, &'r T)> {
        // SAFETY: as in `context`; `kept` is null or points to a `Kept` of the type that it names.
        unsafe {
            let own = kept.as_ref()?;
            (own.of == TypeId::of::<T>()).then(|| {
                (Memory { request: self, own }, &(*kept.cast_const().cast::<Kept<T>>()).value)
            })
        }
    }

    /// The boundary's own data.
    pub(super) fn kept(self) -> Option<&'r Own> {
        // SAFETY: as in `context`.
        unsafe { self.slot().as_ref() }
    }

    /// What the module's context slot of the main request points to.
    ///
    /// nginx clears a module's context at an internal redirect. Then the pool's cleanups still have
    /// what is kept; nginx's realip module does the same.
    fn slot(self) -> *mut Own {
        // SAFETY: as in `context`; the slot is null or has what `context` has put there, which begins
        // with this data, whatever type the value has.
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
            (*slot).cast::<Own>()
        }
    }

    /// To be called before a variable is evaluated.
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

    /// Whether a variable of the module could not be shown, so nginx has used it as an empty one.
    pub(crate) fn has_failed_variable(self) -> bool {
        self.own.has_failed.get()
    }
}

/// The cleanup of what is kept; it also is how to find it after an internal redirect.
unsafe extern "C" fn drop_kept(data: *mut c_void) {
    // SAFETY: nginx passes what `Request::context` has allocated, once; `drop` is the function for its
    // type.
    unsafe { ((*data.cast::<Own>()).drop)(data) }
}

/// A watch on which variables nginx evaluates.
pub(crate) struct VariableWatch<'r>(Memory<'r>);

impl VariableWatch<'_> {
    /// Makes nginx evaluate again, at the next read, those variables that it has evaluated since the
    /// outermost watch began. Does nothing within another watch.
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

/// Makes nginx evaluate a variable again when it is read next.
pub(super) fn forget(value: &mut ngx_http_variable_value_t) {
    value.set_valid(0);
    value.set_not_found(0);
}

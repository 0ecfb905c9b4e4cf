//! What is learned while the keys and lists for a token are looked up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::live::Fetching;
use crate::nginx::{ComplexValue, Request};

/// What was learned while looking up the keys and lists for a token.
#[derive(Default)]
pub(super) struct Lookup {
    /// The policy whose keys were looked up.
    pub(super) policy: Cell<Option<usize>>,
    /// Whether a source has no keys, although it should have some.
    pub(super) lacking: Cell<bool>,
    /// The sources without keys that are being fetched.
    pub(super) under_way: RefCell<Vec<Fetching>>,
    /// Why the key of the token's kid was not asked for.
    pub(super) withheld: Cell<Option<&'static str>>,
    /// The lists that are not there yet, and are being fetched.
    lists: RefCell<Vec<Fetching>>,
    /// A list that is not there, and without which tokens pass (`missing=pass`).
    unchecked: RefCell<Option<String>>,
    /// Whether the name of a source could not be evaluated.
    pub(super) failed: Cell<bool>,
}

impl Lookup {
    /// The name of a source for this request.
    pub(super) fn evaluate<'r>(
        &self,
        request: Request<'r>,
        value: &ComplexValue,
    ) -> Option<&'r [u8]> {
        let name = request.evaluate(value);
        self.failed.set(self.failed.get() || name.is_none());
        name
    }

    /// A list is being fetched that should be waited for.
    pub(super) fn wants_list(&self, fetching: Fetching) {
        let mut lists = self.lists.borrow_mut();
        if !lists.iter().any(|one| Rc::ptr_eq(&one.source, &fetching.source)) {
            lists.push(fetching);
        }
    }

    /// The lists to wait for.
    pub(super) fn wanted_lists(&self) -> Vec<Fetching> {
        self.lists.take()
    }

    /// A list is not there, and tokens pass without it.
    pub(super) fn passes_without(&self, list: String) {
        self.unchecked.replace(Some(list));
    }

    /// Such a list.
    pub(super) fn passed_without(&self) -> Option<String> {
        self.unchecked.take()
    }
}

//! Values of variables for a request, and what variables of the module's show.

use ngx::ffi::{ngx_http_get_flushed_variable, ngx_http_variable_t, ngx_str_t, ngx_uint_t};

use super::captures::Captures;
use super::conf::core_main;
use super::kept::forget;
use super::request::Request;
use super::string::bytes;
use super::value::{ComplexValue, Part, ValuePart};

/// From how many bytes on a text is long, and how many of those are known that were shown lately.
const LONG: usize = 512;
const SHOWN: usize = 8;

impl<'r> Request<'r> {
    /// What a value with variables is for this request; `None` when one of them cannot be evaluated,
    /// or nginx is out of memory. The request's captures are afterwards what they were before, and
    /// each `$1` of the value is one of them, whatever variables stand beside it.
    pub(crate) fn evaluate(self, value: &ComplexValue) -> Option<&'r [u8]> {
        let part = |part: &'r ValuePart| match part {
            Part::Text(text) => Some(&***text),
            Part::Variable(index) => self.variable(*index),
            Part::Capture(group) => Some(self.capture(*group)),
        };
        match value.parts() {
            [] => Some(b""),
            [only] => part(only),
            parts => {
                let values = parts.iter().map(part).collect::<Option<Vec<_>>>()?;
                // SAFETY: the copy is in the request's pool, and nobody else has it.
                self.copy_all(&values).map(|copy| unsafe { bytes(copy) })
            }
        }
    }

    /// The value of a variable of the configuration, by its index; empty for one that is not found.
    fn variable(self, index: ngx_uint_t) -> Option<&'r [u8]> {
        self.note_values();
        let r = self.raw();
        // SAFETY: the index is of this configuration, and the request has room for the values of
        // all its variables. A value's bytes are in the pool, in what the client has sent or in the
        // configuration; nginx replaces the value, never the bytes.
        unsafe {
            let mut captures = Captures::of(r);
            let value = ngx_http_get_flushed_variable(r, index).as_ref();
            captures.restore(r);
            let Some(value) = value else {
                // nginx would take it for one that is not found when it is read again.
                (*(*r).variables.add(index)).set_not_found(0);
                return None;
            };
            let len = if value.not_found() == 0 { value.len() as usize } else { 0 };
            Some(bytes(ngx_str_t { len, data: value.data }))
        }
    }

    /// What a group of the pattern that the request has matched last has captured.
    fn capture(self, group: usize) -> &'r [u8] {
        // SAFETY: nginx says how many numbers of the array are valid; those of a group that took
        // part in the match are places in the text that it matched, which is in the pool or in
        // what the client has sent, and those of one that did not are negative.
        unsafe {
            let r = self.raw();
            if 2 * group >= (*r).ncaptures || (*r).captures.is_null() {
                return &[];
            }
            let numbers = (*r).captures.add(2 * group);
            let ends = (usize::try_from(*numbers), usize::try_from(*numbers.add(1)));
            let (Ok(start), Ok(end)) = ends else { return &[] };
            let len = end.saturating_sub(start);
            bytes(ngx_str_t { len, data: (*r).captures_data.add(start) })
        }
    }

    /// Has nginx evaluate the variable called `name` again wherever it is read next, also in a value
    /// that nginx is putting together.
    pub(crate) fn forget_variable(self, name: &[u8]) {
        // SAFETY: the array has the configuration's variables, whose names live as long as it does.
        let names = unsafe {
            let Some(conf) = core_main(self.raw()) else { return };
            let known = conf.variables.elts.cast::<ngx_http_variable_t>();
            (0..conf.variables.nelts).map(move |index| bytes((*known.add(index)).name))
        };
        names
            .zip(self.values())
            .filter(|(one, _)| *one == name)
            .for_each(|(_, value)| forget(value));
    }

    /// [`Request::copy`] for what a variable shows. A long text that was shown lately is not copied
    /// again: a page may show it thousands of times.
    pub(super) fn copy_shown(self, text: &[u8]) -> Option<ngx_str_t> {
        let kept = self.kept().filter(|_| text.len() >= LONG);
        let Some(mut shown) = kept.and_then(|kept| kept.shown.try_borrow_mut().ok()) else {
            return self.copy(text);
        };
        // SAFETY: what is in the list is in the pool that the list is of, and nginx does not write
        // to the value of a variable.
        if let Some(known) = shown.iter().find(|one| unsafe { bytes(**one) } == text) {
            return Some(*known);
        }
        let copy = self.copy(text)?;
        if shown.len() >= SHOWN {
            shown.pop_front();
        }
        shown.push_back(copy);
        Some(copy)
    }
}

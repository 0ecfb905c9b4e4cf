//! Values of variables for a request, and texts that the module's variables show.

use ngx::ffi::{
    ngx_hash_key, ngx_http_get_flushed_variable, ngx_http_get_variable, ngx_http_variable_t,
    ngx_str_t, ngx_uint_t,
};

use super::captures::Captures;
use super::conf::core_main;
use super::kept::forget;
use super::request::Request;
use super::string::{bytes, string};
use super::value::{ComplexValue, Part, ValuePart};

/// A text is long from `LONG` bytes on. The last `SHOWN` long texts are remembered.
const LONG: usize = 512;
const SHOWN: usize = 8;

impl<'r> Request<'r> {
    /// The value for this request; `None` if a variable cannot be evaluated, or nginx is out of memory.
    /// The request's captures are the same afterwards, and each `$1` of the value is one of them,
    /// whatever variables are next to it.
    pub(crate) fn evaluate(self, value: &ComplexValue) -> Option<&'r [u8]> {
        match value.parts() {
            [] => Some(b""),
            [only] => self.part(only),
            parts => {
                let values =
                    parts.iter().map(|part| self.part(part)).collect::<Option<Vec<_>>>()?;
                self.joined(&values)
            }
        }
    }

    /// As [`Request::evaluate`], and whether a variable in the value is empty, so that the rest may be
    /// another value than was meant.
    pub(crate) fn evaluate_bound(self, value: &ComplexValue) -> Option<(&'r [u8], bool)> {
        let is_unset =
            |part: &ValuePart, value: &[u8]| matches!(part, Part::Variable(_)) && value.is_empty();
        match value.parts() {
            [] => Some((b"", false)),
            [only] => self.part(only).map(|value| (value, is_unset(only, value))),
            parts => {
                let values =
                    parts.iter().map(|part| self.part(part)).collect::<Option<Vec<_>>>()?;
                let lacks = parts.iter().zip(&values).any(|(part, value)| is_unset(part, value));
                Some((self.joined(&values)?, lacks))
            }
        }
    }

    fn part(self, part: &'r ValuePart) -> Option<&'r [u8]> {
        match part {
            Part::Text(text) => Some(&***text),
            Part::Variable(index) => self.variable(*index),
            Part::Capture(group) => Some(self.capture(*group)),
        }
    }

    fn joined(self, values: &[&[u8]]) -> Option<&'r [u8]> {
        // SAFETY: the copy is in the request's pool, and nobody else refers to it.
        self.copy_all(values).map(|copy| unsafe { bytes(copy) })
    }

    /// The value of a variable, by its index; empty if it is not found.
    fn variable(self, index: ngx_uint_t) -> Option<&'r [u8]> {
        self.note_values();
        let r = self.raw();
        // SAFETY: the index is of this configuration, and the request has room for the values of all
        // its variables. The bytes of a value are in the pool, in what the client has sent, or in the
        // configuration; nginx may replace the value, but never changes the bytes.
        unsafe {
            let mut captures = Captures::of(r);
            let value = ngx_http_get_flushed_variable(r, index).as_ref();
            captures.restore(r);
            let Some(value) = value else {
                // nginx would treat it as not found when it is read again.
                (*(*r).variables.add(index)).set_not_found(0);
                return None;
            };
            let len = if value.not_found() == 0 { value.len() as usize } else { 0 };
            Some(bytes(ngx_str_t { len, data: value.data }))
        }
    }

    /// The value of the variable called `name`, which must be in lower case; `None` if there is no such
    /// variable or it has no value. Not for variables that evaluate patterns: captures may change.
    pub(crate) fn named_variable(self, name: &'static [u8]) -> Option<&'r [u8]> {
        self.note_values();
        let mut name = string(name);
        // SAFETY: nginx reads the name during the call. The bytes of a value live as in `variable`.
        unsafe {
            let key = ngx_hash_key(name.data, name.len);
            let value = ngx_http_get_variable(self.raw(), &raw mut name, key).as_ref()?;
            let (len, data) = (value.len() as usize, value.data);
            (value.not_found() == 0).then(|| bytes(ngx_str_t { len, data }))
        }
    }

    /// A capture of the last pattern that the request has matched.
    fn capture(self, group: usize) -> &'r [u8] {
        // SAFETY: nginx says how many numbers of the array are valid. The numbers of a group that took
        // part in the match are positions in the matched text, which is in the pool or in what the
        // client has sent; those of other groups are negative.
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

    /// Makes nginx evaluate the variable called `name` again wherever it is read next, even in a value
    /// that nginx is assembling.
    pub(crate) fn forget_variable(self, name: &[u8]) {
        // SAFETY: the array has the configuration's variables; their names live as long as the
        // configuration.
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

    /// [`Request::copy`] for the text of a variable. A long text that was shown recently is not copied
    /// again: a page may show it thousands of times.
    pub(super) fn copy_shown(self, text: &[u8]) -> Option<ngx_str_t> {
        let kept = self.kept().filter(|_| text.len() >= LONG);
        let Some(mut shown) = kept.and_then(|kept| kept.shown.try_borrow_mut().ok()) else {
            return self.copy(text);
        };
        // SAFETY: the texts of the list are in the same pool as the list, and nginx does not write to
        // the value of a variable.
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

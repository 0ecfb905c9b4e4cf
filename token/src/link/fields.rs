//! Texts of fields `name=value` with a separator between them.

use crate::credential::{pieces, split_pair};

/// The most fields that a text may have: no format has so many.
const MOST: usize = 32;

/// The fields of a text, in their order. No name is there twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields<'t>(Vec<(&'t [u8], Option<&'t [u8]>)>);

impl<'t> Fields<'t> {
    /// Reads fields that `separator` separates. A value goes up to the next separator and may hold `=`; a field
    /// without `=` has none. Nothing is decoded.
    ///
    /// # Errors
    /// What is wrong: a field is empty, a name stands twice, or there are more than 32 fields.
    pub fn read(text: &'t [u8], separator: u8) -> Result<Self, &'static str> {
        let mut fields: Vec<(&[u8], Option<&[u8]>)> = Vec::with_capacity(8);
        for field in pieces(text, separator) {
            let (name, value) = split_pair(field);
            if name.is_empty() {
                return Err("a field has no name");
            }
            if fields.iter().any(|(known, _)| *known == name) {
                return Err("a field stands twice");
            }
            if fields.len() == MOST {
                return Err("it has too many fields");
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    /// The value of a field; `None` if the field is not there or has none.
    pub fn value(&self, name: &str) -> Option<&'t [u8]> {
        self.find(name)?
    }

    /// The field: `Some(None)` if it is there without a value.
    pub fn find(&self, name: &str) -> Option<Option<&'t [u8]>> {
        self.0.iter().find(|(one, _)| *one == name.as_bytes()).map(|(_, value)| *value)
    }

    /// The fields in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'t [u8], Option<&'t [u8]>)> {
        self.0.iter().copied()
    }

    /// Whether all names are among these.
    pub fn are_among(&self, names: &[&str]) -> bool {
        self.0.iter().all(|(name, _)| names.iter().any(|one| one.as_bytes() == *name))
    }
}

/// Unix time in decimal digits: one to ten of them, without a leading zero.
pub fn unix_time(text: &[u8]) -> Option<i64> {
    let is_plain = matches!(text.len(), 1..=10) && text.iter().all(u8::is_ascii_digit);
    if !is_plain || text.len() > 1 && text.starts_with(b"0") {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_stand() {
        let fields = Fields::read(b"exp=1~acl=/a=b/*~FullPath~hmac=", b'~').unwrap();
        assert_eq!(fields.value("acl"), Some(&b"/a=b/*"[..]));
        assert_eq!(fields.value("hmac"), Some(&b""[..]));
        assert_eq!(fields.find("FullPath"), Some(None));
        assert_eq!(fields.find("ex"), None);
        assert!(fields.are_among(&["exp", "acl", "FullPath", "hmac"]));
        assert!(!fields.are_among(&["exp", "acl", "hmac"]));
        for bad in ["", "a=1~", "~a=1", "a=1~~b=2", "=1", "a=1~a=1", "a~a=1"] {
            assert!(Fields::read(bad.as_bytes(), b'~').is_err(), "{bad}");
        }
        let many =
            |count: usize| (0..count).map(|at| format!("f{at}")).collect::<Vec<_>>().join("~");
        assert!(Fields::read(many(MOST).as_bytes(), b'~').is_ok());
        assert!(Fields::read(many(MOST + 1).as_bytes(), b'~').is_err());
    }

    #[test]
    fn times_are_plain_digits() {
        for (text, time) in
            [("0", 0), ("7", 7), ("1591841414", 1_591_841_414), ("9999999999", 9_999_999_999)]
        {
            assert_eq!(unix_time(text.as_bytes()), Some(time));
        }
        for bad in ["", "01", "-1", "+1", "1.5", "1e3", "10000000000", " 1", "١"] {
            assert_eq!(unix_time(bad.as_bytes()), None, "{bad}");
        }
    }
}

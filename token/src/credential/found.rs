//! What was found under a name.

/// What was found under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'r> {
    /// Nothing, or nothing but an empty value.
    Absent,
    /// One value.
    One(&'r [u8]),
    /// Several, or one that cannot be a credential.
    Unusable,
}

impl<'r> Found<'r> {
    pub(super) fn of(mut values: impl Iterator<Item = &'r [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Unusable,
        }
    }

    /// Takes an empty value for none.
    #[must_use]
    pub fn or_absent(self) -> Self {
        if self == Self::One(b"") { Self::Absent } else { self }
    }
}

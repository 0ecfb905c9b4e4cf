//! The result of a search for a credential.

/// What was found under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'r> {
    /// Nothing, or only an empty value.
    Absent,
    /// Exactly one value.
    One(&'r [u8]),
    /// Several values, or one that different programs could read differently.
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

    /// Treats an empty value as absent.
    #[must_use]
    pub fn or_absent(self) -> Self {
        if self == Self::One(b"") { Self::Absent } else { self }
    }
}

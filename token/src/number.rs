//! Numbers as JSON has them (RFC 8259 section 6).

use std::cmp::Ordering;
use std::fmt;

/// A JSON number: exact where it is a 64-bit integer, an IEEE 754 double otherwise.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// An integer that is not negative.
    Unsigned(u64),
    /// An integer that a signed type holds; from the parser only a negative one.
    Signed(i64),
    /// A fraction, an exponent, or an integer beyond 64 bits.
    Float(f64),
}

impl Number {
    /// Reads a number as JSON writes it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let number: serde_json::Number = serde_json::from_slice(text).ok()?;
        number
            .as_u64()
            .map(Self::Unsigned)
            .or_else(|| number.as_i64().map(Self::Signed))
            .or_else(|| number.as_f64().map(Self::Float))
    }

    /// Compares by value: integers exactly, anything else as doubles.
    pub fn compare(self, other: Self) -> Ordering {
        match (self.integer(), other.integer()) {
            (Some(a), Some(b)) => a.cmp(&b),
            // Zero has two spellings as a double, and neither is the smaller number.
            _ => self.double().partial_cmp(&other.double()).unwrap_or(Ordering::Equal),
        }
    }

    fn integer(self) -> Option<i128> {
        match self {
            Self::Unsigned(n) => Some(n.into()),
            Self::Signed(n) => Some(n.into()),
            Self::Float(_) => None,
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn double(self) -> f64 {
        match self {
            Self::Unsigned(n) => n as f64,
            Self::Signed(n) => n as f64,
            Self::Float(n) => n,
        }
    }

    /// Compares with an integer, without overflow.
    pub fn cmp_int(self, other: i64) -> Ordering {
        self.compare(Self::Signed(other))
    }

    /// The number of whole seconds, saturated to what an `i64` holds.
    pub fn saturating_i64(self) -> i64 {
        match self {
            Self::Unsigned(n) => i64::try_from(n).unwrap_or(i64::MAX),
            Self::Signed(n) => n,
            #[allow(clippy::cast_possible_truncation)]
            Self::Float(n) => n as i64,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(n) => n.fmt(f),
            Self::Signed(n) => n.fmt(f),
            // As JSON writes it: 1e308 rather than 309 digits.
            Self::Float(n) => match serde_json::Number::from_f64(*n) {
                Some(number) => number.fmt(f),
                None => n.fmt(f),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_without_overflow() {
        let number = |text: &str| Number::parse(text.as_bytes()).unwrap();
        assert_eq!(number("18446744073709551615").cmp_int(i64::MAX), Ordering::Greater);
        assert_eq!(number("18446744073709551616").cmp_int(i64::MAX), Ordering::Greater);
        assert_eq!(number("-9223372036854775808").cmp_int(i64::MIN), Ordering::Equal);
        assert_eq!(number("-1e300").cmp_int(i64::MIN), Ordering::Less);
        assert_eq!(number("1.5").cmp_int(1), Ordering::Greater);
        assert_eq!(number("-0.0").cmp_int(0), Ordering::Equal);
        assert!(Number::parse(b"1.").is_none() && Number::parse(b"").is_none());
        assert!(Number::parse(b"7.0").unwrap().compare(number("7")).is_eq());
        assert_eq!(number("1e300").saturating_i64(), i64::MAX);
    }
}

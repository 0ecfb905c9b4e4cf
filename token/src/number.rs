//! JSON numbers (RFC 8259 section 6) of any size and precision, kept as they are written.
//!
//! Nothing is rounded: two accounts whose large numbers differ in the last digit must stay two.

use std::cmp::Ordering;
use std::fmt;
use std::hash::Hasher;

/// How many digits an exponent may have, so that computing with it fits into 64 bits.
pub(crate) const MAX_EXPONENT_DIGITS: usize = 18;

/// A JSON number, as it is written.
#[derive(Clone, Copy)]
pub struct Number<'t>(&'t str);

impl<'t> Number<'t> {
    /// Parses a JSON number. A number that is too large for an IEEE 754 double is refused, as it is in
    /// a JSON text.
    pub fn parse(text: &'t [u8]) -> Option<Self> {
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(text).ok()?;
        let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
        let mut at = match unsigned {
            [b'0', ..] => 1,
            _ => digits(unsigned),
        };
        if at == 0 {
            return None;
        }
        let rest = unsigned.get(at..)?;
        if let Some(fraction) = rest.strip_prefix(b".") {
            let count = digits(fraction);
            if count == 0 {
                return None;
            }
            at += 1 + count;
        }
        let rest = unsigned.get(at..)?;
        if let [b'e' | b'E', rest @ ..] = rest {
            let exponent = rest.strip_prefix(b"+").or(rest.strip_prefix(b"-")).unwrap_or(rest);
            let count = digits(exponent);
            if count == 0 {
                return None;
            }
            at += 1 + rest.len() - exponent.len() + count;
        }
        let number = Self(text);
        let is_small = at < 300 && at == digits(unsigned);
        let fits = || number.has_exponent_in_bounds() && text.parse().is_ok_and(f64::is_finite);
        (at == unsigned.len() && (is_small || fits())).then_some(number)
    }

    /// Whether it is written as whole numbers usually are. There is one such spelling of each whole
    /// number, and none of other numbers.
    pub(crate) fn is_canonical(self) -> bool {
        is_whole(self.0) && self.0 != "-0"
    }

    /// Parses a number in its canonical spelling.
    pub(crate) fn parse_canonical(text: &'t str) -> Option<Self> {
        // Most texts are seen to be none at their first characters.
        let number = is_whole(text).then(|| Self::parse(text.as_bytes())).flatten();
        number.filter(|number| number.is_canonical())
    }

    /// Takes a number that a JSON parser has accepted.
    pub(crate) fn of_literal(literal: &'t str) -> Self {
        Self(literal)
    }

    /// Whether the exponent has at most [`MAX_EXPONENT_DIGITS`] digits.
    pub(crate) fn has_exponent_in_bounds(self) -> bool {
        // A short exponent begins near the end.
        let end = self.0.as_bytes().iter().rev().take(MAX_EXPONENT_DIGITS + 1);
        if end.into_iter().any(|byte| matches!(byte, b'e' | b'E')) {
            return true;
        }
        let exponent = self.0.split_once(['e', 'E']).map_or("", |(_, exponent)| exponent);
        exponent.trim_start_matches(['+', '-']).len() <= MAX_EXPONENT_DIGITS
    }

    /// The number as it was written.
    pub fn as_str(self) -> &'t str {
        self.0
    }

    /// Compares by value, exactly.
    pub fn compare(self, other: Number<'_>) -> Ordering {
        match (self.small(), other.small()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => Decimal::of(self.0).compare(&Decimal::of(other.0)),
        }
    }

    /// Compares with an integer, exactly.
    pub fn cmp_int(self, other: i64) -> Ordering {
        self.rounded().cmp_int(other)
    }

    /// The number without its fraction, limited to what an `i64` holds.
    pub fn saturating_i64(self) -> i64 {
        self.rounded().whole
    }

    /// The form in which a number is compared with integers.
    pub(crate) fn rounded(self) -> Rounded {
        match self.small() {
            Some(whole) => Rounded { whole, rest: Ordering::Equal },
            None => Decimal::of(self.0).rounded(),
        }
    }

    /// The value, if it is an integer from 0 to what a `u64` holds, however it is written.
    pub fn as_u64(self) -> Option<u64> {
        // Digits alone, the usual way, may have all 64 bits. No JSON number begins with a plus.
        self.0.parse().ok().or_else(|| {
            let Rounded { whole, rest } = self.rounded();
            // One that an `i64` does not hold is limited to its largest value, with a rest.
            u64::try_from(whole).ok().filter(|_| rest == Ordering::Equal)
        })
    }

    /// Feeds the value to `hasher`; the same for every way of writing it, and something else for every
    /// other value.
    pub(crate) fn hash_value(self, hasher: &mut impl Hasher) {
        let decimal = Decimal::of(self.0);
        hasher.write_u8(u8::from(decimal.negative));
        hasher.write_i64(decimal.point);
        let mut digits = decimal.digits();
        loop {
            let some = digits.by_ref().take(16);
            // A digit is 1 to 10 here, so that a short last group differs from one with zeros.
            match some.fold(0, |group, digit| group << 4 | u64::from(digit - b'0' + 1)) {
                0 => break,
                group => hasher.write_u64(group),
            }
        }
    }

    /// The value, if it is written as an integer of at most 18 digits.
    fn small(self) -> Option<i64> {
        let unsigned = self.0.strip_prefix('-').unwrap_or(self.0);
        if unsigned.len() > 18 {
            return None;
        }
        let mut value = 0;
        for byte in unsigned.bytes() {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value * 10 + i64::from(digit);
        }
        Some(if unsigned.len() < self.0.len() { -value } else { value })
    }
}

/// Whether there are only digits, but for a sign.
fn is_whole(text: &str) -> bool {
    text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Number<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A number reduced to what comparing it with integers needs, so that it can be kept without the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounded {
    /// The number without its fraction, limited to what an `i64` holds.
    whole: i64,
    /// How the number compares with `whole`.
    rest: Ordering,
}

impl Rounded {
    pub(crate) fn cmp_int(self, other: i64) -> Ordering {
        self.whole.cmp(&other).then(self.rest)
    }

    pub(crate) fn saturating_i64(self) -> i64 {
        self.whole
    }
}

/// A number as `0.DIGITS` times ten to the power of `point`. The first and the last digit are not 0;
/// zero has no digits.
struct Decimal<'t> {
    negative: bool,
    /// The digits, in up to two parts: before and after a decimal point.
    digits: [&'t [u8]; 2],
    point: i64,
}

impl<'t> Decimal<'t> {
    fn of(literal: &'t str) -> Self {
        let unsigned = literal.strip_prefix('-').unwrap_or(literal);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            // The length of the exponent was checked when the number was made.
            Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or_default()),
            None => (unsigned, 0_i64),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut whole = whole.trim_start_matches('0');
        let mut fraction = fraction.trim_end_matches('0');
        let mut point = exponent.saturating_add(whole.len() as i64);
        if fraction.is_empty() {
            whole = whole.trim_end_matches('0');
        }
        if whole.is_empty() {
            let digits = fraction.trim_start_matches('0');
            point = point.saturating_sub((fraction.len() - digits.len()) as i64);
            fraction = digits;
        }
        let digits = [whole.as_bytes(), fraction.as_bytes()];
        if digits.iter().all(|part| part.is_empty()) {
            return Self { negative: false, digits, point: 0 };
        }
        Self { negative: unsigned.len() < literal.len(), digits, point }
    }

    fn digits(&self) -> impl Iterator<Item = u8> + use<'t> {
        let [whole, fraction] = self.digits;
        whole.iter().chain(fraction).copied()
    }

    fn is_zero(&self) -> bool {
        self.digits.iter().all(|part| part.is_empty())
    }

    fn compare(&self, other: &Self) -> Ordering {
        let sign = |it: &Self| match (it.is_zero(), it.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let signs = (sign(self), sign(other));
        match signs {
            (-1, -1) => other.compare_digits(self),
            (1, 1) => self.compare_digits(other),
            (a, b) => a.cmp(&b),
        }
    }

    /// Compares two numbers that are not zero, without their signs.
    fn compare_digits(&self, other: &Self) -> Ordering {
        self.point.cmp(&other.point).then_with(|| self.digits().cmp(other.digits()))
    }

    fn rounded(&self) -> Rounded {
        let side = match (self.is_zero(), self.negative) {
            (true, _) => Ordering::Equal,
            (false, true) => Ordering::Less,
            (false, false) => Ordering::Greater,
        };
        let beyond = Rounded { whole: if self.negative { i64::MIN } else { i64::MAX }, rest: side };
        if self.point > 19 {
            return beyond;
        }
        let mut digits = self.digits();
        let mut whole = 0_i128;
        for _ in 0..self.point.max(0) {
            whole = whole * 10 + i128::from(digits.next().unwrap_or(b'0') - b'0');
        }
        let signed = if self.negative { -whole } else { whole };
        match i64::try_from(signed) {
            // The rest does not end in 0, so it is not zero.
            Ok(whole) if digits.next().is_some() => Rounded { whole, rest: side },
            Ok(whole) => Rounded { whole, rest: Ordering::Equal },
            Err(_) => beyond,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use super::*;

    fn number(text: &str) -> Number<'_> {
        Number::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_are_read_as_json_writes_them() {
        for good in ["0", "-0", "7", "-12.50", "1e5", "1E+5", "1.0e-05", "1e-400", "0e9", "0.0"] {
            assert_eq!(number(good).as_str(), good);
        }
        let digits = "9".repeat(400);
        for bad in [
            "",
            "-",
            "+1",
            "01",
            "-01",
            "1.",
            ".5",
            "1.e5",
            "1e",
            "1e+",
            "1e5.0",
            "0x1",
            "1 ",
            " 1",
            "NaN",
            "Infinity",
            "1_0",
            "1e400",
            "-1e400",
            &digits,
            "1,5",
            "--1",
            "1e1e1",
            "é",
            "1e-1000000000000000000",
            "0e0000000000000000000",
        ] {
            assert!(Number::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn numbers_compare_by_value_at_any_size() {
        // Each line is in ascending order; the numbers of one group are equal.
        let lines: [&[&[&str]]; 6] = [
            &[
                &["-1e300"],
                &["-18446744073709551616"],
                &["-9223372036854775808", "-9223372036854775808.000"],
                &["-7.5", "-75e-1", "-0.75e1"],
                &["-7", "-7.0"],
                &["-1e-400"],
                &["0", "-0", "0.0", "-0e5", "0e-9", "0E18"],
                &["1e-400", "0.1e-399"],
                &["1e-399"],
                &["0.1", "1e-1", "0.10", "10e-2", "0.01e1"],
                &["0.11"],
                &["7", "7.0", "7e0", "70e-1", "0.7e1", "0.0007E+4"],
                &["10"],
                &["100", "1e2", "1E+2", "1.00e2"],
            ],
            &[&["9007199254740992", "9007199254740992.0"], &["9007199254740993"]],
            &[&["18446744073709551615"], &["18446744073709551616"], &["18446744073709551617"]],
            &[&["999999999999999999"], &["1000000000000000000", "1e18"], &["1000000000000000001"]],
            &[
                &["12345678901234567890122"],
                &["12345678901234567890123", "12345678901234567890123.0"],
                &["12345678901234567890123.0000000000000000000000000000001"],
            ],
            &[&["1e-999999999999999999"], &["1e-999999999999999998"]],
        ];
        for line in lines {
            let places =
                || line.iter().enumerate().flat_map(|(i, it)| it.iter().map(move |t| (i, t)));
            for ((i, a), (j, b)) in places().flat_map(|a| places().map(move |b| (a, b))) {
                assert_eq!(number(a).compare(number(b)), i.cmp(&j), "{a} and {b}");
            }
        }
    }

    #[test]
    fn all_spellings_of_a_value_hash_to_the_same_and_other_values_to_others() {
        let state = RandomState::new();
        let hash = |text: &str| {
            let mut hasher = state.build_hasher();
            number(text).hash_value(&mut hasher);
            hasher.finish()
        };
        let long = format!("{}.0", "1234567890".repeat(5));
        for same in [
            &["7", "7.0", "70e-1", "0.7e1"][..],
            &["0", "-0", "0e7"],
            &["1e40", "10000000000000000000000000000000000000000"],
            &[&long, &long[..50]],
        ] {
            assert!(same.iter().all(|text| hash(text) == hash(same[0])), "{same:?}");
        }
        let others = ["7", "-7", "70", "0.7", "0", &long, &long[..49], "1e40", "11", "111"];
        for (i, a) in others.iter().enumerate() {
            assert!(others.iter().skip(i + 1).all(|b| hash(a) != hash(b)), "{a}");
        }
    }

    #[test]
    fn whole_numbers_have_one_canonical_spelling() {
        for yes in ["0", "7", "-7", "10", "12345678901234567890123"] {
            assert!(number(yes).is_canonical(), "{yes}");
            assert_eq!(Number::parse_canonical(yes).map(Number::as_str), Some(yes));
        }
        for no in ["-0", "7.0", "7e0", "0.5", "1E2", "-7.5", "0e1"] {
            assert!(!number(no).is_canonical(), "{no}");
        }
        let long = "9".repeat(400);
        for no in ["-0", "7.0", "7e0", "", "-", "01", "--1", "a", &long] {
            assert!(Number::parse_canonical(no).is_none(), "{no}");
        }
    }

    #[test]
    fn numbers_compare_with_integers_without_overflow() {
        for (text, whole, sides) in [
            ("18446744073709551615", i64::MAX, Ordering::Greater),
            ("18446744073709551616", i64::MAX, Ordering::Greater),
            ("9223372036854775807", i64::MAX, Ordering::Equal),
            ("9223372036854775808", i64::MAX, Ordering::Greater),
            ("9223372036854775807.5", i64::MAX, Ordering::Greater),
            ("-9223372036854775808", i64::MIN, Ordering::Equal),
            ("-9223372036854775809", i64::MIN, Ordering::Less),
            ("-1e300", i64::MIN, Ordering::Less),
            ("1e300", i64::MAX, Ordering::Greater),
            ("1.5", 1, Ordering::Greater),
            ("-1.5", -1, Ordering::Less),
            ("-0.5", 0, Ordering::Less),
            ("0.0000001", 0, Ordering::Greater),
            ("1e-300", 0, Ordering::Greater),
            ("-0.0", 0, Ordering::Equal),
            ("1.8e9", 1_800_000_000, Ordering::Equal),
            ("180000000000e-2", 1_800_000_000, Ordering::Equal),
            ("12e2", 1_200, Ordering::Equal),
        ] {
            assert_eq!(number(text).saturating_i64(), whole, "{text}");
            assert_eq!(number(text).cmp_int(whole), sides, "{text}");
        }
        for (text, value) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("1.0", Some(1)),
            ("12e2", Some(1200)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("1e300", None),
            ("1.5", None),
            ("-1", None),
            ("-0.5", None),
        ] {
            assert_eq!(number(text).as_u64(), value, "{text}");
        }
        assert_eq!(number("1.5").cmp_int(2), Ordering::Less);
        assert_eq!(number("-1.5").cmp_int(-2), Ordering::Greater);
    }
}

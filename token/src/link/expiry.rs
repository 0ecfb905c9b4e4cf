//! The times of links.

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

/// How a link writes a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// Seconds since the epoch: ten digits, the first of them not 0.
    Unix,
    /// Seconds since the epoch: eight hexadecimal digits.
    Hex,
    /// `YYYYMMDDHHMM`, at this offset from UTC.
    Minutes(Offset),
}

impl TimeFormat {
    /// The format of that name: `unix`, `hex`, or `OFFSET:YYYYMMDDHHMM` with an offset from UTC such as `UTC`,
    /// `+08:00` or `+0800`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "unix" => Some(Self::Unix),
            "hex" => Some(Self::Hex),
            _ => offset(name.strip_suffix(":YYYYMMDDHHMM")?).map(Self::Minutes),
        }
    }

    /// The time of this text, in seconds since the epoch.
    ///
    /// The length is fixed, since some formats have no separator before the time: digits could be moved
    /// between it and the path.
    pub fn parse(self, text: &[u8]) -> Option<i64> {
        let text = std::str::from_utf8(text).ok()?;
        let has = |len: usize, is: fn(&u8) -> bool| {
            text.len() == len && text.bytes().all(|byte| is(&byte))
        };
        match self {
            Self::Unix => unix(text.as_bytes()),
            Self::Hex if has(8, u8::is_ascii_hexdigit) => i64::from_str_radix(text, 16).ok(),
            Self::Minutes(offset) if has(12, u8::is_ascii_digit) => {
                let number = |from, to| text.get(from..to)?.parse::<i16>().ok();
                let small = |from, to| i8::try_from(number(from, to)?).ok();
                let date = Date::new(number(0, 4)?, small(4, 6)?, small(6, 8)?).ok()?;
                // jiff's own range of hours and minutes is checked by `at`, which panics: so here.
                let (hour, minute) = (small(8, 10)?, small(10, 12)?);
                if hour > 23 || minute > 59 {
                    return None;
                }
                let time = date.at(hour, minute, 0, 0);
                Some(offset.to_timestamp(time).ok()?.as_second())
            }
            _ => None,
        }
    }

    /// A time as a link writes it; `None` if it cannot be written so.
    pub fn write(self, time: i64) -> Option<String> {
        let text = match self {
            Self::Unix => time.to_string(),
            Self::Hex => format!("{time:08x}"),
            Self::Minutes(offset) => {
                let zoned =
                    jiff::Timestamp::from_second(time).ok()?.to_zoned(TimeZone::fixed(offset));
                zoned.strftime("%Y%m%d%H%M").to_string()
            }
        };
        self.parse(text.as_bytes()).map(|_| text)
    }
}

fn offset(text: &str) -> Option<Offset> {
    if text == "UTC" {
        return Some(Offset::UTC);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replacen(':', "", 1);
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = digits.split_at_checked(2)?;
    let (hours, minutes) = (hours.parse::<i32>().ok()?, minutes.parse::<i32>().ok()?);
    (hours <= 15 && minutes <= 59)
        .then(|| Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok())?
}

/// Ten digits, the first of them not 0, without the detour over a text: each plain link has one.
pub(super) fn unix(digits: &[u8]) -> Option<i64> {
    let is_plain = digits.len() == 10 && digits.iter().all(u8::is_ascii_digit);
    let is_plain = is_plain && digits.first() != Some(&b'0');
    let add = |value, digit: &u8| value * 10 + i64::from(digit - b'0');
    is_plain.then(|| digits.iter().fold(0, add))
}

/// The time that a link presents: its text, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry<'r> {
    /// The text as it came.
    pub text: &'r [u8],
    /// Seconds since the epoch.
    pub time: i64,
}

impl<'r> Expiry<'r> {
    /// Reads a time; `None` if it is not of the format.
    pub fn read(text: &'r [u8], format: TimeFormat) -> Option<Self> {
        format.parse(text).map(|time| Self { text, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_length_each() {
        let read =
            |name: &str, text: &str| TimeFormat::from_name(name).unwrap().parse(text.as_bytes());
        for (name, text, time) in [
            ("unix", "1444435200", Some(1_444_435_200)),
            ("unix", "0444435200", None),
            ("unix", "144443520", None),
            ("unix", "14444352000", None),
            ("unix", "+144443520", None),
            ("hex", "55CE8100", Some(1_439_596_800)),
            ("hex", "55ce8100", Some(1_439_596_800)),
            ("hex", "ffffffff", Some(4_294_967_295)),
            ("hex", "055ce8100", None),
            ("hex", "+5ce8100", None),
            ("UTC:YYYYMMDDHHMM", "201508150800", Some(1_439_625_600)),
            ("+08:00:YYYYMMDDHHMM", "201508150800", Some(1_439_596_800)),
            ("-0130:YYYYMMDDHHMM", "201508150800", Some(1_439_631_000)),
            ("UTC:YYYYMMDDHHMM", "201502300800", None),
            ("UTC:YYYYMMDDHHMM", "201513010800", None),
            ("UTC:YYYYMMDDHHMM", "201508152400", None),
            ("UTC:YYYYMMDDHHMM", "201508150860", None),
            ("UTC:YYYYMMDDHHMM", "2015081508", None),
        ] {
            assert_eq!(read(name, text), time, "{name} {text}");
            if let Some(time) = time {
                let written = TimeFormat::from_name(name).unwrap().write(time).unwrap();
                assert!(written.eq_ignore_ascii_case(text), "{written}");
            }
        }
        for name in [
            "",
            "Unix",
            "UTC",
            "YYYYMMDDHHMM",
            "+8:YYYYMMDDHHMM",
            "+99:00:YYYYMMDDHHMM",
            "+08:0é:YYYYMMDDHHMM",
        ] {
            assert_eq!(TimeFormat::from_name(name), None, "{name}");
        }
        assert_eq!(TimeFormat::Unix.write(5), None);
        assert_eq!(TimeFormat::Hex.write(-1), None);
    }
}

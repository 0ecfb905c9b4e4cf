//! Times and durations as people write and read them.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// nginx's units of time, in seconds. As in nginx, a month has 30 days and a year 365.
const UNITS: [(char, i64); 7] = [
    ('y', 365 * DAY),
    ('M', 30 * DAY),
    ('w', 7 * DAY),
    ('d', DAY),
    ('h', HOUR),
    ('m', MINUTE),
    ('s', 1),
];

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok();
    since(SystemTime::now()).and_then(|passed| i64::try_from(passed.as_secs()).ok()).unwrap_or(0)
}

/// Reads a duration such as `5m`, `1h30m`, `7d` or `-1h`, in seconds. As in nginx, a number without a
/// unit is in seconds.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    total(digits)
        .map(|seconds| sign * seconds)
        .ok_or_else(|| "want a time such as 90s, 5m, 1h30m, 7d, or -1h".to_owned())
}

/// Reads a duration that is not negative.
pub(crate) fn positive_duration(text: &str) -> Result<i64, String> {
    match duration(text)? {
        seconds if seconds < 0 => Err("cannot be negative".to_owned()),
        seconds => Ok(seconds),
    }
}

fn total(text: &str) -> Option<i64> {
    let (mut sum, mut number) = (0_i64, None::<i64>);
    for character in text.chars().filter(|c| *c != ' ') {
        if let Some(digit) = character.to_digit(10) {
            let value = number.unwrap_or(0).checked_mul(10)?.checked_add(i64::from(digit))?;
            number = Some(value);
        } else {
            let (_, unit) = UNITS.iter().find(|(name, _)| *name == character)?;
            sum = sum.checked_add(number.take()?.checked_mul(*unit)?)?;
        }
    }
    match number {
        Some(seconds) => sum.checked_add(seconds),
        None => (!text.trim().is_empty()).then_some(sum),
    }
}

/// A point in time on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Seconds since the epoch.
    At(i64),
    /// Seconds from now on.
    FromNow(i64),
}

impl Moment {
    /// Reads Unix time, RFC 3339, `now`, or a duration from now with its unit.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self::FromNow(0));
        }
        if let Ok(seconds) = text.parse() {
            return Ok(Self::At(seconds));
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::At(time.as_second()));
        }
        duration(text).map(Self::FromNow).map_err(|_| {
            "want Unix time (1767225600), RFC 3339 (2026-01-01T00:00:00Z), \
             or a time from now (5m, -1h)"
                .to_owned()
        })
    }

    /// Seconds since the epoch.
    pub(crate) fn resolve(self, now: i64) -> i64 {
        match self {
            Self::At(time) => time,
            Self::FromNow(seconds) => now.saturating_add(seconds),
        }
    }
}

/// `time` in RFC 3339; `None` unless it is in the years 1970 to 9999.
pub(crate) fn rfc3339(time: i64) -> Option<String> {
    let time = Timestamp::from_second(time).ok().filter(|_| (0..253_402_300_800).contains(&time));
    time.map(|time| time.to_string())
}

/// The length of a time span in its two largest units: `3h 5m`.
pub(crate) fn span(seconds: i64) -> String {
    let all = seconds.unsigned_abs();
    let mut rest = all;
    // Without months, which have different lengths, and weeks.
    let parts: Vec<String> = UNITS
        .iter()
        .filter(|(name, _)| !matches!(name, 'M' | 'w'))
        .map(|(name, unit)| (name, unit.unsigned_abs()))
        .skip_while(|(_, unit)| all < *unit)
        .take(2)
        .filter_map(|(name, unit)| {
            let count = rest / unit;
            rest %= unit;
            (count > 0).then(|| format!("{count}{name}"))
        })
        .collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// `time` relative to `now`: `in 5m`, `3h 5m ago`, `now`.
pub(crate) fn relative(time: i64, now: i64) -> String {
    match time.saturating_sub(now) {
        0 => "now".to_owned(),
        ahead @ 1.. => format!("in {}", span(ahead)),
        behind => format!("{} ago", span(behind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("5m", 300),
            ("1h30m", 5400),
            ("1h 30m", 5400),
            ("90s", 90),
            ("90", 90),
            ("7d", 604_800),
            ("-1h", -3600),
            ("+1h", 3600),
            ("1y", 31_536_000),
            ("1M", 2_592_000),
            ("2w", 1_209_600),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for bad in
            ["", " ", "-", "m", "5x", "1.5h", "--1h", "9223372036854775808", "999999999999999y"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(positive_duration("-1s").is_err());
    }

    #[test]
    fn moments() {
        assert_eq!(Moment::parse("1470055000"), Ok(Moment::At(1_470_055_000)));
        assert_eq!(Moment::parse("-5"), Ok(Moment::At(-5)));
        assert_eq!(Moment::parse("2016-08-01T12:36:40Z"), Ok(Moment::At(1_470_055_000)));
        assert_eq!(Moment::parse("2016-08-01T14:36:40+02:00"), Ok(Moment::At(1_470_055_000)));
        assert_eq!(Moment::parse("-1h"), Ok(Moment::FromNow(-3600)));
        assert_eq!(Moment::parse("now").unwrap().resolve(7), 7);
        assert_eq!(Moment::FromNow(i64::MAX).resolve(7), i64::MAX);
        assert!(Moment::parse("tomorrow").is_err());
    }

    #[test]
    fn times_for_people() {
        assert_eq!(rfc3339(1_470_055_000).unwrap(), "2016-08-01T12:36:40Z");
        assert_eq!(rfc3339(-1), None);
        assert_eq!(rfc3339(i64::MAX), None);
        assert_eq!(relative(100, 100), "now");
        assert_eq!(relative(400, 100), "in 5m");
        assert_eq!(relative(100, 100 + 3 * HOUR + 5 * MINUTE + 7), "3h 5m ago");
        assert_eq!(span(DAY + 5), "1d");
        assert_eq!(span(366 * DAY), "1y 1d");
        assert_eq!(span(61), "1m 1s");
        assert_eq!(span(0), "0s");
    }
}

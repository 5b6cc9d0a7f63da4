//! Lengths of time and of files, as a person writes them.

use std::str::FromStr;

use k485_proto::record::Time;

/// The units of a length of time, in nanoseconds.
const UNITS: [(&str, i64); 6] = [
    ("us", 1_000),
    ("ms", Time::MILLISECOND),
    ("s", Time::SECOND),
    ("m", 60 * Time::SECOND),
    ("h", 3_600 * Time::SECOND),
    ("d", 86_400 * Time::SECOND),
];
/// The units of a size, in bytes.
const SIZES: [(&str, u64); 6] =
    [("", 1), ("k", 1 << 10), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)];

/// A length of time: `500ms`, `1m30s`, `1.5h`, `2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Length(pub(crate) i64);

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a length of time with its unit: 500ms, 10s, 1m30s, 2h, 1d".to_owned();
        nanos(text).map(Length).ok_or_else(wrong)
    }
}

/// A size in bytes: `500k`, `100M`, `2G` (powers of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a size in bytes, or with a unit: 500k, 100M, 2G".to_owned();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (_, scale) = SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(*scale).map(Size).ok_or_else(wrong)
    }
}

/// Where a new file begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// At so many bytes.
    Size(u64),
    /// After so many nanoseconds.
    Time(i64),
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // `100M` is a size; minutes are a small m.
        if let Ok(Size(size)) = text.parse()
            && size > 0
        {
            return Ok(Limit::Size(size));
        }
        match text.parse() {
            Ok(Length(nanos)) if nanos > 0 => Ok(Limit::Time(nanos)),
            _ => Err("write a size (500k, 100M, 2G) or a time (30m, 1h, 1d)".to_owned()),
        }
    }
}

/// `10s`, `1m30s`, `1.5h`: numbers with units, in nanoseconds.
pub(crate) fn nanos(text: &str) -> Option<i64> {
    let mut nanos: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).filter(|end| *end > 0)?;
        let (number, behind) = rest.split_at(end);
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let scaled = i128::from(k485_trace::decimal::scaled(number, 9)?);
        let more = scaled * i128::from(*unit) / i128::from(Time::SECOND);
        nanos = nanos.checked_add(i64::try_from(more).ok()?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_sizes() {
        assert_eq!("1m30s".parse(), Ok(Length(90 * Time::SECOND)));
        assert_eq!("0.5ms".parse(), Ok(Length(500_000)));
        assert_eq!("1d".parse(), Ok(Length(86_400 * Time::SECOND)));
        assert_eq!("100M".parse(), Ok(Size(100 << 20)));
        assert_eq!("7".parse(), Ok(Size(7)));
        for wrong in ["", "10", "s", "1x", "-1s", "99999999999999h"] {
            assert!(wrong.parse::<Length>().is_err(), "{wrong}");
        }
        for wrong in ["", "M", "1.5M", "-1", "1 M", "99999999999999T", "10MB"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}

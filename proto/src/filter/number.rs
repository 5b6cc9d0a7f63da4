//! Numbers, times and bytes as a filter writes them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// The most digits behind a point.
const DECIMALS: usize = 9;

/// The units of a duration, in nanoseconds. The longer names first: `ms` ends in `s`.
const UNITS: [(&str, i64); 4] =
    [("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000)];

/// A number as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    /// The number itself, where it is whole.
    whole: Option<i64>,
    value: f64,
    /// Digits behind the point; `None` where it was written with an exponent.
    decimals: Option<usize>,
}

impl Number {
    /// Decimal with or without a fraction or an exponent, or hex behind `0x`.
    pub(super) fn parse(text: &str) -> Option<Number> {
        if let Some(digits) = hex_digits(text) {
            let whole = i64::from_str_radix(digits, 16).ok()?;
            return Some(Number { whole: Some(whole), value: whole as f64, decimals: Some(0) });
        }
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let (before, behind) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(before) || !is_digits(behind) || behind.len() > DECIMALS {
            return None;
        }
        if let Some(exponent) = exponent
            && !is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
        {
            return None;
        }
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
        let whole = text.parse::<i64>().ok();
        // A whole number beyond 64 bits compares with nothing that is on a wire.
        if whole.is_none() && exponent.is_none() && !unsigned.contains('.') {
            return None;
        }
        let decimals = if unsigned.contains('.') { behind.len() } else { 0 };
        Some(Number { whole, value, decimals: exponent.is_none().then_some(decimals) })
    }

    /// How a whole number compares with this one.
    pub(super) fn order_of(self, n: i64) -> Option<Ordering> {
        match self.whole {
            Some(whole) => Some(n.cmp(&whole)),
            None => (n as f64).partial_cmp(&self.value),
        }
    }

    /// How a number of the wire compares with this one.
    pub(super) fn order_of_float(self, x: f32) -> Option<Ordering> {
        f64::from(x).partial_cmp(&self.value)
    }

    /// Whether a number of the wire is this one, to as many digits as were written.
    pub(super) fn equals_float(self, x: f32) -> bool {
        match self.decimals {
            Some(decimals) => {
                let rounded = format!("{:.decimals$}", f64::from(x));
                rounded.parse::<f64>().is_ok_and(|rounded| rounded == self.value)
            }
            None => x == self.value as f32,
        }
    }
}

/// The digits behind `0x`.
fn hex_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(digits)
}

/// A byte, decimal or hex behind `0x`.
pub(super) fn byte(text: &str) -> Option<u8> {
    match hex_digits(text) {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

/// Seconds, or another unit's, in nanoseconds; exact to nine decimals.
pub(super) fn nanoseconds(text: &str, unit: i64) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (before, behind) = digits.split_once('.').unwrap_or((digits, "0"));
    let number = |text: &str| {
        let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i64>().ok().filter(|_| is_digits).map(i128::from)
    };
    if behind.len() > DECIMALS {
        return None;
    }
    let scale = 10_i128.pow(u32::try_from(behind.len()).ok()?);
    let unit = i128::from(unit);
    let nanos = number(before)? * unit + number(behind)? * unit / scale;
    i64::try_from(if negative { -nanos } else { nanos }).ok()
}

/// `50ms`, `1.5s`, `800us`, `2m`, in nanoseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (unit, nanos) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    nanoseconds(text.strip_suffix(unit)?, *nanos)
}

/// Bytes of which some digits may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Cell>);

/// A byte of a pattern: which of its bits count, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    mask: u8,
    bits: u8,
}

impl Pattern {
    /// Pairs of hex digits, `.` for any digit, with or without spaces and colons between.
    pub(super) fn parse(text: &str) -> Option<Pattern> {
        let text = text.strip_prefix("0x").unwrap_or(text);
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | ':')).collect();
        if digits.is_empty() || !digits.len().is_multiple_of(2) {
            return None;
        }
        let digit = |byte: u8| match char::from(byte) {
            '.' => Some((0, 0)),
            c => Some((0x0f, u8::try_from(c.to_digit(16)?).ok()?)),
        };
        let pairs = digits.as_bytes().chunks_exact(2);
        let cells = pairs.map(|pair| {
            let ((high_mask, high), (low_mask, low)) = (digit(pair[0])?, digit(pair[1])?);
            Some(Cell { mask: high_mask << 4 | low_mask, bits: high << 4 | low })
        });
        cells.collect::<Option<Vec<Cell>>>().map(Pattern)
    }

    /// Whether it is anywhere in the bytes, from a whole byte on.
    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        let fits = |window: &[u8]| {
            window.iter().zip(&self.0).all(|(byte, cell)| byte & cell.mask == cell.bits)
        };
        bytes.windows(self.0.len()).any(fits)
    }
}

/// Pairs of hex digits with or without spaces and colons between; nothing at all is no byte.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | ':')).collect();
    crate::message::kind::hex_bytes(&digits).ok()
}

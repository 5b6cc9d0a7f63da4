//! Decimal text of seconds to nanoseconds, without a binary float in between.

use k485_proto::record::Time;

/// Digits behind the point that a nanosecond has.
const DIGITS: i64 = 9;

/// The moment that `text` writes in decimal seconds, as `1700000000.123456789`, `-1.5` or `2e-07`
/// (JSON's numbers); to the nearest nanosecond. `None` for anything else, or where nanoseconds do
/// not fit into 64 bits.
pub(super) fn parse(text: &str) -> Option<Time> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let digits = || whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || !digits().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // How many of the digits are whole nanoseconds.
    let count = i64::try_from(whole.len()).ok()? + i64::from(exponent) + DIGITS;
    let nanos = nearest(digits().map(|digit| i128::from(digit - b'0')), count)?;
    i64::try_from(if negative { -nanos } else { nanos }).ok().map(Time)
}

/// The first `count` digits as a number, rounded by the next one; missing ones are zeros.
fn nearest(mut digits: impl Iterator<Item = i128>, count: i64) -> Option<i128> {
    if count < 0 {
        return Some(0);
    }
    let mut value: i128 = 0;
    for _ in 0..count {
        match digits.next() {
            Some(digit) => value = value * 10 + digit,
            None if value == 0 => break,
            None => value *= 10,
        }
        // Beyond 64 bits already, and far from the end of 128.
        if value > i128::from(u64::MAX) {
            return None;
        }
    }
    Some(value + i128::from(digits.next().is_some_and(|digit| digit >= 5)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exact_values() {
        for (text, nanos) in [
            ("1767293742.696913001", 1_767_293_742_696_913_001),
            ("1767293742", 1_767_293_742_000_000_000),
            ("-1.5", -1_500_000_000),
            ("0.0000000005", 1),
            ("0.00000000049", 0),
            ("1e-07", 100),
            ("1.25E+1", 12_500_000_000),
            ("0e2000000000", 0),
            ("1e-2000000000", 0),
        ] {
            assert_eq!(parse(text), Some(Time(nanos)), "{text}");
        }
        for text in ["", "-", "1.", ".5", "1e", "1 ", "+1", "0x1", "9223372036.854775808", "1e99"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(nanos: i64) {
            prop_assert_eq!(parse(&Time(nanos).to_string()), Some(Time(nanos)));
        }

        #[test]
        fn nothing_panics(text in "-?[0-9]{0,30}\\.?[0-9]{0,30}(e[+-]?[0-9]{0,12})?") {
            parse(&text);
        }
    }
}

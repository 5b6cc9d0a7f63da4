//! Decimal text to integers, without a binary float in between.
//!
//! The tracer writes times as the shortest decimal text of a float: seconds since 1970 with up to
//! seven digits behind the point, durations in milliseconds with up to sixteen. A float parser
//! would move the last digits; here the digits themselves are shifted.

/// The number that `text` writes, times ten to the power of `shift`, as the nearest integer; half
/// away from zero.
///
/// Seconds become nanoseconds with a shift of 9, milliseconds with a shift of 6. `text` is a JSON
/// number; leading zeros and a leading `+` are taken as well. `None` if it is something else or
/// does not fit.
///
/// ```
/// # use k485_trace::decimal::scaled;
/// assert_eq!(scaled("1767128273.4572663", 9), Some(1_767_128_273_457_266_300));
/// assert_eq!(scaled("9.5367431640625e-07", 6), Some(1));
/// ```
#[must_use]
pub fn scaled(text: &str, shift: i32) -> Option<i64> {
    let (negative, text) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        // JSON wants a digit behind the point.
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let digits = || whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || !digits().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // How many of the digits stand before the point, once it is moved.
    let before = i64::try_from(whole.len()).ok()? + exponent + i64::from(shift);
    let magnitude = rounded(digits().map(|digit| digit - b'0'), before)?;
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Nanoseconds as seconds: the float nearest to them, so that what was read is written again.
///
/// ```
/// # use k485_trace::decimal::seconds;
/// assert_eq!(seconds(1_767_128_386_170_243_700), 1_767_128_386.170_243_7);
/// assert_eq!(seconds(-1_500_000_000), -1.5);
/// ```
#[must_use]
pub fn seconds(nanos: i64) -> f64 {
    // A division of the nearest float would round a second time.
    let (sign, size) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let (whole, fraction) = (size / 1_000_000_000, size % 1_000_000_000);
    format!("{sign}{whole}.{fraction:09}").parse().unwrap_or(nanos as f64 / 1e9)
}

/// The exponent behind an `e`, held within a range in which it still decides everything.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // All digits, so it fails only where it is beyond every line's length.
    let limit = i64::from(i32::MAX);
    let size = digits.parse::<i64>().map_or(limit, |size| size.min(limit));
    Some(if text.starts_with('-') { -size } else { size })
}

/// The first `before` of `digits` as a number, rounded by the next one; missing ones are zeros.
fn rounded(mut digits: impl Iterator<Item = u8>, before: i64) -> Option<u64> {
    if before < 0 {
        return Some(0);
    }
    let mut number: u64 = 0;
    let mut left = before;
    while left > 0 {
        let Some(digit) = digits.next() else {
            // Only zeros follow. Zero stays zero however many there are.
            if number == 0 {
                return Some(0);
            }
            let power = u32::try_from(left).ok()?;
            return number.checked_mul(10_u64.checked_pow(power)?);
        };
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        left -= 1;
    }
    let up = digits.next().is_some_and(|digit| digit >= 5);
    number.checked_add(u64::from(up))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_of_real_traces() {
        assert_eq!(scaled("1767128273.4572663", 9), Some(1_767_128_273_457_266_300));
        assert_eq!(scaled("1767293742.696913", 9), Some(1_767_293_742_696_913_000));
        assert_eq!(scaled("1767128338", 9), Some(1_767_128_338_000_000_000));
        assert_eq!(scaled("0.6268024444580078", 6), Some(626_802));
        assert_eq!(scaled("23.483753204345703", 6), Some(23_483_753));
    }

    #[test]
    fn digits_that_a_float_would_lose_are_kept() {
        // The nearest float is 1767128273.4572663307.
        assert_eq!(scaled("1767128273.457266331", 9), Some(1_767_128_273_457_266_331));
        assert_eq!(scaled("9223372036.854775807", 9), Some(i64::MAX));
        assert_eq!(scaled("-9223372036.854775808", 9), Some(i64::MIN));
    }

    #[test]
    fn halves_go_away_from_zero() {
        assert_eq!(scaled("0.5", 0), Some(1));
        assert_eq!(scaled("-0.5", 0), Some(-1));
        assert_eq!(scaled("0.49999999999999999999", 0), Some(0));
        assert_eq!(scaled("1.4999", 3), Some(1500));
        assert_eq!(scaled("0.04", 0), Some(0));
    }

    #[test]
    fn exponents() {
        assert_eq!(scaled("1e-05", 6), Some(10));
        assert_eq!(scaled("1.5E+3", 0), Some(1500));
        assert_eq!(scaled("-0.0", 9), Some(0));
        assert_eq!(scaled("0e99999999999999999999", 9), Some(0));
        assert_eq!(scaled("7e-99999999999999999999", 9), Some(0));
        assert_eq!(scaled("7e99999999999999999999", 9), None);
    }

    #[test]
    fn what_is_no_number_or_does_not_fit() {
        for text in
            ["", "-", ".", "1.", ".5", "1e", "1e+", "--1", "NaN", "1_000", "0x10", " 1", "١", "1e٣"]
        {
            assert_eq!(scaled(text, 9), None, "{text:?}");
        }
        assert_eq!(scaled("9223372036.854775808", 9), None);
        assert_eq!(scaled(&"9".repeat(100_000), 0), None);
    }
}

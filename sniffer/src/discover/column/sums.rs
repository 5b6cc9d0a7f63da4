//! Check sums inside a payload.

use super::Run;

/// A way to sum bytes.
type Sum = (&'static str, fn(u8, u8) -> u8, fn(u8) -> u8);

const SUMS: [Sum; 5] = [
    ("the sum", u8::wrapping_add, |s| s),
    ("the negated sum", u8::wrapping_add, u8::wrapping_neg),
    ("the inverted sum", u8::wrapping_add, |s| !s),
    ("the exclusive or", |a, b| a ^ b, |s| s),
    ("the CRC-8 (07)", crc8, |s| s),
];

/// One byte into a CRC-8 of polynomial 07 that starts at 00.
fn crc8(crc: u8, byte: u8) -> u8 {
    (0..8).fold(crc ^ byte, |c, _| if c & 0x80 == 0 { c << 1 } else { c << 1 ^ 0x07 })
}

/// What the byte at `at` is of the others, where that holds in every payload and there are enough
/// of them to make it no coincidence.
pub(super) fn find(runs: &[&Run], at: usize) -> Option<String> {
    let mut payloads: Vec<&[u8]> = runs.iter().map(|run| &*run.data).collect();
    payloads.sort_unstable();
    payloads.dedup();
    let mut values: Vec<u8> = payloads.iter().filter_map(|data| data.get(at).copied()).collect();
    values.sort_unstable();
    values.dedup();
    // A byte that is given by two others is a sum at once: three, and five payloads, are not.
    if payloads.len() < 5 || values.len() < 4 || payloads.iter().any(|data| data.len() < 3) {
        return None;
    }
    for (name, add, end) in SUMS {
        let is = |data: &&[u8]| {
            let before = data.get(..at).unwrap_or_default();
            let behind = data.get(at + 1..).unwrap_or_default();
            let sum = before.iter().chain(behind).fold(0, |sum, byte| add(sum, *byte));
            data.get(at) == Some(&end(sum))
        };
        if payloads.iter().all(is) {
            let n = payloads.len();
            return Some(format!("is {name} of the other bytes, in all of {n} payloads"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_8_check_value() {
        assert_eq!(b"123456789".iter().fold(0, |crc, byte| crc8(crc, *byte)), 0xf4);
    }
}

//! How many bits it takes to tell the values of a field, if it is of a kind.
//!
//! The kind that tells a column in the fewest bits is the best guess at what it is (minimum
//! description length). Each kind stands for an expectation: a byte has few values, or moves in
//! small steps; a wide number carries from one byte into the next, so that its steps are smaller
//! than its bytes suggest; a float has a plausible exponent; a text is made of few characters; an
//! identity stays with its device. None of the constants is fitted to a function; they say how
//! surprising a thing is, in bits.

use std::collections::BTreeMap;

/// A byte as a field of its own.
pub(super) const BYTE_FIELD: f64 = 3.0;
/// Two bytes as one field: dearer than two bytes, so that joining must be earned.
pub(super) const SHORT_FIELD: f64 = 10.0;
/// Four bytes as one field.
pub(super) const WORD_FIELD: f64 = 20.0;
/// A text, an identity, or bytes to the end.
pub(super) const BLOCK_FIELD: f64 = 10.0;
/// A byte of its own that looks random: rare, such bytes are mostly the lower ones of a number; and
/// the rarer the more often it does.
const RANDOM: f64 = 12.0;
const RANDOM_AGAIN: f64 = 0.5;
/// A wide number whose bytes were never seen to carry into each other.
const UNCARRIED: f64 = 20.0;
/// What a value costs that the kind all but rules out.
const IMPLAUSIBLE: f64 = 40.0;

/// The bits of a yes or no whose share is learnt on the way.
struct Coin {
    yes: f64,
    all: f64,
}

impl Coin {
    fn new() -> Self {
        Coin { yes: 0.5, all: 1.0 }
    }

    fn bits(&mut self, yes: bool) -> f64 {
        let share = if yes { self.yes } else { self.all - self.yes } / self.all;
        self.yes += f64::from(u8::from(yes));
        self.all += 1.0;
        -share.log2()
    }
}

/// The bits of values that come again, with what a new one costs.
struct Memory<T> {
    seen: BTreeMap<T, f64>,
    all: f64,
}

impl<T: Ord> Memory<T> {
    fn new() -> Self {
        Memory { seen: BTreeMap::new(), all: 0.0 }
    }

    fn bits(&mut self, value: T, new: f64) -> f64 {
        let known = self.seen.entry(value).or_insert(0.0);
        let share = (*known + (-new).exp2()) / (self.all + 1.0);
        *known += 1.0;
        self.all += 1.0;
        -share.log2()
    }
}

/// A byte that was not seen before: small ones are likelier, since most are codes and flags.
pub(super) fn new_byte(value: u8) -> f64 {
    let v = f64::from(value);
    -(0.5 / ((v + 1.0) * (v + 2.0)) + 0.5 / 256.0).log2()
}

/// A whole number of `width` bits that was not seen before.
fn new_number(value: u64, width: u32) -> f64 {
    let bits = f64::from(u64::BITS - value.leading_zeros());
    // Its length, then the bits behind its leading one; a number that uses its top bits is rare.
    let top = if bits > f64::from(width) - 4.0 { 6.0 } else { 0.0 };
    f64::from(width).log2() + (bits - 1.0).max(0.0) + top
}

/// The bits of a sequence of numbers by their steps.
fn steps(values: &[u64], first: f64, width: u32) -> f64 {
    let (mut still, mut up, mut size) = (Coin::new(), Coin::new(), Memory::new());
    let fair = f64::from(width).log2();
    let mut bits = first;
    for pair in values.windows(2) {
        let step = pair[1].abs_diff(pair[0]);
        bits += still.bits(step == 0);
        if step > 0 {
            // How big, learnt; which of that size, not.
            let class = step.ilog2();
            bits += up.bits(pair[1] > pair[0]) + size.bits(class, fair) + f64::from(class);
        }
    }
    bits
}

fn is_constant<T: PartialEq>(values: &[T]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

/// The bits of a column as a byte.
pub(super) fn byte(values: &[u8]) -> f64 {
    let Some(&first) = values.first() else { return 0.0 };
    let new = new_byte(first);
    if is_constant(values) {
        return 1.0 + new;
    }
    2.0 + ordered_byte(values, new).min(8.0 * values.len() as f64 + random(values.len()))
}

/// The bits of a column as a byte whose values come again, or move in small steps.
fn ordered_byte(values: &[u8], new: f64) -> f64 {
    let mut memory = Memory::new();
    let known: f64 = values.iter().map(|value| memory.bits(*value, new_byte(*value))).sum();
    let wide: Vec<u64> = values.iter().map(|value| u64::from(*value)).collect();
    known.min(steps(&wide, new, 8))
}

/// What it costs that a byte looks random so often.
fn random(times: usize) -> f64 {
    RANDOM + RANDOM_AGAIN * times as f64
}

/// Whether a column has neither values that come again nor small steps.
pub(super) fn looks_random(values: &[u8]) -> bool {
    let bits = values.first().map_or(0.0, |first| ordered_byte(values, new_byte(*first)));
    values.len() >= 8 && bits >= 7.5 * values.len() as f64
}

/// The bits of values as whole numbers of `width` bits.
pub(super) fn number(values: &[u64], width: u32) -> f64 {
    let Some(&first) = values.first() else { return 0.0 };
    let new = new_number(first, width);
    if is_constant(values) {
        return 1.0 + new;
    }
    // No memory for values that come again: bytes that change together would look like a number.
    // Without a carry it is no more likely than its bytes, and as odd if they look random.
    let uncarried = UNCARRIED + f64::from(width / 8) * random(values.len());
    2.0 + steps(values, new, width) + if carries(values) { 0.0 } else { uncarried }
}

/// Whether the higher bytes change as digits do: by one, when those below turn over. The highest
/// byte that changes more than once decides.
fn carries(values: &[u64]) -> bool {
    let place = |pair: &[u64]| (pair[0] ^ pair[1]).checked_ilog2().map_or(0, |bit| bit / 8);
    let mut turns = [(0_u32, 0_u32); 8];
    for pair in values.windows(2) {
        let place = place(pair);
        let (all, carried) = &mut turns[place as usize];
        *all += 1;
        *carried += u32::from(pair[0].abs_diff(pair[1]) < 1 << (8 * place));
    }
    let mut higher = turns[1..].iter().rev().skip_while(|(all, _)| *all == 0);
    match (higher.next(), higher.next()) {
        (Some((1, 1)), Some((all, carried))) => carried * 2 > *all,
        (Some((all, carried)), _) => *carried >= 2 && carried * 2 > *all,
        (None, _) => false,
    }
}

/// Whether a float is of a size that something measured has.
pub(super) fn is_plausible(x: f32) -> bool {
    x == 0.0 || (1e-5..1e8).contains(&x.abs())
}

/// A float that was not seen before: sign and exponent, and the mantissa's bits that are used.
fn new_float(x: f32) -> f64 {
    if x == 0.0 {
        // Zero is zero in every kind.
        return 6.0;
    }
    let used = 23 - x.to_bits().trailing_zeros().min(23);
    // A mantissa that ends early is told by its length, any other in full.
    1.0 + 6.0 + (f64::from(used) + 5.0).min(23.0)
}

/// The bits of values as floats.
pub(super) fn float(values: &[f32]) -> f64 {
    let Some(&first) = values.first() else { return 0.0 };
    let odd = values.iter().filter(|x| !is_plausible(**x)).count() as f64 * IMPLAUSIBLE;
    if is_constant(values) {
        return 1.0 + new_float(first) + odd;
    }
    // Floats of one sign are in the order of their bits; this makes one order of both.
    let ordered = |x: &f32| {
        let bits = x.to_bits();
        u64::from(if bits >> 31 == 1 { !bits } else { bits | 1 << 31 })
    };
    let mut memory = Memory::new();
    let known: f64 = values.iter().map(|x| memory.bits(x.to_bits(), new_float(*x))).sum();
    let ranks: Vec<u64> = values.iter().map(ordered).collect();
    2.0 + known.min(steps(&ranks, new_float(first), 32)) + odd
}

/// The bits of a character.
fn character(byte: u8) -> f64 {
    match byte {
        b'0'..=b'9' => 4.5,
        b'A'..=b'Z' | b'a'..=b'z' => 6.0,
        b' '..=b'~' => 7.5,
        _ => IMPLAUSIBLE,
    }
}

/// The bits of texts, each told once, a character by the two before it: words that come again in
/// other texts are cheap.
pub(super) fn texts<'a>(values: impl Iterator<Item = &'a [u8]>) -> f64 {
    let mut known = BTreeMap::new();
    let mut contexts: BTreeMap<[u8; 2], Memory<u8>> = BTreeMap::new();
    let mut all = 0.0;
    let mut bits = 0.0;
    for text in values {
        let seen: &mut f64 = known.entry(text).or_insert(0.0);
        bits += if *seen > 0.0 {
            -(*seen / (all + 1.0)).log2()
        } else {
            let mut context = [0; 2];
            let spelt = text.iter().map(|byte| {
                let memory = contexts.entry(context).or_insert_with(Memory::new);
                context = [context[1], *byte];
                memory.bits(*byte, character(*byte))
            });
            // That it is new, and where it ends.
            1.0 + (all + 1.0_f64).log2().min(4.0) + 4.0 + spelt.sum::<f64>()
        };
        *seen += 1.0;
        all += 1.0;
    }
    bits
}

/// The bits of bytes without a known meaning, each sequence told once.
pub(super) fn blobs<'a>(values: impl Iterator<Item = &'a [u8]>) -> f64 {
    let mut memory = Memory::new();
    values
        .map(|blob| {
            let zero = blob.iter().all(|byte| *byte == 0);
            memory.bits(blob, if zero { 1.0 } else { 4.0 + 8.0 * blob.len() as f64 })
        })
        .sum()
}

/// The bits of identities, each told once, byte by byte: any byte, a little rather one of those
/// that lot numbers are made of, or the one that another identity has there.
pub(super) fn identities<'a>(values: impl Iterator<Item = &'a [u8]>) -> f64 {
    let new = |value: u8| if value.is_ascii_alphanumeric() { 7.0 } else { 9.0 };
    let mut columns: BTreeMap<usize, Memory<u8>> = BTreeMap::new();
    let mut known = BTreeMap::new();
    let mut all = 0.0;
    let mut bits = 0.0;
    for identity in values {
        let seen: &mut f64 = known.entry(identity).or_insert(0.0);
        bits += if *seen > 0.0 {
            -(*seen / (all + 1.0)).log2()
        } else {
            let told = identity.iter().enumerate().map(|(at, byte)| {
                columns.entry(at).or_insert_with(Memory::new).bits(*byte, new(*byte))
            });
            1.0 + (all + 1.0_f64).log2().min(4.0) + told.sum::<f64>()
        };
        *seen += 1.0;
        all += 1.0;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_width_and_order_is_the_cheapest() {
        let odometer: Vec<f32> = (0..12).map(|n| -500.3 - 37.17 * n as f32).collect();
        let raw: Vec<[u8; 4]> = odometer.iter().map(|x| x.to_be_bytes()).collect();
        let bytes: f64 = (0..4)
            .map(|at| BYTE_FIELD + byte(&raw.iter().map(|b| b[at]).collect::<Vec<_>>()))
            .sum();
        let right = WORD_FIELD + float(&odometer);
        let swapped: Vec<f32> = raw.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let whole: Vec<u64> = raw.iter().map(|b| u32::from_be_bytes(*b).into()).collect();
        assert!(right < bytes, "{right} {bytes}");
        assert!(right < WORD_FIELD + float(&swapped));
        assert!(right < WORD_FIELD + number(&whole, 32));
    }

    #[test]
    fn small_codes_are_bytes() {
        let codes = [[0x17, 0x26, 0, 0], [0x17, 0x26, 0, 2], [0x19, 0x24, 0, 0]];
        let bytes: f64 = (0..4)
            .map(|at| BYTE_FIELD + byte(&codes.iter().map(|b| b[at]).collect::<Vec<_>>()))
            .sum();
        for of in [u32::from_be_bytes, u32::from_le_bytes] {
            let wide: Vec<u64> = codes.iter().map(|b| of(*b).into()).collect();
            let floats: Vec<f32> = codes.iter().map(|b| f32::from_bits(of(*b))).collect();
            assert!(bytes < WORD_FIELD + number(&wide, 32));
            assert!(bytes < WORD_FIELD + float(&floats));
        }
    }

    #[test]
    fn bits_are_never_negative() {
        assert_eq!(byte(&[]), 0.0);
        for values in [vec![0_u8], vec![0; 300], (0..=255).collect()] {
            assert!(byte(&values) > 0.0);
            assert!(identities([&values[..]].into_iter()) > 0.0);
            assert!(texts([&values[..]].into_iter()) > 0.0);
        }
        assert!(float(&[f32::NAN, f32::INFINITY, 0.0]) > 80.0);
        assert!(number(&[u64::from(u32::MAX), 0], 32) > 0.0);
    }
}

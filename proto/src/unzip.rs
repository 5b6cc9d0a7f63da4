//! The delta packing of the nozzle's pressure sensor: series of values between the nozzle's
//! controller and the host. Not on the RS-485 bus, but in every method trace of it.
//!
//! One packet: the count N (one byte, 0 to 255); `ceil(2N/8)` bytes, a big-endian bit field of
//! 2-bit codes, the first value's in the least significant bits; then N deltas, each `code + 1`
//! bytes, little endian, always sign-extended. The first delta counts from 0. Signed: the value is
//! the running sum, which never wraps and may leave 32 bits. Unsigned: the value is the running sum
//! modulo 2^32; the sum itself is not wrapped. Source: calls of the vendor's function, live and
//! traced (host observed).
//!
//! ```
//! use k485_proto::unzip::{Signedness, unzip, zip};
//!
//! let packed = [2, 0b0001, 0x10, 0x27, 0xff];
//! let values = unzip(&packed, Signedness::Signed).unwrap();
//! assert_eq!(values, [10_000, 9_999]);
//! assert_eq!(zip(&values, Signedness::Signed).unwrap(), packed);
//! ```
//!
//! Nothing in this module panics on any input.

use alloc::vec::Vec;

/// The most values one packet holds.
pub const MAX_COUNT: usize = u8::MAX as usize;

/// What the values of a packet are: the caller knows, the packet does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signedness {
    /// Plain running sums, such as pressures.
    Signed,
    /// Running sums modulo 2^32, such as clock ticks.
    Unsigned,
}

/// Why bytes are no well-formed packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnzipError {
    /// The count, or the bit field that it asks for, is cut short.
    #[error("truncated header: {have} bytes, the count and the widths need {need}")]
    TruncatedHeader {
        /// How many bytes the header needs; 1 while the count is not there yet.
        need: usize,
        /// How many bytes there are.
        have: usize,
    },
    /// Bits of the bit field that belong to no value are set (strict only).
    #[error("byte {offset}: bits {bits:02x} of the width field belong to no value and must be 0")]
    UnusedBits {
        /// Where the byte with the unused bits is: always 1, the field's first byte.
        offset: usize,
        /// The bits that should be 0.
        bits: u8,
    },
    /// A delta is cut short or missing (strict only).
    #[error("byte {offset}: the delta of value {index} needs {need} bytes, there are {have}")]
    MissingData {
        /// Which value, from 0.
        index: usize,
        /// Where its delta begins.
        offset: usize,
        /// How many bytes the delta needs.
        need: usize,
        /// How many there are from its beginning.
        have: usize,
    },
    /// Bytes follow the last delta (strict only).
    #[error("byte {offset}: {extra} bytes after the last delta")]
    Trailing {
        /// Where the first byte too many is.
        offset: usize,
        /// How many there are.
        extra: usize,
    },
}

/// Why values cannot be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ZipError {
    /// The count is one byte.
    #[error("{count} values do not fit a packet, the most is {MAX_COUNT}")]
    TooMany {
        /// How many values were given.
        count: usize,
    },
    /// Signed: a value is further from the one before it than a four-byte delta reaches.
    #[error("value {index}: {value} is more than 32 bits away from {before}")]
    DeltaTooLarge {
        /// Which value, from 0.
        index: usize,
        /// The value before it; 0 before the first.
        before: i64,
        /// The value.
        value: i64,
    },
    /// Unsigned: a value is no 32-bit number.
    #[error("value {index}: {value} is not between 0 and 4294967295")]
    OutOfRange {
        /// Which value, from 0.
        index: usize,
        /// The value.
        value: i64,
    },
}

/// Where the parts of a packet are.
struct Header<'a> {
    count: usize,
    /// The bit field, big endian.
    field: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, UnzipError> {
        let have = bytes.len();
        let Some((&count, rest)) = bytes.split_first() else {
            return Err(UnzipError::TruncatedHeader { need: 1, have });
        };
        let count = usize::from(count);
        let size = field_size(count);
        let field = rest.get(..size).ok_or(UnzipError::TruncatedHeader { need: 1 + size, have })?;
        Ok(Header { count, field })
    }

    /// The bytes before the first delta.
    fn size(&self) -> usize {
        1 + self.field.len()
    }

    /// The width of the delta of value `index`, 1 to 4 bytes.
    fn width(&self, index: usize) -> usize {
        // Four codes a byte, the first four in the last byte.
        let byte = self.field[self.field.len() - 1 - index / 4];
        usize::from(byte >> (index % 4 * 2) & 3) + 1
    }

    /// The set bits of the field that belong to no value, as they are in its first byte.
    fn unused_bits(&self) -> u8 {
        match (self.field.first(), self.count % 4) {
            (Some(first), used @ 1..) => first & (0xff << (used * 2)),
            _ => 0,
        }
    }
}

/// The bytes that the 2-bit codes of `count` values take.
fn field_size(count: usize) -> usize {
    (2 * count).div_ceil(8)
}

/// The little-endian two's complement number in `bytes`, at most four; 0 when there are none.
fn delta(bytes: &[u8]) -> i32 {
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut full = [if negative { 0xff } else { 0 }; 4];
    full[..bytes.len()].copy_from_slice(bytes);
    i32::from_le_bytes(full)
}

/// Sums up the deltas; a delta that the bytes do not reach is what is left of it, or 0.
fn sums(header: &Header<'_>, bytes: &[u8], signedness: Signedness) -> Vec<i64> {
    let mut rest = &bytes[header.size()..];
    // At most 255 deltas of 32 bits: far from the limits of i64.
    let mut sum = 0_i64;
    (0..header.count)
        .map(|index| {
            let (own, after) = rest.split_at(header.width(index).min(rest.len()));
            rest = after;
            sum += i64::from(delta(own));
            match signedness {
                Signedness::Signed => sum,
                Signedness::Unsigned => sum & i64::from(u32::MAX),
            }
        })
        .collect()
}

/// The values of a packet that must be well formed.
///
/// # Errors
/// Any [`UnzipError`]; the first in the order of the bytes.
pub fn unzip(bytes: &[u8], signedness: Signedness) -> Result<Vec<i64>, UnzipError> {
    let header = Header::parse(bytes)?;
    let bits = header.unused_bits();
    if bits != 0 {
        return Err(UnzipError::UnusedBits { offset: 1, bits });
    }
    let mut offset = header.size();
    for index in 0..header.count {
        let (need, have) = (header.width(index), bytes.len() - offset);
        if have < need {
            return Err(UnzipError::MissingData { index, offset, need, have });
        }
        offset += need;
    }
    if offset < bytes.len() {
        return Err(UnzipError::Trailing { offset, extra: bytes.len() - offset });
    }
    Ok(sums(&header, bytes, signedness))
}

/// The values of a packet, exactly as lenient as the vendor's function: unused bits of the width
/// field and trailing bytes are ignored; a delta that the bytes cut short is the sign-extended
/// number of the bytes that are left, and every delta behind it is 0. (Host observed.)
///
/// # Errors
/// `TruncatedHeader` only: the vendor's function raises there too.
pub fn unzip_lax(bytes: &[u8], signedness: Signedness) -> Result<Vec<i64>, UnzipError> {
    let header = Header::parse(bytes)?;
    Ok(sums(&header, bytes, signedness))
}

/// The least width, 1 to 4 bytes, whose sign extension gives `delta`.
fn least_width(delta: i32) -> usize {
    // The magnitude's bits and the sign bit.
    let bits = 33 - if delta < 0 { delta.leading_ones() } else { delta.leading_zeros() };
    bits.div_ceil(8) as usize
}

/// The delta from `before` to `value`, both of them values as they are given out.
fn delta_between(
    index: usize,
    before: i64,
    value: i64,
    signedness: Signedness,
) -> Result<i32, ZipError> {
    match signedness {
        Signedness::Signed => value
            .checked_sub(before)
            .and_then(|delta| i32::try_from(delta).ok())
            .ok_or(ZipError::DeltaTooLarge { index, before, value }),
        Signedness::Unsigned => {
            let value = u32::try_from(value).map_err(|_| ZipError::OutOfRange { index, value })?;
            // `before` passed the line above one step earlier, or is the 0 at the start. Of the
            // deltas that are right modulo 2^32 exactly one fits 32 bits with a sign, and it is the
            // one nearest to 0; so it is the shortest as well.
            Ok(value.wrapping_sub(before as u32).cast_signed())
        }
    }
}

/// Packs values into the shortest packet that [`unzip`] gives back as exactly these values.
///
/// # Errors
/// `TooMany` above 255 values; signed: `DeltaTooLarge` when a step does not fit 32 bits with a
/// sign; unsigned: `OutOfRange` for a value that is no u32.
pub fn zip(values: &[i64], signedness: Signedness) -> Result<Vec<u8>, ZipError> {
    let count =
        u8::try_from(values.len()).map_err(|_| ZipError::TooMany { count: values.len() })?;
    let data_at = 1 + field_size(values.len());
    let mut out = Vec::with_capacity(data_at + 4 * values.len());
    out.resize(data_at, 0);
    out[0] = count;
    let mut before = 0;
    for (index, &value) in values.iter().enumerate() {
        let delta = delta_between(index, before, value, signedness)?;
        before = value;
        let width = least_width(delta);
        out[data_at - 1 - index / 4] |= ((width - 1) as u8) << (index % 4 * 2);
        out.extend_from_slice(&delta.to_le_bytes()[..width]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::collection::vec as any_vec;
    use proptest::prelude::*;

    use Signedness::{Signed, Unsigned};

    /// Six clock ticks as a printer sent them.
    const TICKS: [u8; 22] = [
        0x06, 0x0a, 0xab, 0xa9, 0x82, 0xa7, 0xf6, 0x1e, 0x7a, 0x09, 0x8f, 0x70, 0x01, 0x00, 0x72,
        0x01, 0xdc, 0x71, 0x01, 0x92, 0x70, 0x01,
    ];
    const TICK_VALUES: [i64; 6] =
        [4138173097, 4138794183, 4138888534, 4138983254, 4139077938, 4139172292];
    /// Six pressures as a printer sent them.
    const PRESSURES: [u8; 16] = [
        0x06, 0x05, 0x1a, 0x68, 0x42, 0xec, 0xd2, 0x85, 0x0a, 0xf6, 0x00, 0xde, 0xa8, 0xfe, 0xcc,
        0xfe,
    ];
    const PRESSURE_VALUES: [i64; 6] = [-1293720, -604102, -603856, -603890, -604234, -604542];

    #[test]
    fn packets_of_a_printer() {
        assert_eq!(unzip(&TICKS, Unsigned).unwrap(), TICK_VALUES);
        assert_eq!(zip(&TICK_VALUES, Unsigned).unwrap(), TICKS);
        assert_eq!(unzip(&PRESSURES, Signed).unwrap(), PRESSURE_VALUES);
        assert_eq!(zip(&PRESSURE_VALUES, Signed).unwrap(), PRESSURES);
    }

    #[test]
    fn nothing_in_nothing_out() {
        assert!(unzip(&[0], Signed).unwrap().is_empty());
        assert_eq!(zip(&[], Unsigned).unwrap(), [0]);
    }

    #[test]
    fn signed_sums_leave_32_bits_and_unsigned_outputs_wrap() {
        let packed = [2, 0x0f, 0, 0, 0, 0x80, 0, 0, 0, 0x80];
        assert_eq!(unzip(&packed, Signed).unwrap(), [-(1 << 31), -(1 << 32)]);
        assert_eq!(unzip(&packed, Unsigned).unwrap(), [1 << 31, 0]);
    }

    #[test]
    fn unsigned_takes_the_short_way_round() {
        // From 0 back to 2^32 - 1 and on again to 1: two steps of one byte.
        let packed = zip(&[0xffff_ffff, 1], Unsigned).unwrap();
        assert_eq!(packed, [2, 0, 0xff, 0x02]);
        assert_eq!(unzip(&packed, Unsigned).unwrap(), [0xffff_ffff, 1]);
    }

    #[test]
    fn widths_change_where_the_sign_bit_would() {
        for (value, size) in [
            (0, 3),
            (127, 3),
            (-128, 3),
            (128, 4),
            (-129, 4),
            (32767, 4),
            (-32768, 4),
            (32768, 5),
            (8388607, 5),
            (-8388608, 5),
            (8388608, 6),
            (i64::from(i32::MAX), 6),
            (i64::from(i32::MIN), 6),
        ] {
            let packed = zip(&[value], Signed).unwrap();
            assert_eq!((packed.len(), unzip(&packed, Signed)), (size, Ok(vec![value])), "{value}");
        }
    }

    #[test]
    fn strict_errors_carry_their_values() {
        let error = |bytes: &[u8]| unzip(bytes, Signed).unwrap_err();
        assert_eq!(error(&[]), UnzipError::TruncatedHeader { need: 1, have: 0 });
        assert_eq!(error(&[5, 3]), UnzipError::TruncatedHeader { need: 3, have: 2 });
        assert_eq!(error(&[2, 0xf0, 1, 1]), UnzipError::UnusedBits { offset: 1, bits: 0xf0 });
        assert_eq!(
            error(&[2, 0x04, 1, 1]),
            UnzipError::MissingData { index: 1, offset: 3, need: 2, have: 1 }
        );
        assert_eq!(error(&[1, 0, 1, 9, 9]), UnzipError::Trailing { offset: 3, extra: 2 });
        // Four codes fill the byte, so no bit of it is unused.
        assert_eq!(unzip(&[4, 0, 1, 1, 1, 1], Signed).unwrap(), [1, 2, 3, 4]);
        assert!(matches!(error(&[4, 0xff]), UnzipError::MissingData { .. }));
    }

    #[test]
    fn lax_shortens_then_zeroes() {
        // Three deltas of two bytes; of the second there is one byte, of the third none.
        let bytes = [3, 0x15, 0x00, 0x01, 0xfe];
        assert_eq!(unzip_lax(&bytes, Signed).unwrap(), [256, 254, 254]);
        assert_eq!(unzip_lax(&[2, 0xf0, 1, 1, 7], Signed).unwrap(), [1, 2]);
        assert_eq!(
            unzip_lax(&[5, 3], Signed),
            Err(UnzipError::TruncatedHeader { need: 3, have: 2 })
        );
    }

    #[test]
    fn zip_refuses_what_cannot_be_given_back() {
        assert_eq!(zip(&[0; 256], Signed), Err(ZipError::TooMany { count: 256 }));
        assert_eq!(
            zip(&[0, 1 << 31], Signed),
            Err(ZipError::DeltaTooLarge { index: 1, before: 0, value: 1 << 31 })
        );
        assert_eq!(
            zip(&[-1, i64::MAX], Signed),
            Err(ZipError::DeltaTooLarge { index: 1, before: -1, value: i64::MAX })
        );
        assert_eq!(zip(&[-1], Unsigned), Err(ZipError::OutOfRange { index: 0, value: -1 }));
        assert_eq!(
            zip(&[0, 1 << 32], Unsigned),
            Err(ZipError::OutOfRange { index: 1, value: 1 << 32 })
        );
    }

    fn signedness() -> impl Strategy<Value = Signedness> {
        prop_oneof![Just(Signed), Just(Unsigned)]
    }

    /// Deltas of every width, near the borders of the widths too.
    fn deltas() -> impl Strategy<Value = Vec<i32>> {
        let one = (any::<i32>(), 0_u32..32).prop_map(|(n, shift)| n >> shift);
        any_vec(one, 0..=MAX_COUNT)
    }

    /// A well-formed packet with widths that need not be the least.
    fn packet() -> impl Strategy<Value = Vec<u8>> {
        any_vec((any::<[u8; 4]>(), 0_usize..4), 0..=MAX_COUNT).prop_map(|deltas| {
            let at = 1 + field_size(deltas.len());
            let mut out = vec![0; at];
            out[0] = deltas.len() as u8;
            for (index, (bytes, code)) in deltas.iter().enumerate() {
                out[at - 1 - index / 4] |= (*code as u8) << (index % 4 * 2);
                out.extend_from_slice(&bytes[..=*code]);
            }
            out
        })
    }

    proptest! {
        #[test]
        fn signed_values_come_back(deltas in deltas()) {
            let values: Vec<i64> = deltas
                .iter()
                .scan(0, |sum, delta| { *sum += i64::from(*delta); Some(*sum) })
                .collect();
            let packed = zip(&values, Signed).unwrap();
            prop_assert_eq!(unzip(&packed, Signed).unwrap(), values);
        }

        #[test]
        fn unsigned_values_come_back(values in any_vec(any::<u32>(), 0..=MAX_COUNT)) {
            let values: Vec<i64> = values.into_iter().map(i64::from).collect();
            let packed = zip(&values, Unsigned).unwrap();
            prop_assert_eq!(unzip(&packed, Unsigned).unwrap(), values);
        }

        #[test]
        fn packing_again_never_grows(packet in packet(), signedness in signedness()) {
            let values = unzip(&packet, signedness).unwrap();
            let again = zip(&values, signedness).unwrap();
            prop_assert!(again.len() <= packet.len());
            prop_assert_eq!(unzip(&again, signedness).unwrap(), values);
        }

        #[test]
        fn any_bytes_strict_is_lax_or_an_error(
            bytes in any_vec(any::<u8>(), 0..600), signedness in signedness()
        ) {
            let lax = unzip_lax(&bytes, signedness);
            match unzip(&bytes, signedness) {
                Ok(values) => prop_assert_eq!(Ok(values), lax),
                Err(error @ UnzipError::TruncatedHeader { .. }) => prop_assert_eq!(Err(error), lax),
                Err(_) => prop_assert_eq!(lax.unwrap().len(), usize::from(bytes[0])),
            }
        }

        #[test]
        fn any_values_never_panic(
            values in any_vec(any::<i64>(), 0..300), signedness in signedness()
        ) {
            if let Ok(packed) = zip(&values, signedness) {
                prop_assert_eq!(unzip(&packed, signedness).unwrap(), values);
            }
        }

        #[test]
        fn a_cut_packet_is_an_error_strictly_and_keeps_what_is_whole_laxly(
            packet in packet(), cut in any::<proptest::sample::Index>(), signedness in signedness()
        ) {
            let whole = unzip(&packet, signedness).unwrap();
            let cut = &packet[..cut.index(packet.len())];
            match unzip(cut, signedness) {
                Err(UnzipError::MissingData { index, .. }) => {
                    let lax = unzip_lax(cut, signedness).unwrap();
                    prop_assert_eq!(&lax[..index], &whole[..index]);
                    // Behind the cut nothing moves any more.
                    prop_assert!(lax[index..].windows(2).all(|pair| pair[0] == pair[1]));
                    prop_assert_eq!(lax.len(), whole.len());
                }
                other => prop_assert!(
                    matches!(other, Err(UnzipError::TruncatedHeader { .. })), "{:?}", other
                ),
            }
        }
    }
}

//! Whether what is heard may be a CAN bus (some boxes have one) instead of RS-485.
//!
//! A CAN controller puts in an opposite bit behind five equal ones, so within a frame no six equal
//! bits follow each other. A UART at the speed of the CAN bus keeps that: in its start bit and eight
//! data bits no six are low, and six are high only where high lasts to the end, as between two
//! frames. At another speed, and in random or other bytes, six equal bits are common. It is a hint,
//! no proof: what is between a UART's bytes is not known, so CAN's own check cannot be made.

/// The speeds of CAN buses among those that are tried, in baud.
pub(super) const RATES: [u32; 4] = [125_000, 250_000, 500_000, 1_000_000];
/// Fewer bytes tell nothing.
const ENOUGH: u64 = 60;
/// Nor do fewer different ones: a few that come again and again may just happen to look so.
const DIFFERENT: usize = 48;
/// The most violations in 1000 bytes at the right speed: CAN has them in error frames.
const FEW: u64 = 5;
/// The least violations in 1000 bytes at some other speed.
const MANY: u64 = 20;

/// Counts the bytes that a CAN bus would not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stuffing {
    bytes: u64,
    violations: u64,
    /// Which bytes there were.
    seen: [bool; 256],
}

impl Default for Stuffing {
    fn default() -> Self {
        Stuffing { bytes: 0, violations: 0, seen: [false; 256] }
    }
}

impl Stuffing {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.violations += bytes.iter().filter(|byte| violates(**byte)).count() as u64;
        bytes.iter().for_each(|byte| self.seen[usize::from(*byte)] = true);
    }

    /// How many different bytes there were.
    fn different(&self) -> usize {
        self.seen.iter().filter(|seen| **seen).count()
    }

    /// Violations in 1000 bytes, where there are enough bytes.
    fn rate(&self) -> Option<u64> {
        (self.bytes >= ENOUGH).then(|| self.violations * 1000 / self.bytes)
    }
}

/// Whether a byte with its start bit has six equal bits in a row, other than high ones that last to
/// its end.
fn violates(byte: u8) -> bool {
    // The start bit is the lowest.
    let bits = u16::from(byte) << 1;
    let (mut run, mut last) = (0, None);
    for at in 0..9 {
        let bit = bits >> at & 1;
        run = if last == Some(bit) { run + 1 } else { 1 };
        last = Some(bit);
        let to_the_end = bit == 1 && bits >> at == (1 << (9 - at)) - 1;
        // A run of high bits counts where it ends.
        let ends = at < 8 && bits >> (at + 1) & 1 != bit;
        if run >= 6 && !to_the_end && (bit == 0 || ends) {
            return true;
        }
    }
    false
}

/// The speed at which this may be CAN, of what was counted at each.
pub(super) fn rate<'a>(counts: impl Iterator<Item = (u32, &'a Stuffing)> + Clone) -> Option<u32> {
    // Somewhere else it must look otherwise: on a line with nothing but 55 no speed stands out.
    counts.clone().find(|(_, count)| count.rate().is_some_and(|rate| rate >= MANY))?;
    let can = counts.filter_map(|(baud, count)| {
        let rate = count.rate().filter(|rate| *rate <= FEW)?;
        (RATES.contains(&baud) && count.different() >= DIFFERENT).then_some((rate, baud))
    });
    // Of several the fastest: at a part of the speed the same bits may look well too.
    can.min_by_key(|(rate, baud)| (*rate, std::cmp::Reverse(*baud))).map(|(_, baud)| baud)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use k485_link::uart::{Line, Noise, heard};
    use std::time::Duration;

    /// A CAN data frame's bits (2.0A, bit rate not said), stuffed, with its end and what follows.
    pub(crate) fn can_frame(id: u16, data: &[u8]) -> Vec<bool> {
        // SOF, ID, RTR, IDE, r0, DLC.
        let mut bits = vec![false];
        bits.extend((0..11).rev().map(|at| id >> at & 1 == 1));
        bits.extend([false; 3]);
        bits.extend((0..4).rev().map(|at| data.len() >> at & 1 == 1));
        bits.extend(data.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1 == 1)));
        let crc = bits.iter().fold(0u16, |crc, bit| {
            let next = *bit != (crc >> 14 & 1 == 1);
            (crc << 1 & 0x7fff) ^ if next { 0x4599 } else { 0 }
        });
        bits.extend((0..15).rev().map(|at| crc >> at & 1 == 1));
        let mut stuffed: Vec<bool> = Vec::new();
        for bit in bits {
            stuffed.push(bit);
            if let [.., a, b, c, d, e] = stuffed[..]
                && [b, c, d, e] == [a; 4]
            {
                stuffed.push(!a);
            }
        }
        // CRC delimiter, ACK, its delimiter, EOF, intermission.
        stuffed.extend([true, false, true]);
        stuffed.extend([true; 10]);
        stuffed
    }

    #[test]
    fn a_frame_as_the_standard_has_it() {
        // By the polynomial alone: appending the CRC makes the remainder zero.
        let bits = can_frame(0x7ff, &[]);
        assert_eq!(bits[..7], [false, true, true, true, true, true, false]);
        let longest = bits[..bits.len() - 11].chunk_by(|a, b| a == b).map(<[bool]>::len).max();
        assert_eq!(longest, Some(5));
    }

    /// A second of frames, as a UART at that speed reads them.
    fn traffic(rate: u32, baud: u32) -> Vec<u8> {
        let mut line = Line::new(rate, baud);
        let mut out = Vec::new();
        let bit = Duration::from_nanos(1_000_000_000 / u64::from(rate));
        for n in 0..120u32 {
            let data = [n as u8, 0, 0xff, (n * 7) as u8, 0x10, 0, 0, (n >> 1) as u8];
            for high in can_frame(0x100 + (n % 9) as u16, &data[..(n % 8 + 1) as usize]) {
                line.level(high, bit, &mut out);
            }
            line.idle(Duration::from_micros(u64::from(n) * 37 % 900), &mut out);
        }
        line.idle(Duration::from_millis(5), &mut out);
        out
    }

    fn counts(listen: impl Fn(u32) -> Vec<u8>) -> Vec<(u32, Stuffing)> {
        let count = |baud: u32| {
            let mut count = Stuffing::default();
            count.push(&listen(baud));
            (baud, count)
        };
        super::super::hunt::BAUDS.map(count).to_vec()
    }

    fn told(counts: &[(u32, Stuffing)]) -> impl Iterator<Item = (u32, &Stuffing)> + Clone {
        counts.iter().map(|(baud, count)| (*baud, count))
    }

    #[test]
    fn can_is_seen_at_its_own_speed() {
        for can in RATES {
            let counts = counts(|baud| traffic(can, baud));
            assert_eq!(rate(told(&counts)), Some(can), "{can}");
        }
    }

    #[test]
    fn noise_and_this_bus_are_not_can() {
        let noise = counts(|baud| {
            let mut out = Vec::new();
            Noise::new(9).wander(&mut Line::new(1, baud), Duration::from_millis(500), &mut out);
            out
        });
        assert_eq!(rate(told(&noise)), None);
        let polls = ["f7010300a2da", "f7011100a2010069063002185333115235383244", "f70203ff0a5c"];
        for bus in [230_400, 333_333, 76_800, 31_250] {
            for line in [Line::new, Line::swapped] {
                let counts = counts(|baud| {
                    let hex = |text| k485_proto::message::kind::hex_bytes(text).unwrap();
                    polls
                        .iter()
                        .flat_map(|text| heard(line(bus, baud), &hex(text)))
                        .collect::<Vec<_>>()
                        .repeat(9)
                });
                assert_eq!(rate(told(&counts)), None, "{bus}");
            }
        }
    }

    #[test]
    fn six_in_a_row() {
        for byte in [0b1111_1111, 0b1111_1110, 0b1110_0000, 0b0101_0101, 0b1111_1000, 0b1011_1110] {
            // The start bit makes a sixth low bit of five.
            assert_eq!(violates(byte), byte == 0b1110_0000, "{byte:08b}");
        }
        for byte in [0b0000_0000, 0b0000_0011, 0b0111_1110, 0b0111_1111] {
            assert!(violates(byte), "{byte:08b}");
        }
    }
}

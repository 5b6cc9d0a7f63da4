//! A model of the line between two UARTs: what one reads of what another sends, at another speed, or
//! with the two wires swapped.
//!
//! The sender's bytes become levels: a low start bit, eight data bits with the lowest first, a high
//! stop bit; high while nothing is sent. The receiver waits for a falling edge, looks again half a
//! bit later (a start bit that is over by then was none), and then in the middle of each bit. A real
//! UART looks 16 times a bit and so is up to 1/16 of a bit late; this one is exact.
//!
//! # Wrong stop bits
//!
//! A stop bit that is low is a framing error; when all data bits were low too, it is a break. What a
//! program then reads depends on the terminal's settings. With those of a
//! [`Listener`](crate::Listener) (INPCK, IGNPAR, PARMRK, IGNBRK and BRKINT off) Linux hands over the
//! byte as the UART has it, a break as one 00, and only counts the error (source: Linux,
//! `n_tty.c`, `serial_core.c`); with INPCK on it would be 00. This model does the former. The next
//! byte begins at the first falling edge after the line was high again; some chips take the wrong
//! stop bit itself for the next start bit, so that garbage reads differently there.
//!
//! # Swapped wires
//!
//! With A and B swapped every level is inverted. Where resistors bias the bus, its idle level is
//! then low, one long break ([`Line::swapped`]); where only the receiver decides what a line is that
//! nobody drives, it stays high ([`Line::swapped_unbiased`]).

use std::time::Duration;

use crate::link::LineErrors;

/// Picoseconds in a second: fine enough that a bit's length, rounded, is off by less than one part
/// in 100,000 at any speed of a UART.
const SECOND: u64 = 1_000_000_000_000;

/// The receiving UART's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receiver {
    /// The line is high: a falling edge begins a byte.
    Ready,
    /// In a byte.
    Byte {
        /// How long until it looks at the line again, in picoseconds.
        next: u64,
        /// What it then looks at: 0 the start bit, 1 to 8 the data bits, 9 the stop bit.
        at: u8,
        /// The data bits so far.
        byte: u8,
    },
    /// The line has been low since a wrong stop bit: it has to be high before a byte can begin.
    Low,
}

/// A line from a sender at one speed to a receiver at another.
///
/// ```
/// use std::time::Duration;
/// use k485_link::uart::Line;
///
/// let mut heard = Vec::new();
/// let mut line = Line::new(230_400, 115_200);
/// line.bytes(&[0xf7, 0x01, 0x03, 0x00, 0xa2, 0xda], &mut heard);
/// line.idle(Duration::from_millis(1), &mut heard);
/// assert_ne!(heard, [0xf7, 0x01, 0x03, 0x00, 0xa2, 0xda]);
/// ```
#[derive(Debug, Clone)]
pub struct Line {
    from: u32,
    to: u32,
    inverted: bool,
    /// The receiver's level while nobody drives the line.
    idle: bool,
    receiver: Receiver,
    errors: LineErrors,
}

impl Line {
    /// A line with its wires as they should be. Speeds are in baud; 0 counts as 1.
    #[must_use]
    pub fn new(from_baud: u32, to_baud: u32) -> Line {
        Line::with(from_baud, to_baud, false, true)
    }

    /// A line with its wires swapped, on a bus whose resistors hold it while nobody drives it.
    #[must_use]
    pub fn swapped(from_baud: u32, to_baud: u32) -> Line {
        Line::with(from_baud, to_baud, true, false)
    }

    /// A line with its wires swapped, where the receiver takes an undriven line for high.
    #[must_use]
    pub fn swapped_unbiased(from_baud: u32, to_baud: u32) -> Line {
        Line::with(from_baud, to_baud, true, true)
    }

    fn with(from: u32, to: u32, inverted: bool, idle: bool) -> Line {
        let receiver = if idle { Receiver::Ready } else { Receiver::Low };
        Line {
            from: from.max(1),
            to: to.max(1),
            inverted,
            idle,
            receiver,
            errors: LineErrors::default(),
        }
    }

    /// The sender's speed in baud.
    #[must_use]
    pub fn from_baud(&self) -> u32 {
        self.from
    }

    /// The receiver's speed in baud.
    #[must_use]
    pub fn to_baud(&self) -> u32 {
        self.to
    }

    /// Whether the wires are swapped.
    #[must_use]
    pub fn is_inverted(&self) -> bool {
        self.inverted
    }

    /// Sets the receiver's speed. What it was in the middle of is lost.
    pub fn set_to_baud(&mut self, baud: u32) {
        if baud.max(1) != self.to {
            self.to = baud.max(1);
            self.receiver = if self.idle { Receiver::Ready } else { Receiver::Low };
        }
    }

    /// What the receiver's driver would have counted so far.
    #[must_use]
    pub fn errors(&self) -> LineErrors {
        self.errors
    }

    /// Sends bytes back to back; what the receiver reads is put behind `out`.
    ///
    /// The receiver may be in the middle of a byte when the last one is sent: [`idle`](Line::idle)
    /// lets it come to its end.
    pub fn bytes(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.from == self.to && !self.inverted && self.receiver == Receiver::Ready {
            // It looks at the middle of each bit: it reads what was sent, and is ready again.
            return out.extend_from_slice(bytes);
        }
        self.bits(bytes, out);
    }

    /// The same, bit by bit.
    fn bits(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let bit = SECOND / u64::from(self.from);
        for byte in bytes {
            // Start bit, data bits, stop bit, the first in the lowest place.
            let bits = u16::from(*byte) << 1 | 1 << 9;
            for at in 0..10 {
                self.hold((bits >> at & 1 == 1) != self.inverted, bit, out);
            }
        }
    }

    /// Nobody drives the line for so long.
    pub fn idle(&mut self, time: Duration, out: &mut Vec<u8>) {
        self.hold(self.idle, picoseconds(time), out);
    }

    /// Something that is no UART drives the line for so long: `high` is the level of a stop bit.
    pub fn level(&mut self, high: bool, time: Duration, out: &mut Vec<u8>) {
        self.hold(high != self.inverted, picoseconds(time), out);
    }

    /// The receiver's line has this level for so many picoseconds.
    fn hold(&mut self, high: bool, mut left: u64, out: &mut Vec<u8>) {
        let bit = SECOND / u64::from(self.to);
        // Every round takes a step through the byte, so eleven at most without an edge.
        loop {
            match &mut self.receiver {
                Receiver::Ready if high || left == 0 => return,
                Receiver::Ready => {
                    self.receiver = Receiver::Byte { next: bit / 2, at: 0, byte: 0 };
                }
                Receiver::Low => {
                    if high && left > 0 {
                        self.receiver = Receiver::Ready;
                    }
                    return;
                }
                Receiver::Byte { next, .. } if *next > left => {
                    *next -= left;
                    return;
                }
                Receiver::Byte { next, at, byte } => {
                    left -= *next;
                    *next = bit;
                    match *at {
                        // A start bit that is over already was none.
                        0 if high => {
                            self.receiver = Receiver::Ready;
                            continue;
                        }
                        0 => {}
                        1..=8 => *byte |= u8::from(high) << (*at - 1),
                        _ => {
                            let byte = *byte;
                            self.stop(high, byte, out);
                            continue;
                        }
                    }
                    *at += 1;
                }
            }
        }
    }

    /// The byte is complete, with this stop bit.
    fn stop(&mut self, high: bool, byte: u8, out: &mut Vec<u8>) {
        out.push(byte);
        if high {
            self.receiver = Receiver::Ready;
            return;
        }
        let count = if byte == 0 { &mut self.errors.breaks } else { &mut self.errors.framing };
        *count = count.saturating_add(1);
        self.receiver = Receiver::Low;
    }
}

fn picoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(1000)
}

/// What a receiver reads of these bytes, sent back to back with an idle line before and behind.
#[must_use]
pub fn heard(mut line: Line, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // Long enough for a byte at the slower end.
    let settle = Duration::from_secs(20) / line.from.min(line.to);
    line.idle(settle, &mut out);
    line.bytes(bytes, &mut out);
    line.idle(settle, &mut out);
    out
}

/// The shapes of noise on a line that nobody drives and nothing biases.
///
/// A seed gives the same noise each time.
#[derive(Debug, Clone)]
pub struct Noise(u64);

impl Noise {
    /// Noise of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Noise {
        Noise(seed)
    }

    /// The next random number (SplitMix64).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A random time from 0 to twice `mean`.
    pub fn time(&mut self, mean: Duration) -> Duration {
        mean.saturating_mul((self.next() >> 40) as u32) / (1 << 23)
    }

    /// The line wanders for about so long between the two levels, which last 0 to 40 µs each, and
    /// is put back to idle.
    pub fn wander(&mut self, line: &mut Line, time: Duration, out: &mut Vec<u8>) {
        let mut left = time;
        let mut high = false;
        while !left.is_zero() {
            let run = self.time(Duration::from_micros(20)).max(Duration::from_nanos(1)).min(left);
            line.level(high, run, out);
            left -= run;
            high = !high;
        }
        line.idle(Duration::from_nanos(1), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLL: [u8; 6] = [0xf7, 0x01, 0x03, 0x00, 0xa2, 0xda];

    #[test]
    fn at_half_the_speed_two_bits_are_one() {
        // The middle of the receiver's bit is the edge between two of the sender's, where the level
        // of the first one is taken: start bit, bits 1 3 5 7, start bit, bits 1 3 5 and, as the
        // stop bit, 7.
        let mut line = Line::new(200, 100);
        let mut out = Vec::new();
        line.bytes(&[0b0110_0110, 0b1110_0110], &mut out);
        line.idle(Duration::from_secs(1), &mut out);
        assert_eq!(out, [0b1010_0101]);
        assert_eq!(line.errors(), LineErrors::default());
    }

    #[test]
    fn at_twice_the_speed_a_bit_is_two() {
        let mut line = Line::new(100, 200);
        let mut out = Vec::new();
        line.bytes(&[0xff], &mut out);
        line.idle(Duration::from_secs(1), &mut out);
        // One low bit is a start bit and a data bit.
        assert_eq!(out, [0b1111_1110]);
        out.clear();
        line.bytes(&[0x00], &mut out);
        line.idle(Duration::from_secs(1), &mut out);
        // Nine low bits are a break of eighteen.
        assert_eq!(out, [0x00]);
        assert_eq!(line.errors(), LineErrors { breaks: 1, ..LineErrors::default() });
    }

    #[test]
    fn a_low_stop_bit_is_a_framing_error_and_the_byte_is_kept() {
        let mut line = Line::new(100, 100);
        let mut out = Vec::new();
        let bit = Duration::from_millis(10);
        line.level(false, 2 * bit, &mut out);
        line.level(true, bit, &mut out);
        line.level(false, 20 * bit, &mut out);
        assert_eq!((&out[..], line.errors().framing), (&[0b10][..], 1));
        // It waits for the line to be high before the next byte.
        line.level(true, bit, &mut out);
        line.bytes(&[0x42], &mut out);
        assert_eq!(out, [0b10, 0x42]);
    }

    proptest! {
        #[test]
        fn what_is_handed_on_whole_is_what_the_bits_make(
            speeds in (1..=4_000_000_u32, 1..=4_000_000_u32, any::<bool>()),
            swapped in any::<bool>(),
            talks in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..20), 0..300_u64), 1..6),
        ) {
            let (from, to) = (speeds.0, if speeds.2 { speeds.0 } else { speeds.1 });
            let mut whole = if swapped { Line::swapped(from, to) } else { Line::new(from, to) };
            let mut bits = whole.clone();
            let (mut wholes, mut all) = (Vec::new(), Vec::new());
            for (bytes, idle) in talks {
                whole.bytes(&bytes, &mut wholes);
                bits.bits(&bytes, &mut all);
                prop_assert_eq!(&whole.receiver, &bits.receiver);
                whole.idle(Duration::from_micros(idle), &mut wholes);
                bits.idle(Duration::from_micros(idle), &mut all);
            }
            prop_assert_eq!(wholes, all);
            prop_assert_eq!((whole.receiver, whole.errors()), (bits.receiver, bits.errors()));
        }
    }

    #[test]
    fn a_short_dip_is_no_start_bit() {
        let mut line = Line::new(100, 100);
        let mut out = Vec::new();
        line.level(false, Duration::from_millis(4), &mut out);
        line.idle(Duration::from_secs(1), &mut out);
        assert!(out.is_empty());
    }

    /// By hand: idle low, then the inverted frame. F7 is 0 1110 1111 1 on the line (lowest bit
    /// first), so 1 0001 0000 0 inverted: the first falling edge is that of its data bit 0, and the
    /// eight bits behind that one are 0 0 1 0 0 0 0 0, which reads 04; the high bit behind is the
    /// next byte's start bit.
    #[test]
    fn swapped_wires_make_a_head_a_04() {
        for line in [Line::swapped(230_400, 230_400), Line::swapped_unbiased(230_400, 230_400)] {
            let out = heard(line, &POLL);
            assert_eq!(out[0], 0x04, "{out:02x?}");
            assert!(out.len() >= 4, "{out:02x?}");
        }
        // A long break is not heard again and again.
        let mut line = Line::swapped(230_400, 230_400);
        let mut out = Vec::new();
        line.idle(Duration::from_secs(5), &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn noise_is_the_same_for_the_same_seed_and_different_bytes_at_all() {
        let noise = |seed, baud| {
            let mut out = Vec::new();
            let mut line = Line::new(230_400, baud);
            Noise::new(seed).wander(&mut line, Duration::from_millis(100), &mut out);
            out
        };
        assert_eq!(noise(1, 230_400), noise(1, 230_400));
        assert_ne!(noise(1, 230_400), noise(2, 230_400));
        for baud in [1_000_000, 230_400, 115_200, 9_600] {
            let heard = noise(7, baud);
            let most = u64::from(baud) / 100 + 1;
            assert!(heard.len() as u64 > most / 8 && heard.len() as u64 <= most, "{}", heard.len());
        }
    }

    proptest! {
        #[test]
        fn the_same_speed_and_straight_wires_change_nothing(
            baud in prop_oneof![Just(230_400), Just(1_000_000), 300u32..4_000_000],
            parts in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 0..40), 0u64..5_000_000), 0..8),
        ) {
            let mut line = Line::new(baud, baud);
            let mut out = Vec::new();
            for (bytes, gap) in &parts {
                line.bytes(bytes, &mut out);
                line.idle(Duration::from_nanos(*gap), &mut out);
            }
            line.idle(Duration::from_secs(1), &mut out);
            prop_assert_eq!(out, parts.into_iter().flat_map(|(bytes, _)| bytes).collect::<Vec<_>>());
            prop_assert_eq!(line.errors(), LineErrors::default());
        }

        /// A receiver that is off by 3 % still reads every byte; that is what 8N1 is for.
        #[test]
        fn near_speeds_change_nothing(
            bytes in proptest::collection::vec(any::<u8>(), 1..60),
            off in -3i64..=3,
        ) {
            let to = 230_400 + 230_400 * off / 100;
            prop_assert_eq!(heard(Line::new(230_400, to as u32), &bytes), bytes);
        }

        /// However the time is cut, the same is read.
        #[test]
        fn levels_may_be_told_in_pieces(
            runs in proptest::collection::vec((any::<bool>(), 1u64..200_000), 0..60),
            to in 9_600u32..1_000_000,
        ) {
            let (mut whole, mut pieces) = (Vec::new(), Vec::new());
            let (mut a, mut b) = (Line::new(1, to), Line::new(1, to));
            for (high, nanos) in runs {
                a.level(high, Duration::from_nanos(nanos), &mut whole);
                b.level(high, Duration::from_nanos(nanos / 3), &mut pieces);
                b.level(high, Duration::from_nanos(nanos - nanos / 3), &mut pieces);
            }
            prop_assert_eq!(whole, pieces);
            prop_assert_eq!(a.errors(), b.errors());
        }
    }
}

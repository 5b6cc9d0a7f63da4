//! The byte streams that the bench walks, made from a seed.
//!
//! Frames are drawn at random, so that the order of their lengths cannot be learned: a recording
//! that is repeated would be, by the processor's branch predictor, and every decoder would look
//! faster than it is on a bus. How often each length comes is taken from a wire capture of 545
//! frames.

use k485_proto::address::Address;
use k485_proto::frame::Frame;
use k485_proto::status::Status;

/// How many frames and where: what every subject must agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Frames found.
    pub(crate) frames: u64,
    /// The sum of their offsets, modulo 2^64.
    pub(crate) offsets: u64,
}

impl Tally {
    /// Counts a frame at `offset`.
    pub(crate) fn add(&mut self, offset: u64) {
        self.frames += 1;
        self.offsets = self.offsets.wrapping_add(offset);
    }
}

/// A generator after Marsaglia (xorshift64*), good enough to be unpredictable here.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`; the bias is of no account for the small bounds used here.
    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 32) % bound
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }
}

/// Address, STATUS, FUNC, number of DATA bytes.
type Shape = (u8, u8, u8, usize);

/// How many of 545 frames have a length, and shapes of that length.
const SHAPES: [(u64, &[Shape]); 7] = [
    (
        208,
        &[
            (0x02, 0xff, 0x0a, 0),
            (0x03, 0x00, 0xa2, 0),
            (0x01, 0x00, 0x10, 0),
            (0x04, 0xff, 0x05, 0),
        ],
    ),
    (125, &[(0xfe, 0x00, 0xa1, 2), (0x01, 0xff, 0x04, 2), (0x03, 0xff, 0x11, 2)]),
    (121, &[(0x01, 0x00, 0xa2, 14), (0x04, 0x00, 0xa3, 14)]),
    (73, &[(0x02, 0x00, 0x0a, 4), (0x01, 0x00, 0x10, 4), (0x03, 0x00, 0x0e, 4)]),
    (10, &[(0x01, 0xff, 0x08, 1), (0x82, 0x00, 0x0c, 1), (0x04, 0x00, 0x05, 1)]),
    (7, &[(0x02, 0xff, 0x10, 3)]),
    (1, &[(0x01, 0x00, 0x14, 22)]),
];

fn draw_shape(random: &mut Random) -> Shape {
    let mut ticket = random.below(SHAPES.iter().map(|(weight, _)| weight).sum());
    for (weight, shapes) in SHAPES {
        if ticket < weight {
            return shapes[random.below(shapes.len() as u64) as usize];
        }
        ticket -= weight;
    }
    unreachable!("the ticket is below the sum of the weights")
}

fn push_frame(random: &mut Random, out: &mut Vec<u8>) {
    let (addr, status, func, len) = draw_shape(random);
    let mut data = [0; 22];
    for (at, byte) in data[..len].iter_mut().enumerate() {
        // Half of the bytes random, the others as dull as real payloads.
        *byte = if random.below(2) == 0 { random.byte() } else { at as u8 };
    }
    Frame::emit(Address(addr), Status(status), func, &data[..len], out).expect("the data fits");
}

/// At least `size` bytes of whole frames without anything between them, and what a walk must find.
pub(crate) fn clean(size: usize, seed: u64) -> (Vec<u8>, Tally) {
    let mut random = Random(seed);
    let mut out = Vec::with_capacity(size + 64);
    let mut tally = Tally::default();
    while out.len() < size {
        tally.add(out.len() as u64);
        push_frame(&mut random, &mut out);
    }
    (out, tally)
}

/// The same, spoilt: one frame byte in a hundred is changed, and before one frame in eight come
/// 1 to 8 random bytes.
pub(crate) fn dirty(size: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut out = Vec::with_capacity(size + 64);
    while out.len() < size {
        if random.below(8) == 0 {
            for _ in 0..=random.below(8) {
                out.push(random.byte());
            }
        }
        let start = out.len();
        push_frame(&mut random, &mut out);
        for byte in &mut out[start..] {
            if random.below(100) == 0 {
                *byte ^= 1 + random.below(255) as u8;
            }
        }
    }
    out
}

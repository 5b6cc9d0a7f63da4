//! Generators for property tests: arbitrary frames, and bytes that are none.

use k485_proto::address::Address;
use k485_proto::frame::{Frame, HEAD, MAX_DATA};
use k485_proto::status::Status;
use proptest::collection::vec;
use proptest::prelude::*;

/// A whole frame with any address, status, function and data; F7 may occur anywhere inside.
pub(crate) fn frame() -> impl Strategy<Value = Vec<u8>> {
    let data = prop_oneof![
        8 => vec(byte(), 0..20),
        1 => vec(byte(), 0..=MAX_DATA),
    ];
    (byte(), byte(), byte(), data).prop_map(|(addr, status, func, data)| {
        Frame::to_vec(Address(addr), Status(status), func, &data).expect("at most MAX_DATA bytes")
    })
}

/// A byte that is F7, or a small LEN, more often than by chance.
pub(crate) fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![4 => any::<u8>(), 1 => Just(HEAD), 2 => 0_u8..12]
}

/// Bytes without any F7: they cannot begin a frame.
pub(crate) fn garbage(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>().prop_map(|b| if b == HEAD { 0 } else { b }), 0..=most)
}

/// A stream of frames, garbage, cut and damaged frames, and noise full of heads.
pub(crate) fn stream() -> impl Strategy<Value = Vec<u8>> {
    let damaged = (frame(), any::<prop::sample::Index>(), 1_u8..=255).prop_map(|(mut f, at, x)| {
        let at = at.index(f.len());
        f[at] ^= x;
        f
    });
    let cut = (frame(), any::<prop::sample::Index>()).prop_map(|(mut f, at)| {
        f.truncate(at.index(f.len()));
        f
    });
    let piece = prop_oneof![
        4 => frame(),
        1 => garbage(40),
        1 => garbage(600),
        1 => damaged,
        1 => cut,
        2 => vec(byte(), 0..40),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Cuts `stream` at the places that `cuts` name.
pub(crate) fn chunks<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    at.extend([0, stream.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

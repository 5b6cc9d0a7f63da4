//! The deframer under any chunking and any silences.
//!
//! Input: a byte n, n bytes of plan, then the stream (see [`k485_fuzz::RAW`]). A plan byte is the
//! size of a chunk; [`IDLE`] and [`IDLE_ONCE`] are silences. Behind the plan comes the rest in one
//! chunk, then the end.

#![no_main]

use arbitrary::Unstructured;
use k485_fuzz::{RAW, next_piece};
use k485_proto::deframer::{Deframer, NoiseReason, Span, spans};
use k485_proto::frame::{Frame, HEAD, MAX_FRAME};
use libfuzzer_sys::fuzz_target;

/// A silence, told until nothing more comes of it.
const IDLE: u8 = 0;
/// A silence that is told once only, which the contract does not ask for: nothing may be lost.
const IDLE_ONCE: u8 = 255;

/// A span with its bytes copied, so that spans of two runs can be compared.
#[derive(Debug, PartialEq)]
struct Owned {
    offset: u64,
    bytes: Vec<u8>,
    noise: Option<NoiseReason>,
}

fn own(span: &Span<'_>) -> Owned {
    let noise = match span {
        Span::Frame { .. } => None,
        Span::Noise(noise) => Some(noise.reason),
    };
    Owned { offset: span.offset(), bytes: span.bytes().to_vec(), noise }
}

fn pull_all(deframer: &mut Deframer, mut chunk: &[u8], out: &mut Vec<Owned>) {
    while let Some(span) = deframer.pull(&mut chunk) {
        out.push(own(&span));
    }
    assert!(chunk.is_empty(), "pull gave None before the chunk was used up");
    assert!(deframer.pending() <= MAX_FRAME);
    assert_eq!(deframer.pending(), deframer.pending_bytes().len());
}

fn idle_all(deframer: &mut Deframer, out: &mut Vec<Owned>) {
    while let Some(span) = deframer.idle() {
        out.push(own(&span));
    }
    assert_eq!(deframer.pending(), 0);
}

/// What holds for every span alone.
fn check(span: &Owned) {
    assert!(!span.bytes.is_empty());
    let Some(reason) = span.noise else {
        assert!(Frame::from_bytes(&span.bytes).is_ok());
        return;
    };
    assert!(span.bytes.len() <= MAX_FRAME);
    assert!(!span.bytes[1..].contains(&HEAD), "a head inside noise was not tried: {span:?}");
    assert_eq!(span.bytes[0] == HEAD, reason != NoiseReason::Garbage, "{span:?}");
    if let NoiseReason::Truncated { need, have } = reason {
        assert!(have < need && usize::from(need) <= MAX_FRAME, "{span:?}");
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((count, rest)) = input.split_first() else { return };
    let (plan, rest) = rest.split_at(usize::from(*count).min(rest.len()));
    let stream = match rest {
        [RAW, stream @ ..] => stream.to_vec(),
        seed => {
            let (mut u, mut stream, mut last) = (Unstructured::new(seed), Vec::new(), None);
            while !u.is_empty() {
                let Ok(piece) = next_piece(&mut u, &mut last) else { break };
                stream.extend(piece);
            }
            stream
        }
    };

    let (mut deframer, mut got, mut left) = (Deframer::new(), Vec::new(), &stream[..]);
    // Where the stream is cut by silences, and whether the spans must be those of the parts.
    let (mut cuts, mut exact) = (Vec::new(), true);
    for step in plan {
        match *step {
            IDLE => {
                idle_all(&mut deframer, &mut got);
                cuts.push(stream.len() - left.len());
            }
            IDLE_ONCE => {
                got.extend(deframer.idle().as_ref().map(own));
                exact = false;
            }
            size => {
                let (chunk, after) = left.split_at(usize::from(size).min(left.len()));
                left = after;
                pull_all(&mut deframer, chunk, &mut got);
            }
        }
        let told: usize = got.iter().map(|span| span.bytes.len()).sum();
        assert_eq!(deframer.offset(), told as u64);
        assert_eq!(told + deframer.pending() + left.len(), stream.len());
    }
    pull_all(&mut deframer, left, &mut got);
    idle_all(&mut deframer, &mut got);
    cuts.push(stream.len());

    got.iter().for_each(check);
    let mut offset = 0;
    for span in &got {
        assert_eq!(span.offset, offset);
        offset += span.bytes.len() as u64;
    }
    let joined: Vec<u8> = got.iter().flat_map(|span| span.bytes.clone()).collect();
    assert_eq!(joined, stream);

    // A silence ends a stream; what follows is a stream of its own.
    if exact {
        let (mut expected, mut start) = (Vec::new(), 0);
        for end in cuts {
            let base = start as u64;
            let part = spans(&stream[start..end]).map(|span| own(&span));
            expected.extend(part.map(|span| Owned { offset: span.offset + base, ..span }));
            start = end;
        }
        assert_eq!(got, expected);
    }
});

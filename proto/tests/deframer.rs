//! The deframer's promises, as properties: it loses nothing, chunking changes nothing, it holds at
//! most one frame, and no frame hides from it in noise.

mod common;

use common::{chunks, frame, garbage, stream};
use k485_proto::deframer::{Deframer, NoiseReason, Span, spans};
use k485_proto::frame::{Frame, HEAD, MAX_FRAME};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// A span with its bytes copied: the offset, the bytes, and why they are noise.
type Seen = (u64, Vec<u8>, Option<NoiseReason>);

fn seen(span: Span<'_>) -> Seen {
    let reason = match span {
        Span::Frame { .. } => None,
        Span::Noise(noise) => Some(noise.reason),
    };
    (span.offset(), span.bytes().to_vec(), reason)
}

/// Feeds one chunk and collects the spans that are decided by then.
fn feed(deframer: &mut Deframer, chunk: &[u8], out: &mut Vec<Seen>) {
    let mut rest = chunk;
    while let Some(span) = deframer.pull(&mut rest) {
        out.push(seen(span));
    }
    assert!(rest.is_empty(), "pull gave None with {} bytes left", rest.len());
    assert!(deframer.pending() <= MAX_FRAME);
    assert_eq!(deframer.pending(), deframer.pending_bytes().len());
}

fn silence(deframer: &mut Deframer, out: &mut Vec<Seen>) {
    while let Some(span) = deframer.idle() {
        out.push(seen(span));
    }
    assert_eq!(deframer.pending(), 0);
}

/// The spans of a stream that comes in `chunks` and then ends.
fn deframe(chunks: &[&[u8]]) -> Vec<Seen> {
    let mut deframer = Deframer::new();
    let mut out = Vec::new();
    for chunk in chunks {
        feed(&mut deframer, chunk, &mut out);
    }
    silence(&mut deframer, &mut out);
    out
}

fn frames_of(spans: &[Seen]) -> Vec<&[u8]> {
    spans.iter().filter(|span| span.2.is_none()).map(|span| &span.1[..]).collect()
}

/// The spans cover `stream`: each begins where the one before ended, none is empty, frames are
/// frames.
fn assert_lossless(spans: &[Seen], stream: &[u8]) {
    let mut at = 0;
    for (offset, bytes, reason) in spans {
        assert_eq!(*offset, at as u64);
        assert!(!bytes.is_empty());
        assert_eq!(bytes[..], stream[at..at + bytes.len()]);
        assert_eq!(reason.is_none(), Frame::from_bytes(bytes).is_ok());
        at += bytes.len();
    }
    assert_eq!(at, stream.len());
}

proptest! {
    #[test]
    fn spans_are_the_input(stream in stream()) {
        assert_lossless(&deframe(&[&stream]), &stream);
    }

    #[test]
    fn any_bytes_are_spans(stream in vec(any::<u8>(), 0..1000)) {
        assert_lossless(&deframe(&[&stream]), &stream);
    }

    #[test]
    fn chunking_changes_nothing(stream in stream(), cuts in vec(any::<Index>(), 0..20)) {
        let whole: Vec<Seen> = spans(&stream).map(seen).collect();
        prop_assert_eq!(&deframe(&chunks(&stream, &cuts)), &whole);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&deframe(&bytes), &whole);
    }

    #[test]
    fn silences_anywhere_lose_nothing(
        stream in stream(), cuts in vec((any::<Index>(), 0_usize..4), 0..20)
    ) {
        let (cuts, mut idles): (Vec<Index>, Vec<usize>) = cuts.into_iter().unzip();
        idles.push(1);
        let mut deframer = Deframer::new();
        let mut out = Vec::new();
        for (chunk, idles) in chunks(&stream, &cuts).into_iter().zip(&idles) {
            feed(&mut deframer, chunk, &mut out);
            // A reader may well stop draining half-way.
            for _ in 0..*idles {
                out.extend(deframer.idle().map(seen));
            }
            let total: usize = out.iter().map(|span| span.1.len()).sum();
            prop_assert_eq!(deframer.offset(), total as u64);
        }
        silence(&mut deframer, &mut out);
        assert_lossless(&out, &stream);
    }

    #[test]
    fn all_frames_come_back_out_of_garbage(
        pieces in vec((frame(), garbage(600)), 0..10),
        first in garbage(20),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let mut stream = first;
        for (frame, garbage) in &pieces {
            stream.extend_from_slice(frame);
            stream.extend_from_slice(garbage);
        }
        let spans = deframe(&chunks(&stream, &cuts));
        prop_assert_eq!(
            frames_of(&spans),
            pieces.iter().map(|(frame, _)| &frame[..]).collect::<Vec<_>>()
        );
        prop_assert!(spans.iter().all(|span| matches!(span.2, None | Some(NoiseReason::Garbage))));
    }

    #[test]
    fn frames_inside_a_rejected_candidate_are_found(
        addr in any::<u8>(),
        len in any::<u8>(),
        filler in garbage(30),
        frames in vec(frame(), 1..4),
        tail in garbage(300),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        prop_assume!(addr != HEAD && len != HEAD);
        let mut stream = vec![HEAD, addr, len];
        stream.extend_from_slice(&filler);
        let head = stream.len();
        stream.extend(frames.concat());
        stream.extend_from_slice(&tail);
        // One candidate in 256 has the right CRC by chance, and is a frame then.
        prop_assume!(Frame::parse(&stream).is_err());
        let spans = deframe(&chunks(&stream, &cuts));
        prop_assert_eq!(frames_of(&spans), frames.iter().map(|f| &f[..]).collect::<Vec<_>>());
        prop_assert!(spans[0].2.is_some() && spans[0].1.len() <= head);
        assert_lossless(&spans, &stream);
    }

    #[test]
    fn parse_never_panics_and_agrees_with_the_deframer(bytes in stream()) {
        let first = spans(&bytes).next().map(seen);
        match Frame::parse(&bytes) {
            Ok((frame, rest)) => {
                prop_assert_eq!(frame.raw().len() + rest.len(), bytes.len());
                prop_assert_eq!(first, Some((0, frame.raw().to_vec(), None)));
            }
            Err(_) => prop_assert!(first.is_none_or(|span| span.2.is_some())),
        }
    }

    #[test]
    fn what_is_emitted_is_parsed(frame in frame()) {
        let view = Frame::from_bytes(&frame).unwrap();
        let again = Frame::to_vec(view.addr(), view.status(), view.func(), view.data());
        prop_assert_eq!(again.unwrap(), frame.clone());
        let bare = &frame[1..frame.len() - 1];
        prop_assert!(Frame::is_bare(bare));
        prop_assert_eq!(Frame::from_bare(bare).unwrap(), frame);
    }
}

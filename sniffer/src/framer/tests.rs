use super::*;
use k485_proto::deframer::{NoiseReason, spans};
use k485_proto::frame::MAX_FRAME;
use proptest::prelude::*;

const POLL: [u8; 6] = [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c];
const REPLY: [u8; 10] = [0xf7, 0x01, 0x07, 0x00, 0x0a, 0x19, 0x24, 0x00, 0x00, 0xe7];

fn framer() -> Framer {
    Framer::new("b".into())
}

#[test]
fn noise_has_the_time_of_its_own_last_byte() {
    let mut framer = framer();
    let mut records = Vec::new();
    for (time, place, bytes) in [(5, 100, &[1, 2][..]), (6, 102, &[3]), (900, 103, &POLL)] {
        let place = Place::Stream(place);
        let chunk = Chunk { time: Some(Time(time)), dir: None, place, bytes };
        framer.push(chunk, |record| records.push(record));
    }
    let got: Vec<_> = records.iter().map(|r| (r.time, r.offset, &r.bytes[..])).collect();
    assert_eq!(got, [(Some(Time(6)), 100, &[1, 2, 3][..]), (Some(Time(900)), 103, &POLL)]);
    assert_eq!(records[0].verdict, Verdict::Noise(NoiseReason::Garbage));
    assert_eq!(&*records[0].bus, "b");
}

#[test]
fn directions_do_not_mix() {
    let mut framer = framer();
    let mut records = Vec::new();
    // Byte by byte in turn, one line of two bytes of text each.
    for i in 0..REPLY.len() {
        for (dir, bytes) in [(Direction::Request, &POLL[..]), (Direction::Response, &REPLY)] {
            let line = 4 * i as u64 + if dir == Direction::Request { 0 } else { 2 };
            if let Some(byte) = bytes.get(i..=i) {
                let place = Place::Line(line);
                let chunk = Chunk { time: None, dir: Some(dir), place, bytes: byte };
                framer.push(chunk, |record| records.push(record));
            }
        }
    }
    let got: Vec<_> = records.iter().map(|r| (r.dir, r.offset, &r.bytes[..])).collect();
    let (request, response) = (Some(Direction::Request), Some(Direction::Response));
    assert_eq!(got, [(request, 0, &POLL[..]), (response, 2, &REPLY)]);
}

#[test]
fn idle_gives_what_is_left_in_order_of_place() {
    let mut framer = framer();
    let mut records = Vec::new();
    let chunks = [
        (Some(Direction::Response), 7, &REPLY[..3]),
        (Some(Direction::Request), 2, &POLL[..5]),
        (None, 4, &[0x55][..]),
    ];
    for (dir, line, bytes) in chunks {
        let chunk = Chunk { time: None, dir, place: Place::Line(line), bytes };
        framer.push(chunk, |record| records.push(record));
    }
    assert!(records.is_empty());
    assert_eq!(framer.pending(Some(Direction::Request)), 5);
    assert!(framer.is_open(Some(Direction::Response)));
    assert!(!framer.is_open(None));
    framer.idle(|record| records.push(record));
    let got: Vec<_> = records.iter().map(|r| (r.offset, r.verdict)).collect();
    assert_eq!(
        got,
        [
            (2, Verdict::Noise(NoiseReason::Truncated { need: 6, have: 5 })),
            (4, Verdict::Noise(NoiseReason::Garbage)),
            (7, Verdict::Noise(NoiseReason::Truncated { need: 10, have: 3 })),
        ]
    );
    assert_eq!(framer.pending(None), 0);
}

#[test]
fn byte_times() {
    assert_eq!(byte_time(230_400), 43_403);
    assert_eq!(byte_time(115_200), 86_806);
    assert_eq!((byte_time(1), byte_time(0)), (10_000_000_000, 0));
}

#[test]
fn frames_of_one_chunk_have_their_own_times() {
    let mut framer = framer().with_byte_time(10);
    let mut times = Vec::new();
    let mut push = |time, bytes: &[u8]| {
        let place = Place::Stream(0);
        let chunk = Chunk { time: Some(Time(time)), dir: None, place, bytes };
        framer.push(chunk, |record| times.extend(record.time.map(|time| time.0)));
    };
    push(1_000, &[POLL, POLL].concat());
    push(1_050, &[&POLL[..], &REPLY, &POLL].concat());
    // The clock was set back.
    push(500, &[POLL, POLL].concat());
    assert_eq!(times, [940, 1_000, 1_000, 1_000, 1_050, 500, 500]);
}

/// Bytes that are rich in heads, short lengths and whole frames.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(POLL.to_vec()),
        Just(REPLY.to_vec()),
        proptest::collection::vec(prop_oneof![Just(0xf7), 0u8..8, any::<u8>()], 0..40),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Against the spans of the whole stream: the same spans, at their own places, each with
    /// the time of the chunk that its last byte came in; and no note is kept for ever.
    #[test]
    fn places_and_times_are_right_in_any_chunking(
        bytes in wire(),
        sizes in proptest::collection::vec(1usize..30, 1..50),
        start in 0u64..1000,
    ) {
        let mut framer = framer();
        let (mut records, mut times) = (Vec::new(), Vec::new());
        let mut sizes = sizes.iter().cycle();
        while times.len() < bytes.len() {
            let from = times.len();
            let to = bytes.len().min(from + sizes.next().unwrap());
            let time = Some(Time(to as i64));
            times.resize(to, time);
            let place = Place::Stream(start + from as u64);
            let chunk = Chunk { time, dir: None, place, bytes: &bytes[from..to] };
            framer.push(chunk, |record| records.push(record));
            prop_assert!(framer.unknown.marks.0.len() <= MAX_FRAME + 1);
        }
        framer.idle(|record| records.push(record));
        let expected: Vec<_> = spans(&bytes)
            .map(|span| {
                let end = span.offset() as usize + span.bytes().len();
                (start + span.offset(), span.bytes().to_vec(), times[end - 1])
            })
            .collect();
        let got: Vec<_> =
            records.into_iter().map(|r| (r.offset, r.bytes, r.time)).collect();
        prop_assert_eq!(got, expected);
    }

    /// However fast bytes are handed over: a record ended when or before its chunk did, not
    /// before the chunk before it, and not before the record before it.
    #[test]
    fn byte_times_are_monotone(
        bytes in wire(),
        sizes in proptest::collection::vec(1usize..30, 1..50),
        steps in proptest::collection::vec(0i64..2_000, 1..50),
        nanos in 0i64..200,
    ) {
        let mut framer = framer().with_byte_time(nanos);
        let (mut sizes, mut steps) = (sizes.iter().cycle(), steps.iter().cycle());
        let (mut now, mut before, mut last, mut from) = (0, None, None, 0);
        while from < bytes.len() {
            let to = bytes.len().min(from + sizes.next().unwrap());
            now += steps.next().unwrap();
            let place = Place::Stream(from as u64);
            let chunk =
                Chunk { time: Some(Time(now)), dir: None, place, bytes: &bytes[from..to] };
            let mut times = Vec::new();
            framer.push(chunk, |record| {
                let ends_here = record.offset + record.bytes.len() as u64 > from as u64;
                times.push((ends_here, record.time));
            });
            for (ends_here, time) in times {
                prop_assert!(time <= Some(Time(now)) && time >= last);
                prop_assert!(!ends_here || time >= before);
                prop_assert!(framer.unknown.marks.0.len() <= MAX_FRAME + 1);
                last = time;
            }
            (before, from) = (Some(Time(now)), to);
        }
    }

    /// On a wire, where no byte takes less than its time: no record is told before it ended,
    /// and smaller chunks tell it no later.
    #[test]
    fn smaller_chunks_only_sharpen(
        bytes in wire(),
        pauses in proptest::collection::vec(prop_oneof![Just(0i64), 0..5_000i64], 1..50),
        cuts in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..60),
        nanos in 0i64..200,
    ) {
        // When each byte ended, and whether a fine and a coarse chunk ends with it.
        let (mut now, mut ends) = (0, Vec::new());
        let (mut pauses, mut cuts) = (pauses.iter().cycle(), cuts.iter().cycle());
        for at in 0..bytes.len() {
            now += nanos + pauses.next().unwrap();
            let (fine, coarse) = *cuts.next().unwrap();
            let is_last = at + 1 == bytes.len();
            ends.push((now, fine || coarse || is_last, coarse || is_last));
        }
        let times = |is_end: &dyn Fn(&(i64, bool, bool)) -> bool| {
            let mut framer = framer().with_byte_time(nanos);
            let (mut records, mut from) = (Vec::new(), 0);
            for (at, end) in ends.iter().enumerate().filter(|(_, end)| is_end(end)) {
                let place = Place::Stream(from as u64);
                let bytes = &bytes[from..=at];
                let chunk = Chunk { time: Some(Time(end.0)), dir: None, place, bytes };
                framer.push(chunk, |record| records.push(record));
                from = at + 1;
            }
            framer.idle(|record| records.push(record));
            records
        };
        let (fine, coarse) = (times(&|end| end.1), times(&|end| end.2));
        prop_assert_eq!(fine.len(), coarse.len());
        for (fine, coarse) in fine.iter().zip(&coarse) {
            let last = fine.offset as usize + fine.bytes.len() - 1;
            let ended = Some(Time(ends[last].0));
            prop_assert!(ended <= fine.time && fine.time <= coarse.time);
        }
    }
}

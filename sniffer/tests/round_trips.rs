//! What is written in a format is read back from it, as far as the format holds it.

use std::io::Cursor;
use std::sync::Arc;

use k485_proto::address::Address;
use k485_proto::deframer::spans;
use k485_proto::direction::Source;
use k485_proto::frame::Frame;
use k485_proto::record::{
    Call, Complaint, Direction, Gap, GapReason, Origin, Record, Time, Verdict,
};
use k485_proto::status::Status;
use k485_sniffer::capture::{Format, detect};
use k485_sniffer::format::write::{CaptureWriter, Item, Items, Loss, Losses};
use k485_sniffer::format::{ALL, hex, interceptty, jsonl, log, pcapng, raw};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn items(records: &[Record]) -> Vec<Item> {
    let reading: Vec<Result<Record, Complaint>> = records.iter().cloned().map(Ok).collect();
    Items::new(Box::new(reading.into_iter())).map(Result::unwrap).collect()
}

fn write<'o, W: CaptureWriter + 'o>(
    items: &[Item],
    new: impl FnOnce(&'o mut Vec<u8>) -> W,
    out: &'o mut Vec<u8>,
) -> Losses {
    let mut writer = new(out);
    items.iter().for_each(|item| writer.write(item).unwrap());
    writer.finish().unwrap();
    writer.losses().clone()
}

fn read(format: &dyn Format, bytes: Vec<u8>) -> Vec<Result<Record, Complaint>> {
    format.read("a", Box::new(Cursor::new(bytes))).collect()
}

/// The records that an input without a broken place gives.
fn whole(format: &dyn Format, bytes: Vec<u8>) -> Vec<Record> {
    read(format, bytes).into_iter().map(Result::unwrap).collect()
}

/// A record as it is read back: the direction is what stands there, the offset the format's own.
fn kept(item: &Item, sources: &[Source]) -> Record {
    let (dir, source) = item.dir();
    Record { dir: dir.filter(|_| sources.contains(&source)), offset: 0, ..item.record().clone() }
}

fn without_offset(records: Vec<Record>) -> Vec<Record> {
    records.into_iter().map(|record| Record { offset: 0, ..record }).collect()
}

/// Bytes that are rich in heads, short lengths and whole frames.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        frame(),
        vec(prop_oneof![Just(0xf7), 0u8..8, any::<u8>()], 0..40),
        Just(vec![0xf7, 0x81, 0x04, 0x00, 0x0c, 0x0b, 0x95]),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let addr = prop_oneof![1u8..5, 0x81u8..0x85, any::<u8>()];
    let status = prop_oneof![Just(0xff), Just(0), any::<u8>()];
    let func = prop_oneof![Just(0x0a), Just(0x0c), any::<u8>()];
    let data = prop_oneof![vec(any::<u8>(), 0..8), vec(any::<u8>(), 0..252)];
    (addr, status, func, data).prop_map(|(addr, status, func, data)| {
        Frame::to_vec(Address(addr), Status(status), func, &data).unwrap()
    })
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        4 => 1_700_000_000_000_000_000i64..1_700_000_003_000_000_000,
        1 => any::<i64>(),
        1 => Just(i64::MIN),
    ]
    .prop_map(Time)
}

fn bus() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![
        Just("".to_owned()),
        Just("bus0".to_owned()),
        Just("f7".to_owned()),
        "\\PC{0,8}",
        any::<String>(),
        "[-<>%#;(). \t0-9a-f]{0,4}",
    ]
    // A name in a packet file ends at its last NUL.
    .prop_map(|name| name.trim_end_matches('\0').into())
}

fn dir() -> impl Strategy<Value = Option<Direction>> {
    option::of(prop_oneof![Just(Direction::Request), Just(Direction::Response)])
}

fn call() -> impl Strategy<Value = Call> {
    any::<(u64, Option<u32>, Option<i64>)>().prop_map(|(id, timeout_ms, duration_ns)| Call {
        id,
        timeout_ms,
        duration_ns,
    })
}

/// The spans of one stream of one bus and direction, each with its own time.
fn stream() -> impl Strategy<Value = Vec<Record>> {
    let times = vec(option::weighted(0.9, time()), 40);
    (wire(), bus(), dir(), times).prop_map(|(wire, bus, dir, times)| {
        let mut times = times.into_iter().cycle();
        let record = |record: Record| {
            let time = times.next().flatten();
            Record { time, bus: bus.clone(), dir, ..record }
        };
        spans(&wire).map(|span| Record::of_span(&span)).map(record).collect()
    })
}

/// A frame of a traced call, mostly bare, or a call's return without one.
fn traced() -> impl Strategy<Value = Vec<Record>> {
    let dir = prop_oneof![Just(Direction::Request), Just(Direction::Response)];
    (frame(), 0u8..4, bus(), dir, call(), option::of(time())).prop_map(
        |(wire, kind, bus, dir, call, time)| {
            let (bytes, origin, verdict) = match kind {
                0 => (Vec::new(), Origin::Wire, Verdict::NoReply),
                1 => (wire, Origin::Wire, Verdict::Frame),
                _ => (wire[1..wire.len() - 1].to_vec(), Origin::Bare, Verdict::Frame),
            };
            let (dir, call) = (Some(dir), Some(call));
            vec![Record { time, bus, dir, offset: 0, bytes, origin, verdict, call }]
        },
    )
}

/// A bare frame that no call is known of.
fn bare() -> impl Strategy<Value = Vec<Record>> {
    (traced(), dir()).prop_map(|(records, dir)| {
        let bare = records.into_iter().filter(|record| record.verdict == Verdict::Frame);
        bare.map(|record| Record { call: None, dir, ..record }).collect()
    })
}

/// A place where bytes are missing.
fn gap() -> impl Strategy<Value = Vec<Record>> {
    let reason = prop::sample::select(&GapReason::ALL[..]);
    let size = any::<(Option<i64>, Option<u64>)>();
    (reason, size, bus(), option::of(time())).prop_map(|(reason, (ns, bytes), bus, time)| {
        vec![Record::of_gap(Gap { reason, ns, bytes }, time, bus)]
    })
}

fn capture() -> impl Strategy<Value = Vec<Record>> {
    vec(prop_oneof![3 => stream(), 1 => traced(), 1 => bare(), 1 => gap()], 0..6)
        .prop_map(|parts| parts.concat())
}

fn wire_of<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<u8> {
    records.flat_map(|r| r.wire().map_or(r.bytes.clone(), |wire| wire.into_owned())).collect()
}

const TOLD: &[Source] = &[Source::Given, Source::Certain];

proptest! {
    #[test]
    fn a_log_keeps_everything(records in capture()) {
        let items = items(&records);
        let mut out = Vec::new();
        let losses = write(&items, log::Writer::new, &mut out);
        prop_assert!(losses.is_empty());
        let expected: Vec<_> = items.iter().map(|item| kept(item, TOLD)).collect();
        let text = String::from_utf8(out.clone()).unwrap();
        if !items.is_empty() {
            prop_assert_eq!(detect(ALL, &out).map(|format| format.name()), Ok("log"), "{}", text);
        }
        prop_assert_eq!(without_offset(whole(&log::Log, out)), expected, "{}", text);
    }

    #[test]
    fn pcapng_keeps_all_but_calls_without_a_reply(records in capture()) {
        let items = items(&records);
        let mut out = Vec::new();
        let options = pcapng::Options { baud: Some(230_400), program: "k485".to_owned() };
        let losses = write(&items, |out| pcapng::Writer::new(out, options), &mut out);
        let held = items.iter().filter(|item| !matches!(item, Item::NoReply(_)));
        let expected: Vec<_> = held.map(|item| kept(item, TOLD)).collect();
        prop_assert_eq!(losses.count(Loss::NoReply), (items.len() - expected.len()) as u64);
        prop_assert_eq!(detect(ALL, &out).map(|format| format.name()), Ok("pcapng"));
        prop_assert_eq!(without_offset(whole(&pcapng::Pcapng, out)), expected);
    }

    #[test]
    fn jsonl_keeps_all_but_calls(records in capture()) {
        let items = items(&records);
        let mut out = Vec::new();
        let losses = write(&items, jsonl::Writer::new, &mut out);
        let held = items.iter().filter(|item| !matches!(item, Item::NoReply(_)));
        let expected: Vec<_> = held
            .map(|item| Record { call: None, ..kept(item, &[Source::Given]) })
            .collect();
        let calls = items.iter().filter(|item| item.record().call.is_some()).count();
        prop_assert_eq!(losses.count(Loss::Call), calls as u64);
        if !expected.is_empty() {
            prop_assert_eq!(detect(ALL, &out).map(|format| format.name()), Ok("jsonl"));
        }
        prop_assert_eq!(without_offset(whole(&jsonl::Jsonl, out)), expected);
    }

    /// Every byte in its order, whatever the capture.
    #[test]
    fn raw_and_hex_keep_the_bytes(records in capture()) {
        let items = items(&records);
        let bytes = wire_of(records.iter());
        let mut out = Vec::new();
        let gaps = items.iter().filter(|item| matches!(item, Item::Gap(_))).count() as u64;
        let losses = write(&items, raw::Writer::new, &mut out);
        prop_assert_eq!(&out, &bytes);
        prop_assert_eq!(losses.count(Loss::Gap), gaps);
        let mut out = Vec::new();
        let losses = write(&items, hex::Writer::new, &mut out);
        prop_assert_eq!(losses.count(Loss::Gap), gaps);
        let text = String::from_utf8(out.clone()).unwrap();
        let got = whole(&hex::Hex, out);
        prop_assert_eq!(wire_of(got.iter()), bytes, "{}", text);
        // Bare frames stay so, but those that are counted; none comes from nowhere.
        let bare = |records: &[Record]| {
            records.iter().filter(|r| r.origin == Origin::Bare).map(|r| r.bytes.clone()).collect::<Vec<_>>()
        };
        let mut out = Vec::new();
        let losses = write(&items, hex::Writer::new, &mut out);
        let (before, after) = (bare(&records), bare(&got));
        prop_assert_eq!(before.len() as u64, after.len() as u64 + losses.count(Loss::Bare), "{}", text);
        prop_assert!(after.iter().all(|bytes| before.contains(bytes)));
    }

    /// Of one stream the spans too, and in hex the times.
    #[test]
    fn raw_and_hex_keep_the_spans_of_a_stream(records in stream()) {
        // Without a gap that would end a frame which is cut off.
        let timed = |(at, record)| Record { time: Some(Time(at as i64)), ..record };
        let records: Vec<_> = records.into_iter().enumerate().map(timed).collect();
        let items = items(&records);
        let plain = |r: &Record| (r.bytes.clone(), r.verdict, r.origin);
        let mut out = Vec::new();
        write(&items, raw::Writer::new, &mut out);
        let got: Vec<_> = whole(&raw::Raw, out).iter().map(plain).collect();
        prop_assert_eq!(got, records.iter().map(plain).collect::<Vec<_>>());
        let mut out = Vec::new();
        write(&items, hex::Writer::new, &mut out);
        let text = String::from_utf8(out.clone()).unwrap();
        let timed = |r: &Record| (r.time, r.bytes.clone(), r.verdict, r.origin);
        let got: Vec<_> = whole(&hex::Hex, out).iter().map(timed).collect();
        prop_assert_eq!(got, records.iter().map(timed).collect::<Vec<_>>(), "{}", text);
    }

    #[test]
    fn interceptty_keeps_each_directions_bytes(records in capture()) {
        let items = items(&records);
        let mut out = Vec::new();
        let losses = write(&items, interceptty::Writer::new, &mut out);
        let got = whole(&interceptty::Interceptty, out);
        for dir in [Direction::Request, Direction::Response] {
            let sent = items.iter().filter(|item| item.dir().0 == Some(dir));
            let sent: Vec<u8> = sent.flat_map(|item| item.wire().to_vec()).collect();
            prop_assert_eq!(wire_of(got.iter().filter(|r| r.dir == Some(dir))), sent);
        }
        let undirected = items.iter().filter(|item| item.dir().0.is_none());
        let (gaps, spans): (Vec<_>, Vec<_>) =
            undirected.partition(|item| matches!(item, Item::Gap(_)));
        prop_assert_eq!(losses.count(Loss::Undirected), spans.len() as u64);
        prop_assert_eq!(losses.count(Loss::Gap), gaps.len() as u64);
    }

    /// A broken line in the middle: told with its number, and the rest is read.
    #[test]
    fn a_broken_line_costs_itself(
        records in vec(stream(), 1..4),
        at in any::<prop::sample::Index>(),
        junk in "[^\\s#{(\u{feff}][^\n\r]{0,20}",
    ) {
        let records = records.concat();
        prop_assume!(!records.is_empty());
        let items = items(&records);
        for is_log in [true, false] {
            let mut out = Vec::new();
            let format: &dyn Format = if is_log {
                write(&items, log::Writer::new, &mut out);
                &log::Log
            } else {
                write(&items, jsonl::Writer::new, &mut out);
                &jsonl::Jsonl
            };
            let mut lines: Vec<&[u8]> = out.split_inclusive(|byte| *byte == b'\n').collect();
            let at = at.index(lines.len() + 1);
            let line = format!("{junk}\n");
            lines.insert(at, line.as_bytes());
            let (complaints, got): (Vec<_>, Vec<_>) =
                read(format, lines.concat()).into_iter().partition(Result::is_err);
            let places: Vec<_> = complaints.into_iter().map(|c| c.unwrap_err().place).collect();
            prop_assert_eq!(places, vec![format!("a:{}", at + 1)]);
            let whole = whole(format, out).into_iter().map(|r| Record { offset: 0, ..r });
            let got = got.into_iter().map(|r| Record { offset: 0, ..r.unwrap() });
            prop_assert_eq!(got.collect::<Vec<_>>(), whole.collect::<Vec<_>>());
        }
    }

    /// A broken block in the middle: told with its offset, and the rest is read.
    #[test]
    fn a_broken_block_costs_itself(
        records in stream(),
        at in any::<prop::sample::Index>(),
        how in 0..4,
        junk in vec(any::<u8>(), 1..40),
    ) {
        prop_assume!(!records.is_empty());
        let items = items(&records);
        let mut out = Vec::new();
        let options = pcapng::Options::default();
        write(&items, |out| pcapng::Writer::new(out, options), &mut out);
        let before = whole(&pcapng::Pcapng, out.clone());
        let at = at.index(before.len());
        let victim = before[at].offset;
        let begin = usize::try_from(victim).unwrap();
        let size = u32::from_le_bytes(out[begin + 4..begin + 8].try_into().unwrap()) as usize;
        let (mut expected, mut place) = (before.clone(), victim);
        match how {
            // The size at its beginning, at its end; a piece lost.
            0 => out[begin + 4..begin + 8].fill(0xff),
            1 => out[begin + size - 1] ^= 0x80,
            2 => drop(out.drain(begin + 9..begin + 9 + junk.len().min(size - 12))),
            // Something between two blocks.
            _ => {
                // No byte of it may begin a block.
                out.splice(begin..begin, junk.iter().map(|byte| byte | 0x80));
                place = victim;
            }
        }
        if how < 3 {
            expected.remove(at);
        }
        let (complaints, got): (Vec<_>, Vec<_>) =
            read(&pcapng::Pcapng, out).into_iter().partition(Result::is_err);
        let places: Vec<_> = complaints.into_iter().map(|c| c.unwrap_err().place).collect();
        prop_assert_eq!(places, vec![format!("a at byte {place}")]);
        let got: Vec<_> = got.into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(without_offset(got), without_offset(expected));
    }

    #[test]
    fn nothing_panics(bytes in vec(any::<u8>(), 0..300), text in "[-(){}0-9a-f.:;,\"a-z <>#%\n]{0,200}") {
        for format in ALL {
            for input in [&bytes[..], text.as_bytes()] {
                let _ = format.detect(input);
                read(*format, input.to_vec());
            }
        }
        let section = [&[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..],
            &[0xff; 8], &[28, 0, 0, 0], &bytes].concat();
        read(&pcapng::Pcapng, section);
    }

    /// Whatever happens to a byte of a packet file.
    #[test]
    fn nothing_that_is_almost_right_panics(
        records in capture(),
        damages in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let items = items(&records);
        let mut out = Vec::new();
        write(&items, |out| pcapng::Writer::new(out, pcapng::Options::default()), &mut out);
        for (at, byte) in damages {
            let at = at.index(out.len());
            out[at] = byte;
        }
        read(&pcapng::Pcapng, out);
    }
}

//! The formats that keep spans (log, jsonl, pcapng), pcap, the texts of other tools, and what is
//! packed in gzip or zstd: reading any file, and writing again what was read.
//!
//! Input: see [`k485_fuzz::RAW`]. Any other makes a capture, which is written in one of the
//! formats, spoiled at some bytes and mostly packed or cut.

#![no_main]

use std::io::{BufReader, Cursor, Read, Write};

use arbitrary::{Result, Unstructured};
use k485_fuzz::RAW;
use k485_fuzz::capture::{Step, steps};
use k485_proto::direction::Source;
use k485_proto::record::{Complaint, Record, Verdict};
use k485_sniffer::capture::{Format, open, unpacked};
use k485_sniffer::format::compressed::Packing;
use k485_sniffer::format::jsonl::Jsonl;
use k485_sniffer::format::log::Log;
use k485_sniffer::format::pcap::Pcap;
use k485_sniffer::format::pcapng::{self, Pcapng};
use k485_sniffer::format::write::{CaptureWriter, Item, Items};
use k485_sniffer::format::{ALL, jsonl, log};
use libfuzzer_sys::fuzz_target;

type Reading = Vec<std::result::Result<Record, Complaint>>;

/// More than this is not unpacked: a few bytes of zeros, packed, would be all that is ever run.
const UNPACKED: u64 = 1 << 16;

/// The formats that are only read, a line at a time.
const TOOLS: [&str; 7] = ["saleae", "sigrok", "socat", "strace", "json", "monitor", "table"];

/// The records as items of a capture.
fn items(records: Vec<Record>) -> Vec<Item> {
    let items: std::result::Result<_, Complaint> =
        Items::new(Box::new(records.into_iter().map(Ok))).collect();
    items.expect("only what is read is complained about")
}

fn write<'o, W: CaptureWriter + 'o>(
    items: &[Item],
    new: impl FnOnce(&'o mut Vec<u8>) -> W,
    out: &'o mut Vec<u8>,
) {
    let mut writer = new(out);
    items.iter().for_each(|item| writer.write(item).expect("a vector takes everything"));
    writer.finish().expect("a vector takes everything");
}

/// A packet file of the old kind, in either byte order.
fn pcap(u: &mut Unstructured<'_>, items: &[Item]) -> Result<Vec<u8>> {
    let (big, nano): (bool, bool) = u.arbitrary()?;
    let number = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let magic = if nano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let version = if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
    let mut file = [number(magic), version, [0; 4], [0; 4], number(65_535), number(147)].concat();
    for item in items {
        let (seconds, units) = (u.int_in_range(0..=9)?, u.int_in_range(0..=999_999)?);
        let size = item.wire().len() as u32;
        file.extend([seconds, units, size, size].map(number).concat());
        file.extend(item.wire());
    }
    Ok(file)
}

/// A file of a generated capture.
fn file(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let (format, packing) = (u.int_in_range(0..=3)?, u.int_in_range(0..=3)?);
    let (spoiled, cut) = (u.int_in_range(0..=3)?, u.ratio(1, 8)?);
    let changes: Vec<(u16, u8, u8)> = (0..spoiled).map(|_| u.arbitrary()).collect::<Result<_>>()?;
    let mut own = Unstructured::new(u.peek_bytes(u.len()).unwrap_or_default());
    let pushed = steps(u)?.into_iter().filter_map(|step| match step {
        Step::Push(record) => Some(record),
        Step::Tick(_) => None,
    });
    let items = items(pushed.collect());
    let mut out = Vec::new();
    match format {
        0 => write(&items, log::Writer::new, &mut out),
        1 => write(&items, jsonl::Writer::new, &mut out),
        2 => write(&items, |out| pcapng::Writer::new(out, pcapng::Options::default()), &mut out),
        _ => out = pcap(&mut own, &items)?,
    }
    spoil(&mut out, &changes);
    let packing = match packing {
        0 => Some(Packing::Gzip),
        1 => Some(Packing::Zstd),
        _ => None,
    };
    if let Some(packing) = packing {
        let mut packer = packing.writer(Vec::new()).expect("there is memory");
        packer.write_all(&out).expect("a vector takes everything");
        out = packer.finish().expect("a vector takes everything");
        if cut {
            spoil(&mut out, &[(own.arbitrary()?, own.arbitrary()?, 2)]);
        }
    }
    Ok(out)
}

/// Changes a byte, puts one in, takes one out or cuts what follows.
fn spoil(out: &mut Vec<u8>, changes: &[(u16, u8, u8)]) {
    for (at, byte, how) in changes {
        if out.is_empty() {
            return;
        }
        let at = usize::from(*at) % out.len();
        match how % 8 {
            0..=2 => out[at] = *byte,
            3 | 4 => out.insert(at, *byte),
            5 | 6 => drop(out.remove(at)),
            _ => out.truncate(at),
        }
    }
}

/// Gives a few bytes a read.
struct Slow(Cursor<Vec<u8>>);

impl Read for Slow {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let size = buf.len().min(3);
        self.0.read(&mut buf[..size])
    }
}

/// Reads all of `input`, and once more in very small pieces, which must not change anything.
fn read(format: &dyn Format, input: &[u8]) -> Reading {
    let items: Reading = format.read("x", Box::new(Cursor::new(input.to_vec()))).collect();
    let slow = BufReader::with_capacity(3, Cursor::new(input.to_vec()));
    let again: Reading = format.read("x", Box::new(slow)).collect();
    assert_eq!(items, again, "{} depends on how its input is cut", format.name());
    items
}

/// What holds for every reading.
fn check(items: &Reading, most_complaints: usize) {
    for record in items.iter().flatten() {
        assert_eq!(record.wire().is_some(), record.verdict == Verdict::Frame, "{record:?}");
        let is_empty = matches!(record.verdict, Verdict::NoReply | Verdict::Gap(_));
        assert_eq!(record.bytes.is_empty(), is_empty, "{record:?}");
    }
    let complaints: Vec<_> = items.iter().filter_map(|item| item.as_ref().err()).collect();
    assert!(complaints.len() <= most_complaints, "{complaints:?}");
    for complaint in complaints {
        // One line may be a mebibyte; what is told of it may not.
        assert!(complaint.to_string().chars().count() < 300, "{complaint}");
        assert!(!complaint.to_string().contains(char::is_control), "{complaint:?}");
    }
    let fatal = |item: &std::result::Result<_, Complaint>| item.as_ref().is_err_and(|c| c.fatal);
    assert!(!items.iter().rev().skip(1).any(fatal), "something follows what is fatal");
}

/// A record as a format gives it back: the direction where it is of these, the offset its own.
fn kept(item: &Item, sources: &[Source]) -> Record {
    let (dir, source) = item.dir();
    Record { dir: dir.filter(|_| sources.contains(&source)), offset: 0, ..item.record().clone() }
}

/// What was read, written and read again, is the same.
fn check_written(reading: &Reading) {
    const TOLD: &[Source] = &[Source::Given, Source::Certain];
    let items = items(reading.iter().flatten().cloned().collect());
    let back = |format: &dyn Format, out: Vec<u8>| -> Vec<Record> {
        let all = format.read("x", Box::new(Cursor::new(out)));
        let whole = all.map(|item| item.unwrap_or_else(|what| panic!("{}: {what}", format.name())));
        whole.map(|record| Record { offset: 0, ..record }).collect()
    };
    let replies = || items.iter().filter(|item| !matches!(item, Item::NoReply(_)));

    let mut out = Vec::new();
    write(&items, log::Writer::new, &mut out);
    let text = String::from_utf8_lossy(&out).into_owned();
    let expected: Vec<_> = items.iter().map(|item| kept(item, TOLD)).collect();
    assert_eq!(back(&Log, out), expected, "{text}");

    let mut out = Vec::new();
    write(&items, jsonl::Writer::new, &mut out);
    let text = String::from_utf8_lossy(&out).into_owned();
    let without_call = |record| Record { call: None, ..record };
    let expected: Vec<_> =
        replies().map(|item| without_call(kept(item, &[Source::Given]))).collect();
    assert_eq!(back(&Jsonl, out), expected, "{text}");

    // A name in a packet file ends at its last NUL.
    if items.iter().any(|item| item.record().bus.ends_with('\0')) {
        return;
    }
    let mut out = Vec::new();
    write(&items, |out| pcapng::Writer::new(out, pcapng::Options::default()), &mut out);
    let expected: Vec<_> = replies().map(|item| kept(item, TOLD)).collect();
    assert_eq!(back(&Pcapng, out), expected);
}

/// Whatever format is found, packed or not, and however slowly the file comes.
fn check_open(input: &[u8]) {
    let mut size = Vec::new();
    let all = unpacked(Box::new(Cursor::new(input.to_vec()))).expect("a cursor cannot fail");
    // What is damaged gives what comes before.
    let _ = all.take(UNPACKED + 1).read_to_end(&mut size);
    if size.len() as u64 > UNPACKED {
        return;
    }
    let lines = size.iter().filter(|byte| **byte == b'\n').count();
    let quick = open(ALL, "x", Box::new(Cursor::new(input.to_vec())));
    let slow = open(ALL, "x", Box::new(Slow(Cursor::new(input.to_vec()))));
    let quick = quick.ok().map(|(format, reading)| (format.name(), reading.collect::<Reading>()));
    let slow = slow.ok().map(|(format, reading)| (format.name(), reading.collect::<Reading>()));
    if let Some((_, items)) = &quick {
        check(items, lines + size.len() / 6 + 3);
    }
    // How much comes of the last piece before a damaged place depends on the piece.
    let whole =
        |items: &Reading| !items.iter().flat_map(|item| item.as_ref().err()).any(|c| c.fatal);
    match (quick, slow) {
        (Some((quick, of_quick)), Some((slow, of_slow)))
            if quick == slow && whole(&of_quick) && whole(&of_slow) =>
        {
            assert_eq!(of_quick, of_slow, "{quick} depends on how its input is cut");
        }
        // A slow input may show less of itself before its format has to be known.
        _ => {}
    }
}

fuzz_target!(|input: &[u8]| {
    let file = match input {
        [RAW, file @ ..] => file.to_vec(),
        seed => match file(&mut Unstructured::new(seed)) {
            Ok(file) => file,
            Err(_) => return,
        },
    };
    let lines = file.split(|byte| *byte == b'\n').count();
    // Two broken places have a block between them.
    let blocks = file.len() / 6 + 2;
    for (format, most) in
        [(&Log as &dyn Format, lines), (&Jsonl, lines), (&Pcapng, blocks), (&Pcap, blocks)]
    {
        let reading = read(format, &file);
        check(&reading, most);
        check_written(&reading);
    }
    // The texts of other tools: a line may give a complaint of its own and one about what came
    // before it.
    for format in ALL.iter().filter(|format| TOOLS.contains(&format.name())) {
        let reading = read(*format, &file);
        check(&reading, 2 * lines + 2);
        check_written(&reading);
    }
    check_open(&file);
});

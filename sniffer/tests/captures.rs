//! The readers over real captures, in the folder that `K485_CAPTURES` names; without it the tests
//! report as ignored.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use k485_proto::frame::Frame;
use k485_proto::record::{Direction, Origin, Record, Verdict};
use k485_sniffer::capture::{HEAD_SIZE, Undetected, detect, open};
use k485_sniffer::format::{ALL, hex::read_hex_text};
use libtest_mimic::{Arguments, Failed, Trial};

type Outcome = Result<(), Failed>;
type Test = fn(&Path) -> Outcome;

fn main() {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os("K485_CAPTURES").map(PathBuf::from);
    let tests: [(&str, Test); 4] = [
        ("a_tapped_filament_change", a_tapped_filament_change),
        ("raw_bytes_of_a_buffer_test", raw_bytes_of_a_buffer_test),
        ("traces_and_tables_are_not_claimed", traces_and_tables_are_not_claimed),
        ("every_known_frame_as_hex", every_known_frame_as_hex),
    ];
    let trials = tests.map(|(name, test)| match folder.clone() {
        Some(folder) => Trial::test(name, move || test(&folder)),
        None => Trial::test(format!("{name} (K485_CAPTURES is unset)"), || Ok(()))
            .with_ignored_flag(true),
    });
    libtest_mimic::run(&arguments, trials.into()).exit();
}

/// The format that a file is detected as, and its records; a complaint fails.
fn read(path: &Path) -> Result<(&'static str, Vec<Record>), Failed> {
    let (format, items) = open(ALL, &path.display().to_string(), Box::new(File::open(path)?))?;
    Ok((format.name(), items.collect::<Result<_, _>>()?))
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Outcome {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what}: {got:?}, expected {expected:?}").into())
}

fn bytes_of(records: &[Record], dir: Option<Direction>) -> Vec<u8> {
    let records = records.iter().filter(|record| record.dir == dir);
    records.flat_map(|record| record.bytes.clone()).collect()
}

fn a_tapped_filament_change(folder: &Path) -> Outcome {
    let path = folder.join("captures/wire/interceptty-filament-change.txt");
    let (format, records) = read(&path)?;
    equal("format", format, "interceptty")?;
    equal("records", records.len(), 545)?;
    equal("all are frames", records.iter().all(|r| r.verdict == Verdict::Frame), true)?;
    // Against the text, read in the plainest way; and each offset is that of a head's line.
    // The program writes characters above 7F as they are, so the text is not UTF-8.
    let text = fs::read(&path)?;
    for (sign, dir) in [(b'<', Direction::Request), (b'>', Direction::Response)] {
        let lines = text.split(|byte| *byte == b'\n').filter(|line| line.first() == Some(&sign));
        let numbers = lines.map(|line| line[1..].trim_ascii_start().get(2..4).unwrap_or_default());
        let bytes: Vec<u8> = numbers
            .map(|number| Ok(u8::from_str_radix(std::str::from_utf8(number)?, 16)?))
            .collect::<Result<_, Failed>>()?;
        equal("bytes of a direction", bytes_of(&records, Some(dir)), bytes)?;
        for record in records.iter().filter(|record| record.dir == Some(dir)) {
            let line = &text[usize::try_from(record.offset)?..];
            equal("direction of the line", line[0], sign)?;
            equal("head in the line", line[1..].trim_ascii_start().starts_with(b"0xf7"), true)?;
        }
    }
    Ok(())
}

fn raw_bytes_of_a_buffer_test(folder: &Path) -> Outcome {
    let path = folder.join("captures/wire/hi-buffer-test.bin");
    let (format, records) = read(&path)?;
    equal("format", format, "raw")?;
    equal("records", records.len(), 331)?;
    equal("all are frames", records.iter().all(|r| r.verdict == Verdict::Frame), true)?;
    equal("bytes", bytes_of(&records, None), fs::read(&path)?)
}

fn traces_and_tables_are_not_claimed(folder: &Path) -> Outcome {
    let mut seen = 0;
    for entry in fs::read_dir(folder.join("captures"))? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || entry.file_name() == "wire" {
            continue;
        }
        for file in fs::read_dir(entry.path())? {
            let path = file?.path();
            let bytes = fs::read(&path)?;
            let head = &bytes[..bytes.len().min(HEAD_SIZE)];
            let detected = detect(ALL, head).map(|format| format.name());
            equal(&path.display().to_string(), detected, Err(Undetected::Text))?;
            seen += 1;
        }
    }
    equal("traces", seen > 0, true)
}

fn every_known_frame_as_hex(folder: &Path) -> Outcome {
    let entries: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("frames.json"))?)?;
    let strings = entries.as_array().into_iter().flatten();
    let strings: Vec<&str> = strings.filter_map(|entry| entry["hex"].as_str()).collect();
    equal("frames", strings.len(), 276)?;
    for text in &strings {
        let records: Vec<Record> = read_hex_text("hex", text).collect::<Result<_, _>>()?;
        equal(text, records.len(), 1)?;
        equal(text, Frame::from_bytes(&records[0].bytes).is_ok(), true)?;
        // Bare, it is one record too, and the same frame.
        let bare = &text[2..text.len() - 2];
        let records: Vec<Record> = read_hex_text("hex", bare).collect::<Result<_, _>>()?;
        let origins: Vec<_> = records.iter().map(|record| record.origin).collect();
        equal(text, origins, vec![Origin::Bare])?;
        let wire = records[0].wire().map(|wire| k485_proto::frame::Hex(&wire).to_string());
        equal(text, wire.as_deref(), Some(text))?;
    }
    // All of them as one text, cut into lines at any place.
    let text = strings.concat();
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(38)
        .map(|line| std::str::from_utf8(line))
        .collect::<Result<_, _>>()?;
    let records: Vec<Record> = read_hex_text("hex", &lines.join("\n")).collect::<Result<_, _>>()?;
    equal("records of the whole text", records.len(), 276)
}

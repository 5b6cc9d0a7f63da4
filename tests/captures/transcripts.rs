//! Dialogues of the vendor's host with a slave: the directions are known, and are worked out again
//! from the frames and their times alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use k485_proto::record::{Direction, Record, Time};
use k485_sniffer::framer::{Chunk, Framer, Place};

use crate::common::bytes;
use crate::{Directions, Outcome, ensure, observed, outcomes, seen};

/// As long as the box firmware waits inside a frame.
const SILENCE: i64 = 120 * Time::MILLISECOND;

/// A line's time, direction and bytes.
fn parse(line: &str) -> Option<(Time, Direction, Vec<u8>)> {
    let mut words = line.split_whitespace();
    let (time, dir, hex) = (words.next()?, words.next()?, words.next()?);
    let dir = match dir {
        "H>" => Direction::Request,
        "S<" => Direction::Response,
        _ => return None,
    };
    let (whole, part) = time.split_once('.')?;
    let nanos =
        whole.parse::<i64>().ok()? * Time::SECOND + format!("{part:0<9}").parse::<i64>().ok()?;
    Some((Time(nanos), dir, bytes(hex)))
}

/// The records of a transcript, without directions, and the direction of each line.
fn records(text: &str) -> (Vec<Record>, BTreeMap<u64, Direction>) {
    let mut framer = Framer::new(Arc::from(""));
    let (mut records, mut truth) = (Vec::new(), BTreeMap::new());
    let mut last = None::<Time>;
    for (number, line) in text.lines().enumerate() {
        let Some((time, dir, bytes)) = parse(line) else { continue };
        if last.is_some_and(|last| time.since(last) > SILENCE) {
            framer.idle(|record| records.push(record));
        }
        last = Some(time);
        truth.insert(number as u64, dir);
        let place = Place::Line(number as u64);
        let chunk = Chunk { time: Some(time), dir: None, place, bytes: &bytes };
        framer.push(chunk, |record| records.push(record));
    }
    framer.idle(|record| records.push(record));
    (records, truth)
}

pub(crate) fn directions(folder: &Path) -> Outcome {
    let mut report = String::new();
    let mut wrong = 0;
    let mut files: Vec<_> = fs::read_dir(folder.join("transcripts"))?.collect::<Result<_, _>>()?;
    files.sort_by_key(|file| file.file_name());
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".txt") {
            continue;
        }
        let text = fs::read_to_string(file.path())?;
        let (records, truth) = records(&text);
        let seen = seen(records);
        let mut directions = Directions::default();
        for observed in observed(&seen) {
            let line = observed.record.offset;
            let place = format!("line {}", line + 1);
            directions.add(&observed.frame(), observed.dir, truth[&line], &place);
        }
        ensure!(directions.right > 0, "{name}: no frames");
        wrong += directions.wrong.len();
        report += &format!("\n  {name}: {directions}; {:?}", outcomes(&seen));
    }
    ensure!(wrong == 0, "{report}");
    Ok(report)
}

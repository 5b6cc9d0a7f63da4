//! A file that reaches a limit of its size: the write fails half way. One test, since the limit is
//! the process's.

use k485_proto::deframer::spans;
use k485_proto::exchange::Pairer;
use k485_proto::record::{Record, Time};
use k485_sniffer::capture::Format;
use k485_sniffer::format::pcapng::Pcapng;
use k485_sniffer::format::write::Item;
use k485_sniffer::keep::{KeepEvent, Keeper, Options, StopReason};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io::{Cursor, ErrorKind};

const POLL: [u8; 6] = [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c];
/// In no record's end.
const LIMIT: u64 = 100_001;

/// Puts the limit back, also for a failure that is told: where the tests write to may be a file that is
/// larger.
struct Back(Rlimit);

impl Drop for Back {
    fn drop(&mut self) {
        setrlimit(Resource::Fsize, self.0).expect("a soft limit goes back up to the hard one");
    }
}

#[test]
fn a_half_written_record_is_cut_off() {
    let before = getrlimit(Resource::Fsize);
    let limit = Rlimit { current: Some(LIMIT), ..before };
    setrlimit(Resource::Fsize, limit).unwrap();
    let back = Back(before);
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("a.pcapng");
    let mut keeper =
        Keeper::create(Options { path: path.clone(), ..Options::default() }, Time(0)).unwrap();
    let mut pairer = Pairer::new();
    let mut given = 0;
    let mut told = Vec::new();
    let frame = spans(&POLL).map(|span| Record::of_span(&span)).next().unwrap();
    for at in 0..10_000 {
        pairer.push(Record { time: Some(Time(at)), ..frame.clone() });
        while let Some(seen) = pairer.pull() {
            if let Some(item) = Item::of(&seen) {
                keeper.write(&item, Time(at));
                given += 1;
            }
        }
        told.extend(std::iter::from_fn(|| keeper.event()));
    }
    let summary = keeper.finish(Time(20_000)).clone();
    drop(back);
    let size = fs::metadata(&path).unwrap().len();
    assert!(size < LIMIT && size > LIMIT - 200, "{size}");
    assert_eq!(summary.bytes, size);
    let bytes = fs::read(&path).unwrap();
    let records: Vec<Record> =
        Pcapng.read("a", Box::new(Cursor::new(bytes))).map(Result::unwrap).collect();
    assert_eq!(records.len() as u64, summary.records);
    assert_eq!(summary.records + summary.missed, given);
    let [KeepEvent::Stopped(stop)] = &told[..] else { panic!("{told:?}") };
    let is_too_large =
        matches!(&stop.reason, StopReason::Failed { kind: ErrorKind::FileTooLarge, .. });
    assert!(is_too_large, "{stop:?}");
    // The first record that is missing.
    assert_eq!(stop.since, Time(summary.records as i64));
    assert_eq!(records.last().unwrap().time, Some(Time(summary.records as i64 - 1)));
    assert!(!summary.is_complete());
}

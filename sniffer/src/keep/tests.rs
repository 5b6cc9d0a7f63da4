use super::*;
use crate::capture::Format;
use crate::format::{ALL, jsonl, log};
use k485_proto::deframer::spans;
use k485_proto::exchange::Pairer;
use k485_proto::record::{Gap, GapReason, Record};
use proptest::prelude::*;
use std::fs;
use std::io::Cursor;
use tempfile::TempDir;

const WIRE: [u8; 16] = [
    0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c, 0xf7, 0x01, 0x07, 0x00, 0x0a, 0x19, 0x24, 0x00, 0x00, 0xe7,
];
const START: i64 = 1_767_293_742 * Time::SECOND;

/// So many records of two buses, a millisecond apart, with noise and a gap among them.
fn items(count: usize) -> Vec<Item> {
    let mut bytes = WIRE.repeat(count / 2 + 1);
    bytes.splice(16..16, [0x55; 3]);
    let records = spans(&bytes).map(|span| Record::of_span(&span)).take(count);
    let mut pairer = Pairer::new();
    for (at, record) in records.enumerate() {
        let time = Some(Time(START + at as i64 * Time::MILLISECOND));
        let bus = if at % 5 == 4 { "b" } else { "a" }.into();
        if at == 6 {
            let gap = Gap { reason: GapReason::Overrun, ns: None, bytes: Some(3) };
            pairer.push(Record::of_gap(gap, time, bus));
        } else {
            pairer.push(Record { time, bus, ..record });
        }
    }
    std::iter::from_fn(|| pairer.pull()).filter_map(|seen| Item::of(&seen)).collect()
}

fn options(folder: &TempDir, name: &str) -> Options {
    let about = pcapng::Options { baud: Some(230_400), program: "k485".to_owned() };
    Options { path: folder.path().join(name), about, ..Options::default() }
}

fn now(ms: i64) -> Time {
    Time(START + ms * Time::MILLISECOND)
}

/// The records of a file, which must have no broken place.
fn read(path: &Path) -> Vec<Record> {
    let bytes = fs::read(path).unwrap();
    let format: &dyn Format = match Written::of_name(path).unwrap_or(Written::Pcapng) {
        Written::Log => &log::Log,
        Written::Jsonl => &jsonl::Jsonl,
        _ => &crate::format::pcapng::Pcapng,
    };
    format.read("a", Box::new(Cursor::new(bytes))).map(Result::unwrap).collect()
}

/// What is the same in a record that was written and read.
fn plain(record: &Record) -> (Option<Time>, String, Vec<u8>) {
    (record.time, record.bus.to_string(), record.bytes.clone())
}

fn plain_items(items: &[Item]) -> Vec<(Option<Time>, String, Vec<u8>)> {
    items.iter().map(|item| plain(item.record())).collect()
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn events(keeper: &mut Keeper) -> Vec<KeepEvent> {
    std::iter::from_fn(|| keeper.event()).collect()
}

#[test]
fn what_is_kept_is_there_in_time() {
    let folder = TempDir::new().unwrap();
    let mut keeper = Keeper::create(options(&folder, "a.pcapng"), now(0)).unwrap();
    let path = keeper.path().unwrap().to_owned();
    // It can be read before anything was seen.
    assert_eq!(read(&path), []);
    assert!(ALL[0].detect(&fs::read(&path).unwrap()) > crate::capture::Likelihood::No);
    let items = items(3);
    keeper.write(&items[0], now(0));
    keeper.write(&items[1], now(100));
    assert_eq!(read(&path), [], "gathered");
    keeper.tick(now(199));
    assert_eq!(read(&path), []);
    keeper.tick(now(200));
    assert_eq!(read(&path).len(), 2);
    keeper.write(&items[2], now(250));
    assert_eq!(keeper.summary().records, 2);
    let summary = keeper.finish(now(260)).clone();
    assert_eq!(read(&path).iter().map(plain).collect::<Vec<_>>(), plain_items(&items));
    assert_eq!((summary.records, summary.files), (3, 1));
    assert_eq!(summary.bytes, fs::metadata(&path).unwrap().len());
    assert!(summary.is_complete());
    keeper.write(&items[0], now(300));
    assert_eq!(keeper.summary().missed, 1, "it had ended");
    drop(keeper);
    // Who gives up loses nothing.
    let mut keeper = Keeper::create(options(&folder, "b.log"), now(0)).unwrap();
    keeper.write(&items[0], now(0));
    drop(keeper);
    assert_eq!(read(&folder.path().join("b.log")).len(), 1);
}

#[test]
fn much_does_not_wait() {
    let folder = TempDir::new().unwrap();
    let mut keeper = Keeper::create(options(&folder, "a.raw"), now(0)).unwrap();
    let items = items(20_000);
    items.iter().for_each(|item| keeper.write(item, now(0)));
    let size = fs::metadata(folder.path().join("a.raw")).unwrap().len();
    assert!(size >= BATCH as u64, "{size}");
    let losses = keeper.finish(now(1)).losses.clone();
    assert_eq!(losses.count(crate::format::write::Loss::Gap), 1);
}

#[test]
fn what_cannot_begin_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    for name in ["a.log.gz", "a.ZST"] {
        let error = Keeper::create(options(&folder, name), now(0)).err().unwrap();
        assert!(error.to_string().contains("is not written packed"), "{error}");
    }
    fs::write(folder.path().join("a.log"), "precious").unwrap();
    let error = Keeper::create(options(&folder, "a.log"), now(0)).err().unwrap();
    assert!(error.to_string().contains("is never overwritten: choose a new name"), "{error}");
    assert_eq!(fs::read(folder.path().join("a.log")).unwrap(), b"precious");
    let error = Keeper::create(options(&folder, "no/a.log"), now(0)).err().unwrap();
    assert!(matches!(error, KeepError::Create { .. }), "{error}");
    let ring = Options { ring: Some(3), ..options(&folder, "b.log") };
    let error = Keeper::create(ring, now(0)).err().unwrap();
    assert!(matches!(error, KeepError::RingWithoutRotation));
    let full = Options { min_free: u64::MAX, ..options(&folder, "b.log") };
    let error = Keeper::create(full, now(0)).err().unwrap();
    assert!(matches!(error, KeepError::Full { min_free: u64::MAX, .. }), "{error}");
    assert_eq!(names(&folder), ["a.log"]);
}

#[test]
fn every_file_is_a_capture() {
    let folder = TempDir::new().unwrap();
    let rotation = Rotation { size: Some(600), every: None };
    let options = Options { rotation, ..options(&folder, "bus.pcapng") };
    // One of the names is taken.
    let taken = "bus_00002_20260101T185542Z.pcapng";
    fs::write(folder.path().join(taken), "precious").unwrap();
    let items = items(40);
    let mut keeper = Keeper::create(options, now(0)).unwrap();
    items.iter().enumerate().for_each(|(at, item)| keeper.write(item, now(at as i64)));
    let summary = keeper.finish(now(900)).clone();
    assert_eq!(fs::read(folder.path().join(taken)).unwrap(), b"precious");
    let mut names = names(&folder);
    names.retain(|name| name != taken);
    assert_eq!(summary.files, names.len() as u64);
    assert!(names.len() > 3, "{names:?}");
    assert_eq!(names[0], "bus_00001_20260101T185542Z.pcapng");
    assert_eq!(names[1], "bus_00003_20260101T185542Z.pcapng");
    let mut got = Vec::new();
    for name in &names {
        let path = folder.path().join(name);
        let records = read(&path);
        assert!(!records.is_empty(), "{name}");
        assert!(fs::metadata(&path).unwrap().len() < 600 + 200);
        got.extend(records.iter().map(plain));
    }
    assert_eq!(got, plain_items(&items));
}

#[test]
fn time_rotates_what_is_not_empty() {
    let folder = TempDir::new().unwrap();
    let rotation = Rotation { size: None, every: Some(Time::SECOND) };
    let mut keeper =
        Keeper::create(Options { rotation, ..options(&folder, "a.log") }, now(0)).unwrap();
    let items = items(3);
    keeper.tick(now(5_000));
    assert_eq!(names(&folder).len(), 1, "nothing was seen");
    keeper.write(&items[0], now(5_100));
    keeper.tick(now(60_000));
    assert_eq!(keeper.path(), None, "the next begins when there is something for it");
    keeper.write(&items[1], now(70_000));
    keeper.write(&items[2], now(70_999));
    keeper.finish(now(71_000));
    let names = names(&folder);
    assert_eq!(names, ["a_00001_20260101T185542Z.log", "a_00002_20260101T185652Z.log"]);
    assert_eq!(read(&folder.path().join(&names[0])).len(), 1);
    assert_eq!(read(&folder.path().join(&names[1])).len(), 2);
}

#[test]
fn a_ring_deletes_its_own_oldest_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let rotation = Rotation { size: Some(1), every: None };
    let options = Options { rotation, ring: Some(3), ..options(&folder, "a.log") };
    for other in ["a_00000_20250101T000000Z.log", "a.log", "b.log"] {
        fs::write(folder.path().join(other), "precious").unwrap();
    }
    let items = items(8);
    let mut keeper = Keeper::create(options, now(0)).unwrap();
    let first = keeper.path().unwrap().to_owned();
    keeper.write(&items[0], now(0));
    keeper.write(&items[1], now(1));
    // Somebody saved the first file and put something else in its place.
    fs::rename(&first, folder.path().join("saved.log")).unwrap();
    fs::write(&first, "precious").unwrap();
    for (at, item) in items.iter().enumerate().skip(2) {
        keeper.write(item, now(at as i64));
        assert!(names(&folder).len() <= 5 + 3);
    }
    let summary = keeper.finish(now(10)).clone();
    assert_eq!(events(&mut keeper), []);
    assert_eq!((summary.records, summary.files, summary.deleted), (8, 8, 4));
    assert!(summary.is_complete());
    let left: Vec<String> =
        names(&folder).into_iter().filter(|name| name.starts_with("a_0000")).collect();
    let numbers: Vec<&str> = left.iter().map(|name| &name[2..7]).collect();
    assert_eq!(numbers, ["00000", "00001", "00006", "00007", "00008"]);
    assert_eq!(fs::read(&first).unwrap(), b"precious");
    assert_eq!(read(&folder.path().join(&left[4])).len(), 1);
}

#[test]
fn a_disk_that_fills_ends_it_and_is_told_once() {
    let folder = TempDir::new().unwrap();
    let mut keeper = Keeper::create(options(&folder, "a.log"), now(0)).unwrap();
    let items = items(4);
    keeper.write(&items[0], now(0));
    keeper.tick(now(200));
    keeper.write(&items[1], now(300));
    keeper.guard = Guard::new(u64::MAX);
    keeper.write(&items[2], now(2_000));
    keeper.write(&items[3], now(2_001));
    let told = events(&mut keeper);
    let [KeepEvent::Stopped(stop)] = &told[..] else { panic!("{told:?}") };
    assert!(matches!(stop.reason, StopReason::Full { min_free: u64::MAX, .. }));
    assert_eq!(stop.since, items[1].record().time.unwrap());
    let summary = keeper.finish(now(3_000));
    assert_eq!((summary.records, summary.missed), (1, 3));
    assert_eq!(summary.stop.as_ref(), Some(stop));
    assert!(!summary.is_complete());
    assert_eq!(read(&folder.path().join("a.log")).len(), 1);
}

#[test]
fn a_ring_makes_room_first() {
    let folder = TempDir::new().unwrap();
    let rotation = Rotation { size: Some(1), every: None };
    let ring = Options { rotation, ring: Some(9), ..options(&folder, "a.log") };
    let items = items(6);
    let mut keeper = Keeper::create(ring, now(0)).unwrap();
    items[..2].iter().for_each(|item| keeper.write(item, now(0)));
    keeper.options.rotation.size = Some(1 << 20);
    keeper.write(&items[2], now(0));
    keeper.tick(now(200));
    let first = "a_00001_20260101T185542Z.log";
    keeper.guard = Guard::new(u64::MAX);
    // Two are complete, and the third is written. A look at the disk costs one, once a second.
    let mut told = Vec::new();
    for (at, item) in items.iter().enumerate().skip(3) {
        let ms = (at as i64 - 2) * 2_000;
        keeper.write(item, now(ms));
        keeper.tick(now(ms + 200));
        keeper.tick(now(ms + 400));
        told.push(events(&mut keeper));
    }
    assert!(matches!(&told[0][..], [KeepEvent::Removed { path }] if path.ends_with(first)));
    assert!(matches!(&told[1][..], [KeepEvent::Removed { .. }]), "{told:?}");
    assert!(matches!(&told[2][..], [KeepEvent::Stopped(_)]), "{told:?}");
    let summary = keeper.finish(now(30_000));
    assert_eq!((summary.deleted, summary.records, summary.missed), (2, 5, 1));
    assert_eq!(names(&folder), ["a_00003_20260101T185542Z.log"]);
}

#[test]
fn what_is_synced_is_counted_alike() {
    let folder = TempDir::new().unwrap();
    let rotation = Rotation { size: Some(200), every: None };
    let sync = Options { sync: true, rotation, ..options(&folder, "a.log") };
    let mut keeper = Keeper::create(sync, now(0)).unwrap();
    let items = items(20);
    for (at, item) in items.iter().enumerate() {
        keeper.write(item, now(at as i64 * 400));
    }
    let summary = keeper.finish(now(9_000)).clone();
    assert_eq!(events(&mut keeper), []);
    assert!(summary.is_complete() && summary.files > 1, "{summary:?}");
    let read: usize = names(&folder).iter().map(|name| read(&folder.path().join(name)).len()).sum();
    assert_eq!(read, 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Killed at any moment: the file is whole, and has all but the last moment.
    #[test]
    fn killed_at_any_moment_the_file_is_whole(
        count in 0usize..40,
        steps in proptest::collection::vec(0i64..400, 40),
        format in proptest::sample::select(&[Written::Log, Written::Jsonl, Written::Pcapng][..]),
    ) {
        let folder = TempDir::new().unwrap();
        let name = format!("a.{}", format.name());
        let items = items(count);
        let mut keeper = Keeper::create(options(&folder, &name), now(0)).unwrap();
        let path = keeper.path().unwrap().to_owned();
        let expected = plain_items(&items);
        let (mut clock, mut written) = (0, Vec::new());
        for (item, step) in items.iter().zip(&steps) {
            // A clock that ticks, as the caller's does.
            for _ in 0..step / 100 {
                clock += 100;
                keeper.tick(now(clock));
            }
            keeper.write(item, now(clock));
            written.push(clock);
            let got: Vec<_> = read(&path).iter().map(plain).collect();
            prop_assert_eq!(&got[..], &expected[..got.len()]);
            prop_assert_eq!(got.len() as u64, keeper.summary().records);
            let due = written.iter().filter(|at| clock - **at >= 200).count();
            prop_assert!(got.len() >= due);
        }
        keeper.finish(now(clock));
        let got: Vec<_> = read(&path).iter().map(plain).collect();
        prop_assert_eq!(got, expected);
    }
}

//! Traces of a real printer, which are not part of the project: the folder that holds their folders
//! `printer-*` is named by `K485_CAPTURES`. Without it the tests report as ignored.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use k485_proto::record::{Direction, Record, Verdict};
use k485_trace::open::{Begin, End, OpenCalls};
use k485_trace::{Kind, MergedEvents, TraceReader, looks_like_trace};
use libtest_mimic::{Arguments, Failed, Trial};

const VARIABLE: &str = "K485_CAPTURES";

/// Calls and returns of the send function, by the folder's name: known figures of these captures.
const KNOWN: [(&str, u64, u64); 3] = [
    ("printer-20251230_215751", 642, 642),
    ("printer-20251230_222859", 983, 983),
    ("printer-20260101_105436", 41, 50),
];

/// A check of one folder.
type Check = fn(&Path) -> Result<(), Failed>;

const CHECKS: [(&str, Check); 4] = [
    ("figures", figures),
    ("replies_parse", replies_parse),
    ("events", events),
    ("doubled_labels", doubled_labels),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match std::env::var_os(VARIABLE).map(PathBuf::from) {
        Some(root) => KNOWN
            .iter()
            .flat_map(|(name, ..)| {
                CHECKS.map(|check| (root.join("captures").join(name), *name, check))
            })
            .map(|(folder, name, (title, check))| {
                Trial::test(format!("{name}::{title}"), move || check(&folder))
            })
            .collect(),
        None => CHECKS
            .iter()
            .map(|(title, _)| Trial::test(*title, || Ok(())).with_ignored_flag(true))
            .map(|trial| trial.with_kind(format!("{VARIABLE} unset")))
            .collect(),
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What a plain look at the text of a folder's files gives.
#[derive(Debug, Default, PartialEq)]
struct Plain {
    calls: u64,
    replies: u64,
    nulls: u64,
    lines: u64,
    /// The hex digits of requests and replies, with how often each is there.
    frames: BTreeMap<String, i64>,
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the captures' folder");
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn plain(folder: &Path) -> Plain {
    let mut plain = Plain::default();
    for file in files(folder) {
        let text = fs::read_to_string(file).unwrap();
        plain.lines += text.lines().count() as u64;
        for line in text.lines().filter(|line| line.contains(r#""cmd_send_data_with_response", "#))
        {
            let begins = |start: &str| line.starts_with(start);
            plain.calls += u64::from(begins(r#"{"type": "call""#));
            plain.nulls += u64::from(line.contains(r#""result": null"#));
            plain.replies += u64::from(line.contains(r#""result": {"_bytes": "#));
            if let Some((_, rest)) = line.split_once("_bytes") {
                let digits = rest.split(['\'', '"']).nth(2).unwrap();
                *plain.frames.entry(digits.into()).or_default() += 1;
            }
        }
    }
    plain
}

fn records(folder: &Path) -> Vec<Record> {
    TraceReader::open(folder).unwrap().map(|item| item.expect("no complaint")).collect()
}

fn figures(folder: &Path) -> Result<(), Failed> {
    let plain = plain(folder);
    let known = KNOWN.iter().find(|(name, ..)| folder.ends_with(name)).unwrap();
    assert_eq!((plain.calls, plain.replies + plain.nulls), (known.1, known.2));

    let mut reader = TraceReader::open(folder).unwrap();
    let records: Vec<_> = reader.by_ref().map(|item| item.expect("no complaint")).collect();
    let counts = reader.counts();
    assert_eq!(
        (counts.calls, counts.replies, counts.nulls),
        (plain.calls, plain.replies, plain.nulls)
    );
    assert_eq!((counts.errors, counts.doubled, counts.unreadable, counts.given_up), (0, 0, 0, 0));
    assert_eq!(reader.open_calls(), 0);
    assert_eq!(counts.orphans, known.2 - known.1, "every call has its return");

    let number =
        |wanted: fn(&Record) -> bool| records.iter().filter(|record| wanted(record)).count();
    assert_eq!(number(|record| record.dir == Some(Direction::Request)) as u64, plain.calls);
    assert_eq!(number(|record| record.verdict == Verdict::NoReply) as u64, plain.nulls);
    assert_eq!(records.len() as u64, plain.calls + plain.replies + plain.nulls);
    let mut frames = BTreeMap::new();
    for record in records.iter().filter(|record| record.verdict == Verdict::Frame) {
        *frames.entry(hex::encode(&record.bytes)).or_default() += 1;
    }
    assert_eq!(frames, plain.frames, "every frame as often as the text has it");
    Ok(())
}

fn replies_parse(folder: &Path) -> Result<(), Failed> {
    let mut requests = HashMap::new();
    let mut orphans = 0;
    for record in records(folder) {
        assert_eq!(&*record.bus, "serial_485 serial485");
        let call = record.call.unwrap();
        assert!(!matches!(record.verdict, Verdict::Noise(_)), "{record:?}");
        if record.dir == Some(Direction::Request) {
            assert!(record.wire().is_some() && call.timeout_ms.is_some(), "{record:?}");
            assert!(requests.insert(call.id, record).is_none(), "one request a call");
            continue;
        }
        let Some(request) = requests.remove(&call.id) else {
            assert_eq!(record.verdict, Verdict::NoReply, "only polls were filtered");
            orphans += 1;
            continue;
        };
        // A call's time and its duration lead to its return, but for the tracer's own work.
        let took = record.time.unwrap().since(request.time.unwrap());
        let duration = call.duration_ns.unwrap();
        assert!((duration..duration + 500_000_000).contains(&took), "{took} {duration}");
        assert_eq!(call.timeout_ms, request.call.unwrap().timeout_ms);
        if record.verdict == Verdict::Frame {
            // Bare: ADDR LEN STATUS FUNC. Whole: F7 before them. A reply to FF or FE may come from
            // another address.
            assert_eq!(record.bytes[4], request.bytes[3], "a reply has its request's function");
        }
    }
    assert!(requests.is_empty());
    let expected = if folder.ends_with("printer-20260101_105436") { 9 } else { 0 };
    assert_eq!(orphans, expected);
    Ok(())
}

fn events(folder: &Path) -> Result<(), Failed> {
    let paths = files(folder);
    for path in &paths {
        assert!(looks_like_trace(&fs::read(path).unwrap()[..200]), "{}", path.display());
    }
    let mut seen = 0;
    let mut last = None;
    let mut places = HashSet::new();
    for item in MergedEvents::open(folder).unwrap() {
        let (source, event) = item.expect("no complaint");
        seen += 1;
        assert!(places.insert((source, event.line)));
        if event.time.is_some() {
            assert!(event.time >= last, "{event:?}");
            last = event.time;
        }
    }
    assert_eq!(seen, plain(folder).lines);
    Ok(())
}

/// The calls of `prtouch_v3` and `axis_twist_compensation`, one class under two labels: each is
/// told twice in two files, and is one call.
fn doubled_labels(folder: &Path) -> Result<(), Failed> {
    let mut calls = OpenCalls::new();
    let mut of_label: BTreeMap<String, i64> = BTreeMap::new();
    let (mut once, mut twice, mut ends, mut second_ends) = (0, 0, 0, 0);
    for item in MergedEvents::open(folder).unwrap() {
        let (source, event) = item.expect("no complaint");
        match &event.kind {
            Kind::Call { id, site, args, .. } if site.class == "PRTouchEndstopWrapper" => {
                *of_label.entry(site.object.to_string()).or_default() += 1;
                match calls.call(source, &event, *id, site, args, ()) {
                    Begin::Call { .. } => once += 1,
                    Begin::Again { .. } => twice += 1,
                }
            }
            Kind::Return { id, site, result, .. } if site.class == "PRTouchEndstopWrapper" => {
                match calls.end(source, &event, *id, site, result) {
                    End::Of { .. } => ends += 1,
                    End::Inner { .. } => second_ends += 1,
                    End::Again { .. } => return Err("an outer end before the inner one".into()),
                    End::Orphan { .. } => return Err("an end without its call".into()),
                }
            }
            _ => {}
        }
    }
    let told: Vec<i64> = of_label.values().copied().collect();
    // In the first one, one call's outer telling lies before the traces began.
    let expected = match folder.file_name().unwrap().to_str().unwrap() {
        "printer-20251230_215751" => (vec![538, 539], 539, 538),
        "printer-20251230_222859" => (vec![211, 211], 211, 211),
        _ => (vec![], 0, 0),
    };
    assert_eq!((told, once, twice), expected);
    assert_eq!((ends, second_ends), (once, twice));
    assert_eq!((calls.open(), calls.given_up()), (0, 0));
    Ok(())
}

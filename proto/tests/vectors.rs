//! Tests over recordings and vectors that are not part of the repository.
//!
//! The folder that holds them is named by `K485_CAPTURES`; when it is unset, every test here is
//! reported as ignored. A file that is missing there, or that holds nothing, fails its test.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use k485_proto::deframer::{Span, spans};
use k485_proto::frame::{Frame, Hex};
use k485_proto::key::{Key, statuses_of};
use k485_proto::material::volume_to_length;
use k485_proto::status::{STATUSES, Status};
use k485_proto::unzip::{Signedness, UnzipError, unzip, unzip_lax, zip};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde_json::Value;

/// What a test found out, to be printed, or why it failed.
type Outcome = Result<String, Box<dyn Error>>;

/// A test's name, and the test over the folder of recordings.
type Test = (&'static str, fn(&Path) -> Outcome);

const TESTS: [Test; 6] = [
    ("frames_parse_and_emit_the_same_bytes", frames),
    ("unzip_vectors", unzip_vectors),
    ("unzip_traced_calls", unzip_traced_calls),
    ("keys_of_single_commands", keys_of_single_commands),
    ("keys_of_loads_and_unloads", keys_of_loads),
    ("lengths_of_volumes", lengths_of_volumes),
];

// Each test tells its counts, next to the harness's own lines.
#[allow(clippy::print_stderr)]
fn main() -> ExitCode {
    let args = Arguments::from_args();
    let folder = std::env::var_os("K485_CAPTURES").map(PathBuf::from);
    let trials = TESTS.map(|(name, test)| {
        let folder = folder.clone();
        Trial::ignorable_test(name, move || {
            let Some(folder) = folder else {
                return Ok(Completion::ignored_with("K485_CAPTURES is unset"));
            };
            let report = test(&folder).map_err(|error| Failed::from(error.to_string()))?;
            eprintln!("{name}: {report}");
            Ok(Completion::Completed)
        })
    });
    libtest_mimic::run(&args, trials.into()).exit_code()
}

fn json(path: &Path) -> Result<Value, Box<dyn Error>> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// The entries of a file that is one JSON array, which must not be empty.
fn entries(path: &Path) -> Result<Vec<Value>, Box<dyn Error>> {
    match json(path)? {
        Value::Array(entries) if !entries.is_empty() => Ok(entries),
        _ => Err(format!("{}: no entries", path.display()).into()),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, Box<dyn Error>> {
    value[name].as_str().ok_or_else(|| format!("no text {name:?} in {value}").into())
}

fn unhex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    if !text.len().is_multiple_of(2) {
        return Err(format!("odd hex: {text}").into());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| {
            let digits = text.get(at..at + 2).ok_or("not ASCII")?;
            Ok(u8::from_str_radix(digits, 16)?)
        })
        .collect()
}

macro_rules! ensure {
    ($test:expr, $($message:tt)+) => {
        if !$test {
            return Err(format!($($message)+).into());
        }
    };
}

fn frames(folder: &Path) -> Outcome {
    let entries = entries(&folder.join("frames.json"))?;
    for entry in &entries {
        let raw = unhex(text(entry, "hex")?)?;
        let frame = Frame::from_bytes(&raw).map_err(|error| format!("{}: {error}", Hex(&raw)))?;
        let again = Frame::to_vec(frame.addr(), frame.status(), frame.func(), frame.data())?;
        ensure!(again == raw, "{} came back as {}", Hex(&raw), Hex(&again));
        let (addr, func) = (frame.addr().0, frame.func());
        ensure!(text(entry, "addr")? == format!("{addr:#04x}"), "address of {entry}");
        ensure!(text(entry, "func")? == format!("{func:#04x}"), "function of {entry}");
        ensure!(
            text(entry, "status")? == format!("{:#04x}", frame.status().0),
            "status of {entry}"
        );
        ensure!(text(entry, "data")? == Hex(frame.data()).to_string(), "data of {entry}");
    }
    // All of them as one stream.
    let stream: Vec<u8> = entries
        .iter()
        .map(|entry| unhex(text(entry, "hex")?))
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    let found = spans(&stream).filter(|span| matches!(span, Span::Frame { .. })).count();
    ensure!(found == entries.len(), "{found} of {} frames in the stream", entries.len());
    Ok(format!("{} frames", entries.len()))
}

fn signedness(signed: bool) -> Signedness {
    if signed { Signedness::Signed } else { Signedness::Unsigned }
}

/// The values of `[count, [values]]`.
fn values(out: &Value) -> Result<Vec<i64>, Box<dyn Error>> {
    let values: Vec<i64> = out[1]
        .as_array()
        .ok_or("no values")?
        .iter()
        .map(|value| value.as_i64().ok_or("a value is no integer"))
        .collect::<Result<_, _>>()?;
    ensure!(out[0].as_u64() == Some(values.len() as u64), "count {} in {out}", out[0]);
    Ok(values)
}

/// Strict and lax give `values`, and packing again is no longer and gives them back.
fn check_well_formed(packet: &[u8], signedness: Signedness, values: &[i64]) -> Outcome {
    let strict = unzip(packet, signedness)?;
    ensure!(strict == values, "{}: {strict:?}", Hex(packet));
    ensure!(unzip_lax(packet, signedness)? == values, "{}: lax differs", Hex(packet));
    let again = zip(values, signedness)?;
    ensure!(again.len() <= packet.len(), "{} grew to {}", Hex(packet), Hex(&again));
    ensure!(unzip(&again, signedness)? == values, "{} differs", Hex(&again));
    Ok(if again == packet { "same".into() } else { "shorter".into() })
}

fn unzip_vectors(folder: &Path) -> Outcome {
    let entries = entries(&folder.join("vectors/unzip_data.json"))?;
    let mut counts = BTreeMap::<&str, u32>::new();
    for entry in &entries {
        let packet = unhex(text(entry, "in")?)?;
        let signedness = signedness(entry["signed"].as_bool().ok_or("no flag")?);
        if entry["out"].get("exc").is_some() {
            // The vendor's function raises: a header cut short, and nothing else.
            for result in [unzip(&packet, signedness), unzip_lax(&packet, signedness)] {
                ensure!(
                    matches!(result, Err(UnzipError::TruncatedHeader { .. })),
                    "{}: {result:?} where the vendor's raises",
                    Hex(&packet)
                );
            }
            *counts.entry("truncated headers").or_default() += 1;
            continue;
        }
        let values = values(&entry["out"])?;
        let kind = match unzip(&packet, signedness) {
            Ok(_) => {
                check_well_formed(&packet, signedness, &values)?;
                "well formed"
            }
            Err(UnzipError::MissingData { .. }) => "missing data",
            Err(UnzipError::Trailing { .. }) => "trailing bytes",
            Err(UnzipError::UnusedBits { .. }) => "unused bits",
            Err(error @ UnzipError::TruncatedHeader { .. }) => return Err(error.into()),
        };
        let lax = unzip_lax(&packet, signedness)?;
        ensure!(lax == values, "{} ({signedness:?}): {lax:?}, not {values:?}", Hex(&packet));
        *counts.entry(kind).or_default() += 1;
    }
    for kind in ["well formed", "missing data", "trailing bytes", "unused bits"] {
        ensure!(counts.contains_key(kind), "no vector with {kind}");
    }
    Ok(format!("{} vectors: {counts:?}", entries.len()))
}

/// The trace files of all printers: `captures/printer-*/*.jsonl`.
fn trace_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for printer in fs::read_dir(folder.join("captures"))? {
        let printer = printer?;
        if printer.file_name().to_string_lossy().starts_with("printer-") {
            for file in fs::read_dir(printer.path())? {
                let path = file?.path();
                if path.extension().is_some_and(|extension| extension == "jsonl") {
                    files.push(path);
                }
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The arguments of a traced call: `{'_bytes': '060a'}, False`.
fn unzip_args(args: &str) -> Option<(Vec<u8>, Signedness)> {
    let (bytes, flag) = args.strip_prefix("{'_bytes': '")?.split_once("'}, ")?;
    let signed = match flag {
        "True" => true,
        "False" => false,
        _ => return None,
    };
    Some((unhex(bytes).ok()?, signedness(signed)))
}

fn unzip_traced_calls(folder: &Path) -> Outcome {
    let (mut calls, mut checked, mut same) = (0, 0, 0);
    for path in trace_files(folder)? {
        // Ids are unique in one file only.
        let mut open = BTreeMap::new();
        for line in fs::read_to_string(&path)?.lines() {
            let event: Value = serde_json::from_str(line)?;
            if event["method"] != "unzip_data" {
                continue;
            }
            let id = event["id"].as_u64();
            if event["type"] == "call" {
                let args = text(&event, "args")?;
                open.insert(id, unzip_args(args).ok_or_else(|| format!("arguments {args}"))?);
                calls += 1;
            } else if let (true, Some((packet, signedness))) =
                (event["type"] == "return", open.remove(&id))
            {
                let outcome = check_well_formed(&packet, signedness, &values(&event["result"])?)?;
                checked += 1;
                same += u32::from(outcome == "same");
            }
        }
    }
    ensure!(checked > 0, "no traced calls");
    ensure!(checked == calls, "{checked} of {calls} calls have a return");
    Ok(format!("{checked} calls; {same} packets are as short as can be"))
}

/// The printer keys 712 and up in a message; lower ones are not about the bus.
fn keys_in(message: &str) -> impl Iterator<Item = u16> {
    message.match_indices("key").filter_map(|(at, _)| {
        let digits: String = message[at + 3..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|key| *key >= 712)
    })
}

fn messages(value: &Value) -> Result<impl Iterator<Item = &str>, Box<dyn Error>> {
    Ok(value.as_array().ok_or("no messages")?.iter().filter_map(Value::as_str))
}

fn keys_of_single_commands(folder: &Path) -> Outcome {
    let entries = entries(&folder.join("vectors/box_status_handling.json"))?;
    let mut seen = BTreeMap::<Status, BTreeSet<u16>>::new();
    let (mut reports, mut silent, mut timeouts) = (0, 0, 0);
    for entry in &entries {
        let keys: BTreeSet<u16> = messages(&entry["msgs"])?.flat_map(keys_in).collect();
        let Some(code) = entry["status"].as_u64() else {
            // Told once, by the first command that stays without an answer.
            let told = usize::from(timeouts == 0);
            ensure!(keys.iter().eq(&[831][..told]), "no reply to {}: {keys:?}", entry["cmd"]);
            timeouts += 1;
            continue;
        };
        let status = Status(u8::try_from(code)?);
        let known = status.info().map_or(&[][..], |info| info.keys);
        for key in &keys {
            ensure!(known.contains(key), "{} {status}: key{key}, not {known:?}", entry["cmd"]);
            ensure!(
                statuses_of(Key(*key)).any(|info| info.code == status),
                "key{key} does not lead back to {status}"
            );
        }
        silent += u32::from(keys.is_empty());
        reports += keys.len();
        seen.entry(status).or_default().extend(keys);
    }
    // The other way round: what the table calls general was reported for some command.
    for info in STATUSES {
        let reported = seen.get(&info.code).cloned().unwrap_or_default();
        ensure!(reported.iter().eq(info.keys), "{}: {reported:?}, not {:?}", info.code, info.keys);
    }
    ensure!(reports > 0 && timeouts > 0, "{reports} reports, {timeouts} time-outs");
    Ok(format!(
        "{} answers: {reports} reports, {silent} silent, {timeouts} time-outs",
        entries.len()
    ))
}

fn keys_of_loads(folder: &Path) -> Outcome {
    let path = folder.join("vectors/box_error_loads.jsonl");
    let mut seen = BTreeMap::<Status, BTreeSet<u16>>::new();
    let (mut runs, mut reports) = (0, 0);
    for line in fs::read_to_string(path)?.lines() {
        let run: Value = serde_json::from_str(line)?;
        runs += 1;
        let keys: BTreeSet<u16> = messages(&run["resp"])?.flat_map(keys_in).collect();
        let rule = &run["rules"][0];
        let Some(code) = rule["st"].as_u64() else {
            let silent = rule["silent"] == 1;
            ensure!(keys.iter().eq(&[831][..usize::from(silent)]), "{}: {keys:?}", run["name"]);
            continue;
        };
        let status = Status(u8::try_from(code)?);
        let info = status.info().ok_or_else(|| format!("{status} is in no table"))?;
        for key in &keys {
            ensure!(info.observed_keys().any(|k| k == *key), "{}: key{key}", run["name"]);
        }
        reports += keys.len();
        seen.entry(status).or_default().extend(keys);
    }
    for info in STATUSES {
        let reported = seen.get(&info.code).cloned().unwrap_or_default();
        for key in info.context_keys {
            ensure!(reported.contains(key), "{}: key{key} was never reported", info.code);
        }
    }
    ensure!(reports > 0, "no reports in {runs} runs");
    Ok(format!("{runs} runs with {reports} reports"))
}

fn lengths_of_volumes(folder: &Path) -> Outcome {
    let mut checked = 0;
    for entry in entries(&folder.join("vectors/flush.json"))? {
        let (mm3, mm) = (entry["args"][0].as_f64(), entry["out"].as_f64());
        if let ("material_volume_to_length", Some(mm3), Some(mm)) = (text(&entry, "fn")?, mm3, mm) {
            ensure!(volume_to_length(mm3) == mm, "{mm3}: {}, not {mm}", volume_to_length(mm3));
            checked += 1;
        }
    }
    ensure!(checked > 0, "no volumes");
    Ok(format!("{checked} volumes"))
}

//! Flush lengths against what the vendor's own functions gave (`vectors/flush.json`) and against
//! traces of a real printer. Neither is part of the project: `K485_CAPTURES` names the folder that
//! holds both. Without it the tests report as ignored.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use k485_trace::MergedEvents;
use k485_trace::flush::volume::{pieces, volume};
use k485_trace::flush::{Flushes, Spools};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

const VARIABLE: &str = "K485_CAPTURES";

type Check = fn(&Path) -> Result<(), Failed>;

const CHECKS: [(&str, Check); 3] =
    [("volumes", volumes), ("lists_of_pieces", lists_of_pieces), ("captured_flushes", captured)];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = std::env::var_os(VARIABLE).map(PathBuf::from);
    let trials = CHECKS.map(|(name, check)| match root.clone() {
        Some(root) => Trial::test(name, move || check(&root)),
        None => Trial::test(name, || Ok(()))
            .with_ignored_flag(true)
            .with_kind(format!("{VARIABLE} unset")),
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// The results of one of the vendor's functions.
fn results(root: &Path, function: &str) -> Result<Vec<Value>, Failed> {
    let text = std::fs::read_to_string(root.join("vectors/flush.json"))?;
    let mut all: Vec<Value> = serde_json::from_str(&text)?;
    all.retain(|result| result["fn"] == function);
    if all.is_empty() { Err(format!("no results of {function}").into()) } else { Ok(all) }
}

fn volumes(root: &Path) -> Result<(), Failed> {
    let all = results(root, "get_flushing_volume")?;
    for result in &all {
        let colours: [[u8; 3]; 2] = serde_json::from_value(result["args"].clone())?;
        let [from, to] = colours;
        let own = volume(from.into(), to.into());
        if result["out"] != own {
            return Err(format!("{from:?} {to:?}: {own}, not {}", result["out"]).into());
        }
    }
    Ok(())
}

fn lists_of_pieces(root: &Path) -> Result<(), Failed> {
    let all = results(root, "cal_flush_list")?;
    for result in &all {
        let length = result["args"][0].as_f64().ok_or("a length")?;
        let list: Vec<f64> = serde_json::from_value(result["list"].clone())?;
        if pieces(length).as_ref() != Some(&list) {
            return Err(format!("{length}: {:?}, not {list:?}", pieces(length)).into());
        }
    }
    Ok(())
}

/// A flush: the pair, the length, and how long it took in ms.
type Found = (&'static str, f64, i64);

/// What a reader of the text finds there.
const CAPTURED: [(&str, &[Found]); 3] = [
    ("printer-20251230_215751", &[]),
    ("printer-20251230_222859", &[("none > T2A", 105.833_333_333_333_34, 42_200)]),
    ("printer-20260101_105436", &[("none > T2A", 70.0, 20_303)]),
];

fn captured(root: &Path) -> Result<(), Failed> {
    for (folder, expected) in CAPTURED {
        let path = root.join("captures").join(folder);
        let events = MergedEvents::open(&path).map_err(|complaint| complaint.what)?;
        let mut flushes = Flushes::new(Spools::new());
        for event in events {
            let (source, event) = event.map_err(|complaint| complaint.what)?;
            flushes.take(source, &event);
        }
        let found: Vec<(String, f64, i64)> = flushes
            .samples()
            .iter()
            .map(|sample| {
                let ms = sample.flush.map_or(-1, |nanos| nanos / 1_000_000);
                (sample.pair.to_string(), sample.length, ms)
            })
            .collect();
        let expected: Vec<(String, f64, i64)> =
            expected.iter().map(|(pair, length, ms)| ((*pair).into(), *length, *ms)).collect();
        if found != expected {
            return Err(format!("{folder}: {found:?}, not {expected:?}").into());
        }
    }
    Ok(())
}

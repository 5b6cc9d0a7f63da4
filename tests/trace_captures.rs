//! The readers of `k485 trace` over real captures, where `K485_CAPTURES` names their folder; without
//! it these report as ignored.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

type CaptureTest = fn(&Path) -> Result<(), Failed>;

const SEND: &str = "cmd_send_data_with_response";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tests: [(&str, CaptureTest); 4] = [
        ("every_capture_is_listed", every_capture_is_listed),
        ("every_line_is_viewed", every_line_is_viewed),
        ("every_call_is_counted", every_call_is_counted),
        ("trees_have_the_frames", trees_have_the_frames),
    ];
    let folder = std::env::var_os("K485_CAPTURES").map(|root| PathBuf::from(root).join("captures"));
    let trials = tests.into_iter().map(|(name, test)| match folder.clone() {
        Some(folder) => Trial::test(name, move || test(&folder)),
        None => {
            Trial::test(name, || Ok(())).with_ignored_flag(true).with_kind("K485_CAPTURES unset")
        }
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn k485(what: &str, folder: &Path, more: &[&str]) -> Result<String, Failed> {
    let output = Command::new(env!("CARGO_BIN_EXE_k485"))
        .args(["trace", what])
        .arg(folder)
        .args(more)
        .env("TZ", "UTC")
        .output()?;
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() != Some(0) || !err.is_empty() {
        return Err(format!("{what}: {:?}: {err}", output.status.code()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// All traces: their files, and the lines in them.
fn traces(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<Value>>, Failed> {
    let mut traces = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "jsonl") {
                let text = fs::read_to_string(&path)?;
                let values = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
                traces.insert(path, values);
            }
        }
    }
    if traces.is_empty() { Err("no trace in the folder".into()) } else { Ok(traces) }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, left: T, right: T) -> Result<(), Failed> {
    if left == right { Ok(()) } else { Err(format!("{what}: {left:?}, expected {right:?}").into()) }
}

fn every_capture_is_listed(folder: &Path) -> Result<(), Failed> {
    let traces = traces(folder)?;
    let logs = k485("logs", folder, &["--json"])?;
    equal("files", logs.lines().count(), traces.len())?;
    for line in logs.lines() {
        let row: Value = serde_json::from_str(line)?;
        let path = PathBuf::from(row["file"].as_str().unwrap_or_default());
        let lines = &traces[&path];
        equal("events", row["events"].as_u64(), Some(lines.len() as u64))?;
        let times = lines.iter().filter_map(|line| line["time"].as_f64());
        equal("the last time", row["last"].as_f64(), times.reduce(f64::max))?;
    }
    equal("lines of the table", k485("logs", folder, &[])?.lines().count(), traces.len() + 1)
}

fn every_line_is_viewed(folder: &Path) -> Result<(), Failed> {
    let traces = traces(folder)?;
    let all: usize = traces.values().map(Vec::len).sum();
    let json = k485("view", folder, &["--json"])?;
    equal("lines of JSON", json.lines().count(), all + traces.len())?;
    let text = k485("view", folder, &[])?;
    if text.lines().count() < all / 4 {
        return Err(format!("{} lines of text for {all} events", text.lines().count()).into());
    }
    Ok(())
}

fn every_call_is_counted(folder: &Path) -> Result<(), Failed> {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for lines in traces(folder)?.values() {
        // Only of the bus: objects that share a class are told twice.
        let is_send = |line: &&Value| {
            line["method"] == SEND && (line["type"] == "call" || line["type"] == "return")
        };
        let sends = lines.iter().filter(is_send);
        let mut open = std::collections::BTreeSet::new();
        for line in sends {
            let is_call = line["type"] == "call";
            let is_orphan = !is_call && !open.remove(&line["id"].as_u64());
            if is_call {
                open.insert(line["id"].as_u64());
            }
            let object = line["object"].as_str().unwrap_or_default().to_owned();
            *told.entry(object).or_default() += u64::from(is_call || is_orphan);
        }
    }
    let stats: Value = serde_json::from_str(&k485("stats", folder, &["--json"])?)?;
    let rows = stats["methods"].as_array().ok_or("no methods")?;
    let sends = rows.iter().filter(|row| row["method"] == SEND);
    let counted = sends
        .map(|row| (row["object"].as_str().unwrap_or_default().to_owned(), row["calls"].as_u64()))
        .collect::<Vec<_>>();
    let told: Vec<_> = told.into_iter().map(|(object, count)| (object, Some(count))).collect();
    equal("calls of the send function", counted, told)
}

fn trees_have_the_frames(folder: &Path) -> Result<(), Failed> {
    // Every reply of the bus is a frame in the tree once.
    let mut replies = 0;
    for lines in traces(folder)?.values() {
        let returns =
            lines.iter().filter(|line| line["method"] == SEND && line["type"] == "return");
        replies += returns.filter(|line| line["result"]["_bytes"].is_string()).count();
    }
    let json = k485("tree", folder, &["--json", "--no-fold"])?;
    let mut frames = 0;
    for line in json.lines() {
        let root: Value = serde_json::from_str(line)?;
        let mut nodes = vec![&root];
        while let Some(node) = nodes.pop() {
            frames += usize::from(node["direction"] == "rx" && node["bytes"] != "");
            nodes.extend(node["children"].as_array().into_iter().flatten());
        }
    }
    equal("replies", frames, replies)?;
    let text = k485("tree", folder, &[])?;
    if !(text.contains("GET_BOX_STATE") && text.contains(" alike: ") && text.contains("├~")) {
        return Err("no decoded frames, no folded calls, or no inferred nesting".into());
    }
    Ok(())
}

//! A recorded load against the bus that was learned from it, all through the binary and in real time:
//! `k485 scene learn`, `k485 emulate`, `k485 replay --as host`.
//!
//! The capture is not part of the project: `K485_CAPTURES` names the folder in whose `captures` it is.
//! Without it the test reports as ignored.

mod common;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use common::live::{lines, next};
use common::{command, folder, k485};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

const VARIABLE: &str = "K485_CAPTURES";
/// A trace of a load of T2A, and where in it the load is, up to the first look at the odometer in the
/// print.
const CAPTURE: &str = "captures/printer-20260101_105436";
const WINDOW: [&str; 4] = ["--since", "40s", "--until", "63s"];
/// How far the odometer may be from the recorded one, in mm: half a second of feeding. The times of
/// a trace are those of its calls, and how far it is from the sensor to a full buffer is not in it.
const MM: f64 = 80.0;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let name = "a_load_is_replayed_against_what_was_learned_from_it";
    let trial = match folder {
        Some(folder) => Trial::test(name, move || replay(&folder.join(CAPTURE))),
        None => Trial::test(name, || Ok(()))
            .with_ignored_flag(true)
            .with_kind(format!("{VARIABLE} unset")),
    };
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

fn replay(capture: &Path) -> Result<(), Failed> {
    let folder = folder();
    let place = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (capture, scene, bus) =
        (capture.to_str().expect("UTF-8"), place("learned.toml"), place("bus"));
    let learned = k485(["scene", "learn", capture, "-o", &scene].into_iter().chain(WINDOW));
    assert_eq!(learned.code, Some(0), "{}", learned.err);
    let mut emulator = command(["emulate", &scene, "--from-request", "--pty", &bus])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let told = next(&lines(emulator.stdout.take().expect("piped")));
    let host = ["--as", "host", "--transmit", "--allow", "clear,motion,setting", "--to", "json"];
    let host = ["replay", capture, &bus].into_iter().chain(host).chain(WINDOW);
    let run = k485(host);
    emulator.kill()?;
    emulator.wait()?;
    assert!(told.is_some_and(|told| told.contains("endpoints")));
    let told: Vec<Value> = run.out.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let (summary, events) = told.split_last().ok_or(format!("nothing was told: {}", run.err))?;
    assert_eq!((&summary["type"], run.code), (&"summary".into(), Some(1)), "{}", run.err);
    // The host's 18 requests were sent; each was answered where it had been, and by the same status.
    let count = |key: &str| summary[key].as_u64().unwrap_or_default();
    assert!(count("requests") >= 18 && count("requests") == count("of"), "{summary}");
    assert_eq!((count("missing"), count("extra"), count("answered")), (0, 0, 0), "{summary}");
    for event in events {
        let changes = event["changes"].as_array().ok_or(format!("{event}"))?;
        let odometer = |change: &Value| {
            change["name"] == "odometer"
                && change["delta"].as_f64().is_some_and(|mm| mm.abs() <= MM)
        };
        assert!(event["type"] == "differs" && changes.iter().all(odometer), "{event}");
    }
    Ok(())
}

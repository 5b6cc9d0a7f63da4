//! A world learned from the first half of a capture, against the second half: its host is played in
//! virtual time, and what the devices answer is compared with what was recorded.
//!
//! What must be the same byte for byte: A2, A3, 04, 0D, 0F, 11, 14 and all of the motors; given the
//! events that were inferred, 05, 08 and 0A's state and changes. 0A's readings are within the drift,
//! 0E and 10 go the same way by as much.
//!
//! The captures are not part of the project: `K485_CAPTURES` names the folder in whose `captures`
//! they are. Without it the tests report as ignored.

mod compare;
mod play;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use k485_emulator::learn::Learner;
use k485_emulator::scene::Scene;
use k485_proto::dialect::hi::HI;
use k485_proto::dialect::{Dialect, K2};
use k485_proto::exchange::{Exchange, Pairer, Seen};
use k485_sniffer::capture::{Format, Reading};
use k485_sniffer::format::interceptty::Interceptty;
use k485_sniffer::format::raw::Raw;
use k485_trace::TraceReader;
use libtest_mimic::{Arguments, Trial};

use compare::Tally;

const VARIABLE: &str = "K485_CAPTURES";

const CAPTURES: [(&str, &Dialect); 5] = [
    ("printer-20251230_215751", &K2),
    ("printer-20251230_222859", &K2),
    ("printer-20260101_105436", &K2),
    ("wire/interceptty-filament-change.txt", &K2),
    ("wire/hi-buffer-test.bin", &HI),
];

/// The least share of the determined answers that must be as recorded.
const SHARE: f64 = 0.98;

#[allow(clippy::print_stderr)]
fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let trial = |(name, dialect): (&'static str, &'static Dialect)| match folder.clone() {
        Some(folder) => Trial::test(name, move || {
            let tally = half(&folder.join("captures").join(name), dialect)
                .map_err(|error| error.to_string())?;
            let (same, all) = tally.determined();
            let share = same as f64 / all.max(1) as f64;
            eprint!("{name}: {same} of {all} as recorded ({:.2} %)\n{tally}", share * 100.0);
            if share < SHARE { Err(format!("{name}: below {SHARE}").into()) } else { Ok(()) }
        }),
        None => {
            Trial::test(name, || Ok(())).with_ignored_flag(true).with_kind(format!("{VARIABLE} unset"))
        }
    };
    libtest_mimic::run(&arguments, CAPTURES.into_iter().map(trial).collect()).exit_code()
}

/// The exchanges of a capture, in the order of their requests.
fn exchanges(
    path: &Path,
    dialect: &'static Dialect,
) -> Result<Vec<Exchange>, Box<dyn Error>> {
    let mut all = Vec::new();
    for reading in readings(path)? {
        let mut pairer = Pairer::with_dialect(dialect);
        let mut take = |pairer: &mut Pairer| {
            while let Some(seen) = pairer.pull() {
                if let Seen::Exchange(exchange) = seen {
                    all.push(exchange);
                }
            }
        };
        for item in reading {
            let Ok(record) = item else { continue };
            pairer.push(record);
            take(&mut pairer);
        }
        pairer.finish();
        take(&mut pairer);
    }
    all.sort_by_key(|exchange| exchange.time);
    Ok(all)
}

/// The readings of a capture: a trace's folder holds several files, of which one is the bus.
fn readings(path: &Path) -> Result<Vec<Reading>, Box<dyn Error>> {
    let open = |path: &Path, format: Option<&dyn Format>| -> Result<Reading, Box<dyn Error>> {
        let name = path.display().to_string();
        let input = BufReader::new(File::open(path)?);
        Ok(match format {
            Some(format) => format.read(&name, Box::new(input)),
            None => Box::new(TraceReader::new(name, input)),
        })
    };
    if !path.is_dir() {
        let raw = path.extension().is_some_and(|end| end == "bin");
        let format: &dyn Format = if raw { &Raw } else { &Interceptty };
        return Ok(vec![open(path, Some(format))?]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("serial_485") {
            files.push(entry.path());
        }
    }
    files.sort();
    files.iter().map(|file| open(file, None)).collect()
}

/// Learns from the first half and plays the second.
fn half(path: &Path, dialect: &'static Dialect) -> Result<Tally, Box<dyn Error>> {
    let all = exchanges(path, dialect)?;
    let (first, second) = all.split_at(all.len() / 2);
    let mut learner = Learner::new();
    first.iter().for_each(|exchange| learner.push(exchange));
    learner.start_here();
    let mut learned = learner.finish();
    // What happened in the second half; what is known of the devices stays the first half's.
    second.iter().for_each(|exchange| learner.push(exchange));
    learned.layout.events = learner.finish().layout.events;
    let text = learned.to_toml();
    let scene = Scene::from_toml(&text, dialect).map_err(|errors| format!("{errors:?}\n{text}"))?;
    let mut known = BTreeMap::new();
    for exchange in first.iter().filter(|exchange| exchange.response.is_some()) {
        if let Some(subject) = exchange.subject() {
            let frame = subject.frame();
            *known.entry((frame.addr().0, frame.func())).or_insert(0) += 1;
        }
    }
    let played = play::play(&scene, second)?;
    Ok(compare::compare(&played, &known))
}

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
use std::sync::Arc;

use k485_emulator::learn::Learner;
use k485_emulator::scene::{BoxScene, Scene};
use k485_proto::dialect::hi::HI;
use k485_proto::dialect::{Dialect, K2};
use k485_proto::exchange::{Exchange, Observed, Pairer, Seen};
use k485_proto::record::Time;
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

/// Where the second half begins: behind half of the exchanges, and where no feed is under way, since
/// no scene starts in one.
fn rest(all: &[Exchange]) -> usize {
    let mut loading = None;
    for (n, exchange) in all.iter().enumerate() {
        if n >= all.len() / 2 && loading.is_none() {
            return n;
        }
        let Some(request) = &exchange.request else { continue };
        let frame = request.frame();
        match (frame.func(), frame.data().get(1)) {
            (0x10, Some(0)) => loading = Some(frame.addr()),
            (0x04, Some(0)) if loading == Some(frame.addr()) => loading = None,
            _ => {}
        }
    }
    all.len()
}

/// Gives a capture without times those of a host: in a feed it polls every two seconds, else it asks
/// on.
fn with_times(all: &mut [Exchange]) {
    let mut now = Time(0);
    let mut before = None;
    for exchange in all.iter_mut().filter(|exchange| exchange.time.is_none()) {
        let Some(request) = &exchange.request else { continue };
        let frame = request.frame();
        let stage = frame.data().get(1).copied().filter(|_| frame.func() == 0x10);
        let fed = before == Some(5) && matches!(stage, Some(5 | 6));
        now.0 += if fed { 2 * Time::SECOND } else { 50 * Time::MILLISECOND };
        before = stage.or(before);
        let at = |observed: &Arc<Observed>| {
            let mut observed = Observed::clone(observed);
            observed.record.time = Some(now);
            Arc::new(observed)
        };
        exchange.response = exchange.response.as_ref().map(at);
        exchange.request = exchange.request.as_ref().map(at);
        exchange.time = Some(now);
    }
}

/// Learns from the first half and plays the second.
fn half(path: &Path, dialect: &'static Dialect) -> Result<Tally, Box<dyn Error>> {
    let all = exchanges(path, dialect)?;
    let (first, second) = all.split_at(rest(&all));
    let mut learner = Learner::new();
    first.iter().for_each(|exchange| learner.push(exchange));
    learner.start_here();
    let known_devices = learner.finish();
    // What happened in the second half, and with it what was in the slots and how far the toolhead
    // is. What the devices are, say and measure stays the first half's.
    second.iter().for_each(|exchange| learner.push(exchange));
    let mut learned = learner.finish();
    learned.layout.motors = known_devices.layout.motors;
    learned.layout.bus = known_devices.layout.bus;
    for (one, known) in learned.layout.boxes.iter_mut().zip(known_devices.layout.boxes) {
        let (slots, geometry) = ([&one.a, &one.b, &one.c, &one.d].map(Clone::clone), one.geometry.clone());
        let odometer = if known.odometer == 0.0 { one.odometer } else { known.odometer };
        *one = BoxScene { geometry, odometer, ..known };
        [one.a, one.b, one.c, one.d] = slots;
    }
    let text = learned.to_toml();
    let scene = Scene::from_toml(&text, dialect).map_err(|errors| format!("{errors:?}\n{text}"))?;
    let mut known = BTreeMap::new();
    for exchange in first.iter().filter(|exchange| exchange.response.is_some()) {
        if let Some(subject) = exchange.subject() {
            let frame = subject.frame();
            *known.entry((frame.addr().0, frame.func())).or_insert(0) += 1;
        }
    }
    let mut second = second.to_vec();
    with_times(&mut second);
    // The events' times count from the first half's end.
    let end = first.last().and_then(|last| {
        Some(Time(last.time?.0 + last.latency_ns.unwrap_or_default()))
    });
    let played = play::play(&scene, &second, end)?;
    Ok(compare::compare(&played, &known))
}

//! The whole reading side over captures and vectors that are not part of the project: the folder
//! that holds them is named by `K485_CAPTURES`. Without it the tests report as ignored.

#[path = "../common/mod.rs"]
mod common;
mod firmware;
mod frames;
mod host;
mod transcripts;
mod wire;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use k485_proto::dialect::K2;
use k485_proto::exchange::{Exchange, Observed, Pairer, Seen};
use k485_proto::frame::Frame;
use k485_proto::message::Misfit;
use k485_proto::record::{Direction, Record};
use k485_proto::status::Status;
use libtest_mimic::{Arguments, Trial};

const VARIABLE: &str = "K485_CAPTURES";

/// What a test measured, to be printed, or why it failed.
type Outcome = Result<String, Box<dyn Error>>;

type Check = fn(&Path) -> Outcome;

/// Fails the test with a message.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+).into());
        }
    };
}
pub(crate) use ensure;

const CHECKS: [(&str, Check); 14] = [
    ("wire::dump", wire::dump),
    ("wire::dump_without_directions", wire::dump_without_directions),
    ("wire::other_printer", wire::other_printer),
    ("wire::traces", wire::traces),
    ("frames::directions", frames::directions),
    ("frames::values", frames::values),
    ("host::box_replies", host::box_replies),
    ("host::motor_values", host::motor_values),
    ("host::gcodes", host::gcodes),
    ("transcripts::directions", transcripts::directions),
    ("firmware::requests", firmware::requests),
    ("firmware::replies", firmware::replies),
    ("firmware::directions", firmware::directions),
    ("firmware::address_management", firmware::address_management),
];

#[allow(clippy::print_stderr)]
fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os(VARIABLE).map(PathBuf::from);
    let trial = |(name, check): (&'static str, Check)| match folder.clone() {
        Some(folder) => Trial::test(name, move || {
            let report = check(&folder).map_err(|error| error.to_string())?;
            eprintln!("{name}: {report}");
            Ok(())
        }),
        None => Trial::test(name, || Ok(()))
            .with_ignored_flag(true)
            .with_kind(format!("{VARIABLE} unset")),
    };
    libtest_mimic::run(&arguments, CHECKS.into_iter().map(trial).collect()).exit_code()
}

/// All that a pairer sees in these records.
fn seen(records: impl IntoIterator<Item = Record>) -> Vec<Seen> {
    let mut pairer = Pairer::new();
    let mut all = Vec::new();
    for record in records {
        pairer.push(record);
        all.extend(std::iter::from_fn(|| pairer.pull()));
    }
    pairer.finish();
    all.extend(std::iter::from_fn(|| pairer.pull()));
    all
}

fn observed(seen: &[Seen]) -> impl Iterator<Item = &Observed> {
    seen.iter().filter_map(|seen| match seen {
        Seen::Frame(observed) => Some(&**observed),
        _ => None,
    })
}

fn exchanges(seen: &[Seen]) -> impl Iterator<Item = &Exchange> {
    seen.iter().filter_map(|seen| match seen {
        Seen::Exchange(exchange) => Some(exchange),
        _ => None,
    })
}

/// How many exchanges ended how.
fn outcomes(seen: &[Seen]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for exchange in exchanges(seen) {
        *counts.entry(exchange.outcome.name()).or_default() += 1;
    }
    counts
}

/// Directions that were worked out, against those that are known.
#[derive(Debug, Default)]
struct Directions {
    right: usize,
    unknown: usize,
    /// What must not be.
    wrong: Vec<String>,
    /// Wrong for a reason that the frame itself gives: it is no such frame as its true direction
    /// has by the declarations, or it is an echo, byte for byte a request.
    excused: Vec<String>,
}

impl Directions {
    fn add(&mut self, frame: &Frame<'_>, found: Option<Direction>, dir: Direction, place: &str) {
        if found.is_none_or(|found| found == dir) {
            *(if found.is_some() { &mut self.right } else { &mut self.unknown }) += 1;
            return;
        }
        let misfit = K2.decode(frame, Some(dir), None).misfit;
        let odd = !matches!(misfit, None | Some(Misfit::RequestUnknown));
        let echo = dir == Direction::Response && frame.status() == Status::REQUEST;
        let list = if odd || echo { &mut self.excused } else { &mut self.wrong };
        list.push(format!("{place} {frame:?}, {} in truth", dir.name()));
    }
}

impl Directions {
    /// The numbers alone.
    fn in_short(&self) -> String {
        let wrong = self.wrong.len() + self.excused.len();
        format!("{} right, {} unknown, {wrong} wrong", self.right, self.unknown)
    }
}

impl fmt::Display for Directions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Directions { right, unknown, wrong, excused } = self;
        write!(f, "{right} right, {unknown} unknown, {} wrong", wrong.len())?;
        if !excused.is_empty() {
            write!(f, ", {} of odd frames wrong", excused.len())?;
        }
        wrong.iter().chain(excused).try_for_each(|wrong| write!(f, "\n    {wrong}"))
    }
}

fn json(path: &Path) -> Result<serde_json::Value, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// The frame of its hex.
fn frame<'a>(bytes: &'a [u8], hex: &str) -> Result<Frame<'a>, Box<dyn Error>> {
    Frame::from_bytes(bytes).map_err(|error| format!("{hex}: {error}").into())
}

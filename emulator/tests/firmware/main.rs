//! A box against the answers of the real firmware: every request of the vectors, in its state, which
//! is brought about by hands and commands; replies, silences and durations are compared.
//!
//! The vectors are not part of the project: `K485_CAPTURES` names the folder in whose
//! `vectors/box_firmware` they are. Without it the tests report as ignored.

mod single;
mod story;
mod vector;
mod world;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

const VARIABLE: &str = "K485_CAPTURES";

/// The least share of answers that must be the firmware's.
const SHARE: f64 = 0.98;

/// How a file's vectors went.
#[derive(Default)]
pub(crate) struct Tally {
    count: usize,
    differences: Vec<String>,
}

impl Tally {
    fn add(&mut self, place: &str, difference: Option<String>) {
        self.count += 1;
        if let Some(difference) = difference {
            self.differences.push(format!("{place}: {difference}"));
        }
    }
}

type Check = fn(&Path) -> Result<Tally, Box<dyn Error>>;

const CHECKS: [(&str, Check); 16] = [
    ("func_len_assigned", single::lengths_assigned),
    ("func_len_unassigned", single::lengths_unassigned),
    ("addresses", single::addresses),
    ("addressing", single::addressing),
    ("framing", single::framing),
    ("state_idle_empty", single::idle_empty),
    ("state_idle_full", single::idle_full),
    ("state_hub_A", single::hub_a),
    ("state_print_A", single::print_a),
    ("state_error08", single::error_08),
    ("state_preloading_on_insert", single::preloading),
    ("scenario_insert_off", story::insert),
    ("scenario_load", story::load),
    ("motion", story::motion),
    ("print_buffer", story::print_buffer),
    ("others", no_others),
];

#[allow(clippy::print_stderr)]
fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let trial = |(name, check): (&'static str, Check)| match folder.clone() {
        Some(folder) => Trial::test(name, move || {
            let folder = folder.join("vectors/box_firmware");
            let tally = check(&folder).map_err(|error| error.to_string())?;
            let same = tally.count - tally.differences.len();
            let share = same as f64 / tally.count.max(1) as f64;
            eprintln!("{name}: {same} of {} as the firmware ({:.2} %)", tally.count, share * 100.0);
            for difference in &tally.differences {
                eprintln!("  {name} {difference}");
            }
            if share < SHARE { Err(format!("{name}: below {SHARE}").into()) } else { Ok(()) }
        }),
        None => Trial::test(name, || Ok(()))
            .with_ignored_flag(true)
            .with_kind(format!("{VARIABLE} unset")),
    };
    libtest_mimic::run(&arguments, CHECKS.into_iter().map(trial).collect()).exit_code()
}

/// No file of the folder goes unread.
fn no_others(folder: &Path) -> Result<Tally, Box<dyn Error>> {
    let mut tally = Tally::default();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let known = CHECKS.iter().any(|(check, _)| name == format!("{check}.json"));
        tally.add(&name, (!known).then(|| "no test reads it".to_owned()));
    }
    Ok(tally)
}

//! The vendor's host against an emulated bus, in virtual time: each transcript of that host is played
//! as it acts (requests, pauses, time-outs, repetitions, its reaction to a feed and to the
//! buffer), and fails on the first byte that is late, missing or impossible. The device that answered
//! in the transcripts was a throw-away: of its answers only counts that there were some.
//!
//! The transcripts are not part of the project: `K485_CAPTURES` names the folder in whose
//! `transcripts` they are. Without it the tests report as ignored.

mod player;
mod script;
mod stage;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use player::Player;

const VARIABLE: &str = "K485_CAPTURES";

/// The files, and what they show.
const FILES: [&str; 12] = [
    "startup_one_box",
    "start_saved_table_and_load",
    "idle_two_boxes",
    "load_T1A",
    "load_T1A_buffer_stays_full",
    "load_and_unload",
    "change_T1A_T2B",
    "functions_and_loader",
    "motor_startup",
    "motor_commands",
    "belt",
    "serial_scenarios",
];

/// Each is played with so many seeds: chance decides when a box introduces itself.
const SEEDS: u64 = 3;

#[allow(clippy::print_stderr)]
fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let trial = |name: &'static str| match folder.clone() {
        Some(folder) => Trial::test(name, move || {
            let path = folder.join("transcripts").join(format!("{name}.txt"));
            for seed in 0..SEEDS {
                play(&path, name, seed)?;
            }
            Ok(())
        }),
        None => Trial::test(name, || Ok(()))
            .with_ignored_flag(true)
            .with_kind(format!("{VARIABLE} unset")),
    };
    let mut trials: Vec<Trial> = FILES.into_iter().map(trial).collect();
    if let Some(folder) = folder.clone() {
        trials.push(Trial::test("all_files", move || Ok(all_files(&folder)?)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

#[allow(clippy::print_stderr)]
fn play(path: &Path, name: &str, seed: u64) -> Result<(), Failed> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = script::read(&text).map_err(|error| format!("{name}: {error}"))?;
    let world = stage::world(&lines, seed);
    let mut player = Player::new(world, lines);
    player.run();
    let tally = &player.tally;
    eprintln!(
        "{name:28} {:5} requests {:5} answered {:4} silent {:3} again {:3} late {:3} missing {:3} \
         impossible",
        tally.requests,
        tally.answered,
        tally.silent,
        tally.again,
        tally.late.len(),
        tally.missing.len(),
        tally.impossible.len()
    );
    for fault in tally.faults().take(20) {
        eprintln!("  {name} {fault}");
    }
    match tally.faults().next() {
        Some(fault) => Err(format!("{name}, seed {seed}: {fault}").into()),
        None => Ok(()),
    }
}

/// No transcript is left out.
fn all_files(folder: &Path) -> Result<(), Box<dyn Error>> {
    for file in fs::read_dir(folder.join("transcripts"))? {
        let path = file?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|ext| ext == "txt") && !FILES.contains(&&*name) {
            return Err(format!("{name} is not played").into());
        }
    }
    Ok(())
}

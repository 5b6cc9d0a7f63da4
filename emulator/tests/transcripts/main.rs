//! The vendor's host against an emulated bus, in virtual time: each transcript of that host is played
//! as it acts (requests, pauses, time-outs, repetitions, its reaction to a feed and to the
//! buffer), and fails on the first byte that is late, missing or impossible. The device that answered
//! in the transcripts was a throw-away: of its answers only counts that there were some.
//!
//! The transcripts are not part of the project: `K485_CAPTURES` names the folder in whose
//! `transcripts` they are. Without it the tests report as ignored.

mod bench;
mod client;
mod engine;
mod judge;
mod live;
mod own;
mod player;
mod script;
mod stage;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use bench::Bench;
use k485_emulator::world::World;
use k485_proto::record::Time;
use player::{Player, Tally};

const VARIABLE: &str = "K485_CAPTURES";

/// The files, and with how many seeds each is played: chance decides when a box introduces itself.
const FILES: [(&str, u64); 12] = [
    ("startup_one_box", 4),
    ("start_saved_table_and_load", 2),
    ("idle_two_boxes", 4),
    ("load_T1A", 2),
    ("load_T1A_buffer_stays_full", 2),
    ("load_and_unload", 1),
    ("change_T1A_T2B", 1),
    ("functions_and_loader", 1),
    ("motor_startup", 1),
    ("motor_commands", 1),
    ("belt", 1),
    ("serial_scenarios", 1),
];

/// Those that are played in real time, at a pseudo-terminal, and for how many seconds; all of all of them
/// where `K485_LONG` is set, which takes a quarter of an hour.
const LIVE: [(&str, i64); 4] =
    [("startup_one_box", 12), ("functions_and_loader", 9), ("motor_startup", 12), ("load_T1A", 60)];

/// Those in which something is loaded, which are played with the bus's own extruder and cutter too. Not
/// the one whose buffer stays full: that extruder takes what is pushed.
const LOADS: [&str; 4] =
    ["start_saved_table_and_load", "load_T1A", "load_and_unload", "change_T1A_T2B"];

#[allow(clippy::print_stderr)]
fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let hands = FILES.into_iter().map(|(name, seeds)| (name, name.to_owned(), seeds, false));
    let auto = LOADS.into_iter().map(|name| (name, format!("auto::{name}"), 1, true));
    let trial = |(name, title, seeds, auto): (&'static str, String, u64, bool)| match &folder {
        Some(folder) => {
            let path = folder.join("transcripts").join(format!("{name}.txt"));
            Trial::test(title.clone(), move || {
                let text = fs::read_to_string(&path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                for seed in 0..seeds {
                    let tally = play(&text, seed, auto, |_| {})?;
                    report(&title, &tally);
                    found(&tally)?;
                }
                Ok(())
            })
        }
        None => Trial::test(title, || Ok(()))
            .with_ignored_flag(true)
            .with_kind(format!("{VARIABLE} unset")),
    };
    let mut trials: Vec<Trial> = hands.chain(auto).map(trial).collect();
    if let Some(folder) = folder.clone() {
        for case in engine::CASES {
            let folder = folder.clone();
            trials.push(Trial::test(format!("engine::{}", case.name), move || {
                eprintln!("engine::{}: {}", case.name, engine::run(&folder, &case)?);
                Ok(())
            }));
        }
        let long = std::env::var_os("K485_LONG").is_some();
        let all = FILES.into_iter().map(|(name, _)| (name, i64::from(u32::MAX)));
        let live = if long { all.collect() } else { LIVE.to_vec() };
        trials.extend(live.into_iter().map(|(name, seconds)| {
            let path = folder.join("transcripts").join(format!("{name}.txt"));
            Trial::test(format!("live::{name}"), move || {
                let lines = script::read(&fs::read_to_string(&path)?)?;
                let tally = live::play(lines, seconds * Time::SECOND)?;
                report(&format!("live::{name}"), &tally);
                found(&tally)
            })
        }));
        trials.push(Trial::test("all_files", move || Ok(all_files(&folder)?)));
    }
    trials.extend(own::trials());
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Plays a transcript, in a world that `spoil` may change.
fn play(
    text: &str,
    seed: u64,
    auto: bool,
    spoil: impl FnOnce(&mut World),
) -> Result<Tally, Box<dyn Error>> {
    let lines = script::read(text)?;
    let (mut world, unassigned) = stage::world(&lines, seed, Time(0));
    spoil(&mut world);
    let mut player = Player::new(Bench::new(world, auto), lines, unassigned);
    player.run();
    Ok(player.tally)
}

/// Fails with the first fault.
fn found(tally: &Tally) -> Result<(), Failed> {
    tally.faults().next().map_or(Ok(()), |fault| Err(fault.into()))
}

#[allow(clippy::print_stderr)]
fn report(title: &str, tally: &Tally) {
    eprintln!("{title:34} {tally}");
    for fault in tally.faults().take(20) {
        eprintln!("  {title} {fault}");
    }
}

/// No transcript is left out.
fn all_files(folder: &Path) -> Result<(), Box<dyn Error>> {
    for file in fs::read_dir(folder.join("transcripts"))? {
        let path = file?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|ext| ext == "txt")
            && !FILES.iter().any(|(file, _)| *file == name)
        {
            return Err(format!("{name} is not played").into());
        }
    }
    Ok(())
}

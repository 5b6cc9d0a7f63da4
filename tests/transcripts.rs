//! The vendor's host, as its transcripts show it, against `k485 emulate` at a pseudo-terminal in real
//! time: the same player as in the emulator's own tests, with the bus's own extruder and cutter.
//!
//! The transcripts are not part of the project: `K485_CAPTURES` names the folder in whose
//! `transcripts` they are. Without it the tests report as ignored. `K485_LONG` plays all of them to
//! their ends.

#[path = "../emulator/tests/transcripts/client.rs"]
mod client;
#[path = "../emulator/tests/transcripts/judge.rs"]
mod judge;
#[path = "../emulator/tests/transcripts/player.rs"]
mod player;
#[path = "../emulator/tests/transcripts/script.rs"]
mod script;

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use k485_emulator::hand::Hand;
use k485_link::Clock;
use k485_proto::record::Time;
use libtest_mimic::{Arguments, Trial};

use client::Client;
use player::{Player, Tally, Wire};

const VARIABLE: &str = "K485_CAPTURES";

/// The files that begin with the start of a host, and for how many seconds each is played, at most.
const FILES: [(&str, i64); 6] = [
    ("startup_one_box", 12),
    ("motor_startup", 12),
    ("start_saved_table_and_load", 80),
    ("idle_two_boxes", 0),
    ("load_and_unload", 0),
    ("change_T1A_T2B", 0),
];

/// What went wrong with the set-up.
type Trouble = Box<dyn Error>;

#[allow(clippy::print_stderr)]
fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let long = std::env::var_os("K485_LONG").is_some();
    let files = FILES.into_iter().filter(|(_, seconds)| long || *seconds > 0);
    let trial = |(name, seconds): (&'static str, i64)| match &folder {
        Some(folder) => {
            let path = folder.join("transcripts").join(format!("{name}.txt"));
            Trial::test(name, move || {
                let seconds = if long { i64::from(u32::MAX) } else { seconds };
                let tally = play(&path, seconds * Time::SECOND)?;
                eprintln!("{name:28} {tally}");
                tally.faults().for_each(|fault| eprintln!("  {name} {fault}"));
                tally.faults().next().map_or(Ok(()), |fault| Err(fault.into()))
            })
        }
        None => Trial::test(name, || Ok(()))
            .with_ignored_flag(true)
            .with_kind(format!("{VARIABLE} unset")),
    };
    libtest_mimic::run(&arguments, files.map(trial).collect()).exit_code()
}

/// `k485 emulate`, and its client.
struct Emulated {
    child: Child,
    client: Client,
    toolhead: PathBuf,
    _folder: tempfile::TempDir,
}

impl Emulated {
    /// So many boxes; gives their identities too.
    fn new(boxes: usize) -> Result<(Emulated, Vec<[u8; 12]>), Trouble> {
        let folder = tempfile::tempdir()?;
        let (pty, toolhead) = (folder.path().join("bus"), folder.path().join("toolhead"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_k485"))
            .args(["emulate", "--auto", "--seed", "1", "--boxes", &boxes.to_string(), "--pty"])
            .arg(&pty)
            .arg("--toolhead-file")
            .arg(&toolhead)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let told: serde_json::Value = serde_json::from_str(&line)?;
        let devices = told["devices"].as_array().ok_or("no devices")?;
        let identity = |device: &serde_json::Value| {
            let bytes = k485_proto::message::kind::hex_bytes(device["uniid"].as_str()?).ok()?;
            bytes.try_into().ok()
        };
        let identities = devices.iter().filter_map(identity).collect();
        let client = Client::open(&pty, Clock::new())?;
        Ok((Emulated { child, client, toolhead, _folder: folder }, identities))
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Wire for Emulated {
    fn now(&self) -> Time {
        self.client.now()
    }

    fn say(&mut self, bytes: &[u8]) -> Time {
        self.client.say(bytes)
    }

    fn listen(&mut self, until: Time) -> Vec<(Time, Vec<u8>)> {
        self.client.listen(until, || shows(&self.toolhead))
    }

    fn toolhead(&self) -> bool {
        shows(&self.toolhead)
    }

    fn act(&mut self, _: &Hand) -> bool {
        false
    }

    fn is_live(&self) -> bool {
        true
    }

    fn is_foreign(&self) -> bool {
        true
    }
}

/// What the toolhead sensor's file shows.
fn shows(toolhead: &Path) -> bool {
    fs::read_to_string(toolhead).is_ok_and(|text| text.trim() == "1")
}

fn play(path: &Path, limit: i64) -> Result<Tally, Trouble> {
    let mut lines = script::read(&fs::read_to_string(path)?)?;
    let given = script::identities(&lines);
    let (emulated, own) = Emulated::new(given.len())?;
    script::rename(&mut lines, &given, &own);
    script::cut(&mut lines, limit);
    let mut player = Player::new(emulated, lines, given.len());
    player.run();
    Ok(std::mem::take(&mut player.tally))
}

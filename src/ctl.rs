//! `k485 ctl`: looks at an emulator that runs, and changes it, over its HTTP face.

mod client;
mod text;

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use k485_emulator::hand::{Buffer, Hand, Part, Sensor, Shows};
use k485_emulator::{SpoolSpec, scene};
use k485_proto::slot::Slot;
use serde_json::{Value, json};

use self::client::Client;
use crate::length::Length;

/// How long one request for the next exchanges waits, in seconds.
const WAIT: u32 = 20;

/// What `k485 ctl` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It speaks to the emulator that was started with --control: to the one that runs, or to that at --url.
Slots are T1A to T4D and boxes 1 to 4 by their place in the scene, whatever address they got. Lengths
are in mm, speeds in mm/s. docs/control.md has the HTTP behind it.

Examples:
  k485 ctl state                          how everything is
  k485 ctl insert T1A PLA ff0000          a spool's end into the inlet
  k485 ctl jam T1A                        its filament holds fast; unjam frees it
  k485 ctl extrude 80 --speed 5
  k485 ctl unplug 1; k485 ctl plug 1
  k485 ctl fault add 'drop if func==0x10 p=0.1'
  k485 ctl clock pause; k485 ctl clock step 5s
  k485 ctl exchanges --follow --filter 'status!=OK'
  k485 ctl hand '{\"do\":\"block\",\"box\":1,\"part\":\"hub\"}'

Exit codes: 0 done; 1 it cannot be done, or there is no emulator; 2 wrong command line.")]
pub(crate) struct Args {
    /// Where the emulator's page is; without it that of the emulator that runs
    #[arg(long, global = true)]
    url: Option<String>,
    /// The file with the token, as --token-file of emulate made it
    #[arg(long, global = true, value_name = "PATH")]
    token_file: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show how everything is
    State {
        /// As JSON, whole
        #[arg(long)]
        json: bool,
    },
    /// Put a spool's end into a slot's inlet
    Insert {
        /// Where
        slot: Slot,
        #[command(flatten)]
        spool: SpoolArgs,
    },
    /// Pull out what hangs on a slot's spool
    PullOut {
        /// Where
        slot: Slot,
    },
    /// Have a slot's filament where it would have been fed to
    Place {
        /// Where
        slot: Slot,
        /// Where its tip is, in mm from the inlet
        tip: f64,
        #[command(flatten)]
        spool: SpoolArgs,
    },
    /// Take all filament out of a slot's path
    Clear {
        /// Where
        slot: Slot,
    },
    /// Let a spool come to its end
    RunOut {
        /// Where
        slot: Slot,
        /// How much is left outside the inlet, in mm
        #[arg(default_value_t = 0.0)]
        left: f64,
    },
    /// Break the filament
    Break {
        /// Where
        slot: Slot,
        /// At which place, in mm from the inlet
        at: f64,
    },
    /// Have a slot's filament hold fast
    Jam {
        /// Where
        slot: Slot,
        /// Only no tip passes this place, in mm from the inlet
        #[arg(long)]
        at: Option<f64>,
    },
    /// Free a slot's jam, and let its box's hub grip and turn
    Unjam {
        /// Where
        slot: Slot,
    },
    /// Have a box's hub gear turn without gripping, or grip again
    Slip {
        /// Which box
        unit: usize,
        /// Whether it slips
        #[arg(default_value = "on")]
        on: OnOff,
    },
    /// Have a part of a box not turn, or turn again
    Block {
        /// Which box
        unit: usize,
        /// Which part
        part: PartWord,
        /// Whether it is blocked
        #[arg(default_value = "on")]
        on: OnOff,
    },
    /// Have a photo sensor show the same whatever is there, or work again
    Sensor {
        /// Where
        slot: Slot,
        /// Which of the slot's two
        sensor: SensorWord,
        /// What it shows
        shows: ShowsWord,
    },
    /// Turn the extruder by a length, at once or at a speed
    #[command(allow_negative_numbers = true)]
    Extrude {
        /// How far, in mm; negative is back
        mm: f64,
        /// How fast, in mm/s; without it at once
        #[arg(long)]
        speed: Option<f64>,
    },
    /// Have the extruder go on turning; 0 stops it
    #[command(allow_negative_numbers = true)]
    Extruder {
        /// How fast, in mm/s; negative is back
        speed: f64,
    },
    /// Close the cutter and open it again
    Cut,
    /// Have the toolhead's sensor show something, whatever is there
    Toolhead {
        /// What it shows
        shows: ShowsWord,
    },
    /// Hold the buffer, or let it go
    Buffer {
        /// Where
        at: BufferWord,
    },
    /// Pull a box's plug
    Unplug {
        /// Which box
        unit: usize,
    },
    /// Put a box's plug in again
    Plug {
        /// Which box
        unit: usize,
    },
    /// Switch a box off and on
    Reset {
        /// Which box
        unit: usize,
    },
    /// Set what a box measures around it; without values its sensor does not answer
    #[command(allow_negative_numbers = true)]
    Climate {
        /// Which box
        unit: usize,
        /// In degrees Celsius
        #[arg(requires = "humidity")]
        temperature: Option<i8>,
        /// In percent
        humidity: Option<i8>,
    },
    /// Do anything that a scene's event can, as JSON (docs/scene.md)
    Hand {
        /// Such as {"do":"cut"}
        json: String,
    },
    /// Add, list and remove faults
    #[command(subcommand)]
    Fault(FaultWhat),
    /// Begin anew, with this scene or with that which the emulator began with
    Scene {
        /// The scene's file
        file: Option<PathBuf>,
    },
    /// Show how the bus's time goes, and have it go otherwise
    Clock {
        #[command(subcommand)]
        what: Option<ClockWhat>,
    },
    /// Show what the bus carries, with the numbers of the lines
    Exchanges {
        /// Only what this holds for, as in 'addr==box1 && status!=OK' (docs/filter.md)
        #[arg(short = 'F', long, value_name = "EXPR")]
        filter: Option<String>,
        /// How many of the last ones
        #[arg(short = 'n', long, default_value_t = 20)]
        #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
        last: u16,
        /// Go on with what comes
        #[arg(short, long)]
        follow: bool,
        /// As JSON lines, whole
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum FaultWhat {
    /// Add one, as in 'drop if func==0x10 p=0.1 after=3' (docs/faults.md); prints its number
    Add {
        /// The rule
        rule: String,
    },
    /// List them: number, how often it struck, the rule
    List,
    /// Take one away
    Remove {
        /// Its number
        id: u64,
    },
    /// Take all away
    Clear,
}

#[derive(Debug, Subcommand)]
enum ClockWhat {
    /// Have the time stand still
    Pause,
    /// Let it go
    Go,
    /// Take it on by exactly so much
    Step {
        /// Such as 5s, 1m30s, 20ms
        length: Length,
    },
    /// How many of the bus's seconds a second is
    Speed {
        /// 0.01 to 1000
        speed: f64,
    },
}

/// A spool.
#[derive(Debug, clap::Args)]
struct SpoolArgs {
    /// The material: a name such as PLA, or the six characters of a tag
    material: Option<String>,
    /// The colour, six hex digits
    colour: Option<String>,
    /// How much filament there is, in mm
    #[arg(long, value_name = "MM")]
    length: Option<f64>,
    /// What a box takes for the rest, in percent
    #[arg(long, value_name = "PERCENT")]
    remain: Option<u8>,
    /// The serial number on its tag, six characters
    #[arg(long)]
    serial: Option<String>,
}

impl SpoolArgs {
    fn spool(&self) -> SpoolSpec {
        let usual = SpoolSpec::default();
        SpoolSpec {
            material: self.material.clone(),
            colour: self.colour.clone(),
            length: self.length.unwrap_or(usual.length),
            remain: self.remain.unwrap_or(usual.remain),
            serial: self.serial.clone(),
            tag: None,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnOff {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PartWord {
    Hub,
    Wheel,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SensorWord {
    Inlet,
    Hub,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShowsWord {
    /// Filament
    On,
    /// No filament
    Off,
    /// What is there: it works
    Truth,
}

impl From<ShowsWord> for Shows {
    fn from(word: ShowsWord) -> Shows {
        match word {
            ShowsWord::On => Shows::On,
            ShowsWord::Off => Shows::Off,
            ShowsWord::Truth => Shows::Truth,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BufferWord {
    Full,
    Middle,
    Empty,
    /// Nothing holds it
    Free,
}

impl What {
    /// What a hand does, where it is one.
    fn hand(&self) -> Option<Hand> {
        let on = |on: &OnOff| matches!(on, OnOff::On);
        Some(match self {
            What::Insert { slot, spool } => Hand::Insert { slot: *slot, spool: spool.spool() },
            What::PullOut { slot } => Hand::PullOut { slot: *slot },
            What::Place { slot, tip, spool } => {
                Hand::Place { slot: *slot, spool: spool.spool(), tip: *tip }
            }
            What::Clear { slot } => Hand::Clear { slot: *slot },
            What::RunOut { slot, left } => Hand::RunOut { slot: *slot, left: *left },
            What::Break { slot, at } => Hand::Break { slot: *slot, at: *at },
            What::Jam { slot, at } => Hand::Jam { slot: *slot, at: *at },
            What::Unjam { slot } => Hand::Unjam { slot: *slot },
            What::Slip { unit, on: slips } => Hand::Slip { unit: *unit, on: on(slips) },
            What::Block { unit, part, on: blocked } => {
                let part = match part {
                    PartWord::Hub => Part::Hub,
                    PartWord::Wheel => Part::Wheel,
                };
                Hand::Block { unit: *unit, part, on: on(blocked) }
            }
            What::Sensor { slot, sensor, shows } => {
                let sensor = match sensor {
                    SensorWord::Inlet => Sensor::Inlet,
                    SensorWord::Hub => Sensor::Hub,
                };
                Hand::Sensor { slot: *slot, sensor, shows: (*shows).into() }
            }
            What::Extrude { mm, speed } => Hand::Extrude { mm: *mm, speed: *speed },
            What::Extruder { speed } => Hand::Extruder { speed: *speed },
            What::Cut => Hand::Cut,
            What::Toolhead { shows } => Hand::Toolhead { shows: (*shows).into() },
            What::Buffer { at } => {
                let at = match at {
                    BufferWord::Full => Buffer::Full,
                    BufferWord::Middle => Buffer::Middle,
                    BufferWord::Empty => Buffer::Empty,
                    BufferWord::Free => return Some(Hand::FreeBuffer),
                };
                Hand::HoldBuffer { at }
            }
            What::Unplug { unit } => Hand::Unplug { unit: *unit },
            What::Plug { unit } => Hand::Plug { unit: *unit },
            What::Reset { unit } => Hand::Reset { unit: *unit },
            What::Climate { unit, temperature, humidity } => {
                Hand::Climate { unit: *unit, temperature: *temperature, humidity: *humidity }
            }
            _ => return None,
        })
    }
}

/// Does it.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // What cannot be read is told before anybody is asked.
    let hand = match &args.what {
        What::Hand { json } => {
            let json: Value = serde_json::from_str(json).context("the hand is no JSON")?;
            scene::hand_from_json(&json).map_err(|why| anyhow::anyhow!("the hand: {why}"))?;
            Some(json)
        }
        what => what.hand().map(|hand| serde_json::to_value(&hand)).transpose()?,
    };
    let client = Client::find(args.url.as_deref(), args.token_file.as_deref())?;
    if let Some(hand) = hand {
        client.post("hands", &hand)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = stdout().lock();
    match &args.what {
        What::State { json } => {
            let state = client.get("state")?;
            match json {
                true => writeln!(out, "{}", serde_json::to_string_pretty(&state)?)?,
                false => text::state(&state, &mut out)?,
            }
        }
        What::Fault(what) => fault(what, &client, &mut out)?,
        What::Scene { file } => {
            let body = match file {
                None => json!({}),
                Some(path) => {
                    let text = fs::read_to_string(path);
                    json!({ "toml": text.with_context(|| path.display().to_string())? })
                }
            };
            client.post("scene", &body)?;
        }
        What::Clock { what } => {
            let clock = match what {
                None => client.get("clock")?,
                Some(ClockWhat::Pause) => client.post("clock", &json!({ "paused": true }))?,
                Some(ClockWhat::Go) => client.post("clock", &json!({ "paused": false }))?,
                Some(ClockWhat::Speed { speed }) => {
                    client.post("clock", &json!({ "speed": speed }))?
                }
                Some(ClockWhat::Step { length: Length(ns) }) => {
                    client.post("clock/step", &json!({ "ms": *ns as f64 / 1e6 }))?
                }
            };
            writeln!(out, "{}", text::clock(&clock))?;
        }
        What::Exchanges { filter, last, follow, json } => {
            let which = (filter.as_deref(), *last, *follow);
            exchanges(&client, which, *json, &mut out)?;
        }
        _ => bail!("nothing is known of this command"),
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn fault(what: &FaultWhat, client: &Client, out: &mut impl Write) -> anyhow::Result<()> {
    match what {
        FaultWhat::Add { rule } => {
            let added = client.post("faults", &json!({ "rule": rule }))?;
            writeln!(out, "{}", added["id"])?;
        }
        FaultWhat::List => {
            let faults = client.get("faults")?;
            for fault in faults["faults"].as_array().into_iter().flatten() {
                let rule = fault["rule"].as_str().unwrap_or_default();
                writeln!(
                    out,
                    "{}  struck {} of {}  {rule}",
                    fault["id"], fault["struck"], fault["met"]
                )?;
            }
        }
        FaultWhat::Remove { id } => client.delete(&format!("faults/{id}"))?,
        FaultWhat::Clear => client.delete("faults")?,
    }
    Ok(())
}

/// What the bus carries, until Ctrl-C where it is followed.
fn exchanges(
    client: &Client,
    (filter, last, follow): (Option<&str>, u16, bool),
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut query = vec![("limit".to_owned(), last.to_string())];
    query.extend(filter.map(|filter| ("filter".to_owned(), filter.to_owned())));
    let mut after: Option<u64> = None;
    loop {
        let mut query = query.clone();
        if let Some(after) = after {
            query.push(("after".to_owned(), after.to_string()));
            query.push(("wait".to_owned(), WAIT.to_string()));
            query[0].1 = "1000".to_owned();
        }
        let page = client.exchanges(&query)?;
        if after.is_some() && page.missed > 0 {
            eprintln!("k485: {} went by unseen", page.missed);
        }
        for exchange in &page.exchanges {
            match json {
                true => writeln!(out, "{exchange}")?,
                false => text::exchange(exchange.get(), out)?,
            }
        }
        out.flush()?;
        after = Some(page.next);
        if !follow {
            return Ok(());
        }
    }
}

//! The command line of `k485 ctl`.

use std::num::ParseFloatError;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use k485_emulator::SpoolSpec;
use k485_emulator::hand::{Buffer, Hand, Part, Sensor, Shows};
use k485_proto::slot::Slot;

use crate::length::Length;

/// What `k485 ctl` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It speaks to the emulator that was started with --control: to the one that runs, or to that at --url. \
Slots are T1A to T4D and boxes 1 to 4 by their place in the scene, whatever address they got. Lengths \
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
    pub(super) url: Option<String>,
    /// The file with the token, as --token-file of emulate made it
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) token_file: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) what: What,
}

#[derive(Debug, Subcommand)]
pub(super) enum What {
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
        #[arg(value_parser = finite)]
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
        #[arg(value_parser = finite)]
        left: f64,
    },
    /// Break the filament
    Break {
        /// Where
        slot: Slot,
        /// At which place, in mm from the inlet
        #[arg(value_parser = finite)]
        at: f64,
    },
    /// Have a slot's filament hold fast
    Jam {
        /// Where
        slot: Slot,
        /// Only no tip passes this place, in mm from the inlet
        #[arg(long)]
        #[arg(value_parser = finite)]
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
        #[arg(value_parser = finite)]
        mm: f64,
        /// How fast, in mm/s; without it at once
        #[arg(long)]
        #[arg(value_parser = finite)]
        speed: Option<f64>,
    },
    /// Have the extruder go on turning; 0 stops it
    #[command(allow_negative_numbers = true)]
    Extruder {
        /// How fast, in mm/s; negative is back
        #[arg(value_parser = finite)]
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

/// A number that JSON can hold.
fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error: ParseFloatError| error.to_string())?;
    if number.is_finite() { Ok(number) } else { Err("write a finite number".to_owned()) }
}

#[derive(Debug, Subcommand)]
pub(super) enum FaultWhat {
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
pub(super) enum ClockWhat {
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
        #[arg(value_parser = finite)]
        speed: f64,
    },
}

/// A spool.
#[derive(Debug, clap::Args)]
pub(super) struct SpoolArgs {
    /// The material: a name such as PLA, or the six characters of a tag
    material: Option<String>,
    /// The colour, six hex digits
    colour: Option<String>,
    /// How much filament there is, in mm
    #[arg(long, value_name = "MM")]
    #[arg(value_parser = finite)]
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
pub(super) enum OnOff {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum PartWord {
    Hub,
    Wheel,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum SensorWord {
    Inlet,
    Hub,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ShowsWord {
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
pub(super) enum BufferWord {
    Full,
    Middle,
    Empty,
    /// Nothing holds it
    Free,
}

impl What {
    /// What a hand does, where it is one.
    pub(super) fn hand(&self) -> Option<Hand> {
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

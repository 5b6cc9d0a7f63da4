//! `k485 scene`: begin, check and learn the scenes that an emulated bus is made of.

use std::fs::File;
use std::io::{Read, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use k485_emulator::scene::{Scene, json_schema, reference};
use k485_proto::dialect::Dialect;

use crate::dialect::DialectArg;

mod learn;

/// The largest file: a scene is some kilobytes, one that was learned some hundred, and a mistaken
/// capture need not be read whole.
const LARGEST: u64 = 16 << 20;

/// What `k485 scene` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  k485 scene init --boxes 2 > SCENE.toml     a file to begin with, every part explained
  k485 scene check SCENE.toml                what it makes, or where it is wrong
  k485 scene learn bus.pcapng -o SCENE.toml  the boxes of a capture, and what happened to them
  k485 scene schema > scene.schema.json      for an editor that checks while you type
  k485 scene schema --to markdown            every key of every table")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print a scene to begin with, with comments
    Init {
        /// How many boxes
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
        boxes: u8,
    },
    /// Check a scene, and tell what it makes
    Check {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        dialect: DialectArg,
    },
    /// Print what a scene may hold
    Schema {
        /// As JSON Schema, or as Markdown tables
        #[arg(long, value_name = "FORM", default_value = "json")]
        to: To,
    },
    /// Make a scene of what captures hold: devices, spools, durations, and what happened
    #[command(after_help = learn::EXAMPLES)]
    Learn(learn::Args),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum To {
    /// JSON Schema
    Json,
    /// Markdown
    Markdown,
}

/// Begins, checks, describes or learns a scene.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = Vec::new();
    match &args.what {
        What::Init { boxes } => out.extend(init(*boxes).into_bytes()),
        What::Check { file, dialect } => check(file, dialect.load()?, &mut out)?,
        What::Schema { to: To::Json } => {
            serde_json::to_writer_pretty(&mut out, &json_schema())?;
            out.push(b'\n');
        }
        What::Schema { to: To::Markdown } => out.extend(reference().into_bytes()),
        What::Learn(args) => return learn::run(args),
    }
    stdout().lock().write_all(&out)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a scene's file; all of its errors are in the one that is given.
pub(crate) fn load(path: &Path, dialect: &'static Dialect) -> anyhow::Result<Scene> {
    let name = path.display();
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| name.to_string())?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).with_context(|| name.to_string())?;
    if bytes.len() as u64 > LARGEST {
        bail!("{name}: is larger than a scene can be ({LARGEST} bytes)");
    }
    let Ok(text) = String::from_utf8(bytes) else {
        bail!("{name}: is no UTF-8 text, so it is no scene");
    };
    Scene::from_toml(&text, dialect).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| format!("{name}:{error}")).collect();
        anyhow::anyhow!("{}", lines.join("\nk485: "))
    })
}

/// What the first box of the starter says, before the others.
const STARTER: &str = include_str!("scene/starter.toml");
/// Another box of it.
const ANOTHER: &str = "
[[box]]
uniid = \"UNIID\"
serial = \"SERIAL\"
A = { material = \"PLA\", colour = \"ffffff\" }
";

fn init(boxes: u8) -> String {
    let (head, tail) = STARTER.split_once("# BOXES\n").unwrap_or((STARTER, ""));
    let mut text = head.to_owned();
    for n in 2..=boxes {
        let another = ANOTHER.replace("UNIID", &format!("0{n}").repeat(12));
        text += another.replace("SERIAL", &format!("1000000000000000{n}A1")).trim_start();
        text.push('\n');
    }
    text + tail
}

/// What the scene makes.
fn check(file: &Path, dialect: &'static Dialect, out: &mut Vec<u8>) -> anyhow::Result<()> {
    let scene = load(file, dialect)?;
    let layout = &scene.layout;
    writeln!(out, "{}: no errors", file.display())?;
    if let Some(title) = &layout.title {
        writeln!(out, "  {title}")?;
    }
    for (n, one) in layout.boxes.iter().enumerate() {
        let address = match one.address {
            Some(address) => format!("at {address:02X}"),
            None => "assigned by the host".to_owned(),
        };
        let filled = ["A", "B", "C", "D"].into_iter().zip(one.slots());
        let filled: Vec<&str> = filled.filter_map(|(letter, slot)| slot.map(|_| letter)).collect();
        let filled = match filled.is_empty() {
            true => "no filament".to_owned(),
            false => format!("filament in {}", filled.join(", ")),
        };
        writeln!(out, "  box {} {address}: firmware {}, {filled}", n + 1, one.firmware.0)?;
    }
    let addresses = |list: Vec<Option<u8>>| {
        let list: Vec<String> = list.into_iter().flatten().map(|a| format!("{a:02X}")).collect();
        list.join(", ")
    };
    if !layout.motors.is_empty() {
        let list = layout.motors.iter().map(|motor| motor.address).collect();
        writeln!(out, "  motors at {}", addresses(list))?;
    }
    if !layout.belts.is_empty() {
        let list = layout.belts.iter().map(|belt| belt.address).collect();
        writeln!(out, "  belt modules at {}", addresses(list))?;
    }
    if layout.rack.is_some() {
        writeln!(out, "  rack at 11")?;
    }
    for rule in scene.rules() {
        writeln!(out, "  fault: {rule}")?;
    }
    if let count @ 1.. = layout.events.0.len() {
        writeln!(out, "  {count} event{}", if count == 1 { "" } else { "s" })?;
    }
    Ok(())
}

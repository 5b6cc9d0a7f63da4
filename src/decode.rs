//! `k485 decode`: captures in names and units.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::ValueEnum;
use k485_proto::exchange::Pairer;
use k485_sniffer::capture::Reading;
use k485_sniffer::format::hex::read_hex_text;

use crate::formats::{self, From};
use crate::output::{self, Color};
use crate::view::{Options, Tally, View};

/// How many skipped places are told one by one.
const COMPLAINTS: u64 = 20;

/// What `k485 decode` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --from the format is told by the content. A folder is read as traces, merged by time.
Hex may be spelled in any way (spaces, 0x, commas, \\x, many frames a line, # comments); bare frames
as traced host calls carry them (0203ff0a: no F7, no CRC) are read and marked.

Examples:
  k485 decode captures/sample-load.hex
  k485 decode --hex 'F7 01 03 FF 0A 5C  F7 01 07 00 0A 19 24 00 00 E7'
  k485 decode --frames -vv dump.bin
  k485 decode --to json trace-folder | jq 'select(.outcome==\"timeout\")'")]
pub(crate) struct Args {
    /// Captures; `-` is stdin, a folder is read as traces
    #[arg(value_name = "FILE", required_unless_present = "hex")]
    files: Vec<PathBuf>,
    /// Frames as hex text, instead of a file
    #[arg(long, value_name = "HEX", conflicts_with_all = ["files", "from"])]
    hex: Vec<String>,
    /// The format, instead of detecting it
    #[arg(long)]
    from: Option<From>,
    #[command(flatten)]
    view: ViewArgs,
    /// Write here instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How what was seen is shown; shared with `sniff`.
#[derive(Debug, clap::Args)]
pub(crate) struct ViewArgs {
    /// How to write it
    #[arg(long, value_name = "FORM", default_value = "text")]
    to: To,
    /// A line for each exchange, the request with its reply (the default)
    #[arg(long, conflicts_with = "frames")]
    exchanges: bool,
    /// A line for each frame
    #[arg(long)]
    frames: bool,
    /// When to colour text
    #[arg(long, default_value = "auto")]
    color: Color,
    /// Show the frames of each exchange; twice: their bytes too
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// How what was seen is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// Lines for people
    Text,
    /// JSON lines (docs/jsonl.md)
    Json,
}

impl ViewArgs {
    /// The view of these arguments on an output.
    pub(crate) fn open(&self, output: Option<&Path>) -> anyhow::Result<View> {
        let output = output::open(output)?;
        Ok(View::new(
            output,
            Options {
                json: self.to == To::Json,
                frames: self.frames,
                color: self.color,
                verbose: self.verbose,
            },
        ))
    }
}

/// Decodes the captures.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(output) = &args.output {
        // The input would be gone before its first byte is read.
        if let Some(file) = args.files.iter().find(|file| same_file(file, output)) {
            bail!("{} is both input and output", file.display());
        }
    }
    let mut view = args.view.open(args.output.as_deref())?;
    let mut tally = Tally::default();
    for text in &args.hex {
        decode(read_hex_text("--hex", text), &mut view, &mut tally)?;
    }
    for file in &args.files {
        let reading = formats::open(file, args.from)?;
        if args.files.len() > 1 {
            view.heading(&file.display().to_string())?;
        }
        decode(reading, &mut view, &mut tally)?;
    }
    view.flush()?;
    if args.view.verbose > 0 || tally.complaints > COMPLAINTS {
        eprintln!("{tally}");
    }
    if tally.records == 0 {
        bail!(
            "no frame and no byte found{}",
            if tally.complaints > 0 { ", see above" } else { "" }
        );
    }
    Ok(if tally.complaints > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

/// Whether two paths name one existing file.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn decode(reading: Reading, view: &mut View, tally: &mut Tally) -> anyhow::Result<()> {
    let mut pairer = Pairer::new();
    for item in reading {
        match item {
            Ok(record) => pairer.push(record),
            Err(complaint) if complaint.fatal => {
                view.flush()?;
                bail!("{complaint}");
            }
            Err(complaint) => {
                tally.complaints += 1;
                view.flush()?;
                match tally.complaints {
                    ..COMPLAINTS => eprintln!("k485: {complaint}"),
                    COMPLAINTS => eprintln!("k485: {complaint}; what follows is only counted"),
                    _ => {}
                }
            }
        }
        show(&mut pairer, view, tally)?;
    }
    pairer.finish();
    show(&mut pairer, view, tally)
}

/// Shows what the pairer has.
pub(crate) fn show(pairer: &mut Pairer, view: &mut View, tally: &mut Tally) -> anyhow::Result<()> {
    while let Some(seen) = pairer.pull() {
        tally.count(&seen);
        view.show(&seen)?;
    }
    Ok(())
}

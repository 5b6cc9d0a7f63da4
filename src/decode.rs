//! `k485 decode`: captures in names and units.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use k485_proto::exchange::Seen;
use k485_proto::filter::Filter;

use crate::filter::FilterArgs;
use crate::input::{InputArgs, Sink};
use crate::output::{self, Color};
use crate::progress::Progress;
use crate::view::{Options, Tally, View};

/// What `k485 decode` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --from the format is told by the content. A folder with *.jsonl files is read as a trace, \
merged by time; of another folder every capture in it is read.
Hex may be spelled in any way (spaces, 0x, commas, \\x, many frames a line, # comments); bare frames \
as traced host calls carry them (0203ff0a: no F7, no CRC) are read and marked.

Examples:
  k485 decode captures/sample-load.hex
  k485 decode --hex 'F7 01 03 FF 0A 5C  F7 01 07 00 0A 19 24 00 00 E7'
  k485 decode --frames -vv dump.bin
  k485 decode -F 'addr==box2 && latency>50ms' --since 1m30s bus.log
  k485 decode --to json trace-folder | jq 'select(.outcome==\"timeout\")'")]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    filter: FilterArgs,
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
    pub(crate) frames: bool,
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
    /// Whether to colour a terminal.
    pub(crate) fn color(&self) -> bool {
        self.color.wanted(true)
    }

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

/// Shows what is seen, and counts it.
pub(crate) struct Shown {
    /// Where it is shown.
    pub(crate) view: View,
    /// The counts, of everything that is seen.
    pub(crate) tally: Tally,
    /// What is shown of it; everything without one.
    pub(crate) filter: Option<Filter>,
}

impl Sink for Shown {
    fn heading(&mut self, name: &str) -> anyhow::Result<()> {
        Ok(self.view.heading(name)?)
    }

    fn seen(&mut self, seen: &Seen) -> anyhow::Result<()> {
        self.tally.count(seen);
        if self.view.shows(seen) && self.filter.as_ref().is_none_or(|filter| filter.matches(seen)) {
            self.view.show(seen)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.view.flush()?)
    }

    fn watch(&mut self, total: u64) -> Progress {
        // On a terminal the lines themselves show how it goes on.
        if self.view.is_terminal() { Progress::none() } else { Progress::of(total) }
    }
}

/// Decodes the captures.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(output) = &args.output {
        args.input.refuse_output(output)?;
    }
    let filter = args.filter.read(args.view.frames, args.input.tables()?)?;
    let view = args.view.open(args.output.as_deref())?;
    let mut shown = Shown { view, tally: Tally::default(), filter };
    let skipped = args.input.read(&mut shown)?;
    if args.view.verbose > 0 {
        eprintln!("{}", shown.tally);
    }
    Ok(if skipped > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

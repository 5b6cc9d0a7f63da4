//! `k485 flush`: how much filament the printer flushes at a change, asked and worked out.

use std::process::ExitCode;

use clap::Subcommand;
use k485_proto::material::Colour;
use k485_proto::slot::Slot;
use k485_trace::flush::spools;

mod analyze;
mod collect;
mod length;
mod report;
mod run;

/// What `k485 flush` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The printer flushes at each change of filament, and how much depends on what comes after what. docs/flush.md \
tells how it works that out, as far as it is known.

Examples:
  k485 flush collect k2.local --dry-run            the changes that would be made
  k485 flush analyze captures/                     the lengths in a trace, and a model of them
  k485 flush length ffffff ff1e1e                  what the host's own function gives")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make the printer change filament after filament, for a trace of the lengths. Needs --yes
    Collect(collect::Args),
    /// Find the flushes in traces: a table from what to what, and a model judged by held-out pairs
    Analyze(analyze::Args),
    /// Work out volume, length and pieces from two colours, as the host does
    Length(length::Args),
}

/// Runs one of them.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Collect(args) => collect::run(args),
        What::Analyze(args) => analyze::run(args),
        What::Length(args) => length::run(args),
    }
}

/// A slot from the command line.
fn slot(text: &str) -> Result<Slot, String> {
    text.parse().map_err(|_| {
        "the slots are T1A to T4D: the boxes 1 to 4, their slots A to D; there is no box 0"
            .to_owned()
    })
}

/// A colour from the command line.
fn colour(text: &str) -> Result<Colour, String> {
    spools::colour(text).ok_or_else(|| "a colour is six hex digits, such as ff1e1e".to_owned())
}

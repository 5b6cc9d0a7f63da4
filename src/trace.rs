//! `k485 trace`: the method calls of a running host, caught live and read again.

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use k485_trace::filter::Filter;

mod capture;
mod exchanges;
mod gcode;
mod input;
mod json;
mod live;
mod logs;
mod show;
mod stats;
mod tree;
mod view;
mod words;

/// What `k485 trace` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The tracer is an extra of Klipper (docs/trace.md). It streams calls, returns, exceptions and the bus \
frames they caused; what is read here are such streams, live or from files.

Examples:
  k485 trace on k2.local box               trace the box's methods
  k485 trace capture k2.local              catch what the printer streams, and show it
  k485 trace capture ssh://root@k2.local   the same through ssh
  k485 trace tree captures/                who called whom, with the frames on the bus
  k485 trace stats captures/               how often, how long, how many exceptions
  k485 trace logs captures/                what was caught there")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run commands of G-code on the printer, such as the tracer's, and show what they print
    Gcode(gcode::GcodeArgs),
    /// Start the printer's stream and trace objects
    On(gcode::OnArgs),
    /// Trace nothing any more
    Off(gcode::OffArgs),
    /// Ask the printer what is traced, and who takes it
    Status(gcode::StatusArgs),
    /// Catch the stream of a printer's tracer in files, and show it
    Capture(capture::Args),
    /// Show calls nested as they were made, with the frames they caused
    Tree(tree::Args),
    /// Show what a capture holds: its metadata and its lines
    View(view::Args),
    /// List captures: times, objects, events, what is missing
    Logs(logs::Args),
    /// Count calls: how often, how long, how many exceptions, for each method
    Stats(stats::Args),
}

/// Runs one of them.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Gcode(args) => gcode::gcode(args),
        What::On(args) => gcode::on(args),
        What::Off(args) => gcode::off(args),
        What::Status(args) => gcode::status(args),
        What::Capture(args) => capture::run(args),
        What::Tree(args) => tree::run(args),
        What::View(args) => view::run(args),
        What::Logs(args) => logs::run(args),
        What::Stats(args) => stats::run(args),
    }
}

/// Reads a filter over calls.
fn filter(text: &str) -> anyhow::Result<Filter> {
    // The error shows the filter itself, so it is the outermost.
    Filter::parse(text).context("the filter")
}

//! `k485 trace stats`: calls in figures.

use std::process::ExitCode;

use crate::input::InputArgs;

/// What `k485 trace stats` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
}

/// Counts.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("{:?}: comes with the next steps", args.input.files)
}

//! `k485 trace capture`: a printer's stream in files.

use std::process::ExitCode;

use crate::input::InputArgs;

/// What `k485 trace capture` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
}

/// Catches.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("{:?}: comes with the next steps", args.input.files)
}

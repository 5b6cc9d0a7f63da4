//! `k485 trace tree`: calls nested as they were made.

use std::process::ExitCode;

use crate::input::InputArgs;

/// What `k485 trace tree` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
}

/// Shows.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("{:?}: comes with the next steps", args.input.files)
}

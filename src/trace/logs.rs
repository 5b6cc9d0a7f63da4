//! `k485 trace logs`: a list of captures.

use std::process::ExitCode;

use crate::input::InputArgs;

/// What `k485 trace logs` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
}

/// Lists.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("{:?}: comes with the next steps", args.input.files)
}

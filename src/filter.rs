//! `-F`, `--filter`: show only what a condition holds for.

use anyhow::Context;
use k485_proto::dialect::Dialect;
use k485_proto::filter::Filter;

/// Which part of what is seen to show; for commands that show everything without it.
#[derive(Debug, clap::Args)]
pub(crate) struct FilterArgs {
    /// Show only what this holds for, as in 'addr==box1 && status!=OK' (docs/filter.md)
    #[arg(short = 'F', long = "filter", value_name = "EXPR")]
    filter: Option<String>,
}

impl FilterArgs {
    /// Whether there is one.
    pub(crate) fn is_given(&self) -> bool {
        self.filter.is_some()
    }

    /// The filter, if there is one.
    pub(crate) fn read(
        &self,
        frames: bool,
        dialect: &'static Dialect,
    ) -> anyhow::Result<Option<Filter>> {
        self.filter.as_deref().map(|text| read(text, frames, dialect)).transpose()
    }
}

/// Reads a filter for a view of exchanges or of frames, and says what is odd about it.
pub(crate) fn read(text: &str, frames: bool, dialect: &'static Dialect) -> anyhow::Result<Filter> {
    // The error shows the filter itself, so it is the outermost.
    let filter = Filter::parse(text, dialect).context("the filter")?;
    for hint in filter.hints() {
        eprintln!("k485: the filter: column {}: {}", hint.column, hint.text);
    }
    if frames && filter.asks_for_exchanges() {
        eprintln!(
            "k485: the filter: frames alone have no outcome, latency or attempts; decode and grep \
             filter exchanges, without --frames"
        );
    }
    Ok(filter)
}

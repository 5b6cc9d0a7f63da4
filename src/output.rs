//! Where a command's data goes: stdout or a file, with a pipe that is closed early being no error.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// An open output.
pub(crate) struct Output {
    /// Where the data goes; buffered.
    pub(crate) out: Box<dyn Write>,
    /// Whether it is a terminal.
    pub(crate) terminal: bool,
}

/// Opens the file, or stdout.
pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Output> {
    match path {
        Some(path) if path != Path::new("-") => {
            let file =
                File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(Output { out: Box::new(BufWriter::new(file)), terminal: false })
        }
        _ => {
            let stdout = io::stdout();
            let terminal = stdout.is_terminal();
            Ok(Output { out: Box::new(BufWriter::new(stdout)), terminal })
        }
    }
}

impl Color {
    /// Whether to colour this output.
    pub(crate) fn wanted(self, terminal: bool) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        }
    }
}

/// Whether an error is a pipe whose reader went away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        cause.downcast_ref::<io::Error>().is_some_and(broken)
    })
}

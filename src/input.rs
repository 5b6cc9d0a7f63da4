//! What every command that reads captures has in common: which inputs, in which format, which part
//! of their time, and what is said about places that cannot be read.

use std::path::{Path, PathBuf};

use anyhow::bail;
use k485_proto::dialect::Dialect;
use k485_proto::exchange::{Pairer, Seen};
use k485_sniffer::capture::{OpenError, Reading};
use k485_sniffer::format::hex::read_hex_text;

use crate::complaints::{Complaints, say};
use crate::dialect::{DialectArg, Wanted};
use crate::formats::{self, From};
use crate::output::is_broken_pipe;
use crate::progress::Progress;
use crate::source::{self, Kind, Source};
use crate::window::{Moment, Window};

/// How many files of folders that are no captures are named.
const NAMED: usize = 3;

/// Which captures to read, and how.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct InputArgs {
    /// Captures; `-` is stdin, a folder is a trace or holds captures, a quoted pattern is expanded
    #[arg(value_name = "FILE", required_unless_present = "hex")]
    pub(crate) files: Vec<PathBuf>,
    /// Frames as hex text, instead of a file
    #[arg(long, value_name = "HEX", conflicts_with_all = ["files", "from"])]
    hex: Vec<String>,
    /// The format, instead of detecting it
    #[arg(long)]
    from: Option<From>,
    /// Only from then on: 10s or 1m30s behind the start, 18:55:50, 2026-01-01T18:55:50Z, seconds
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only before then
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    #[command(flatten)]
    dialect: DialectArg,
    /// Fail at the first place that cannot be read, instead of skipping it
    #[arg(long)]
    strict: bool,
}

/// Who is given what the inputs hold.
pub(crate) trait Sink {
    /// The next input begins; told of every one.
    fn begin(&mut self, _name: &str) -> anyhow::Result<()> {
        Ok(())
    }
    /// The next input begins; told only where there are several.
    fn heading(&mut self, name: &str) -> anyhow::Result<()>;
    /// A frame, an exchange, noise or a gap.
    fn seen(&mut self, seen: &Seen) -> anyhow::Result<()>;
    /// Something is about to be said on stderr: what was shown so far goes out first.
    fn flush(&mut self) -> anyhow::Result<()>;
    /// Whether the rest of this input is not wanted.
    fn is_full(&self) -> bool {
        false
    }
    /// The bar for a job of so many bytes; what writes to the terminal moves it aside.
    fn watch(&mut self, _total: u64) -> Progress {
        Progress::none()
    }
}

impl InputArgs {
    /// Gives everything that the inputs hold to the sink, one input after the other. Returns how
    /// many places were skipped; each of the first was told on stderr.
    pub(crate) fn read(&self, sink: &mut dyn Sink) -> anyhow::Result<u64> {
        let sources = source::sources(&self.files, self.from)?;
        // Where an input's size is not known, neither is how much is left.
        let total: Option<u64> = sources.iter().map(Source::size).sum();
        let progress = sink.watch(total.unwrap_or(0));
        let mut reader = Reader {
            args: self,
            sink,
            dialect: self.dialect.wanted()?,
            progress,
            several: sources.len() > 1,
            records: 0,
            complaints: Complaints::new(self.strict),
        };
        let result = reader.all(&sources);
        reader.progress.end();
        result
    }

    /// Whether anything that is odd ends it.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    /// The same for one input.
    pub(crate) fn alone(&self, path: &Path) -> InputArgs {
        InputArgs { files: vec![path.to_owned()], ..self.clone() }
    }

    /// The tables that names are looked up in: the dialect's, or K2's where the captures tell it.
    pub(crate) fn tables(&self) -> anyhow::Result<&'static Dialect> {
        Ok(self.dialect.wanted()?.tables())
    }

    /// Refuses an output that is one of the inputs: it would be gone before its first byte is read.
    pub(crate) fn refuse_output(&self, output: &Path) -> anyhow::Result<()> {
        refuse_output(&source::sources(&self.files, self.from)?, output)
    }
}

/// Refuses an output that is one of the inputs: it would be gone before its first byte is read.
pub(crate) fn refuse_output(sources: &[Source], output: &Path) -> anyhow::Result<()> {
    let files = sources.iter().flat_map(|source| match &source.kind {
        Kind::Traces(files) => files.as_slice(),
        _ => std::slice::from_ref(&source.path),
    });
    match files.into_iter().find(|file| same_file(file, output)) {
        Some(file) => bail!("{} is both input and output", file.display()),
        None => Ok(()),
    }
}

/// A file's name without anything that would steer a terminal.
pub(crate) fn printable(path: &Path) -> String {
    let clean = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    path.display().to_string().chars().map(clean).collect()
}

/// Whether two paths name one existing file.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

struct Reader<'a> {
    args: &'a InputArgs,
    sink: &'a mut dyn Sink,
    progress: Progress,
    several: bool,
    dialect: Wanted,
    records: u64,
    complaints: Complaints,
}

impl Reader<'_> {
    fn all(&mut self, sources: &[Source]) -> anyhow::Result<u64> {
        for text in &self.args.hex {
            self.read("--hex", read_hex_text("--hex", text))?;
        }
        let mut others = Vec::new();
        let mut failed = 0;
        for source in sources {
            match self.one(source) {
                Ok(()) => {}
                Err(error) if source.kind == Kind::Found && is_undetected(&error) => {
                    others.push(printable(&source.path));
                }
                // One bad file of many does not keep the others from being read.
                Err(error) if self.several && !is_broken_pipe(&error) => {
                    self.sink.flush()?;
                    self.say(&format!("{error:#}"));
                    failed += 1;
                }
                Err(error) => return Err(error),
            }
        }
        self.sink.flush()?;
        if !others.is_empty() {
            let named = others[..others.len().min(NAMED)].join(", ");
            let more = if others.len() > NAMED { ", …" } else { "" };
            self.say(&format!(
                "left out, as they are no captures: {named}{more} ({} in all)",
                others.len()
            ));
        }
        if failed > 0 {
            bail!("{failed} of {} inputs failed, see above", sources.len());
        }
        let skipped = self.complaints.finish(|what| self.say(what));
        if self.records == 0 {
            return Err(self.complaints.nothing_found());
        }
        Ok(skipped)
    }

    fn one(&mut self, source: &Source) -> anyhow::Result<()> {
        let reading = formats::open(source, self.args.from, &self.progress)?;
        let name = printable(&source.path);
        if self.several {
            self.sink.heading(&name)?;
        }
        self.read(&name, reading)
    }

    fn read(&mut self, name: &str, reading: Reading) -> anyhow::Result<()> {
        self.sink.begin(name)?;
        let of = self.several.then_some(name);
        let (dialect, reading) = self.dialect.settle(of, reading);
        let mut pairer = Pairer::with_dialect(dialect);
        let mut window = Window::new(self.args.since, self.args.until);
        for item in reading {
            match item {
                Ok(record) => {
                    self.records += 1;
                    if let Some(odd) = window.pass(record.time) {
                        self.sink.flush()?;
                        self.say(&odd);
                    }
                    pairer.push(record);
                }
                Err(complaint) => {
                    self.sink.flush()?;
                    let progress = &self.progress;
                    self.complaints.tell(&complaint, |what| progress.aside(|| say(what)))?;
                }
            }
            self.pull(&mut pairer, &mut window)?;
            if self.sink.is_full() {
                return Ok(());
            }
        }
        pairer.finish();
        self.pull(&mut pairer, &mut window)?;
        if let Some(verdict) = window.verdict() {
            self.sink.flush()?;
            self.say(&format!("{name}: {verdict}"));
        }
        Ok(())
    }

    /// Gives what the pairer has to the sink, if it is of the wanted time.
    fn pull(&mut self, pairer: &mut Pairer, window: &mut Window) -> anyhow::Result<()> {
        while let Some(seen) = pairer.pull() {
            if window.holds(&seen) {
                self.sink.seen(&seen)?;
            }
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        self.progress.aside(|| say(what));
    }
}

/// Whether an input could not be opened because it is in no known format.
pub(crate) fn is_undetected(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::Undetected(_)))
}

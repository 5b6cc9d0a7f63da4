//! `k485 convert`: captures in another format.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::error::ErrorKind;
use clap::{CommandFactory, ValueEnum};
use k485_link::BAUD;
use k485_proto::filter::Filter;
use k485_proto::record::Time;
use k485_sniffer::format::compressed::{Packer, Packing};
use k485_sniffer::format::pcapng;
use k485_sniffer::format::write::{CaptureWriter, Item, Items};
use k485_sniffer::format::written::Written;

use crate::complaints::{Complaints, say};
use crate::dialect::{DialectArg, Wanted};
use crate::filter::FilterArgs;
use crate::formats::{self, From};
use crate::input::{is_undetected, printable, refuse_output};
use crate::progress::Progress;
use crate::source::{self, Kind};

/// What `k485 convert` takes.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "k485 convert [OPTIONS] <IN>... <OUT>",
    after_help = "\
The formats, and what each can hold, are in docs/formats.md; log and pcapng hold the most. What the \
output cannot hold is counted on stderr. Inputs that all have times are merged by time, others are \
written one after the other. gzip and zstd are read as they are, and written where OUT ends in .gz \
or .zst.

Examples:
  k485 convert captures/sample-load.hex load.pcapng
  k485 convert bus0.log bus1.log both.log.zst
  k485 convert dump.bin - --to log | grep ' > '
  k485 convert bus.jsonl - --to pcapng | tshark -r -"
)]
pub(crate) struct Args {
    /// Captures to read, and the file to write; `-` is stdin and stdout
    #[arg(value_name = "PATH", num_args = 2.., required = true)]
    paths: Vec<PathBuf>,
    /// The inputs' format, instead of detecting it
    #[arg(long)]
    from: Option<From>,
    /// The output's format, instead of the one that its name's end says
    #[arg(long)]
    to: Option<To>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    dialect: DialectArg,
    /// Fail at the first place that cannot be read, instead of skipping it
    #[arg(long)]
    strict: bool,
    /// Overwrite a file
    #[arg(long)]
    force: bool,
    /// The buses' speed, for pcapng; traces have none
    #[arg(long, default_value_t = BAUD)]
    baud: u32,
}

/// A format to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum To {
    /// Hex text, a span a line, with times (.hex)
    Hex,
    /// The bytes of the wire (.raw, .bin)
    Raw,
    /// As interceptty dumps (.interceptty)
    Interceptty,
    /// A span a line, in the manner of candump (.log)
    Log,
    /// k485's JSON lines (.jsonl)
    Jsonl,
    /// Packets, for Wireshark (.pcapng)
    Pcapng,
}

impl To {
    /// What it stands for.
    pub(crate) fn format(self) -> Written {
        match self {
            To::Hex => Written::Hex,
            To::Raw => Written::Raw,
            To::Interceptty => Written::Interceptty,
            To::Log => Written::Log,
            To::Jsonl => Written::Jsonl,
            To::Pcapng => Written::Pcapng,
        }
    }
}

/// The program and its version, as a capture names who wrote it.
pub(crate) const PROGRAM: &str = concat!("k485 ", env!("CARGO_PKG_VERSION"));

/// Converts the captures.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some((output, inputs)) = args.paths.split_last() else { bail!("no output is named") };
    let Some(to) = args.to.map(To::format).or_else(|| Written::of_name(output)) else {
        let what = format!(
            "the end of {} names no format: add --to, or end it in .hex, .raw, .bin, \
             .interceptty, .log, .jsonl or .pcapng",
            output.display()
        );
        crate::Cli::command().error(ErrorKind::ValueValidation, what).exit();
    };
    let inputs = source::sources(inputs, args.from)?;
    refuse_output(&inputs, output)?;
    refuse_existing(output, args.force)?;
    let mut complaints = Complaints::new(args.strict);
    let dialect = args.dialect.wanted()?;
    let filter = args.filter.read(true, dialect.tables())?;
    let mut sources = Sources::open(&inputs, args.from, dialect, filter, &mut complaints)?;
    if sources.is_empty() {
        complaints.finish(say);
        if args.filter.is_given() {
            bail!("the filter holds for nothing in the input: nothing is written");
        }
        return Err(complaints.nothing_found());
    }
    let mut out = Output::create(output, to, args.force)?;
    let about = pcapng::Options { baud: Some(args.baud), program: PROGRAM.to_owned() };
    let mut writer = to.writer(&mut out, about);
    let result = sources.write(writer.as_mut(), &mut complaints);
    // Whatever went wrong, what was read by then is kept, and can be read again.
    let ended = writer.finish().context("cannot write");
    let losses = writer.losses().clone();
    drop(writer);
    let ended = ended.and(out.finish().context("cannot write"));
    if !losses.is_empty() {
        eprintln!("k485: {} cannot hold everything; not kept: {losses}", to.name());
    }
    let skipped = complaints.finish(say);
    result.and(ended)?;
    Ok(if skipped > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

/// Refuses to overwrite a file without being told to.
fn refuse_existing(output: &Path, force: bool) -> anyhow::Result<()> {
    let is_file = fs::metadata(output).is_ok_and(|meta| meta.is_file());
    if is_file && !force && output != Path::new("-") {
        bail!("{} exists: choose a new name, or add --force to overwrite it", output.display());
    }
    Ok(())
}

/// Whether a filter lets an item through.
fn holds(filter: Option<&Filter>, item: &Item) -> bool {
    filter.is_none_or(|filter| match item {
        Item::Frame(frame) => filter.matches_frame(frame),
        Item::Noise(record) => filter.matches_noise(record),
        Item::Gap(record) => filter.matches_gap(record),
        // Nothing was seen that a condition could speak of.
        Item::NoReply(_) => false,
    })
}

/// An open input, and the item that comes next.
struct Source {
    items: Items,
    filter: Option<Filter>,
    next: Option<Item>,
    /// The item's time, or the last one before it.
    time: Option<Time>,
}

impl Source {
    /// Takes the next item.
    fn advance(&mut self, complaints: &mut Complaints) -> anyhow::Result<()> {
        loop {
            match self.items.next() {
                Some(Err(complaint)) => complaints.tell(&complaint, say)?,
                Some(Ok(item)) if !holds(self.filter.as_ref(), &item) => {}
                Some(Ok(item)) => {
                    self.time = item.record().time.or(self.time);
                    self.next = Some(item);
                    return Ok(());
                }
                None => {
                    self.next = None;
                    return Ok(());
                }
            }
        }
    }
}

/// The inputs, in one order.
struct Sources {
    sources: Vec<Source>,
    /// Whether by time; else one after the other.
    by_time: bool,
}

impl Sources {
    fn open(
        inputs: &[source::Source],
        from: Option<From>,
        dialect: Wanted,
        filter: Option<Filter>,
        complaints: &mut Complaints,
    ) -> anyhow::Result<Self> {
        let mut sources = Vec::new();
        for input in inputs {
            let reading = match formats::open(input, from, &Progress::none()) {
                Err(error) if input.kind == Kind::Found && is_undetected(&error) => {
                    say(&format!("{}: no capture, left out", printable(&input.path)));
                    continue;
                }
                reading => reading?,
            };
            let name = (inputs.len() > 1).then(|| printable(&input.path));
            let (dialect, reading) = dialect.settle(name.as_deref(), reading);
            let items = Items::with_dialect(reading, dialect);
            let mut source = Source { items, filter: filter.clone(), next: None, time: None };
            source.advance(complaints)?;
            sources.push(source);
        }
        let by_time = sources.iter().all(|source| source.next.is_none() || source.time.is_some());
        if !by_time && sources.len() > 1 {
            eprintln!("k485: not every input has times: written one after the other");
        }
        Ok(Sources { sources, by_time })
    }

    fn is_empty(&self) -> bool {
        self.sources.iter().all(|source| source.next.is_none())
    }

    /// Which source comes next: the one with the earliest time, the first of equals.
    fn first(&self) -> Option<usize> {
        let mut left = self.sources.iter().enumerate().filter(|(_, source)| source.next.is_some());
        let first =
            if self.by_time { left.min_by_key(|(_, source)| source.time) } else { left.next() };
        first.map(|(at, _)| at)
    }

    fn write(
        &mut self,
        writer: &mut dyn CaptureWriter,
        complaints: &mut Complaints,
    ) -> anyhow::Result<()> {
        while let Some(at) = self.first() {
            let source = &mut self.sources[at];
            if let Some(item) = &source.next {
                writer.write(item).context("cannot write")?;
            }
            source.advance(complaints)?;
        }
        Ok(())
    }
}

/// The file that is written, packed or not.
enum Output {
    Plain(BufWriter<Box<dyn Write + Send>>),
    Packed(Packer<BufWriter<Box<dyn Write + Send>>>),
}

impl Output {
    fn create(path: &Path, to: Written, force: bool) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            let stdout = io::stdout();
            if to.is_binary() && stdout.is_terminal() {
                bail!("{} is binary, and stdout is a terminal: name a file", to.name());
            }
            return Ok(Output::Plain(BufWriter::new(Box::new(stdout))));
        }
        let special = fs::metadata(path).is_ok_and(|meta| !meta.is_file());
        let file = if force || special {
            File::create(path)
        } else {
            OpenOptions::new().write(true).create_new(true).open(path)
        };
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let file: BufWriter<Box<dyn Write + Send>> = BufWriter::new(Box::new(file));
        Ok(match Packing::of_name(path) {
            Some(packing) => Output::Packed(packing.writer(file)?),
            None => Output::Plain(file),
        })
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Output::Plain(mut file) => file.flush(),
            Output::Packed(packer) => packer.finish()?.flush(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Output::Plain(file) => file.write(buf),
            Output::Packed(packer) => packer.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Plain(file) => file.flush(),
            Output::Packed(packer) => packer.flush(),
        }
    }
}

//! `k485 trace capture`: a running tracer's stream, in files and on the screen.

mod core;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use k485_link::Clock;
use k485_trace::Event;
use k485_trace::keep::{Keeper, Options, Summary};
use std::io::Write;

use self::core::{Core, End, Last, News, WAITING};
use self::target::Target;
use super::show::Show;
use super::words::{Detail, clean, length};
use crate::complaints::say;
use crate::dialect::DialectArg;
use crate::length::{Length, Limit};
use crate::output::{self, Color};
use crate::table;

/// How long a call may be shown late, to have its result in the same line.
const LATE: Duration = Duration::from_millis(150);
/// How many names of files are tried: a second each.
const STAMPS: i64 = 60;

/// What `k485 trace capture` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes captures/OBJECT_TIME.jsonl for each object, _system_TIME.jsonl for what belongs to none, and \
_all_TIME.jsonl with everything in order; readers of the folder take the last. A connection that is \
lost is made anew, and the gap is marked in the files. Ctrl-C ends it with a summary. \
A tracer's other clients, and tracers other than k485's, are sent nothing.

Examples:
  k485 trace capture k2.local
  k485 trace capture ssh://root@k2.local -o friday
  k485 trace capture 192.168.1.7:9000 --token SECRET --rotate 100M
  k485 trace capture k2.local -F 'object==box || raised' --for 10m
  k485 trace capture k2.local --files none --json | jq 'select(.type==\"error\")'

Exit codes: 0 done; 1 no connection, nothing came, or not everything could be kept; 2 wrong command line.")]
pub(crate) struct Args {
    /// The printer: HOST, HOST:PORT, or ssh://USER@HOST for a stream that only the printer itself
    /// reaches
    #[arg(value_name = "HOST")]
    target: Target,
    /// The stream's port, where it is not part of HOST
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The tracer's token; better in the environment, as K485_TRACE_TOKEN, where no other user sees it
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Wait for the stream where it is not there yet
    #[arg(long)]
    wait: bool,
    /// Ask for plain lines, where the tracer has a more compact form too
    #[arg(long)]
    plain: bool,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time: 10s, 1h
    #[arg(long = "for", value_name = "TIME")]
    length: Option<Length>,
    #[command(flatten, next_help_heading = "Keeping")]
    keep: KeepArgs,
    #[command(flatten, next_help_heading = "Showing")]
    show: ShowArgs,
}

#[derive(Debug, clap::Args)]
struct KeepArgs {
    /// The folder of the files
    #[arg(short, long, value_name = "DIR", default_value = "captures")]
    output: PathBuf,
    /// Which files to write
    #[arg(long, value_name = "WHICH", default_value = "both")]
    files: Files,
    /// Begin a new part of a file at this size (100M) or after this time (1h); may be given twice
    #[arg(long, value_name = "SIZE|TIME")]
    rotate: Vec<Limit>,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Show only calls that this holds for: 'object==box && duration>50ms' (docs/trace.md)
    #[arg(short = 'F', long, value_name = "EXPR", conflicts_with_all = ["json", "quiet"])]
    filter: Option<String>,
    /// Show nothing, only keep
    #[arg(short, long)]
    quiet: bool,
    /// Show the lines as they came
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Whole values, threads, what frames are made of
    #[arg(short, long)]
    verbose: bool,
    /// When to colour text
    #[arg(long, default_value = "auto")]
    color: Color,
    #[command(flatten)]
    dialect: DialectArg,
}

/// Which files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Files {
    /// One for each object, and one with everything
    Both,
    /// One for each object
    Objects,
    /// One with everything
    All,
    /// None
    None,
}

/// What shows lines.
enum Face {
    Text(Box<Show>),
    Json(output::Output),
    Nothing,
}

/// Captures until Ctrl-C, or until there is enough.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // What cannot be read ends it before anything is opened.
    let filter = args.show.filter.as_deref().map(super::filter).transpose()?;
    let dialect = args.show.dialect.load()?;
    let clock = Clock::new();
    let stop = Arc::new(AtomicBool::new(false));
    crate::sniff::end_by_signal(&stop)?;
    k485_sniffer::keep::survive_size_limits();
    let keeper = args.keep.begin(clock)?;
    let out = output::open(None)?;
    let mut face = if args.show.quiet {
        Face::Nothing
    } else if args.show.json {
        Face::Json(out)
    } else {
        let color = args.show.color.wanted(out.terminal);
        let detail = Detail { whole: args.show.verbose, dialect };
        Face::Text(Box::new(Show::new(out.out, color, detail, filter)))
    };
    let name = args.target.name(args.port);
    eprintln!("capturing from {name}; Ctrl-C ends");
    let token = args.token.clone().or_else(|| std::env::var("K485_TRACE_TOKEN").ok());
    let (sender, news) = sync_channel(WAITING);
    let begun = Instant::now();
    let core = Core {
        target: args.target.clone(),
        port: args.port,
        token: token.filter(|token| !token.is_empty()),
        binary: !args.plain,
        wait: args.wait,
        keeper,
        news: Some(sender),
        clock,
        stop: Arc::clone(&stop),
        until: args.length.and_then(|Length(nanos)| {
            begun.checked_add(Duration::from_nanos(nanos.unsigned_abs()))
        }),
        left: args.count,
        end: End::default(),
        lost: None,
        last: Last::default(),
        reached: false,
    };
    let core = thread::Builder::new().name("capture".to_owned()).spawn(move || core.run());
    let core = core.context("cannot start the capture's thread")?;
    let shown = face.show(&news);
    // Whatever ended the screen ends the rest.
    stop.store(true, Ordering::SeqCst);
    drop(news);
    let (end, keeper) = core.join().map_err(|_| anyhow!("the capture failed; see above"))?;
    let lost = keeper.as_ref().map_or(0, |keeper| keeper.summary().lost);
    let kept = keeper.as_ref().map(Keeper::summary);
    // Nothing came: what was begun holds nothing.
    if let Some(kept) = kept.filter(|kept| kept.bytes == 0 && kept.lost == 0) {
        for path in &kept.files {
            let _ = std::fs::remove_file(path);
        }
    }
    if end.failure.is_none() || end.connections > 0 || kept.is_some_and(|kept| kept.bytes > 0) {
        summary(&end, kept, begun.elapsed(), &name);
    }
    shown?;
    if let Some(failure) = end.failure {
        bail!("{failure}");
    }
    Ok(if lost > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl KeepArgs {
    fn begin(&self, clock: Clock) -> anyhow::Result<Option<Keeper>> {
        if self.files == Files::None {
            return Ok(None);
        }
        let (mut size, mut every) = (None, None);
        for limit in &self.rotate {
            match *limit {
                Limit::Size(limit) => size = Some(limit),
                Limit::Time(nanos) => every = Some(nanos),
            }
        }
        let options = Options {
            folder: self.output.clone(),
            objects: self.files != Files::All,
            all: self.files != Files::Objects,
            size,
            every,
        };
        let now = clock.now();
        let stamp = |second: i64| {
            let time = k485_proto::record::Time(now.0.saturating_add(second * 1_000_000_000));
            table::clock(time, "%Y%m%d_%H%M%S")
        };
        Ok(Some(Keeper::create(options, now, (0..STAMPS).map(stamp))?))
    }
}

impl Face {
    /// Shows what comes until nothing more does.
    fn show(&mut self, news: &Receiver<News>) -> anyhow::Result<()> {
        loop {
            match news.recv_timeout(LATE) {
                Ok(News::Lines(lines)) => self.lines(&lines)?,
                Ok(News::Say(what)) => {
                    self.flush()?;
                    say(&what);
                }
                Err(RecvTimeoutError::Timeout) => self.flush()?,
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
        }
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        if let Face::Text(show) = self {
            show.finish()?;
        }
        self.flush()
    }

    fn lines(&mut self, lines: &[String]) -> anyhow::Result<()> {
        match self {
            Face::Text(show) => {
                for event in lines.iter().filter_map(|line| Event::parse(line, 0, 0).ok()) {
                    show.take(0, &event)?;
                }
                show.hand_over()
            }
            Face::Json(output) => {
                for line in lines {
                    writeln!(output.out, "{line}")?;
                }
                Ok(output.out.flush()?)
            }
            Face::Nothing => Ok(()),
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Face::Text(show) => show.flush(),
            Face::Json(output) => Ok(output.out.flush()?),
            Face::Nothing => Ok(()),
        }
    }
}

/// What it came to, on stderr.
fn summary(end: &End, kept: Option<&Summary>, took: Duration, name: &str) {
    let survey = &end.survey;
    let took = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
    eprintln!("{} events in {} from {name}", survey.events(), length(took));
    let most = |counts: &std::collections::BTreeMap<String, u64>| {
        let mut counts: Vec<_> = counts.iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let rest = counts.len().saturating_sub(8);
        let parts: Vec<String> =
            counts.iter().take(8).map(|(name, count)| format!("{} {count}", clean(name))).collect();
        parts.join(", ") + &if rest > 0 { format!(", and {rest} more") } else { String::new() }
    };
    if !survey.types.is_empty() {
        eprintln!("  types: {}", most(&survey.types));
    }
    if !survey.objects.is_empty() {
        eprintln!("  objects: {}", most(&survey.objects));
    }
    let count = |kind: &str| survey.types.get(kind).copied().unwrap_or(0);
    let open = count("call").saturating_sub(count("return") + count("error"));
    let missed = match end.missed {
        0 => String::new(),
        missed => format!(", in which {missed} events were missed"),
    };
    let told = [
        (open, "calls without an end".to_owned()),
        (survey.raised, "exceptions".to_owned()),
        (survey.dropped, "events dropped by the tracer: it was not read fast enough".to_owned()),
        (survey.missing, "events missing in the tracer's count".to_owned()),
        (survey.gaps, format!("gaps: the connection was lost{missed}")),
        (end.bad, "lines that are no events".to_owned()),
        (end.not_shown, "events not shown: the output is slower than the stream".to_owned()),
    ];
    for (count, what) in told.iter().filter(|(count, _)| *count > 0) {
        eprintln!("  {count} {what}");
    }
    let Some(kept) = kept else { return };
    let files = if kept.files.len() == 1 { "file" } else { "files" };
    let folder = kept.files.first().and_then(|path| path.parent());
    let folder = folder.map(|folder| folder.display().to_string()).unwrap_or_default();
    eprintln!("written: {} bytes in {} {files} in {folder}", kept.bytes, kept.files.len());
    if kept.lost > 0 {
        eprintln!("k485: {} lines could not be written and are lost", kept.lost);
    }
}

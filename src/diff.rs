//! `k485 diff`: what differs between two captures.

mod text;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::bail;
use clap::ValueEnum;
use k485_proto::exchange::{Observed, Seen};
use k485_proto::filter::Filter;
use k485_proto::frame::Hex;
use k485_proto::record::Time;
use k485_sniffer::diff::summary::Summary;
use k485_sniffer::diff::{Change, Diff, Difference, Item, LATENCY, Options, Polls, Side};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::filter::FilterArgs;
use crate::input::{InputArgs, Sink};
use crate::output;
use crate::stats::To;

/// The version of the JSON lines, in each as `v`.
const VERSION: u32 = 1;
/// How many things a reader hands over at once, and how many such heaps may wait.
const HEAP: usize = 256;
const HEAPS: usize = 4;

/// What `k485 diff` takes.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "k485 diff [OPTIONS] <A> <B>",
    after_help = "\
Exchanges are aligned by device, function and request data; of aligned ones the outcome, the reply's \
STATUS and fields, the attempts and the latency are compared. In text, `!` is a change, `-` is only \
in A, `+` is only in B. Polls (A1, A2, A3, and 0A of boxes) are compared in figures.

Examples:
  k485 diff good.hex bad.hex
  k485 diff --ignore odometer --ignore latency before-folder after-folder
  k485 diff --polls align --to json a.hex b.hex | jq 'select(.type==\"changed\").changes[]'

Exit codes: 0 no difference; 1 differences; 2 trouble: it failed, or parts of the input were skipped."
)]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Does not count: a field of replies, or outcome, status, attempts, latency, data, noise
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,
    /// How far latencies may be apart, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = LATENCY / Time::MILLISECOND,
          value_parser = clap::value_parser!(i64).range(0..=86_400_000))]
    latency: i64,
    /// What to do with polls
    #[arg(long, value_name = "HOW", default_value = "count")]
    polls: PollsArg,
    /// Only the summary, function by function
    #[arg(long)]
    summary: bool,
    /// How to write it
    #[arg(long, value_name = "FORM", default_value = "text")]
    to: To,
    /// Write here instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What is done with polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PollsArg {
    /// Compare their counts and latencies
    Count,
    /// Align them one by one
    Align,
    /// Leave them out
    Skip,
}

/// Compares the captures. Trouble is 2 here, since 1 means differences.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match compare(args) {
        Err(error) if !output::is_broken_pipe(&error) => {
            eprintln!("k485: {error:#}");
            Ok(ExitCode::from(2))
        }
        result => result,
    }
}

fn compare(args: &Args) -> anyhow::Result<ExitCode> {
    let [a, b] = &args.input.files[..] else {
        bail!("two captures are compared, {} given", args.input.files.len());
    };
    if a == b && a.as_os_str() == "-" {
        bail!("stdin can be only one of the two");
    }
    if let Some(output) = &args.output {
        args.input.refuse_output(output)?;
    }
    let names = [a.display().to_string(), b.display().to_string()];
    let mut view =
        View { args, names, out: output::open(args.output.as_deref())?.out, begun: false };
    let filter = args.filter.read(false, args.input.tables()?)?;
    let (a, b) = (args.input.alone(a), args.input.alone(b));
    let (summary, skipped) = thread::scope(|scope| {
        let (send_a, from_a) = sync_channel(HEAPS);
        let (send_b, from_b) = sync_channel(HEAPS);
        let of_b = filter.clone();
        let read_a = scope.spawn(move || read(&a, filter, send_a));
        let read_b = scope.spawn(move || read(&b, of_b, send_b));
        let compared = feed(args, &mut view, from_a, from_b);
        // A reader's own trouble says more than that of the one who waited for it.
        let mut skipped = 0;
        for reader in [read_a, read_b] {
            let result = reader.join().unwrap_or_else(|_| bail!("a reader broke down"));
            match result {
                Ok(places) => skipped += places,
                Err(error) if !error.is::<Stopped>() => return Err(error),
                Err(_) => {}
            }
        }
        anyhow::Ok((compared?, skipped))
    })?;
    view.summary(&summary)?;
    view.out.flush()?;
    Ok(match (skipped, summary.differs) {
        (1.., _) => ExitCode::from(2),
        (0, true) => ExitCode::from(1),
        (0, false) => ExitCode::SUCCESS,
    })
}

/// Feeds both captures into the comparison, at its pace.
fn feed(
    args: &Args,
    view: &mut View<'_>,
    from_a: Receiver<Heap>,
    from_b: Receiver<Heap>,
) -> anyhow::Result<Summary> {
    let polls = match args.polls {
        PollsArg::Count => Polls::Count,
        PollsArg::Align => Polls::Align,
        PollsArg::Skip => Polls::Skip,
    };
    let latency_ns = args.latency * Time::MILLISECOND;
    let mut diff = Diff::new(Options { polls, ignore: args.ignore.clone(), latency_ns });
    let (mut of_a, mut of_b) = (Received::new(from_a), Received::new(from_b));
    while let Some(side) = diff.wants() {
        let next = match side {
            Side::A => of_a.next()?,
            Side::B => of_b.next()?,
        };
        match next {
            Some(seen) => diff.push(side, &seen),
            None => diff.end(side),
        }
        while let Some(difference) = diff.pull() {
            view.difference(&difference)?;
        }
    }
    Ok(diff.finish())
}

/// Things seen, in their order; an empty heap is the end of the capture.
type Heap = Vec<Seen>;

/// The other thread gave up, for a reason that it tells itself.
#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct Stopped;

/// Takes what a reader hands on.
struct Received {
    heap: std::vec::IntoIter<Seen>,
    from: Receiver<Heap>,
}

impl Received {
    fn new(from: Receiver<Heap>) -> Self {
        Received { heap: Vec::new().into_iter(), from }
    }

    /// The next thing; `None` at the end of the capture.
    fn next(&mut self) -> Result<Option<Seen>, Stopped> {
        if self.heap.len() == 0 {
            self.heap = self.from.recv().map_err(|_| Stopped)?.into_iter();
        }
        Ok(self.heap.next())
    }
}

/// Hands on what is seen.
struct Sent {
    heap: Heap,
    filter: Option<Filter>,
    to: SyncSender<Heap>,
}

impl Sent {
    fn send(&mut self) -> anyhow::Result<()> {
        let heap = std::mem::replace(&mut self.heap, Vec::with_capacity(HEAP));
        self.to.send(heap).map_err(|_| Stopped.into())
    }
}

impl Sink for Sent {
    fn heading(&mut self, _: &str) -> anyhow::Result<()> {
        Ok(())
    }

    fn seen(&mut self, seen: &Seen) -> anyhow::Result<()> {
        if self.filter.as_ref().is_some_and(|filter| !filter.matches(seen)) {
            return Ok(());
        }
        self.heap.push(seen.clone());
        if self.heap.len() >= HEAP { self.send() } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Reads one capture to its end.
fn read(input: &InputArgs, filter: Option<Filter>, to: SyncSender<Heap>) -> anyhow::Result<u64> {
    let mut sent = Sent { heap: Vec::with_capacity(HEAP), filter, to };
    let skipped = input.read(&mut sent)?;
    if !sent.heap.is_empty() {
        sent.send()?;
    }
    sent.send()?;
    Ok(skipped)
}

/// Where the differences are shown.
struct View<'a> {
    args: &'a Args,
    names: [String; 2],
    out: Box<dyn Write>,
    /// Whether the names of the two are written.
    begun: bool,
}

impl View<'_> {
    /// Says which is which, once, before the first difference.
    fn begin(&mut self) -> anyhow::Result<()> {
        if !self.begun && self.args.to == To::Text {
            writeln!(self.out, "--- {}\n+++ {}", self.names[0], self.names[1])?;
        }
        self.begun = true;
        Ok(())
    }

    fn difference(&mut self, difference: &Difference) -> anyhow::Result<()> {
        if self.args.summary {
            return Ok(());
        }
        self.begin()?;
        match self.args.to {
            To::Text => text::difference(difference, &mut self.out)?,
            To::Json => {
                writeln!(self.out, "{}", serde_json::to_string(&Line::of(difference))?)?;
            }
        }
        Ok(())
    }

    fn summary(&mut self, summary: &Summary) -> anyhow::Result<()> {
        if self.args.to == To::Json {
            let line = SummaryLine { r#type: "summary", v: VERSION, summary };
            writeln!(self.out, "{}", serde_json::to_string(&line)?)?;
        } else if summary.differs {
            self.begin()?;
            text::summary(summary, &mut self.out)?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    r#type: &'static str,
    v: u32,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// A difference as a JSON line.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Changed {
        v: u32,
        #[serde(flatten)]
        subject: Option<Subject>,
        a: End,
        b: End,
        changes: &'a [Change],
    },
    Only {
        v: u32,
        side: &'static str,
        #[serde(flatten)]
        subject: Option<Subject>,
        #[serde(flatten)]
        end: End,
    },
}

/// What it is about.
#[derive(Serialize)]
struct Subject {
    addr: u8,
    device: String,
    func: u8,
    function: Option<&'static str>,
    /// The request's data.
    request: Option<String>,
}

/// One side of it.
#[derive(Serialize)]
struct End {
    /// Decimal seconds.
    time: Option<Box<RawValue>>,
    offset: Option<u64>,
    outcome: Option<&'static str>,
    /// The reply, head to CRC.
    reply: Option<String>,
}

impl<'a> Line<'a> {
    fn of(difference: &'a Difference) -> Line<'a> {
        match difference {
            Difference::Changed { a, b, changes } => Line::Changed {
                v: VERSION,
                subject: Subject::of(a),
                a: End::of(a),
                b: End::of(b),
                changes,
            },
            Difference::Only { side, item } => Line::Only {
                v: VERSION,
                side: if *side == Side::A { "a" } else { "b" },
                subject: Subject::of(item),
                end: End::of(item),
            },
        }
    }
}

impl Subject {
    fn of(item: &Item) -> Option<Subject> {
        let subject = item.subject()?;
        let frame = subject.frame();
        Some(Subject {
            addr: frame.addr().0,
            device: subject.dialect.device(frame.addr()).into_owned(),
            func: frame.func(),
            function: subject.dialect.find(frame.addr(), frame.func()).map(|found| found.name),
            request: item.request().map(|request| Hex(request.frame().data()).to_string()),
        })
    }
}

impl End {
    fn of(item: &Item) -> End {
        let raw = |reply: &Observed| Hex(reply.frame().raw()).to_string();
        End {
            // As its own text, so that no float rounds it.
            time: item.time().and_then(|time| RawValue::from_string(time.to_string()).ok()),
            offset: item.subject().map(|subject| subject.record.offset),
            outcome: match item {
                Item::Exchange(exchange) => Some(exchange.outcome.name()),
                Item::Lone(_) => None,
            },
            reply: item.reply().map(raw),
        }
    }
}

//! `k485 grep`: what a filter holds for, out of captures of any size.

use std::collections::VecDeque;
use std::io::Write;
use std::process::ExitCode;

use k485_proto::exchange::Seen;
use k485_proto::filter::Filter;

use crate::decode::ViewArgs;
use crate::input::{InputArgs, Sink};
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::view::{self, View};

/// What `k485 grep` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
EXPR is the filter language of docs/filter.md: comparisons of fields (addr, func, status, outcome, \
latency, attempts, data, ... and every field of a payload by its name), words (noise, retry, late, \
unknown, ...), && || ! and parentheses. Without --frames the exchanges are searched: a request with \
its reply, where a frame's field may be either one's.

Examples:
  k485 grep 'status!=OK' bus.log
  k485 grep 'addr==box1 && func==GET_BOX_STATE && latency>50ms' captures/
  k485 grep -c 'outcome==timeout' 'logs/*.raw'
  k485 grep -C 3 'slot==T2A && stage==feed_start' trace-folder
  k485 grep --frames 'data~\"c5..42\"' bus.raw
  k485 grep --to json 'odometer<-500' bus.log | jq .latency_ms

Exit codes: 0 found; 1 nothing found; 2 failed; 3 nothing found, and parts of the input were \
skipped.")]
pub(crate) struct Args {
    /// What to find
    expr: String,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    view: ViewArgs,
    /// Find what EXPR does not hold for
    #[arg(long)]
    invert: bool,
    /// Only count what is found, for each file
    #[arg(short, long, conflicts_with_all = ["list", "to"])]
    count: bool,
    /// Only name the files in which something is found
    #[arg(short, long, conflicts_with = "to")]
    list: bool,
    /// Stop reading a file after so many finds
    #[arg(short, long, value_name = "N")]
    max: Option<u64>,
    /// Show so many more behind each find
    #[arg(short = 'A', long, value_name = "N", default_value_t = 0)]
    after: usize,
    /// Show so many before each find too
    #[arg(short = 'B', long, value_name = "N", default_value_t = 0)]
    before: usize,
    /// Show so many on both sides
    #[arg(short = 'C', long, value_name = "N", conflicts_with_all = ["after", "before"])]
    context: Option<usize>,
}

/// What is done with what is found.
enum Show {
    /// Each, with so much before and after it.
    Lines { view: View, around: Around },
    /// How many there are in each file.
    Counts(Output),
    /// The files' names.
    Names(Output),
}

/// What stands around a find.
#[derive(Debug, Default)]
struct Around {
    before: usize,
    after: usize,
    /// What came before, not shown yet; at most `before`.
    held: VecDeque<Seen>,
    /// How many are still to be shown behind the last find.
    left: usize,
    /// Whether something was shown of this file.
    shown: bool,
    /// Whether something was left out since.
    skipped: bool,
}

struct Grep {
    filter: Filter,
    invert: bool,
    frames: bool,
    show: Show,
    progress: Progress,
    max: u64,
    /// The input that is read, and what was found in it.
    name: String,
    found: u64,
    total: u64,
    named: bool,
}

/// Searches the captures.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let filter = crate::filter::read(&args.expr, args.view.frames, args.input.tables()?)?;
    let around = Around {
        before: args.context.unwrap_or(args.before),
        after: args.context.unwrap_or(args.after),
        ..Around::default()
    };
    let show = match (args.count, args.list) {
        (true, _) => Show::Counts(output::open(None)?),
        (_, true) => Show::Names(output::open(None)?),
        _ => Show::Lines { view: args.view.open(None)?, around },
    };
    let mut grep = Grep {
        filter,
        invert: args.invert,
        frames: args.view.frames,
        show,
        progress: Progress::none(),
        max: args.max.unwrap_or(u64::MAX),
        name: String::new(),
        found: 0,
        total: 0,
        named: false,
    };
    let result = args.input.read(&mut grep);
    // What was found is told even where something failed behind it.
    grep.end_of_input()?;
    grep.flush()?;
    let skipped = result?;
    Ok(match (grep.total, skipped) {
        (0, 0) => ExitCode::from(1),
        (0, _) => ExitCode::from(3),
        _ => ExitCode::SUCCESS,
    })
}

impl Grep {
    /// Says what there is to say of the input that was read.
    fn end_of_input(&mut self) -> anyhow::Result<()> {
        let name = std::mem::take(&mut self.name);
        let found = std::mem::take(&mut self.found);
        if name.is_empty() {
            return Ok(());
        }
        self.progress.aside(|| {
            match &mut self.show {
                Show::Counts(output) if self.named => writeln!(output.out, "{name}:{found}")?,
                Show::Counts(output) => writeln!(output.out, "{found}")?,
                Show::Names(output) if found > 0 => writeln!(output.out, "{name}")?,
                _ => {}
            }
            Ok(())
        })
    }
}

impl Around {
    /// Shows a find with what was held before it, or what stands behind one.
    fn show(&mut self, view: &mut View, seen: &Seen, is_found: bool) -> std::io::Result<()> {
        let with_context = self.before > 0 || self.after > 0;
        if !is_found {
            self.left = self.left.saturating_sub(1);
            view.mark(false);
            return view.show(seen);
        }
        if with_context && self.shown && self.skipped {
            view.gap()?;
        }
        for held in self.held.drain(..) {
            view.mark(false);
            view.show(&held)?;
        }
        if with_context {
            view.mark(true);
        }
        (self.left, self.shown, self.skipped) = (self.after, true, false);
        view.show(seen)
    }

    /// Keeps what may stand before a find, and drops what is too far from it.
    fn hold(&mut self, seen: &Seen) {
        if self.held.len() == self.before {
            self.skipped = true;
            self.held.pop_front();
        }
        if self.before > 0 {
            self.held.push_back(seen.clone());
        }
    }
}

impl Sink for Grep {
    fn begin(&mut self, name: &str) -> anyhow::Result<()> {
        self.end_of_input()?;
        name.clone_into(&mut self.name);
        if let Show::Lines { around, .. } = &mut self.show {
            *around = Around { before: around.before, after: around.after, ..Around::default() };
        }
        Ok(())
    }

    /// Not shown before something is found.
    fn heading(&mut self, _: &str) -> anyhow::Result<()> {
        self.named = true;
        Ok(())
    }

    fn seen(&mut self, seen: &Seen) -> anyhow::Result<()> {
        if !view::shows(seen, self.frames) {
            return Ok(());
        }
        let is_found = self.found < self.max && self.filter.matches(seen) != self.invert;
        self.found += u64::from(is_found);
        self.total += u64::from(is_found);
        let Show::Lines { view, around } = &mut self.show else { return Ok(()) };
        if !is_found && around.left == 0 {
            around.hold(seen);
            return Ok(());
        }
        let heading = (self.named && is_found && self.found == 1).then_some(&self.name);
        let terminal = view.is_terminal();
        let mut show = || -> std::io::Result<()> {
            if let Some(name) = heading {
                view.heading(name)?;
            }
            around.show(view, seen, is_found)?;
            // A find is seen when it is found, not when the buffer is full.
            if terminal { view.flush() } else { Ok(()) }
        };
        if terminal {
            self.progress.aside(show)?
        } else {
            show()?
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        match &mut self.show {
            Show::Lines { view, .. } => view.flush()?,
            Show::Counts(output) | Show::Names(output) => output.out.flush()?,
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        match &self.show {
            Show::Names(_) => self.found > 0,
            Show::Lines { around, .. } => self.found >= self.max && around.left == 0,
            Show::Counts(_) => self.found >= self.max,
        }
    }

    fn watch(&mut self, total: u64) -> Progress {
        self.progress = Progress::of(total);
        self.progress.clone()
    }
}

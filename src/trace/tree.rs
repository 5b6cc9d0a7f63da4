//! `k485 trace tree`: calls nested as they were made.

use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use k485_proto::line::{Role, Word};
use k485_trace::Tree;
use k485_trace::filter::Filter;
use k485_trace::tree::{Child, End, Item, Judge, Nesting, Node, Options, Run};

use super::exchanges::{Exchanges, Leaf, Line};
use super::input::FilesArg;
use super::json;
use super::words::{self, Detail, clean, columns, word, write_line};
use crate::dialect::DialectArg;
use crate::output::{self, Color};

/// How many calls may wait for the reply to a frame that is within none of them. Several threads send.
const MAX_WAITING: u64 = 4096;

/// What `k485 trace tree` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Before each call stand when it began and how long it took. `├─` is nesting that the tracer told, `├~` \
nesting inferred from the order of calls and returns. Frames that a call sent and got are decoded \
below it. Alike calls in a row are folded to one.

Filters ask for object, class, method, args, result, error, exc_type, duration, self, id, depth, tid, \
gid; raised, open and orphan stand alone (docs/trace.md). Calls around one that is found are shown \
too.

Examples:
  k485 trace tree captures/
  k485 trace tree captures/_all_20260101_105436.jsonl --object box --depth 2
  k485 trace tree captures/ --filter 'method~flush && duration>10s'
  k485 trace tree captures/ --filter raised -v
  k485 trace tree captures/ --json | jq 'select(.duration_ms > 1000) | .method'")]
pub(crate) struct Args {
    #[command(flatten)]
    files: FilesArg,
    /// How deep calls are shown; 1 is only the outermost
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    depth: Option<u32>,
    /// Show only calls that this holds for, and those around them: 'method~flush && duration>1s'
    #[arg(short = 'F', long, value_name = "EXPR")]
    filter: Option<String>,
    /// Show only calls of this object; * stands for anything
    #[arg(long, value_name = "NAME")]
    object: Option<String>,
    /// Show only calls that took so long, in milliseconds
    #[arg(long, value_name = "MS", value_parser = millis)]
    min_ms: Option<i64>,
    /// Tell for each call what it took without the calls within it
    #[arg(long)]
    self_time: bool,
    /// Fold so many alike calls in a row to one
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with = "no_fold",
          value_parser = clap::value_parser!(u32).range(2..))]
    fold: u32,
    /// Fold nothing
    #[arg(long)]
    no_fold: bool,
    /// Show attributes that were read, too
    #[arg(long)]
    attrs: bool,
    /// A line of JSON for each outermost call, the others in it
    #[arg(long)]
    json: bool,
    /// Whole values, tracebacks, threads, what frames are made of
    #[arg(short, long)]
    verbose: bool,
    /// When to colour text
    #[arg(long, default_value = "auto")]
    color: Color,
    #[command(flatten)]
    dialect: DialectArg,
    /// Write here instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Milliseconds in nanoseconds.
fn millis(text: &str) -> Result<i64, String> {
    let nanos = k485_trace::decimal::scaled(text, 6).filter(|nanos| *nanos >= 0);
    nanos.ok_or_else(|| "write a number of milliseconds: 5, 0.25".to_owned())
}

/// Shows the trees.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let filter = args.condition()?;
    let out = output::open(args.output.as_deref())?;
    let color = args.color.wanted(out.terminal);
    let dialect = args.dialect.wanted()?.tables();
    let detail = Detail { whole: args.verbose, dialect };
    let fold = if args.no_fold { 0 } else { args.fold as usize };
    let options = Options { fold, ..Options::default() };
    let depth = args.depth.map(|depth| depth as usize);
    let judge = move |node: &Node| {
        depth.is_none_or(|depth| node.depth < depth)
            && filter.as_ref().is_none_or(|filter| filter.matches(node))
    };
    let mut trees = Trees {
        tree: Tree::new(options),
        options,
        judge: Box::new(judge),
        face: Face { out: out.out, color, detail, args },
        exchanges: Exchanges::new(dialect),
        waiting: VecDeque::new(),
        calls: 0,
        several: args.files.sessions()?.len() > 1,
        left_out: 0,
    };
    let skipped = args.files.read(
        &mut trees,
        |trees, session| trees.begin(session.stamp.as_deref()),
        |trees, space, event| {
            trees.tree.take(space, event, &mut *trees.judge);
            trees.pull()
        },
    )?;
    trees.end()?;
    trees.face.out.flush()?;
    if trees.left_out > 0 {
        eprintln!(
            "k485: {} calls are only counted: a tree may take {} MiB; --depth, --filter or --min-ms \
             make it smaller",
            trees.left_out,
            options.most >> 20
        );
    }
    Ok(if skipped > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

impl Args {
    fn condition(&self) -> anyhow::Result<Option<Filter>> {
        let filter = self.filter.as_deref().map(super::filter).transpose()?;
        let object = self.object.as_deref().map(Filter::object);
        let least = self.min_ms.map(Filter::at_least);
        Ok([filter, object, least].into_iter().flatten().reduce(Filter::and))
    }
}

struct Trees<'a> {
    tree: Tree,
    options: Options,
    judge: Box<dyn Judge>,
    face: Face<'a>,
    /// The frames among `waiting`.
    exchanges: Exchanges,
    /// What comes behind a frame whose reply may come; and how many calls are in that.
    waiting: VecDeque<Item>,
    calls: u64,
    several: bool,
    left_out: u64,
}

impl Trees<'_> {
    fn begin(&mut self, stamp: Option<&str>) -> anyhow::Result<()> {
        self.end()?;
        self.tree = Tree::new(self.options);
        if self.several && !self.face.args.json {
            let name = stamp.unwrap_or("files without a time in their names");
            self.face.line("", &[word(Role::Device, format!("== {name} =="))])?;
        }
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.tree.finish(&mut *self.judge);
        self.left_out += self.tree.left_out();
        self.pull()?;
        self.exchanges.finish();
        self.let_out()?;
        self.exchanges = Exchanges::new(self.face.detail.dialect);
        Ok(())
    }

    fn pull(&mut self) -> anyhow::Result<()> {
        while let Some(item) = self.tree.pull() {
            if let Item::Child(Child::Frame { record, .. }) = &item {
                self.exchanges.push(record.clone());
            }
            // Nothing before it is answered behind it.
            if let Item::Connected { .. }
            | Item::Dropped { .. }
            | Item::Lost { .. }
            | Item::Gap { .. } = item
            {
                self.exchanges.finish();
            }
            self.calls += weight(&item);
            self.waiting.push_back(item);
            self.let_out()?;
        }
        Ok(())
    }

    /// Shows what waits, up to a frame that may be answered yet.
    fn let_out(&mut self) -> anyhow::Result<()> {
        while let Some(first) = self.waiting.front() {
            let is_frame = matches!(first, Item::Child(Child::Frame { .. }));
            if is_frame && !self.exchanges.is_settled() {
                if self.calls <= MAX_WAITING {
                    return Ok(());
                }
                self.exchanges.give_up();
            }
            let Some(item) = self.waiting.pop_front() else { return Ok(()) };
            self.calls -= weight(&item);
            match is_frame.then(|| self.exchanges.pop()).flatten() {
                Some(leaf) => self.face.frame(&leaf)?,
                None => self.face.item(item)?,
            }
        }
        Ok(())
    }
}

/// How much an item counts among what waits.
fn weight(item: &Item) -> u64 {
    match item {
        Item::Child(Child::Call(node)) => node.calls(),
        Item::Child(Child::Run(run)) => run.first.calls(),
        _ => 1,
    }
}

/// Lays trees out.
struct Face<'a> {
    out: Box<dyn Write>,
    color: bool,
    detail: Detail,
    args: &'a Args,
}

impl Face<'_> {
    fn line(&mut self, before: &str, words: &[Word]) -> anyhow::Result<()> {
        Ok(write_line(&mut self.out, self.color, before, words)?)
    }

    fn item(&mut self, item: Item) -> anyhow::Result<()> {
        if self.args.json {
            if let Some(line) = json::item(&item, self.detail.dialect) {
                writeln!(self.out, "{line}")?;
            }
            return Ok(());
        }
        let (time, text) = match item {
            Item::Child(child) => return self.children(&[child], "", true),
            Item::Connected { time, .. } => (time, "a session of the tracer begins".to_owned()),
            Item::Dropped { time, count } => {
                (time, format!("the tracer dropped {count} events: it was not read fast enough"))
            }
            Item::Lost { time, reason } => {
                (time, format!("the tracer lost an event: {}", clean(&reason)))
            }
            Item::Mark { time, name } => (time, format!("mark: {}", clean(&name))),
            Item::Gap { from, to, reason } => {
                let until = to.map_or("the end".to_owned(), words::clock);
                (from, format!("gap until {until}: {}", clean(&reason)))
            }
        };
        self.line(&columns(time, None), &[word(Role::Warn, format!("-- {text} --"))])
    }

    /// A frame that is within no call.
    fn frame(&mut self, leaf: &Leaf) -> anyhow::Result<()> {
        if self.args.json {
            if let Some(line) = json::frame(leaf) {
                writeln!(self.out, "{line}")?;
            }
            return Ok(());
        }
        for line in leaf.lines(self.detail) {
            self.line(&columns(line.time, line.latency), &line.words)?;
        }
        Ok(())
    }

    /// Things behind guides. A request and its reply are one line, whatever lies between them.
    fn children(&mut self, children: &[Child], guide: &str, is_root: bool) -> anyhow::Result<()> {
        let mut leaves = Exchanges::among(children, self.detail.dialect);
        let mut rows = Vec::new();
        for child in children {
            match child {
                Child::Frame { .. } => {
                    let lines = leaves.pop_front().map(|leaf| leaf.lines(self.detail));
                    rows.extend(lines.into_iter().flatten().map(Row::Line));
                }
                // Attributes that are not shown leave no open branch behind.
                Child::Attr { .. } if !self.args.attrs => {}
                other => rows.push(Row::Child(other)),
            }
        }
        let last = rows.len().saturating_sub(1);
        for (at, row) in rows.into_iter().enumerate() {
            let is_last = at == last;
            match row {
                Row::Line(line) => {
                    let (branch, _) = guides(guide, Nesting::Told, is_last, is_root);
                    self.line(&(columns(line.time, line.latency) + &branch), &line.words)?;
                }
                Row::Child(Child::Call(node)) => self.call(node, None, guide, is_last, is_root)?,
                Row::Child(Child::Run(run)) => {
                    self.call(&run.first, Some(run), guide, is_last, is_root)?;
                }
                Row::Child(Child::Attr { name, value, .. }) => {
                    let value = words::value(value, self.detail);
                    let words =
                        [word(Role::Plain, clean(name)), word(Role::Minor, format!("= {value}"))];
                    let (branch, _) = guides(guide, Nesting::Told, is_last, is_root);
                    self.line(&(columns(None, None) + &branch), &words)?;
                }
                // It is among the lines.
                Row::Child(Child::Frame { .. }) => {}
            }
        }
        Ok(())
    }

    fn call(
        &mut self,
        node: &Node,
        run: Option<&Run>,
        guide: &str,
        is_last: bool,
        is_root: bool,
    ) -> anyhow::Result<()> {
        let (branch, deeper) = guides(guide, node.nesting, is_last, is_root);
        let mut words = words::call(node, self.detail);
        if let Some(own) = node.own.filter(|_| self.args.self_time) {
            words.push(word(Role::Minor, format!("(self {})", words::length(own))));
        }
        if let Some(run) = run {
            words.push(word(Role::Device, folded(run)));
        }
        self.line(&(columns(node.begin, node.duration) + &branch), &words)?;
        let blank = columns(None, None);
        if let End::Raised { traceback, .. } = &node.end
            && self.detail.whole
        {
            for line in traceback.lines() {
                self.line(&format!("{blank}{deeper}"), &[word(Role::Minor, clean(line))])?;
            }
        }
        let counts = [
            (node.hidden, "calls within it are not shown"),
            (node.left_out, "calls within it are only counted: there was no room"),
        ];
        let counts: Vec<_> = counts.into_iter().filter(|(count, _)| *count > 0).collect();
        self.children(&node.children, &deeper, false)?;
        for (count, what) in counts {
            let words = [word(Role::Minor, format!("({count} {what})"))];
            self.line(&format!("{blank}{deeper}"), &words)?;
        }
        Ok(())
    }
}

/// What has a branch of its own.
enum Row<'a> {
    Line(Line),
    Child(&'a Child),
}

/// What stands before a thing, and before what is within it.
fn guides(guide: &str, nesting: Nesting, is_last: bool, is_root: bool) -> (String, String) {
    if is_root {
        return (String::new(), String::new());
    }
    let corner = if is_last { "└" } else { "├" };
    let way = if nesting == Nesting::Inferred { "~" } else { "─" };
    let below = if is_last { "   " } else { "│  " };
    (format!("{guide}{corner}{way} "), format!("{guide}{below}"))
}

/// What is said of alike calls.
fn folded(run: &Run) -> String {
    let times = match (run.least, run.most) {
        (Some(least), Some(most)) => format!(
            ": {} to {}, {} in all",
            words::length(least),
            words::length(most),
            words::length(run.total)
        ),
        _ => String::new(),
    };
    format!("x{} alike{times}", run.count)
}

//! `k485 trace stats`: calls in figures.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use k485_trace::Tree;
use k485_trace::filter::Filter;
use k485_trace::stats::{Order, Row, Stats};
use k485_trace::tree::{Judge, Node, Options};

use super::input::FilesArg;
use super::words::{clean, length};
use crate::output;
use crate::table::Table;

/// What `k485 trace stats` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For each method: calls, those that raised, the time of all of them and without the calls within them \
(self), and how long single ones took. Files of all captures are counted together. Memory does not \
grow with the input.

Examples:
  k485 trace stats captures/
  k485 trace stats captures/ --sort self --filter 'object==box'
  k485 trace stats captures/ --to csv > calls.csv
  k485 trace stats captures/ --to json | jq '.methods[] | select(.raised > 0)'")]
pub(crate) struct Args {
    #[command(flatten)]
    files: FilesArg,
    /// Count only calls that this holds for: 'object==box && duration>1s'
    #[arg(short = 'F', long, value_name = "EXPR")]
    filter: Option<String>,
    /// How to write it
    #[arg(long, value_name = "FORM", default_value = "text")]
    to: To,
    /// The same as --to json
    #[arg(long, conflicts_with = "to")]
    json: bool,
    /// Which rows come first
    #[arg(long, value_name = "BY", default_value = "calls")]
    sort: Sort,
    /// Write here instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// A table for people
    Text,
    /// JSON (docs/trace.md)
    Json,
    /// Comma-separated values
    Csv,
}

/// Orders of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The most calls
    Calls,
    /// The most time without the calls within
    #[value(name = "self")]
    Own,
    /// The most time
    Total,
    /// The longest call
    Max,
    /// The most exceptions
    Raised,
    /// By object and method
    Name,
}

impl Sort {
    fn order(self) -> Order {
        match self {
            Sort::Calls => Order::Calls,
            Sort::Own => Order::Own,
            Sort::Total => Order::Total,
            Sort::Max => Order::Most,
            Sort::Raised => Order::Raised,
            Sort::Name => Order::Name,
        }
    }
}

/// Counts calls that a filter lets through.
struct Counted {
    tree: Tree,
    stats: Filtered,
    dropped: u64,
    gaps: u64,
}

struct Filtered {
    stats: Stats,
    filter: Option<Filter>,
}

impl Judge for Filtered {
    fn wants(&mut self, node: &Node) -> bool {
        if self.filter.as_ref().is_none_or(|filter| filter.matches(node)) {
            self.stats.push(node);
        }
        false
    }
}

/// Counts the calls and writes the figures.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let filter = args.filter.as_deref().map(super::filter).transpose()?;
    let options = Options::default();
    let mut counted = Counted {
        tree: Tree::new(options),
        stats: Filtered { stats: Stats::default(), filter },
        dropped: 0,
        gaps: 0,
    };
    let skipped = args.files.read(
        &mut counted,
        |counted, _| {
            counted.end();
            counted.tree = Tree::new(options);
            Ok(())
        },
        |counted, space, event| {
            counted.tree.take(space, event, &mut counted.stats);
            counted.pull();
            Ok(())
        },
    )?;
    counted.end();
    let rows = counted.stats.stats.rows(args.sort.order());
    let mut out = output::open(args.output.as_deref())?.out;
    let to = if args.json { To::Json } else { args.to };
    match to {
        To::Json => {
            let figures = serde_json::json!({
                "dropped": counted.dropped,
                "gaps": counted.gaps,
                "methods": rows,
            });
            writeln!(out, "{figures}")?;
        }
        To::Csv => csv(&rows, &mut out)?,
        To::Text => text(&rows, &counted, &mut out)?,
    }
    out.flush()?;
    Ok(if skipped > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

impl Counted {
    fn end(&mut self) {
        self.tree.finish(&mut self.stats);
        self.pull();
    }

    fn pull(&mut self) {
        use k485_trace::tree::Item;
        while let Some(item) = self.tree.pull() {
            match item {
                Item::Dropped { count, .. } => self.dropped += count,
                Item::Gap { .. } => self.gaps += 1,
                Item::Child(_) | Item::Connected { .. } | Item::Lost { .. } | Item::Mark { .. } => {
                }
            }
        }
    }
}

fn text(rows: &[Row], counted: &Counted, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        "<object", "<method", "calls", "raised", "total", "self", "min", "mean", "p50", "p95",
        "max",
    ]);
    let nanos = |millis: f64| length((millis * 1e6) as i64);
    let time = |millis: Option<f64>| millis.map_or("-".to_owned(), nanos);
    let (mut open, mut orphans) = (0, 0);
    for row in rows {
        open += row.open;
        orphans += row.orphans;
        table.row([
            clean(&row.object).into_owned(),
            clean(&row.method).into_owned(),
            row.calls.to_string(),
            if row.raised > 0 { row.raised.to_string() } else { String::new() },
            nanos(row.total_ms),
            nanos(row.self_ms),
            time(row.min_ms),
            time(row.mean_ms),
            time(row.p50_ms),
            time(row.p95_ms),
            time(row.max_ms),
        ]);
    }
    if table.is_empty() {
        writeln!(out, "no call")?;
    } else {
        table.write(out, 0)?;
    }
    let notes = [
        (open, "calls have no end in the trace: their time is in no figure"),
        (orphans, "calls have no beginning in the trace: what is within them is not told apart"),
        (counted.dropped, "events were dropped by the tracer"),
        (counted.gaps, "times the client was not connected"),
    ];
    for (count, what) in notes.into_iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "{count} {what}")?;
    }
    Ok(())
}

fn csv(rows: &[Row], out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(
        out,
        "object,class,method,calls,raised,open,orphans,total_ms,self_ms,min_ms,mean_ms,p50_ms,\
         p95_ms,max_ms"
    )?;
    let number = |millis: Option<f64>| millis.map_or(String::new(), |millis| millis.to_string());
    for row in rows {
        let texts = [&row.object, &row.class, &row.method].map(|text| quoted(text));
        let counts = [row.calls, row.raised, row.open, row.orphans].map(|count| count.to_string());
        let times = [
            Some(row.total_ms),
            Some(row.self_ms),
            row.min_ms,
            row.mean_ms,
            row.p50_ms,
            row.p95_ms,
            row.max_ms,
        ]
        .map(number);
        let cells: Vec<String> = texts.into_iter().chain(counts).chain(times).collect();
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}

/// A cell; quoted where it must be.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

//! `k485 stats`: captures in figures.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use k485_proto::exchange::Seen;
use k485_proto::filter::Filter;
use k485_proto::record::Time;
use k485_sniffer::stats::Stats;
use k485_sniffer::stats::report::{Function, Order, Report};

use crate::filter::FilterArgs;
use crate::input::{InputArgs, Sink};
use crate::output;
use crate::progress::Progress;
use crate::table::{self, Table};

/// What `k485 stats` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Counts for each device and function, latencies, polling periods, the load of the bus, noise, \
addresses that never answered. `unknown` is what the capture cannot tell. Several captures are \
counted together; with a filter, only what it holds for. Memory does not grow with the input. docs/questions.md says what each figure is.

Examples:
  k485 stats captures/sample-load.hex
  k485 stats --sort latency trace-folder
  k485 stats --to json *.jsonl | jq '.functions[] | select(.timeouts > 0)'")]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// How to write it
    #[arg(long, value_name = "FORM", default_value = "text")]
    to: To,
    /// Which rows come first
    #[arg(long, value_name = "BY", default_value = "count")]
    sort: Sort,
    /// The baud rate, for the load of the bus
    #[arg(long, default_value_t = k485_sniffer::stats::BAUD,
          value_parser = clap::value_parser!(u32).range(1..))]
    baud: u32,
    /// Write here instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum To {
    /// Tables for people
    Text,
    /// JSON (docs/questions.md)
    Json,
}

/// Orders of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The most exchanges
    Count,
    /// By bus, address and function
    Name,
    /// The largest median of the latencies
    Latency,
    /// The most replies that are not OK, and time-outs
    Errors,
}

impl Sort {
    fn order(self) -> Order {
        match self {
            Sort::Count => Order::Count,
            Sort::Name => Order::Name,
            Sort::Latency => Order::Latency,
            Sort::Errors => Order::Errors,
        }
    }
}

/// Counts what is seen, or that part of it which a filter lets through.
struct Counted {
    stats: Stats,
    filter: Option<Filter>,
}

impl Sink for Counted {
    fn heading(&mut self, _: &str) -> anyhow::Result<()> {
        self.stats.next_input();
        Ok(())
    }

    fn seen(&mut self, seen: &Seen) -> anyhow::Result<()> {
        if self.filter.as_ref().is_none_or(|filter| filter.matches(seen)) {
            self.stats.push(seen);
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn watch(&mut self, total: u64) -> Progress {
        Progress::of(total)
    }
}

/// Counts the captures and writes the figures.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(output) = &args.output {
        args.input.refuse_output(output)?;
    }
    let filter = args.filter.read(false, args.input.tables()?)?;
    let mut counted = Counted { stats: Stats::with_baud(args.baud), filter };
    let skipped = args.input.read(&mut counted)?;
    let mut report = counted.stats.finish();
    report.sort(args.sort.order());
    if args.filter.is_given() {
        // A part of the frames is not what the bus carried.
        for bus in &mut report.buses {
            bus.load_percent = None;
            bus.peak_load_percent = None;
        }
    }
    let mut out = output::open(args.output.as_deref())?.out;
    match args.to {
        To::Json => writeln!(out, "{}", serde_json::to_string(&report)?)?,
        To::Text => text(&report, &mut out)?,
    }
    out.flush()?;
    Ok(if skipped > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

/// The figures for people: a section for each question that has an answer.
fn text(report: &Report, out: &mut dyn Write) -> anyhow::Result<()> {
    totals(report, out)?;
    for (title, table) in [
        ("Buses", buses(report)),
        (exchanges_title(report), functions(report)),
        ("Replies that are not OK", statuses(report)),
        ("Odd ends", odd_ends(report)),
        ("Noise", noise(report)),
        ("Never answered", never_answered(report)),
        ("Implausible addresses", implausible(report)),
    ] {
        if !table.is_empty() {
            writeln!(out, "\n{title}")?;
            table.write(out, 2)?;
        }
    }
    notes(report, out)
}

fn totals(report: &Report, out: &mut dyn Write) -> anyhow::Result<()> {
    let totals = &report.totals;
    write!(
        out,
        "{} frames ({} requests, {} responses, {} of unknown direction), {} bytes\n{} exchanges\n",
        totals.frames,
        totals.requests,
        totals.responses,
        totals.unknown_direction,
        totals.frame_bytes,
        totals.exchanges,
    )?;
    if totals.noise_places > 0 {
        writeln!(out, "noise: {} bytes in {} places", totals.noise_bytes, totals.noise_places)?;
    }
    if totals.gaps > 0 {
        let long = totals.gap_ns.map(|ns| format!("{} s", table::seconds(ns)));
        let lost = totals.lost_bytes.map(|bytes| format!("{bytes} bytes"));
        let known: Vec<String> = long.into_iter().chain(lost).collect();
        let known =
            if known.is_empty() { String::new() } else { format!(" ({} lost)", known.join(", ")) };
        writeln!(out, "gaps: {}{known}", totals.gaps)?;
    }
    let duration = report.duration_ns.map_or_else(unknown, |nanos| {
        format!("{} s, {} to {}", table::seconds(nanos), moment(report.first), moment(report.last))
    });
    Ok(writeln!(out, "duration: {duration}")?)
}

fn moment(time: Option<Time>) -> String {
    time.map_or_else(unknown, |time| table::clock(time, "%Y-%m-%d %H:%M:%S.%3f"))
}

fn unknown() -> String {
    "unknown".into()
}

/// A bus's name, only where there are several.
fn bus(report: &Report, name: &str) -> String {
    match name {
        _ if !report.several_buses => String::new(),
        "" => "-".into(),
        name => name.into(),
    }
}

fn buses(report: &Report) -> Table {
    let mut table = Table::new(&["<bus", "frames", "load %", "busiest second %"]);
    for row in &report.buses {
        let percent =
            |load: Option<f64>| load.map_or_else(unknown, |percent| format!("{percent:.2}"));
        table.row([
            bus(report, &row.name),
            row.frames.to_string(),
            percent(row.load_percent),
            percent(row.peak_load_percent),
        ]);
    }
    table
}

fn functions(report: &Report) -> Table {
    let mut table = Table::new(&[
        "<bus",
        "<device",
        "<function",
        "count",
        "errors",
        "no reply",
        "retries",
        "min",
        "median",
        "p95",
        "max",
        "period",
    ]);
    for row in report.functions.iter().chain(&report.other) {
        let mut cells = subject(report, row);
        let count = row.exchanges + row.unknown_direction;
        cells.extend([count, row.errors, row.timeouts].map(|count| count.to_string()));
        cells.push(row.retries.map_or_else(unknown, |count| count.to_string()));
        // Without times the title says it once.
        if report.first.is_some() {
            cells.extend(latency(row));
            cells.push(period(row));
        }
        table.row(cells);
    }
    table
}

/// Bus, device, function.
fn subject(report: &Report, row: &Function) -> Vec<String> {
    let function = match (row.func, row.function) {
        (Some(func), Some(name)) => format!("{func:02X} {name}"),
        (Some(func), None) => format!("{func:02X}"),
        (None, _) => "(all others)".into(),
    };
    vec![bus(report, &row.bus), row.device.clone(), function]
}

fn latency(row: &Function) -> [String; 4] {
    match &row.latency {
        Some(latency) => [latency.min_ns, latency.median_ns, latency.p95_ns, latency.max_ns]
            .map(table::milliseconds),
        // Where nothing was answered there is none to be known.
        None if row.answered == 0 => [(); 4].map(|()| "-".into()),
        None => [(); 4].map(|()| unknown()),
    }
}

fn exchanges_title(report: &Report) -> &'static str {
    match report.first {
        Some(_) => "Exchanges (latencies in milliseconds, periods in seconds)",
        None => "Exchanges (latencies and periods: unknown, no record has a time)",
    }
}

fn period(row: &Function) -> String {
    match &row.period {
        Some(period) if period.steady => table::seconds(period.median_ns),
        _ => "-".into(),
    }
}

fn statuses(report: &Report) -> Table {
    let mut table = Table::new(&["<bus", "<device", "<function", "<status", "count"]);
    for row in report.functions.iter().chain(&report.other) {
        for status in &row.statuses {
            let mut cells = subject(report, row);
            cells.push(format!("{:02X} {}", status.status, status.name));
            cells.push(status.count.to_string());
            table.row(cells);
        }
    }
    table
}

/// Exchanges that did not end with a reply in time, but for the time-outs.
fn odd_ends(report: &Report) -> Table {
    let mut table = Table::new(&[
        "<bus",
        "<device",
        "<function",
        "late",
        "unsolicited",
        "request not seen",
        "unfinished",
        "no direction",
    ]);
    for row in report.functions.iter().chain(&report.other) {
        let counts = [
            row.late,
            row.unsolicited,
            row.request_not_seen,
            row.unfinished,
            row.unknown_direction,
        ];
        if counts.iter().any(|count| *count > 0) {
            let mut cells = subject(report, row);
            cells.extend(
                counts.map(|count| if count == 0 { String::new() } else { count.to_string() }),
            );
            table.row(cells);
        }
    }
    table
}

fn noise(report: &Report) -> Table {
    let mut table = Table::new(&["<bus", "<reason", "places", "bytes"]);
    for row in &report.buses {
        for noise in &row.noise {
            table.row([
                bus(report, &row.name),
                noise.reason.replace('_', " "),
                noise.places.to_string(),
                noise.bytes.to_string(),
            ]);
        }
    }
    table
}

fn never_answered(report: &Report) -> Table {
    let mut table = Table::new(&["<bus", "<device", "<address", "asked"]);
    for row in &report.never_answered {
        let address = format!("{:02X}", row.addr);
        table.row([bus(report, &row.bus), row.device.clone(), address, row.asked.to_string()]);
    }
    table
}

fn implausible(report: &Report) -> Table {
    let mut table = Table::new(&["<bus", "<address", "frames"]);
    for row in &report.implausible {
        let address = format!("{:02X}", row.addr);
        table.row([bus(report, &row.bus), address, row.frames.to_string()]);
    }
    table
}

/// What has to be known about the figures.
fn notes(report: &Report, out: &mut dyn Write) -> anyhow::Result<()> {
    let totals = &report.totals;
    let mut notes = Vec::new();
    if report.functions.iter().any(|row| row.latency.as_ref().is_some_and(|l| l.source == "call")) {
        notes.push("latencies are those of traced calls, with queueing and all retries".to_owned());
    }
    if totals.returns_without_call > 0 {
        let count = totals.returns_without_call;
        notes.push(format!("{count} calls returned nothing and began before the trace"));
    }
    if totals.requests_not_followed > 0 {
        let count = totals.requests_not_followed;
        notes.push(format!("{count} requests are in no period: too many different ones"));
    }
    if !notes.is_empty() {
        writeln!(out, "\nNotes")?;
    }
    for note in notes {
        writeln!(out, "  {note}")?;
    }
    Ok(())
}

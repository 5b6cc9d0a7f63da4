//! Differences for people.

use std::io::{self, Write};

use k485_proto::line;
use k485_sniffer::diff::summary::{Row, Summary};
use k485_sniffer::diff::{Change, Difference, Item, Shown, Side};
use k485_sniffer::stats::report::Function;

use crate::table::{self, Table};

/// One difference, in a line.
pub(super) fn difference(difference: &Difference, out: &mut dyn Write) -> io::Result<()> {
    match difference {
        Difference::Only { side, item } => {
            let sign = if *side == Side::A { '-' } else { '+' };
            writeln!(out, "{sign} {:<12}  {}", place(item), words(item))
        }
        Difference::Changed { a, b, changes } => {
            let changes: Vec<String> = changes.iter().map(change).collect();
            let places = format!("{:<12} | {:<12}", place(a), place(b));
            writeln!(out, "! {places}  {}: {}", subject(a), changes.join(", "))
        }
    }
}

/// The time, or the place in the source where there is none.
fn place(item: &Item) -> String {
    match (item.time(), item.subject()) {
        (Some(time), _) => table::clock(time, "%H:%M:%S.%3f"),
        (None, Some(subject)) => format!("@{}", subject.record.offset),
        (None, None) => String::new(),
    }
}

/// Everything about an exchange.
fn words(item: &Item) -> String {
    let words = match item {
        Item::Exchange(exchange) => line::exchange(exchange),
        Item::Lone(frame) => line::frame(frame),
    };
    join(words)
}

fn join(words: Vec<line::Word>) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// Device, function and what was asked.
fn subject(item: &Item) -> String {
    match (item, item.request()) {
        (Item::Exchange(exchange), Some(_)) => {
            let mut asked = (**exchange).clone();
            (asked.response, asked.attempts) = (None, None);
            asked.outcome = k485_proto::exchange::Outcome::Answered;
            join(line::exchange(&asked))
        }
        _ => words(item),
    }
}

fn change(change: &Change) -> String {
    let part = |shown: &Option<Shown>| shown.as_ref().map_or("none".into(), Shown::to_string);
    format!("{} {} -> {}", change.name, part(&change.a), part(&change.b))
}

/// Rows in which something differs.
pub(super) fn summary(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    if summary.noise_differs {
        let noise = |totals: &k485_sniffer::stats::report::Totals| {
            format!("{} bytes in {} places", totals.noise_bytes, totals.noise_places)
        };
        writeln!(out, "\nNoise: {} -> {}", noise(&summary.a), noise(&summary.b))?;
    }
    for (title, table) in [
        ("Functions that differ (medians of latencies in milliseconds)", aligned(summary)),
        ("What changed (latencies in milliseconds)", changes(summary)),
        ("Polls that differ (medians of latencies in milliseconds)", polls(summary)),
    ] {
        if !table.is_empty() {
            writeln!(out, "\n{title}")?;
            table.write(out, 2)?;
        }
    }
    Ok(())
}

fn aligned(summary: &Summary) -> Table {
    let mut table = Table::new(&[
        "<device",
        "<function",
        "pairs",
        "same",
        "only A",
        "only B",
        "A ms",
        "B ms",
        "B/A",
    ]);
    for row in summary.functions.iter().filter(|row| row.differs && !row.counted) {
        let mut cells = names(row);
        cells.extend([row.pairs, row.same, row.only_a, row.only_b].map(|count| count.to_string()));
        cells.extend(latencies(row));
        table.row(cells);
    }
    table
}

/// What changed in pairs, and by how much.
fn changes(summary: &Summary) -> Table {
    let mut table = Table::new(&["<device", "<function", "<what", "pairs", "median of B - A"]);
    for row in &summary.functions {
        for change in &row.changes {
            let mut cells = names(row);
            let delta = change.median_delta.map(|delta| format!("{delta:+.2}"));
            cells.extend([
                change.name.clone(),
                change.pairs.to_string(),
                delta.unwrap_or_default(),
            ]);
            table.row(cells);
        }
    }
    table
}

/// What is shown of both sides of a poll.
const FIGURES: [fn(&Function) -> u64; 3] =
    [|row| row.exchanges, |row| row.timeouts, |row| row.errors];

fn polls(summary: &Summary) -> Table {
    let mut table = Table::new(&[
        "<device",
        "<function",
        "A",
        "B",
        "no reply A",
        "B",
        "errors A",
        "B",
        "A ms",
        "B ms",
        "B/A",
    ]);
    for row in summary.functions.iter().filter(|row| row.differs && row.counted) {
        let mut cells = names(row);
        for figure in FIGURES {
            let of = |side: &Option<Function>| side.as_ref().map_or(0, figure).to_string();
            cells.extend([of(&row.a), of(&row.b)]);
        }
        cells.extend(latencies(row));
        table.row(cells);
    }
    table
}

fn names(row: &Row) -> Vec<String> {
    let Some(subject) = row.subject() else { return vec![String::new(), String::new()] };
    let func = subject.func.map_or_else(String::new, |func| format!("{func:02X} "));
    vec![subject.device.clone(), func + subject.function.unwrap_or_default()]
}

/// Both medians, and the second by the first.
fn latencies(row: &Row) -> [String; 3] {
    let median = |side: &Option<Function>| match side {
        Some(Function { latency: Some(latency), .. }) => table::milliseconds(latency.median_ns),
        Some(Function { answered: 1.., .. }) => "unknown".into(),
        _ => "-".into(),
    };
    let ratio = row.latency_ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
    [median(&row.a), median(&row.b), ratio]
}

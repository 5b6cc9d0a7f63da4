//! Tables for people: aligned columns, no lines.

use std::io::{self, Write};

use k485_proto::record::Time;

/// The columns that a table is fitted to.
pub(crate) const WIDTH: usize = 100;
/// What a column is not cut below.
const LEAST: usize = 12;

/// A table in the making.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: usize,
}

struct Column {
    head: &'static str,
    /// Numbers stand at the right.
    right: bool,
    cells: Vec<String>,
}

impl Table {
    /// A table with these heads; columns whose head begins with `<` are texts, the others numbers.
    pub(crate) fn new(heads: &[&'static str]) -> Table {
        let column = |head: &&'static str| Column {
            head: head.strip_prefix('<').unwrap_or(head),
            right: !head.starts_with('<'),
            cells: Vec::new(),
        };
        Table { columns: heads.iter().map(column).collect(), rows: 0 }
    }

    /// Adds a row, a cell a column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows += 1;
        let mut cells = cells.into_iter();
        for column in &mut self.columns {
            column.cells.push(cells.next().unwrap_or_default());
        }
    }

    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Writes it, each line after `indent` blanks. Columns without a single cell are left out.
    pub(crate) fn write(&self, out: &mut dyn Write, indent: usize) -> io::Result<()> {
        let full = |column: &&Column| column.cells.iter().any(|cell| !cell.is_empty());
        let columns: Vec<&Column> = self.columns.iter().filter(full).collect();
        let mut widths: Vec<usize> = columns.iter().map(|column| column.width()).collect();
        let total =
            |widths: &[usize], gap| indent + widths.iter().map(|width| width + gap).sum::<usize>();
        let gap = if total(&widths, 2) > WIDTH + 2 { 1 } else { 2 };
        while total(&widths, gap) > WIDTH + gap {
            let texts = columns.iter().enumerate().filter(|(_, column)| !column.right);
            let Some((widest, _)) = texts.max_by_key(|(i, _)| widths[*i]) else { break };
            if widths[widest] <= LEAST {
                break;
            }
            widths[widest] -= 1;
        }
        let heads = columns.iter().map(|column| column.head);
        line(out, (indent, gap), &columns, &widths, heads)?;
        for row in 0..self.rows {
            let cells = columns.iter().map(|column| &*column.cells[row]);
            line(out, (indent, gap), &columns, &widths, cells)?;
        }
        Ok(())
    }
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(self.head.chars().count())
    }
}

fn line<'a>(
    out: &mut dyn Write,
    (indent, gap): (usize, usize),
    columns: &[&Column],
    widths: &[usize],
    cells: impl Iterator<Item = &'a str>,
) -> io::Result<()> {
    let mut text = " ".repeat(indent);
    for (i, ((cell, column), width)) in cells.zip(columns).zip(widths).enumerate() {
        text += &" ".repeat(if i == 0 { 0 } else { gap });
        let cell = cut(cell, *width);
        text += &if column.right { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
    }
    writeln!(out, "{}", text.trim_end())
}

/// A text of at most `width` characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A moment as the wall clock shows it, or plain seconds where the capture's clock is its own.
pub(crate) fn clock(time: Time, form: &str) -> String {
    let stamp = jiff::Timestamp::from_nanosecond(time.0.into()).ok();
    // Before the year 2000 it counts from an origin that nobody told.
    match stamp.filter(|stamp| stamp.as_second() >= 946_684_800) {
        Some(stamp) => stamp.to_zoned(jiff::tz::TimeZone::system()).strftime(form).to_string(),
        None => format!("{:.3}", time.0 as f64 / 1e9),
    }
}

/// Nanoseconds as milliseconds, with about three digits.
pub(crate) fn milliseconds(nanos: i64) -> String {
    let millis = nanos as f64 / 1e6;
    match millis.abs() {
        ..10.0 => format!("{millis:.2}"),
        ..1000.0 => format!("{millis:.1}"),
        _ => format!("{millis:.0}"),
    }
}

/// Nanoseconds as seconds, with two digits behind the point.
pub(crate) fn seconds(nanos: i64) -> String {
    format!("{:.2}", nanos as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(table: &Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out, 2).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut table = Table::new(&["<bus", "<device", "count"]);
        assert!(table.is_empty());
        for (device, count) in [("box1", "7"), ("unassigned", "1234567")] {
            table.row([String::new(), device.into(), count.into()]);
        }
        let lines = ["  device        count", "  box1              7", "  unassigned  1234567", ""];
        assert_eq!(text(&table), lines.join("\n"));
    }

    #[test]
    fn long_texts_are_cut_to_the_width() {
        let mut table = Table::new(&["<a", "b"]);
        table.row(["ä".repeat(200), "1".repeat(20)]);
        let written = text(&table);
        assert!(written.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(written.contains("ä… 1111"), "{written}");
    }

    #[test]
    fn times_have_about_three_digits() {
        let all: Vec<String> =
            [2_534_000, 15_250_000, 12_486_000_000, -3_000_000].map(milliseconds).into();
        assert_eq!(all, ["2.53", "15.2", "12486", "-3.00"]);
        assert_eq!(seconds(1_104_000_000), "1.10");
    }
}

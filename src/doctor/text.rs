//! The report for people: the verdict first, then what was found, then the figures.

use std::io::Write;

use k485_sniffer::doctor::report::{Finding, Report, Severity};

use crate::table::{self, Table, WIDTH};

/// Writes the report.
pub(super) fn write(report: &Report, out: &mut dyn Write) -> anyhow::Result<()> {
    for (at, finding) in report.findings.iter().enumerate() {
        // The verdict names the port.
        let port = if at == 0 { format!("{}: ", report.port) } else { String::new() };
        write_finding(finding, &port, out)?;
    }
    let tried = tried(report);
    if !tried.is_empty() {
        writeln!(out, "\nHeard at each speed")?;
        tried.write(out, 2)?;
    }
    let talk = talk(report);
    if !talk.is_empty() {
        writeln!(out, "\nWho asks and who answers (latency in milliseconds, period in seconds)")?;
        talk.write(out, 2)?;
    }
    if let Some(errors) = report.line_errors.filter(|errors| !errors.is_empty()) {
        writeln!(
            out,
            "\nCounted by the driver: {} wrong stop bits, {} breaks, {} bytes lost",
            errors.framing,
            errors.breaks,
            u64::from(errors.overrun) + u64::from(errors.buffer_overrun)
        )?;
    }
    Ok(())
}

fn write_finding(finding: &Finding, port: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    let word = match finding.severity {
        Severity::Problem => "problem: ",
        Severity::Warning => "warning: ",
        Severity::Note => "",
    };
    writeln!(out, "{port}{word}{}", finding.title)?;
    paragraph("seen", &finding.seen, out)?;
    paragraph("means", &finding.means, out)?;
    for todo in &finding.todo {
        paragraph("do", todo, out)?;
    }
    Ok(())
}

/// A text behind its word, in lines that fit.
fn paragraph(word: &str, text: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    const INDENT: usize = 9;
    write!(out, "  {word:<6} ")?;
    let mut at = INDENT;
    for (n, part) in text.split(' ').enumerate() {
        let size = part.chars().count();
        if n > 0 && at + 1 + size > WIDTH {
            write!(out, "\n{:INDENT$}{part}", "")?;
            at = INDENT + size;
        } else {
            let gap = if n > 0 { " " } else { "" };
            write!(out, "{gap}{part}")?;
            at += gap.len() + size;
        }
    }
    Ok(writeln!(out)?)
}

fn tried(report: &Report) -> Table {
    let mut table = Table::new(&["baud", "bytes", "good frames"]);
    // One speed that was right at once is no news.
    if report.tried.len() > 1 {
        for tried in report.tried.iter().filter(|tried| tried.bytes > 0) {
            let baud = u64::from(tried.baud);
            table.row([baud, tried.bytes, tried.frames].map(|figure| figure.to_string()));
        }
    }
    table
}

fn talk(report: &Report) -> Table {
    let mut table = Table::new(&[
        "<device",
        "<function",
        "asked",
        "answered",
        "share",
        "errors",
        "median",
        "most",
        "period",
    ]);
    for row in report.traffic.iter().flat_map(|traffic| &traffic.functions) {
        let function = match (row.func, row.function) {
            (Some(func), Some(name)) => format!("{func:02X} {name}"),
            (Some(func), None) => format!("{func:02X}"),
            (None, _) => "(all others)".into(),
        };
        let over = row.answered + row.timeouts;
        let asked = over + row.no_reply_expected + row.unfinished;
        let share = (row.answered * 100).checked_div(over).map_or("-".into(), |p| format!("{p} %"));
        let latency = row.latency.as_ref();
        let ms = |nanos: Option<i64>| nanos.map_or_else(|| "-".into(), table::milliseconds);
        let steady = row.period.as_ref().filter(|period| period.steady);
        table.row([
            row.device.clone(),
            function,
            asked.to_string(),
            row.answered.to_string(),
            share,
            row.errors.to_string(),
            ms(latency.map(|latency| latency.median_ns)),
            ms(latency.map(|latency| latency.max_ns)),
            steady.map_or_else(|| "-".into(), |period| table::seconds(period.median_ns)),
        ]);
    }
    table
}

//! `k485 discover`: the reverse engineer's view of functions that nobody declared.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::ValueEnum;
use k485_proto::address::{Address, Class};
use k485_proto::dialect::Dialect;
use k485_proto::exchange::Seen;
use k485_proto::filter::Filter;
use k485_sniffer::discover::report::{Change, Field, Form, Function, Payloads, Place, Report};
use k485_sniffer::discover::{Discovery, Family, stub};

use crate::filter::FilterArgs;
use crate::input::{InputArgs, Sink};
use crate::output;

/// What `k485 discover` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything is read from the bytes: no declaration is looked at, so that a known function is a test \
of how far to trust the rest. The dialect stub holds the functions that no table knows; --all takes \
every one. docs/discover.md explains what is told.

Examples:
  k485 discover capture.bin                       every function, then the stub
  k485 discover --device box1 --func 0a trace/    one function of one device
  k485 discover --to toml -o mine.toml *.hex      the stub alone")]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only this device: box1, motor2, 0x41
    #[arg(long, value_name = "ADDR")]
    device: Option<String>,
    /// Only this function: a hex byte, or a known name
    #[arg(long, value_name = "CODE")]
    func: Option<String>,
    /// The stub with every function, known or not
    #[arg(long)]
    all: bool,
    /// How to write it
    #[arg(long, value_name = "FORM", default_value = "text")]
    to: To,
    /// Write here instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How the findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// A report for people, with the dialect stub at its end
    Text,
    /// One JSON object
    Json,
    /// The dialect stub
    Toml,
}

/// Two hex digits, or a function's name.
fn code(text: &str, dialect: &Dialect) -> anyhow::Result<u8> {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
    if (1..=2).contains(&digits.len()) && digits.bytes().all(|d| d.is_ascii_hexdigit()) {
        return Ok(u8::from_str_radix(digits, 16)?);
    }
    let spoken = text.replace('-', "_");
    let mut named = dialect.all_functions().filter(|f| f.name.eq_ignore_ascii_case(&spoken));
    let Some(function) = named.next() else {
        bail!("--func {text}: expected a hex byte such as 0a, or a function's name");
    };
    Ok(function.code)
}

/// Collects what is seen, or that part of it which a filter lets through.
struct Collected(Discovery, Option<Filter>);

impl Sink for Collected {
    fn heading(&mut self, _: &str) -> anyhow::Result<()> {
        self.0.begin();
        Ok(())
    }

    fn seen(&mut self, seen: &Seen) -> anyhow::Result<()> {
        if self.1.as_ref().is_none_or(|filter| filter.matches(seen)) {
            self.0.see(seen);
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Reads the captures and says what is in them.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(output) = &args.output {
        args.input.refuse_output(output)?;
    }
    let tables = args.input.tables()?;
    let device = args.device.as_deref().map(|text| tables.address(text)).transpose()?;
    let func = args.func.as_deref().map(|text| code(text, tables)).transpose()?;
    let filter = args.filter.read(false, tables)?;
    let mut collected = Collected(Discovery::only(device, func), filter);
    let skipped = args.input.read(&mut collected)?;
    let report = collected.0.report();
    if report.exchanges == 0 {
        bail!("no request and no reply found: nothing, or no direction, could be told");
    }
    if report.functions.is_empty() {
        bail!("{} exchanges, and none of that device and function", report.exchanges);
    }
    let mut out = output::open(args.output.as_deref())?.out;
    let wanted = |function: &Function| args.all || known(tables, function).is_none();
    let stub = || stub::toml(&report, "discovered", base(tables), wanted);
    match args.to {
        To::Text => {
            text(&report, tables, &mut out)?;
            if report.functions.iter().any(wanted) {
                writeln!(out, "\n--- dialect.toml: to be checked, renamed and kept ---\n")?;
                out.write_all(stub().as_bytes())?;
            } else {
                writeln!(
                    out,
                    "\nEvery function is declared already; --all writes a stub of them."
                )?;
            }
        }
        To::Json => writeln!(out, "{}", report.to_json()?)?,
        To::Toml => out.write_all(stub().as_bytes())?,
    }
    out.flush()?;
    Ok(if skipped > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

/// The built-in dialect that a stub can lie on.
fn base(dialect: &Dialect) -> &'static str {
    let names = Dialect::BUILT_IN.map(|dialect| dialect.name);
    dialect.chain().find_map(|d| names.into_iter().find(|name| *name == d.name)).unwrap_or("k2")
}

/// The declared name of a function, for the heading alone.
fn known(dialect: &Dialect, function: &Function) -> Option<&'static str> {
    named(dialect, function.family, function.func)
}

fn named(dialect: &Dialect, family: Family, func: u8) -> Option<&'static str> {
    if let Family::Address(addr) = family {
        return dialect.find(Address(addr), func).map(|declared| declared.name);
    }
    let classes = dialect.classes().filter(|class| {
        family == Family::Class(*class)
            || (*class == Class::Addressing && matches!(func, 0xa0..=0xa3 | 0xf0))
    });
    let mut all = classes.flat_map(|class| dialect.functions(class));
    all.find(|declared| declared.code == func).map(|declared| declared.name)
}

fn text(report: &Report, tables: &Dialect, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} exchanges, {} functions", report.exchanges, report.functions.len())?;
    if report.left_out > 0 {
        writeln!(out, "{} exchanges of further functions are left out", report.left_out)?;
    }
    for item in &report.functions {
        function(item, tables, out)?;
    }
    if !report.correlations.is_empty() {
        writeln!(out, "\nmove together (rank correlation, pairs of values):")?;
    }
    for found in &report.correlations {
        let (a, b) = (place(&found.a), place(&found.b));
        writeln!(out, "  {a} ~ {b}  {:+.2} ({})", found.rho, found.points)?;
    }
    Ok(())
}

fn place(place: &Place) -> String {
    let side = if place.request { "request" } else { "reply" };
    format!("{} {:02X} {side} @{}", place.family, place.func, place.offset)
}

fn function(item: &Function, tables: &Dialect, out: &mut dyn Write) -> io::Result<()> {
    let name = known(tables, item).unwrap_or("unknown");
    let devices: Vec<String> =
        item.devices.keys().map(|addr| tables.device(Address(*addr)).into_owned()).collect();
    writeln!(out, "\n{} {:02X} ({name})  {}", item.family, item.func, devices.join(" "))?;
    let mut replies = format!("{} replies", item.replies.count);
    for (status, count) in item.statuses.iter().filter(|(status, _)| **status != 0) {
        replies += &format!(", {count} with status {status:02X}");
    }
    if item.timeouts > 0 {
        replies += &format!(", {} timeouts", item.timeouts);
    }
    writeln!(out, "  {} requests, {replies}", item.requests.count)?;
    side("request", &item.requests, out)?;
    side("reply", &item.replies, out)
}

fn side(name: &str, payloads: &Payloads, out: &mut dyn Write) -> io::Result<()> {
    if payloads.thinned {
        writeln!(out, "  {name}: values of {} runs, a random part", payloads.runs)?;
    }
    for item in &payloads.forms {
        form(name, payloads.selector, item, out)?;
    }
    Ok(())
}

fn form(name: &str, selector: Option<usize>, form: &Form, out: &mut dyn Write) -> io::Result<()> {
    let (least, most) = form.length;
    let length = if least == most { format!("{least}") } else { format!("{least} to {most}") };
    let mut when = String::new();
    if let (Some(at), false) = (selector, form.when.is_empty()) {
        let values: Vec<String> = form.when.iter().map(|value| format!("{value:02x}")).collect();
        when = format!(" when request byte {at} is {}", values.join(", "));
    }
    let status = match form.status {
        _ if name == "request" => String::new(),
        Some(0) => String::new(),
        Some(status) => format!(" under status {status:02X}"),
        None => " under any status".into(),
    };
    writeln!(out, "  {name}{when}{status}: {length} bytes, {}x", form.count)?;
    for item in &form.fields {
        field(item, out)?;
        for change in form.changes.iter().filter(|change| change.offset == item.offset) {
            self::change(change, out)?;
        }
    }
    Ok(())
}

fn field(field: &Field, out: &mut dyn Write) -> io::Result<()> {
    let place = match field.width {
        Some(1) => format!("@{}", field.offset),
        Some(width) => format!("@{}-{}", field.offset, field.offset + width - 1),
        None => format!("@{}..", field.offset),
    };
    let confidence = field.confidence.name();
    write!(out, "    {place:<7} {:<8} {:<9} [{confidence}]", field.kind.name, field.role)?;
    if let Some((least, most)) = field.range.filter(|(least, most)| least < most) {
        let (least, most) = (plain(field, least), plain(field, most));
        write!(out, "  {least} to {most}  {}", sparkline(&field.histogram))?;
    }
    let shown = field.values.iter().take(if field.distinct > 8 { 4 } else { 8 });
    let values: Vec<String> = shown
        .map(|shown| match shown.count {
            1 => shown.value.clone(),
            count => format!("{} x{count}", shown.value),
        })
        .collect();
    write!(out, "  {}", values.join(", "))?;
    if field.distinct > values.len() {
        write!(out, ", … {} different", field.distinct)?;
    }
    writeln!(out)?;
    for reason in &field.evidence {
        writeln!(out, "            {reason}")?;
    }
    Ok(())
}

/// A number with the digits that its kind has.
fn plain(field: &Field, number: f64) -> String {
    // It was a float of this width before.
    if field.kind.name.starts_with('f') { (number as f32).to_string() } else { number.to_string() }
}

fn change(change: &Change, out: &mut dyn Write) -> io::Result<()> {
    let data: String = change.data.iter().map(|byte| format!("{byte:02x}")).collect();
    let few = if change.hits < 3 { ", too few" } else { "" };
    writeln!(
        out,
        "            changes after {:02X} {data} ({} of {} changes, sent in {} of {} gaps, lift \
         {:.1}{few}): {} to {}",
        change.func,
        change.hits,
        change.changes,
        change.sent,
        change.gaps,
        change.lift,
        change.example.0,
        change.example.1
    )
}

/// Counts as a row of blocks; a count that is not zero shows.
fn sparkline(counts: &[u64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let block = |count: &u64| match count {
        0 => ' ',
        // At most 7.
        count => BLOCKS[(count.saturating_sub(1) * 8 / most).min(7) as usize],
    };
    counts.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use k485_proto::dialect::K2;

    use super::*;

    #[test]
    fn sparklines() {
        assert_eq!(sparkline(&[0, 1, 400, 800]), " ▁▄█");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[1]), "▁");
    }

    #[test]
    fn functions_by_code_and_name() {
        for (text, found) in [("0a", 0x0a), ("0xA2", 0xa2), ("get-box-state", 0x0a)] {
            assert_eq!(code(text, &K2).unwrap(), found, "{text}");
        }
        assert!(code("nothing", &K2).is_err());
    }
}

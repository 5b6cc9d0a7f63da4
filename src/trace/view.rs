//! `k485 trace view`: what a capture holds, its metadata and its lines.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use k485_proto::line::Role;
use k485_trace::survey::Survey;

use super::input::{FilesArg, open};
use super::logs;
use super::show::Show;
use super::words::{Detail, clean, length, word, write_line};
use crate::complaints::{Complaints, say};
use crate::dialect::DialectArg;
use crate::input::printable;
use crate::output::{self, Color};
use crate::table;

/// What `k485 trace view` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
First what the capture holds, then its events in the order of time, a line a call, indented as calls \
are nested.

Examples:
  k485 trace view captures/box_20260101_105436.jsonl
  k485 trace view captures/ --meta
  k485 trace view captures/ -F 'object==box' | less -R
  k485 trace view captures/_all_20260101_105436.jsonl --meta --json | jq .objects")]
pub(crate) struct Args {
    #[command(flatten)]
    files: FilesArg,
    /// Only what it holds, no lines
    #[arg(long)]
    meta: bool,
    /// JSON: a line for what each file holds, then the events as they are
    #[arg(long)]
    json: bool,
    /// Show only calls that this holds for: 'object==box && duration>50ms'
    #[arg(short = 'F', long, value_name = "EXPR", conflicts_with = "json")]
    filter: Option<String>,
    /// Whole values, threads, what frames are made of
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

/// Shows the captures.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let filter = args.filter.as_deref().map(super::filter).transpose()?;
    let dialect = args.dialect.wanted()?.tables();
    let mut out = output::open(args.output.as_deref())?;
    let color = args.color.wanted(out.terminal);
    let mut complaints = Complaints::new(false);
    let mut skipped = 0;
    let files: Vec<PathBuf> =
        args.files.sessions()?.into_iter().flat_map(|session| session.files).collect();
    // stdin can be read once: its lines are what is wanted.
    for path in files.iter().filter(|path| args.meta || path.as_os_str() != "-") {
        let (survey, bad) = logs::survey(path, &mut complaints)?;
        skipped += bad;
        if args.json {
            let mut line = logs::json(path, &survey, bad)?;
            line["type"] = "metadata".into();
            writeln!(out.out, "{line}")?;
        } else {
            metadata(&mut out.out, color, &printable(path), &survey, bad)?;
        }
    }
    complaints.finish(say);
    if args.meta {
        out.out.flush()?;
        return Ok(if skipped > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS });
    }
    if args.json {
        for path in &files {
            lines(path, &mut out.out)?;
        }
        out.out.flush()?;
        return Ok(if skipped > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS });
    }
    let detail = Detail { whole: args.verbose, dialect };
    let mut show = Show::new(out.out, color, detail, filter);
    let skipped = args.files.read(
        &mut show,
        |show, _| show.next_capture(),
        |show, space, event| show.take(space, event),
    )?;
    show.finish()?;
    Ok(if skipped > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

/// The events of a file that are such, as they are.
fn lines(path: &std::path::Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut input = open(path)?.into_input();
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = line.trim_ascii();
        if serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok() && !text.is_empty() {
            out.write_all(text)?;
            out.write_all(b"\n")?;
        }
    }
}

/// What a file holds, for people.
fn metadata(
    out: &mut dyn Write,
    color: bool,
    name: &str,
    survey: &Survey,
    bad: u64,
) -> anyhow::Result<()> {
    write_line(out, color, "", &[word(Role::Device, name)])?;
    let clock = |time| table::clock(time, "%Y-%m-%d %H:%M:%S%.3f");
    let counted = |counts: &std::collections::BTreeMap<String, u64>| {
        let parts: Vec<String> =
            counts.iter().map(|(name, count)| format!("{} {count}", clean(name))).collect();
        parts.join(", ")
    };
    let times = match (survey.first, survey.last, survey.duration()) {
        (Some(first), Some(last), Some(duration)) => {
            format!("{} to {}, {}", clock(first), clock(last), length(duration))
        }
        _ => "no event tells a time".to_owned(),
    };
    let marks: Vec<String> = survey.marks.iter().map(|mark| clean(mark).into_owned()).collect();
    let number = |count: u64| if count > 0 { count.to_string() } else { String::new() };
    let rows = [
        ("time", times),
        ("events", counted(&survey.types)),
        ("objects", counted(&survey.objects)),
        ("exceptions", number(survey.raised)),
        ("sessions", number(survey.sessions)),
        ("dropped", number(survey.dropped)),
        ("missing", number(survey.missing)),
        ("gaps", number(survey.gaps)),
        ("unreadable", number(bad)),
        ("marks", marks.join(", ")),
    ];
    for (head, text) in rows.into_iter().filter(|(_, text)| !text.is_empty()) {
        let before = format!("  {head:<11}");
        write_line(out, color, &before, &[word(Role::Plain, text)])?;
    }
    Ok(())
}

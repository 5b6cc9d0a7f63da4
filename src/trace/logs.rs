//! `k485 trace logs`: a list of captures.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use k485_trace::files::{ALL, Name};
use k485_trace::survey::Survey;

use super::input::{found, open};
use super::words::{clean, length};
use crate::complaints::{Complaints, say};
use crate::input::printable;
use crate::output;
use crate::table::{self, Table};

/// What `k485 trace logs` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A line a file: when its first event was, how long it goes on, events, objects, and what is missing. \
Files that are damaged are read as far as they can be.

Examples:
  k485 trace logs
  k485 trace logs captures/ --limit 10
  k485 trace logs captures/ --json | jq 'select(.dropped > 0) | .file'")]
pub(crate) struct Args {
    /// Folders, or files
    #[arg(value_name = "DIR", default_value = "captures")]
    files: Vec<PathBuf>,
    /// Only so many, the newest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// A line of JSON for each
    #[arg(long)]
    json: bool,
}

/// Lists the captures.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut complaints = Complaints::new(false);
    let mut rows = Vec::new();
    let mut failed = 0;
    for path in found(&args.files)? {
        match survey(&path, &mut complaints) {
            Ok((survey, skipped)) => rows.push((path, survey, skipped)),
            Err(error) => {
                say(&format!("{error:#}"));
                failed += 1;
            }
        }
    }
    let skipped = complaints.finish(say);
    rows.sort_by_key(|(path, survey, _)| (survey.first, path.clone()));
    if let Some(limit) = args.limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        rows.drain(..rows.len().saturating_sub(limit));
    }
    let mut out = output::open(None)?.out;
    if args.json {
        for (path, survey, skipped) in &rows {
            writeln!(out, "{}", json(path, survey, *skipped)?)?;
        }
    } else {
        text(&rows, &mut out)?;
    }
    out.flush()?;
    if failed > 0 {
        bail!("{failed} files could not be read, see above");
    }
    Ok(if skipped > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

/// What a file holds, and how many places of it could not be read.
pub(super) fn survey(
    path: &std::path::Path,
    complaints: &mut Complaints,
) -> anyhow::Result<(Survey, u64)> {
    let mut survey = Survey::default();
    let mut reader = open(path)?;
    // Of the file of one object numbers are missing that are in other files.
    let whole = Name::of(path).is_none_or(|name| name.object == ALL);
    let mut skipped = 0;
    while let Some(item) = reader.next_event() {
        match item {
            Ok(event) => survey.take(&event, whole),
            Err(complaint) => {
                skipped += 1;
                complaints.tell(&complaint, say)?;
            }
        }
    }
    Ok((survey, skipped))
}

/// What a file holds, for programs.
pub(super) fn json(
    path: &std::path::Path,
    survey: &Survey,
    skipped: u64,
) -> anyhow::Result<serde_json::Value> {
    let mut value = serde_json::to_value(survey.figures())?;
    if let Some(map) = value.as_object_mut() {
        map.insert("file".into(), printable(path).into());
        map.insert("bytes".into(), fs::metadata(path).map(|meta| meta.len()).ok().into());
        map.insert("unreadable".into(), skipped.into());
    }
    Ok(value)
}

fn text(rows: &[(PathBuf, Survey, u64)], out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        "<from", "length", "events", "raised", "dropped", "missing", "gaps", "bad", "<objects",
    ]);
    let some = |count: u64| if count > 0 { count.to_string() } else { String::new() };
    for (_, survey, skipped) in rows {
        let from = survey.first.map(|time| table::clock(time, "%Y-%m-%d %H:%M:%S"));
        let objects: Vec<&str> = survey.objects.keys().map(String::as_str).collect();
        let named = objects.iter().take(2).copied().collect::<Vec<_>>().join(", ");
        let more = objects.len().saturating_sub(2);
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        table.row([
            from.unwrap_or_default(),
            survey.duration().map(length).unwrap_or_default(),
            survey.events().to_string(),
            some(survey.raised),
            some(survey.dropped),
            some(survey.missing),
            some(survey.gaps),
            some(*skipped),
            clean(&format!("{named}{more}")).into_owned(),
        ]);
    }
    // A table cuts what is too wide, and a name that is cut names nothing.
    let mut text = Vec::new();
    table.write(&mut text, 0)?;
    let text = String::from_utf8_lossy(&text);
    let width = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let names = rows.iter().map(|(path, ..)| printable(path));
    for (line, name) in text.lines().zip(["file".to_owned()].into_iter().chain(names)) {
        writeln!(out, "{line:<width$}  {name}")?;
    }
    Ok(())
}

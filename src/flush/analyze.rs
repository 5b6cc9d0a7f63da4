//! `k485 flush analyze`: the flushes of traces, in a table and as a model.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use k485_proto::slot::Slot;
use k485_sniffer::capture;
use k485_trace::flush::{Flushes, Spool, Spools};
use k485_trace::reader::{EventReader, MergedEvents};
use k485_trace::sniff::looks_like_trace;

use super::report::Report;
use super::{colour, slot};
use crate::complaints::{Complaints, say};
use crate::input::printable;
use crate::output;
use crate::source::{self, Kind, Source};
use crate::stats::To;

/// How much of a file is looked at to tell whether it is a trace, in bytes.
const BEGIN: u64 = 4096;
/// How many files that are no traces are named.
const NAMED: usize = 3;

/// What `k485 flush analyze` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads traces of the box object (TRACE_DEEP OBJECT=box) and the state files of `k485 flush collect`. From \
the calls of get_flush_len come the lengths, from those round them how long flush and change took. \
Colours and materials come from the box's get_status, from tags read on the bus, and from --spool.

Each model is judged by held-out pairs: a pair's length is foretold by a fit to all the other pairs. \
That is the error to believe; the error over a model's own pairs is shown beside it.

Exit codes: 0 done; 1 failed, or no flush found; 2 wrong command line; 3 done, but parts of the input \
were skipped.

Examples:
  k485 flush analyze captures/ flush-k2.local_7125.jsonl
  k485 flush analyze box_trace.jsonl --spool T1A=ffffff --spool T1B=ff1e1e:101001
  k485 flush analyze captures/ --to json")]
pub(crate) struct Args {
    /// Traces, and the files of `k485 flush collect`; a folder is a trace
    #[arg(value_name = "CAPTURE", required = true)]
    files: Vec<PathBuf>,
    /// What is in a slot, as SLOT=RRGGBB or SLOT=RRGGBB:MATERIAL; counts more than the trace
    #[arg(long, value_name = "SPOOL", value_parser = spool)]
    spool: Vec<(Slot, Spool)>,
    /// How to write it
    #[arg(long, value_name = "FORM", default_value = "text")]
    to: To,
    /// Write here instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `T1A=ffffff:101001`.
fn spool(text: &str) -> Result<(Slot, Spool), String> {
    let (name, rest) = text.split_once('=').ok_or("write SLOT=RRGGBB or SLOT=RRGGBB:MATERIAL")?;
    let (rgb, material) = match rest.split_once(':') {
        Some((rgb, material)) => (rgb, Some(material)),
        None => (rest, None),
    };
    let material = material.map(|code| code.parse().map_err(|error| format!("{error}")));
    let spool = Spool { colour: Some(colour(rgb)?), material: material.transpose()? };
    Ok((slot(name)?, spool))
}

/// Reads the traces and writes what is in them.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let sources = source::sources(&args.files, None)?;
    if let Some(output) = &args.output {
        crate::input::refuse_output(&sources, output)?;
    }
    let mut spools = Spools::new();
    for (slot, spool) in &args.spool {
        spools.fix(*slot, spool.clone());
    }
    let mut reading = Reading {
        flushes: Flushes::new(spools),
        complaints: Complaints::new(false),
        sources: 0,
        strangers: Vec::new(),
    };
    for source in &sources {
        reading.source(source)?;
    }
    if !reading.strangers.is_empty() {
        let named = reading.strangers[..reading.strangers.len().min(NAMED)].join(", ");
        let count = reading.strangers.len();
        say(&format!("left out, as they are no traces: {named} ({count} in all)"));
    }
    let skipped = reading.complaints.finish(say);
    let report = Report::of(&reading.flushes);
    if report.is_empty() {
        bail!(
            "no call of get_flush_len in {} files: trace the box (`k485 trace on HOST \
             --deep box`) while filament is changed",
            reading.sources
        );
    }
    let mut out = output::open(args.output.as_deref())?.out;
    match args.to {
        To::Text => report.text(&mut out)?,
        To::Json => {
            serde_json::to_writer_pretty(&mut out, &report)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::from(if skipped > 0 { 3 } else { 0 }))
}

struct Reading {
    flushes: Flushes,
    complaints: Complaints,
    /// How many files were read; also the number of the next one.
    sources: usize,
    strangers: Vec<String>,
}

impl Reading {
    fn source(&mut self, source: &Source) -> anyhow::Result<()> {
        let paths = match &source.kind {
            Kind::Traces(files) => files.as_slice(),
            _ => std::slice::from_ref(&source.path),
        };
        let mut readers = Vec::new();
        for path in paths {
            let name = printable(path);
            let (begin, input) = open(path, &source.kind).with_context(|| name.clone())?;
            if begin.is_empty() || looks_like_trace(&begin) {
                readers.push(EventReader::new(name, input));
            } else if source.kind == Kind::File {
                bail!("{name}: no trace: its first line is no event");
            } else {
                self.strangers.push(name);
            }
        }
        let count = readers.len();
        for event in MergedEvents::new(readers) {
            match event {
                Ok((number, event)) => self.flushes.take(self.sources + number, &event),
                Err(complaint) => self.complaints.tell(&complaint, say)?,
            }
        }
        self.sources += count;
        Ok(())
    }
}

/// The beginning of a file, and the whole of it; packed files as what they hold.
fn open(path: &Path, kind: &Kind) -> io::Result<(Vec<u8>, BufReader<impl Read + use<>>)> {
    let input: Box<dyn Read + Send> = match kind {
        Kind::Stdin => Box::new(io::stdin()),
        _ => Box::new(File::open(path)?),
    };
    let mut input = capture::unpacked(input)?;
    let mut begin = Vec::new();
    input.by_ref().take(BEGIN).read_to_end(&mut begin)?;
    Ok((begin.clone(), BufReader::new(io::Cursor::new(begin).chain(input))))
}

//! The capture formats that this binary reads: the sniffer's, and the tracer's traces as one more.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use anyhow::{Context, bail};
use clap::ValueEnum;
use k485_sniffer::capture::{self, Format, Likelihood, Reading, Undetected};
use k485_sniffer::format;
use k485_sniffer::format::compressed::Packing;
use k485_trace::{EventReader, TraceReader, begins_with_event, looks_like_trace};

use crate::input::printable;
use crate::progress::Progress;
use crate::source::{Kind, Source};

/// A format by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// Hex text in any spelling, with optional times
    Hex,
    /// The bytes of the wire
    Raw,
    /// A dump of interceptty
    Interceptty,
    /// A table of Saleae's Logic, a byte a line
    Saleae,
    /// The uart annotations of sigrok-cli or PulseView
    Sigrok,
    /// What `socat -x` tells
    Socat,
    /// The reads and writes of a program, from strace
    Strace,
    /// Other programs' JSON lines with a field of hex
    Json,
    /// A dump of Serial Port Monitor or Docklight
    Monitor,
    /// CSV with a column of hex frames, or a listing of Portmon
    Table,
    /// A log: a span a line, in the manner of candump
    Log,
    /// k485's own JSON lines
    Jsonl,
    /// Packets, as Wireshark writes them
    Pcapng,
    /// Packets in the older format
    Pcap,
    /// A method-call trace (JSON lines), or a folder of them
    Trace,
}

/// Method-call traces as a capture format.
struct Trace;

impl Format for Trace {
    fn name(&self) -> &'static str {
        "trace"
    }

    fn detect(&self, head: &[u8]) -> Likelihood {
        match looks_like_trace(head) {
            true if begins_with_event(head) => Likelihood::Sure,
            // Other programs write JSON lines with a type too.
            true => Likelihood::Maybe,
            false => Likelihood::No,
        }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        Box::new(TraceReader::new(name, input))
    }
}

impl From {
    fn format(self) -> &'static dyn Format {
        match self {
            From::Hex => &format::hex::Hex,
            From::Raw => &format::raw::Raw,
            From::Interceptty => &format::interceptty::Interceptty,
            From::Saleae => &format::saleae::Saleae,
            From::Sigrok => &format::sigrok::Sigrok,
            From::Socat => &format::socat::Socat,
            From::Strace => &format::strace::Strace,
            From::Json => &format::json::Json,
            From::Monitor => &format::monitor::Monitor,
            From::Table => &format::table::Table,
            From::Log => &format::log::Log,
            From::Jsonl => &format::jsonl::Jsonl,
            From::Pcapng => &format::pcapng::Pcapng,
            From::Pcap => &format::pcap::Pcap,
            From::Trace => &Trace,
        }
    }

    fn is_text(self) -> bool {
        !matches!(self, From::Raw | From::Pcapng | From::Pcap)
    }
}

/// Opens a capture; what is read of it moves the bar.
pub(crate) fn open(
    source: &Source,
    from: Option<From>,
    progress: &Progress,
) -> anyhow::Result<Reading> {
    let name = printable(&source.path);
    match &source.kind {
        Kind::Stdin => read("stdin", Box::new(io::stdin()), from),
        Kind::File | Kind::Found => {
            let file = File::open(&source.path).with_context(|| name.clone())?;
            read(&name, Box::new(progress.count(file)), from)
        }
        Kind::Traces(files) => {
            let readers = files.iter().map(|path| {
                let name = printable(path);
                let file = File::open(path).with_context(|| name.clone())?;
                Ok(EventReader::new(name, BufReader::new(progress.count(file))))
            });
            let readers = readers.collect::<anyhow::Result<Vec<_>>>()?;
            Ok(Box::new(TraceReader::merged(readers)))
        }
    }
}

fn read(name: &str, input: Box<dyn Read + Send>, from: Option<From>) -> anyhow::Result<Reading> {
    if let Some(from) = from {
        let input = capture::unpacked(input).with_context(|| name.to_owned())?;
        let mut input = io::BufReader::new(input);
        // What told that it is not packed comes first, and alone.
        let mut head = Vec::new();
        if from.is_text() {
            let first = Packing::HEAD as u64;
            input.by_ref().take(first).read_to_end(&mut head).with_context(|| name.to_owned())?;
            head.extend(input.fill_buf().with_context(|| name.to_owned())?);
            if capture::is_utf16(&head) {
                return Err(Undetected::Utf16).with_context(|| name.to_owned());
            }
            // Text has no NUL: a binary file would give a complaint a line, for gigabytes.
            if head.contains(&0) {
                bail!(
                    "{name}: is binary, not {} text (--from raw reads bytes)",
                    from.format().name()
                );
            }
            head.truncate(Packing::HEAD);
        }
        let input = Cursor::new(head).chain(input);
        return Ok(from.format().read(name, Box::new(input)));
    }
    // Behind k485's own lines, which are JSON with a type too.
    let formats: Vec<&dyn Format> =
        format::ALL.iter().copied().chain([&Trace as &dyn Format]).collect();
    let (_, reading) = capture::open(&formats, name, input).with_context(|| name.to_owned())?;
    Ok(reading)
}

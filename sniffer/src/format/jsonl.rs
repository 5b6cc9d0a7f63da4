//! k485's own JSON lines: one object a line, a `frame`, a `noise`, a `gap` or an
//! `exchange`; written, and
//! read back by [`Jsonl`].
//!
//! The schema is `docs/jsonl.schema.json`. Times are decimal seconds with nine digits, written
//! from integer nanoseconds; bytes are lower-case hex; numbers of the protocol are numbers, with
//! their names beside them.

use std::borrow::Cow;
use std::io::{self, Write};

use k485_proto::direction::Source;
use k485_proto::exchange::{Exchange, LatencySource, Observed, Outcome};
use k485_proto::frame::Hex;
use k485_proto::message::{FieldValue, Message};
use k485_proto::record::{Direction, Origin, Record, Time, Verdict};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

pub use read::Jsonl;

use crate::changes::Change;
use crate::fold::Polls;
use crate::format::write::{CaptureWriter, Item, Loss, Losses};

mod read;
mod views;

/// The version of the lines' schema, in every line as `v`.
pub const VERSION: u32 = 1;

/// Writes lines to `out`. Nothing is buffered here.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    losses: Losses,
}

/// As a capture: a line a frame, a line a span of noise, a line a gap.
impl<W: Write> CaptureWriter for Writer<W> {
    fn write(&mut self, item: &Item) -> io::Result<()> {
        self.losses.add(item, &[Loss::Call, Loss::NoReply]);
        match item {
            Item::Frame(observed) => self.frame(observed),
            Item::Noise(record) => self.noise(record),
            Item::Gap(record) => self.gap(record),
            Item::NoReply(_) => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

impl<W: Write> Writer<W> {
    /// A writer of lines.
    pub fn new(out: W) -> Self {
        Writer { out, losses: Losses::default() }
    }

    /// Writes a frame's line.
    ///
    /// # Errors
    /// Those of the output.
    pub fn frame(&mut self, observed: &Observed) -> io::Result<()> {
        self.line(&FrameLine::new(observed))
    }

    /// Writes a line for a record of noise.
    ///
    /// # Errors
    /// Those of the output.
    pub fn noise(&mut self, record: &Record) -> io::Result<()> {
        self.line(&NoiseLine::new(record))
    }

    /// Writes a line for a record of a gap; nothing for one of another kind.
    ///
    /// # Errors
    /// Those of the output.
    pub fn gap(&mut self, record: &Record) -> io::Result<()> {
        GapLine::new(record).map_or(Ok(()), |line| self.line(&line))
    }

    /// Writes an exchange's line.
    ///
    /// # Errors
    /// Those of the output.
    pub fn exchange(&mut self, exchange: &Exchange) -> io::Result<()> {
        self.line(&ExchangeLine::new(exchange))
    }

    /// Writes a line for polls that were folded.
    ///
    /// # Errors
    /// Those of the output.
    pub fn polls(&mut self, polls: &Polls) -> io::Result<()> {
        self.line(&views::PollsLine::new(polls))
    }

    /// Writes a line for what changed in a row.
    ///
    /// # Errors
    /// Those of the output.
    pub fn change(&mut self, change: &Change<'_>) -> io::Result<()> {
        self.line(&views::ChangeLine::new(change))
    }

    /// Hands everything to the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The output.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn line<T: Serialize>(&mut self, line: &T) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.out.write_all(&text)
    }
}

/// A number as its own decimal text, so that no float rounds it.
fn number(text: String) -> Option<Box<RawValue>> {
    RawValue::from_string(text).ok()
}

fn seconds(time: Option<Time>) -> Option<Box<RawValue>> {
    time.and_then(|time| number(time.to_string()))
}

/// Milliseconds with six digits behind the point, from integer nanoseconds.
fn milliseconds(nanos: Option<i64>) -> Option<Box<RawValue>> {
    let nanos = nanos?;
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    number(format!("{sign}{}.{:06}", size / 1_000_000, size % 1_000_000))
}

#[derive(Serialize)]
struct FrameLine<'a> {
    r#type: &'static str,
    v: u32,
    time: Option<Box<RawValue>>,
    bus: &'a str,
    dir: Option<&'static str>,
    dir_source: Source,
    addr: u8,
    device: String,
    status: u8,
    status_name: String,
    func: u8,
    function: Option<&'static str>,
    form: Option<&'static str>,
    /// The layout was chosen without the request, because no other one fits.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    form_inferred: bool,
    data: String,
    fields: Fields<'a>,
    /// The data bytes that no field took.
    #[serde(skip_serializing_if = "String::is_empty")]
    rest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    misfit: Option<String>,
    /// Null for a bare frame, which has no CRC.
    crc_ok: Option<bool>,
    raw: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bare: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    implausible_addr: bool,
    offset: u64,
}

/// The fields of a message as an object.
struct Fields<'a>(Cow<'a, [FieldValue]>);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for field in self.0.iter() {
            field.value.serialize_entry(field.field.name, &mut map)?;
        }
        map.end()
    }
}

impl<'a> FrameLine<'a> {
    fn new(observed: &'a Observed) -> Self {
        let record = &observed.record;
        let frame = observed.frame();
        let bare = record.origin == Origin::Bare;
        let Message { function, form, form_inferred, fields, rest, misfit } = observed.message();
        FrameLine {
            r#type: "frame",
            v: VERSION,
            time: seconds(record.time),
            bus: &record.bus,
            dir: observed.dir.map(Direction::name),
            dir_source: observed.dir_source,
            addr: frame.addr().0,
            device: observed.dialect.device(frame.addr()).into_owned(),
            status: frame.status().0,
            status_name: observed.dialect.status_name(frame.status()).into_owned(),
            func: frame.func(),
            function: function.map(|function| function.name),
            form,
            form_inferred,
            data: Hex(frame.data()).to_string(),
            fields: Fields(Cow::Owned(fields)),
            rest: Hex(rest).to_string(),
            misfit: misfit.map(|misfit| misfit.to_string()),
            crc_ok: (!bare).then_some(true),
            raw: Hex(&record.bytes).to_string(),
            bare,
            implausible_addr: observed.implausible,
            offset: record.offset,
        }
    }
}

#[derive(Serialize)]
struct NoiseLine<'a> {
    r#type: &'static str,
    v: u32,
    time: Option<Box<RawValue>>,
    bus: &'a str,
    dir: Option<&'static str>,
    offset: u64,
    bytes: String,
    reason: &'static str,
    detail: String,
}

impl<'a> NoiseLine<'a> {
    fn new(record: &'a Record) -> Self {
        let (reason, detail) = match record.verdict {
            Verdict::Noise(reason) => (reason.name(), reason.to_string()),
            Verdict::Frame | Verdict::NoReply | Verdict::Gap(_) => ("none", String::new()),
        };
        NoiseLine {
            r#type: "noise",
            v: VERSION,
            time: seconds(record.time),
            bus: &record.bus,
            dir: record.dir.map(Direction::name),
            offset: record.offset,
            bytes: Hex(&record.bytes).to_string(),
            reason,
            detail,
        }
    }
}

#[derive(Serialize)]
struct GapLine<'a> {
    r#type: &'static str,
    v: u32,
    time: Option<Box<RawValue>>,
    bus: &'a str,
    offset: u64,
    reason: &'static str,
    duration_ms: Option<Box<RawValue>>,
    lost_bytes: Option<u64>,
    detail: String,
}

impl<'a> GapLine<'a> {
    fn new(record: &'a Record) -> Option<Self> {
        let Verdict::Gap(gap) = record.verdict else { return None };
        Some(GapLine {
            r#type: "gap",
            v: VERSION,
            time: seconds(record.time),
            bus: &record.bus,
            offset: record.offset,
            reason: gap.reason.name(),
            duration_ms: milliseconds(gap.ns),
            lost_bytes: gap.bytes,
            detail: gap.to_string(),
        })
    }
}

#[derive(Serialize)]
struct ExchangeLine<'a> {
    r#type: &'static str,
    v: u32,
    time: Option<Box<RawValue>>,
    bus: &'a str,
    request: Option<FrameLine<'a>>,
    response: Option<FrameLine<'a>>,
    outcome: Outcome,
    latency_ms: Option<Box<RawValue>>,
    latency_source: Option<LatencySource>,
    attempts: Option<u32>,
}

impl<'a> ExchangeLine<'a> {
    fn new(exchange: &'a Exchange) -> Self {
        ExchangeLine {
            r#type: "exchange",
            v: VERSION,
            time: seconds(exchange.time),
            bus: &exchange.bus,
            request: exchange.request.as_deref().map(FrameLine::new),
            response: exchange.response.as_deref().map(FrameLine::new),
            outcome: exchange.outcome,
            latency_ms: milliseconds(exchange.latency_ns),
            latency_source: exchange.latency_source,
            attempts: exchange.attempts,
        }
    }
}

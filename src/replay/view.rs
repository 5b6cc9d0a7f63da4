//! What is told of a replay: lines for people, JSON lines for programs.

use std::io::Write;

use k485_proto::dialect::Dialect;
use k485_proto::exchange::Outcome;
use k485_proto::frame::{Frame, Hex};
use k485_proto::line;
use k485_proto::record::{Direction, Time};
use k485_sniffer::diff::{Change, Shown};
use k485_sniffer::replay::{
    Counts, Extra, HostEvent, LeftOut, Played, Row, Script, Step, Summary, Verdict, observed,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Args;
use crate::output;
use crate::progress::Progress;
use crate::stats::To;
use crate::table::{self, Table};

/// The version of the JSON lines, in each as `v`.
const VERSION: u32 = 1;
/// How many bytes of noise are shown.
const SHOWN: usize = 16;

/// Where it is told.
pub(super) struct View {
    to: To,
    out: Box<dyn Write>,
    progress: Progress,
}

impl View {
    pub(super) fn open(args: &Args, progress: Progress) -> anyhow::Result<View> {
        let out = output::open(args.output.as_deref())?.out;
        Ok(View { to: args.to, out, progress })
    }

    /// Writes a line, with the bar out of the way; at once, since somebody may be watching.
    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        let out = &mut self.out;
        self.progress.aside(|| writeln!(out, "{line}").and_then(|()| out.flush()))?;
        Ok(())
    }

    fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        self.line(&serde_json::to_string(value)?)
    }

    /// Tells of what differs; what is as recorded is only counted.
    pub(super) fn host_event(&mut self, event: &HostEvent, script: &Script) -> anyhow::Result<()> {
        let dialect = script.dialect();
        match event {
            HostEvent::Played(Played { verdict: Verdict::Same | Verdict::NotCompared, .. })
            | HostEvent::Extra { counts: false, .. }
            | HostEvent::Noise { counts: false, .. } => return Ok(()),
            _ => {}
        }
        if self.to == To::Json {
            return self.json(&Line::of(event, script));
        }
        let text = match event {
            HostEvent::Played(played) => {
                let step = &script.steps()[played.step];
                format!("{}  {}", clock(played.time), came(played, step, dialect))
            }
            HostEvent::Extra { time, kind, frame, .. } => {
                format!("+ {}  {}  [{}]", clock(*time), said(frame, *kind, dialect), kind.name())
            }
            HostEvent::Noise { time, bytes, reason, .. } => {
                let size = bytes.len();
                let plural = if size == 1 { "" } else { "s" };
                let more = if size > SHOWN { "…" } else { "" };
                let hex = Hex(&bytes[..size.min(SHOWN)]);
                format!("+ {}  noise: {size} byte{plural}: {reason} {hex}{more}", clock(*time))
            }
        };
        self.line(&match event {
            HostEvent::Played(played) => format!("{} {text}", sign(played.verdict)),
            _ => text,
        })
    }

    /// The figures at the end; `requests` is how many the capture has.
    pub(super) fn host_summary(
        &mut self,
        summary: &Summary,
        requests: usize,
    ) -> anyhow::Result<()> {
        if self.to == To::Json {
            return self.json(&SummaryLine {
                r#type: "summary",
                v: VERSION,
                of: requests,
                summary,
            });
        }
        let mut text = Vec::new();
        table(&summary.functions).write(&mut text, 2)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        self.line(&format!("{}\n{}", totals(summary, requests), text.trim_end()))
    }

    /// Tells of a request that is not in the capture.
    pub(super) fn unknown(
        &mut self,
        time: Time,
        request: &[u8],
        dialect: &'static Dialect,
    ) -> anyhow::Result<()> {
        if self.to == To::Json {
            let subject = Frame::from_bytes(request).ok().map(|frame| Subject::of(&frame, dialect));
            return self.json(&UnknownLine {
                r#type: "unknown",
                v: VERSION,
                time: seconds(Some(time)),
                subject,
                request: Hex(request).to_string(),
            });
        }
        let words = observed(request, Some(Direction::Request), dialect);
        let words = words.map(|frame| join(line::frame(&frame))).unwrap_or_default();
        self.line(&format!("? {}  {words}  [not in the capture]", clock(time)))
    }

    /// The figures at the end.
    pub(super) fn device_summary(&mut self, counts: &Counts) -> anyhow::Result<()> {
        if self.to == To::Json {
            return self.json(&CountsLine { r#type: "summary", v: VERSION, counts });
        }
        let Counts { requests, answered, silent, unknown, given_up, others, .. } = counts;
        let mut text = format!(
            "{}: {answered} answered, {silent} silent as recorded, {unknown} not in the capture",
            number(*requests, "request")
        );
        if *given_up > 0 {
            text += &format!(", {given_up} given up by the host");
        }
        if *others > 0 {
            text += &format!("; {others} to others");
        }
        if counts.noise_places > 0 {
            text += &format!("; {} of noise", number(counts.noise_bytes, "byte"));
        }
        self.line(&text)
    }
}

/// Says what of the capture is not sent.
pub(super) fn left_out(left_out: &LeftOut) {
    let LeftOut { replies, unknown_direction, returns } = left_out;
    for (count, what) in [
        (replies, "that nobody asked for"),
        (unknown_direction, "of which nobody knows whether it is a request"),
        (returns, "without its request"),
    ] {
        if *count > 0 {
            eprintln!("not played: {} {what}", number(*count, "frame"));
        }
    }
}

/// Device, function and what is asked.
pub(super) fn asked(step: &Step, dialect: &'static Dialect) -> String {
    let Some(mut exchange) = step.exchange(None, dialect) else { return String::new() };
    exchange.outcome = Outcome::Answered;
    exchange.attempts = None;
    join(line::exchange(&exchange))
}

/// The exchange with this reply.
fn answered(step: &Step, reply: Option<&[u8]>, dialect: &'static Dialect) -> String {
    step.exchange(reply, dialect)
        .map(|exchange| join(line::exchange(&exchange)))
        .unwrap_or_default()
}

fn came(played: &Played, step: &Step, dialect: &'static Dialect) -> String {
    match played.verdict {
        Verdict::Differs => {
            let changes: Vec<String> = played.changes.iter().map(change).collect();
            format!("{}: {}", asked(step, dialect), changes.join(", "))
        }
        Verdict::Missing => {
            let recorded = step.reply();
            let recorded = recorded.as_ref().map(Frame::raw);
            format!("{}  [recorded; no reply now]", answered(step, recorded, dialect))
        }
        _ => {
            format!("{}  [no reply was recorded]", answered(step, played.reply.as_deref(), dialect))
        }
    }
}

fn said(frame: &[u8], kind: Extra, dialect: &'static Dialect) -> String {
    let dir = (kind != Extra::Foreign).then_some(Direction::Response);
    observed(frame, dir, dialect).map(|frame| join(line::frame(&frame))).unwrap_or_default()
}

fn sign(verdict: Verdict) -> char {
    match verdict {
        Verdict::Differs => '!',
        Verdict::Missing => '-',
        _ => '+',
    }
}

fn change(change: &Change) -> String {
    let part = |shown: &Option<Shown>| shown.as_ref().map_or("none".into(), Shown::to_string);
    format!("{} {} -> {}", change.name, part(&change.a), part(&change.b))
}

fn join(words: Vec<line::Word>) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn clock(time: Time) -> String {
    table::clock(time, "%H:%M:%S.%3f")
}

fn number(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn totals(summary: &Summary, requests: usize) -> String {
    let Summary { same, different, missing, answered, extra, .. } = summary;
    let of = match summary.requests == requests as u64 {
        true => String::new(),
        false => format!(" (the capture has {requests})"),
    };
    let mut text = format!(
        "{}{of}: {same} as recorded, {different} with another reply, {missing} without the recorded \
         reply, {answered} answered where none was recorded; {extra} extra",
        number(summary.requests, "request")
    );
    if summary.not_compared > 0 {
        text += &format!("; {} not compared", summary.not_compared);
    }
    if summary.skipped > 0 {
        text += &format!("; {} skipped", summary.skipped);
    }
    if summary.noise_places > 0 {
        text += &format!("; {} of noise", number(summary.noise_bytes, "byte"));
    }
    text
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "<device",
        "<function",
        "sent",
        "same",
        "differ",
        "missing",
        "answered",
        "extra",
        "rec. ms",
        "live ms",
    ]);
    for row in rows {
        let code = format!("{:02X} {}", row.func, row.function.unwrap_or_default());
        let mut cells = vec![row.device.clone(), code];
        cells.push(row.requests.to_string());
        let counts = [row.same, row.different, row.missing, row.answered, row.extra];
        let some = |count: u64| if count == 0 { String::new() } else { count.to_string() };
        cells.extend(counts.map(some));
        let median = |nanos: Option<i64>| nanos.map(table::milliseconds).unwrap_or_default();
        cells.extend([row.recorded_median_ns, row.live_median_ns].map(median));
        table.row(cells);
    }
    table
}

/// Decimal seconds as their own text, so that no float rounds them.
fn seconds(time: Option<Time>) -> Option<Box<RawValue>> {
    time.and_then(|time| RawValue::from_string(time.to_string()).ok())
}

fn milliseconds(nanos: Option<i64>) -> Option<f64> {
    nanos.map(|nanos| nanos as f64 / 1e6)
}

/// What a frame is about.
#[derive(Serialize)]
struct Subject {
    addr: u8,
    device: String,
    func: u8,
    function: Option<&'static str>,
}

impl Subject {
    fn of(frame: &Frame<'_>, dialect: &'static Dialect) -> Subject {
        Subject {
            addr: frame.addr().0,
            device: dialect.device(frame.addr()).into_owned(),
            func: frame.func(),
            function: dialect.find(frame.addr(), frame.func()).map(|found| found.name),
        }
    }
}

/// A line of a host's replay.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Differs(Exchanged<'a>),
    Missing(Exchanged<'a>),
    Answered(Exchanged<'a>),
    Extra {
        v: u32,
        time: Option<Box<RawValue>>,
        kind: Extra,
        #[serde(flatten)]
        subject: Option<Subject>,
        frame: String,
        /// The request that was sent last.
        after: Option<usize>,
    },
    Noise {
        v: u32,
        time: Option<Box<RawValue>>,
        reason: &'static str,
        bytes: String,
    },
}

/// A request, with what was recorded and what came.
#[derive(Serialize)]
struct Exchanged<'a> {
    v: u32,
    /// The number of the request in the capture, from 0.
    step: usize,
    time: Option<Box<RawValue>>,
    recorded_time: Option<Box<RawValue>>,
    offset: u64,
    #[serde(flatten)]
    subject: Subject,
    request: String,
    recorded: Option<String>,
    live: Option<String>,
    recorded_latency_ms: Option<f64>,
    live_latency_ms: Option<f64>,
    sends: u32,
    changes: &'a [Change],
}

impl<'a> Line<'a> {
    fn of(event: &'a HostEvent, script: &Script) -> Line<'a> {
        let dialect = script.dialect();
        match event {
            HostEvent::Played(played) => {
                let step = &script.steps()[played.step];
                let exchanged = Exchanged {
                    v: VERSION,
                    step: played.step,
                    time: seconds(Some(played.time)),
                    recorded_time: seconds(step.time),
                    offset: step.offset,
                    subject: Subject::of(&step.frame(), dialect),
                    request: Hex(&step.request).to_string(),
                    recorded: step.reply().map(|reply| Hex(reply.raw()).to_string()),
                    live: played.reply.as_ref().map(|reply| Hex(reply).to_string()),
                    recorded_latency_ms: milliseconds(step.latency_ns),
                    live_latency_ms: milliseconds(played.latency_ns),
                    sends: played.sends,
                    changes: &played.changes,
                };
                match played.verdict {
                    Verdict::Differs => Line::Differs(exchanged),
                    Verdict::Missing => Line::Missing(exchanged),
                    _ => Line::Answered(exchanged),
                }
            }
            HostEvent::Extra { time, kind, frame, after, .. } => Line::Extra {
                v: VERSION,
                time: seconds(Some(*time)),
                kind: *kind,
                subject: Frame::from_bytes(frame).ok().map(|frame| Subject::of(&frame, dialect)),
                frame: Hex(frame).to_string(),
                after: *after,
            },
            HostEvent::Noise { time, bytes, reason, .. } => Line::Noise {
                v: VERSION,
                time: seconds(Some(*time)),
                reason: reason.name(),
                bytes: Hex(bytes).to_string(),
            },
        }
    }
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    r#type: &'static str,
    v: u32,
    /// How many requests the capture has.
    of: usize,
    #[serde(flatten)]
    summary: &'a Summary,
}

#[derive(Serialize)]
struct CountsLine<'a> {
    r#type: &'static str,
    v: u32,
    #[serde(flatten)]
    counts: &'a Counts,
}

#[derive(Serialize)]
struct UnknownLine {
    r#type: &'static str,
    v: u32,
    time: Option<Box<RawValue>>,
    #[serde(flatten)]
    subject: Option<Subject>,
    request: String,
}

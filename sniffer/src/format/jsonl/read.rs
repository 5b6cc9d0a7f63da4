//! Reading the lines back.

use std::borrow::Cow;
use std::io::BufRead;
use std::ops::ControlFlow;
use std::sync::Arc;

use k485_proto::frame::Frame;
use k485_proto::record::{Call, Direction, Gap, GapReason, Origin, Record, Time, Verdict};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::VERSION;
use crate::capture::{Format, Likelihood, Reading, broken_off, skipped};
use crate::format::joiner::is_noise;
use crate::format::lines::{BYTE_ORDER_MARK, Lines, Next};
use crate::format::steps::{Ready, Source, Steps};
use crate::format::{hex_bytes, note, seconds, shortened, shown};

/// Longer lines are complained about; the longest that is written here has a few KiB.
const LINE_LIMIT: usize = 1 << 20;

/// The format `jsonl`: the module's own lines. Frames, noise and gaps are records; an exchange gives its
/// frames, its request once however often it was sent. A direction counts as told only where the
/// line says that it was `given`; all others are worked out again.
///
/// An exchange whose latency is that of a traced call gives its frames that call, with an id of
/// the reader's own, so that they are paired again whatever overlaps.
#[derive(Debug, Clone, Copy)]
pub struct Jsonl;

impl Format for Jsonl {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    /// Sure by the first line that is not blank: an object with a `type` of these lines, and `v`.
    fn detect(&self, head: &[u8]) -> Likelihood {
        let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).trim_ascii_start();
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        // As it is written here; a line that another program wrote again has to be complete.
        let begins = [&b"frame"[..], b"noise", b"gap", b"exchange"].iter().any(|kind| {
            let begin = [b"{\"type\":\"", *kind, b"\",\"v\":"].concat();
            line.starts_with(&begin)
        });
        let is_line = || serde_json::from_slice::<Line<'_>>(line).is_ok_and(|line| line.is_known());
        if begins || is_line() { Likelihood::Sure } else { Likelihood::No }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        Box::new(Steps::new(Reader {
            name: name.to_owned(),
            lines: Lines::new(input, LINE_LIMIT, |_| None),
            bus: "".into(),
        }))
    }
}

/// The keys of all kinds of lines that are read; others are of no concern.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    v: u32,
    #[serde(borrow, default)]
    time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    bus: Cow<'a, str>,
    #[serde(borrow, default)]
    dir: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    dir_source: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    raw: Option<Cow<'a, str>>,
    #[serde(default)]
    bare: bool,
    #[serde(borrow, default)]
    bytes: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    detail: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    duration_ms: Option<&'a RawValue>,
    #[serde(default)]
    lost_bytes: Option<u64>,
    #[serde(borrow, default)]
    request: Option<Box<Line<'a>>>,
    #[serde(borrow, default)]
    response: Option<Box<Line<'a>>>,
    #[serde(borrow, default)]
    outcome: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    latency_ms: Option<&'a RawValue>,
    #[serde(borrow, default)]
    latency_source: Option<Cow<'a, str>>,
    #[serde(default)]
    attempts: Option<u32>,
}

impl Line<'_> {
    fn is_known(&self) -> bool {
        matches!(&*self.r#type, "frame" | "noise" | "gap" | "exchange")
    }

    fn time(&self) -> Result<Option<Time>, String> {
        let Some(text) = self.time.map(RawValue::get) else { return Ok(None) };
        seconds::parse(text)
            .map(Some)
            .ok_or_else(|| format!("`time` is {}: no time in seconds", shown(text)))
    }

    fn given_dir(&self) -> Result<Option<Direction>, String> {
        match self.dir.as_deref() {
            // Noise has a direction only where the source tells it.
            _ if self.r#type == "frame" && self.dir_source.as_deref() != Some("given") => Ok(None),
            None => Ok(None),
            Some("request") => Ok(Some(Direction::Request)),
            Some("response") => Ok(Some(Direction::Response)),
            Some(other) => {
                Err(format!("`dir` is {:?}: neither request nor response", shown(other)))
            }
        }
    }
}

fn bytes(key: &str, text: Option<&Cow<'_, str>>) -> Result<Vec<u8>, String> {
    let text = text.ok_or_else(|| format!("has no `{key}`"))?;
    hex_bytes(text).ok_or_else(|| format!("`{key}` is no hex"))
}

struct Reader {
    name: String,
    lines: Lines,
    /// The last line's bus.
    bus: Arc<str>,
}

impl Source for Reader {
    fn step(&mut self, ready: &mut Ready) -> ControlFlow<()> {
        match self.lines.next() {
            Ok(Next::Line(line)) => {
                let (number, offset) = (line.number, line.offset);
                match read(line.text, number, offset, &mut self.bus) {
                    Ok(records) => ready.extend(records.into_iter().map(Ok)),
                    Err(what) => {
                        let what = format!("{what}; the line was skipped");
                        ready.push_back(Err(skipped(format!("{}:{number}", self.name), what)));
                    }
                }
                return ControlFlow::Continue(());
            }
            Ok(Next::TooLong { number }) => {
                let what = "the line is longer than 1 MiB and was skipped";
                ready.push_back(Err(skipped(format!("{}:{number}", self.name), what)));
                return ControlFlow::Continue(());
            }
            Ok(Next::End) => {}
            Err(error) => {
                let position = self.lines.position();
                ready.push_back(Err(broken_off(&self.name, position, &error)));
            }
        }
        ControlFlow::Break(())
    }
}

/// The records of a line.
fn read(text: &[u8], number: u64, offset: u64, bus: &mut Arc<str>) -> Result<Vec<Record>, String> {
    if text.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let line: Line<'_> = serde_json::from_slice(text).map_err(|error| {
        // It may repeat a text of the line.
        format!("no line of k485's JSON: {}", shortened(&error.to_string(), 160))
    })?;
    if line.v > VERSION {
        return Err(format!(
            "`v` is {}: written by a newer k485 than this one, which knows {VERSION}",
            line.v
        ));
    }
    if **bus != *line.bus {
        *bus = Arc::from(&*line.bus);
    }
    match &*line.r#type {
        "frame" => Ok(vec![frame(&line, offset, bus)?]),
        "noise" => Ok(vec![noise(&line, offset, bus)?]),
        "gap" => Ok(vec![gap(&line, offset, bus)?]),
        "exchange" => exchange(&line, number, offset, bus),
        "polls" => Err("polls that --quiet-polls folded: their frames are not here".to_owned()),
        other => {
            Err(format!("`type` is {:?}: neither frame, noise, gap nor exchange", shown(other)))
        }
    }
}

fn frame(line: &Line<'_>, offset: u64, bus: &Arc<str>) -> Result<Record, String> {
    let bytes = bytes("raw", line.raw.as_ref())?;
    let checked = if line.bare {
        Frame::from_bare(&bytes).map(|_| ())
    } else {
        Frame::from_bytes(&bytes).map(|_| ())
    };
    checked.map_err(|error| format!("`raw` is no frame: {error}"))?;
    Ok(Record {
        time: line.time()?,
        bus: bus.clone(),
        dir: line.given_dir()?,
        offset,
        bytes,
        origin: if line.bare { Origin::Bare } else { Origin::Wire },
        verdict: Verdict::Frame,
        call: None,
    })
}

fn noise(line: &Line<'_>, offset: u64, bus: &Arc<str>) -> Result<Record, String> {
    let bytes = bytes("bytes", line.bytes.as_ref())?;
    if !is_noise(&bytes) {
        return Err(
            "`bytes` is no noise: empty, longer than a frame, or with a frame in it".to_owned()
        );
    }
    let detail = line.detail.as_deref().ok_or("has no `detail`")?;
    let reason = note::reason(detail).ok_or_else(|| {
        format!("`detail` is {:?}: no reason for noise that is known here", shown(detail))
    })?;
    Ok(Record {
        time: line.time()?,
        bus: bus.clone(),
        dir: line.given_dir()?,
        offset,
        bytes,
        origin: Origin::Wire,
        verdict: Verdict::Noise(reason),
        call: None,
    })
}

fn gap(line: &Line<'_>, offset: u64, bus: &Arc<str>) -> Result<Record, String> {
    let name = line.reason.as_deref().ok_or("has no `reason`")?;
    let reason = GapReason::find(name).ok_or_else(|| {
        format!("`reason` is {:?}: no reason for a gap that is known here", shown(name))
    })?;
    let ns = nanos("duration_ms", line.duration_ms)?;
    let gap = Gap { reason, ns, bytes: line.lost_bytes };
    Ok(Record { offset, ..Record::of_gap(gap, line.time()?, bus.clone()) })
}

/// Milliseconds to nanoseconds.
fn nanos(key: &str, number: Option<&RawValue>) -> Result<Option<i64>, String> {
    let Some(text) = number.map(RawValue::get) else { return Ok(None) };
    // A thousandth of what they say as seconds.
    let shifted =
        if text.contains(['e', 'E']) { None } else { seconds::parse(&format!("{text}e-3")) };
    match shifted {
        Some(time) => Ok(Some(time.0)),
        None => Err(format!("`{key}` is {}: no number here", shown(text))),
    }
}

/// The request and the reply, or the traced call that returned without one.
fn exchange(
    line: &Line<'_>,
    number: u64,
    offset: u64,
    bus: &Arc<str>,
) -> Result<Vec<Record>, String> {
    let of = |part: &Option<Box<Line<'_>>>| {
        part.as_deref().map(|part| frame(part, offset, bus)).transpose()
    };
    let (mut request, mut response) = (of(&line.request)?, of(&line.response)?);
    let duration_ns = nanos("latency_ms", line.latency_ms)?;
    let is_call = match line.latency_source.as_deref() {
        Some(source) => source == "call",
        // A call that has not returned: what is seen on a wire counts its attempts.
        None => request.is_some() && line.attempts.is_none(),
    };
    let time = line.time()?;
    let mut records = Vec::new();
    let returned = Call { id: number, timeout_ms: None, duration_ns };
    if is_call {
        if let Some(request) = &mut request {
            request.call = Some(Call { duration_ns: None, ..returned });
        }
        if let Some(response) = &mut response {
            response.call = Some(returned);
        }
    }
    let without = is_call && response.is_none() && duration_ns.is_some();
    records.extend(request);
    records.extend(response);
    if without {
        records.push(Record {
            // When it returned: the lines have when it began and how long it took.
            time: time.zip(duration_ns).map(|(time, took)| Time(time.0.saturating_add(took))),
            bus: bus.clone(),
            dir: Some(Direction::Response),
            offset,
            bytes: Vec::new(),
            origin: Origin::Wire,
            verdict: Verdict::NoReply,
            call: Some(returned),
        });
    }
    if records.is_empty() {
        let outcome = line.outcome.as_deref().unwrap_or_default();
        return Err(format!("an exchange ({}) without request and reply", shown(outcome)));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_proto::exchange::{Exchange, Outcome, Pairer, Seen};
    use k485_proto::record::Complaint;
    use std::io::Cursor;

    fn read(text: impl Into<Vec<u8>>) -> Vec<Result<Record, Complaint>> {
        Jsonl.read("a.jsonl", Box::new(Cursor::new(text.into()))).collect()
    }

    fn exchanges(records: Vec<Record>) -> Vec<Exchange> {
        let mut pairer = Pairer::new();
        records.into_iter().for_each(|record| pairer.push(record));
        pairer.finish();
        let mut exchanges = Vec::new();
        while let Some(seen) = pairer.pull() {
            if let Seen::Exchange(exchange) = seen {
                exchanges.push(exchange);
            }
        }
        exchanges
    }

    /// Two calls that overlap, one without a reply, one that is open at the end.
    fn traced() -> Vec<Record> {
        let request = Record {
            time: Some(Time(1_000)),
            bus: "b".into(),
            dir: Some(Direction::Request),
            offset: 0,
            bytes: vec![0x01, 0x03, 0xff, 0x0a],
            origin: Origin::Bare,
            verdict: Verdict::Frame,
            call: Some(Call { id: 70, timeout_ms: None, duration_ns: None }),
        };
        let call = |id, duration_ns| Some(Call { id, timeout_ms: None, duration_ns });
        let response = Record {
            dir: Some(Direction::Response),
            bytes: vec![0xf7, 0x01, 0x07, 0x00, 0x0a, 0x19, 0x24, 0x00, 0x00, 0xe7],
            origin: Origin::Wire,
            time: Some(Time(9_000)),
            call: call(70, Some(8_000_001)),
            ..request.clone()
        };
        let silent = Record {
            bytes: Vec::new(),
            verdict: Verdict::NoReply,
            time: Some(Time(7_000)),
            call: call(71, Some(5_000)),
            ..response.clone()
        };
        let second = Record { time: Some(Time(2_000)), call: call(71, None), ..request.clone() };
        let third = Record { time: Some(Time(9_500)), call: call(72, None), ..request.clone() };
        vec![request, second, silent, response, third]
    }

    #[test]
    fn exchanges_of_calls_survive() {
        let before = exchanges(traced());
        let mut writer = crate::format::jsonl::Writer::new(Vec::new());
        before.iter().for_each(|exchange| writer.exchange(exchange).unwrap());
        let text = writer.into_inner();
        let after = exchanges(read(text).into_iter().map(Result::unwrap).collect());
        let told = |exchanges: &[Exchange]| -> Vec<_> {
            let bytes = |o: &std::sync::Arc<k485_proto::exchange::Observed>| o.record.bytes.clone();
            exchanges
                .iter()
                .map(|e| {
                    let sides = (e.request.as_ref().map(bytes), e.response.as_ref().map(bytes));
                    (e.outcome, e.latency_ns, e.latency_source, e.attempts, e.time, sides)
                })
                .collect()
        };
        assert_eq!(told(&after), told(&before));
        let outcomes: Vec<_> = after.iter().map(|e| e.outcome).collect();
        assert_eq!(outcomes, [Outcome::Timeout, Outcome::Answered, Outcome::Unfinished]);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let text = r#"{"type": "frame", "v": 1, "raw": "f70103ff0a5c", "new": [1]}
{"type": "frame", "v": 2, "raw": "f70103ff0a5c"}
{"type": "frame", "v": 1, "raw": "f70103ff0a5d"}
{"type": "frame", "v": 1}
{"type": "call", "v": 1}
{"type": "noise", "v": 1, "bytes": "55", "detail": "odd"}
{"type": "frame", "v": 1, "raw": "f70103ff0a5c", "time": "now"}
{"type": "exchange", "v": 1, "outcome": "timeout"}
{"type": "frame", "v": 1, "raw": "f70103ff0a5c", "dir": "up", "dir_source": "given"}
no JSON
"#;
        let got = read(text);
        assert_eq!(got.len(), 10);
        assert_eq!(got[0].as_ref().unwrap().bytes.len(), 6);
        let places: Vec<_> = got[1..].iter().map(|item| item.as_ref().unwrap_err()).collect();
        for (at, complaint) in places.iter().enumerate() {
            assert_eq!(complaint.place, format!("a.jsonl:{}", at + 2));
            assert!(complaint.what.ends_with("; the line was skipped"), "{complaint}");
        }
        assert!(places[0].what.starts_with("`v` is 2: written by a newer k485"));
        assert!(places[1].what.starts_with("`raw` is no frame: "));
    }

    #[test]
    fn complaints_are_short_and_have_no_control_characters() {
        for line in [
            r#"{"type": "X", "v": 1}"#,
            r#"{"type": "frame", "v": "X"}"#,
            r#"{"type": "frame", "v": 1, "raw": "f70103ff0a5c", "time": "X"}"#,
            r#"{"type": "noise", "v": 1, "bytes": "55", "dir": "X", "detail": "garbage: no frame head"}"#,
            r#"{"type": "noise", "v": 1, "bytes": "55", "detail": "X"}"#,
            r#"{"type": "gap", "v": 1, "reason": "X"}"#,
            r#"{"type": "gap", "v": 1, "reason": "overrun", "duration_ms": "X"}"#,
            r#"{"type": "exchange", "v": 1, "outcome": "X"}"#,
            r#"{"type": "exchange", "v": 1, "latency_ms": "X"}"#,
        ] {
            let got = read(line.replace('X', &r"\u001b[2Jx\u009b".repeat(1000)));
            let [Err(complaint)] = &got[..] else { panic!("{got:?}") };
            let told = complaint.to_string();
            assert!(told.contains("[2Jx") && !told.contains(char::is_control), "{told}");
            assert!(told.chars().count() < 260, "{told}");
        }
    }
}

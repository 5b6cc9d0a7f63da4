//! JSON lines of other programs: an object a line, with bytes in hex, perhaps a time, a direction
//! and a bus's name.
//!
//! ```text
//! {"timestamp": "2026-05-20T01:38:45.010", "dir": "rx", "raw_hex": "f70107000a19240000e7"}
//! ```
//!
//! | what | keys, the first that fits counts |
//! | --- | --- |
//! | bytes | `raw_hex`, `frame_hex`, `raw`, `frame`, `packet`, `hex`, `bytes`, `wire`, `payload`, `data`: hex in any spelling, or an array of numbers |
//! | bytes with their direction | `tx` and `rx`, `request` and `response`, `sent` and `received` |
//! | time | `time`, `timestamp`, `ts`, `t`, `@timestamp`, `datetime`: see the clock |
//! | direction | `dir`, `direction`, `way`, `side`, `rw`, `op`: a word as `tx`, `read`, `host->device` |
//! | bus | `bus`, `port`, `segment`, `channel`, `interface`: a text |
//!
//! Other keys are of no concern, nor are lines without bytes (a session's beginning). A line with
//! k485's own `v` is for [`Jsonl`](super::jsonl::Jsonl).

use std::io::BufRead;

use serde_json::{Map, Value};

use crate::capture::{Format, Likelihood, Reading};
use crate::format::by_line::{self, Feed, Grammar, Heard, probe};
use crate::format::cells::spelled;
use crate::format::clock::Clock;
use crate::format::lines::Line;
use crate::format::shortened;
use crate::format::sides::Way;

const BYTES: [&str; 10] =
    ["raw_hex", "frame_hex", "raw", "frame", "packet", "hex", "bytes", "wire", "payload", "data"];
const SIDED: [&str; 6] = ["tx", "rx", "request", "response", "sent", "received"];
const TIMES: [&str; 6] = ["time", "timestamp", "ts", "t", "@timestamp", "datetime"];
const WAYS: [&str; 6] = ["dir", "direction", "way", "side", "rw", "op"];
const BUSES: [&str; 5] = ["bus", "port", "segment", "channel", "interface"];

/// The types of the events of a method-call trace whose bytes are its own reader's.
const TRACED: [&str; 4] = ["call", "return", "error", "attr_read"];

/// The format `json`.
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    /// Sure where a whole frame is in a key for bytes, and nothing tells of a trace.
    fn detect(&self, head: &[u8]) -> Likelihood {
        let mut objects = Objects::default();
        let probe = probe(head, &mut objects);
        match probe {
            _ if objects.is_trace || probe.bad * 4 > probe.lines => Likelihood::No,
            probe if probe.frames > 0 => Likelihood::Sure,
            _ => Likelihood::No,
        }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        by_line::read(name, input, Objects::default())
    }
}

#[derive(Default)]
struct Objects {
    clock: Clock,
    /// The key that bytes were found in.
    key: Option<&'static str>,
    /// Whether an event of a trace was seen.
    is_trace: bool,
}

impl Grammar for Objects {
    fn line(&mut self, line: &Line<'_>, text: &str, feed: &mut Feed) -> Result<(), String> {
        if text.trim().is_empty() {
            return Ok(());
        }
        let object: Map<String, Value> = serde_json::from_str(text)
            // It may repeat a text of the line.
            .map_err(|error| format!("no JSON object: {}", shortened(&error.to_string(), 160)))?;
        let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
        // A trace's frames name the object whose frames they are, and the call around them.
        self.is_trace |= TRACED.contains(&kind)
            || kind == "connected"
            || kind == "frame" && object.contains_key("object")
            || !kind.is_empty() && object.contains_key("v");
        let text_of = |keys: &[&str]| keys.iter().find_map(|key| object.get(*key)?.as_str());
        let time = TIMES.iter().find_map(|key| match object.get(*key)? {
            Value::String(text) => self.clock.read(text),
            Value::Number(number) => self.clock.read(&number.to_string()),
            _ => None,
        });
        let bus = text_of(&BUSES).unwrap_or_default();
        let way = WAYS.iter().find_map(|key| Way::parse(object.get(*key)?.as_str()?));
        let heard = Heard { time, bus, way, offset: line.offset, bytes: &[] };
        if let Some((key, bytes)) = BYTES.iter().find_map(|key| Some((*key, bytes(&object, key)?)))
        {
            self.key = Some(key);
            feed.message(&Heard { bytes: &bytes, ..heard });
            return Ok(());
        }
        let mut found = false;
        for key in SIDED {
            if let Some(bytes) = bytes(&object, key) {
                found = true;
                feed.message(&Heard { way: Way::parse(key), bytes: &bytes, ..heard });
            }
        }
        match self.key.filter(|key| object.contains_key(*key)) {
            Some(key) if !found && !is_empty(&object[key]) => Err(format!("`{key}` is no hex")),
            _ => Ok(()),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// The bytes under a key: hex text, or an array of numbers or of hex texts.
fn bytes(object: &Map<String, Value>, key: &str) -> Option<Vec<u8>> {
    match object.get(key)? {
        Value::String(text) => spelled(text),
        Value::Array(values) if !values.is_empty() => values.iter().map(byte).collect(),
        _ => None,
    }
}

fn byte(value: &Value) -> Option<u8> {
    match value {
        Value::Number(number) => u8::try_from(number.as_u64()?).ok(),
        Value::String(text) => match spelled(text)?[..] {
            [byte] => Some(byte),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;

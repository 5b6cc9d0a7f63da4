//! Lines of views over a bus: polls that were folded, fields that changed. They are no capture:
//! the bytes are not in them.

use k485_proto::frame::Hex;
use k485_proto::message::Value;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{VERSION, seconds};
use crate::changes::Change;
use crate::fields::Shown;
use crate::fold::Polls;

/// Polls that were folded.
#[derive(Serialize)]
pub(super) struct PollsLine<'a> {
    r#type: &'static str,
    v: u32,
    time: Option<Box<RawValue>>,
    since: Option<Box<RawValue>>,
    count: u64,
    polls: Vec<KindLine<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    others: u64,
}

#[derive(Serialize)]
struct KindLine<'a> {
    bus: &'a str,
    addr: u8,
    device: &'a str,
    func: u8,
    function: Option<&'static str>,
    outcome: &'static str,
    status_name: Option<&'a str>,
    count: u64,
}

impl<'a> PollsLine<'a> {
    pub(super) fn new(polls: &'a Polls) -> Self {
        let kinds = polls.kinds.iter().map(|(kind, counted)| KindLine {
            bus: &kind.bus,
            addr: kind.addr,
            device: &counted.device,
            func: kind.func,
            function: counted.function,
            outcome: kind.outcome.name(),
            status_name: counted.status.as_deref(),
            count: counted.count,
        });
        PollsLine {
            r#type: "polls",
            v: VERSION,
            time: seconds(polls.until),
            since: seconds(polls.since),
            count: polls.count,
            polls: kinds.collect(),
            others: polls.others,
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What changed in a row.
#[derive(Serialize)]
pub(super) struct ChangeLine<'a> {
    r#type: &'static str,
    v: u32,
    time: Option<Box<RawValue>>,
    bus: &'a str,
    addr: u8,
    device: &'a str,
    func: u8,
    function: Option<&'static str>,
    /// The request's data; null where no request was seen.
    request_data: Option<String>,
    first: bool,
    changes: Vec<FieldLine<'a>>,
}

#[derive(Serialize)]
struct FieldLine<'a> {
    name: &'a str,
    old: Option<&'a Shown>,
    new: &'a Shown,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_name: Option<&'static str>,
    unit: Option<&'static str>,
}

/// The name of a number that has one.
fn name(shown: &Shown) -> Option<&'static str> {
    match shown {
        Shown::Value(Value::Code { name, .. }) => *name,
        _ => None,
    }
}

impl<'a> ChangeLine<'a> {
    pub(super) fn new(change: &'a Change<'_>) -> Self {
        let row = change.row;
        let fields = change.fields.iter().map(|field| FieldLine {
            name: &field.name,
            old: field.old.as_ref(),
            new: &field.new,
            old_name: field.old.as_ref().and_then(name),
            new_name: name(&field.new),
            unit: (!field.unit.is_empty()).then_some(field.unit),
        });
        ChangeLine {
            r#type: "change",
            v: VERSION,
            time: seconds(row.time),
            bus: &row.key.bus,
            addr: row.key.addr,
            device: &row.device,
            func: row.key.func,
            function: row.function,
            request_data: row.key.asked.as_deref().map(|asked| Hex(asked).to_string()),
            first: change.is_first,
            changes: fields.collect(),
        }
    }
}

//! The cells of a row: what came back, part by part.

use std::collections::VecDeque;

use k485_proto::exchange::{Observed, Outcome, Seen};
use k485_proto::frame::Hex;
use k485_proto::message::Value;
use k485_proto::record::Time;
use k485_proto::status::Status;

use super::{FieldChange, HOT};
use crate::fields::Shown;

/// One part of what came back.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Which part.
    pub what: What,
    /// The field's name (`data` for bytes that no field takes), or `outcome`, `status`.
    pub name: String,
    /// The unit; empty where there is none, or the value has a name.
    pub unit: &'static str,
    /// What it is, or was when it was last there.
    pub value: Shown,
    /// Whether the value is one that nobody need look at: it was answered, STATUS is OK.
    pub is_good: bool,
    /// Whether the last exchange had it.
    pub is_there: bool,
    /// What it was before it last changed.
    pub before: Option<Shown>,
    /// When it last changed; `None` if it never did.
    pub changed: Option<Time>,
    /// How often it changed.
    pub changes: u64,
    /// Whether its changes are no news.
    pub notched: bool,
}

/// A part of what came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// How the exchange ended.
    Outcome,
    /// The reply's STATUS.
    Status,
    /// A field, or a part of one.
    Field,
    /// A byte without a known meaning: which one of its field, from 0.
    Byte(usize),
}

impl Cell {
    /// Whether it changed just now, and is not notched.
    #[must_use]
    pub fn is_hot(&self, now: Time) -> bool {
        !self.notched && self.changed.is_some_and(|changed| (0..HOT).contains(&now.since(changed)))
    }

    /// Whether another cell is the same part.
    pub(super) fn is_as(&self, other: &Cell) -> bool {
        (self.what, &self.name) == (other.what, &other.name)
    }

    fn new(what: What, name: &str, unit: &'static str, value: Shown) -> Cell {
        Cell {
            what,
            name: name.to_owned(),
            unit,
            value,
            is_good: false,
            is_there: true,
            before: None,
            changed: None,
            changes: 0,
            notched: false,
        }
    }
}

/// Brings cells up to date with what came last, and gives what changed; of the first everything.
pub(super) fn update(
    cells: &mut Vec<Cell>,
    seen: &Seen,
    is_first: bool,
    now: Time,
) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    // Most are found at the front.
    let mut old = VecDeque::from(std::mem::take(cells));
    // Fields of bytes are told as a whole, as they were before any of them is brought up to date.
    let mut whole: Vec<(String, Option<Shown>)> = Vec::new();
    for mut cell in read(seen) {
        if matches!(cell.what, What::Byte(_)) && !whole.iter().any(|(name, _)| *name == cell.name) {
            whole.push((cell.name.clone(), all_bytes(&cell.name, &old)));
        }
        let before = old.iter().position(|old| old.is_as(&cell)).and_then(|at| old.remove(at));
        let is_same = before.as_ref().is_some_and(|old| old.value.same(&cell.value));
        if let Some(old) = &before {
            cell.before.clone_from(&old.before);
            (cell.changed, cell.changes, cell.notched) = (old.changed, old.changes, old.notched);
        }
        if !is_same {
            let old = before.map(|old| old.value);
            if !is_first {
                cell.changed = Some(now);
                cell.changes += 1;
                cell.before.clone_from(&old);
            }
            if !matches!(cell.what, What::Byte(_)) {
                let (name, new) = (cell.name.clone(), cell.value.clone());
                changes.push(FieldChange { name, old, new, unit: cell.unit });
            }
        }
        cells.push(cell);
    }
    for (name, old) in whole {
        if let Some(new) = all_bytes(&name, &*cells).filter(|new| Some(new) != old.as_ref()) {
            changes.push(FieldChange { name, old, new, unit: "" });
        }
    }
    // What only former replies had is still worth knowing.
    cells.extend(old.into_iter().map(|cell| Cell { is_there: false, ..cell }));
    changes
}

/// A field of bytes as hex, if the last exchange had it.
fn all_bytes<'a>(name: &str, cells: impl IntoIterator<Item = &'a Cell>) -> Option<Shown> {
    let is_of =
        |cell: &&Cell| matches!(cell.what, What::Byte(_)) && cell.name == name && cell.is_there;
    let bytes = cells.into_iter().filter(is_of).map(|cell| cell.value.to_string());
    let text: String = bytes.collect();
    (!text.is_empty()).then_some(Shown::Text(text))
}

/// The cells of what came.
fn read(seen: &Seen) -> Vec<Cell> {
    let mut cells = Vec::new();
    let reply = match seen {
        Seen::Exchange(exchange) => {
            let outcome = Shown::Text(exchange.outcome.name().to_owned());
            let is_good = matches!(exchange.outcome, Outcome::Answered | Outcome::NoReplyExpected);
            cells.push(Cell { is_good, ..Cell::new(What::Outcome, "outcome", "", outcome) });
            exchange.response.as_deref()
        }
        Seen::Lone(frame) | Seen::Frame(frame) => Some(&**frame),
        Seen::Noise(_) | Seen::Gap(_) => None,
    };
    if let Some(reply) = reply {
        let status = reply.frame().status();
        let name = Shown::Text(reply.dialect.status_name(status).into_owned());
        let is_good = status == Status::OK;
        cells.push(Cell { is_good, ..Cell::new(What::Status, "status", "", name) });
        fields(reply, &mut cells);
    }
    cells
}

fn fields(reply: &Observed, cells: &mut Vec<Cell>) {
    let message = reply.message();
    for field in &message.fields {
        // A value with a name of its own needs no unit.
        let named = matches!(field.value, Value::Code { name: Some(_), .. });
        let unit = if named { "" } else { field.field.unit };
        field_cells(field.field.name, unit, &field.value, cells);
    }
    bytes("data", message.rest, cells);
}

fn field_cells(name: &str, unit: &'static str, value: &Value, cells: &mut Vec<Cell>) {
    match value {
        // The raw text that the other parts were made from.
        Value::Group(parts) => {
            let is_raw = |part: &str| part == "raw" && parts.len() > 1;
            for (part, value) in parts.iter().filter(|(part, _)| !is_raw(part)) {
                field_cells(&format!("{name}.{part}"), unit, value, cells);
            }
        }
        Value::Bytes(data) => bytes(name, data, cells),
        value => cells.push(Cell::new(What::Field, name, unit, Shown::Value(value.clone()))),
    }
}

fn bytes(name: &str, data: &[u8], cells: &mut Vec<Cell>) {
    cells.extend(data.iter().enumerate().map(|(at, byte)| {
        Cell::new(What::Byte(at), name, "", Shown::Text(Hex(&[*byte]).to_string()))
    }));
}

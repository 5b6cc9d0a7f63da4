//! A comparison's value, ready to be compared: with what a frame has, and with a payload's values.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::Op;
use super::number::{Number, Pattern, bytes};
use crate::address::{Address, Class};
use crate::dialect::Dialect;
use crate::message::{Kind, Value};
use crate::slot::{Slot, SlotSet};

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// A whole number.
    Number(Number),
    /// Nanoseconds.
    Nanos(i64),
    Address(Address),
    Class(Class),
    /// A code: FUNC or STATUS.
    Code(u8),
    /// A name, in either case.
    Name(String),
    /// A text, letter for letter.
    Text(String),
    /// A part of a text, in lower case.
    Part(String),
    Bytes(Vec<u8>),
    Pattern(Pattern),
    /// What the payload's own declaration makes of it.
    Payload(Operand),
}

/// Everything that a payload's value may be compared with, worked out once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    text: String,
    lower: String,
    pub(super) number: Option<Number>,
    pub(super) slots: Option<Slots>,
    pub(super) address: Option<Address>,
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) pattern: Option<Pattern>,
}

/// Slots, of one box or of any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slots {
    device: Option<u8>,
    set: SlotSet,
}

impl Slots {
    /// `T1A`, `T1A+T1C`, `T1A+0x10`, and what a [`SlotSet`] reads.
    pub(super) fn parse(text: &str) -> Option<Slots> {
        if let Ok(set) = text.parse() {
            return Some(Slots { device: None, set });
        }
        let mut slots = Slots { device: None, set: SlotSet::NONE };
        for part in text.split('+') {
            if let Ok(slot) = part.parse::<Slot>() {
                if slots.device.is_some_and(|device| device != slot.device) {
                    return None;
                }
                slots.device = Some(slot.device);
                slots.set.0 |= slot.letter.mask();
            } else {
                slots.set.0 |= part.parse::<SlotSet>().ok().filter(|_| part.starts_with("0x"))?.0;
            }
        }
        slots.device.map(|_| slots)
    }

    /// Whether these may be slots of that box at all.
    fn is_of(self, device: Option<u8>) -> bool {
        self.device.is_none() || self.device == device
    }
}

/// Whether a comparison holds for a value that is in this order to the other side.
pub(super) fn holds(op: Op, order: Option<Ordering>) -> bool {
    match op {
        Op::Eq => order == Some(Ordering::Equal),
        Op::Ne => order != Some(Ordering::Equal),
        Op::Lt => order == Some(Ordering::Less),
        Op::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Op::Gt => order == Some(Ordering::Greater),
        Op::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Op::Has | Op::HasNot => false,
    }
}

/// The result of `==`, `!=`, `~` or `!~` where what the positive one says is known.
pub(super) fn said(op: Op, positive: bool) -> bool {
    positive != matches!(op, Op::Ne | Op::HasNot)
}

/// Whether a text has a part, which is in lower case.
pub(super) fn has_part(text: &str, part: &str) -> bool {
    text.to_ascii_lowercase().contains(part)
}

impl Operand {
    pub(super) fn new(text: &str, dialect: &'static Dialect) -> Operand {
        let decimal = super::number::byte(text).map(Address);
        Operand {
            text: text.to_string(),
            lower: text.to_ascii_lowercase(),
            number: Number::parse(text),
            slots: Slots::parse(text),
            address: dialect.address(text).ok().or(decimal),
            bytes: bytes(text),
            pattern: Pattern::parse(text),
        }
    }

    /// Whether the comparison holds for a value of a field of this kind; false where the two cannot
    /// be compared.
    pub(super) fn holds(
        &self,
        op: Op,
        value: &Value,
        kind: &Kind,
        dialect: &'static Dialect,
    ) -> bool {
        match value {
            Value::Int(n) => self.number.is_some_and(|number| holds(op, number.order_of(*n))),
            Value::Float(x) => self.number.is_some_and(|number| float(op, number, *x)),
            Value::Code { raw, name } => self.code(op, *raw, *name),
            Value::Bits { raw, set } => self.bits(op, *raw, set),
            Value::Slots { device, set } => self.slots(op, *device, *set),
            Value::Text(text) if kind.name == "address" => self.address(op, text, dialect),
            Value::Text(text) if op.is_search() => said(op, has_part(text, &self.lower)),
            Value::Text(text) => !op.is_order() && said(op, *text == self.text),
            Value::Bytes(bytes) => self.bytes(op, bytes),
            Value::Group(parts) => self.group(op, parts, kind, dialect),
        }
    }

    fn code(&self, op: Op, raw: u32, name: Option<&'static str>) -> bool {
        if op.is_search() {
            let part = |name: &str| has_part(name, &self.lower);
            return said(op, name.map_or_else(|| part(&raw.to_string()), part));
        }
        match self.number {
            Some(number) => holds(op, number.order_of(raw.into())),
            None if op.is_order() => false,
            None => said(op, name.is_some_and(|name| name.eq_ignore_ascii_case(&self.text))),
        }
    }

    fn bits(&self, op: Op, raw: u32, set: &[String]) -> bool {
        if let Some(number) = self.number
            && !op.is_search()
        {
            return holds(op, number.order_of(raw.into()));
        }
        let is_none = self.text.eq_ignore_ascii_case("none");
        let all = self.text.split('+');
        let has = |bit: &str| set.iter().any(|own| own.eq_ignore_ascii_case(bit));
        let has_all = if is_none { set.is_empty() } else { all.clone().all(has) };
        let only =
            is_none || set.iter().all(|own| all.clone().any(|bit| own.eq_ignore_ascii_case(bit)));
        match op {
            Op::Eq | Op::Ne => said(op, has_all && only),
            Op::Has | Op::HasNot => said(op, has_all),
            _ => false,
        }
    }

    fn slots(&self, op: Op, device: Option<u8>, set: SlotSet) -> bool {
        let Some(slots) = self.slots else {
            // A mask in decimal.
            return self.number.is_some_and(|number| holds(op, number.order_of(set.0.into())));
        };
        let here = slots.is_of(device);
        let has_all =
            if slots.set.0 == 0 { set.0 == 0 } else { set.0 & slots.set.0 == slots.set.0 };
        match op {
            Op::Eq | Op::Ne => said(op, here && slots.set == set),
            Op::Has | Op::HasNot => said(op, here && has_all),
            _ => holds(op, self.number.and_then(|number| number.order_of(set.0.into()))),
        }
    }

    fn address(&self, op: Op, text: &str, dialect: &'static Dialect) -> bool {
        if op.is_search() {
            return said(op, has_part(text, &self.lower));
        }
        match (text.parse::<Address>(), self.address) {
            (Ok(own), Some(other)) => holds(op, Some(own.cmp(&other))),
            // A value that was a name already: the dialect's own.
            _ => match dialect.address(text).ok().zip(self.address) {
                Some((own, other)) => holds(op, Some(own.cmp(&other))),
                None => false,
            },
        }
    }

    fn bytes(&self, op: Op, own: &[u8]) -> bool {
        match (op, &self.bytes, &self.pattern) {
            (Op::Eq | Op::Ne, Some(bytes), _) => said(op, own == bytes),
            (Op::Has | Op::HasNot, _, Some(pattern)) => said(op, pattern.is_in(own)),
            _ => false,
        }
    }

    /// A group is its `raw` text; searched, any of its texts.
    fn group(
        &self,
        op: Op,
        parts: &[(String, Value)],
        kind: &Kind,
        dialect: &'static Dialect,
    ) -> bool {
        let holds = |op: Op, value: &Value| self.holds(op, value, kind, dialect);
        if op.is_search() {
            return said(op, parts.iter().any(|(_, value)| holds(Op::Has, value)));
        }
        parts.iter().find(|(name, _)| name == "raw").is_some_and(|(_, value)| holds(op, value))
    }
}

fn float(op: Op, number: Number, x: f32) -> bool {
    match op {
        Op::Eq | Op::Ne => said(op, number.equals_float(x)),
        _ => holds(op, number.order_of_float(x)),
    }
}

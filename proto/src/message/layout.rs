//! The table face of the declarations: functions, their forms, their fields. Data that text, JSON,
//! the command line and the book read.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::kind::{Kind, Width};
use super::value::Value;
use crate::address::Class;
use crate::effect::EffectRule;
use crate::evidence::Evidence;
use crate::status::Status;

/// One function of a device class.
pub struct Function {
    /// The FUNC byte.
    pub code: u8,
    /// The vendor's name.
    pub name: &'static str,
    /// Whose function it is.
    pub class: Class,
    /// What it does, in a sentence or two.
    pub doc: &'static str,
    /// The STATUS byte of its requests: FF for boxes and the rack, 00 for the others.
    pub request_status: Status,
    /// The layouts of its request, the first that fits counts.
    pub request: &'static [Form],
    /// The layouts of its reply.
    pub reply: &'static [Form],
    /// How long the vendor's host waits for a reply to one transmission, in milliseconds.
    pub timeout_ms: u32,
    /// How often the vendor's host sends it at most, the first time included.
    pub sends: u8,
    /// What it does; the first rule that fits a request counts, and where none does it is
    /// [`Effect::Firmware`](crate::effect::Effect::Firmware).
    pub effects: &'static [EffectRule],
    /// What nobody knows about it; empty where all is known.
    pub unknown: &'static str,
}

/// One layout of a payload.
#[derive(Debug)]
pub struct Form {
    /// Its name, such as `FeedPoll`.
    pub name: &'static str,
    /// Fields of the request that choose it, with the value that each must have; in a request's
    /// own form, its own fields. Empty: it is always a candidate.
    pub when: &'static [(&'static str, u32)],
    /// The STATUS of the replies that carry it.
    pub status: StatusRule,
    /// Its fields, in the order of the wire.
    pub fields: &'static [Field],
}

/// Which STATUS a reply's form goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusRule {
    /// Only 00.
    Ok,
    /// Every STATUS.
    Any,
    /// Exactly this one.
    Is(u8),
}

/// One field of a payload.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in text, JSON, filters and on the command line.
    pub name: &'static str,
    /// How its bytes are read.
    pub kind: &'static Kind,
    /// The names of its values, or of its bits for the kinds of flags.
    pub codes: &'static [(u32, &'static str)],
    /// Its unit, empty where it has none.
    pub unit: &'static str,
    /// What a sender takes when nothing is given, empty where it must be given.
    pub default: &'static str,
    /// How well it is known.
    pub evidence: Evidence,
}

/// A field with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldValue {
    /// The declaration.
    pub field: &'static Field,
    /// What the frame holds.
    pub value: Value,
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.kind, self.codes, self.unit)
            == (other.name, other.kind, other.codes, other.unit)
    }
}

/// The table is long, and the name says which it is.
impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Function({} {:02x} {})", self.class.name(), self.code, self.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        (self.class, self.code) == (other.class, other.code)
    }
}

impl Function {
    /// How many DATA bytes a request has, least and most, over its forms; `None` where there is no
    /// limit.
    #[must_use]
    pub fn request_width(&self) -> (usize, Option<usize>) {
        width_of(self.request)
    }
}

/// Least and most DATA bytes over some forms; `None` where one has no upper limit.
fn width_of(forms: &[Form]) -> (usize, Option<usize>) {
    let widths = forms.iter().map(Form::width);
    widths
        .reduce(|a, b| (a.0.min(b.0), a.1.zip(b.1).map(|(a, b)| a.max(b))))
        .unwrap_or((0, Some(0)))
}

impl StatusRule {
    pub(super) fn matches(self, status: Status) -> bool {
        match self {
            StatusRule::Ok => status == Status::OK,
            StatusRule::Any => true,
            StatusRule::Is(code) => status.0 == code,
        }
    }
}

impl Form {
    /// The least and the most DATA bytes; `None` where there is no upper limit.
    #[must_use]
    pub fn width(&self) -> (usize, Option<usize>) {
        let mut least = 0;
        for field in self.fields {
            match field.kind.width {
                Width::Fixed(width) => least += width,
                Width::Rest => return (least, None),
            }
        }
        (least, Some(least))
    }

    /// The fields in a line, as usage texts show them: `slot, stage, param=0`.
    #[must_use]
    pub fn layout(&self) -> String {
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|field| match field.default {
                "" => field.name.to_owned(),
                default => format!("{}={default}", field.name),
            })
            .collect();
        if fields.is_empty() { "(no data)".to_owned() } else { fields.join(", ") }
    }
}

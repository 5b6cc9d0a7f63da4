//! What a frame says as a flat list of names and values, for those that compare one time with
//! another.

use std::fmt;

use k485_proto::frame::Hex;
use k485_proto::message::{Message, Value};
use serde::{Serialize, Serializer};

use crate::stats::report::{decimal, milliseconds};

/// Something that a frame or an exchange has.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// A field's value.
    Value(Value),
    /// A name.
    Text(String),
    /// A number of times.
    Count(u32),
    /// Nanoseconds, shown as milliseconds.
    Nanos(i64),
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::Value(value) => value.fmt(f),
            Shown::Text(text) => f.write_str(text),
            Shown::Count(count) => count.fmt(f),
            Shown::Nanos(nanos) => write!(f, "{} ms", decimal(nanos / 100_000, 1)),
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Shown::Value(value) => value.serialize(serializer),
            Shown::Text(text) => text.serialize(serializer),
            Shown::Count(count) => count.serialize(serializer),
            Shown::Nanos(nanos) => milliseconds(nanos, serializer),
        }
    }
}

impl Shown {
    /// The number that it is, where it is one; of nanoseconds the milliseconds.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Shown::Value(Value::Int(n)) => Some(*n as f64),
            Shown::Value(Value::Float(x)) => Some(f64::from(*x)),
            Shown::Count(count) => Some(f64::from(*count)),
            Shown::Nanos(nanos) => Some(*nanos as f64 / 1e6),
            Shown::Value(_) | Shown::Text(_) => None,
        }
    }

    /// Equal to the bit: a NaN is itself.
    #[must_use]
    pub fn same(&self, other: &Shown) -> bool {
        match (self, other) {
            (Shown::Value(Value::Float(a)), Shown::Value(Value::Float(b))) => {
                a.to_bits() == b.to_bits()
            }
            _ => self == other,
        }
    }
}

/// The fields of a message by name, groups part by part; bytes that no field takes as `data`.
#[must_use]
pub fn flat(message: &Message<'_>) -> Vec<(String, Shown)> {
    let mut out = Vec::new();
    for field in &message.fields {
        flatten(field.field.name.to_owned(), field.value.clone(), &mut out);
    }
    if !message.rest.is_empty() {
        out.push(("data".to_owned(), Shown::Text(Hex(message.rest).to_string())));
    }
    out
}

fn flatten(name: String, value: Value, out: &mut Vec<(String, Shown)>) {
    match value {
        Value::Group(parts) => {
            for (part, value) in parts {
                flatten(format!("{name}.{part}"), value, out);
            }
        }
        value => out.push((name, Shown::Value(value))),
    }
}

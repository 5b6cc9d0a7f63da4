//! What a decoded field holds, ready to be shown, compared or serialized.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::frame::Hex;
use crate::slot::SlotSet;

/// The value of one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A single-precision number.
    Float(f32),
    /// A number whose values have names; `name` is `None` for a value nobody has named.
    Code {
        /// The number on the wire.
        raw: u32,
        /// Its name.
        name: Option<&'static str>,
    },
    /// A set of flags.
    Bits {
        /// The number on the wire.
        raw: u32,
        /// The names of the bits that are set, lowest first; unnamed ones as `bit N`.
        set: Vec<String>,
    },
    /// Slots of a box.
    Slots {
        /// The box, 1 to 4, where the frame's address names one.
        device: Option<u8>,
        /// The slots.
        set: SlotSet,
    },
    /// ASCII text; bytes that are none are escaped as `\xNN`.
    Text(String),
    /// Bytes without a known meaning.
    Bytes(Vec<u8>),
    /// Named parts.
    Group(Vec<(String, Value)>),
}

impl Value {
    /// The number that a condition compares with, where the value is a whole number.
    #[must_use]
    pub fn as_number(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            Value::Code { raw, .. } | Value::Bits { raw, .. } => Some(i64::from(*raw)),
            Value::Slots { set, .. } => Some(i64::from(set.0)),
            _ => None,
        }
    }
}

/// As a person reads it: `-587.22`, `idle`, `T1A`, `none`, `5`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(n) => write!(f, "{n}"),
            Value::Float(x) => fmt_float(f, *x),
            Value::Code { name: Some(name), .. } => f.write_str(name),
            Value::Code { raw, name: None } => write!(f, "{raw}"),
            Value::Bits { set, .. } if set.is_empty() => f.write_str("none"),
            Value::Bits { set, .. } => f.write_str(&set.join("+")),
            Value::Slots { device, set } => fmt_slots(f, *device, *set),
            Value::Text(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) => {
                f.write_str(text)
            }
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Bytes(bytes) if bytes.is_empty() => f.write_str("-"),
            Value::Bytes(bytes) => write!(f, "{}", Hex(bytes)),
            Value::Group(parts) => fmt_group(f, parts),
        }
    }
}

/// Hundredths are enough for lengths and times; a parameter that has more of its own below 10 is
/// shown in full, and a number that would be a row of zeros by its exponent.
fn fmt_float(f: &mut fmt::Formatter<'_>, x: f32) -> fmt::Result {
    let size = x.abs();
    if size != 0.0 && !(1e-4..1e7).contains(&size) {
        return write!(f, "{x:e}");
    }
    let short = format!("{x:.2}");
    if size >= 10.0 || short.parse() == Ok(x) { f.write_str(&short) } else { write!(f, "{x}") }
}

/// The parts but for the raw text that they were made from, which stands alone where it is all.
fn fmt_group(f: &mut fmt::Formatter<'_>, parts: &[(String, Value)]) -> fmt::Result {
    if let [(_, only)] = parts
        && parts[0].0 == "raw"
    {
        return write!(f, "{only}");
    }
    let mut before = "{";
    for (name, value) in parts.iter().filter(|(name, _)| name != "raw") {
        write!(f, "{before}{name}={value}")?;
        before = " ";
    }
    f.write_str(if parts.is_empty() { "{}" } else { "}" })
}

/// `T1A+T1C` where the box is known, else `A+C`.
fn fmt_slots(f: &mut fmt::Formatter<'_>, device: Option<u8>, set: SlotSet) -> fmt::Result {
    let Some(device) = device.filter(|_| set.letters().next().is_some()) else {
        return write!(f, "{set}");
    };
    let mut plus = "";
    for letter in set.letters() {
        write!(f, "{plus}T{device}{letter}")?;
        plus = "+";
    }
    if set.unknown_bits() != 0 {
        write!(f, "{plus}0x{:02x}", set.unknown_bits())?;
    }
    Ok(())
}

/// Bytes as text: printable ASCII as it is, the rest escaped, so that nothing is lost and nothing
/// on a bus can send control codes to a terminal.
#[must_use]
pub fn escape_ascii(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => {
                use fmt::Write;
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out
}

/// The bytes of a text that [`escape_ascii`] wrote; other characters count as their UTF-8.
///
/// # Errors
/// The position, in bytes, of a broken escape.
pub fn unescape_ascii(text: &str) -> Result<Vec<u8>, usize> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'\\' {
            out.push(byte);
            at += 1;
            continue;
        }
        match bytes.get(at + 1) {
            Some(b'\\') => {
                out.push(b'\\');
                at += 2;
            }
            Some(b'x') => {
                let digits =
                    bytes.get(at + 2..at + 4).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
                let byte = digits
                    .and_then(|d| core::str::from_utf8(d).ok())
                    .and_then(|d| u8::from_str_radix(d, 16).ok())
                    .ok_or(at)?;
                out.push(byte);
                at += 4;
            }
            _ => return Err(at),
        }
    }
    Ok(out)
}

#[cfg(feature = "serde")]
mod json {
    use super::Value;
    use crate::frame::Hex;
    use alloc::string::ToString;
    use serde::ser::{Serialize, SerializeMap, Serializer};

    /// The bare value: numbers as numbers, names of codes and flags beside them (see
    /// [`Value::serialize_entry`]), bytes as lower-case hex, groups as objects. A number that JSON
    /// cannot hold (NaN, infinity) is null; the frame's data still has its bytes.
    impl Serialize for Value {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self {
                Value::Int(n) => serializer.serialize_i64(*n),
                Value::Float(x) if x.is_finite() => serializer.serialize_f32(*x),
                Value::Float(_) => serializer.serialize_none(),
                Value::Code { raw, .. } | Value::Bits { raw, .. } => serializer.serialize_u32(*raw),
                Value::Slots { .. } => serializer.collect_str(self),
                Value::Text(text) => serializer.serialize_str(text),
                Value::Bytes(bytes) => serializer.collect_str(&Hex(bytes)),
                Value::Group(parts) => {
                    let mut map = serializer.serialize_map(Some(parts.len()))?;
                    for (name, value) in parts {
                        value.serialize_entry(name, &mut map)?;
                    }
                    map.end()
                }
            }
        }
    }

    impl Value {
        /// Writes the entry of this value into an object: `name`, and beside it `name_name` (a
        /// code's name or null), `name_set` (the flags that are set) or `name_mask` (a slot set's
        /// mask byte).
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize_entry<M: SerializeMap>(
            &self,
            name: &str,
            map: &mut M,
        ) -> Result<(), M::Error> {
            map.serialize_entry(name, self)?;
            match self {
                Value::Code { name: code, .. } => {
                    map.serialize_entry(&(name.to_string() + "_name"), code)
                }
                Value::Bits { set, .. } => map.serialize_entry(&(name.to_string() + "_set"), set),
                Value::Slots { set, .. } => {
                    map.serialize_entry(&(name.to_string() + "_mask"), &set.0)
                }
                _ => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    #[test]
    fn as_a_person_reads_it() {
        let slots = |device, mask| Value::Slots { device, set: SlotSet(mask) }.to_string();
        assert_eq!(slots(Some(2), 0x01), "T2A");
        assert_eq!(slots(Some(2), 0x19), "T2A+T2D+0x10");
        assert_eq!(slots(None, 0x05), "A+C");
        assert_eq!(slots(Some(1), 0x00), "none");
        assert_eq!(slots(Some(1), 0x20), "0x20");
        assert_eq!(Value::Float(-587.2239).to_string(), "-587.22");
        assert_eq!(Value::Float(3.5e-5).to_string(), "3.5e-5");
        assert_eq!(Value::Float(f32::NAN).to_string(), "NaN");
        assert_eq!(Value::Text("a\u{1b}[31m".to_string()).to_string(), "\"a\\u{1b}[31m\"");
        assert_eq!(Value::Group(vec![("a".to_string(), Value::Int(1))]).to_string(), "{a=1}");
    }

    #[test]
    fn escapes_round_trip() {
        let all: Vec<u8> = (0..=255).collect();
        let text = escape_ascii(&all);
        assert!(text.is_ascii());
        assert_eq!(unescape_ascii(&text), Ok(all));
        assert_eq!(unescape_ascii("ab\\x4"), Err(2));
        assert_eq!(unescape_ascii("\\q"), Err(0));
    }
}

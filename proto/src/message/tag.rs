//! The texts in which a box tells what its tag readers saw.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use nom::bytes::complete::{is_not, tag};
use nom::character::complete::one_of;
use nom::multi::many0;
use nom::sequence::terminated;
use nom::{IResult, Parser};

use super::value::{Value, escape_ascii};
use crate::material::TagRecord;

/// `<letter>:<body>;`. The host loses a field whose `;` is missing; so is it read here.
fn entry(input: &[u8]) -> IResult<&[u8], (char, &[u8])> {
    let (input, letter) = terminated(one_of("ABCD"), tag(&b":"[..])).parse(input)?;
    let (input, body) = terminated(is_not(&b";"[..]), tag(&b";"[..])).parse(input)?;
    Ok((input, (letter, body)))
}

/// The entries of a reply to GET_RFID, and the bytes behind the last whole one.
#[must_use]
pub fn entries(data: &[u8]) -> (Vec<(char, &[u8])>, &[u8]) {
    match many0(entry).parse(data) {
        Ok((rest, entries)) => (entries, rest),
        Err(_) => (Vec::new(), data),
    }
}

/// One group a slot; what is no entry is kept as `rest`. So is a slot's second entry, and all
/// behind it: nobody knows which of the two counts, and a JSON reader would drop one.
pub(super) fn tags_value(data: &[u8]) -> Value {
    let mut parts: Vec<(String, Value)> = Vec::new();
    let mut rest = data;
    for (letter, body) in entries(data).0 {
        let name = letter.to_string();
        if parts.iter().any(|(known, _)| *known == name) {
            break;
        }
        parts.push((name, record_value(body)));
        // The letter, `:` and `;`.
        rest = &rest[body.len() + 3..];
    }
    if !rest.is_empty() {
        parts.push(("rest".to_string(), Value::Text(escape_ascii(rest))));
    }
    Value::Group(parts)
}

/// A word (`none`, `busy`, `unknown`), or a 40-character record with its fields; the raw text is
/// kept either way.
pub(super) fn record_value(body: &[u8]) -> Value {
    let raw = ("raw".to_string(), Value::Text(escape_ascii(body)));
    let Ok(record) = TagRecord::parse(body) else {
        return Value::Group(Vec::from([raw]));
    };
    // What a person looks for comes first; the record's own order is in the raw text.
    let mut parts = Vec::with_capacity(5);
    for wanted in ["material", "colour", "length", "serial"] {
        for (field, part) in record.fields().filter(|(field, _)| field.name == wanted) {
            parts.push((field.name.to_string(), Value::Text(escape_ascii(part.as_bytes()))));
        }
    }
    parts.push(raw);
    Value::Group(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_is_told_twice_is_one_group() {
        let shown = |data: &[u8]| tags_value(data).to_string();
        assert_eq!(shown(b"A:busy;B:none;"), "{A=busy B=none}");
        assert_eq!(shown(b"A:busy;A:none;B:none;"), "{A=busy rest=A:none;B:none;}");
        assert_eq!(shown(b"A:busy;C:no"), "{A=busy rest=C:no}");
        assert_eq!(shown(b""), "{}");
    }
}

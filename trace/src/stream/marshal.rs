//! Python's marshal format, version 2, as far as plain data goes: what `marshal.dumps(value, 2)`
//! writes in every Python 3. Little endian; source: the format as CPython writes it.

use std::borrow::Cow;
use std::str;

/// How deep values nest.
const MAX_DEPTH: usize = 64;
/// The most digits (of 15 bits) of a whole number: 64 bits and a sign have five.
const MAX_DIGITS: u32 = 8;

/// Plain data.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Bytes(&'a [u8]),
    /// Lone surrogates in it are `?`, as in the tracer's lines.
    Text(Cow<'a, str>),
    /// A list or a tuple: JSON knows no difference.
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
}

/// Why bytes are no such data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MarshalError {
    #[error("they end in the middle of a value")]
    Truncated,
    #[error("{0:#04x} is no type of plain data")]
    Type(u8),
    #[error("a text is no UTF-8")]
    Text,
    #[error("values nest deeper than {MAX_DEPTH}")]
    Deep,
    #[error("a whole number of {0} digits")]
    Big(u32),
    #[error("{0} bytes follow the value")]
    More(usize),
}

/// Reads one value, which is all there is.
pub(super) fn value(bytes: &[u8]) -> Result<Value<'_>, MarshalError> {
    let mut reader = Reader(bytes);
    let value = reader.value(0)?;
    match reader.0.len() {
        0 => Ok(value),
        more => Err(MarshalError::More(more)),
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8], MarshalError> {
        let (taken, rest) = self.0.split_at_checked(size).ok_or(MarshalError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MarshalError> {
        self.take(N)?.try_into().map_err(|_| MarshalError::Truncated)
    }

    fn size(&mut self) -> Result<usize, MarshalError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value<'a>>, MarshalError> {
        let size = self.size()?;
        // Every value has a byte at least.
        if size > self.0.len() {
            return Err(MarshalError::Truncated);
        }
        (0..size).map(|_| self.value(depth + 1)).collect()
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, MarshalError> {
        if depth > MAX_DEPTH {
            return Err(MarshalError::Deep);
        }
        let [kind] = self.array()?;
        Ok(match kind {
            b'N' => Value::None,
            b'T' => Value::Bool(true),
            b'F' => Value::Bool(false),
            b'i' => Value::Int(i32::from_le_bytes(self.array()?).into()),
            b'l' => Value::Int(self.long()?),
            b'g' => Value::Float(f64::from_le_bytes(self.array()?)),
            b's' => {
                let size = self.size()?;
                Value::Bytes(self.take(size)?)
            }
            b'u' | b't' => {
                let size = self.size()?;
                text(self.take(size)?)?
            }
            b'(' | b'[' => Value::List(self.list(depth)?),
            b'{' => {
                let mut items = Vec::new();
                // A null in the place of a key ends it.
                while self.0.first() != Some(&b'0') {
                    items.push((self.value(depth + 1)?, self.value(depth + 1)?));
                }
                self.take(1)?;
                Value::Dict(items)
            }
            other => return Err(MarshalError::Type(other)),
        })
    }

    /// Digits of 15 bits, the lowest first; their number is negative for a negative one.
    fn long(&mut self) -> Result<i128, MarshalError> {
        let count = i32::from_le_bytes(self.array()?);
        if count.unsigned_abs() > MAX_DIGITS {
            return Err(MarshalError::Big(count.unsigned_abs()));
        }
        let mut number: i128 = 0;
        for digit in 0..count.unsigned_abs() {
            number |= i128::from(u16::from_le_bytes(self.array()?) & 0x7fff) << (15 * digit);
        }
        Ok(if count < 0 { -number } else { number })
    }
}

/// A text, in which Python may have lone surrogates, as three bytes each.
fn text(bytes: &[u8]) -> Result<Value<'_>, MarshalError> {
    if let Ok(text) = str::from_utf8(bytes) {
        return Ok(Value::Text(Cow::Borrowed(text)));
    }
    let mut clean = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        if let [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] = rest {
            clean.push(b'?');
            rest = after;
        } else {
            clean.push(*first);
            rest = after;
        }
    }
    String::from_utf8(clean).map(|text| Value::Text(text.into())).map_err(|_| MarshalError::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes() {
        // marshal.dumps((None, True, False, -2, 1 << 40, -(1 << 62), 0.5, b'\x00\xf7', 'gr\xfcn',
        //                [1], {'a': ()}), 2)
        let bytes = hex::decode(concat!(
            "280b0000004e5446",
            "69feffffff",
            "6c0300000000000000",
            "0004",
            "6cfbffffff",
            "0000000000000000",
            "0400",
            "67000000000000e03f",
            "730200000000f7",
            "75050000006772c3bc6e",
            "5b010000006901000000",
            "7b7501000000612800000000",
            "30",
        ))
        .unwrap();
        let expected = Value::List(vec![
            Value::None,
            Value::Bool(true),
            Value::Bool(false),
            Value::Int(-2),
            Value::Int(1 << 40),
            Value::Int(-(1 << 62)),
            Value::Float(0.5),
            Value::Bytes(&[0, 0xf7]),
            Value::Text("grün".into()),
            Value::List(vec![Value::Int(1)]),
            Value::Dict(vec![(Value::Text("a".into()), Value::List(vec![]))]),
        ]);
        assert_eq!(value(&bytes), Ok(expected));
        for size in 0..bytes.len() {
            assert_eq!(value(&bytes[..size]), Err(MarshalError::Truncated), "{size}");
        }
    }

    #[test]
    fn what_is_no_plain_data() {
        assert_eq!(value(b"u\x04\0\0\0x\xed\xa0\x80"), Ok(Value::Text("x?".into())));
        // Two halves that Python holds apart are no character.
        let halves = b"u\x06\0\0\0\xed\xa0\xbd\xed\xb8\x80";
        assert_eq!(value(halves), Ok(Value::Text("??".into())));
        assert_eq!(value(b"NN"), Err(MarshalError::More(1)));
        assert_eq!(value(b"c"), Err(MarshalError::Type(b'c')));
        assert_eq!(value(b"u\x01\0\0\0\xff"), Err(MarshalError::Text));
        assert_eq!(value(b"l\x09\0\0\0"), Err(MarshalError::Big(9)));
        assert_eq!(value(&b"[\x01\0\0\0".repeat(70)), Err(MarshalError::Deep));
        assert_eq!(value(b"[\xff\xff\xff\xff"), Err(MarshalError::Truncated));
    }
}

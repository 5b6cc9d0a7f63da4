//! The kinds of fields: how bytes become a value and a text becomes bytes, each written once.
//!
//! A [`Kind`] is data, so that tables, dialects and the book can name it; [`Field`](super::Field)
//! adds the name, unit, evidence and names of values. [`FieldType`] ties a Rust type to its kind,
//! which is how the typed messages come from the same code.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use nom::IResult;
use nom::number::complete as num;

use super::params;
use super::tag;
use super::value::{Value, escape_ascii, unescape_ascii};
use crate::slot::SlotSet;

/// What a field's decoding may look at beside its own bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context {
    /// The box that the frame's address names.
    pub device: Option<u8>,
    /// The motor parameter that the message, or the request it answers, names.
    pub param: Option<u8>,
}

/// How many bytes a kind takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// Always so many.
    Fixed(usize),
    /// All that is left; such a field is the last one.
    Rest,
}

/// How the bytes of a field are read and written.
#[derive(Debug)]
pub struct Kind {
    /// The name in tables and dialect files, such as `f32be`.
    pub name: &'static str,
    /// How many bytes it takes.
    pub width: Width,
    /// Bytes of exactly the width to a value; `None` when they do not fit.
    pub decode: fn(&[u8], &Context) -> Option<Value>,
    /// A text, as a person types it, to bytes; or what was expected instead.
    pub encode: fn(&str, &Context) -> Result<Vec<u8>, String>,
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A Rust type that stands for a field on the wire.
pub trait FieldType: Sized + PartialEq + core::fmt::Debug {
    /// How its bytes are read and written.
    const KIND: &'static Kind;
    /// The names of its values (or of its bits, for the kinds `bits8` and `bits32le`).
    const CODES: &'static [(u32, &'static str)] = &[];

    /// From bytes of exactly the kind's width; `None` when they do not fit.
    fn from_wire(bytes: &[u8]) -> Option<Self>;
    /// Appends the bytes.
    fn to_wire(&self, out: &mut Vec<u8>);
}

/// The number at the front of `bytes`, which must be all of them.
fn whole<T>(parsed: IResult<&[u8], T>) -> Option<T> {
    match parsed {
        Ok(([], value)) => Some(value),
        _ => None,
    }
}

/// A whole number in decimal, or in hex behind `0x`, between `least` and `most`.
fn integer(text: &str, least: i64, most: i64) -> Result<i64, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let parsed = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        _ if digits.starts_with(['+', '-']) => None,
        Some(hex) if !hex.starts_with(['+', '-']) => i64::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None => digits.parse::<i64>().ok(),
    };
    parsed
        .map(|n| if negative { -n } else { n })
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| format!("a whole number from {least} to {most} (hex as 0x..)"))
}

fn float(text: &str) -> Result<f32, String> {
    text.parse::<f32>().map_err(|_| "a number such as -587.2".to_string())
}

/// Hex digits, with or without `0x`.
///
/// # Errors
/// What was expected.
pub fn hex_bytes(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err("an even number of hex digits".to_string());
    }
    let nibble = |digit: u8| (digit as char).to_digit(16).unwrap_or(0) as u8;
    Ok(digits.chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect())
}

macro_rules! number_kinds {
    ($($(#[doc = $doc:literal])+ $KIND:ident $name:literal $width:literal
       $decode:expr, $encode:expr;)+) => {
        $($(#[doc = $doc])+
        pub static $KIND: Kind = Kind {
            name: $name, width: Width::Fixed($width), decode: $decode, encode: $encode,
        };)+
    };
}

number_kinds! {
    /// An unsigned byte.
    U8 "u8" 1 |b, _| whole(num::u8(b)).map(|n| Value::Int(n.into())),
        |t, _| integer(t, 0, 255).map(|n| Vec::from([n as u8]));
    /// A signed byte.
    I8 "i8" 1 |b, _| whole(num::i8(b)).map(|n| Value::Int(n.into())),
        |t, _| integer(t, -128, 127).map(|n| Vec::from((n as i8).to_be_bytes()));
    /// A 16-bit unsigned number, low byte first.
    U16_LE "u16le" 2 |b, _| whole(num::le_u16(b)).map(|n| Value::Int(n.into())),
        |t, _| integer(t, 0, 65_535).map(|n| Vec::from((n as u16).to_le_bytes()));
    /// A 16-bit unsigned number, high byte first.
    U16_BE "u16be" 2 |b, _| whole(num::be_u16(b)).map(|n| Value::Int(n.into())),
        |t, _| integer(t, 0, 65_535).map(|n| Vec::from((n as u16).to_be_bytes()));
    /// A 32-bit unsigned number, low byte first.
    U32_LE "u32le" 4 |b, _| whole(num::le_u32(b)).map(|n| Value::Int(n.into())),
        |t, _| integer(t, 0, u32::MAX.into()).map(|n| Vec::from((n as u32).to_le_bytes()));
    /// A 32-bit unsigned number, high byte first.
    U32_BE "u32be" 4 |b, _| whole(num::be_u32(b)).map(|n| Value::Int(n.into())),
        |t, _| integer(t, 0, u32::MAX.into()).map(|n| Vec::from((n as u32).to_be_bytes()));
    /// A single-precision number, low byte first.
    F32_LE "f32le" 4 |b, _| whole(num::le_f32(b)).map(Value::Float),
        |t, _| float(t).map(|x| Vec::from(x.to_le_bytes()));
    /// A single-precision number, high byte first.
    F32_BE "f32be" 4 |b, _| whole(num::be_f32(b)).map(Value::Float),
        |t, _| float(t).map(|x| Vec::from(x.to_be_bytes()));
    /// Eight flags.
    BITS8 "bits8" 1 |b, _| whole(num::u8(b)).map(|n| Value::Bits { raw: n.into(), set: Vec::new() }),
        |t, _| integer(t, 0, 255).map(|n| Vec::from([n as u8]));
    /// 32 flags, low byte first.
    BITS32_LE "bits32le" 4
        |b, _| whole(num::le_u32(b)).map(|raw| Value::Bits { raw, set: Vec::new() }),
        |t, _| integer(t, 0, u32::MAX.into()).map(|n| Vec::from((n as u32).to_le_bytes()));
    /// A slot mask.
    SLOTS "slots" 1
        |b, c| whole(num::u8(b)).map(|n| Value::Slots { device: c.device, set: SlotSet(n) }),
        |t, c| slots(t, c);
    /// An address.
    ADDRESS "address" 1 |b, _| whole(num::u8(b)).map(address_value),
        |t, _| t.parse::<crate::address::Address>().map(|a| Vec::from([a.0])).or_else(
            |_| integer(t, 0, 255).map(|n| Vec::from([n as u8]))
                .map_err(|_| "a device such as box1, or a byte such as 0x41".to_string()));
    /// A device's 12-byte identity (its controller's unique id).
    UNIID "uniid" 12 |b, _| Some(Value::Bytes(b.to_vec())),
        |t, _| hex_bytes(t).and_then(|bytes| sized(bytes, 12));
    /// Two bytes without a known inner layout.
    BYTES2 "bytes2" 2 |b, _| Some(Value::Bytes(b.to_vec())),
        |t, _| hex_bytes(t).and_then(|bytes| sized(bytes, 2));
    /// A version of two numbers, as `1.2`.
    VERSION2 "version2" 2 |b, _| Some(dotted(b)), |t, _| undotted(t, 2);
    /// A version of four numbers, as `1.2.3.4`.
    VERSION4 "version4" 4 |b, _| Some(dotted(b)), |t, _| undotted(t, 4);
    /// Three ASCII characters that the host shows with dots: `110` is 1.1.0.
    ASCII3 "ascii3" 3 |b, _| Some(Value::Text(versioned(b))),
        |t, _| ascii(t).and_then(unversioned);
    /// A tag's record of 40 ASCII characters.
    TAG "tag" 40 |b, _| Some(tag::record_value(b)),
        |t, _| ascii(t).and_then(|bytes| sized(bytes, 40));
}

/// ASCII text to the end of the payload.
pub static TEXT: Kind = Kind {
    name: "text",
    width: Width::Rest,
    decode: |b, _| Some(Value::Text(escape_ascii(b))),
    encode: |t, _| ascii(t),
};
/// Bytes without a known meaning, to the end of the payload.
pub static REST: Kind = Kind {
    name: "bytes",
    width: Width::Rest,
    decode: |b, _| Some(Value::Bytes(b.to_vec())),
    encode: |t, _| hex_bytes(t),
};
/// The tag texts of slots, `A:…;B:…;`, to the end of the payload.
pub static TAGS: Kind = Kind {
    name: "tags",
    width: Width::Rest,
    decode: |b, _| Some(tag::tags_value(b)),
    encode: |t, _| ascii(t),
};
/// A motor parameter's value, to the end of the payload; its type is the parameter's.
pub static PARAM: Kind = Kind {
    name: "param",
    width: Width::Rest,
    decode: |b, c| (b.len() <= params::MAX_SIZE).then(|| params::decode(c.param, b)),
    encode: |t, c| params::encode(c.param, t),
};

/// Every kind, for looking one up by name.
pub static KINDS: [&Kind; 22] = [
    &U8, &I8, &U16_LE, &U16_BE, &U32_LE, &U32_BE, &F32_LE, &F32_BE, &BITS8, &BITS32_LE, &SLOTS,
    &ADDRESS, &UNIID, &BYTES2, &VERSION2, &VERSION4, &ASCII3, &TAG, &TEXT, &REST, &TAGS, &PARAM,
];

/// An address reads as its name.
fn address_value(byte: u8) -> Value {
    Value::Text(crate::address::Address(byte).to_string())
}

fn slots(text: &str, context: &Context) -> Result<Vec<u8>, String> {
    // `T1A` may be written for the box that is asked; another box's slot is a mistake.
    if let Ok(slot) = text.parse::<crate::slot::Slot>() {
        return match context.device {
            Some(device) if device != slot.device => Err(format!("a slot of box{device}")),
            _ => Ok(Vec::from([slot.letter.mask()])),
        };
    }
    text.parse::<SlotSet>()
        .map(|set| Vec::from([set.0]))
        .map_err(|_| "slots such as A, T1A, A+C, none, all, or a mask such as 0x0f".to_string())
}

fn ascii(text: &str) -> Result<Vec<u8>, String> {
    unescape_ascii(text).map_err(|at| format!("text; \\xNN or \\\\ at byte {at}"))
}

fn sized(bytes: Vec<u8>, size: usize) -> Result<Vec<u8>, String> {
    if bytes.len() == size { Ok(bytes) } else { Err(format!("{size} bytes, not {}", bytes.len())) }
}

/// Three digits with dots, as the host shows them; anything else as it is.
fn versioned(bytes: &[u8]) -> String {
    match bytes {
        [a, b, c] if bytes.iter().all(u8::is_ascii_alphanumeric) => {
            format!("{}.{}.{}", char::from(*a), char::from(*b), char::from(*c))
        }
        _ => escape_ascii(bytes),
    }
}

fn unversioned(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    match bytes[..] {
        [a, b'.', b, b'.', c] => Ok(Vec::from([a, b, c])),
        _ => sized(bytes, 3),
    }
}

fn dotted(bytes: &[u8]) -> Value {
    let parts: Vec<String> = bytes.iter().map(u8::to_string).collect();
    Value::Text(parts.join("."))
}

fn undotted(text: &str, size: usize) -> Result<Vec<u8>, String> {
    let parts: Result<Vec<u8>, _> = text.split('.').map(str::parse::<u8>).collect();
    match parts {
        Ok(bytes) if bytes.len() == size => Ok(bytes),
        _ => Err(format!("{size} numbers with dots between")),
    }
}

macro_rules! number_types {
    ($($(#[doc = $doc:literal])+ $Type:ident($inner:ty) $KIND:ident $from:ident $to:ident;)+) => {
        $($(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Default)]
        pub struct $Type(pub $inner);

        impl FieldType for $Type {
            const KIND: &'static Kind = &$KIND;
            fn from_wire(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(|b| Self(<$inner>::$from(b)))
            }
            fn to_wire(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0.$to());
            }
        })+
    };
}

number_types! {
    /// A 32-bit unsigned number, low byte first.
    U32Le(u32) U32_LE from_le_bytes to_le_bytes;
    /// A 32-bit unsigned number, high byte first.
    U32Be(u32) U32_BE from_be_bytes to_be_bytes;
    /// A single-precision number, low byte first.
    F32Le(f32) F32_LE from_le_bytes to_le_bytes;
    /// A single-precision number, high byte first.
    F32Be(f32) F32_BE from_be_bytes to_be_bytes;
}

macro_rules! byte_types {
    ($($Type:ty, $KIND:ident, $from:expr, $to:expr;)+) => {
        $(impl FieldType for $Type {
            const KIND: &'static Kind = &$KIND;
            fn from_wire(bytes: &[u8]) -> Option<Self> {
                match bytes { [byte] => Some($from(*byte)), _ => None }
            }
            fn to_wire(&self, out: &mut Vec<u8>) {
                out.push($to(self));
            }
        })+
    };
}

byte_types! {
    u8, U8, |b| b, |s: &u8| *s;
    i8, I8, |b: u8| b as i8, |s: &i8| *s as u8;
    SlotSet, SLOTS, SlotSet, |s: &SlotSet| s.0;
    crate::address::Address, ADDRESS, crate::address::Address, |s: &crate::address::Address| s.0;
}

macro_rules! array_types {
    ($($(#[doc = $doc:literal])+ $Type:ident[$size:literal] $KIND:ident;)+) => {
        $($(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $Type(pub [u8; $size]);

        impl FieldType for $Type {
            const KIND: &'static Kind = &$KIND;
            fn from_wire(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
            fn to_wire(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
        })+
    };
}

array_types! {
    /// A device's 12-byte identity (its controller's unique id).
    Uniid[12] UNIID;
    /// Two bytes without a known inner layout.
    Bytes2[2] BYTES2;
    /// A version of two numbers.
    Version2[2] VERSION2;
    /// A version of four numbers.
    Version4[4] VERSION4;
    /// Three ASCII characters.
    Ascii3[3] ASCII3;
    /// A tag's record of 40 ASCII characters; [`crate::material::TagRecord`] reads it.
    Tag[40] TAG;
}

macro_rules! rest_types {
    ($($(#[doc = $doc:literal])+ $Type:ident $KIND:ident;)+) => {
        $($(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
        pub struct $Type(pub Vec<u8>);

        impl FieldType for $Type {
            const KIND: &'static Kind = &$KIND;
            fn from_wire(bytes: &[u8]) -> Option<Self> {
                Some(Self(bytes.to_vec()))
            }
            fn to_wire(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
        })+
    };
}

rest_types! {
    /// ASCII text to the end of the payload.
    Text TEXT;
    /// Bytes without a known meaning, to the end of the payload.
    Rest REST;
    /// The tag texts of slots, `A:…;B:…;`, to the end of the payload.
    Tags TAGS;
    /// A motor parameter's value, to the end of the payload.
    ParamValue PARAM;
}

/// Declares a byte whose values have names, as a type of its own. Every byte is legal; a value
/// without a name is shown as its number.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $Type:ident $KIND:ident {
        $($value:literal $CONST:ident $name:literal,)*
    })+) => {
        $($(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $Type(pub u8);

        impl $Type {
            $(#[doc = concat!("`", $name, "`")]
            pub const $CONST: $Type = $Type($value);)*
        }

        impl $crate::message::FieldType for $Type {
            const KIND: &'static $crate::message::Kind = &$crate::message::kind::$KIND;
            const CODES: &'static [(u32, &'static str)] = &[$(($value, $name)),*];
            fn from_wire(bytes: &[u8]) -> Option<Self> {
                match bytes { [byte] => Some(Self(*byte)), _ => None }
            }
            fn to_wire(&self, out: &mut alloc::vec::Vec<u8>) {
                out.push(self.0);
            }
        })+
    };
}
pub(crate) use codes;

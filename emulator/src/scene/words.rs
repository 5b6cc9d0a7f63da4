//! What a scene writes as texts: identities, versions, parts, slots.

use std::fmt;
use std::str::FromStr;

use k485_proto::message::kind::hex_bytes;
use k485_proto::slot::Letter;

use crate::device::boxes::Family;
use crate::table::{Length, Shape, Word};

/// A box's identity, as 24 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uniid(pub [u8; 12]);

impl FromStr for Uniid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = hex_bytes(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Uniid).ok_or_else(|| format!("{text:?} is no identity; write 24 hex digits"))
    }
}

impl fmt::Display for Uniid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Word for Uniid {
    const SHAPE: Shape = Shape::Text("24 hex digits");
}

/// A text in printable ASCII, at most so long.
fn printable(text: &str, least: usize, most: usize) -> Result<(), String> {
    let fits = (least..=most).contains(&text.len());
    if fits && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(());
    }
    let count = if least == most { format!("{most}") } else { format!("{least} to {most}") };
    Err(format!("{text:?} does not fit; write {count} printable ASCII characters"))
}

/// Three characters of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionText(pub [u8; 3]);

impl FromStr for VersionText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        printable(text, 3, 3)?;
        let bytes = text.as_bytes();
        Ok(VersionText([bytes[0], bytes[1], bytes[2]]))
    }
}

impl fmt::Display for VersionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl Word for VersionText {
    const SHAPE: Shape = Shape::Text("three characters");
}

/// A version in two numbers, `1.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Version2Text(pub [u8; 2]);

impl FromStr for Version2Text {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('.').and_then(|(a, b)| Some([a.parse().ok()?, b.parse().ok()?]));
        parts.map(Version2Text).ok_or_else(|| format!("{text:?} is no version; write 1.0"))
    }
}

impl fmt::Display for Version2Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0[0], self.0[1])
    }
}

impl Word for Version2Text {
    const SHAPE: Shape = Shape::Text("a version such as 1.0");
}

/// A serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialNumber(pub String);

impl FromStr for SerialNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        printable(text, 0, 19).map(|()| SerialNumber(text.to_owned()))
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Word for SerialNumber {
    const SHAPE: Shape = Shape::Text("at most 19 characters");
}

/// How long a loader runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    /// So long.
    For(Length),
    /// Until the host starts the application.
    UntilTold,
}

/// What stands for a loader that waits.
const UNTIL_TOLD: &str = "until told";

impl FromStr for Loader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == UNTIL_TOLD {
            return Ok(Loader::UntilTold);
        }
        let why = |why| format!("{why}, or {UNTIL_TOLD:?}");
        let length: Length = text.parse().map_err(why)?;
        match u32::try_from(length.0 / 1_000_000) {
            Ok(ms) if ms < u32::MAX => Ok(Loader::For(length)),
            _ => Err(format!("{text:?} is too long; write {UNTIL_TOLD:?}")),
        }
    }
}

impl fmt::Display for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loader::For(length) => length.fmt(f),
            Loader::UntilTold => f.write_str(UNTIL_TOLD),
        }
    }
}

impl Word for Loader {
    const SHAPE: Shape = Shape::Text("a length of time, or `until told`");
}

/// A slot's tag, where it is not made of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotTag {
    /// There is one, or none, and no reader reads it.
    Unreadable,
    /// These characters.
    Text(String),
}

impl FromStr for SlotTag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unreadable" => Ok(SlotTag::Unreadable),
            text => Ok(SlotTag::Text(text.to_owned())),
        }
    }
}

impl fmt::Display for SlotTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SlotTag::Unreadable => "unreadable",
            SlotTag::Text(text) => text,
        })
    }
}

impl Word for SlotTag {
    const SHAPE: Shape = Shape::Text("40 characters, or `unreadable`");
}

/// A slot's letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterWord(pub Letter);

impl FromStr for LetterWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is = |letter: &Letter| text.len() == 1 && text.starts_with(letter.as_char());
        let letter = Letter::ALL.into_iter().find(is);
        letter.map(LetterWord).ok_or_else(|| format!("{text:?} is no slot; write A, B, C or D"))
    }
}

impl fmt::Display for LetterWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_char())
    }
}

impl Word for LetterWord {
    const SHAPE: Shape = Shape::Word(&["A", "B", "C", "D"]);
}

macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $case_doc:literal])+ $case:ident = $text:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $case_doc])+ $case,)+
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok($name::$case),)+
                    _ => Err(format!("there is no {text:?}")),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$case => $text,)+ })
            }
        }

        impl Word for $name {
            const SHAPE: Shape = Shape::Word(&[$($text),+]);
        }
    };
}

words! {
    /// A box's firmware.
    Firmware {
        /// K2's, 1.1.3: the one that was observed whole.
        Box113 = "1.1.3",
        /// K2's, 1.1.0.
        Box110 = "1.1.0",
        /// A Creality Hi's, as far as its dialect knows it.
        Hi = "hi",
        /// The kit's for K1 printers, which tells 1.1.0.
        K1 = "k1",
    }
}

impl Firmware {
    /// Whose box it makes.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Firmware::Hi => Family::Hi,
            Firmware::Box113 | Firmware::Box110 | Firmware::K1 => Family::K2,
        }
    }

    /// The version that it tells.
    #[must_use]
    pub fn version(self) -> [u8; 3] {
        match self {
            Firmware::Box113 | Firmware::Hi => *b"113",
            Firmware::Box110 | Firmware::K1 => *b"110",
        }
    }
}

words! {
    /// A part whose failure a box's hardware status tells.
    FailedPart {
        /// The EEPROM.
        Eeprom = "eeprom",
        /// The humidity sensor.
        Humidity = "humidity",
        /// The measuring wheel.
        Wheel = "wheel",
        /// The buffer.
        Buffer = "buffer",
        /// The left tag reader.
        RfidLeft = "rfid_left",
        /// The right tag reader.
        RfidRight = "rfid_right",
    }
}

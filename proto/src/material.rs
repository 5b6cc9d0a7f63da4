//! What a filament is: material codes, colours, the record on a spool's tag, feed speeds, and
//! filament length from volume.
//!
//! The tag text travels in the replies to function 02 of the boxes (one field a slot, `A:…;`) and
//! of the rack (the bare 40 characters).

use core::fmt;
use core::str::FromStr;

use alloc::format;
use alloc::string::String;

use crate::evidence::Evidence;

/// A material, by the vendor's code: six printable ASCII characters without a space, such as
/// `011002`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaterialCode([u8; 6]);

impl MaterialCode {
    /// How many characters a code has.
    pub const LEN: usize = 6;

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Checked when it was made.
        core::str::from_utf8(&self.0).unwrap_or("")
    }

    /// The speed at which the vendor's host loads the material, where it is known.
    #[must_use]
    pub fn target_speed(&self) -> Option<&'static TargetSpeed> {
        target_speed(self.as_str())
    }
}

impl fmt::Debug for MaterialCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaterialCode({self})")
    }
}

impl fmt::Display for MaterialCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for MaterialCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Materials by name, as the tags' material field holds them. Source: lists that tag writers of the
/// community share; of these only `000001` was seen in a printer.
pub static MATERIALS: [(&str, &str); 8] = [
    ("PLA", "000001"),
    ("SILK", "000002"),
    ("PETG", "000003"),
    ("ABS", "000004"),
    ("TPU", "000005"),
    ("PLA-CF", "000006"),
    ("ASA", "000007"),
    ("PA", "000008"),
];

/// The name of a material, where its code has one.
#[must_use]
pub fn name(code: &str) -> Option<&'static str> {
    MATERIALS.iter().find(|(_, own)| *own == code).map(|(name, _)| *name)
}

/// A text that is no material code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no material code: {0:?}; write six characters such as 011002")]
pub struct MaterialError(pub String);

impl FromStr for MaterialCode {
    type Err = MaterialError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.as_bytes().try_into() {
            Ok(code) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(MaterialCode(code)),
            _ => Err(MaterialError(text.into())),
        }
    }
}

/// A filament's colour, on tags and in the host as `0RRGGBB`: a zero and six hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Colour {
    /// Red, 0 to 255.
    pub red: u8,
    /// Green, 0 to 255.
    pub green: u8,
    /// Blue, 0 to 255.
    pub blue: u8,
}

impl Colour {
    /// How many characters a colour has.
    pub const LEN: usize = 7;

    /// Red, green, blue.
    #[must_use]
    pub fn rgb(self) -> [u8; 3] {
        [self.red, self.green, self.blue]
    }
}

impl From<[u8; 3]> for Colour {
    fn from([red, green, blue]: [u8; 3]) -> Self {
        Colour { red, green, blue }
    }
}

/// `026eeee`, in lower case as the host shows it.
impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("0{:02x}{:02x}{:02x}", self.red, self.green, self.blue))
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Colour {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is no colour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no colour: {0:?}; write a zero and six hex digits, such as 026eeee")]
pub struct ColourError(pub String);

/// Reads `0RRGGBB`, hex digits in either case.
impl FromStr for Colour {
    type Err = ColourError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ColourError(text.into());
        let digits = text.strip_prefix('0').ok_or_else(error)?;
        if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(error());
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| error())?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Colour { red, green, blue })
    }
}

/// The 40-character record on a spool's tag: a checked view that keeps every character.
///
/// Checked are the length and that all is ASCII; what the fields hold is not, since tags of other
/// makers fill them as they like. The positions of material and colour are host observed, those
/// of the other fields come from a document.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TagRecord<'a> {
    raw: &'a str,
}

/// One field of a [`TagRecord`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TagField {
    /// The field's name.
    pub name: &'static str,
    /// Its first character, from 0.
    pub start: usize,
    /// How many characters it has.
    pub len: usize,
    /// How its position is known.
    pub evidence: Evidence,
}

const fn field(name: &'static str, start: usize, len: usize, evidence: Evidence) -> TagField {
    TagField { name, start, len, evidence }
}

/// The fields of a [`TagRecord`]; together they are the record.
pub static TAG_FIELDS: [TagField; 10] = [
    field("month", 0, 1, Evidence::Document),
    field("day", 1, 2, Evidence::Document),
    field("year", 3, 2, Evidence::Document),
    field("supplier", 5, 4, Evidence::Document),
    field("batch", 9, 2, Evidence::Document),
    field("material", 11, 6, Evidence::Host),
    field("colour", 17, 7, Evidence::Host),
    field("length", 24, 4, Evidence::Document),
    field("serial", 28, 6, Evidence::Document),
    field("reserve", 34, 6, Evidence::Document),
];

/// Why a text is no tag record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Not 40 bytes.
    #[error("a tag record has 40 characters, not {have}")]
    Length {
        /// How many bytes there are.
        have: usize,
    },
    /// A byte above 7F.
    #[error("byte {offset} of the tag record is {found:02x}, which is not ASCII")]
    NotAscii {
        /// Where the byte is.
        offset: usize,
        /// The byte.
        found: u8,
    },
}

impl<'a> TagRecord<'a> {
    /// How many characters a record has.
    pub const LEN: usize = 40;

    /// Reads a record: exactly 40 ASCII characters, given as a text or as bytes.
    ///
    /// # Errors
    /// `Length` for any other length, then `NotAscii` for the first byte above 7F.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(tag: &'a T) -> Result<Self, TagError> {
        let bytes = tag.as_ref();
        if bytes.len() != Self::LEN {
            return Err(TagError::Length { have: bytes.len() });
        }
        if let Some(offset) = bytes.iter().position(|byte| !byte.is_ascii()) {
            return Err(TagError::NotAscii { offset, found: bytes[offset] });
        }
        match core::str::from_utf8(bytes) {
            Ok(raw) => Ok(TagRecord { raw }),
            // Not reached: ASCII is UTF-8.
            Err(error) => {
                let offset = error.valid_up_to();
                Err(TagError::NotAscii { offset, found: bytes[offset] })
            }
        }
    }

    /// All 40 characters, unchanged. They may hold control characters; `Display` escapes those.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    fn slice(&self, start: usize, len: usize) -> &'a str {
        &self.raw[start..start + len]
    }

    /// The fields in their order, with their characters.
    pub fn fields(&self) -> impl Iterator<Item = (&'static TagField, &'a str)> + use<'a> {
        let record = *self;
        TAG_FIELDS.iter().map(move |field| (field, record.slice(field.start, field.len)))
    }

    /// Month of production, one character (document).
    #[must_use]
    pub fn month(&self) -> &'a str {
        self.slice(0, 1)
    }

    /// Day of production, two characters (document).
    #[must_use]
    pub fn day(&self) -> &'a str {
        self.slice(1, 2)
    }

    /// Year of production, two characters (document).
    #[must_use]
    pub fn year(&self) -> &'a str {
        self.slice(3, 2)
    }

    /// The supplier, four characters (document).
    #[must_use]
    pub fn supplier(&self) -> &'a str {
        self.slice(5, 4)
    }

    /// The batch, two characters (document).
    #[must_use]
    pub fn batch(&self) -> &'a str {
        self.slice(9, 2)
    }

    /// The material's six characters as they are (host observed); parse them for a
    /// [`MaterialCode`].
    #[must_use]
    pub fn material(&self) -> &'a str {
        self.slice(11, 6)
    }

    /// The colour's seven characters as they are (host observed); parse them for a [`Colour`].
    #[must_use]
    pub fn colour(&self) -> &'a str {
        self.slice(17, 7)
    }

    /// The filament's length on the spool, four characters, unit unknown (document).
    #[must_use]
    pub fn length(&self) -> &'a str {
        self.slice(24, 4)
    }

    /// The spool's serial number, six characters (document).
    #[must_use]
    pub fn serial(&self) -> &'a str {
        self.slice(28, 6)
    }

    /// Six characters without a known use (document).
    #[must_use]
    pub fn reserve(&self) -> &'a str {
        self.slice(34, 6)
    }
}

impl fmt::Debug for TagRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TagRecord({:?})", self.raw)
    }
}

/// The 40 characters; control characters are escaped, so that no tag can steer a terminal.
impl fmt::Display for TagRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") }
        })
    }
}

/// How fast the vendor's host loads a material.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TargetSpeed {
    /// The material's code; `-1` stands for an unknown material.
    pub material: &'static str,
    /// The speed in mm/min.
    pub mm_per_min: f64,
    /// How it is known.
    pub evidence: Evidence,
}

const fn speed(material: &'static str, mm_per_min: f64, evidence: Evidence) -> TargetSpeed {
    TargetSpeed { material, mm_per_min, evidence }
}

/// The speeds that are known: results of the host's own look-up as traces show them.
pub static TARGET_SPEEDS: [TargetSpeed; 5] = [
    speed("011002", 360.0, Evidence::Host),
    speed("0P1002", 450.0, Evidence::Host),
    speed("0P1003", 450.0, Evidence::Host),
    speed("000001", 350.0, Evidence::Host),
    speed("-1", 360.0, Evidence::Document),
];

/// The speed for a material code, or for `-1`.
#[must_use]
pub fn target_speed(material: &str) -> Option<&'static TargetSpeed> {
    TARGET_SPEEDS.iter().find(|speed| speed.material == material)
}

/// Filament volume a length of it, as the vendor's host counts: 2.4 mm³ a mm (host observed; the
/// cross-section of 1.75 mm filament would be 2.405 mm²).
pub const MM3_PER_MM: f64 = 2.4;

/// The length in mm of filament that holds a volume in mm³, as the vendor's host computes it.
///
/// The factor is host observed. The units are inferred: the factor is the cross-section of 1.75 mm
/// filament, and the flush lengths in mm are such volumes divided by it.
#[must_use]
pub fn volume_to_length(mm3: f64) -> f64 {
    mm3 / MM3_PER_MM
}

/// The volume in mm³ of a length of filament in mm: the inverse of [`volume_to_length`].
#[must_use]
pub fn length_to_volume(mm: f64) -> f64 {
    mm * MM3_PER_MM
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const TAG: &str = "412250276A2011002026eeee0330000001000000";

    #[test]
    fn codes() {
        let code: MaterialCode = "0P1002".parse().unwrap();
        assert_eq!(code.to_string(), "0P1002");
        assert_eq!(code.target_speed().unwrap().mm_per_min, 450.0);
        for text in ["", "-1", "01100", "0110020", "01 002", "01100\u{7}", "0110é"] {
            assert_eq!(text.parse::<MaterialCode>(), Err(MaterialError(text.into())));
        }
    }

    #[test]
    fn colours() {
        let colour: Colour = "026EEEE".parse().unwrap();
        assert_eq!(colour.rgb(), [0x26, 0xee, 0xee]);
        assert_eq!(colour.to_string(), "026eeee");
        assert_eq!(Colour::from([0, 1, 255]).to_string(), "00001ff");
        for text in ["", "26eeee", "126eeee", "026eee", "026eeeee", "0+6eeee", "026eeeg", "026eeé"]
        {
            assert_eq!(text.parse::<Colour>(), Err(ColourError(text.into())));
        }
    }

    #[test]
    fn a_tag_taken_apart() {
        let tag = TagRecord::parse(TAG).unwrap();
        assert_eq!(
            tag.fields().map(|(field, text)| (field.name, text)).collect::<Vec<_>>(),
            [
                ("month", "4"),
                ("day", "12"),
                ("year", "25"),
                ("supplier", "0276"),
                ("batch", "A2"),
                ("material", "011002"),
                ("colour", "026eeee"),
                ("length", "0330"),
                ("serial", "000001"),
                ("reserve", "000000"),
            ]
        );
        let named = [
            tag.month(),
            tag.day(),
            tag.year(),
            tag.supplier(),
            tag.batch(),
            tag.material(),
            tag.colour(),
            tag.length(),
            tag.serial(),
            tag.reserve(),
        ];
        assert!(tag.fields().map(|(_, text)| text).eq(named));
        assert_eq!(tag.material().parse::<MaterialCode>().unwrap().to_string(), "011002");
        assert_eq!(tag.colour().parse::<Colour>().unwrap().rgb(), [0x26, 0xee, 0xee]);
        assert_eq!(tag.to_string(), TAG);
    }

    #[test]
    fn no_tags() {
        assert_eq!(TagRecord::parse(&TAG[1..]), Err(TagError::Length { have: 39 }));
        assert_eq!(TagRecord::parse(b"none"), Err(TagError::Length { have: 4 }));
        let mut bytes = TAG.as_bytes().to_vec();
        bytes[39] = 0xff;
        assert_eq!(TagRecord::parse(&bytes), Err(TagError::NotAscii { offset: 39, found: 0xff }));
        bytes[39] = 0x1b;
        let tag = TagRecord::parse(&bytes).unwrap();
        assert_eq!(tag.raw().as_bytes(), bytes);
        assert!(tag.to_string().ends_with("00000\\u{1b}"));
    }

    #[test]
    fn volumes_as_the_host_computes_them() {
        for (mm3, mm) in [
            (0.0, 0.0),
            (1.0, 0.4166666666666667),
            (183.0, 76.25),
            (500.5, 208.54166666666669),
            (-5.0, -2.0833333333333335),
        ] {
            assert_eq!(volume_to_length(mm3), mm);
        }
        assert_eq!(length_to_volume(76.25), 183.0);
    }

    #[test]
    fn speeds() {
        assert_eq!(target_speed("-1").unwrap().evidence, Evidence::Document);
        assert_eq!(target_speed("000018"), None);
    }

    proptest! {
        #[test]
        fn every_colour_round_trips(rgb in any::<[u8; 3]>()) {
            prop_assert_eq!(Colour::from(rgb).to_string().parse(), Ok(Colour::from(rgb)));
        }

        #[test]
        fn any_bytes_are_a_tag_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            match TagRecord::parse(&bytes) {
                Ok(tag) => {
                    let joined: String = tag.fields().map(|(_, text)| text).collect();
                    prop_assert_eq!(joined.as_bytes(), &bytes);
                }
                Err(TagError::Length { have }) => prop_assert_eq!(have, bytes.len()),
                Err(TagError::NotAscii { offset, found }) => {
                    prop_assert_eq!(bytes[offset], found);
                    prop_assert!(bytes[..offset].is_ascii() && !found.is_ascii());
                }
            }
        }

        #[test]
        fn ascii_tags_keep_every_character(bytes in proptest::collection::vec(0_u8..128, 40)) {
            prop_assert_eq!(TagRecord::parse(&bytes).unwrap().raw().as_bytes(), &bytes);
        }

        #[test]
        fn any_text_is_a_code_or_colour_or_an_error(text in ".{0,9}") {
            if let Ok(code) = text.parse::<MaterialCode>() {
                prop_assert_eq!(code.to_string(), &*text);
            }
            if let Ok(colour) = text.parse::<Colour>() {
                prop_assert_eq!(colour.to_string(), text.to_lowercase());
            }
        }
    }
}

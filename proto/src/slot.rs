//! Slots of the boxes: `T1A` to `T4D`.
//!
//! On the wire a slot is one bit of a mask, A=01 B=02 C=04 D=08, and the box is the address; the
//! index 0..3 exists only inside the firmware. Source: captures and the vendor's live constants.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// One of the four slots of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Letter {
    /// Wire mask 01.
    A,
    /// Wire mask 02.
    B,
    /// Wire mask 04.
    C,
    /// Wire mask 08.
    D,
}

impl Letter {
    /// A to D.
    pub const ALL: [Letter; 4] = [Letter::A, Letter::B, Letter::C, Letter::D];

    /// 0 for A to 3 for D.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The bit on the wire: 01, 02, 04 or 08.
    #[must_use]
    pub fn mask(self) -> u8 {
        1 << self.index()
    }

    /// The letter as a character.
    #[must_use]
    pub fn as_char(self) -> char {
        ['A', 'B', 'C', 'D'][self.index()]
    }

    /// `A` to `D`, in either case.
    #[must_use]
    pub fn from_char(c: char) -> Option<Letter> {
        Letter::ALL.into_iter().find(|letter| letter.as_char() == c.to_ascii_uppercase())
    }
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_char().encode_utf8(&mut [0; 4]))
    }
}

/// A set of slots, as the mask byte carries it. Bits above 08 are kept and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SlotSet(pub u8);

impl SlotSet {
    /// No slot.
    pub const NONE: SlotSet = SlotSet(0);
    /// All four slots.
    pub const ALL: SlotSet = SlotSet(0x0f);

    /// The letters in the set.
    pub fn letters(self) -> impl Iterator<Item = Letter> {
        Letter::ALL.into_iter().filter(move |letter| self.0 & letter.mask() != 0)
    }

    /// The letter, if the set holds exactly one and no unknown bit.
    #[must_use]
    pub fn single(self) -> Option<Letter> {
        Letter::ALL.into_iter().find(|letter| letter.mask() == self.0)
    }

    /// The bits that stand for no slot.
    #[must_use]
    pub fn unknown_bits(self) -> u8 {
        self.0 & 0xf0
    }
}

impl From<Letter> for SlotSet {
    fn from(letter: Letter) -> Self {
        SlotSet(letter.mask())
    }
}

impl FromIterator<Letter> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Letter>>(letters: I) -> Self {
        SlotSet(letters.into_iter().fold(0, |mask, letter| mask | letter.mask()))
    }
}

/// `A`, `A+C`, `none`; unknown bits as `A+0x10`.
impl fmt::Display for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("none");
        }
        let mut text = String::new();
        for letter in self.letters() {
            text.push_str(if text.is_empty() { "" } else { "+" });
            text.push(letter.as_char());
        }
        if self.unknown_bits() != 0 {
            text.push_str(if text.is_empty() { "" } else { "+" });
            text += &format!("0x{:02x}", self.unknown_bits());
        }
        f.pad(&text)
    }
}

/// A text that names no slot or set of slots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no slot: {text:?}; write {write}")]
pub struct SlotError {
    /// The text.
    pub text: String,
    /// What would be right.
    pub write: &'static str,
}

/// Reads what `Display` writes, and `ABCD`, `A,B`, `all`, `0x0f`.
impl FromStr for SlotSet {
    type Err = SlotError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let write = "A, A+C, ABCD, none, all, or a mask such as 0x0f";
        let error = || SlotError { text: text.into(), write };
        match text.to_ascii_lowercase().as_str() {
            "none" | "0" => return Ok(SlotSet::NONE),
            "all" => return Ok(SlotSet::ALL),
            "" => return Err(error()),
            _ => {}
        }
        let mut mask = 0;
        for part in text.split(['+', ',']) {
            let lower = part.to_ascii_lowercase();
            if let Some(digits) = lower.strip_prefix("0x").filter(|d| !d.starts_with('+')) {
                mask |= u8::from_str_radix(digits, 16).map_err(|_| error())?;
            } else if part.is_empty() {
                return Err(error());
            } else {
                for c in part.chars() {
                    mask |= Letter::from_char(c).ok_or_else(error)?.mask();
                }
            }
        }
        Ok(SlotSet(mask))
    }
}

/// One slot of one box, as the printer names it: `T1A` to `T4D`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The box, 1 to 4, which is also its address.
    pub device: u8,
    /// The slot in the box.
    pub letter: Letter,
}

impl Slot {
    /// All sixteen, `T1A` to `T4D`.
    pub fn all() -> impl Iterator<Item = Slot> {
        (1..=4)
            .flat_map(|device| Letter::ALL.into_iter().map(move |letter| Slot { device, letter }))
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("T{}{}", self.device, self.letter))
    }
}

impl FromStr for Slot {
    type Err = SlotError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut chars = text.chars();
        let (t, number, letter, end) = (chars.next(), chars.next(), chars.next(), chars.next());
        match (t, number, letter.and_then(Letter::from_char), end) {
            (Some('T' | 't'), Some(number @ '1'..='4'), Some(letter), None) => {
                Ok(Slot { device: number as u8 - b'0', letter })
            }
            _ => Err(SlotError { text: text.into(), write: "T1A to T4D" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_set_round_trips() {
        for mask in 0..=255 {
            let set = SlotSet(mask);
            assert_eq!(set.to_string().parse(), Ok(set), "{set}");
        }
    }

    #[test]
    fn sets_in_other_spellings() {
        for (text, mask) in
            [("ABCD", 0x0f), ("a,d", 0x09), ("all", 0x0f), ("0x10", 0x10), ("D", 0x08), ("0", 0)]
        {
            assert_eq!(text.parse(), Ok(SlotSet(mask)), "{text}");
        }
        for text in ["", "E", "A+", "0x", "0x100", "1"] {
            assert!(text.parse::<SlotSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_width_is_kept() {
        let slot: Slot = "T2A".parse().unwrap();
        assert_eq!(format!("{slot:>7}|{slot:<4}|"), "    T2A|T2A |");
        assert_eq!(format!("{:>3}|{:<6}|{:>6}", Letter::B, SlotSet(0x15), SlotSet(0)), {
            "  B|A+C+0x10|  none"
        });
    }

    #[test]
    fn slots_round_trip() {
        assert_eq!(Slot::all().count(), 16);
        for slot in Slot::all() {
            assert_eq!(slot.to_string().parse(), Ok(slot));
        }
        for text in ["T0A", "T5A", "T1E", "T1", "T1AA", "1A", ""] {
            assert!(text.parse::<Slot>().is_err(), "{text}");
        }
    }
}

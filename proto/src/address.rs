//! Addresses and device classes.
//!
//! Sources: 01–04, 81–85 and FB–FF in captures; 11, 21, 22, 80, 86–88 from what the vendor's host
//! sends or its tables name; EA and EB from the box firmware's parser (EB also in a capture); 91 and
//! 92 from a vendor table that shipped code leaves out.

use core::fmt;
use core::str::FromStr;

use alloc::format;
use alloc::string::String;

/// The ADDR byte of a frame. The CRC does not cover it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u8);

/// Which device, or which group of devices, an address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// A filament box, 1 to 4 (addresses 01–04).
    Box(u8),
    /// The filament rack's tag reader (address 11).
    Rack,
    /// A belt module: 1 is x, 2 is y (addresses 21, 22).
    Belt(u8),
    /// A closed-loop motor, 0 to 8 (addresses 80–88); 1 to 4 are x, y, z, z1.
    Motor(u8),
    /// A belt tension motor of the vendor's table, 1 or 2 (addresses 91, 92). Nothing talks to
    /// them.
    Tension(u8),
    /// Factory access to a box (address EA): it executes and keeps silent about errors.
    FactorySilent,
    /// Factory access to a box (address EB): it answers from its own address.
    Factory,
    /// Where a device of a class that nobody knows would be without an address (address FB). A Hi's
    /// host asks there at boot, and nobody answered.
    AllOther,
    /// Every belt tension motor without an address (address FC). Asked at boot by a Hi's host, and
    /// nobody answered.
    AllTension,
    /// Every motor that holds no address yet, and such a motor's own answers (address FD).
    AllMotors,
    /// Every box that holds no address yet, and such a box's own answers (address FE).
    Unassigned,
    /// Everyone (address FF).
    All,
    /// An address that no source names.
    Unknown(u8),
}

/// A family of devices that share one table of functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Filament boxes, with FE, EA and EB.
    Box,
    /// Closed-loop motors.
    Motor,
    /// Belt modules.
    Belt,
    /// The filament rack.
    Rack,
    /// Address management, on any address: A0–A3 and 0B to everyone.
    Addressing,
    /// A class that a dialect adds, by its name.
    Other(&'static str),
}

impl Class {
    /// The classes of this crate, in the order of the book.
    pub const ALL: [Class; 5] =
        [Class::Box, Class::Addressing, Class::Motor, Class::Belt, Class::Rack];

    /// The class in one lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::Box => "box",
            Class::Motor => "motor",
            Class::Belt => "belt",
            Class::Rack => "rack",
            Class::Addressing => "addressing",
            Class::Other(name) => name,
        }
    }
}

impl Address {
    /// The filament rack's tag reader.
    pub const RACK: Address = Address(0x11);
    /// Factory access, silent about errors.
    pub const FACTORY_SILENT: Address = Address(0xea);
    /// Factory access, answered.
    pub const FACTORY: Address = Address(0xeb);
    /// Motors without an address.
    pub const ALL_MOTORS: Address = Address(0xfd);
    /// Boxes without an address.
    pub const UNASSIGNED: Address = Address(0xfe);
    /// Everyone.
    pub const ALL: Address = Address(0xff);

    /// The device or group that the address names.
    #[must_use]
    pub fn device(self) -> Device {
        match self.0 {
            n @ 0x01..=0x04 => Device::Box(n),
            0x11 => Device::Rack,
            n @ 0x21..=0x22 => Device::Belt(n - 0x20),
            n @ 0x80..=0x88 => Device::Motor(n - 0x80),
            n @ 0x91..=0x92 => Device::Tension(n - 0x90),
            0xea => Device::FactorySilent,
            0xeb => Device::Factory,
            0xfb => Device::AllOther,
            0xfc => Device::AllTension,
            0xfd => Device::AllMotors,
            0xfe => Device::Unassigned,
            0xff => Device::All,
            n => Device::Unknown(n),
        }
    }

    /// The class of the device; `None` for FF, FC, FB, 91, 92 and unknown
    /// addresses.
    #[must_use]
    pub fn class(self) -> Option<Class> {
        match self.device() {
            Device::Box(_) | Device::Unassigned | Device::Factory | Device::FactorySilent => {
                Some(Class::Box)
            }
            Device::Motor(_) | Device::AllMotors => Some(Class::Motor),
            Device::Belt(_) => Some(Class::Belt),
            Device::Rack => Some(Class::Rack),
            Device::Tension(_)
            | Device::AllOther
            | Device::AllTension
            | Device::All
            | Device::Unknown(_) => None,
        }
    }

    /// Whether nobody answers what is sent here: FF, everyone. At the other addresses of
    /// [`is_group`](Address::is_group) devices without an address answer: boxes at FE and motors at
    /// FD were seen to.
    #[must_use]
    pub fn is_broadcast(self) -> bool {
        self == Address::ALL
    }

    /// Whether this is no one device's address: FB to FE, each the devices of a class that have no
    /// address yet, and FF.
    #[must_use]
    pub fn is_group(self) -> bool {
        self.0 >= 0xfb
    }

    /// Whether no source names the address: a damaged ADDR passes the CRC, so such a frame is
    /// shown with a mark.
    #[must_use]
    pub fn is_implausible(self) -> bool {
        matches!(self.device(), Device::Unknown(_))
    }
}

/// The names that have no number.
const WORDS: [(&str, u8); 8] = [
    ("rack", 0x11),
    ("factory-silent", 0xea),
    ("factory", 0xeb),
    ("all-other", 0xfb),
    ("all-tension", 0xfc),
    ("all-motors", 0xfd),
    ("unassigned", 0xfe),
    ("all", 0xff),
];

/// The numbered names: word, what is added to the number, the smallest and the largest number.
const NUMBERED: [(&str, u8, u8, u8); 4] =
    [("box", 0x00, 1, 4), ("belt", 0x20, 1, 2), ("motor", 0x80, 0, 8), ("tension", 0x90, 1, 2)];

/// `box1`, `motor1`, `belt1`, `rack`, `unassigned`, …; an unknown address as `0x41`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((word, _)) = WORDS.iter().find(|(_, addr)| *addr == self.0) {
            return f.pad(word);
        }
        for (word, base, least, most) in NUMBERED {
            if (base + least..=base + most).contains(&self.0) {
                return f.pad(&format!("{word}{}", self.0 - base));
            }
        }
        f.pad(&format!("0x{:02x}", self.0))
    }
}

/// A text that names no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no address: {0:?}; write box1..box4, motor0..motor8, belt1, belt2, rack, unassigned, all, \
     all-motors, factory, factory-silent, or a hex byte such as 0x41"
)]
pub struct AddressError(pub String);

/// Reads what `Display` writes, and any byte as `0x41`.
impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = text.to_ascii_lowercase().replace('_', "-");
        if let Some((_, addr)) = WORDS.iter().find(|(name, _)| *name == word) {
            return Ok(Address(*addr));
        }
        for (name, base, least, most) in NUMBERED {
            let number = word.strip_prefix(name).and_then(|rest| rest.parse::<u8>().ok());
            if let Some(number) = number.filter(|number| (least..=most).contains(number)) {
                return Ok(Address(base + number));
            }
        }
        word.strip_prefix("0x")
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .map(Address)
            .ok_or_else(|| AddressError(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_round_trip_for_every_byte() {
        for byte in 0..=255 {
            let addr = Address(byte);
            assert_eq!(addr.to_string().parse(), Ok(addr), "{addr}");
        }
    }

    #[test]
    fn the_named_ones() {
        for (name, byte) in [
            ("box1", 0x01),
            ("BOX4", 0x04),
            ("rack", 0x11),
            ("belt2", 0x22),
            ("motor1", 0x81),
            ("tension1", 0x91),
            ("all-other", 0xfb),
            ("all_motors", 0xfd),
            ("unassigned", 0xfe),
            ("0x41", 0x41),
        ] {
            assert_eq!(name.parse(), Ok(Address(byte)), "{name}");
        }
        for text in ["box0", "box5", "motor9", "belt", "box+1x", "", "0x", "0x1ff", "41"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn implausible_means_in_no_table() {
        assert!(Address(0x41).is_implausible());
        assert!(Address(0x00).is_implausible());
        assert!(!Address(0x91).is_implausible());
        assert!(!Address::FACTORY.is_implausible());
        assert!(!Address(0xfb).is_implausible());
    }
}

//! The printer's message keys: `key849` and its like, what the host shows to its user.
//!
//! Covered are the keys that this bus brings about: belts (712–721), motors (781–803), boxes and
//! their path to the nozzle (831–866). A key that no source explains has no entry. The meanings
//! are the vendor's, in our words.

use core::fmt;
use core::str::FromStr;

use alloc::string::String;

use crate::evidence::Evidence;
use crate::status::{STATUSES, StatusInfo};

/// The number of a printer message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Key(pub u16);

/// What is known of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct KeyInfo {
    /// The key.
    pub key: Key,
    /// What is wrong, in one phrase.
    pub meaning: &'static str,
    /// How `meaning` is known.
    pub evidence: Evidence,
}

const fn host(key: u16, meaning: &'static str) -> KeyInfo {
    KeyInfo { key: Key(key), meaning, evidence: Evidence::Host }
}

const fn inferred(key: u16, meaning: &'static str) -> KeyInfo {
    KeyInfo { key: Key(key), meaning, evidence: Evidence::Inferred }
}

/// All keys that are explained, in ascending order.
///
/// That the belt keys come in pairs x, y is inferred from the order of the modules.
pub static KEYS: &[KeyInfo] = &[
    inferred(712, "belt module x does not answer"),
    inferred(713, "belt module y does not answer"),
    inferred(714, "belt module x is not calibrated"),
    inferred(715, "belt module y is not calibrated"),
    inferred(720, "belt module x reads zero"),
    inferred(721, "belt module y reads zero"),
    host(781, "motor: the encoder value jumped"),
    host(782, "motor: the encoder could not be read"),
    host(783, "motor: peak current above the software limit"),
    host(784, "motor: continuous current above the software limit"),
    host(785, "motor: over-current found by the hardware"),
    host(786, "motor: speed limit exceeded"),
    host(787, "motor: position limit exceeded"),
    host(788, "motor: the commanded position jumped"),
    host(789, "motor: the position error is too large"),
    host(790, "motor: resistance or inductance is abnormal"),
    host(791, "motor: the step response is unstable"),
    host(792, "motor: a phase is not connected"),
    host(793, "motor: the phase resistances differ"),
    host(794, "motor: another error"),
    host(795, "motor warning: communication"),
    host(796, "motor warning: supply voltage too low"),
    host(797, "motor warning: the controller is too hot"),
    host(798, "motor: no connection"),
    host(799, "motor: a pin could not be read or set"),
    host(800, "motor: a pin could not be read or set"),
    host(801, "motor: the stall mode could not be set"),
    host(802, "motor: the stall mode could not be set"),
    host(803, "motor: a parameter could not be set"),
    host(831, "no answer on the bus within the time-out, after all retries"),
    host(834, "the box refused the request's parameters"),
    host(835, "extrude: blocked at the hub"),
    host(836, "extrude: blocked between the hub and the toolhead sensor"),
    host(837, "extrude: blocked between the toolhead sensor and the extruder gears"),
    host(838, "extrude: through the hub, but no further"),
    host(839, "no filament at the box's inlet"),
    host(840, "the box is in the wrong state for the action"),
    host(841, "the cutter did not spring back"),
    host(843, "the tag could not be read"),
    host(844, "the pneumatic joint is abnormal and may come off"),
    host(845, "the nozzle is blocked"),
    host(846, "the box feeds more slowly than the extruder takes"),
    host(847, "the spool is tangled"),
    host(848, "filament is missing, perhaps broken off in the hub"),
    host(849, "retract: the filament could not leave the hub"),
    host(850, "retract: no slot was named and several hub sensors are on"),
    host(851, "retract: done, but the buffer is not empty"),
    host(852, "the toolhead sensor and the box disagree"),
    host(853, "the box's humidity sensor is faulty"),
    host(854, "filament is present while cutting"),
    host(855, "the cut position is wrong"),
    host(856, "there is no cutter"),
    host(857, "a box motor is overloaded"),
    host(858, "the box's EEPROM is faulty"),
    host(859, "the box's odometer is faulty"),
    host(860, "the buffer is faulty"),
    host(861, "the left tag reader is faulty"),
    host(862, "the right tag reader is faulty"),
    host(863, "retract: done, but the toolhead sensor is still on"),
    host(864, "extrude: done, but the buffer never became full"),
    host(865, "retract: the filament could not leave the hub, during an unload"),
    host(866, "there is no cutter"),
];

/// Bits of a motor's error word that have a key, and the key of bit 0.
const MOTOR_ERRORS: (u8, u16) = (14, 781);
/// Bits of a motor's warning word that have a key, and the key of bit 0.
const MOTOR_WARNINGS: (u8, u16) = (3, 795);

fn motor_bit((bits, first): (u8, u16), bit: u8) -> Option<&'static KeyInfo> {
    if bit < bits { Key(first + u16::from(bit)).info() } else { None }
}

/// The key of bit `bit` (0 to 13) of a motor's error word, the first little-endian u32 of a
/// protection reply: key781 + bit. Host observed.
#[must_use]
pub fn motor_error(bit: u8) -> Option<&'static KeyInfo> {
    motor_bit(MOTOR_ERRORS, bit)
}

/// The key of bit `bit` (0 to 2) of a motor's warning word, the second little-endian u32 of a
/// protection reply: key795 + bit. Host observed.
#[must_use]
pub fn motor_warning(bit: u8) -> Option<&'static KeyInfo> {
    motor_bit(MOTOR_WARNINGS, bit)
}

/// The STATUS codes for which the host was observed to report `key`. Codes for which it is only
/// likely are not among them; see [`StatusInfo::likely_keys`].
pub fn statuses_of(key: Key) -> impl Iterator<Item = &'static StatusInfo> {
    STATUSES.iter().filter(move |info| info.observed_keys().any(|observed| observed == key.0))
}

impl Key {
    /// What is known of the key.
    #[must_use]
    pub fn info(self) -> Option<&'static KeyInfo> {
        KEYS.iter().find(|info| info.key == self)
    }
}

/// `key849`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key{}", self.0)
    }
}

/// A text that names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no printer key: {0:?}; write key849 or 849")]
pub struct KeyError(pub String);

/// Reads `key849` (in either case) and `849`.
impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = match text.split_at_checked(3) {
            Some((word, digits)) if word.eq_ignore_ascii_case("key") => digits,
            _ => text,
        };
        if digits.starts_with('+') {
            return Err(KeyError(text.into()));
        }
        digits.parse().map(Key).map_err(|_| KeyError(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    #[test]
    fn keys_round_trip() {
        assert!(KEYS.is_sorted_by(|a, b| a.key < b.key));
        for info in KEYS {
            assert_eq!(info.key.to_string().parse(), Ok(info.key));
        }
        assert_eq!("KEY849".parse(), Ok(Key(849)));
        assert_eq!("849".parse(), Ok(Key(849)));
        for text in ["", "key", "key+1", "+849", "key 849", "key65536", "kéy1", "ключ"] {
            assert_eq!(text.parse::<Key>(), Err(KeyError(text.into())));
        }
    }

    #[test]
    fn motor_bits() {
        assert_eq!(motor_error(0).unwrap().key, Key(781));
        assert_eq!(motor_error(8).unwrap().key, Key(789));
        assert_eq!(motor_error(13).unwrap().key, Key(794));
        assert_eq!(motor_error(14), None);
        assert_eq!(motor_warning(0).unwrap().key, Key(795));
        assert_eq!(motor_warning(2).unwrap().key, Key(797));
        assert_eq!(motor_warning(3), None);
        assert_eq!(motor_warning(255), None);
    }

    #[test]
    fn from_a_key_back_to_the_statuses() {
        let codes = |key| statuses_of(Key(key)).map(|info| info.code.0).collect::<Vec<_>>();
        assert_eq!(codes(849), [0x14, 0x19, 0x1a]);
        assert_eq!(codes(865), [0x14, 0x19]);
        assert_eq!(codes(844), [0x0b]);
        // Likely is not observed, and a time-out is no STATUS.
        assert!(codes(851).is_empty());
        assert!(codes(831).is_empty());
    }
}

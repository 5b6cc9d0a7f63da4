//! STATUS codes: what a reply says of its request's outcome.
//!
//! The names are those of the vendor's live host. The situations are those in which box firmware
//! 1.1.3 emits the code, where it does. The printer keys fall into three kinds that are kept
//! apart: observed whatever the command, observed in a load or an unload only, and likely ones
//! that fit by their meaning and that nobody saw reported for the code.
//!
//! A code's keys are what the host *may* report: sent one by one, every command reports 01 and 22,
//! and most report the other codes that have a key; a code without one fails silently.

use core::fmt;
use core::str::FromStr;

use alloc::format;
use alloc::string::String;

use crate::evidence::Evidence;

/// The STATUS byte of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Status(pub u8);

/// What is known of one STATUS code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StatusInfo {
    /// The code.
    pub code: Status,
    /// The vendor's name (host observed); `None` where the vendor's list has none.
    pub name: Option<&'static str>,
    /// The physical situation in one sentence.
    pub meaning: &'static str,
    /// How `meaning` is known.
    pub evidence: Evidence,
    /// The key that the host was observed to report for the code, whatever the command (at most
    /// one). Not every command reports it: `EXTRUDE_PROCESS` keeps silent about 03, and
    /// `GET_BOX_STATE` reports 01, 03 and 22 only.
    pub keys: &'static [u16],
    /// Keys that the host was observed to report for the code in the middle of a load or an
    /// unload instead: 836 when stage 05 keeps answering 0A, 864 for 0D in stage 06, and on
    /// `RETRUDE_PROCESS` 865 for 14 and 19 and 849 for 1A.
    pub context_keys: &'static [u16],
    /// Keys whose meaning fits the code though the host was never seen to report them for it:
    /// inferred. Several of the codes passed silently in the loads and unloads observed.
    pub likely_keys: &'static [u16],
}

impl StatusInfo {
    /// Every key that was observed for the code: the general one first, then those of loads and
    /// unloads.
    pub fn observed_keys(&self) -> impl Iterator<Item = u16> {
        self.keys.iter().chain(self.context_keys).copied()
    }
}

const fn info(
    code: u8,
    name: &'static str,
    evidence: Evidence,
    meaning: &'static str,
    keys: &'static [u16],
    context_keys: &'static [u16],
    likely_keys: &'static [u16],
) -> StatusInfo {
    let name = if name.is_empty() { None } else { Some(name) };
    StatusInfo { code: Status(code), name, meaning, evidence, keys, context_keys, likely_keys }
}

use Evidence::{Firmware, Inferred, Wire};

/// All codes that are known, in ascending order. FF is not among them: it marks a request.
#[rustfmt::skip]
pub static STATUSES: &[StatusInfo] = &[
    info(0x00, "OK", Wire, "done, or nothing wrong", &[], &[], &[]),
    info(0x01, "PARAMS_ERR", Wire,
        "the request's LEN, slot mask or argument does not fit, or the function is unknown",
        &[834], &[], &[]),
    info(0x02, "CRC_ERR", Firmware, "the request arrived with a wrong CRC", &[], &[], &[]),
    info(0x03, "STATE_ERR", Firmware,
        "the box is in a state that does not allow the command", &[840], &[], &[]),
    info(0x04, "LENGTH_ERR", Inferred,
        "wrong request length, by its name; box firmware 1.1.3 answers 01 instead", &[], &[], &[]),
    info(0x05, "EXTRUDE_ERR1", Firmware,
        "the slot's feeder ran 7 s and the filament did not reach the hub sensor",
        &[835], &[], &[]),
    info(0x08, "EXTRUDE_ERR4", Firmware, "no filament at the slot's inlet", &[839], &[], &[]),
    info(0x09, "EXTRUDE_ERR5", Firmware,
        "the hub sensor was reached, then the odometer did not move 20 mm in 2 s",
        &[838], &[], &[]),
    info(0x0a, "EXTRUDE_ERR6", Firmware,
        "the feed was not ended within 25 s, or the hub motor moved nothing in three tries",
        &[], &[836], &[]),
    info(0x0b, "EXTRUDE_ERR7", Firmware,
        "more than 3000 mm were fed without the feed being ended", &[844], &[], &[]),
    info(0x0c, "EXTRUDE_ERR8", Wire,
        "the odometer stood still for 0.5 s during a feed; usual when the tip meets the extruder",
        &[], &[], &[836, 837]),
    info(0x0d, "EXTRUDE_ERR10", Firmware,
        "after the toolhead sensor tripped the buffer did not read full within 3 s",
        &[], &[864], &[]),
    info(0x0e, "EXTRUDE_ERR9", Firmware,
        "a push moved less than half of its length within 0.3 s", &[], &[], &[837, 838]),
    info(0x13, "RETRUDE_ERR1", Firmware,
        "pulling back did not reach the buffer's empty switch within 5 s", &[], &[], &[851]),
    info(0x14, "RETRUDE_ERR2", Firmware,
        "the filament did not leave the hub sensor, after all retries", &[849], &[865], &[]),
    info(0x15, "RETRUDE_ERR3", Firmware,
        "several hub sensors are on and the command named no slot", &[850], &[], &[]),
    info(0x16, "RETRUDE_ERR4", Firmware,
        "the named slot holds no filament, or there is none to work on", &[], &[], &[848]),
    info(0x17, "RETRUDE_ERR5", Firmware,
        "the slot's inlet was empty when pulling into the slot began", &[], &[], &[848]),
    info(0x18, "", Firmware,
        "no slot holds filament; internal to the firmware, which answers 16 for it",
        &[], &[], &[]),
    info(0x19, "RETRUDE_ERR6", Firmware,
        "a motor was blocked while pulling back", &[849], &[865], &[]),
    info(0x1a, "RETRUDE_ERR7", Firmware, "pulling back took more than 40 s", &[], &[849], &[]),
    info(0x22, "MOTOR_LOAD_ERR", Inferred,
        "a motor is overloaded, by its name and key; not found in the firmware", &[857], &[], &[]),
    info(0x30, "UPDATE_STATE", Firmware,
        "no error: the state reply carries one change code a slot instead of its usual data",
        &[], &[], &[]),
    info(0x50, "FILAMENT_ERR", Firmware,
        "while printing, the feeding slot's inlet or hub sensor lost the filament",
        &[], &[], &[839]),
    info(0x51, "SPEED_ERR", Inferred,
        "the box feeds more slowly than the extruder takes, by its name; not found in the firmware",
        &[], &[], &[846]),
    info(0x52, "ENWIND_ERR", Inferred,
        "the spool is tangled, by its name; not found in the firmware", &[], &[], &[847]),
];

/// How FF is written: it is no outcome.
const REQUEST: &str = "REQUEST";

impl Status {
    /// Done, or nothing wrong.
    pub const OK: Status = Status(0x00);
    /// What requests to boxes and the rack carry.
    pub const REQUEST: Status = Status(0xff);

    /// What is known of the code; `None` for FF and for codes that no source has.
    #[must_use]
    pub fn info(self) -> Option<&'static StatusInfo> {
        STATUSES.iter().find(|info| info.code == self)
    }

    /// The vendor's name, where there is one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.info().and_then(|info| info.name)
    }
}

/// The vendor's name (`OK`, `RETRUDE_ERR2`), `REQUEST` for FF, `0x18` for a code without a name.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None if *self == Status::REQUEST => f.pad(REQUEST),
            None => f.pad(&format!("0x{:02x}", self.0)),
        }
    }
}

/// A text that names no STATUS code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no status: {0:?}; write a name such as OK or RETRUDE_ERR2, or a hex byte such as 0x14")]
pub struct StatusError(pub String);

/// Reads what `Display` writes, names in either case, and any byte as `0x14`.
impl FromStr for Status {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case(REQUEST) {
            return Ok(Status::REQUEST);
        }
        let named =
            STATUSES.iter().find(|i| i.name.is_some_and(|name| name.eq_ignore_ascii_case(text)));
        if let Some(info) = named {
            return Ok(info.code);
        }
        text.strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .map(Status)
            .ok_or_else(|| StatusError(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use alloc::string::ToString;

    #[test]
    fn every_byte_round_trips() {
        for byte in 0..=255 {
            let status = Status(byte);
            let text = status.to_string();
            assert_eq!(text.parse(), Ok(status), "{text}");
            assert_eq!(text.to_lowercase().parse(), Ok(status), "{text}");
            assert_eq!(format!("0x{byte:02X}").parse(), Ok(status));
        }
    }

    #[test]
    fn names_of_the_vendor() {
        for (byte, name) in [
            (0x00, "OK"),
            (0x0d, "EXTRUDE_ERR10"),
            (0x0e, "EXTRUDE_ERR9"),
            (0x14, "RETRUDE_ERR2"),
            (0x17, "RETRUDE_ERR5"),
            (0x18, "0x18"),
            (0x19, "RETRUDE_ERR6"),
            (0x1a, "RETRUDE_ERR7"),
            (0x22, "MOTOR_LOAD_ERR"),
            (0x30, "UPDATE_STATE"),
            (0x52, "ENWIND_ERR"),
            (0x06, "0x06"),
            (0xff, "REQUEST"),
        ] {
            assert_eq!(Status(byte).to_string(), name);
        }
        assert_eq!(STATUSES.iter().filter(|info| info.name.is_some()).count(), 25);
    }

    #[test]
    fn texts_that_name_nothing() {
        for text in ["", "0x", "0x+1", "0x100", "20", "RETRUDE_ERR", "OK ", "0x1g"] {
            assert_eq!(text.parse::<Status>(), Err(StatusError(text.into())));
        }
    }

    #[test]
    fn the_table_is_sorted_and_its_keys_are_known_and_in_one_kind_each() {
        assert!(STATUSES.is_sorted_by(|a, b| a.code < b.code));
        for info in STATUSES {
            assert!(info.keys.len() <= 1, "{}", info.code);
            for key in info.observed_keys().chain(info.likely_keys.iter().copied()) {
                assert!(Key(key).info().is_some(), "{} key{key}", info.code);
            }
            assert!(!info.observed_keys().any(|key| info.likely_keys.contains(&key)));
        }
    }

    #[test]
    fn general_and_context_keys() {
        let info = Status(0x14).info().unwrap();
        assert_eq!(info.observed_keys().collect::<alloc::vec::Vec<_>>(), [849, 865]);
        assert!(Status(0x0a).info().unwrap().keys.is_empty());
        assert_eq!(Status(0x0a).info().unwrap().context_keys, [836]);
        assert!(Status(0x1b).info().is_none());
    }
}

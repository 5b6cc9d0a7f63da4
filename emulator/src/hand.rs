//! What hands, the printer and misfortune do to a bus's world.
//!
//! A hand is written as a table whose `do` says what is done; the rest are its arguments. Lengths
//! are in mm, speeds in mm/s, slots are `T1A` to `T4D` by the box's place in the plant (whatever
//! address it got), boxes 1 to 4:
//!
//! ```toml
//! [[event]]
//! at = "10s"
//! do = "insert"
//! slot = "T1A"
//! spool = { material = "PLA", colour = "ff0000", length = 250000.0 }
//!
//! [[event]]
//! at = "1m"
//! do = "extrude"
//! mm = 80.0
//! speed = 5.0
//! ```
//!
//! and in JSON `{"do": "cut"}`. Unknown arguments are errors, which name the right ones.

use k485_proto::address::Address;
use k485_proto::slot::Slot;
use serde::{Deserialize, Serialize};

use crate::spool::{SpoolError, SpoolSpec};

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Hand {
    /// A spool's end is put into a slot's inlet, so far that the feeder grips it. What was there is
    /// pulled out first.
    Insert {
        /// Where.
        #[serde(with = "text")]
        slot: Slot,
        /// What.
        #[serde(default)]
        spool: SpoolSpec,
    },
    /// What hangs on a slot's spool is pulled out; a piece broken off further on stays.
    PullOut {
        /// Where.
        #[serde(with = "text")]
        slot: Slot,
    },
    /// A slot's filament is where it would have been fed to, such as half way to the extruder.
    Place {
        /// Where.
        #[serde(with = "text")]
        slot: Slot,
        /// What.
        #[serde(default)]
        spool: SpoolSpec,
        /// Where its tip is, in mm from the inlet.
        tip: f64,
    },
    /// All filament is taken out of a slot's path.
    Clear {
        /// Where.
        #[serde(with = "text")]
        slot: Slot,
    },
    /// The spool comes to its end.
    RunOut {
        /// Where.
        #[serde(with = "text")]
        slot: Slot,
        /// How much is left outside the inlet, in mm.
        #[serde(default)]
        left: f64,
    },
    /// The filament breaks.
    Break {
        /// Where.
        #[serde(with = "text")]
        slot: Slot,
        /// At which place, in mm from the inlet.
        at: f64,
    },
    /// A slot's filament holds fast, or where `at` is given: a tip cannot pass that place.
    Jam {
        /// Where.
        #[serde(with = "text")]
        slot: Slot,
        /// The place that no tip passes, in mm from the inlet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<f64>,
    },
    /// The slot's jam is freed, and its box's hub grips and turns.
    Unjam {
        /// Where.
        #[serde(with = "text")]
        slot: Slot,
    },
    /// A box's hub gear turns without gripping, or grips again.
    Slip {
        /// Which box, from 1.
        #[serde(rename = "box")]
        unit: usize,
        /// Whether it slips.
        #[serde(default = "yes")]
        on: bool,
    },
    /// A part of a box cannot turn, or turns again.
    Block {
        /// Which box, from 1.
        #[serde(rename = "box")]
        unit: usize,
        /// Which part.
        part: Part,
        /// Whether it is blocked.
        #[serde(default = "yes")]
        on: bool,
    },
    /// A photo sensor of a slot shows the same whatever is there, or works again.
    Sensor {
        /// Where.
        #[serde(with = "text")]
        slot: Slot,
        /// Which of the slot's two.
        sensor: Sensor,
        /// What it shows.
        shows: Shows,
    },
    /// The extruder turns: over its time where a speed is given, else at once.
    Extrude {
        /// How far; negative is back.
        mm: f64,
        /// How fast, in mm/s.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speed: Option<f64>,
    },
    /// The extruder goes on turning; 0 stops it.
    Extruder {
        /// How fast, in mm/s; negative is back.
        speed: f64,
    },
    /// The cutter closes and opens again.
    Cut,
    /// What the toolhead's sensor shows, whatever is there.
    Toolhead {
        /// What it shows.
        shows: Shows,
    },
    /// Something holds the buffer.
    HoldBuffer {
        /// Where.
        at: Buffer,
    },
    /// The buffer is free again.
    FreeBuffer,
    /// A box's plug is pulled: it hears nothing and does nothing.
    Unplug {
        /// Which box, from 1.
        #[serde(rename = "box")]
        unit: usize,
    },
    /// The plug is put in again: the box starts anew, without an address.
    Plug {
        /// Which box, from 1.
        #[serde(rename = "box")]
        unit: usize,
    },
    /// A box is switched off and on at once.
    Reset {
        /// Which box, from 1.
        #[serde(rename = "box")]
        unit: usize,
    },
    /// What a box measures around it; without both values its sensor does not answer.
    Climate {
        /// Which box, from 1.
        #[serde(rename = "box")]
        unit: usize,
        /// In degrees Celsius.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        temperature: Option<i8>,
        /// In percent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        humidity: Option<i8>,
    },
    /// A motor's protection words: bit n of the errors is key781+n, of the warnings key795+n.
    Motor {
        /// Its address, 0x80 to 0x88.
        address: u8,
        /// The errors.
        #[serde(default)]
        errors: u32,
        /// The warnings.
        #[serde(default)]
        warnings: u32,
    },
    /// A belt module's sensor reads this.
    Belt {
        /// Its address, 0x21 or 0x22.
        address: u8,
        /// The reading.
        adc: u32,
    },
    /// A spool is put before the rack's tag reader, or taken away.
    Rack {
        /// The spool; without one there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spool: Option<SpoolSpec>,
    },
}

fn yes() -> bool {
    true
}

/// A part of a box that turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The hub motor.
    Hub,
    /// The measuring wheel.
    Wheel,
}

/// A slot's photo sensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensor {
    /// At the inlet.
    Inlet,
    /// In the hub.
    Hub,
}

/// What a sensor shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shows {
    /// What is there: it works.
    Truth,
    /// Filament.
    On,
    /// No filament.
    Off,
}

/// Where the buffer is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Buffer {
    /// At its full switch.
    Full,
    /// Between the switches.
    Middle,
    /// At its empty switch.
    Empty,
}

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HandError {
    /// There is no such box.
    #[error("there is no box {unit}: this bus has {have}")]
    NoBox {
        /// The box's number, from 1.
        unit: usize,
        /// How many there are.
        have: usize,
    },
    /// There is no such device.
    #[error("there is no {what} at {address}: the scene has none")]
    NoDevice {
        /// What kind.
        what: &'static str,
        /// Where.
        address: Address,
    },
    /// A spool that cannot be.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Filament that would be where another is.
    #[error("{by} is behind the joint already, where there is room for one: clear it first")]
    Occupied {
        /// Whose is there.
        by: Slot,
    },
    /// A number that means nothing here.
    #[error("{what} cannot be {value}: {why}")]
    Number {
        /// Which argument.
        what: &'static str,
        /// The number.
        value: f64,
        /// What it must be.
        why: &'static str,
    },
}

/// Things written as their text.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_are_written_as_tables() {
        let read = |json: &str| serde_json::from_str::<Hand>(json);
        assert_eq!(read(r#"{"do":"cut"}"#).unwrap(), Hand::Cut);
        let insert = r#"{"do":"insert","slot":"t1b","spool":{"color":"ff0000","length":250.0}}"#;
        let Hand::Insert { slot, spool } = read(insert).unwrap() else { panic!() };
        assert_eq!(slot.to_string(), "T1B");
        assert_eq!((spool.colour.as_deref(), spool.length), (Some("ff0000"), 250.0));
        let slip = read(r#"{"do":"slip","box":2}"#).unwrap();
        assert_eq!(slip, Hand::Slip { unit: 2, on: true });
        for hand in [slip, Hand::Extrude { mm: -3.0, speed: Some(5.0) }, Hand::FreeBuffer] {
            let json = serde_json::to_string(&hand).unwrap();
            assert_eq!(read(&json).unwrap(), hand, "{json}");
        }
    }

    #[test]
    fn wrong_hands_say_what_there_is() {
        let wrong = |json: &str| serde_json::from_str::<Hand>(json).unwrap_err().to_string();
        assert!(wrong(r#"{"do":"insert","slot":"T1A","spol":{}}"#).contains("`spol`"));
        assert!(wrong(r#"{"do":"inser","slot":"T1A"}"#).contains("`pull_out`"));
        assert!(wrong(r#"{"do":"clear","slot":"T9A"}"#).contains("no slot"));
    }
}

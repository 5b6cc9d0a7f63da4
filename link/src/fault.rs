//! Faults: rules that spoil what passes, seeded and repeatable.
//!
//! A [`Rule`] says what it strikes (a [`Filter`] over frames and exchanges, a direction), how often
//! (a probability, after so many, every so many, so many times, for so long) and what it does then
//! ([`Kind`]). [`Faults`] carries rules out without I/O and without a clock, so that an emulated bus
//! and a tap use the same; [`Faulty`] is a link under them. The same rules, the same seed and the
//! same traffic give the same bytes.
//!
//! What a link cannot do, such as resetting a device, is told as an [`Effect`] to whoever can.
//!
//! Rules are written as tables ([`Draft`], which `serde` reads from a scene's `[[fault]]`) or in one
//! line ([`Rule::parse`]): `drop if func==0x10 p=0.1 after=3`. Both are the same fields, listed in
//! [`FIELDS`].

mod chaos;
mod draft;
mod engine;
mod fields;
mod message;
mod serial_form;
mod text;
mod watch;
mod wrapper;

#[cfg(test)]
mod tests;

use k485_proto::address::Address;
use k485_proto::filter::Filter;
use k485_proto::record::{Direction, Time};
use k485_proto::status::Status;

pub use chaos::{CALMEST, WILDEST, chaos, chaos_text};
pub use draft::{Draft, FaultError, Value};
pub use engine::{Counts, Faults, HOLD, Passed};
pub use fields::{FIELDS, Field, KINDS, KindInfo, Takes};
pub use wrapper::Faulty;

/// The most bytes of noise that a rule adds before or after something.
pub const MOST_NOISE: u32 = 1024;
/// The most copies that a rule sends of something.
pub const MOST_COPIES: u32 = 100;
/// The most often that a device talks in one babbling.
pub const MOST_TALK: i64 = 100_000;

/// One fault: what it strikes, how often, and what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What it strikes; `None` is every frame. A reply is looked at as an exchange, so that fields of
    /// its request count too; a request and noise are looked at alone.
    pub when: Option<Filter>,
    /// Which way it strikes; `None` is both.
    pub direction: Option<Direction>,
    /// How likely it strikes what it may strike, from 0 to 1.
    pub probability: f64,
    /// So many that it could strike pass first.
    pub after_n: u64,
    /// Then every so-manieth may be struck; 1 is each. Never 0.
    pub every_n: u64,
    /// It strikes so often and no more.
    pub times: Option<u64>,
    /// It strikes so long from its first strike on, in nanoseconds, and no more.
    pub for_ns: Option<i64>,
    /// What it does.
    pub kind: Kind,
}

impl Rule {
    /// A rule that always strikes everything that its kind can strike.
    #[must_use]
    pub fn new(kind: Kind) -> Rule {
        Rule {
            when: None,
            direction: kind.direction(),
            probability: 1.0,
            after_n: 0,
            every_n: 1,
            times: None,
            for_ns: None,
            kind,
        }
    }
}

/// What a rule does where it strikes. `None` in a field is: by chance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It is lost.
    Drop,
    /// It comes later, and what follows it may overtake it.
    Delay {
        /// By so much, in nanoseconds.
        ns: i64,
        /// And by up to so much more, by chance.
        jitter_ns: i64,
    },
    /// It comes more than once.
    Duplicate {
        /// So many copies behind it.
        copies: u32,
        /// The pause before each, in nanoseconds.
        gap_ns: i64,
    },
    /// Its end is lost.
    Truncate {
        /// So many bytes are left; what is not longer is not struck.
        keep: Option<u32>,
    },
    /// A pause inside it.
    Split {
        /// Behind so many bytes; what is not longer is not struck.
        at: Option<u32>,
        /// How long, in nanoseconds.
        pause_ns: i64,
    },
    /// Bits are turned over, and the CRC stays as it was.
    Flip {
        /// Where.
        part: Part,
        /// How many, all of them different.
        bits: u32,
    },
    /// Another STATUS, with a CRC that fits.
    WrongStatus {
        /// Which; by chance one of those that are known, other than the true one.
        status: Option<Status>,
    },
    /// Another FUNC, with a CRC that fits.
    WrongFunction {
        /// Which; by chance one of the device's class, other than the true one.
        func: Option<u8>,
    },
    /// Bytes that belong to nobody.
    Noise {
        /// Before or behind it.
        place: Place,
        /// How many, at most [`MOST_NOISE`]; by chance 1 to 8.
        bytes: Option<u32>,
    },
    /// Whoever sends it hears it back.
    Echo,
    /// A device talks without being asked: the last reply that it gave, again and again; noise where
    /// it gave none.
    Babble {
        /// How long, in nanoseconds.
        lasts_ns: i64,
        /// From one talk to the next, in nanoseconds.
        gap_ns: i64,
        /// Which; the one whose frame was struck.
        device: Option<Address>,
    },
    /// A device neither hears nor says anything.
    Offline {
        /// How long, in nanoseconds.
        lasts_ns: i64,
        /// Which; the one whose frame was struck.
        device: Option<Address>,
    },
    /// A device starts anew: an [`Effect`].
    Reset {
        /// Which; the one whose frame was struck.
        device: Option<Address>,
    },
    /// A device starts anew and takes its time: an [`Effect`].
    SlowBoot {
        /// How long its loader runs, in nanoseconds.
        lasts_ns: i64,
        /// Which; the one whose frame was struck.
        device: Option<Address>,
    },
    /// A device is at work and reads the bus only when it is done: an [`Effect`].
    Busy {
        /// How long, in nanoseconds.
        lasts_ns: i64,
        /// Which; the one whose frame was struck.
        device: Option<Address>,
    },
}

impl Kind {
    /// Its name, as tables and lines write it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Drop => "drop",
            Kind::Delay { .. } => "delay",
            Kind::Duplicate { .. } => "duplicate",
            Kind::Truncate { .. } => "truncate",
            Kind::Split { .. } => "split",
            Kind::Flip { part: Part::Data, .. } => "flip_data",
            Kind::Flip { part: Part::Crc, .. } => "flip_crc",
            Kind::Flip { part: Part::Address, .. } => "flip_address",
            Kind::WrongStatus { .. } => "wrong_status",
            Kind::WrongFunction { .. } => "wrong_function",
            Kind::Noise { place: Place::Before, .. } => "noise_before",
            Kind::Noise { place: Place::After, .. } => "noise_after",
            Kind::Echo => "echo",
            Kind::Babble { .. } => "babble",
            Kind::Offline { .. } => "offline",
            Kind::Reset { .. } => "reset",
            Kind::SlowBoot { .. } => "slow_boot",
            Kind::Busy { .. } => "busy",
        }
    }

    /// The direction that a rule of this kind strikes where it does not say: requests carry no
    /// STATUS that says anything, and a device is struck once by an exchange, not twice.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        match self {
            Kind::WrongStatus { .. } => Some(Direction::Response),
            Kind::Echo
            | Kind::Babble { .. }
            | Kind::Offline { .. }
            | Kind::Reset { .. }
            | Kind::SlowBoot { .. }
            | Kind::Busy { .. } => Some(Direction::Request),
            _ => None,
        }
    }
}

/// A part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// DATA; in noise any byte.
    Data,
    /// The CRC.
    Crc,
    /// ADDR, which the CRC does not cover: the frame stays whole and is another device's.
    Address,
}

/// A side of what is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Right before it.
    Before,
    /// Right behind it.
    After,
}

/// Something that befalls a device, for whoever has the device to carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Effect {
    /// When.
    pub at: Time,
    /// The device's address; a group's (FE: all that have none) is meant for all of it.
    pub device: Address,
    /// What.
    pub what: Befalls,
}

/// What befalls a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Befalls {
    /// It is switched off and on.
    Reset,
    /// It is switched off and on, and its loader runs for so long.
    SlowBoot {
        /// In nanoseconds.
        ns: i64,
    },
    /// It is at work and reads the bus only then.
    Busy {
        /// In nanoseconds.
        ns: i64,
    },
    /// It neither hears nor says anything. [`Faults`] holds back what names its address, which is all
    /// that can be done between others; whoever has the device keeps everything from it
    /// ([`Faults::with_devices`]).
    Offline {
        /// In nanoseconds.
        ns: i64,
    },
}

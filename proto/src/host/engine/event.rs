//! What the host tells people, and what it wants of the printer.

use alloc::string::String;
use core::fmt;

use super::Job;
use crate::address::Address;
use crate::key::{KEYS, Key};
use crate::message::codes::SlotChange;
use crate::slot::Slot;
use crate::status::Status;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A device answered from this address after it was given it.
    Assigned {
        /// The address.
        address: Address,
        /// The device's identity.
        uniid: [u8; 12],
    },
    /// A box answers.
    Online(Address),
    /// A box was silent more than three times.
    Lost(Address),
    /// A box was greeted, and is polled from now on.
    Ready {
        /// Its address.
        address: Address,
        /// Its version, with dots.
        version: String,
        /// Its serial number.
        serial: String,
    },
    /// A reply that makes the vendor's host stop to poll this box.
    Broken {
        /// The box.
        address: Address,
        /// The reply's function.
        function: &'static str,
    },
    /// Something happened at a slot.
    Changed {
        /// The slot.
        slot: Slot,
        /// What, as GET_BOX_STATE tells it.
        change: SlotChange,
    },
    /// The motors are set up.
    MotorsStarted,
    /// A message that the printer shows.
    Message {
        /// Its key.
        key: Key,
        /// Whom it is about.
        address: Address,
    },
    /// A job has begun.
    Began(Job),
    /// A job is done.
    Done(Job),
    /// A job was given up.
    Failed {
        /// The job.
        job: Job,
        /// Why.
        trouble: Trouble,
    },
}

/// Why a job does not go on, or does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Another job is under way.
    #[error("{0} is still under way; wait for its end")]
    Busy(Job),
    /// The box is not there.
    #[error("box {0} is not online; wait until it has been greeted")]
    NotReady(u8),
    /// The slot is empty.
    #[error("{0} has no filament at its inlet; insert some")]
    Empty(Slot),
    /// A box answered with an error.
    #[error("{function} was answered with STATUS {:02x}{}", .status.0, key_text(*.key))]
    Refused {
        /// The function that was asked.
        function: &'static str,
        /// The answer's STATUS.
        status: Status,
        /// The message that the printer shows.
        key: Option<Key>,
    },
    /// A box did not answer.
    #[error("{0} was not answered (key831)")]
    Silent(&'static str),
    /// The buffer stayed full in two whole loads.
    #[error("the buffer is always full: the extruder does not take the filament")]
    BufferFull,
    /// The toolhead sensor still sees filament after an unload.
    #[error("pulled back, but the toolhead sensor still sees filament (key863)")]
    StillInToolhead,
}

impl Trouble {
    /// The message that the printer shows for it, where it was seen.
    #[must_use]
    pub fn key(self) -> Option<Key> {
        match self {
            Trouble::Empty(_) => Some(Key(839)),
            Trouble::Refused { key, .. } => key,
            Trouble::Silent(_) => Some(Key(831)),
            Trouble::StillInToolhead => Some(Key(863)),
            Trouble::Busy(_) | Trouble::NotReady(_) | Trouble::BufferFull => None,
        }
    }
}

fn key_text(key: Option<Key>) -> String {
    key.map_or_else(String::new, |key| alloc::format!(" (key{})", key.0))
}

/// What the printer is to do, and how long the host gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Want {
    /// What.
    pub what: What,
    /// After so many milliseconds the host goes on.
    pub takes_ms: u32,
}

/// What a printer does beside the bus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum What {
    /// Heats the nozzle.
    Heat {
        /// To so many degrees Celsius.
        celsius: f32,
    },
    /// Turns the extruder.
    Extrude {
        /// So far, in mm; negative is back.
        mm: f32,
    },
    /// Cuts the filament.
    Cut,
    /// Wipes the nozzle.
    Clean,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Assigned { address, uniid } => {
                write!(f, "assigned {address} to ")?;
                uniid.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Event::Online(address) => write!(f, "{address} is online"),
            Event::Lost(address) => write!(f, "{address} does not answer any more"),
            Event::Ready { address, version, serial } => {
                write!(f, "{address} is ready, version {version}, serial number {serial}")
            }
            Event::Broken { address, function } => write!(
                f,
                "{address} answered {function} too shortly: the vendor's host polls it no more"
            ),
            Event::Changed { slot, change } => write!(f, "{slot}: {}", change_text(*change)),
            Event::MotorsStarted => f.write_str("the motors are set up"),
            Event::Message { key, address } => {
                write!(f, "key{} of {address}", key.0)?;
                match KEYS.iter().find(|info| info.key == *key) {
                    Some(info) => write!(f, ": {}", info.meaning),
                    None => Ok(()),
                }
            }
            Event::Began(job) => write!(f, "{job} begins"),
            Event::Done(job) => write!(f, "{job} is done"),
            Event::Failed { job, trouble } => write!(f, "{job} failed: {trouble}"),
        }
    }
}

fn change_text(change: SlotChange) -> &'static str {
    match change {
        SlotChange::NONE => "unchanged",
        SlotChange::INSERTED => "filament inserted",
        SlotChange::PULLED_OUT => "filament pulled out",
        SlotChange::FINISHED => "preload finished",
        _ => "changed",
    }
}

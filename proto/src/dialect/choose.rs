//! Which dialect a capture is in, by what only one of them was seen to do.
//!
//! A [`Chooser`] takes the records of a capture's beginning and counts; [`Chooser::choose`] says
//! which dialect that makes, and why. It never refuses: without evidence it is [`K2`], and the
//! reason says that nothing told.
//!
//! The evidence is thin, one capture for each of the two others, and said so in the reason:
//!
//! - polls of 41: so does the host of a Hi, and no other host was seen to. ADDR is outside the
//!   CRC and 41 is one bit from 01, so a few such frames are damage, not evidence;
//! - a load that ends without stage 07, by a box that reports version 110: so does the host of a
//!   K1 kit.

use alloc::format;
use alloc::string::{String, ToString};

use super::{Dialect, K2, hi::HI, k1::K1};
use crate::address::{Address, Device};
use crate::frame::Frame;
use crate::record::{Direction, Record};
use crate::status::Status;

/// Polls of 41 below which they may be damaged addresses.
const POLLS: u64 = 5;
/// At least one in so many state polls must go to 41.
const SHARE: u64 = 20;
/// The address that a Hi's host polls.
const NODE: Address = Address(0x41);

/// A dialect, and why it is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The dialect.
    pub dialect: &'static Dialect,
    /// Why, as words behind "because".
    pub because: String,
    /// Whether anything in the capture told; else it is the default.
    pub told: bool,
}

/// `hi, because 28 polls went to 0x41, …`
impl core::fmt::Display for Choice {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Choice { dialect, because, told } = self;
        let default = if *told { "" } else { " (the default)" };
        write!(f, "{}{default}, because {because}", dialect.name)
    }
}

/// Counts what tells dialects apart.
#[derive(Debug, Clone, Default)]
pub struct Chooser {
    frames: u64,
    /// State polls, wherever they go.
    polls: u64,
    polls_to_node: u64,
    /// Requests to boxes 2 to 4, without address management.
    other_boxes: u64,
    motors: u64,
    /// Version replies with 110.
    version_110: u64,
    pushes: u64,
    /// A load reached stage 06 and the host has not gone on yet.
    ended: bool,
    /// Loads that ended in print mode without a push.
    loads_without_push: u64,
}

impl Chooser {
    /// Nothing counted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many frames were counted.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Counts a record of the capture's beginning.
    pub fn push(&mut self, record: &Record) {
        let Some(wire) = record.wire() else { return };
        let Ok(frame) = Frame::from_bytes(&wire) else { return };
        self.frames += 1;
        let request = match record.dir {
            Some(dir) => dir == Direction::Request,
            None => frame.status() == Status::REQUEST,
        };
        let managed = matches!(frame.func(), 0xa0..=0xa3);
        match (frame.addr().device(), request) {
            (Device::Motor(_) | Device::AllMotors, _) => self.motors += 1,
            (Device::Box(_), _) if managed => {}
            (Device::Box(n), true) => {
                self.other_boxes += u64::from(n > 1);
                self.box_request(&frame);
            }
            (Device::Box(_), false) if frame.func() == 0x14 => {
                self.version_110 += u64::from(frame.data().starts_with(b"110"));
            }
            (_, true) if frame.addr() == NODE && frame.func() == 0x0a => {
                self.polls += 1;
                self.polls_to_node += 1;
            }
            _ => {}
        }
    }

    /// A request to a box: a poll, or a step of a load.
    fn box_request(&mut self, frame: &Frame<'_>) {
        match (frame.func(), frame.data()) {
            (0x0a, []) => self.polls += 1,
            (0x10, [_, 0x06, _]) => self.ended = true,
            (0x10, [_, 0x07, _]) => {
                self.pushes += 1;
                self.ended = false;
            }
            // Print mode is what a load ends with.
            (0x04, [_, 0x00]) => {
                self.loads_without_push += u64::from(core::mem::take(&mut self.ended))
            }
            _ => {}
        }
    }

    /// The dialect that the counts make.
    #[must_use]
    pub fn choose(&self) -> Choice {
        let node = self.polls_to_node >= POLLS && self.polls_to_node * SHARE >= self.polls;
        if node && self.other_boxes == 0 {
            let count = self.polls_to_node;
            return told(
                &HI,
                format!("{count} polls went to 0x41, which only the Hi host is known to send"),
            );
        }
        let kit = self.loads_without_push > 0 && self.version_110 > 0 && self.pushes == 0;
        if kit && self.other_boxes == 0 && self.motors == 0 {
            let loads = plural(self.loads_without_push, "load");
            return told(
                &K1,
                format!(
                    "{loads} ended without stage 07 and the box reports version 110, which only the \
                 host of a K1 kit is known to do"
                ),
            );
        }
        self.k2(node)
    }

    fn k2(&self, node: bool) -> Choice {
        let mut facts = [
            (self.other_boxes, "request", "went to boxes 2 to 4"),
            (self.motors, "frame", "to or from motors"),
            (self.pushes, "request", "pushed filament (stage 07)"),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, what, did)| format!("{} {did}", plural(count, what)));
        let Some(first) = facts.next() else {
            let because = match self.frames {
                0 => "there is no frame to tell by".to_string(),
                1 => "the one frame does not tell the dialects apart".to_string(),
                n => format!("none of the {n} frames looked at tells the dialects apart"),
            };
            return Choice { dialect: &K2, because, told: false };
        };
        let mut because = facts.fold(first, |all, fact| format!("{all}, {fact}"));
        if node {
            because += &format!(", although {} polls went to 0x41", self.polls_to_node);
        }
        told(&K2, because)
    }
}

fn told(dialect: &'static Dialect, because: String) -> Choice {
    Choice { dialect, because, told: true }
}

fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Origin, Verdict};
    use alloc::vec::Vec;

    fn record(addr: u8, status: u8, func: u8, data: &[u8]) -> Record {
        Record {
            time: None,
            bus: "".into(),
            dir: None,
            offset: 0,
            bytes: Frame::to_vec(Address(addr), Status(status), func, data).unwrap(),
            origin: Origin::Wire,
            verdict: Verdict::Frame,
            call: None,
        }
    }

    fn choose(frames: &[(u64, u8, u8, u8, &[u8])]) -> Choice {
        let mut chooser = Chooser::new();
        for (times, addr, status, func, data) in frames {
            (0..*times).for_each(|_| chooser.push(&record(*addr, *status, *func, data)));
        }
        chooser.choose()
    }

    const VERSION: (u64, u8, u8, u8, &[u8]) = (1, 1, 0, 0x14, b"11010000843215B625AHSC");
    const LOAD: [(u64, u8, u8, u8, &[u8]); 3] = [
        (1, 1, 0xff, 0x10, &[8, 4, 0]),
        (1, 1, 0xff, 0x10, &[8, 6, 0]),
        (1, 1, 0xff, 0x04, &[8, 0]),
    ];

    #[test]
    fn polls_of_41_are_a_hi() {
        let choice = choose(&[(42, 1, 0xff, 0x0a, &[]), (28, 0x41, 0xff, 0x0a, &[])]);
        assert_eq!(choice.dialect, &HI);
        assert_eq!(
            choice.to_string(),
            "hi, because 28 polls went to 0x41, which only the Hi host is known to send"
        );
        // Few of many: damaged addresses.
        for (to_box, to_node) in [(10, 4), (200, 6)] {
            let choice = choose(&[(to_box, 1, 0xff, 0x0a, &[]), (to_node, 0x41, 0xff, 0x0a, &[])]);
            assert_eq!((choice.dialect, choice.told), (&K2, false));
        }
        let choice = choose(&[(9, 0x41, 0xff, 0x0a, &[]), (1, 3, 0xff, 0x0a, &[])]);
        assert_eq!(
            choice.to_string(),
            "k2, because 1 request went to boxes 2 to 4, although 9 polls went to 0x41"
        );
    }

    #[test]
    fn a_load_without_a_push_is_a_kit() {
        let load: Vec<_> = [VERSION].into_iter().chain(LOAD).collect();
        let choice = choose(&load);
        assert_eq!(choice.dialect, &K1);
        assert!(choice.because.starts_with("1 load ended without stage 07"), "{choice}");
        // Absent boxes 2 to 4 are asked for by address management, that is no evidence.
        let asked: Vec<_> = load.iter().copied().chain([(3, 2, 0, 0xa3, &[][..])]).collect();
        assert_eq!(choose(&asked).dialect, &K1);
        // The load is not over, the version is unknown, a push came, motors are there.
        let push = (1, 1, 0xff, 0x10, &[8, 7, 3][..]);
        for frames in [
            &load[..3],
            &LOAD[..],
            &[VERSION, LOAD[0], LOAD[1], push, LOAD[2]],
            &[VERSION, LOAD[0], LOAD[1], LOAD[2], (1, 0x81, 0, 0x0c, &[0x0b])],
        ] {
            assert_eq!(choose(frames).dialect, &K2);
        }
    }

    #[test]
    fn k2_by_evidence_or_by_default() {
        let choice = choose(&[(2, 2, 0xff, 0x0a, &[]), (1, 0x81, 0, 0x0c, &[0x0b])]);
        assert_eq!(
            choice.to_string(),
            "k2, because 2 requests went to boxes 2 to 4, 1 frame to or from motors"
        );
        assert_eq!(
            choose(&[]).to_string(),
            "k2 (the default), because there is no frame to tell by"
        );
        assert_eq!(
            choose(&[(2, 1, 0xff, 0x0a, &[])]).to_string(),
            "k2 (the default), because none of the 2 frames looked at tells the dialects apart"
        );
    }
}

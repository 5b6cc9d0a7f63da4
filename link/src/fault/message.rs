//! One thing that passes, and what rules make of it.

use k485_proto::dialect::Dialect;
use k485_proto::frame::Frame;
use k485_proto::record::{Direction, Time};
use k485_proto::status::Status;

use super::engine::Passed;
use super::{Kind, Part, Place};
use crate::rng::Rng;

/// A frame or noise on its way.
#[derive(Debug)]
pub(super) struct Message {
    at: Time,
    direction: Direction,
    /// As its sender sent it.
    original: Vec<u8>,
    bytes: Vec<u8>,
    is_frame: bool,
    lost: bool,
    before: Vec<u8>,
    after: Vec<u8>,
    /// Behind how many bytes a pause is, and how long.
    split: Option<(usize, i64)>,
    /// The pauses before the copies.
    copies: Vec<i64>,
    echo: bool,
}

impl Message {
    pub(super) fn new(bytes: &[u8], is_frame: bool, direction: Direction, at: Time) -> Message {
        Message {
            at,
            direction,
            original: bytes.to_vec(),
            bytes: bytes.to_vec(),
            is_frame,
            lost: false,
            before: Vec::new(),
            after: Vec::new(),
            split: None,
            copies: Vec::new(),
            echo: false,
        }
    }

    /// Does what the kind says; false where it cannot. What befalls a device does nothing here.
    pub(super) fn strike(&mut self, kind: &Kind, dialect: &Dialect, rng: &mut Rng) -> bool {
        if self.lost {
            return false;
        }
        let len = self.bytes.len();
        match *kind {
            Kind::Drop => self.lost = true,
            Kind::Delay { ns, jitter_ns } => {
                self.at = later(later(self.at, ns), below(rng, jitter_ns));
            }
            Kind::Duplicate { copies, gap_ns } => {
                self.copies.extend((0..copies).map(|_| gap_ns));
            }
            Kind::Truncate { keep } => match inside(keep, len, rng) {
                Some(keep) => self.bytes.truncate(keep),
                None => return false,
            },
            Kind::Split { at, pause_ns } => match inside(at, len, rng) {
                Some(at) => self.split = Some((at, pause_ns)),
                None => return false,
            },
            Kind::Flip { part, bits } => return self.flip(part, bits, rng),
            Kind::WrongStatus { status } => return self.wrong_status(status, dialect, rng),
            Kind::WrongFunction { func } => return self.wrong_function(func, dialect, rng),
            Kind::Noise { place, bytes } => {
                let count = bytes.unwrap_or_else(|| 1 + rng.below(8));
                let noise = noise(count, rng);
                match place {
                    // The outermost is the last rule's.
                    Place::Before => self.before.splice(0..0, noise).for_each(drop),
                    Place::After => self.after.extend(noise),
                }
            }
            Kind::Echo => self.echo = true,
            Kind::Babble { .. }
            | Kind::Offline { .. }
            | Kind::Reset { .. }
            | Kind::SlowBoot { .. }
            | Kind::Busy { .. } => {}
        }
        true
    }

    fn flip(&mut self, part: Part, bits: u32, rng: &mut Rng) -> bool {
        let len = self.bytes.len();
        let range = match part {
            Part::Data if self.is_frame => 5..len.saturating_sub(1),
            Part::Data => 0..len,
            Part::Crc if self.is_frame && len > 1 => len - 1..len,
            Part::Address if self.is_frame && len > 1 => 1..2,
            Part::Crc | Part::Address => return false,
        };
        // The bits that are left to choose from, so that none is turned back.
        let mut left: Vec<(usize, u8)> =
            range.flat_map(|byte| (0..8).map(move |bit| (byte, 1 << bit))).collect();
        let struck = !left.is_empty();
        for _ in 0..bits.min(u32::try_from(left.len()).unwrap_or(u32::MAX)) {
            let (byte, bit) = left.swap_remove(rng.below(left.len() as u32) as usize);
            self.bytes[byte] ^= bit;
        }
        struck
    }

    fn wrong_status(&mut self, status: Option<Status>, dialect: &Dialect, rng: &mut Rng) -> bool {
        let Ok(frame) = Frame::from_bytes(&self.bytes) else { return false };
        let own = frame.status();
        let status = status.or_else(|| {
            let others = dialect.statuses().map(|info| info.code);
            let others = others.filter(|code| ![own, Status::OK, Status::REQUEST].contains(code));
            pick(others.collect(), rng)
        });
        self.emit_with(status, None)
    }

    fn wrong_function(&mut self, func: Option<u8>, dialect: &Dialect, rng: &mut Rng) -> bool {
        let Ok(frame) = Frame::from_bytes(&self.bytes) else { return false };
        let own = frame.func();
        let func = func.or_else(|| {
            let class = dialect.find(frame.addr(), own).map(|function| function.class);
            let class = class.or_else(|| dialect.class(frame.addr()))?;
            let codes = dialect.functions(class).map(|function| function.code);
            pick(codes.filter(|code| *code != own).collect(), rng)
        });
        self.emit_with(None, func)
    }

    /// The frame with another STATUS or FUNC and a CRC that fits; false where nothing changes.
    fn emit_with(&mut self, status: Option<Status>, func: Option<u8>) -> bool {
        let Ok(frame) = Frame::from_bytes(&self.bytes) else { return false };
        let (status, func) = (status.unwrap_or(frame.status()), func.unwrap_or(frame.func()));
        let changed = (status, func) != (frame.status(), frame.func());
        match Frame::to_vec(frame.addr(), status, func, frame.data()) {
            Ok(bytes) if changed => {
                self.bytes = bytes;
                true
            }
            _ => false,
        }
    }

    /// What comes of it, in order.
    pub(super) fn deliver(self, out: &mut Vec<Passed>) {
        let direction = self.direction;
        if self.echo {
            let back = match direction {
                Direction::Request => Direction::Response,
                Direction::Response => Direction::Request,
            };
            out.push(Passed { at: self.at, direction: back, echo: true, bytes: self.original });
        }
        if self.lost {
            return;
        }
        let mut at = self.at;
        let gaps = std::iter::once(0).chain(self.copies);
        for (i, gap) in gaps.enumerate() {
            at = later(at, gap);
            let mut first = if i == 0 { self.before.clone() } else { Vec::new() };
            // A later rule may have cut off what is behind the pause.
            let (head, tail) = match self.split.filter(|(at, _)| *at < self.bytes.len()) {
                Some((place, _)) => self.bytes.split_at(place),
                None => (&self.bytes[..], &[][..]),
            };
            first.extend_from_slice(head);
            if !tail.is_empty() {
                let pause = self.split.map_or(0, |(_, pause)| pause);
                out.push(Passed { at, direction, echo: false, bytes: std::mem::take(&mut first) });
                at = later(at, pause);
                first.extend_from_slice(tail);
            }
            if i == 0 {
                first.extend_from_slice(&self.after);
            }
            out.push(Passed { at, direction, echo: false, bytes: first });
        }
    }
}

/// So many bytes by chance.
pub(super) fn noise(count: u32, rng: &mut Rng) -> Vec<u8> {
    (0..count).map(|_| rng.next_u64().to_le_bytes()[0]).collect()
}

/// A place inside so many bytes: the one that is given, or any; `None` where there is none.
fn inside(place: Option<u32>, len: usize, rng: &mut Rng) -> Option<usize> {
    let most = u32::try_from(len).unwrap_or(u32::MAX).saturating_sub(1);
    match place {
        Some(place) => (place <= most).then_some(place as usize),
        None => (most > 0).then(|| 1 + rng.below(most) as usize),
    }
}

fn pick<T: Copy>(from: Vec<T>, rng: &mut Rng) -> Option<T> {
    from.get(rng.below(u32::try_from(from.len()).unwrap_or(u32::MAX)) as usize).copied()
}

/// A length of time below `ns`, in whole microseconds.
fn below(rng: &mut Rng, ns: i64) -> i64 {
    i64::from(rng.below(u32::try_from(ns / 1_000).unwrap_or(u32::MAX))) * 1_000
}

pub(super) fn later(at: Time, ns: i64) -> Time {
    Time(at.0.saturating_add(ns))
}

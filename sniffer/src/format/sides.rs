//! Which way bytes went, in the words of tools that do not know the bus.
//!
//! Some words name the sender (`request`, `slave`); others only a side of the tool: what a traced
//! program writes is the host's where the program is the host, a device's where it is a device.
//! [`Sides`] works out which it is from the frames that leave no doubt.

use k485_proto::dialect::K2;
use k485_proto::direction::certain;
use k485_proto::frame::Frame;
use k485_proto::record::{Direction, Record, Verdict};

use crate::format::steps::Ready;

/// A direction as a tool tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    /// As it is where the tool's near side is the host.
    pub(super) dir: Direction,
    /// Whether only a side is told, so that it may be the other direction.
    pub(super) is_side: bool,
}

impl Way {
    /// What the near side sent: written, transmitted.
    pub(super) const OUT: Way = Way { dir: Direction::Request, is_side: true };
    /// What the near side got: read, received.
    pub(super) const IN: Way = Way { dir: Direction::Response, is_side: true };

    const TO_DEVICE: Way = Way { dir: Direction::Request, is_side: false };
    const FROM_DEVICE: Way = Way { dir: Direction::Response, is_side: false };

    /// The way that a word names, as `TX`, `[RX]`, `Read data`, `host->device`, `<--`.
    pub(super) fn parse(word: &str) -> Option<Way> {
        // Longer texts are none, and are not worth a copy.
        if word.len() > 32 {
            return None;
        }
        let is_kept = |char: &char| char.is_alphanumeric() || "<>→←-".contains(*char);
        let mut word: String = word.to_lowercase().chars().filter(is_kept).collect();
        if word.chars().any(char::is_alphabetic) {
            word.retain(|char| char != '-');
        }
        Some(match &*word {
            "tx" | "txd" | "out" | "w" | "wr" | "write" | "writes" | "written" | "writtendata"
            | "sent" | "send" | "transmit" | "transmitted" | "output" | "irpmjwrite" | ">"
            | ">>" | ">>>" | "->" | "-->" | "→" => Way::OUT,
            "rx" | "rxd" | "in" | "r" | "rd" | "read" | "reads" | "readdata" | "received"
            | "receive" | "recv" | "input" | "irpmjread" | "<" | "<<" | "<<<" | "<-" | "<--"
            | "←" => Way::IN,
            "request" | "req" | "query" | "command" | "cmd" | "host" | "master" | "todevice"
            | "toslave" | "tobox" | "host>device" | "host→device" | "host>box" | "h2d"
            | "hosttodevice" | "master>slave" | "mastertoslave" => Way::TO_DEVICE,
            "response" | "resp" | "reply" | "answer" | "device" | "slave" | "box" | "tohost"
            | "tomaster" | "device>host" | "device→host" | "box>host" | "d2h" | "devicetohost"
            | "slave>master" | "slavetomaster" | "fromdevice" => Way::FROM_DEVICE,
            _ => return None,
        })
    }
}

/// How many records are kept back at most until it is known which side is the host.
const HELD: usize = 64;

/// By how many frames one answer has to outdo the other: an adapter that echoes makes every request
/// be heard from both sides.
const LEAD: i32 = 2;

/// Turns the directions of records round where the near side turns out to be a device.
///
/// A frame that cannot have gone its side's way has no direction then: it is the echo of what the
/// other side sent.
#[derive(Debug, Default)]
pub(super) struct Sides {
    /// Whether any direction is only a side.
    are_told: bool,
    /// Whether to turn round, once it is known.
    swap: Option<bool>,
    /// Frames that say the near side is the host, less those that say it is a device.
    lead: i32,
    held: Ready,
}

impl Sides {
    /// Tells that directions are only sides.
    pub(super) fn seek(&mut self) {
        self.are_told = true;
    }

    /// Takes items and gives those that are settled.
    pub(super) fn pass(&mut self, fresh: &mut Ready, ready: &mut Ready) {
        if !self.are_told {
            ready.append(fresh);
            return;
        }
        for item in fresh.drain(..) {
            if self.swap.is_none() {
                self.lead += item.as_ref().map_or(0, vote);
            }
            self.held.push_back(item);
            if self.swap.is_none() && (self.lead.abs() >= LEAD || self.held.len() >= HELD) {
                self.swap = Some(self.lead < 0);
            }
            if self.swap.is_some() {
                self.give(ready);
            }
        }
    }

    /// Gives what was kept back.
    pub(super) fn end(&mut self, ready: &mut Ready) {
        self.swap = self.swap.or(Some(self.lead < 0));
        self.give(ready);
    }

    fn give(&mut self, ready: &mut Ready) {
        let swap = self.swap == Some(true);
        ready.extend(self.held.drain(..).map(|item| item.map(|record| placed(record, swap))));
    }
}

/// The record with the direction that is left of its side's.
fn placed(record: Record, swap: bool) -> Record {
    let dir = record.dir.map(|dir| if swap { opposite(dir) } else { dir });
    let sure = sure(&record);
    Record { dir: dir.filter(|dir| sure.is_none_or(|sure| sure == *dir)), ..record }
}

fn opposite(dir: Direction) -> Direction {
    match dir {
        Direction::Request => Direction::Response,
        Direction::Response => Direction::Request,
    }
}

/// The direction that the record's frame alone leaves no doubt of.
fn sure(record: &Record) -> Option<Direction> {
    if record.verdict != Verdict::Frame {
        return None;
    }
    certain(&Frame::from_bytes(&record.wire()?).ok()?, &K2)
}

/// 1 where the record says that the near side is the host, -1 where it says the contrary.
fn vote(record: &Record) -> i32 {
    match (record.dir, sure(record)) {
        (Some(told), Some(sure)) if told == sure => 1,
        (Some(_), Some(_)) => -1,
        _ => 0,
    }
}

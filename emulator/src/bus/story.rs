//! What a scene brings: events at their times and on what the bus carries, and faults.

use std::sync::Arc;

use k485_link::fault::{Faults, Passed};
use k485_proto::deframer::Deframer;
use k485_proto::dialect::Dialect;
use k485_proto::exchange::Pairer;
use k485_proto::record::{Direction, Record, Time};

use super::Talker;
use crate::hand::Hand;
use crate::scene::Timeline;

/// After so much silence nothing continues a frame.
const SILENCE: i64 = 120 * Time::MILLISECOND;

/// A timeline, and what it is told of the bus.
#[derive(Debug)]
pub(super) struct Story {
    timeline: Timeline,
    pairer: Pairer,
    deframer: Deframer,
    last: Time,
    bus: Arc<str>,
}

impl Story {
    pub(super) fn new(timeline: Timeline, dialect: &'static Dialect) -> Story {
        let (pairer, bus) = (Pairer::with_dialect(dialect), Arc::from(""));
        Story { timeline, pairer, deframer: Deframer::new(), last: Time(i64::MIN), bus }
    }

    /// The bus carried these bytes; the direction is that of whoever talked alone.
    pub(super) fn heard(&mut self, mut bytes: &[u8], dir: Option<Direction>, at: Time) {
        if dir == Some(Direction::Request) {
            self.timeline.begin(at);
        }
        let mut records = Vec::new();
        if at.since(self.last) > SILENCE {
            while let Some(span) = self.deframer.idle() {
                records.push(Record::of_span(&span));
            }
        }
        self.last = at;
        while let Some(span) = self.deframer.pull(&mut bytes) {
            records.push(Record { dir, ..Record::of_span(&span) });
        }
        for record in records {
            self.pairer.push(Record { time: Some(at), bus: Arc::clone(&self.bus), ..record });
        }
        self.pairer.tick(at);
        while let Some(seen) = self.pairer.pull() {
            self.timeline.observe(&seen, at);
        }
    }

    pub(super) fn next_event(&self) -> Option<Time> {
        self.timeline.next_event()
    }

    pub(super) fn due(&mut self, now: Time) -> Vec<Hand> {
        self.timeline.due(now)
    }
}

/// Faults between those who talk and the wire.
pub(super) struct Spoiled {
    pub(super) faults: Faults,
    /// Who talked last towards the devices, and towards the host: what is held back is theirs.
    last: [Talker; 2],
}

/// What passed the faults.
pub(super) struct Said {
    pub(super) who: Talker,
    pub(super) bytes: Vec<u8>,
    pub(super) at: Time,
    /// Only they hear it themselves.
    pub(super) echo: bool,
}

impl Spoiled {
    pub(super) fn new(faults: Faults) -> Spoiled {
        Spoiled { faults: faults.with_devices(), last: [Talker::Nobody; 2] }
    }

    /// What becomes of what somebody says now.
    pub(super) fn pass(&mut self, who: Talker, bytes: &[u8], now: Time) -> Vec<Said> {
        let direction = direction(who).unwrap_or(Direction::Request);
        self.last[usize::from(direction == Direction::Response)] = who;
        let passed = self.faults.pass(bytes, direction, now);
        passed.into_iter().map(|passed| self.said(passed)).collect()
    }

    /// What was held back until now, and what faults say by themselves.
    pub(super) fn advance(&mut self, now: Time) -> Vec<Said> {
        let passed = self.faults.advance(now);
        passed.into_iter().map(|passed| self.said(passed)).collect()
    }

    fn said(&self, passed: Passed) -> Said {
        let Passed { at, direction, echo, bytes } = passed;
        // An echo's direction is the way back.
        let last = self.last[usize::from((direction == Direction::Response) != echo)];
        Said { who: last, bytes, at, echo }
    }

    pub(super) fn next_event(&self) -> Option<Time> {
        self.faults.next_event()
    }
}

/// Which way somebody's bytes go.
pub(super) fn direction(who: Talker) -> Option<Direction> {
    match who {
        Talker::Device(_) => Some(Direction::Response),
        Talker::Endpoint(_) | Talker::Guest(_) => Some(Direction::Request),
        Talker::Nobody => None,
    }
}

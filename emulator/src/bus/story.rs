//! What a scene brings: events at their times and on what the bus carries, and faults.

use std::sync::Arc;

use k485_link::fault::{Faults, Passed};
use k485_proto::deframer::Deframer;
use k485_proto::dialect::Dialect;
use k485_proto::exchange::Pairer;
use k485_proto::record::{Direction, Record, Time};

use super::{EndpointId, Talker};
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

/// Nobody: what a fault says by itself.
const NOBODY: Talker = Talker::Endpoint(EndpointId(usize::MAX));

impl Spoiled {
    pub(super) fn new(faults: Faults) -> Spoiled {
        Spoiled { faults: faults.with_devices(), last: [NOBODY; 2] }
    }

    /// What becomes of what somebody says now: who says what, and when.
    pub(super) fn pass(
        &mut self,
        who: Talker,
        bytes: &[u8],
        now: Time,
    ) -> Vec<(Talker, Vec<u8>, Time)> {
        let direction = direction(who);
        self.last[usize::from(direction == Direction::Response)] = who;
        let passed = self.faults.pass(bytes, direction, now);
        passed.into_iter().map(|passed| self.talks(passed, Some(direction))).collect()
    }

    /// What was held back until now, and what faults say by themselves.
    pub(super) fn advance(&mut self, now: Time) -> Vec<(Talker, Vec<u8>, Time)> {
        let passed = self.faults.advance(now);
        passed.into_iter().map(|passed| self.talks(passed, None)).collect()
    }

    fn talks(&self, passed: Passed, sent: Option<Direction>) -> (Talker, Vec<u8>, Time) {
        let echo = sent.is_some_and(|sent| sent != passed.direction);
        let last = self.last[usize::from(passed.direction == Direction::Response)];
        (if echo { NOBODY } else { last }, passed.bytes, passed.at)
    }

    pub(super) fn next_event(&self) -> Option<Time> {
        self.faults.next_event()
    }
}

/// Which way somebody's bytes go.
pub(super) fn direction(who: Talker) -> Direction {
    match who {
        Talker::Device(_) => Direction::Response,
        Talker::Endpoint(_) | Talker::Guest(_) => Direction::Request,
    }
}

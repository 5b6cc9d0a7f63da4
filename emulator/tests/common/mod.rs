//! A world under faults, and the wire to its host: bytes and hands in order of time.

use k485_emulator::{Hand, World};
use k485_link::Faults;
use k485_link::fault::Passed;
use k485_proto::deframer::{Deframer, Span};
use k485_proto::record::{Direction, Time};

/// What is to happen at a time.
#[allow(dead_code, reason = "not every test has a host, or rules that come later")]
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Hand(Hand),
    /// The host is gone: whatever it does next fails.
    HostRestarts,
    /// Rules strike from now on.
    Faults,
}

pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) faults: Faults,
    pub(crate) now: Time,
    /// What lies ahead, not in order.
    pub(crate) ahead: Vec<(Time, Event)>,
    /// The rules that strike once [`Event::Faults`] comes.
    pub(crate) armed: Option<Faults>,
    /// Bytes on their way, in order of time.
    wire: Vec<Passed>,
    deframer: Deframer,
    /// Frames that the host has heard.
    pub(crate) frames: Vec<Vec<u8>>,
    /// All bytes that the host has heard.
    pub(crate) heard: Vec<u8>,
    pub(crate) restarted: bool,
}

impl Bench {
    pub(crate) fn new(world: World, faults: Faults) -> Bench {
        Bench {
            now: world.now(),
            world,
            faults: faults.with_devices(),
            ahead: Vec::new(),
            armed: None,
            wire: Vec::new(),
            deframer: Deframer::new(),
            frames: Vec::new(),
            heard: Vec::new(),
            restarted: false,
        }
    }

    /// The host sends a frame.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let passed = self.faults.pass(bytes, Direction::Request, self.now);
        self.carry(passed);
        self.run(self.now);
    }

    pub(crate) fn hand(&mut self, hand: &Hand) {
        self.world.act(hand).unwrap_or_else(|error| panic!("{hand:?}: {error}"));
        self.collect();
    }

    /// Goes on by so much, at events one after the other.
    pub(crate) fn wait(&mut self, ns: i64) {
        let end = Time(self.now.0 + ns);
        loop {
            let ahead = self.ahead.iter().map(|(at, _)| *at);
            let wire = self.wire.first().map(|passed| passed.at);
            let due = ahead.chain(wire).chain(self.faults.next_event()).min();
            let to = due.map_or(end, |due| due.max(self.now).min(end));
            self.run(to);
            if to >= end {
                return;
            }
        }
    }

    fn run(&mut self, to: Time) {
        self.world.advance(to);
        self.now = to;
        self.collect();
        let passed = self.faults.advance(to);
        self.carry(passed);
        while let Some(place) = self.ahead.iter().position(|(at, _)| *at <= to) {
            match self.ahead.remove(place).1 {
                Event::Hand(hand) => self.hand(&hand),
                Event::HostRestarts => self.restarted = true,
                Event::Faults => {
                    if let Some(armed) = self.armed.take() {
                        self.faults = armed.with_devices();
                    }
                }
            }
        }
        while self.wire.first().is_some_and(|passed| passed.at <= to) {
            let passed = self.wire.remove(0);
            match passed.direction {
                Direction::Request => self.ask(&passed.bytes),
                Direction::Response => self.hear(&passed.bytes),
            }
        }
    }

    fn ask(&mut self, bytes: &[u8]) {
        self.world.heard(bytes, self.now);
        self.collect();
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        while let Some(span) = self.deframer.pull(&mut bytes) {
            if let Span::Frame { frame, .. } = span {
                self.frames.push(frame.raw().to_vec());
            }
        }
    }

    /// What waits for more bytes gets none.
    pub(crate) fn silence(&mut self) {
        while let Some(span) = self.deframer.idle() {
            if let Span::Frame { frame, .. } = span {
                self.frames.push(frame.raw().to_vec());
            }
        }
    }

    fn collect(&mut self) {
        for (_, said) in self.world.said() {
            let at = said.at.max(self.now);
            let passed = self.faults.pass(&said.bytes, Direction::Response, at);
            self.carry(passed);
        }
    }

    fn carry(&mut self, passed: Vec<Passed>) {
        for one in passed {
            let place = self.wire.partition_point(|other| other.at <= one.at);
            self.wire.insert(place, one);
        }
        for effect in self.faults.effects() {
            self.world.befall(&effect);
        }
    }
}

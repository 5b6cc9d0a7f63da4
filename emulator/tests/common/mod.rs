//! A world under faults, and the wire to its host: bytes and hands in order of time.

use k485_emulator::{Hand, World};
use k485_link::Faults;
use k485_link::fault::{Befalls, Effect, Passed};
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
    /// Bytes that a busy device reads later, and when.
    busy: Vec<Option<(Time, Vec<u8>)>>,
    deframer: Deframer,
    /// Frames that the host has heard.
    pub(crate) frames: Vec<Vec<u8>>,
    /// All bytes that the host has heard.
    pub(crate) heard: Vec<u8>,
    pub(crate) restarted: bool,
}

impl Bench {
    pub(crate) fn new(world: World, faults: Faults) -> Bench {
        let devices = world.devices().count();
        Bench {
            now: world.now(),
            world,
            faults,
            ahead: Vec::new(),
            armed: None,
            wire: Vec::new(),
            busy: vec![None; devices],
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
            let busy = self.busy.iter().flatten().map(|(until, _)| *until);
            let due = ahead.chain(wire).chain(self.faults.next_event()).chain(busy).min();
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
                        self.faults = armed;
                    }
                }
            }
        }
        for unit in 0..self.busy.len() {
            if self.busy[unit].as_ref().is_some_and(|(until, _)| *until <= to)
                && let Some((_, bytes)) = self.busy[unit].take()
            {
                self.tell(unit, &bytes);
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

    /// The devices hear; a busy one later.
    fn ask(&mut self, bytes: &[u8]) {
        for unit in 0..self.busy.len() {
            match &mut self.busy[unit] {
                Some((_, waiting)) => waiting.extend_from_slice(bytes),
                None => self.tell(unit, bytes),
            }
        }
    }

    /// Boxes are the world's first devices, by their places.
    fn tell(&mut self, unit: usize, bytes: &[u8]) {
        self.world.heard_by(bytes, self.now, |id| id.0 == unit);
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
            self.befall(effect);
        }
    }

    fn befall(&mut self, effect: Effect) {
        // By the address that the box has now; one that has none is meant by FE.
        let boxes = self.world.plant().boxes();
        let units: Vec<usize> = (0..boxes)
            .filter(|unit| {
                let device = self.world.filament_box(*unit);
                device.is_some_and(|device| device.address() == effect.device)
            })
            .collect();
        for unit in units {
            let number = unit + 1;
            match effect.what {
                Befalls::Reset => {
                    self.ahead.push((effect.at, Event::Hand(Hand::Reset { unit: number })));
                }
                Befalls::SlowBoot { ns } => {
                    let later = Time(effect.at.0 + ns);
                    self.ahead.push((effect.at, Event::Hand(Hand::Unplug { unit: number })));
                    self.ahead.push((later, Event::Hand(Hand::Plug { unit: number })));
                }
                Befalls::Busy { ns } => {
                    self.busy[unit] = Some((Time(effect.at.0 + ns), Vec::new()));
                }
                Befalls::Offline { .. } => {}
            }
        }
    }
}

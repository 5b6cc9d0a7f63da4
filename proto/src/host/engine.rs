//! The vendor's host as an engine: it assigns addresses, greets boxes, polls them, loads and
//! unloads slots. Without I/O and without a clock.
//!
//! It is driven as [`Ask`] is: [`Host::poll`] says what to do, [`Host::sent`] and [`Host::heard`]
//! are told what happened. Beside the bus it has the printer: [`Host::toolhead`] tells what the
//! filament sensor sees, [`Host::take_wants`] what extruder, cutter and heater are to do, and
//! [`Host::take_events`] what happened, for people.
//!
//! ```
//! use k485_proto::host::ask::Step;
//! use k485_proto::host::engine::{Config, Host};
//! use k485_proto::record::Time;
//!
//! let mut host = Host::new(Config::default(), Time(0));
//! assert_eq!(host.poll(Time(0)), Step::Send);
//! // Who has address 01?
//! assert_eq!(host.request(), [0xf7, 0x01, 0x03, 0x00, 0xa3, 0xdd]);
//! host.sent(Time(1_000_000));
//! // Nobody has, 50 ms later: the next.
//! assert!(matches!(host.poll(Time(1_000_000)), Step::Wait(_)));
//! ```
//!
//! Inside, as in the vendor's host, several callers share the bus and queue for it: address
//! management, the heartbeat, the odometer and one job. Each asks, sleeps or has nothing to do; who
//! asked first is served first. Source: the vendor's live host on a bus. Where it was not seen, the
//! place says so.

mod addressing;
mod boxes;
mod event;
mod job;
mod load;
mod motors;
mod react;
mod table;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

pub use event::{Event, Trouble, Want, What};
pub use job::Job;
pub use motors::{MotorParam, printer_params};
pub use table::{Online, Row};

use super::ask::{Ask, Echo, Ended, Step};
use super::policy;
use crate::address::Address;
use crate::dialect::{Dialect, K2};
use crate::frame::Frame;
use crate::message::Function;
use crate::message::boxes::get_box_state;
use crate::record::Time;
use crate::slot::Slot;
use table::State;

/// From the end of one exchange to the next request. The vendor's host takes 0.1 to 20 ms.
const TURN: i64 = 5 * Time::MILLISECOND;

/// What host it is, and how long it takes where the printer decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whose functions it speaks.
    pub dialect: &'static Dialect,
    /// The saved table: the identities of boxes 1 to 4 as far as they are known.
    pub saved: [Option<[u8; 12]>; 4],
    /// Whether it starts the motors first, and with which parameters.
    pub motors: Option<Vec<MotorParam>>,
    /// Whether the link echoes.
    pub echo: Echo,
    /// How long GET_BOX_STATE may take, in ms. The vendor's host waits an hour, and keeps the bus
    /// meanwhile: a box that goes between two questions of address management stops everything.
    pub heartbeat_ms: u32,
    /// From the first box that is online to the greeting of boxes, in ms: 4 to 5.6 s in the
    /// vendor's host.
    pub settle_ms: u32,
    /// From the last question to the slot's feed, in ms, while a printer heats and moves: 0.2 to
    /// 38 s.
    pub before_feed_ms: u32,
    /// How much the flush after a load extrudes, in mm; 0 for none.
    pub flush_mm: f32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            dialect: &K2,
            saved: [None; 4],
            motors: None,
            echo: Echo::Auto,
            heartbeat_ms: get_box_state::FUNCTION.timeout_ms,
            settle_ms: 4_300,
            before_feed_ms: 1_900,
            flush_mm: 60.0,
        }
    }
}

/// What one of those who share the bus wants of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// To ask.
    Ask,
    /// Nothing until then.
    Sleep(Time),
    /// Nothing.
    Nothing,
}

/// Those who share the bus, in the order in which they are served at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Motors,
    Addressing,
    Job,
    Boxes,
    Wheel,
}

const CALLERS: [Caller; 5] =
    [Caller::Motors, Caller::Addressing, Caller::Job, Caller::Boxes, Caller::Wheel];

/// The vendor's host.
#[derive(Debug)]
pub struct Host {
    state: State,
    motors: motors::Motors,
    addressing: addressing::Addressing,
    boxes: boxes::Boxes,
    wheel: boxes::Wheel,
    work: job::Work,
    /// Since when each caller has wanted the bus.
    tickets: [Option<Time>; CALLERS.len()],
    asking: Option<(Caller, Ask)>,
    request: Vec<u8>,
    /// When the next request may go out.
    free: Time,
}

impl Host {
    /// A host that starts now.
    #[must_use]
    pub fn new(config: Config, now: Time) -> Host {
        Host {
            motors: motors::Motors::new(config.motors.as_deref(), now),
            addressing: addressing::Addressing::new(),
            boxes: boxes::Boxes::new(now),
            wheel: boxes::Wheel::new(),
            work: job::Work::new(),
            state: State::new(config),
            tickets: [None; CALLERS.len()],
            asking: None,
            request: Vec::new(),
            free: now,
        }
    }

    /// What is to be done at this time: to send [`Host::request`] and tell [`Host::sent`], or to
    /// listen until a time. It never is [`Step::Done`].
    pub fn poll(&mut self, now: Time) -> Step {
        loop {
            if let Some((_, ask)) = &mut self.asking {
                match ask.poll(now) {
                    Step::Done => self.finish(now),
                    step => return step,
                }
            }
            if now < self.free {
                return Step::Wait(self.free);
            }
            if let Some(until) = self.serve(now) {
                return Step::Wait(until);
            }
        }
    }

    /// The frame that is to be sent.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Tells that the request's last byte went out at this time.
    pub fn sent(&mut self, now: Time) {
        if let Some((_, ask)) = &mut self.asking {
            ask.sent(now);
        }
    }

    /// Tells what was heard, and when the last byte of it was.
    pub fn heard(&mut self, bytes: &[u8], now: Time) {
        if let Some((_, ask)) = &mut self.asking {
            ask.heard(bytes, now);
        }
    }

    /// Tells what the toolhead's filament sensor sees. [`Host::poll`] is to be called after a
    /// change.
    pub fn toolhead(&mut self, filament: bool) {
        self.state.toolhead = filament;
    }

    /// Tells whether the printer prints: then boxes are looked for every 10 s only.
    pub fn printing(&mut self, printing: bool) {
        self.state.printing = printing;
    }

    /// Begins a job.
    ///
    /// # Errors
    /// Another one is under way, or a box of this one is not there.
    pub fn start(&mut self, job: Job, now: Time) -> Result<(), Trouble> {
        self.work.start(job, now, &mut self.state)
    }

    /// The job that is under way.
    #[must_use]
    pub fn job(&self) -> Option<Job> {
        self.work.job()
    }

    /// The slot whose filament is in the extruder, as far as the host knows.
    #[must_use]
    pub fn loaded(&self) -> Option<Slot> {
        self.state.loaded
    }

    /// Tells that a slot's filament is in the extruder already.
    pub fn assume_loaded(&mut self, slot: Option<Slot>) {
        self.state.loaded = slot;
    }

    /// The table of addresses, for boxes 1 to 4; to be saved for the next start.
    #[must_use]
    pub fn table(&self) -> &[Row; 4] {
        &self.state.rows
    }

    /// Whether the box with this address was greeted and is polled.
    #[must_use]
    pub fn is_ready(&self, address: Address) -> bool {
        self.state.index(address).is_some_and(|index| self.state.boxes[index].ready)
    }

    /// Takes what happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.state.events.drain(..).collect()
    }

    /// Takes what the printer is to do since the last call. The host goes on after the time that
    /// each takes, whoever does it.
    pub fn take_wants(&mut self) -> Vec<Want> {
        self.state.wants.drain(..).collect()
    }

    /// Whoever has waited longest gets the bus; else the time until which nobody wants it.
    fn serve(&mut self, now: Time) -> Option<Time> {
        let mut until = later(now, 60_000);
        let mut first: Option<(Time, Caller)> = None;
        for (index, caller) in CALLERS.into_iter().enumerate() {
            match self.need(caller, now) {
                Need::Ask => {
                    let since = *self.tickets[index].get_or_insert(now);
                    if first.is_none_or(|(earliest, _)| since < earliest) {
                        first = Some((since, caller));
                    }
                }
                Need::Sleep(time) => {
                    self.tickets[index] = None;
                    until = until.min(time);
                }
                Need::Nothing => self.tickets[index] = None,
            }
        }
        let Some((_, caller)) = first else { return Some(until.max(Time(now.0 + 1))) };
        self.tickets[caller as usize] = None;
        self.request = self.question(caller);
        let frame = Frame::from_bytes(&self.request);
        let dialect = self.state.config.dialect;
        let mut policy = frame.as_ref().map_or(super::UNKNOWN, |frame| policy(frame, dialect));
        if frame.is_ok_and(|frame| frame.func() == get_box_state::FUNCTION.code) {
            policy.timeout_ms = policy.timeout_ms.min(self.state.config.heartbeat_ms);
        }
        let ask = Ask::new(&self.request, dialect, policy, self.state.config.echo);
        self.asking = Some((caller, ask));
        None
    }

    fn need(&mut self, caller: Caller, now: Time) -> Need {
        let state = &mut self.state;
        if caller != Caller::Motors && !self.motors.are_started() {
            return Need::Nothing;
        }
        match caller {
            Caller::Motors => self.motors.need(now, state),
            Caller::Addressing => self.addressing.need(now, state),
            Caller::Job => self.work.need(now, state),
            Caller::Boxes => self.boxes.need(now, state),
            Caller::Wheel => self.wheel.need(now, state),
        }
    }

    fn question(&self, caller: Caller) -> Vec<u8> {
        match caller {
            Caller::Motors => self.motors.question(),
            Caller::Addressing => self.addressing.question(&self.state),
            Caller::Job => self.work.question(),
            Caller::Boxes => self.boxes.question(),
            Caller::Wheel => self.wheel.question(&self.state),
        }
    }

    fn finish(&mut self, now: Time) {
        let Some((caller, ask)) = self.asking.take() else { return };
        if let (Some(echo), Echo::Auto) = (ask.echo(), self.state.config.echo) {
            self.state.config.echo = if echo { Echo::On } else { Echo::Off };
        }
        let raw = match ask.ended() {
            Some(Ended::Answered(answer)) => Some(answer.reply.clone()),
            _ => None,
        };
        let reply = raw.as_deref().and_then(|raw| Frame::from_bytes(raw).ok());
        let (reply, state) = (reply.as_ref(), &mut self.state);
        self.free = Time(now.0.saturating_add(TURN));
        match caller {
            Caller::Motors => self.motors.told(reply, state),
            Caller::Addressing => self.addressing.told(reply, now, state),
            Caller::Job => self.work.told(reply, now, state),
            Caller::Boxes => self.boxes.told(reply, now, state),
            Caller::Wheel => self.wheel.told(reply, now, state),
        }
    }
}

/// A request of this function.
fn request(address: Address, function: &Function, data: &[u8]) -> Vec<u8> {
    // The engine's requests hold a few bytes each: none can be too long for a frame.
    Frame::to_vec(address, function.request_status, function.code, data).unwrap_or_default()
}

fn later(time: Time, ms: u32) -> Time {
    Time(time.0.saturating_add(i64::from(ms) * Time::MILLISECOND))
}

//! A filament box, as its firmware 1.1.3 behaves.
//!
//! The firmware has one thread that reads the bus and executes what it is told, so that a motion
//! answers when it is done and what comes meanwhile waits in the line's buffer; a second one works
//! slots into which filament was put. Both are here as stacks of steps (`task.rs`) that sleep in
//! whole milliseconds of the box's own clock, which starts when the box is switched on.
//!
//! Source of every rule: firmware 1.1.3, disassembled and observed under a mechanical model. What
//! was not observed is said where it is decided.

mod addressing;
mod commands;
mod config;
mod dispatch;
mod feed;
mod identity;
mod load;
mod machine;
mod preload;
mod receiver;
mod task;
mod unload;
mod variant;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use k485_proto::address::Address;
use k485_proto::record::Time;

pub use config::{BoxConfig, Climate, Family, Timings};

use super::{Device, Said};
use crate::Rng;
use crate::plant::Plant;
use machine::{MS, Machine};
use receiver::Receiver;
use task::{Io, Thread};

/// How many bytes wait while a motion runs; more are lost.
const LINE_BUFFER: usize = 512;
/// How long without a valid frame the host counts as lost.
const HOST_LOST: i64 = 60 * Time::SECOND;

/// A filament box on the bus and in a plant.
#[derive(Debug, Clone)]
pub struct BoxDevice {
    machine: Machine,
    receiver: Receiver,
    rng: Rng,
    now: Time,
    /// The thread that reads the bus, while it executes something.
    bus: Thread,
    /// The thread that works the slots.
    slots: Thread,
    /// What arrived while the bus thread was at work.
    line: VecDeque<u8>,
    /// Until when nothing is read, since a fault keeps it at work.
    busy: Option<Time>,
    /// When A1 will be answered.
    introduction: Option<Time>,
    /// When a valid frame to the box was last heard.
    host: Option<Time>,
    said: Vec<Said>,
    /// Whether the plant moved when it was last looked at.
    moving: bool,
}

impl BoxDevice {
    /// A box that is switched on at `config.power_on`. The seed is for its random delays.
    #[must_use]
    pub fn new(config: BoxConfig, seed: u64) -> BoxDevice {
        let now = config.power_on;
        BoxDevice {
            receiver: Receiver::new(config.address.unwrap_or(Address::UNASSIGNED)),
            machine: Machine::new(config),
            rng: Rng::new(seed),
            now,
            bus: Thread::default(),
            slots: Thread::default(),
            line: VecDeque::new(),
            busy: None,
            introduction: None,
            host: None,
            said: Vec::new(),
            moving: false,
        }
    }

    /// The address that the box answers to: FE while it has none.
    #[must_use]
    pub fn address(&self) -> Address {
        self.receiver.own
    }

    /// What the box is doing, as GET_BOX_STATE tells it.
    #[must_use]
    pub fn state(&self) -> k485_proto::message::codes::BoxState {
        self.machine.state
    }

    /// The error that is latched; 0 for none.
    #[must_use]
    pub fn error(&self) -> u8 {
        self.machine.error
    }

    /// What the box tells as its odometer: mm since the last clearing, falling while filament is fed.
    #[must_use]
    pub fn odometer(&self) -> f32 {
        self.machine.odometer()
    }

    /// Whether the box has heard no valid frame to it for a minute, or none at all. Its lights show that,
    /// and nothing else: it answers as before.
    #[must_use]
    pub fn misses_host(&self) -> bool {
        self.host.is_none_or(|heard| self.now.since(heard) >= HOST_LOST)
    }

    /// What the box was made of.
    #[must_use]
    pub fn config(&self) -> &BoxConfig {
        &self.machine.config
    }

    /// Sets what the box measures around it; `None` is a sensor that does not answer.
    pub fn set_climate(&mut self, climate: Option<Climate>) {
        self.machine.config.climate = climate;
    }

    /// The box is at work until then, whatever it is: what arrives waits in the line's buffer.
    pub fn keep_busy(&mut self, until: Time) {
        self.busy = self.busy.max(Some(until));
    }

    /// The box is switched off and on: no address, no error, no motion.
    pub fn reset(&mut self, at: Time, plant: &mut Plant) {
        self.advance(at, plant);
        self.restart(self.machine.config.loader_ms, plant);
    }

    /// The same, and its loader runs for so many ms this time, or until it is told to start the
    /// application.
    pub fn reset_slowly(&mut self, at: Time, loader_ms: u32, plant: &mut Plant) {
        self.advance(at, plant);
        self.restart(loader_ms, plant);
    }

    fn restart(&mut self, loader_ms: u32, plant: &mut Plant) {
        plant.path_mut(self.machine.config.unit).stop();
        let mut config = self.machine.config.clone();
        config.power_on = self.now;
        config.address = None;
        config.odometer = 0.0;
        config.printing = None;
        let code = self.machine.code;
        self.machine = Machine::new(config);
        self.machine.code = code;
        self.machine.loader_ms = loader_ms;
        self.receiver = Receiver::new(Address::UNASSIGNED);
        self.bus = Thread::default();
        self.slots = Thread::default();
        self.line.clear();
        self.introduction = None;
        self.host = None;
        self.busy = None;
    }

    /// Runs the threads that are due and what follows from them, at `self.now`.
    fn work(&mut self, plant: &mut Plant) {
        self.machine.watch(self.now, plant);
        self.machine.sample(self.now, plant);
        if self.introduction.is_some_and(|due| due <= self.now) {
            self.introduction = None;
            self.introduce();
        }
        // What ends lets the line be read on, which may begin the next thing at once.
        loop {
            if self.bus.is_due(self.now) {
                let (thread, mut io) = threads(self, plant, Which::Bus);
                thread.run(&mut io);
            }
            self.read_line(plant);
            if !self.bus.is_due(self.now) {
                break;
            }
        }
        loop {
            if !self.slots.is_working()
                && let Some(step) = self.machine.take_insertion()
            {
                self.slots.start(step);
            }
            if !self.slots.is_due(self.now) {
                break;
            }
            let (thread, mut io) = threads(self, plant, Which::Slots);
            thread.run(&mut io);
        }
        if self.machine.reboot {
            self.restart(self.machine.config.loader_ms, plant);
        }
        self.moving = plant.is_moving();
    }

    /// Reads what waits on the line, until a request needs time.
    fn read_line(&mut self, plant: &mut Plant) {
        self.busy = self.busy.filter(|until| *until > self.now);
        while self.busy.is_none() && !self.bus.is_working() && !self.machine.reboot {
            let Some(byte) = self.line.pop_front() else { return };
            self.receiver.loader = self.machine.in_loader(self.now);
            self.receiver.gap_ms = self.machine.config.timings.byte_gap;
            if let Some(heard) = self.receiver.take(byte, self.now) {
                self.dispatch(&heard, plant);
            }
        }
    }

    fn due(&self) -> Option<Time> {
        let threads = [self.bus.wake(), self.slots.wake(), self.introduction, self.busy];
        let mut due = threads.into_iter().flatten().min();
        let machine = self.machine.next_event(self.now, self.moving);
        due = [due, machine].into_iter().flatten().min();
        due.map(|time| time.max(self.now))
    }
}

/// Which of the two threads.
#[derive(Debug, Clone, Copy)]
enum Which {
    Bus,
    Slots,
}

/// A thread, and what it works with.
fn threads<'a>(
    device: &'a mut BoxDevice,
    plant: &'a mut Plant,
    which: Which,
) -> (&'a mut Thread, Io<'a>) {
    let io = Io {
        machine: &mut device.machine,
        plant,
        line: &mut device.line,
        said: &mut device.said,
        own: device.receiver.own,
        now: device.now,
    };
    let thread = match which {
        Which::Bus => &mut device.bus,
        Which::Slots => &mut device.slots,
    };
    (thread, io)
}

impl Device for BoxDevice {
    fn heard(&mut self, bytes: &[u8], at: Time, plant: &mut Plant) {
        self.advance(at, plant);
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = LINE_BUFFER.saturating_sub(self.line.len());
            let (next, later) = rest.split_at(rest.len().min(room));
            self.line.extend(next);
            self.work(plant);
            if room == 0 {
                break;
            }
            rest = later;
        }
    }

    fn advance(&mut self, to: Time, plant: &mut Plant) {
        plant.advance(self.now);
        self.work(plant);
        while let Some(due) = self.due().filter(|due| *due <= to) {
            // What is due now has just been done: only later times go on, or a clock would stand.
            self.now = if due > self.now { due } else { Time(self.now.0 + MS) };
            if self.now > to {
                self.now = to;
                break;
            }
            plant.advance(self.now);
            self.work(plant);
        }
        self.now = self.now.max(to);
        plant.advance(self.now);
        self.moving = plant.is_moving();
    }

    fn next_event(&self) -> Option<Time> {
        self.due()
    }

    fn owes(&self) -> bool {
        !self.line.is_empty() || self.introduction.is_some() || self.bus.owes()
    }

    fn said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }
}

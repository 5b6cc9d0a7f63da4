//! What the firmware remembers, and what it watches in the background.

use std::collections::VecDeque;

use k485_proto::message::codes::{BoxState, SlotChange};
use k485_proto::record::Time;

use super::config::BoxConfig;
use super::preload::Insertion;
use super::task::Step;
use crate::plant::{Drive, Plant, SLOTS};

/// A millisecond, in nanoseconds.
pub(super) const MS: i64 = Time::MILLISECOND;

/// The wheel is read every 20 ms, in this one of them; seen.
const WHEEL: (i64, i64) = (20, 9);
/// Running motors are noticed every 100 ms, in this one of them; the period is a guess that fits
/// all that was seen: a run of 30 ms goes unnoticed, one of 90 never did.
const MOTORS: (i64, i64) = (100, 30);

#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) config: BoxConfig,
    pub(super) state: BoxState,
    /// The error that state 4 reports.
    pub(super) error: u8,
    /// The slot that commands named last; `None` for none.
    pub(super) slot: Option<usize>,
    /// What a feed ended with, until it was told.
    pub(super) feed_result: u8,
    /// What happened at the slots since STATUS 30 told of it.
    pub(super) changes: [SlotChange; SLOTS],
    /// The feeder that ran last since the last look, as a mask.
    pub(super) ran: u8,
    /// Whether the hub motor ran without turning since the last look.
    pub(super) hub_stood: bool,
    /// The slot that is being worked after an insertion or by 0D.
    pub(super) working: Option<usize>,
    /// What the readers saw, a slot.
    pub(super) tags: [Option<[u8; 40]>; SLOTS],
    /// The byte that 50 stores and 0C reads.
    pub(super) code: u8,
    /// Whether the box restarts as soon as it has spoken.
    pub(super) reboot: bool,
    /// How long the loader runs this time, in ms; `u32::MAX` is until it is told.
    pub(super) loader_ms: u32,
    /// Whether the loader was told to start the application.
    pub(super) app: bool,
    /// The wheel's steps at its last reading, and at the last clearing.
    wheel: i64,
    wheel_zero: i64,
    sampled: i64,
    looked: i64,
    /// Whether the wheel has turned since its last reading.
    moved: bool,
    /// Whether the sensors were read once: what is there at the start was not put in.
    started: bool,
    inlets: [bool; SLOTS],
    /// When a changed inlet sensor will count.
    inlet_changes: [Option<Time>; SLOTS],
    insertions: VecDeque<usize>,
    full: bool,
    empty: bool,
}

impl Machine {
    pub(super) fn new(config: BoxConfig) -> Machine {
        let printing = config.printing;
        Machine {
            loader_ms: config.loader_ms,
            config,
            state: if printing.is_some() { BoxState::PRINTING } else { BoxState::IDLE },
            error: 0,
            slot: printing,
            feed_result: 0,
            changes: [SlotChange::NONE; SLOTS],
            ran: 0,
            hub_stood: false,
            working: None,
            tags: [None; SLOTS],
            code: 0,
            reboot: false,
            app: false,
            wheel: 0,
            wheel_zero: 0,
            sampled: -1,
            looked: -1,
            moved: false,
            started: false,
            inlets: [false; SLOTS],
            inlet_changes: [None; SLOTS],
            insertions: VecDeque::new(),
            full: false,
            empty: false,
        }
    }

    /// The box's clock at a time, in ms.
    pub(super) fn tick(&self, at: Time) -> i64 {
        at.since(self.config.power_on).div_euclid(MS)
    }

    /// The time at which the box's clock shows `tick`.
    pub(super) fn at_tick(&self, tick: i64) -> Time {
        Time(self.config.power_on.0.saturating_add(tick.saturating_mul(MS)))
    }

    /// Whether the loader still runs.
    pub(super) fn in_loader(&self, now: Time) -> bool {
        let ms = self.loader_ms;
        !self.app && ms != 0 && (ms == u32::MAX || self.tick(now) < i64::from(ms))
    }

    /// Takes the result of a motion: 00 makes the box idle, 01 and 03 change nothing, all else is
    /// latched.
    pub(super) fn settle(&mut self, result: u8) {
        match result {
            0 => self.idle(),
            1 | 3 => {}
            code => {
                self.state = BoxState::ERROR;
                self.error = code;
            }
        }
    }

    /// Idle, with nothing latched.
    pub(super) fn idle(&mut self) {
        self.state = BoxState::IDLE;
        self.error = 0;
    }

    /// The odometer as the firmware has it: mm since the last clearing, falling while filament is
    /// fed, as old as its last reading of the wheel.
    pub(super) fn odometer(&self) -> f32 {
        let steps = self.wheel_zero - self.wheel;
        if steps == 0 {
            return 0.0;
        }
        // In single precision, as the firmware computes it.
        steps as f32 * self.config.timings.wheel_step
    }

    /// How far the wheel has turned since `from`, either way, in mm.
    pub(super) fn turned_since(&self, from: i64) -> f64 {
        (self.wheel - from).abs() as f64 * f64::from(self.config.timings.wheel_step)
    }

    /// The wheel's last reading, to be measured from.
    pub(super) fn wheel(&self) -> i64 {
        self.wheel
    }

    pub(super) fn clear_odometer(&mut self) {
        self.wheel_zero = self.wheel;
    }

    /// Looks at what sensors and switches show.
    pub(super) fn watch(&mut self, now: Time, plant: &mut Plant) {
        if self.in_loader(now) {
            return;
        }
        let printer = plant.printer();
        let (full, empty) = (printer.full(), printer.empty());
        let path = plant.path_mut(self.config.unit);
        if !self.started {
            self.started = true;
            // Counted from the start, wherever the wheel stands.
            self.wheel = steps(path.wheel(), self.config.timings.wheel_step);
            self.wheel_zero =
                self.wheel + steps(self.config.odometer, self.config.timings.wheel_step);
            if self.state == BoxState::PRINTING && empty {
                path.hub = Drive::Forward;
            }
            for slot in 0..SLOTS {
                self.inlets[slot] = path.inlet(slot);
                self.tags[slot] = path.spool(slot).and_then(|spool| spool.tag);
            }
        } else if self.state == BoxState::PRINTING {
            // In print mode the switches' edges drive the hub motor.
            if empty && !self.empty {
                path.hub = Drive::Forward;
            }
            if full && !self.full {
                path.hub = Drive::Stop;
            }
        }
        (self.full, self.empty) = (full, empty);
        for slot in 0..SLOTS {
            self.watch_inlet(slot, path.inlet(slot), now);
        }
    }

    fn watch_inlet(&mut self, slot: usize, filament: bool, now: Time) {
        if filament == self.inlets[slot] {
            self.inlet_changes[slot] = None;
            return;
        }
        // In whole ticks, so that it does not matter when within one it was seen.
        let due = self.at_tick(self.tick(now) + i64::from(self.config.timings.inserted));
        if *self.inlet_changes[slot].get_or_insert(due) > now {
            return;
        }
        self.inlet_changes[slot] = None;
        self.inlets[slot] = filament;
        if filament {
            self.changes[slot] = SlotChange::INSERTED;
            self.insertions.push_back(slot);
        } else {
            self.changes[slot] = SlotChange::PULLED_OUT;
            self.insertions.retain(|waiting| *waiting != slot);
            self.tags[slot] = None;
        }
    }

    /// The next slot to be worked because filament was put in, when now is the time for it.
    pub(super) fn take_insertion(&mut self) -> Option<Step> {
        let busy = matches!(self.state, BoxState::WRAPPING | BoxState::TEST);
        if busy || self.working.is_some() {
            return None;
        }
        let slot = self.insertions.pop_front()?;
        // The slot that feeds the print is not pulled about.
        if self.state == BoxState::PRINTING && self.slot == Some(slot) {
            return None;
        }
        Some(Step::Insertion(Insertion::new(slot)))
    }

    /// Reads the wheel and looks for running motors, where their time has come.
    pub(super) fn sample(&mut self, now: Time, plant: &Plant) {
        let tick = self.tick(now);
        let path = plant.path(self.config.unit);
        let sampled = last(tick, WHEEL);
        if sampled > self.sampled {
            self.sampled = sampled;
            self.wheel = steps(path.wheel(), self.config.timings.wheel_step);
        }
        let looked = last(tick, MOTORS);
        if looked > self.looked {
            // Only a look at its own time sees anything: at another one the motors of then have
            // long stopped.
            if looked == tick {
                if let Some(slot) = path.feeders.iter().position(|drive| *drive != Drive::Stop) {
                    self.ran = 1 << slot;
                }
                self.hub_stood |= path.hub_stands();
            }
            self.looked = looked;
        }
        self.moved = steps(path.wheel(), self.config.timings.wheel_step) != self.wheel;
    }

    /// When the background work is next due.
    pub(super) fn next_event(&self, now: Time, moving: bool) -> Option<Time> {
        let tick = self.tick(now);
        let mut due = self.inlet_changes.iter().flatten().min().copied();
        let mut at = |tick| {
            let time = self.at_tick(tick);
            due = Some(due.map_or(time, |due: Time| due.min(time)));
        };
        // The application's first look, as soon as it runs.
        match self.loader_ms {
            _ if self.started => {}
            _ if !self.in_loader(now) => at(tick + 1),
            u32::MAX => {}
            ms => at(i64::from(ms)),
        }
        if moving {
            at(tick + 1);
        } else if self.moved {
            at(last(tick, WHEEL) + WHEEL.0);
        }
        due
    }
}

/// The last tick, up to `tick`, that is `phase` past a multiple of `period`.
fn last(tick: i64, (period, phase): (i64, i64)) -> i64 {
    tick - (tick - phase).rem_euclid(period)
}

/// A length as whole steps of the wheel's sensor.
fn steps(mm: f64, step: f32) -> i64 {
    (mm / f64::from(step)).trunc() as i64
}

//! Jobs: what is told to the printer's host, as steps that are worked one after the other.

use alloc::vec::Vec;
use core::fmt;

use super::load::Step;
use super::table::State;
use super::{Event, Need, Trouble, later};
use crate::frame::Frame;
use crate::key::Key;
use crate::record::Time;
use crate::slot::{Slot, SlotSet};
use crate::status::{STATUSES, Status};

/// What the host can be told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Filament from this slot into the extruder.
    Load(Slot),
    /// The filament in the extruder back into this slot.
    Unload(Slot),
    /// One slot's filament back, another one's in.
    Change {
        /// The slot whose filament is in the extruder.
        from: Slot,
        /// The slot that comes in.
        to: Slot,
    },
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Job::Load(slot) => write!(f, "load of {slot}"),
            Job::Unload(slot) => write!(f, "unload of {slot}"),
            Job::Change { from, to } => write!(f, "change from {from} to {to}"),
        }
    }
}

/// How often what was tried.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tries {
    /// Failed hand-overs to the hub.
    pub to_hub: u8,
    /// Feeds that ended by themselves before the toolhead sensor saw filament.
    pub feed: u8,
    /// Pulls back between such feeds.
    pub back: u8,
    /// Polls of the feed that runs.
    pub polls: u8,
    /// Rounds with a full buffer.
    pub full: u8,
    /// Whole loads that a full buffer has ended.
    pub whole: u8,
    /// Whether the box told that pushing does not help.
    pub push_failed: bool,
}

/// The job that is under way.
#[derive(Debug)]
pub(super) struct Work {
    job: Option<Job>,
    /// The next step is the last.
    pub(super) steps: Vec<Step>,
    pub(super) tries: Tries,
    /// What hubs hold that were asked, by box.
    pub(super) hubs: [SlotSet; 4],
    /// What the odometer read before the flush.
    pub(super) before_flush: Option<f32>,
    /// A pause, and whether the toolhead sensor ends it.
    until: Option<(Time, bool)>,
}

impl Work {
    pub(super) fn new() -> Work {
        Work {
            job: None,
            steps: Vec::new(),
            tries: Tries::default(),
            hubs: [SlotSet::NONE; 4],
            before_flush: None,
            until: None,
        }
    }

    pub(super) fn job(&self) -> Option<Job> {
        self.job
    }

    pub(super) fn start(&mut self, job: Job, now: Time, state: &mut State) -> Result<(), Trouble> {
        if let Some(job) = self.job {
            return Err(Trouble::Busy(job));
        }
        let slots = match job {
            Job::Load(slot) | Job::Unload(slot) => [slot, slot],
            Job::Change { from, to } => [from, to],
        };
        for slot in slots {
            let there = state.online().any(|number| number == slot.device)
                && state.boxes[usize::from(slot.device) - 1].ready;
            if !there {
                return Err(Trouble::NotReady(slot.device));
            }
        }
        *self = Work { job: Some(job), ..Work::new() };
        self.until = Some((now, false));
        state.event(Event::Began(job));
        self.plan(job, state);
        Ok(())
    }

    pub(super) fn need(&mut self, now: Time, state: &mut State) -> Need {
        loop {
            let Some(job) = self.job else { return Need::Nothing };
            if let Some((until, sensor)) = self.until
                && now < until
                && !(sensor && state.toolhead)
            {
                return Need::Sleep(until);
            }
            self.until = None;
            let Some(step) = self.steps.last().copied() else {
                self.end(state);
                state.event(Event::Done(job));
                return Need::Nothing;
            };
            if step.asks() {
                return Need::Ask;
            }
            self.steps.pop();
            if let Err(trouble) = self.alone(step, now, state) {
                self.fail(trouble, state);
            }
        }
    }

    pub(super) fn question(&self) -> Vec<u8> {
        self.steps.last().map(|step| step.question()).unwrap_or_default()
    }

    pub(super) fn told(&mut self, reply: Option<&Frame<'_>>, now: Time, state: &mut State) {
        let Some(step) = self.steps.pop() else { return };
        if let Err(trouble) = self.react(step, reply, now, state) {
            self.fail(trouble, state);
        }
    }

    /// Waits so long, or until the toolhead sensor sees filament.
    pub(super) fn pause(&mut self, now: Time, ms: u32, sensor: bool) {
        self.until = Some((later(now, ms), sensor));
    }

    /// These steps come next, in this order.
    pub(super) fn first(&mut self, steps: impl IntoIterator<Item = Step>) {
        let at = self.steps.len();
        self.steps.extend(steps);
        self.steps[at..].reverse();
    }

    fn fail(&mut self, trouble: Trouble, state: &mut State) {
        let Some(job) = self.job else { return };
        if let Some(key) = trouble.key() {
            let number = state.working.unwrap_or_default();
            // That a box is silent has been told.
            if key != Key(831) {
                state.message(key, crate::address::Address(number));
            }
        }
        self.end(state);
        state.event(Event::Failed { job, trouble });
    }

    fn end(&mut self, state: &mut State) {
        self.job = None;
        self.steps.clear();
        self.until = None;
        state.working = None;
    }
}

/// The message that the printer shows for a STATUS, whatever the command.
pub(super) fn key_of(status: Status) -> Option<Key> {
    let info = STATUSES.iter().find(|info| info.code == status)?;
    info.keys.first().map(|key| Key(*key))
}

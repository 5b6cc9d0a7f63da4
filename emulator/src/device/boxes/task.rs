//! The firmware's threads: stacks of steps that sleep and call each other.
//!
//! A [`Step`] is a piece of the firmware's straight code as a state machine: it is run, and says
//! that it sleeps, calls another one, or is done with a result. So a motion of half a minute is
//! resumed where it was, and a box can be copied in the middle of it.

use std::collections::VecDeque;

use k485_proto::address::Address;
use k485_proto::frame::Frame;
use k485_proto::record::Time;
use k485_proto::status::Status;

use super::Said;
use super::commands::Command;
use super::feed::Feed;
use super::load::{Fill, HubFeed, Push, Still, ToHub};
use super::machine::Machine;
use super::preload::{Insertion, Pretension, Run, Tag};
use super::unload::{EmptyBuffer, PullBack, PullBackAll};
use crate::plant::{BoxPath, Plant};

/// What a step wants next.
#[derive(Debug)]
pub(super) enum Next {
    /// To be run again so many milliseconds later.
    Sleep(u32),
    /// To be run again with the result of this one.
    Call(Step),
    /// It is done.
    Done(u8),
}

/// What steps work with.
pub(super) struct Io<'a> {
    pub(super) machine: &'a mut Machine,
    pub(super) plant: &'a mut Plant,
    pub(super) line: &'a mut VecDeque<u8>,
    pub(super) said: &'a mut Vec<Said>,
    pub(super) own: Address,
    pub(super) now: Time,
}

impl Io<'_> {
    /// The box's paths.
    pub(super) fn path(&mut self) -> &mut BoxPath {
        self.plant.path_mut(self.machine.config.unit)
    }

    /// The box's clock, in ms since it was switched on.
    pub(super) fn tick(&self) -> i64 {
        self.machine.tick(self.now)
    }

    /// Speaks a reply from the box's own address.
    pub(super) fn reply(&mut self, func: u8, status: u8, data: &[u8]) {
        // A reply is far below what LEN can count; a longer one could not be spoken by the box
        // either.
        if let Some(bytes) = reply(self.own, func, status, data) {
            self.said.push(Said { at: self.now, bytes });
        }
    }
}

/// The bytes of a reply.
pub(super) fn reply(own: Address, func: u8, status: u8, data: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    Frame::emit(own, Status(status), func, data, &mut bytes).ok()?;
    Some(bytes)
}

macro_rules! steps {
    ($($Step:ident),+ $(,)?) => {
        /// A piece of the firmware's straight code.
        #[derive(Debug, Clone)]
        pub(super) enum Step {
            $($Step($Step)),+
        }

        impl Step {
            /// Goes on; `result` is that of the step it called last.
            fn run(&mut self, result: u8, io: &mut Io<'_>) -> Next {
                match self {
                    $(Step::$Step(step) => step.run(result, io)),+
                }
            }
        }

        $(impl From<$Step> for Next {
            fn from(step: $Step) -> Next {
                Next::Call(Step::$Step(step))
            }
        })+
    };
}

steps! {
    Command, Sense, ToHub, Feed, Fill, Push, Still, HubFeed, EmptyBuffer, PullBack, PullBackAll,
    Pretension, Tag, Run, Insertion,
}

/// A thread of the firmware.
#[derive(Debug, Clone)]
pub(super) struct Thread {
    stack: Vec<Step>,
    result: u8,
    wake: Time,
}

impl Default for Thread {
    fn default() -> Thread {
        Thread { stack: Vec::new(), result: 0, wake: Time(i64::MIN) }
    }
}

impl Thread {
    pub(super) fn is_working(&self) -> bool {
        !self.stack.is_empty()
    }

    pub(super) fn wake(&self) -> Option<Time> {
        self.is_working().then_some(self.wake)
    }

    /// Whether what it works on ends with an answer.
    pub(super) fn owes(&self) -> bool {
        match self.stack.first() {
            None => false,
            Some(Step::Feed(feed)) => feed.owes(),
            Some(_) => true,
        }
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        self.wake().is_some_and(|wake| wake <= now)
    }

    /// Gives the thread work, to be begun when it is next run.
    pub(super) fn start(&mut self, step: Step) {
        self.stack.clear();
        self.stack.push(step);
        self.result = 0;
        self.wake = Time(i64::MIN);
    }

    /// Runs until it sleeps or has nothing left to do.
    pub(super) fn run(&mut self, io: &mut Io<'_>) {
        while let Some(mut step) = self.stack.pop() {
            match step.run(self.result, io) {
                Next::Sleep(ms) => {
                    self.stack.push(step);
                    self.wake = io.machine.at_tick(io.tick() + i64::from(ms.max(1)));
                    return;
                }
                Next::Call(called) => {
                    self.stack.push(step);
                    self.stack.push(called);
                    self.result = 0;
                }
                Next::Done(result) => self.result = result,
            }
        }
    }
}

/// Which row of photo sensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Row {
    #[default]
    Inlet,
    Hub,
}

/// Looks at a photo sensor until it sees filament (1), or has not for a while (0). No slot is a
/// sensor that sees none.
#[derive(Debug, Clone, Default)]
pub(super) struct Sense {
    row: Row,
    slot: Option<usize>,
    looks: u32,
}

impl Sense {
    pub(super) fn inlet(slot: usize) -> Next {
        Sense { row: Row::Inlet, slot: Some(slot), looks: 0 }.into()
    }

    pub(super) fn hub(slot: usize) -> Next {
        Sense { row: Row::Hub, slot: Some(slot), looks: 0 }.into()
    }

    pub(super) fn of(row: Row, slot: Option<usize>) -> Next {
        Sense { row, slot, looks: 0 }.into()
    }

    fn run(&mut self, _: u8, io: &mut Io<'_>) -> Next {
        let path = io.path();
        let seen = self.slot.is_some_and(|slot| match self.row {
            Row::Inlet => path.inlet(slot),
            Row::Hub => path.in_hub(slot),
        });
        if seen {
            return Next::Done(1);
        }
        if self.looks >= io.machine.config.timings.dark {
            return Next::Done(0);
        }
        self.looks += 1;
        Next::Sleep(1)
    }
}

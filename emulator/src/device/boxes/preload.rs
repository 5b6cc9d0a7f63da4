//! What is done with filament that was put in: pretension before the hub, and its tag.

use k485_proto::message::codes::{BoxState, SlotChange};

use super::task::{Io, Next};
use super::unload::{PullBack, PullBackAll};
use crate::plant::{Drive, SLOTS};

/// Carries filament to the hub sensor and back behind it, so often that the spool's slack is gone.
#[derive(Debug, Clone)]
pub(super) struct Pretension {
    slot: usize,
    approaches: u8,
    at: PretensionAt,
}

#[derive(Debug, Clone, Copy)]
enum PretensionAt {
    Start,
    /// Goes until the sensor shows filament (forward) or none.
    Go {
        forward: bool,
        since: i64,
    },
    Over {
        forward: bool,
    },
    Stopped {
        forward: bool,
    },
    Nudge,
    End(u8),
}

impl Pretension {
    pub(super) fn call(slot: usize, approaches: u8) -> Next {
        Pretension { slot, approaches, at: PretensionAt::Start }.into()
    }

    pub(super) fn run(&mut self, _: u8, io: &mut Io<'_>) -> Next {
        let timings = io.machine.config.timings.clone();
        match self.at {
            PretensionAt::Start => self.go(io, true),
            PretensionAt::Go { forward, since } => {
                if io.path().in_hub(self.slot) == forward {
                    self.at = PretensionAt::Over { forward };
                    return Next::Sleep(timings.overrun);
                }
                if io.tick() - since >= i64::from(timings.to_hub) {
                    return self.end(io, 0x05);
                }
                Next::Sleep(1)
            }
            PretensionAt::Over { forward } => {
                io.path().feeders[self.slot] = Drive::Stop;
                self.at = PretensionAt::Stopped { forward };
                Next::Sleep(timings.settle)
            }
            PretensionAt::Stopped { forward: true } => self.go(io, false),
            PretensionAt::Stopped { forward: false } => {
                self.approaches = self.approaches.saturating_sub(1);
                if self.approaches > 0 {
                    return self.go(io, true);
                }
                io.path().feeders[self.slot] = Drive::Forward;
                self.at = PretensionAt::Nudge;
                Next::Sleep(timings.nudge)
            }
            PretensionAt::Nudge => self.end(io, 0),
            PretensionAt::End(result) => Next::Done(result),
        }
    }

    fn go(&mut self, io: &mut Io<'_>, forward: bool) -> Next {
        io.path().feeders[self.slot] = if forward { Drive::Forward } else { Drive::Reverse };
        self.at = PretensionAt::Go { forward, since: io.tick() };
        Next::Sleep(1)
    }

    fn end(&mut self, io: &mut Io<'_>, result: u8) -> Next {
        io.path().feeders[self.slot] = Drive::Stop;
        self.at = PretensionAt::End(result);
        Next::Sleep(1)
    }
}

/// Turns the spool before the reader, until it sees a tag or has not for long enough. How the
/// firmware does it was not seen, only how long it takes without a reader.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    slot: usize,
    turns: u32,
    at: TagAt,
}

#[derive(Debug, Clone, Copy)]
enum TagAt {
    Start,
    Settled,
    Forward,
    Stopped,
    Back,
}

impl Tag {
    pub(super) fn call(slot: usize) -> Next {
        Tag { slot, turns: 0, at: TagAt::Start }.into()
    }

    pub(super) fn run(&mut self, _: u8, io: &mut Io<'_>) -> Next {
        let timings = io.machine.config.timings.clone();
        match self.at {
            TagAt::Start => {
                self.at = TagAt::Settled;
                Next::Sleep(timings.tag_settle)
            }
            TagAt::Settled => {
                if self.turns >= timings.tag_turns || io.machine.tags[self.slot].is_some() {
                    return Next::Done(0);
                }
                self.turns += 1;
                io.path().feeders[self.slot] = Drive::Forward;
                self.at = TagAt::Forward;
                Next::Sleep(timings.tag_turn)
            }
            TagAt::Forward => {
                io.path().feeders[self.slot] = Drive::Stop;
                // A turn brings the tag before the reader, where there is a tag.
                let tag = io.path().spool(self.slot).and_then(|spool| spool.tag);
                io.machine.tags[self.slot] = tag;
                self.at = TagAt::Stopped;
                Next::Sleep(timings.settle)
            }
            TagAt::Stopped => {
                self.at = TagAt::Back;
                PullBack::call(self.slot)
            }
            TagAt::Back => {
                self.at = TagAt::Settled;
                Next::Sleep(timings.settle)
            }
        }
    }
}

/// How often filament that was put in approaches the hub.
const APPROACHES: u8 = 3;
/// How often 0D 02 and 03 make it.
const RUN_APPROACHES: u8 = 5;
/// What 0D 02 and 03 take beside the approaches, a slot, in ms.
const RUN_START: u32 = 470;

/// Works a slot into which filament was put.
#[derive(Debug, Clone)]
pub(super) struct Insertion {
    slot: usize,
    at: InsertionAt,
}

#[derive(Debug, Clone, Copy)]
enum InsertionAt {
    Start,
    Pretension,
    Tag,
}

impl Insertion {
    pub(super) fn new(slot: usize) -> Insertion {
        Insertion { slot, at: InsertionAt::Start }
    }

    pub(super) fn run(&mut self, result: u8, io: &mut Io<'_>) -> Next {
        match self.at {
            InsertionAt::Start => {
                // Filament that reaches into the hub already is not pulled about.
                if io.path().in_hub(self.slot) {
                    return Next::Done(0);
                }
                io.machine.working = Some(self.slot);
                if io.machine.config.preload && io.machine.state == BoxState::IDLE {
                    io.machine.state = BoxState::PRELOADING;
                }
                self.at = InsertionAt::Pretension;
                Pretension::call(self.slot, APPROACHES)
            }
            InsertionAt::Pretension if result != 0 => self.end(io, SlotChange::NONE),
            InsertionAt::Pretension if io.machine.config.preload => {
                self.at = InsertionAt::Tag;
                Tag::call(self.slot)
            }
            InsertionAt::Pretension | InsertionAt::Tag => self.end(io, SlotChange::FINISHED),
        }
    }

    fn end(&mut self, io: &mut Io<'_>, change: SlotChange) -> Next {
        io.machine.working = None;
        if change != SlotChange::NONE {
            io.machine.changes[self.slot] = change;
        }
        if io.machine.state == BoxState::PRELOADING {
            io.machine.state = BoxState::IDLE;
        }
        Next::Done(0)
    }
}

/// 0D 02 and 03: the same for some slots, on demand.
#[derive(Debug, Clone)]
pub(super) struct Run {
    slots: u8,
    slot: usize,
    tags: bool,
    at: RunAt,
}

#[derive(Debug, Clone, Copy)]
enum RunAt {
    /// Until the slots' own thread is done.
    Wait,
    Clear,
    Next,
    Begin,
    Pretension,
    Tag,
}

impl Run {
    pub(super) fn call(slots: u8, tags: bool) -> Next {
        Run { slots, slot: 0, tags, at: RunAt::Wait }.into()
    }

    pub(super) fn run(&mut self, result: u8, io: &mut Io<'_>) -> Next {
        match self.at {
            RunAt::Wait if io.machine.working.is_some() => Next::Sleep(10),
            RunAt::Wait => {
                let path = io.path();
                let hub = (0..SLOTS).filter(|slot| path.in_hub(*slot)).fold(0, |m, s| m | 1 << s);
                self.at = if hub == 0 { RunAt::Next } else { RunAt::Clear };
                if hub == 0 { self.next(io) } else { PullBackAll::call(hub) }
            }
            RunAt::Clear if result != 0 => Next::Done(result),
            RunAt::Clear | RunAt::Next => self.next(io),
            RunAt::Begin => {
                self.at = RunAt::Pretension;
                Pretension::call(self.slot, RUN_APPROACHES)
            }
            RunAt::Pretension if result == 0 && self.tags => {
                self.at = RunAt::Tag;
                Tag::call(self.slot)
            }
            RunAt::Pretension | RunAt::Tag => self.next(io),
        }
    }

    fn next(&mut self, io: &mut Io<'_>) -> Next {
        io.machine.working = None;
        while self.slots != 0 {
            self.slot = self.slots.trailing_zeros() as usize;
            self.slots &= self.slots - 1;
            if io.path().inlet(self.slot) {
                io.machine.working = Some(self.slot);
                io.machine.state = BoxState::PRELOADING;
                self.at = RunAt::Begin;
                return Next::Sleep(RUN_START);
            }
        }
        Next::Done(0)
    }
}

//! Back to the spool: the stages of RETRUDE_PROCESS.

use k485_proto::message::codes::BoxState;

use super::task::{Io, Next, Sense};
use crate::plant::{Drive, SLOTS};

/// 11/00: draws back until the buffer is empty.
#[derive(Debug, Clone)]
pub(super) struct EmptyBuffer {
    slots: u8,
    at: EmptyAt,
}

#[derive(Debug, Clone)]
enum EmptyAt {
    Start,
    Nudged,
    Draw { waited: u32 },
    End(u8),
}

impl EmptyBuffer {
    /// The feeders of the slots in the mask give the first tug.
    pub(super) fn call(slots: u8) -> Next {
        EmptyBuffer { slots, at: EmptyAt::Start }.into()
    }

    pub(super) fn run(&mut self, _: u8, io: &mut Io<'_>) -> Next {
        let (nudge, limit) = (io.machine.config.timings.nudge, io.machine.config.timings.empty);
        match self.at {
            EmptyAt::Start => {
                self.feeders(io, Drive::Reverse);
                self.at = EmptyAt::Nudged;
                Next::Sleep(nudge)
            }
            EmptyAt::Nudged => {
                self.feeders(io, Drive::Stop);
                io.path().hub = Drive::Reverse;
                self.at = EmptyAt::Draw { waited: 9 };
                Next::Sleep(9)
            }
            EmptyAt::Draw { .. } if io.plant.printer().empty() => self.stop(io, 0),
            EmptyAt::Draw { waited } if waited >= limit => self.stop(io, 0x13),
            EmptyAt::Draw { waited } => {
                let step = (limit - waited).min(10);
                self.at = EmptyAt::Draw { waited: waited + step };
                Next::Sleep(step)
            }
            EmptyAt::End(result) => Next::Done(result),
        }
    }

    fn feeders(&self, io: &mut Io<'_>, drive: Drive) {
        for slot in 0..SLOTS {
            if self.slots & 1 << slot != 0 {
                io.path().feeders[slot] = drive;
            }
        }
    }

    fn stop(&mut self, io: &mut Io<'_>, result: u8) -> Next {
        io.path().hub = Drive::Stop;
        self.at = EmptyAt::End(result);
        Next::Sleep(io.machine.config.timings.settle)
    }
}

/// 11/01: pulls one slot's filament out of the hub, and lets it come a little forward again.
#[derive(Debug, Clone)]
pub(super) struct PullBack {
    slot: usize,
    at: BackAt,
}

#[derive(Debug, Clone)]
enum BackAt {
    Start,
    Go,
    Look(Draw),
    Looked(Draw),
    Pause(Draw),
    Freed,
    Forward,
    End(u8),
}

/// How the pulling goes.
#[derive(Debug, Clone)]
struct Draw {
    since: i64,
    /// How often in a row the hub sensor was dark.
    dark: u8,
    /// The wheel when it last turned, and when that was.
    wheel: i64,
    turned: i64,
    /// When the hub motor was last seen not to be blocked.
    ran: i64,
    tries: u8,
    /// Since when the feeder alone tries to free the hub.
    freeing: Option<i64>,
}

/// So often in a row must the hub sensor be dark.
const DARK: u8 = 3;
/// So many tries without motion are allowed.
const TRIES: u8 = 3;

impl PullBack {
    pub(super) fn call(slot: usize) -> Next {
        PullBack { slot, at: BackAt::Start }.into()
    }

    pub(super) fn run(&mut self, result: u8, io: &mut Io<'_>) -> Next {
        let timings = io.machine.config.timings.clone();
        match std::mem::replace(&mut self.at, BackAt::Start) {
            BackAt::Start if !io.path().inlet(self.slot) => Next::Done(0x17),
            BackAt::Start => {
                self.at = BackAt::Go;
                Next::Sleep(timings.back_start)
            }
            BackAt::Go => {
                let (tick, wheel) = (io.tick(), io.machine.wheel());
                self.go(io, Drive::Reverse);
                self.look(Draw {
                    since: tick,
                    dark: 0,
                    wheel,
                    turned: tick,
                    ran: tick,
                    tries: 0,
                    freeing: None,
                })
            }
            BackAt::Look(draw) => self.look(draw),
            BackAt::Looked(mut draw) => {
                let seen = result != 0;
                draw.dark = if seen { 0 } else { draw.dark + 1 };
                if draw.dark >= DARK {
                    self.go(io, Drive::Stop);
                    self.at = BackAt::Freed;
                    return Next::Sleep(timings.settle);
                }
                self.go_on(draw, seen, io)
            }
            BackAt::Pause(mut draw) => {
                (draw.turned, draw.ran) = (io.tick(), io.tick());
                if draw.tries >= TRIES {
                    draw.freeing = Some(io.tick());
                    io.path().feeders[self.slot] = Drive::Reverse;
                } else {
                    self.go(io, Drive::Reverse);
                }
                self.look(draw)
            }
            BackAt::Freed => {
                io.path().feeders[self.slot] = Drive::Forward;
                self.at = BackAt::Forward;
                Next::Sleep(timings.nudge)
            }
            BackAt::Forward => self.stop(io, 0),
            BackAt::End(result) => Next::Done(result),
        }
    }

    fn go(&self, io: &mut Io<'_>, drive: Drive) {
        let path = io.path();
        path.feeders[self.slot] = drive;
        path.hub = drive;
    }

    fn look(&mut self, draw: Draw) -> Next {
        self.at = BackAt::Looked(draw);
        Sense::hub(self.slot)
    }

    /// After a look that did not end it.
    fn go_on(&mut self, mut draw: Draw, seen: bool, io: &mut Io<'_>) -> Next {
        let timings = io.machine.config.timings.clone();
        let tick = io.tick();
        if io.machine.turned_since(draw.wheel) > 0.5 || !seen {
            draw.wheel = io.machine.wheel();
            draw.turned = tick;
        }
        // The firmware has a status for a motor that is blocked while it pulls back. It was not
        // observed: that it takes as long as a try without motion is inferred.
        if !io.path().hub_stands() {
            draw.ran = tick;
        } else if tick - draw.ran >= i64::from(timings.back_still) {
            return self.stop(io, 0x19);
        }
        if draw.freeing.is_some_and(|since| tick - since >= i64::from(timings.back_free)) {
            return self.stop(io, 0x14);
        }
        if tick - draw.since >= i64::from(timings.back) {
            return self.stop(io, 0x1a);
        }
        let stands = tick - draw.turned >= i64::from(timings.back_still);
        if draw.freeing.is_none() && stands {
            self.go(io, Drive::Stop);
            draw.tries += 1;
            self.at = BackAt::Pause(draw);
            return Next::Sleep(timings.back_pause);
        }
        self.at = BackAt::Look(draw);
        Next::Sleep(10)
    }

    fn stop(&mut self, io: &mut Io<'_>, result: u8) -> Next {
        self.go(io, Drive::Stop);
        self.at = BackAt::End(result);
        Next::Sleep(io.machine.config.timings.settle)
    }
}

/// 11/01 for some slots, one after the other.
#[derive(Debug, Clone)]
pub(super) struct PullBackAll {
    slots: u8,
}

impl PullBackAll {
    pub(super) fn call(slots: u8) -> Next {
        PullBackAll { slots }.into()
    }

    pub(super) fn run(&mut self, result: u8, io: &mut Io<'_>) -> Next {
        io.machine.state = BoxState::WRAPPING;
        if result != 0 || self.slots == 0 {
            return Next::Done(result);
        }
        let slot = self.slots.trailing_zeros() as usize;
        self.slots &= self.slots - 1;
        PullBack::call(slot)
    }
}

//! Towards the printer: the stages of EXTRUDE_PROCESS but the feed's own loop.

use k485_proto::message::codes::BoxState;

use super::task::{Io, Next, Sense};
use super::unload::PullBack;
use crate::plant::{Drive, SLOTS};

/// 10/00: carries a slot's filament to the hub, until the hub motor has it.
#[derive(Debug, Clone)]
pub(super) struct ToHub {
    slot: usize,
    at: ToHubAt,
}

#[derive(Debug, Clone)]
enum ToHubAt {
    Start,
    Inlet,
    NoFilament,
    /// Other slots' filament has to leave the hub first.
    Others {
        slot: usize,
        looked: bool,
    },
    Feeder,
    Approach {
        since: i64,
        looked: bool,
    },
    Seen,
    Grip {
        from: i64,
        looks: u32,
    },
    Run,
    End(u8),
}

impl ToHub {
    pub(super) fn call(slot: usize) -> Next {
        ToHub { slot, at: ToHubAt::Start }.into()
    }

    pub(super) fn run(&mut self, result: u8, io: &mut Io<'_>) -> Next {
        let timings = io.machine.config.timings.clone();
        match self.at {
            ToHubAt::Start => {
                self.at = ToHubAt::Inlet;
                Sense::inlet(self.slot)
            }
            ToHubAt::Inlet if result == 0 => {
                self.at = ToHubAt::NoFilament;
                Next::Sleep(10)
            }
            ToHubAt::NoFilament => Next::Done(0x08),
            ToHubAt::Inlet => {
                io.machine.state = BoxState::WRAPPING;
                io.machine.error = 0;
                self.others(0, timings.to_hub_start)
            }
            ToHubAt::Others { slot, looked: true } if result != 0 => {
                self.at = ToHubAt::Others { slot, looked: false };
                PullBack::call(slot)
            }
            // Pulled back, or it could not be.
            ToHubAt::Others { looked: false, .. } if result != 0 => Next::Done(result),
            ToHubAt::Others { slot, .. } => self.others(slot + 1, timings.to_hub_start),
            ToHubAt::Feeder => {
                io.path().feeders[self.slot] = Drive::Forward;
                self.at = ToHubAt::Approach { since: io.tick(), looked: true };
                Sense::hub(self.slot)
            }
            ToHubAt::Approach { looked: true, .. } if result != 0 => {
                self.at = ToHubAt::Seen;
                Next::Sleep(timings.hub_seen)
            }
            ToHubAt::Approach { since, .. } if io.tick() - since >= i64::from(timings.to_hub) => {
                self.stop(io, 0x05)
            }
            ToHubAt::Approach { since, looked: true } => {
                let left = i64::from(timings.to_hub) - (io.tick() - since);
                self.at = ToHubAt::Approach { since, looked: false };
                Next::Sleep(left.clamp(1, 10) as u32)
            }
            ToHubAt::Approach { since, looked: false } => {
                self.at = ToHubAt::Approach { since, looked: true };
                Sense::hub(self.slot)
            }
            ToHubAt::Seen => {
                io.path().hub = Drive::Forward;
                self.at = ToHubAt::Grip { from: io.machine.wheel(), looks: 0 };
                Next::Sleep(timings.poll)
            }
            ToHubAt::Grip { from, .. } if io.machine.turned_since(from) >= timings.grip => {
                io.path().feeders[self.slot] = Drive::Stop;
                self.at = ToHubAt::Run;
                Next::Sleep(timings.hub_run)
            }
            ToHubAt::Grip { looks, .. } if (looks + 1) * timings.poll >= timings.grip_limit => {
                self.stop(io, 0x09)
            }
            ToHubAt::Grip { from, looks } => {
                self.at = ToHubAt::Grip { from, looks: looks + 1 };
                Next::Sleep(timings.poll)
            }
            ToHubAt::Run => self.stop(io, 0),
            ToHubAt::End(result) => Next::Done(result),
        }
    }

    fn others(&mut self, from: usize, start: u32) -> Next {
        match (from..SLOTS).find(|slot| *slot != self.slot) {
            Some(slot) => {
                self.at = ToHubAt::Others { slot, looked: true };
                Sense::hub(slot)
            }
            None => {
                self.at = ToHubAt::Feeder;
                Next::Sleep(start)
            }
        }
    }

    fn stop(&mut self, io: &mut Io<'_>, result: u8) -> Next {
        let path = io.path();
        path.feeders[self.slot] = Drive::Stop;
        path.hub = Drive::Stop;
        self.at = ToHubAt::End(result);
        Next::Sleep(io.machine.config.timings.settle)
    }
}

/// 10/06: pushes until the buffer is full.
#[derive(Debug, Clone, Default)]
pub(super) struct Fill {
    waited: Option<u32>,
    full: bool,
}

impl Fill {
    pub(super) fn run(&mut self, _: u8, io: &mut Io<'_>) -> Next {
        let (limit, end) = (io.machine.config.timings.fill, io.machine.config.timings.fill_end);
        let waited = match self.waited {
            None => {
                io.path().hub = Drive::Forward;
                0
            }
            Some(waited) => waited,
        };
        if self.full || waited >= limit {
            io.path().hub = Drive::Stop;
            return Next::Done(if self.full { 0 } else { 0x0d });
        }
        self.full = io.plant.printer().full();
        let poll = if self.full { end } else { io.machine.config.timings.poll };
        self.waited = Some(waited + poll);
        Next::Sleep(poll)
    }
}

/// 10/07: pushes so many mm.
#[derive(Debug, Clone)]
pub(super) struct Push {
    mm: u8,
    from: Option<i64>,
    looks: u32,
}

impl Push {
    pub(super) fn call(mm: u8) -> Next {
        Push { mm, from: None, looks: 0 }.into()
    }

    pub(super) fn run(&mut self, _: u8, io: &mut Io<'_>) -> Next {
        let (poll, most) = (io.machine.config.timings.poll, io.machine.config.timings.push_looks);
        let Some(from) = self.from else {
            io.path().hub = Drive::Forward;
            self.from = Some(io.machine.wheel());
            return Next::Sleep(poll);
        };
        self.looks += 1;
        let turned = io.machine.turned_since(from);
        let mm = f64::from(self.mm);
        if turned < mm && self.looks < most {
            return Next::Sleep(poll);
        }
        io.path().hub = Drive::Stop;
        Next::Done(if turned >= mm / 2.0 { 0 } else { 0x0e })
    }
}

/// 10/01: feeds with the hub motor until the filament stands still, which is success.
#[derive(Debug, Clone, Default)]
pub(super) struct Still {
    watch: Option<Progress>,
}

impl Still {
    pub(super) fn run(&mut self, _: u8, io: &mut Io<'_>) -> Next {
        let ended = match &mut self.watch {
            None => {
                io.machine.state = BoxState::WRAPPING;
                io.path().hub = Drive::Forward;
                self.watch = Some(Progress::new(io));
                None
            }
            Some(progress) => progress.look(io),
        };
        match ended {
            None => Next::Sleep(io.machine.config.timings.poll),
            Some(code) => {
                io.path().hub = Drive::Stop;
                Next::Done(if code == 0x0c { 0 } else { code })
            }
        }
    }
}

/// 10/02: as 10/01, once the wheel has turned 5 mm within three seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct HubFeed {
    from: Option<i64>,
    looks: u32,
    feeding: bool,
}

/// How far 10/02 wants the wheel to turn, in mm, and in how many looks (three times a second).
const HUB_FEED: (f64, u32) = (5.0, 150);

impl HubFeed {
    pub(super) fn run(&mut self, result: u8, io: &mut Io<'_>) -> Next {
        if self.feeding {
            return Next::Done(result);
        }
        let poll = io.machine.config.timings.poll;
        let Some(from) = self.from else {
            io.machine.state = BoxState::WRAPPING;
            io.path().hub = Drive::Forward;
            self.from = Some(io.machine.wheel());
            return Next::Sleep(poll);
        };
        self.looks += 1;
        if io.machine.turned_since(from) >= HUB_FEED.0 {
            self.feeding = true;
            return Still::default().into();
        }
        if self.looks < HUB_FEED.1 {
            return Next::Sleep(poll);
        }
        io.path().hub = Drive::Stop;
        Next::Done(0x0a)
    }
}

/// What ends a feed: too far (0B), standing still (0C), too long (0A).
#[derive(Debug, Clone)]
pub(super) struct Progress {
    start: i64,
    before: i64,
    still: u32,
    looks: u32,
}

/// A motion below this between two looks is none, in mm.
const STILL: f64 = 0.01;

impl Progress {
    pub(super) fn new(io: &Io<'_>) -> Progress {
        let wheel = io.machine.wheel();
        Progress { start: wheel, before: wheel, still: 0, looks: 0 }
    }

    /// One look; the code when it ends the feed.
    pub(super) fn look(&mut self, io: &Io<'_>) -> Option<u8> {
        let timings = &io.machine.config.timings;
        self.looks += 1;
        let moved = io.machine.turned_since(self.before);
        self.before = io.machine.wheel();
        self.still = if moved < STILL { self.still + 1 } else { 0 };
        if io.machine.turned_since(self.start) > timings.feed_length {
            Some(0x0b)
        } else if self.still >= timings.still {
            Some(0x0c)
        } else if self.looks >= timings.feed_looks {
            Some(0x0a)
        } else {
            None
        }
    }
}

//! A small host: requests with time-outs and retries, and the vendor's sequences of load and unload.

use k485_emulator::Hand;
use k485_proto::address::Address;
use k485_proto::dialect::K2;
use k485_proto::frame::Frame;
use k485_proto::host;
use k485_proto::record::Time;
use k485_proto::status::Status;

use crate::common::Bench;

pub(crate) const MS: i64 = Time::MILLISECOND;

/// Why a sequence stopped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stop {
    /// A box answered with an error.
    Refused { func: u8, stage: u8, status: u8 },
    /// A box did not answer.
    Silent { func: u8 },
    /// The host's own death.
    Restart,
    /// The boxes answered, but what should have happened has not.
    Not(&'static str),
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u8,
    pub(crate) data: Vec<u8>,
}

impl Reply {
    fn number(&self) -> Option<f32> {
        Some(f32::from_be_bytes(self.data.get(..4)?.try_into().ok()?))
    }
}

/// What a load has shown.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Load {
    /// What was left before the extruder when the feed began, in mm.
    pub(crate) stub: f64,
    /// The odometer before the feed and behind it, in mm.
    pub(crate) before: f32,
    pub(crate) behind: f32,
    /// Before and behind the flush.
    pub(crate) flush: (f32, f32),
}

pub(crate) struct Host<'b> {
    pub(crate) bench: &'b mut Bench,
    pub(crate) boxes: usize,
}

/// How much the extruder draws at the end of a load, in mm.
pub(crate) const FLUSH: f64 = 40.0;

impl Host<'_> {
    /// Asks and waits for the reply; `None` when there is none.
    fn ask_at(&mut self, addr: Address, func: u8, data: &[u8]) -> Result<Option<Reply>, Stop> {
        let status = if func >= 0xa0 { Status::OK } else { Status::REQUEST };
        let raw = Frame::to_vec(addr, status, func, data).expect("short data");
        let request = Frame::from_bytes(&raw).expect("a frame");
        let policy = host::policy(&request, &K2);
        // A poll for which the vendor waits for an hour is given up sooner here.
        let timeout = i64::from(policy.timeout_ms.min(40_000)) * MS;
        for _ in 0..policy.sends.min(2) {
            self.bench.frames.clear();
            self.bench.send(&raw);
            let end = self.bench.now.0 + timeout;
            let mut step = 2 * MS;
            while self.bench.now.0 < end {
                self.wait(step)?;
                step = (step * 2).min(40 * MS);
                let frames = self.bench.frames.drain(..);
                let mut replies = frames.filter_map(|bytes| {
                    let frame = Frame::from_bytes(&bytes).ok()?;
                    let data = frame.data().to_vec();
                    host::answers(&request, &frame)
                        .then(|| Reply { status: frame.status().0, data })
                });
                if let Some(reply) = replies.next() {
                    return Ok(Some(reply));
                }
            }
            self.bench.silence();
        }
        Ok(None)
    }

    fn ask(&mut self, unit: usize, func: u8, data: &[u8]) -> Result<Reply, Stop> {
        self.ask_at(address(unit), func, data)?.ok_or(Stop::Silent { func })
    }

    /// Asks, and stops at an error.
    fn call(&mut self, unit: usize, func: u8, data: &[u8]) -> Result<Reply, Stop> {
        let reply = self.ask(unit, func, data)?;
        let stage = data.get(1).copied().unwrap_or(0);
        match reply.status {
            0 => Ok(reply),
            status => Err(Stop::Refused { func, stage, status }),
        }
    }

    pub(crate) fn wait(&mut self, ns: i64) -> Result<(), Stop> {
        self.bench.wait(ns);
        match std::mem::take(&mut self.bench.restarted) {
            true => Err(Stop::Restart),
            false => Ok(()),
        }
    }

    fn hand(&mut self, hand: Hand) {
        self.bench.hand(&hand);
    }

    /// The extruder turns, and is waited for.
    fn extrude(&mut self, mm: f64) -> Result<(), Stop> {
        self.hand(Hand::Extrude { mm, speed: Some(20.0) });
        self.wait((mm.abs() / 20.0 * 1e9) as i64 + MS)
    }

    /// Gives every box its address, and brings each to rest.
    pub(crate) fn bring_up(&mut self) -> Result<(), Stop> {
        for unit in 0..self.boxes {
            let mut tries = 0;
            while self.ask_at(address(unit), 0xa2, &[])?.is_none() {
                tries += 1;
                // A motion may take 40 s, in which a box hears nothing else.
                if tries > 400 {
                    return Err(Stop::Silent { func: 0xa2 });
                }
                let data = [&[address(unit).0][..], &uniid(unit)].concat();
                self.ask_at(Address::UNASSIGNED, 0xa0, &data)?;
                self.wait(200 * MS)?;
            }
            self.idle(unit)?;
        }
        Ok(())
    }

    /// Clears what is latched, and waits until the box is idle.
    fn idle(&mut self, unit: usize) -> Result<(), Stop> {
        for _ in 0..100 {
            self.ask(unit, 0x10, &[1, 3, 0])?;
            let mode = self.ask(unit, 0x04, &[0, 1])?;
            let state = self.ask(unit, 0x0a, &[])?;
            if mode.status == 0 && state.status == 0 && state.data.get(3) == Some(&0) {
                return Ok(());
            }
            self.wait(2_000 * MS)?;
        }
        Err(Stop::Not("idle"))
    }

    pub(crate) fn in_hub(&mut self, unit: usize) -> Result<u8, Stop> {
        let reply = self.call(unit, 0x08, &[1])?;
        reply.data.first().copied().ok_or(Stop::Not("a mask"))
    }

    fn odometer(&mut self, unit: usize) -> Result<f32, Stop> {
        self.call(unit, 0x0e, &[1])?.number().ok_or(Stop::Not("a number"))
    }

    /// The vendor's load: hub, feed, until the extruder has it; then some is drawn.
    pub(crate) fn load(&mut self, unit: usize, slot: usize) -> Result<Load, Stop> {
        let mask = 1 << slot;
        for other in 0..self.boxes {
            if self.in_hub(other)? != 0 {
                self.unload(other, 0)?;
            }
            self.call(other, 0x08, &[0])?;
        }
        self.call(unit, 0x04, &[0, 1])?;
        for other in 0..self.boxes {
            self.call(other, 0x0f, &[1])?;
        }
        let inlets = self.call(unit, 0x08, &[0])?;
        if inlets.data.first().is_none_or(|inlets| inlets & mask == 0) {
            return Err(Stop::Not("filament at the inlet"));
        }
        // What was cut off may have come back to the sensor.
        for _ in 0..4 {
            if self.bench.world.toolhead() {
                self.extrude(30.0)?;
            }
        }
        let stub = self.bench.world.plant().printer().stub.unwrap_or(0.0);
        let mut load = Load { stub, before: self.odometer(unit)?, ..Load::default() };
        self.call(unit, 0x10, &[mask, 0, 0])?;
        self.call(unit, 0x10, &[mask, 4, 0])?;
        self.feed(unit, mask)?;
        self.call(unit, 0x10, &[mask, 6, 0])?;
        load.behind = self.odometer(unit)?;
        self.grip(unit, mask)?;
        self.call(unit, 0x04, &[mask, 0])?;
        for other in 0..self.boxes {
            self.call(other, 0x0f, &[0])?;
        }
        load.flush.0 = self.odometer(unit)?;
        self.extrude(FLUSH)?;
        // The box fills the buffer again.
        self.wait(1_500 * MS)?;
        load.flush.1 = self.odometer(unit)?;
        Ok(load)
    }

    /// Polls the feed every two seconds, until the toolhead sees filament.
    fn feed(&mut self, unit: usize, mask: u8) -> Result<(), Stop> {
        for _ in 0..15 {
            let poll = self.ask(unit, 0x10, &[mask, 5, 0])?;
            // The tip may have met the extruder before the host has looked.
            let ended = poll.status == 0x0c && self.bench.world.toolhead();
            if poll.status != 0 && !ended {
                return Err(Stop::Refused { func: 0x10, stage: 5, status: poll.status });
            }
            for _ in 0..100 {
                if self.bench.world.toolhead() {
                    return Ok(());
                }
                self.wait(20 * MS)?;
            }
        }
        Err(Stop::Not("filament at the toolhead"))
    }

    /// Turns the extruder and pushes, until the buffer is no longer full.
    fn grip(&mut self, unit: usize, mask: u8) -> Result<(), Stop> {
        for _ in 0..6 {
            self.extrude(30.0)?;
            self.ask(unit, 0x10, &[mask, 7, 3])?;
            self.wait(500 * MS)?;
            if self.call(unit, 0x05, &[])?.data != [1] {
                return Ok(());
            }
        }
        Err(Stop::Not("a buffer that is not full"))
    }

    /// The vendor's unload; mask 0 where it is not known which slot is loaded.
    pub(crate) fn unload(&mut self, unit: usize, mask: u8) -> Result<(), Stop> {
        self.hand(Hand::Cut);
        self.call(unit, 0x04, &[0, 1])?;
        self.call(unit, 0x08, &[0])?;
        for _ in 0..4 {
            // The buffer may not come to its empty end: that is latched, and forgotten.
            if self.ask(unit, 0x11, &[mask, 0])?.status != 0 {
                self.call(unit, 0x04, &[0, 1])?;
            }
            self.extrude(-2.5)?;
            self.wait(1_300 * MS)?;
        }
        self.call(unit, 0x11, &[mask, 1])?;
        match self.in_hub(unit)? {
            0 => Ok(()),
            _ => Err(Stop::Not("a hub that is empty")),
        }
    }
}

pub(crate) fn address(unit: usize) -> Address {
    Address(u8::try_from(unit + 1).expect("four boxes at most"))
}

pub(crate) fn uniid(unit: usize) -> [u8; 12] {
    std::array::from_fn(|i| (unit * 16 + i) as u8)
}

//! What follows from each answer in a load or an unload. Source: the vendor's host with answers and
//! errors of every kind put before it; what the extruder does between is inferred from the pauses.

use alloc::vec::Vec;

use super::boxes::odometer;
use super::job::{Work, key_of};
use super::load::{RETRACT_MM, Step, back, stages};
use super::table::State;
use super::{Trouble, What};
use crate::address::Address;
use crate::frame::Frame;
use crate::key::Key;
use crate::message::codes::Buffer as BufferState;
use crate::message::codes::Tighten;
use crate::record::Time;
use crate::slot::{Slot, SlotSet};
use crate::status::Status;

use Step::{
    Buffer, ClearHubs, FeedEnd, FeedPoll, FeedStart, Flush, Flushed, Hub, Idle, Inlet, Inlets,
    IntoSlot, Loaded, Pause, Print, Push, ToHub, Unloaded, Want, Watch, Wheel, Working,
};

/// Between two polls of a feed, in ms.
const POLL: u32 = 2_000;
/// So many polls without an end are taken for a box that never will; inferred, firmware ends a
/// feed after 25 s.
const POLLS: u8 = 60;
/// So many rounds with a full buffer, then the load is begun again.
const FULL: u8 = 6;
/// How long the extruder takes before the first push, after it, and before and after later ones,
/// in ms.
const GRIP: u32 = 4_300;
const TAKE: u32 = 4_500;
const AGAIN: u32 = 1_000;
const RETAKE: u32 = 2_800;
/// What the extruder turns meanwhile, in mm: inferred, enough to grip and to leave the buffer's
/// full switch.
const GRIP_MM: f32 = 25.0;
const TAKE_MM: f32 = 12.0;
/// How fast the extruder flushes, in mm/s: the vendor's settings.
const FLUSH_SPEED: f32 = 6.0;

impl Work {
    /// A step that asks nothing.
    pub(super) fn alone(
        &mut self,
        step: Step,
        now: Time,
        state: &mut State,
    ) -> Result<(), Trouble> {
        match step {
            ClearHubs => {
                for number in (1..=4u8).rev() {
                    let slots = self.hubs[usize::from(number) - 1];
                    if slots != SlotSet::NONE {
                        self.first(back(number, SlotSet::NONE, slots, RETRACT_MM, true));
                        self.first([Want(What::Cut, 3_000), Working(number), Idle(number)]);
                    }
                }
            }
            Watch(slot) => {
                self.first([if state.toolhead { FeedEnd(slot) } else { FeedPoll(slot) }]);
            }
            Pause(ms) => self.pause(now, ms, false),
            Want(what, ms) => {
                state.want(what, ms);
                self.pause(now, ms, false);
            }
            Working(number) => state.working = Some(number),
            Loaded(slot) => {
                state.loaded = Some(slot);
                state.working = None;
            }
            Unloaded if state.toolhead => return Err(Trouble::StillInToolhead),
            Unloaded => state.loaded = None,
            Flush(number) => {
                let mm = state.config.flush_mm;
                if mm > 0.0 {
                    let ms = (mm / FLUSH_SPEED * 1_000.0) as u32;
                    let extrude = Want(What::Extrude { mm }, ms);
                    self.first([Wheel(number), extrude, Flushed(number)]);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What follows from an answer, or from none.
    pub(super) fn react(
        &mut self,
        step: Step,
        reply: Option<&Frame<'_>>,
        now: Time,
        state: &mut State,
    ) -> Result<(), Trouble> {
        let Some(reply) = reply else {
            let number = step.ask().map_or(0, |(number, ..)| number);
            state.silent(Address(number), now);
            return match step {
                ToHub(slot) if self.tries.to_hub == 0 => {
                    self.hand_over_again(slot);
                    Ok(())
                }
                _ => Err(Trouble::Silent(step.function())),
            };
        };
        let status = reply.status();
        match step {
            Hub(number) if status == Status::OK => {
                let slots = reply.data().first().map_or(SlotSet::NONE, |mask| SlotSet(*mask));
                self.hubs[usize::from(number) - 1] = slots;
            }
            Inlet(slot) if status == Status::OK => {
                let mask = reply.data().first().copied().unwrap_or_default();
                if mask & slot.letter.mask() == 0 {
                    return Err(Trouble::Empty(slot));
                }
            }
            ToHub(slot) if status != Status::OK => {
                if self.tries.to_hub > 0 {
                    return Err(refused(step, status, key_of(status)));
                }
                if matches!(status.0, 0x01 | 0x03 | 0x08)
                    && let Some(key) = key_of(status)
                {
                    state.message(key, Address(slot.device));
                }
                self.hand_over_again(slot);
            }
            FeedStart(_) | Print(_) if status != Status::OK => {
                return Err(refused(step, status, key_of(status)));
            }
            FeedPoll(slot) => return self.polled(slot, status, now, state),
            FeedEnd(_) if status != Status::OK => {
                let key = if status.0 == 0x0d { Some(Key(864)) } else { key_of(status) };
                return Err(refused(step, status, key));
            }
            FeedEnd(slot) => {
                self.tries.full = 0;
                self.tries.push_failed = false;
                self.first([
                    Want(What::Extrude { mm: GRIP_MM }, GRIP),
                    Push(slot),
                    Want(What::Extrude { mm: TAKE_MM }, TAKE),
                    Buffer(slot),
                ]);
            }
            Push(_) => self.tries.push_failed |= status != Status::OK,
            Buffer(slot) => return self.buffer(slot, reply, state),
            IntoSlot(_, _, true) => {
                let key = match status.0 {
                    // 16 looks like success to the host.
                    0x00 | 0x16 => return Ok(()),
                    0x05 => Some(835),
                    0x14 | 0x19 => Some(865),
                    0x15 => Some(850),
                    0x1a => Some(849),
                    _ => None,
                };
                return Err(refused(step, status, key.map(Key)));
            }
            Wheel(_) => self.before_flush = odometer(reply),
            Flushed(number) => {
                let (before, after) = (self.before_flush.take(), odometer(reply));
                if before.is_some() && before == after {
                    state.message(Key(845), Address(number));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The hand-over to the hub failed once: what went in is pulled back, then once again.
    fn hand_over_again(&mut self, slot: Slot) {
        self.tries.to_hub += 1;
        let slots = SlotSet::from(slot.letter);
        self.first([
            Idle(slot.device),
            IntoSlot(slot.device, slots, false),
            Pause(AGAIN),
            ToHub(slot),
        ]);
    }

    /// A feed's poll was answered.
    fn polled(
        &mut self,
        slot: Slot,
        status: Status,
        now: Time,
        state: &State,
    ) -> Result<(), Trouble> {
        let step = FeedPoll(slot);
        self.tries.polls += 1;
        match status.0 {
            0x0b => return Err(refused(step, status, Some(Key(844)))),
            // The tip may have met the extruder in the moment in which the sensor saw it.
            _ if state.toolhead => self.first([FeedEnd(slot)]),
            0x0a | 0x0c => {
                self.tries.feed += 1;
                self.tries.polls = 0;
                if self.tries.feed < 2 {
                    self.first([Want(What::Clean, 6_000), Step::FeedStart(slot), FeedPoll(slot)]);
                } else if self.tries.back == 0 {
                    self.tries.back += 1;
                    self.tries.feed = 0;
                    let slots = SlotSet::from(slot.letter);
                    self.first(stages(slot));
                    self.first([Idle(slot.device), IntoSlot(slot.device, slots, false)]);
                } else {
                    return Err(refused(step, status, Some(Key(836))));
                }
            }
            0x00 if self.tries.polls < POLLS => {
                self.first([Watch(slot)]);
                self.pause(now, POLL, true);
            }
            0x00 => return Err(refused(step, status, Some(Key(836)))),
            _ => return Err(refused(step, status, key_of(status))),
        }
        Ok(())
    }

    /// The buffer's state after a push.
    fn buffer(&mut self, slot: Slot, reply: &Frame<'_>, state: &mut State) -> Result<(), Trouble> {
        let full = reply.data().first() == Some(&BufferState::FULL.0);
        let boxes: Vec<u8> = state.online().collect();
        if reply.status() != Status::OK {
            return Err(refused(Buffer(slot), reply.status(), key_of(reply.status())));
        }
        if !full {
            let mut steps = Vec::from([Print(slot)]);
            steps.extend(boxes.iter().map(|number| Step::Tighten(*number, Tighten::ZERO)));
            steps.extend([Loaded(slot), Flush(slot.device)]);
            self.first(steps);
            return Ok(());
        }
        self.tries.full += 1;
        if self.tries.full < FULL {
            let take = Want(What::Extrude { mm: TAKE_MM }, RETAKE);
            if self.tries.push_failed {
                self.first([Pause(AGAIN), take, Buffer(slot)]);
            } else {
                self.first([Pause(AGAIN), Push(slot), take, Buffer(slot)]);
            }
            return Ok(());
        }
        if self.tries.whole > 0 {
            return Err(Trouble::BufferFull);
        }
        self.tries = super::job::Tries { whole: 1, ..Default::default() };
        let (number, slots) = (slot.device, SlotSet::from(slot.letter));
        // Nothing was cut: all that the extruder may have taken comes back.
        let mm = GRIP_MM + f32::from(FULL) * TAKE_MM;
        let mut steps = Vec::from([Pause(GRIP), Hub(number), Inlets(number), Idle(number)]);
        steps.extend(back(number, SlotSet::NONE, slots, mm, false));
        steps.extend(stages(slot));
        self.first(steps);
        Ok(())
    }
}

fn refused(step: Step, status: Status, key: Option<Key>) -> Trouble {
    Trouble::Refused { function: step.function(), status, key }
}

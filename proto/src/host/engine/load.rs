//! Loading and unloading, step by step, and what follows from each answer. Source: the vendor's
//! host with answers and errors of every kind put before it; what extruder and heater do between is
//! inferred from the pauses.

use alloc::vec::Vec;

use super::job::{Job, Work};
use super::table::State;
use super::{What, request};
use crate::address::Address;
use crate::message::Function;
use crate::message::boxes::{
    ctrl_connection_motor_action, extrude_process, get_box_state, get_buffer_state,
    get_filament_sensor_state, measuring_wheel, retrude_process, set_box_mode, tighten_up_enable,
};
use crate::message::codes::{
    BoxMode, ExtrudeStage, MotorAction, RetrudeStage, Sensors, Tighten, Wheel,
};
use crate::slot::{Slot, SlotSet};

/// How far the feeder pushes in one round, in mm.
const PUSH: u8 = 3;
/// How often the buffer is emptied before filament is pulled back.
const SLACKEN: usize = 4;
/// How far the extruder retracts after a cut, in mm: the vendor's settings.
pub(super) const RETRACT_MM: f32 = 10.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    State(u8),
    Hub(u8),
    Inlets(u8),
    Inlet(Slot),
    Idle(u8),
    HubStop(u8),
    Print(Slot),
    Tighten(u8, Tighten),
    ToHub(Slot),
    FeedStart(Slot),
    FeedPoll(Slot),
    FeedEnd(Slot),
    Push(Slot),
    Buffer(Slot),
    /// Until the buffer is empty; without a slot whatever is in the hub.
    Slacken(u8, SlotSet),
    /// Through the hub into the slot; whether an error ends the job.
    IntoSlot(u8, SlotSet, bool),
    Wheel(u8),
    /// The odometer again, after a flush: it must have moved.
    Flushed(u8),

    /// These do not ask. What the hubs hold goes back.
    ClearHubs,
    /// Two seconds, or until the toolhead sensor sees filament.
    Watch(Slot),
    Pause(u32),
    Want(What, u32),
    /// Whose heartbeat waits from now on.
    Working(u8),
    Loaded(Slot),
    Unloaded,
    Flush(u8),
}

use Step::{
    Buffer, ClearHubs, FeedEnd, FeedPoll, FeedStart, Flush, Flushed, Hub, HubStop, Idle, Inlet,
    Inlets, IntoSlot, Loaded, Pause, Print, Push, Slacken, ToHub, Unloaded, Want, Watch, Working,
};

impl Step {
    pub(super) fn asks(self) -> bool {
        !matches!(
            self,
            ClearHubs
                | Watch(_)
                | Pause(_)
                | Want(..)
                | Working(_)
                | Loaded(_)
                | Unloaded
                | Flush(_)
        )
    }

    /// The function that is asked, and its request.
    pub(super) fn ask(self) -> Option<(u8, &'static Function, Vec<u8>)> {
        let extrude = |slot: Slot, stage, param| {
            let slots = SlotSet::from(slot.letter);
            let data = extrude_process::Request::Stage { slot: slots, stage, param };
            (slot.device, &extrude_process::FUNCTION, data.to_vec())
        };
        let retrude = |number, slot, stage| {
            let data = retrude_process::Request::Stage { slot, stage };
            (number, &retrude_process::FUNCTION, data.to_vec())
        };
        let sensors = |number, sensors| {
            let data = get_filament_sensor_state::Request::Ask { sensors };
            (number, &get_filament_sensor_state::FUNCTION, data.to_vec())
        };
        let mode = |number, slot, mode| {
            let data = set_box_mode::Request::Mode { slot, mode };
            (number, &set_box_mode::FUNCTION, data.to_vec())
        };
        Some(match self {
            Step::State(number) => (number, &get_box_state::FUNCTION, Vec::new()),
            Hub(number) => sensors(number, Sensors::HUB),
            Inlets(number) => sensors(number, Sensors::INLET),
            Inlet(slot) => sensors(slot.device, Sensors::INLET),
            Idle(number) => mode(number, SlotSet::NONE, BoxMode::IDLE),
            Print(slot) => mode(slot.device, slot.letter.into(), BoxMode::PRINT),
            HubStop(number) => {
                let data =
                    ctrl_connection_motor_action::Request::Action { action: MotorAction::STOP };
                (number, &ctrl_connection_motor_action::FUNCTION, data.to_vec())
            }
            Step::Tighten(number, tighten) => {
                let data = tighten_up_enable::Request::Tighten { tighten };
                (number, &tighten_up_enable::FUNCTION, data.to_vec())
            }
            ToHub(slot) => extrude(slot, ExtrudeStage::TO_HUB, 0),
            FeedStart(slot) => extrude(slot, ExtrudeStage::FEED_START, 0),
            FeedPoll(slot) => extrude(slot, ExtrudeStage::FEED_POLL, 0),
            FeedEnd(slot) => extrude(slot, ExtrudeStage::FEED_END, 0),
            Push(slot) => extrude(slot, ExtrudeStage::PUSH, PUSH),
            Buffer(slot) => (slot.device, &get_buffer_state::FUNCTION, Vec::new()),
            Slacken(number, slots) => retrude(number, slots, RetrudeStage::TO_BUFFER_EMPTY),
            IntoSlot(number, slots, _) => retrude(number, slots, RetrudeStage::INTO_SLOT),
            Step::Wheel(number) | Flushed(number) => {
                let data = measuring_wheel::Request::Wheel { action: Wheel::READ };
                (number, &measuring_wheel::FUNCTION, data.to_vec())
            }
            _ => return None,
        })
    }

    pub(super) fn question(self) -> Vec<u8> {
        self.ask().map_or_else(Vec::new, |(number, function, data)| {
            request(Address(number), function, &data)
        })
    }

    pub(super) fn function(self) -> &'static str {
        self.ask().map_or("", |(_, function, _)| function.name)
    }
}

/// A slot to the extruder, from the hand-over to the hub on.
pub(super) fn stages(slot: Slot) -> [Step; 3] {
    [ToHub(slot), FeedStart(slot), FeedPoll(slot)]
}

/// Back from the extruder: the buffer is emptied while the extruder retracts `mm` altogether.
pub(super) fn back(
    number: u8,
    slacken: SlotSet,
    slots: SlotSet,
    mm: f32,
    strict: bool,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..SLACKEN {
        let mm = -mm / SLACKEN as f32;
        steps.extend([Slacken(number, slacken), Want(What::Extrude { mm }, 1_900)]);
    }
    steps.push(IntoSlot(number, slots, strict));
    steps
}

impl Work {
    pub(super) fn plan(&mut self, job: Job, state: &mut State) {
        let boxes: Vec<u8> = state.online().collect();
        match job {
            Job::Load(slot) => {
                let mut steps: Vec<Step> =
                    boxes.iter().map(|number| Step::State(*number)).collect();
                steps.extend(boxes.iter().flat_map(|number| [Hub(*number), Inlets(*number)]));
                steps.push(ClearHubs);
                steps.extend(self.feed(slot, &boxes, state.config.before_feed_ms));
                self.first(steps);
            }
            Job::Unload(slot) => {
                let number = slot.device;
                self.first([
                    Want(What::Cut, 3_000),
                    Want(What::Extrude { mm: -RETRACT_MM }, 1_000),
                    Step::Wheel(number),
                    Working(number),
                    Idle(number),
                    HubStop(number),
                    IntoSlot(number, slot.letter.into(), true),
                    Unloaded,
                ]);
            }
            Job::Change { from, to } => {
                let mut steps = Vec::from([
                    Want(What::Cut, 3_000),
                    Working(from.device),
                    Idle(from.device),
                    Inlets(from.device),
                ]);
                let slots = SlotSet::from(from.letter);
                steps.extend(back(from.device, slots, slots, RETRACT_MM, true));
                steps.push(Unloaded);
                steps.extend(self.feed(to, &boxes, 200));
                self.first(steps);
            }
        }
    }

    fn feed(&self, slot: Slot, boxes: &[u8], heat_ms: u32) -> Vec<Step> {
        let mut steps = Vec::from([Working(slot.device), Idle(slot.device)]);
        steps.extend(boxes.iter().map(|number| Step::Tighten(*number, Tighten::ONE)));
        steps.extend([Inlet(slot), Want(What::Heat { celsius: 220.0 }, heat_ms)]);
        steps.extend(stages(slot));
        steps
    }
}

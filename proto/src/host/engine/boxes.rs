//! Boxes that come are greeted, those that are there are polled; the odometer of the loaded one is
//! read.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::table::State;
use super::{Event, Need, later, request};
use crate::address::Address;
use crate::frame::Frame;
use crate::key::Key;
use crate::message::boxes::{
    get_box_state, get_filament_sensor_state, get_hardware_status, get_version_sn, measuring_wheel,
    set_box_mode, set_pre_loading,
};
use crate::message::codes::{BoxMode, Preload, Sensors, SlotChange, Wheel as WheelAction};
use crate::record::Time;
use crate::slot::{Letter, Slot, SlotSet};
use crate::status::Status;

/// From one box's turn in the heartbeat to the next one's; a box that is not there takes its turn
/// too. In ms.
const TURN: u32 = 1_000;
/// From a greeting to the first heartbeat, in ms.
const FIRST: u32 = 60;
/// Between two readings of the odometer, in ms.
const WHEEL: u32 = 3_000;
/// How many flags a reply to GET_HARDWARE_STATUS must have.
const FLAGS: usize = 6;

/// What is said to a box that has come, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Idle,
    Version,
    Hardware,
    Inlets,
    PreloadOff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Greet(u8, Greeting),
    Heartbeat(u8),
    Pause,
}

/// Greetings and heartbeat.
#[derive(Debug)]
pub(super) struct Boxes {
    doing: Doing,
    /// Whose turn it is in the heartbeat, 1 to 4, and when.
    turn: u8,
    due: Time,
    version: (String, String),
}

impl Boxes {
    pub(super) fn new(now: Time) -> Boxes {
        Boxes { doing: Doing::Pause, turn: 1, due: now, version: (String::new(), String::new()) }
    }

    pub(super) fn need(&mut self, now: Time, state: &State) -> Need {
        if matches!(self.doing, Doing::Greet(..)) {
            return Need::Ask;
        }
        self.doing = Doing::Pause;
        let mut until = None::<Time>;
        for number in state.online() {
            let info = &state.boxes[usize::from(number) - 1];
            if state.working == Some(number) {
                continue;
            }
            match info.greet {
                Some(greet) if greet <= now => {
                    self.doing = Doing::Greet(number, Greeting::Idle);
                    return Need::Ask;
                }
                Some(greet) => until = Some(until.map_or(greet, |until| until.min(greet))),
                None => {}
            }
        }
        let any = |number: &u8| state.boxes[usize::from(*number) - 1].ready;
        if !state.online().any(|number| any(&number)) {
            return until.map_or(Need::Nothing, Need::Sleep);
        }
        while self.due <= now {
            let ready = state.online().any(|number| number == self.turn && any(&number));
            if ready && state.working != Some(self.turn) {
                self.doing = Doing::Heartbeat(self.turn);
                return Need::Ask;
            }
            self.next_turn(now.max(later(self.due, 0)));
        }
        Need::Sleep(until.map_or(self.due, |until| until.min(self.due)))
    }

    fn next_turn(&mut self, now: Time) {
        self.turn = self.turn % 4 + 1;
        self.due = later(now, TURN);
    }

    pub(super) fn question(&self) -> Vec<u8> {
        match self.doing {
            Doing::Greet(number, greeting) => {
                let address = Address(number);
                match greeting {
                    Greeting::Idle => {
                        let (slot, mode) = (SlotSet::NONE, BoxMode::IDLE);
                        let data = set_box_mode::Request::Mode { slot, mode };
                        request(address, &set_box_mode::FUNCTION, &data.to_vec())
                    }
                    Greeting::Version => request(address, &get_version_sn::FUNCTION, &[]),
                    Greeting::Hardware => request(address, &get_hardware_status::FUNCTION, &[]),
                    Greeting::Inlets => {
                        let data =
                            get_filament_sensor_state::Request::Ask { sensors: Sensors::INLET };
                        request(address, &get_filament_sensor_state::FUNCTION, &data.to_vec())
                    }
                    Greeting::PreloadOff => {
                        let (slots, action) = (SlotSet::ALL, Preload::OFF);
                        let data = set_pre_loading::Request::Preload { slots, action };
                        request(address, &set_pre_loading::FUNCTION, &data.to_vec())
                    }
                }
            }
            Doing::Heartbeat(number) => request(Address(number), &get_box_state::FUNCTION, &[]),
            Doing::Pause => request(Address(self.turn), &get_box_state::FUNCTION, &[]),
        }
    }

    pub(super) fn told(&mut self, reply: Option<&Frame<'_>>, now: Time, state: &mut State) {
        match core::mem::replace(&mut self.doing, Doing::Pause) {
            Doing::Greet(number, greeting) => {
                match self.greeted(number, greeting, reply, state) {
                    Some(next) => self.doing = Doing::Greet(number, next),
                    None => self.due = self.due.max(later(now, FIRST)),
                }
                if reply.is_none() {
                    state.silent(Address(number), now);
                }
            }
            Doing::Heartbeat(number) => {
                match reply {
                    Some(reply) => heartbeat(number, reply, state),
                    None => state.silent(Address(number), now),
                }
                self.next_turn(now);
            }
            Doing::Pause => {}
        }
    }

    /// What follows after an answer to a greeting.
    fn greeted(
        &mut self,
        number: u8,
        greeting: Greeting,
        reply: Option<&Frame<'_>>,
        state: &mut State,
    ) -> Option<Greeting> {
        let address = Address(number);
        let info = &mut state.boxes[usize::from(number) - 1];
        let Some(reply) = reply else {
            // It is greeted again when it comes back.
            info.greet = None;
            return None;
        };
        match greeting {
            Greeting::Idle => Some(Greeting::Version),
            Greeting::Version => {
                self.version = version(reply);
                Some(Greeting::Hardware)
            }
            Greeting::Hardware => {
                if reply.data().len() < FLAGS {
                    *info = super::table::BoxInfo { broken: true, ..*info };
                    info.greet = None;
                    let function = get_hardware_status::FUNCTION.name;
                    state.event(Event::Broken { address, function });
                    return None;
                }
                let keys = [858, 853, 859, 860, 861, 862];
                for (flag, key) in reply.data().iter().zip(keys) {
                    if matches!(flag, 0x01 | 0xff) {
                        state.message(Key(key), address);
                    }
                }
                Some(Greeting::Inlets)
            }
            Greeting::Inlets => Some(Greeting::PreloadOff),
            Greeting::PreloadOff => {
                info.greet = None;
                info.ready = true;
                let (version, serial) = core::mem::take(&mut self.version);
                state.event(Event::Ready { address, version, serial });
                None
            }
        }
    }
}

fn version(reply: &Frame<'_>) -> (String, String) {
    let parsed = get_version_sn::Reply::parse(reply.addr(), reply.status(), reply.data(), None);
    match parsed {
        Ok(get_version_sn::Reply::Version { .. }) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
            let (version, serial) = reply.data().split_at(3);
            let dotted: Vec<String> =
                version.iter().map(|byte| text(core::slice::from_ref(byte))).collect();
            (dotted.join("."), text(serial).trim_end_matches('\0').to_string())
        }
        _ => (String::new(), String::new()),
    }
}

fn heartbeat(number: u8, reply: &Frame<'_>, state: &mut State) {
    let address = Address(number);
    let info = &mut state.boxes[usize::from(number) - 1];
    info.silence_told = false;
    if reply.status() == Status(0x30) {
        if reply.data().len() < 3 {
            info.ready = false;
            info.broken = true;
            let function = get_box_state::FUNCTION.name;
            state.event(Event::Broken { address, function });
            return;
        }
        for (letter, change) in Letter::ALL.into_iter().zip(reply.data()) {
            if *change != SlotChange::NONE.0 {
                let slot = Slot { device: number, letter };
                state.event(Event::Changed { slot, change: SlotChange(*change) });
            }
        }
        return;
    }
    // The heartbeat reports three codes only.
    if matches!(reply.status().0, 0x01 | 0x03 | 0x22)
        && let Some(key) = super::job::key_of(reply.status())
    {
        state.message(key, address);
    }
    if reply.data().get(1).is_some_and(|humidity| (*humidity as i8) < 0) {
        state.message(Key(853), address);
    }
}

/// The odometer of the box whose filament is in the extruder.
#[derive(Debug)]
pub(super) struct Wheel {
    due: Option<Time>,
}

impl Wheel {
    pub(super) fn new() -> Wheel {
        Wheel { due: None }
    }

    pub(super) fn need(&mut self, now: Time, state: &State) -> Need {
        if state.loaded.is_none() || state.working.is_some() {
            self.due = None;
            return Need::Nothing;
        }
        let due = *self.due.get_or_insert(later(now, WHEEL));
        if due <= now { Need::Ask } else { Need::Sleep(due) }
    }

    pub(super) fn question(&self, state: &State) -> Vec<u8> {
        let number = state.loaded.map_or(1, |slot| slot.device);
        let data = measuring_wheel::Request::Wheel { action: WheelAction::READ };
        request(Address(number), &measuring_wheel::FUNCTION, &data.to_vec())
    }

    pub(super) fn told(&mut self, reply: Option<&Frame<'_>>, now: Time, state: &mut State) {
        self.due = Some(later(now, WHEEL));
        match reply {
            Some(reply) => state.odometer = odometer(reply).or(state.odometer),
            None => {
                if let Some(slot) = state.loaded {
                    state.silent(Address(slot.device), now);
                }
            }
        }
    }
}

/// What the odometer reads, in mm.
pub(super) fn odometer(reply: &Frame<'_>) -> Option<f32> {
    let bytes = reply.data().first_chunk::<4>()?;
    Some(f32::from_be_bytes(*bytes))
}

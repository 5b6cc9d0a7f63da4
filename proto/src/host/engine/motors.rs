//! The start of the closed-loop motors, which comes before any box. Source: the vendor's live host
//! on a bus; no real motor was heard.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::table::State;
use super::{Event, Need, later, request};
use crate::address::Address;
use crate::frame::Frame;
use crate::key::Key;
use crate::message::codes::{AddressOp, ProtectionOp, SysParamOp};
use crate::message::kind::ParamValue;
use crate::message::motors::{ParamId, address_485, protection, stall_mode, sys_param};
use crate::record::Time;

/// A parameter that the printer's settings override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MotorParam {
    /// Which motor, 1 to 4.
    pub motor: u8,
    /// Which parameter.
    pub id: ParamId,
    /// Its value, as its bytes stand on the wire.
    pub value: Vec<u8>,
}

/// The parameters that a K2 Plus overrides, as its host was seen to read them at the start and to
/// find them right: motor, number, bytes.
const PRINTER: &[(u8, u8, &[u8])] = &[
    (1, 0x09, &[0; 4]),
    (1, 0x0a, &[0; 2]),
    (1, 0x19, &[0; 4]),
    (1, 0x46, &100.0_f32.to_le_bytes()),
    (1, 0x56, &0.028_f32.to_le_bytes()),
    (1, 0x76, &[0; 4]),
    (2, 0x09, &[0; 4]),
    (2, 0x0a, &[0; 2]),
    (2, 0x19, &[0; 4]),
    (2, 0x46, &300.0_f32.to_le_bytes()),
    (3, 0x09, &[0; 4]),
    (3, 0x0a, &[0; 2]),
    (3, 0x19, &[0; 4]),
    (4, 0x09, &[0; 4]),
    (4, 0x0a, &[0; 2]),
    (4, 0x19, &[0; 4]),
];

/// The parameters that a K2 Plus overrides.
#[must_use]
pub fn printer_params() -> Vec<MotorParam> {
    let param = |(motor, id, value): &(u8, u8, &[u8])| MotorParam {
        motor: *motor,
        id: ParamId(*id),
        value: value.to_vec(),
    };
    PRINTER.iter().map(param).collect()
}

/// Whose filament-side stall mode is set: z and z1.
const STALL: [u8; 2] = [3, 4];
const STALL_MODE: u8 = 2;
/// How often a motor is told its stall mode, and how long after a wrong answer, in ms.
const STALL_TRIES: u8 = 3;
const STALL_AGAIN: u32 = 2_000;
/// How often a parameter is read.
const READ_TRIES: u8 = 3;
/// How many rounds of reading addresses there are when all motors are silent, and the pause between
/// them, in ms.
const ROUNDS: u8 = 4;
const ROUND: u32 = 1_460;
/// After the broadcast, and before parameters are read, in ms.
const SPREAD: u32 = 150;
const SETTLE: u32 = 1_600;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    SetAddresses,
    ReadAddress { motor: u8, round: u8 },
    Stall { motor: u8, again: u8 },
    Query(u8),
    Clear(u8),
    Read { param: usize, again: u8 },
    Write(usize),
    Save(u8),
    Pause(u32),
    Done,
}

/// The motors' start.
#[derive(Debug)]
pub(super) struct Motors {
    steps: VecDeque<Step>,
    params: Vec<MotorParam>,
    /// Whether a motor has told its address in this round.
    heard: bool,
    until: Time,
    started: bool,
}

impl Motors {
    pub(super) fn new(params: Option<&[MotorParam]>, now: Time) -> Motors {
        let steps = match params {
            Some(params) => plan(params),
            None => VecDeque::new(),
        };
        Motors {
            started: params.is_none(),
            steps,
            params: params.unwrap_or_default().to_vec(),
            heard: false,
            until: now,
        }
    }

    pub(super) fn are_started(&self) -> bool {
        self.started
    }

    pub(super) fn need(&mut self, now: Time, state: &mut State) -> Need {
        while !self.started {
            if now < self.until {
                return Need::Sleep(self.until);
            }
            match self.steps.front() {
                Some(Step::Pause(ms)) => {
                    self.until = later(now, *ms);
                    self.steps.pop_front();
                }
                Some(Step::Done) | None => {
                    self.started = true;
                    state.event(Event::MotorsStarted);
                }
                Some(_) => return Need::Ask,
            }
        }
        Need::Nothing
    }

    pub(super) fn question(&self) -> Vec<u8> {
        let motor = |number: u8| Address(0x80 + number);
        let address = |op| address_485::Request::Address { op }.to_vec();
        let protect = |op| protection::Request::Ask { op }.to_vec();
        match self.steps.front().copied() {
            Some(Step::SetAddresses) => {
                request(Address::ALL, &address_485::FUNCTION, &address(AddressOp::SET))
            }
            Some(Step::ReadAddress { motor: number, .. }) => {
                request(motor(number), &address_485::FUNCTION, &address(AddressOp::READ))
            }
            Some(Step::Stall { motor: number, .. }) => {
                let data = stall_mode::Request::Mode { mode: STALL_MODE };
                request(motor(number), &stall_mode::FUNCTION, &data.to_vec())
            }
            Some(Step::Query(number)) => {
                request(motor(number), &protection::FUNCTION, &protect(ProtectionOp::QUERY))
            }
            Some(Step::Clear(number)) => {
                request(motor(number), &protection::FUNCTION, &protect(ProtectionOp::CLEAR))
            }
            Some(Step::Read { param, .. }) => {
                let MotorParam { motor: number, id, .. } = self.params[param];
                let data = sys_param::Request::Read { op: SysParamOp::READ, id };
                request(motor(number), &sys_param::FUNCTION, &data.to_vec())
            }
            Some(Step::Write(param)) => {
                let MotorParam { motor: number, id, ref value } = self.params[param];
                let value = ParamValue(value.clone());
                let data = sys_param::Request::Write { op: SysParamOp::WRITE, id, value };
                request(motor(number), &sys_param::FUNCTION, &data.to_vec())
            }
            Some(Step::Save(number)) => {
                let data = sys_param::Request::Save { op: SysParamOp::SAVE };
                request(motor(number), &sys_param::FUNCTION, &data.to_vec())
            }
            Some(Step::Pause(_) | Step::Done) | None => Vec::new(),
        }
    }

    pub(super) fn told(&mut self, reply: Option<&Frame<'_>>, state: &mut State) {
        let Some(step) = self.steps.pop_front() else { return };
        match step {
            Step::ReadAddress { motor, round } => {
                self.heard |= reply.is_some();
                if motor == 4 && !self.heard && round + 1 < ROUNDS {
                    let next = (1..=4).map(|motor| Step::ReadAddress { motor, round: round + 1 });
                    self.first([Step::Pause(ROUND)].into_iter().chain(next));
                }
            }
            Step::Stall { motor, again } => {
                let echoed = reply.is_some_and(|reply| reply.data() == [STALL_MODE]);
                if !echoed && again + 1 < STALL_TRIES {
                    let again = again + 1;
                    self.first([Step::Pause(STALL_AGAIN), Step::Stall { motor, again }]);
                } else if !echoed {
                    state.message(Key(801), Address(0x80 + motor));
                }
            }
            Step::Query(motor) => {
                let words = reply.map(|reply| reply.data()).unwrap_or_default();
                for (first, word) in [781, 795].into_iter().zip(words.chunks(4)) {
                    let set = |bit: &u16| {
                        word.get(usize::from(bit / 8))
                            .is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
                    };
                    for bit in (0..32).filter(set) {
                        state.message(Key(first + bit), Address(0x80 + motor));
                    }
                }
            }
            Step::Read { param, again } => match reply {
                None if again + 1 < READ_TRIES => {
                    self.first([Step::Read { param, again: again + 1 }]);
                }
                None => {}
                Some(reply) if reply.data() != self.params[param].value => {
                    self.first([Step::Write(param)]);
                }
                Some(_) => {}
            },
            _ => {}
        }
    }

    fn first(&mut self, steps: impl IntoIterator<Item = Step>) {
        let steps: Vec<Step> = steps.into_iter().collect();
        steps.into_iter().rev().for_each(|step| self.steps.push_front(step));
    }
}

fn plan(params: &[MotorParam]) -> VecDeque<Step> {
    let mut steps = VecDeque::from([Step::SetAddresses, Step::Pause(SPREAD)]);
    steps.extend((1..=4).map(|motor| Step::ReadAddress { motor, round: 0 }));
    steps.extend(STALL.map(|motor| Step::Stall { motor, again: 0 }));
    steps.extend((1..=4).map(Step::Query));
    steps.extend((1..=4).map(Step::Clear));
    steps.push_back(Step::Pause(SETTLE));
    for motor in 1..=4 {
        let own = params.iter().enumerate().filter(|(_, param)| param.motor == motor);
        steps.extend(own.map(|(param, _)| Step::Read { param, again: 0 }));
        steps.push_back(Step::Save(motor));
    }
    steps.push_back(Step::Done);
    steps
}

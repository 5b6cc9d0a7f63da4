//! What the bus thread does with a request that takes time: motions, and looks at sensors that see
//! nothing, which take 20 ms each.

use k485_proto::message::boxes::*;
use k485_proto::message::codes::{BoxState, Ran, Remain};
use k485_proto::message::kind::Tags;
use k485_proto::slot::{Letter, SlotSet};

use super::load::{Fill, HubFeed, Push, Still, ToHub};
use super::machine::Machine;
use super::preload::Run;
use super::task::{Io, Next, Row, Sense};
use super::unload::{EmptyBuffer, PullBackAll};
use crate::plant::SLOTS;

/// FILAMENT_ERR: the slot that feeds the print has run out.
const RUN_OUT: u8 = 0x50;
/// What is left on a spool whose tag tells nothing.
const FULL: u8 = 100;

/// What moves.
#[derive(Debug, Clone)]
pub(super) enum Motion {
    ToHub {
        slot: usize,
    },
    Still,
    HubFeed,
    Fill,
    Push {
        mm: u8,
    },
    /// Slots as a mask, here and below.
    Empty {
        slots: u8,
    },
    Back {
        slots: u8,
    },
    /// 13: as 10/00 and then 10/01.
    InOne {
        slot: usize,
    },
    Run {
        slots: u8,
        tags: bool,
    },
}

/// A request at work.
#[derive(Debug, Clone)]
pub(super) enum Command {
    /// 02 and 03: a look at each slot that was asked.
    Slots { tags: bool, asked: u8, slot: usize, filament: [bool; SLOTS], waiting: bool },
    /// 0A in print mode: whether the slot's filament is at inlet and hub, twice when it is not.
    Printing { looks: u8, lost: bool },
    /// A motion, and whether its first part has begun and its second one.
    Motion { motion: Motion, begun: bool, second: bool },
}

impl Command {
    pub(super) fn motion(motion: Motion) -> Command {
        Command::Motion { motion, begun: false, second: false }
    }

    pub(super) fn tags(asked: u8) -> Command {
        Command::slots(true, asked)
    }

    pub(super) fn remain(asked: u8) -> Command {
        Command::slots(false, asked)
    }

    fn slots(tags: bool, asked: u8) -> Command {
        let asked = asked & SlotSet::ALL.0;
        Command::Slots { tags, asked, slot: 0, filament: [false; SLOTS], waiting: false }
    }

    pub(super) fn printing() -> Command {
        Command::Printing { looks: 0, lost: false }
    }

    pub(super) fn run(&mut self, result: u8, io: &mut Io<'_>) -> Next {
        match self {
            Command::Slots { tags, asked, slot, filament, waiting } => {
                if std::mem::take(waiting) {
                    filament[*slot] = result != 0;
                    *slot += 1;
                }
                // A slot that is being worked is not looked at.
                let worked = io.machine.working;
                let next = (*slot..SLOTS).find(|i| *asked & 1 << i != 0 && worked != Some(*i));
                if let Some(next) = next {
                    *slot = next;
                    *waiting = true;
                    return Sense::inlet(next);
                }
                if *tags {
                    tell_tags(*asked, filament, io)
                } else {
                    tell_remain(*asked, filament, io)
                }
                Next::Done(0)
            }
            Command::Printing { looks, lost } => {
                if *looks > 0 && result == 0 {
                    *lost = true;
                }
                if *looks > 0 && *looks % 2 == 0 {
                    if !*lost || *looks == 4 {
                        let status = if *lost { RUN_OUT } else { 0 };
                        let data = io.machine.tell_state();
                        io.reply(get_box_state::FUNCTION.code, status, &data);
                        return Next::Done(0);
                    }
                    *lost = false;
                }
                let row = if *looks % 2 == 0 { Row::Inlet } else { Row::Hub };
                *looks += 1;
                Sense::of(row, io.machine.slot)
            }
            Command::Motion { motion, begun, second } => {
                if !std::mem::replace(begun, true) {
                    return motion.begin(io);
                }
                if let Motion::InOne { .. } = motion
                    && result == 0
                    && !std::mem::replace(second, true)
                {
                    return Still::default().into();
                }
                motion.end(result, io);
                Next::Done(0)
            }
        }
    }
}

impl Motion {
    fn begin(&self, io: &mut Io<'_>) -> Next {
        match self {
            Motion::ToHub { slot } | Motion::InOne { slot } => {
                io.machine.slot = Some(*slot);
                ToHub::call(*slot)
            }
            Motion::Still => Still::default().into(),
            Motion::HubFeed => HubFeed::default().into(),
            Motion::Fill => Fill::default().into(),
            Motion::Push { mm } => Push::call(*mm),
            Motion::Empty { slots } => {
                io.machine.state = BoxState::WRAPPING;
                EmptyBuffer::call(*slots)
            }
            Motion::Back { slots } => PullBackAll::call(*slots),
            Motion::Run { slots, tags } => Run::call(*slots, *tags),
        }
    }

    fn end(&self, result: u8, io: &mut Io<'_>) {
        match self {
            // The box is idle after these two, whatever came of them.
            Motion::Fill | Motion::Push { .. } => io.machine.idle(),
            _ => io.machine.settle(result),
        }
        let (func, data) = match self {
            Motion::ToHub { .. } => {
                let reply = extrude_process::Reply::ToHub { state: io.machine.state };
                (extrude_process::FUNCTION.code, reply.to_vec())
            }
            Motion::Push { .. } => (extrude_process::FUNCTION.code, io.machine.tell_push()),
            Motion::Still | Motion::HubFeed | Motion::Fill => {
                (extrude_process::FUNCTION.code, Vec::new())
            }
            Motion::Empty { .. } | Motion::Back { .. } => {
                (retrude_process::FUNCTION.code, Vec::new())
            }
            Motion::InOne { .. } => (extrude_process_model2::FUNCTION.code, Vec::new()),
            Motion::Run { .. } => (set_pre_loading::FUNCTION.code, Vec::new()),
        };
        io.reply(func, result, &data);
    }
}

/// Which letters a mask names.
fn letters(asked: u8) -> impl Iterator<Item = Letter> {
    Letter::ALL.into_iter().filter(move |letter| asked & letter.mask() != 0)
}

fn tell_tags(asked: u8, filament: &[bool; SLOTS], io: &mut Io<'_>) {
    let mut text = Vec::new();
    for letter in letters(asked) {
        let slot = letter.index();
        text.extend([letter.as_char() as u8, b':']);
        match io.machine.tags[slot] {
            _ if io.machine.working == Some(slot) => text.extend(b"busy"),
            _ if !filament[slot] => text.extend(b"none"),
            Some(tag) => text.extend(tag),
            None => text.extend(b"unknown"),
        }
        text.push(b';');
    }
    io.reply(get_rfid::FUNCTION.code, 0, &get_rfid::Reply::Tags { tags: Tags(text) }.to_vec());
}

fn tell_remain(asked: u8, filament: &[bool; SLOTS], io: &mut Io<'_>) {
    let mut left = [Remain::NOT_ASKED; SLOTS];
    for letter in letters(asked) {
        let slot = letter.index();
        if io.machine.working == Some(slot) {
            continue;
        }
        left[slot] = if filament[slot] {
            let spool = io.path().spool(slot).map_or(FULL, |spool| spool.remain);
            Remain(spool)
        } else {
            Remain::EMPTY
        };
    }
    let [a, b, c, d] = left;
    let reply = get_remain_len::Reply::Percent { a, b, c, d };
    io.reply(get_remain_len::FUNCTION.code, 0, &reply.to_vec());
}

impl Machine {
    /// The data of GET_BOX_STATE. What ran is told once.
    pub(super) fn tell_state(&mut self) -> Vec<u8> {
        let (temperature, humidity) =
            self.config.climate.map_or((0, 0), |climate| (climate.temperature, climate.humidity));
        let hub = if std::mem::take(&mut self.hub_stood) { 1 << Ran::HUB_BLOCKED.0 } else { 0 };
        let ran = Ran(std::mem::take(&mut self.ran) | hub);
        get_box_state::Reply::State { temperature, humidity, ran, state: self.state }.to_vec()
    }
}

//! Extruder and cutter, played from what the bus carries alone.
//!
//! A printer's extruder and cutter are not on the bus, so a host that is tried without a printer
//! waits for ever for the filament to be taken. This plays them as a printer would move them:
//!
//! - 10/06 answered: the extruder grips what has arrived and pulls some of it, so that the buffer
//!   leaves its full end;
//! - print mode (04 with mode 00): the extruder draws filament until the mode ends;
//! - 11: filament that the extruder has pulled is cut first, since a box cannot pull it out.

use k485_proto::deframer::{Deframer, Span};
use k485_proto::message::boxes::{extrude_process, retrude_process, set_box_mode};
use k485_proto::message::codes::{BoxMode, ExtrudeStage};
use k485_proto::record::Time;
use k485_proto::status::Status;

use crate::hand::Hand;
use crate::world::World;

/// How extruder and cutter move.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoConfig {
    /// From the answer to 10/06 to the pull, in ms.
    pub grip_ms: u32,
    /// How much is then pulled, in mm.
    pub pull: f64,
    /// How fast, in mm/s.
    pub pull_speed: f64,
    /// How fast a print draws filament, in mm/s.
    pub print_speed: f64,
}

impl Default for AutoConfig {
    fn default() -> AutoConfig {
        AutoConfig { grip_ms: 500, pull: 12.0, pull_speed: 5.0, print_speed: 2.0 }
    }
}

/// The automaton.
#[derive(Debug, Clone)]
pub struct Auto {
    config: AutoConfig,
    deframer: Deframer,
    last: Time,
    /// The box that was last told stage 06, until it answers.
    ends: Option<u8>,
    /// When the pull begins.
    pull: Option<Time>,
    /// The box whose slot feeds the print.
    prints: Option<u8>,
    hands: Vec<Hand>,
}

impl Auto {
    /// Extruder and cutter at rest.
    #[must_use]
    pub fn new(config: AutoConfig) -> Auto {
        Auto {
            config,
            deframer: Deframer::new(),
            last: Time(i64::MIN),
            ends: None,
            pull: None,
            prints: None,
            hands: Vec::new(),
        }
    }

    /// Everything is at rest again, on a bus that begins anew.
    pub(crate) fn restart(&mut self) {
        *self = Auto::new(self.config.clone());
    }

    /// The bus carried these bytes, the last of them at `at`.
    pub fn heard(&mut self, mut bytes: &[u8], at: Time) {
        // After such a silence nothing continues a frame.
        if at.since(self.last) > 120 * Time::MILLISECOND {
            while self.deframer.idle().is_some() {}
        }
        self.last = at;
        let mut frames = Vec::new();
        while let Some(span) = self.deframer.pull(&mut bytes) {
            if let Span::Frame { frame, .. } = span {
                frames.push((frame.addr(), frame.status(), frame.func(), frame.data().to_vec()));
            }
        }
        for (addr, status, func, data) in frames {
            if status == Status(0xff) {
                self.asked(addr.0, func, &data);
            } else if func == extrude_process::FUNCTION.code
                && self.ends == Some(addr.0)
                && data.is_empty()
            {
                self.ends = None;
                if status == Status::OK {
                    let ms = i64::from(self.config.grip_ms);
                    self.pull = Some(Time(at.0.saturating_add(ms * Time::MILLISECOND)));
                }
            }
        }
    }

    fn asked(&mut self, addr: u8, func: u8, data: &[u8]) {
        let address = k485_proto::address::Address(addr);
        if func == extrude_process::FUNCTION.code {
            let asked = extrude_process::Request::parse(address, data);
            if let Ok(extrude_process::Request::Stage { stage, .. }) = asked {
                self.ends = (stage == ExtrudeStage::FEED_END).then_some(addr);
            }
        } else if func == retrude_process::FUNCTION.code {
            self.hands.push(Hand::Extruder { speed: 0.0 });
            self.hands.push(Hand::Cut);
            self.pull = None;
        } else if func == set_box_mode::FUNCTION.code {
            let asked = set_box_mode::Request::parse(address, data);
            let Ok(set_box_mode::Request::Mode { mode, .. }) = asked else { return };
            if mode == BoxMode::PRINT {
                self.prints = Some(addr);
                self.pull = None;
                self.hands.push(Hand::Extruder { speed: self.config.print_speed });
            } else if self.prints == Some(addr) {
                self.prints = None;
                self.hands.push(Hand::Extruder { speed: 0.0 });
            }
        }
    }

    /// When something will be due.
    #[must_use]
    pub fn next_event(&self) -> Option<Time> {
        self.pull
    }

    /// What extruder and cutter do now.
    pub fn due(&mut self, now: Time, world: &World) -> Vec<Hand> {
        if self.pull.is_some_and(|due| due <= now) {
            self.pull = None;
            let (mm, speed) = (self.config.pull, Some(self.config.pull_speed));
            self.hands.push(Hand::Extrude { mm, speed });
        }
        let mut hands = std::mem::take(&mut self.hands);
        // Only what the extruder has pulled is cut: a tip before the gears comes back by itself.
        let gripped = world.plant().printer().beyond > 0.0;
        hands.retain(|hand| *hand != Hand::Cut || gripped);
        hands
    }
}

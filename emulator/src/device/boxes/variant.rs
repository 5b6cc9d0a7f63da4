//! In what other families' boxes differ from the one that was observed: what their dialects declare,
//! and nothing else.

use k485_proto::dialect::hi;
use k485_proto::message::boxes::{ctrl_connection_motor_action, extrude_process, get_buffer_state};
use k485_proto::message::codes::{BoxState, Buffer};
use k485_proto::message::kind::F32Be;

use super::config::Family;
use super::machine::Machine;
use crate::plant::Printer;

/// STATE_ERR: not in this state.
const STATE: u8 = 0x03;
/// A Hi's BUSY, which is a K2's RETRUDE_ERR4.
const BUSY: u8 = 0x16;
/// RETRUDE_ERR4: no filament where some should be.
const NO_FILAMENT: u8 = 0x16;
/// RETRUDE_ERR5, which says the same as far as a Hi's statuses go. That it does is inferred.
const NO_FILAMENT_HI: u8 = 0x17;
/// A Hi's cutter at rest. Its values are not known; the plant's cutter opens as it has closed.
const CUTTER_OPEN: u8 = 0;

impl Machine {
    /// Whether the box works at something that a request has to wait for.
    fn at_work(&self) -> bool {
        self.working.is_some() || matches!(self.state, BoxState::PRELOADING | BoxState::WRAPPING)
    }

    /// The status of a request that the box's state forbids.
    pub(super) fn wrong_state(&self) -> u8 {
        match self.config.family {
            Family::Hi if self.at_work() => BUSY,
            _ => STATE,
        }
    }

    /// The status of a request whose slot is empty.
    pub(super) fn no_filament(&self) -> u8 {
        match self.config.family {
            Family::Hi => NO_FILAMENT_HI,
            Family::K2 => NO_FILAMENT,
        }
    }

    /// The data of a refusal of 07: the state, under STATE_ERR alone.
    pub(super) fn refused_by_hand(&self) -> Vec<u8> {
        match self.wrong_state() {
            STATE => {
                let state = self.state;
                ctrl_connection_motor_action::Reply::WrongState { state }.to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// The data of 05.
    pub(super) fn tell_buffer(&self, printer: &Printer) -> Vec<u8> {
        match self.config.family {
            Family::Hi => hi::boxes::get_cut_state::Reply::State { cut: CUTTER_OPEN }.to_vec(),
            Family::K2 => {
                let buffer = Buffer(u8::from(printer.full()) | u8::from(printer.empty()) << 1);
                get_buffer_state::Reply::State { buffer }.to_vec()
            }
        }
    }

    /// The data of a push that is over.
    pub(super) fn tell_push(&self) -> Vec<u8> {
        match self.config.family {
            Family::Hi => {
                let odometer = F32Be(self.odometer());
                hi::boxes::extrude_process::Reply::Push { odometer }.to_vec()
            }
            Family::K2 => extrude_process::Reply::Push {}.to_vec(),
        }
    }
}

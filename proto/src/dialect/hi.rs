//! Creality Hi: what is known to differ from the K2 family.
//!
//! Sources: a raw capture of a Hi's bus (one box at rest, one pull into a slot; `Wire`), and a
//! project's notes on the Hi (`Document`). Where the two disagree the capture counts:
//!
//! - the notes call the first two bytes of the state reply opaque; the capture holds 17 29 there in
//!   every one of 42 replies, 23 C and 41 % as on a K2, so K2's names stand;
//! - the notes call function 08 a hardware status by channel; in the capture 08 01 answers slot B
//!   and 08 00 all four slots, and then slot B is pulled back: K2's sensors, so nothing is declared;
//! - functions 0D (mask and phase), 0E (odometer) and 11 (the notes' START and FINISH, FINISH
//!   answered after some 9.6 s) are K2's under other words, so nothing is declared.
//!
//! The notes' own words: 05 is the cutter's state, a push answers the odometer, STATUS 16 is busy,
//! STATUS 30 an insertion. The capture holds none of the four.

use super::{DeviceEntry, Dialect, K2};
use crate::address::{Address, Class};
use crate::evidence::Evidence;
use crate::message::Function;
use crate::status::{Status, StatusInfo};

impl Class {
    /// What a Hi's host polls at 41: nobody knows what it is.
    pub const NODE: Class = Class::Other("node");
}

/// The functions of a Hi's box that differ.
pub mod boxes {
    use crate::message::codes::*;
    use crate::message::declare::functions;
    use crate::message::kind::F32Be;
    use crate::slot::SlotSet;

    functions! {
        class Box, requests with REQUEST;

        /// Reads the state of the filament cutter, say the notes on the Hi; a K2's buffer.
        0x05 GET_CUT_STATE = get_cut_state;
        host 2_000 ms, 5 sends;
        effect Clear;
        unknown "the values; the name is ours; no capture of a Hi holds it";
        request { Ask {} }
        reply { State { cut: u8; Document } }

        /// Reads climate and state, as on a K2. The notes on the Hi call the first two bytes opaque
        /// and the last a load flag.
        0x0a GET_BOX_STATE = get_box_state;
        host 3_600_000 ms, 5 sends;
        effect Clear;
        unknown "a state other than 0, which no capture of a Hi holds";
        request { Ask {} }
        reply {
            Changes status Is(0x30) {
                a: SlotChange; Document b: SlotChange; Document c: SlotChange; Document
                d: SlotChange; Document
            }
            State status Any {
                temperature: i8, "C"; Wire humidity: i8, "%"; Wire ran: Ran; Inferred
                state: BoxState; Document
            }
        }

        /// Feeds a slot's filament to the toolhead, one stage a call, as on a K2; the notes on the
        /// Hi say that a push answers the odometer.
        0x10 EXTRUDE_PROCESS = extrude_process;
        host 15_000 ms, 5 sends;
        effect Clear if stage = 5, Motion;
        unknown "whether the notes' push is stage 07; no capture of a Hi holds a load";
        request {
            Stage { slot: SlotSet; Document stage: ExtrudeStage; Document param: u8 = "0", "mm"; Inferred }
        }
        reply {
            ToHub if stage = 0 status Any { state: BoxState; Inferred }
            FeedUntilStill if stage = 1 {}
            HubFeed if stage = 2 {}
            Abort if stage = 3 {}
            FeedStart if stage = 4 {}
            FeedPoll if stage = 5 status Any { odometer: F32Be, "mm"; Inferred }
            FeedEnd if stage = 6 {}
            Push if stage = 7 status Any { odometer: F32Be, "mm"; Document }
            PushPlain if stage = 7 {}
        }
    }
}

/// The functions of the node at 41.
pub mod node {
    use crate::message::declare::functions;
    use crate::message::kind::Rest;

    functions! {
        class NODE, requests with REQUEST;

        /// The request that reads a box's state, polled at address 41 between the box's polls. No
        /// answer was ever seen.
        0x0a GET_BOX_STATE = get_box_state;
        host 3_600_000 ms, 5 sends;
        effect Firmware;
        unknown "what is polled, and what it would answer";
        request { Ask {} }
        reply { Reply status Any { raw: Rest; Inferred } }
    }
}

static FUNCTIONS: [&Function; 4] = [
    &boxes::get_cut_state::FUNCTION,
    &boxes::get_box_state::FUNCTION,
    &boxes::extrude_process::FUNCTION,
    &node::get_box_state::FUNCTION,
];

/// Creality Hi, over [`K2`].
pub static HI: Dialect = Dialect {
    name: "hi",
    title: "Creality Hi, by one capture at rest and by a project's notes",
    base: Some(&K2),
    devices: &[DeviceEntry {
        name: "node41",
        first: Address(0x41),
        count: 1,
        class: Class::NODE,
        evidence: Evidence::Wire,
    }],
    functions: &FUNCTIONS,
    statuses: &[StatusInfo {
        code: Status(0x16),
        name: Some("BUSY"),
        meaning: "the box is busy, say the notes on the Hi; a K2's box means by 16 that the named \
                  slot holds no filament",
        evidence: Evidence::Document,
        keys: &[],
        context_keys: &[],
        likely_keys: &[],
    }],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction;
    use crate::frame::Frame;
    use crate::message::kind::hex_bytes;
    use crate::record::Direction;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    fn reads(dialect: &Dialect, request: &str, reply: &str) -> String {
        let (request, reply) = (hex_bytes(request).unwrap(), hex_bytes(reply).unwrap());
        let request = Frame::from_bytes(&request).unwrap();
        let reply = Frame::from_bytes(&reply).unwrap();
        let message = dialect.decode(&reply, Some(Direction::Response), Some(&request));
        let fields: Vec<String> =
            message.fields.iter().map(|f| format!("{}={}", f.field.name, f.value)).collect();
        let misfit = message.misfit.map(|m| format!(" ({m})")).unwrap_or_default();
        format!("{} {}{misfit}", message.form.unwrap_or("?"), fields.join(" "))
    }

    #[test]
    fn the_state_as_captured() {
        let text = reads(&HI, "f70103ff0a5c", "f70107000a17290000b2");
        assert_eq!(text, "State temperature=23 humidity=41 ran=none state=idle");
        assert_eq!(text, reads(&K2, "f70103ff0a5c", "f70107000a17290000b2"));
    }

    #[test]
    fn the_polled_node_has_a_name() {
        let raw = hex_bytes("f74103ff0a5c").unwrap();
        let poll = Frame::from_bytes(&raw).unwrap();
        assert_eq!(HI.device(poll.addr()), "node41");
        assert_eq!(K2.device(poll.addr()), "0x41");
        assert!(!direction::is_implausible(&poll, &HI));
        assert!(direction::is_implausible(&poll, &K2));
        assert_eq!(HI.find(poll.addr(), 0x0a).map(|f| f.name), Some("GET_BOX_STATE"));
        assert_eq!(HI.address("node41"), Ok(Address(0x41)));
    }

    #[test]
    fn what_the_notes_add() {
        let push = Frame::to_vec(Address(1), Status::REQUEST, 0x10, &[1, 7, 3]).unwrap();
        let push = crate::frame::Hex(&push);
        let with = Frame::to_vec(Address(1), Status::OK, 0x10, &[0xc3, 0xfa, 0x3c, 0x4a]).unwrap();
        let with = format!("{}", crate::frame::Hex(&with));
        let plain = "f701030010cd";
        assert_eq!(reads(&HI, &format!("{push}"), &with), "Push odometer=-500.47");
        assert_eq!(reads(&HI, &format!("{push}"), plain), "PushPlain ");
        assert_eq!(HI.status_name(Status(0x16)), "BUSY");
        assert_eq!(K2.status_name(Status(0x16)), "RETRUDE_ERR4");
        assert_eq!(HI.status_of("busy"), Ok(Status(0x16)));
        assert_eq!(HI.find(Address(1), 0x05).map(|f| f.name), Some("GET_CUT_STATE"));
        // What the notes have no other word for stays the K2's.
        assert_eq!(HI.find(Address(1), 0x08).map(|f| f.name), Some("GET_FILAMENT_SENSOR_STATE"));
    }
}

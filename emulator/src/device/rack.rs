//! The filament rack's tag reader at 11. Its button is no part of the bus: the host reads it
//! elsewhere, and then asks for the tag.

use k485_proto::address::Address;
use k485_proto::message::kind::Tag;
use k485_proto::message::rack::get_rfid;
use k485_proto::record::Time;
use k485_proto::status::Status;

use super::ear::{Ear, reply};
use super::{Device, Said};
use crate::plant::Plant;

/// The rack on the bus.
#[derive(Debug, Clone)]
pub struct RackDevice {
    ear: Ear,
    now: Time,
    said: Vec<Said>,
    tag: Option<[u8; 40]>,
}

impl RackDevice {
    /// A rack, with the tag of the spool on it. Without one it is silent: the host takes nothing
    /// but 40 characters for an answer.
    #[must_use]
    pub fn new(tag: Option<[u8; 40]>) -> RackDevice {
        RackDevice { ear: Ear::new(), now: Time(i64::MIN), said: Vec::new(), tag }
    }

    /// The tag of the spool on the rack.
    #[must_use]
    pub fn tag(&self) -> Option<[u8; 40]> {
        self.tag
    }

    /// Puts another spool on the rack, or none.
    pub fn set_tag(&mut self, tag: Option<[u8; 40]>) {
        self.tag = tag;
    }
}

impl Device for RackDevice {
    fn heard(&mut self, bytes: &[u8], at: Time, plant: &mut Plant) {
        self.advance(at, plant);
        for asked in self.ear.hear(bytes, self.now, &[Address::RACK]) {
            let understood = asked.func == get_rfid::FUNCTION.code
                && get_rfid::Request::parse(asked.to, &asked.data).is_ok();
            if let Some(tag) = self.tag.filter(|_| understood) {
                let data = get_rfid::Reply::Tag { tag: Tag(tag) }.to_vec();
                self.said.extend(reply(self.now, Address::RACK, Status::OK, asked.func, &data));
            }
        }
    }

    fn advance(&mut self, to: Time, _: &mut Plant) {
        self.now = self.now.max(to);
    }

    fn next_event(&self) -> Option<Time> {
        None
    }

    fn said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }
}

//! How the devices hear whose firmware nobody has read: whole frames with a right CRC, nothing else.

use k485_proto::address::Address;
use k485_proto::deframer::{Deframer, Span};
use k485_proto::frame::Frame;
use k485_proto::record::Time;
use k485_proto::status::Status;

use super::Said;

/// A frame's bytes follow each other; a silence of so many ms ends what has begun.
const GAP: i64 = 20 * Time::MILLISECOND;

/// What was asked of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) to: Address,
    pub(super) func: u8,
    pub(super) data: Vec<u8>,
}

/// Hears frames.
#[derive(Debug, Clone)]
pub(super) struct Ear {
    deframer: Deframer,
    last: Time,
}

impl Ear {
    pub(super) fn new() -> Ear {
        Ear { deframer: Deframer::new(), last: Time(i64::MIN) }
    }

    /// The frames that these bytes complete and that go to one of the addresses.
    pub(super) fn hear(&mut self, mut bytes: &[u8], at: Time, mine: &[Address]) -> Vec<Asked> {
        if at.since(self.last) > GAP {
            while self.deframer.idle().is_some() {}
        }
        self.last = at;
        let mut asked = Vec::new();
        while let Some(span) = self.deframer.pull(&mut bytes) {
            if let Span::Frame { frame, .. } = span
                && mine.contains(&frame.addr())
            {
                let (to, func) = (frame.addr(), frame.func());
                asked.push(Asked { to, func, data: frame.data().to_vec() });
            }
        }
        asked
    }
}

/// A reply of so much data.
pub(super) fn reply(at: Time, own: Address, status: Status, func: u8, data: &[u8]) -> Option<Said> {
    let mut bytes = Vec::new();
    Frame::emit(own, status, func, data, &mut bytes).ok()?;
    Some(Said { at, bytes })
}

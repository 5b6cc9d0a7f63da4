//! The byte parser: which bytes become a request.
//!
//! It looks for F7, and takes the next byte as an address, so that a stray F7 before a frame eats
//! that frame's head. A frame for somebody else is not skipped by its LEN: its bytes are looked
//! through like noise, and a whole frame for this box inside them is heard. Once a LEN is taken, so
//! many bytes are waited for; only a pause ends that.

use k485_proto::address::Address;
use k485_proto::crc::crc8;
use k485_proto::frame::{HEAD, MIN_LEN};
use k485_proto::record::Time;

/// How many bytes from STATUS on the parser keeps: a frame with more is heard to its end, and then
/// its CRC cannot be right.
const KEPT: usize = 102;

/// A frame for this box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    /// The address that it was sent to.
    pub(super) to: Address,
    pub(super) func: u8,
    /// DATA, as long as LEN says (cut where the parser's memory ends).
    pub(super) data: Vec<u8>,
    pub(super) crc_ok: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    Address,
    Len,
    Body,
}

/// The parser, and the memory that it reads frames into, which is not wiped between them.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    /// The box's own address.
    pub(super) own: Address,
    /// The longest gap inside a frame.
    pub(super) gap_ms: u32,
    /// Whether the loader listens, which hears what is sent to everyone too.
    pub(super) loader: bool,
    place: Place,
    to: Address,
    len: u8,
    at: usize,
    crc: Vec<u8>,
    /// STATUS, FUNC and DATA as they came; older frames' bytes behind them.
    memory: [u8; KEPT],
    last: Time,
}

impl Receiver {
    pub(super) fn new(own: Address) -> Receiver {
        Receiver {
            own,
            gap_ms: 120,
            loader: false,
            place: Place::Head,
            to: own,
            len: 0,
            at: 0,
            crc: Vec::new(),
            memory: [0; KEPT],
            last: Time(0),
        }
    }

    /// DATA as it lies in the memory, whatever its frame's LEN said.
    pub(super) fn memory(&self) -> &[u8] {
        &self.memory[2..]
    }

    /// The next byte; a frame when it was the last of one for this box.
    pub(super) fn take(&mut self, byte: u8, at: Time) -> Option<Heard> {
        let gap = i64::from(self.gap_ms) * Time::MILLISECOND;
        if self.place != Place::Head && at.since(self.last) > gap {
            self.place = Place::Head;
        }
        self.last = at;
        match self.place {
            Place::Head if byte == HEAD => self.place = Place::Address,
            Place::Head => {}
            Place::Address => {
                self.to = Address(byte);
                let mine = [self.own, Address::FACTORY_SILENT, Address::FACTORY];
                let all = self.loader && self.to == Address::ALL;
                self.place = if all || mine.contains(&self.to) { Place::Len } else { Place::Head };
            }
            Place::Len if byte < MIN_LEN => self.place = Place::Head,
            Place::Len => {
                self.len = byte;
                self.at = 0;
                self.crc.clear();
                self.crc.push(byte);
                self.place = Place::Body;
            }
            Place::Body => return self.body(byte),
        }
        None
    }

    fn body(&mut self, byte: u8) -> Option<Heard> {
        self.at += 1;
        let len = usize::from(self.len);
        if self.at < len {
            if let Some(place) = self.memory.get_mut(self.at - 1) {
                *place = byte;
            }
            self.crc.push(byte);
            return None;
        }
        self.place = Place::Head;
        let kept = (len - 1).min(KEPT);
        Some(Heard {
            to: self.to,
            func: self.memory[1],
            data: self.memory[2..kept].to_vec(),
            crc_ok: len - 1 <= KEPT && crc8(&self.crc) == byte,
        })
    }
}

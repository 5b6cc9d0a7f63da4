//! Classic pcap with link type USER0 (147): read only, pcapng holds more.
//!
//! Both byte orders, micro- and nanoseconds. No bus, no directions. A packet's bytes are a wire's:
//! a frame may go on in the next one. A header that cannot be is the end of what can be read:
//! nothing in the format tells where the next one is.

use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;

use k485_proto::record::{Complaint, Time};

use crate::capture::{Format, Likelihood, Reading, broken_off};
use crate::format::joiner::{Joiner, Piece};
use crate::format::note::Note;
use crate::format::pcapng::LINKTYPE_USER0;
use crate::format::steps::{Ready, Source, Steps};

/// Sizes of the headers of file and packet, in bytes.
const FILE_HEADER: u64 = 24;
const PACKET_HEADER: usize = 16;
/// No packet is longer. Source: Wireshark's own limit.
const PACKET: u32 = 256 << 10;

/// The format `pcap`.
#[derive(Debug, Clone, Copy)]
pub struct Pcap;

impl Format for Pcap {
    fn name(&self) -> &'static str {
        "pcap"
    }

    fn detect(&self, head: &[u8]) -> Likelihood {
        if Kind::of(head).is_some() { Likelihood::Sure } else { Likelihood::No }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        let name = name.to_owned();
        Box::new(Steps::new(Reader { name, input, offset: 0, kind: None, joiner: Joiner::new() }))
    }
}

/// Byte order and unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    big: bool,
    /// Nanoseconds in a unit.
    unit: u32,
}

impl Kind {
    /// By the magic number and the version, 2.4.
    fn of(head: &[u8]) -> Option<Kind> {
        let big = match head.get(4..8)? {
            [0, 2, 0, 4] => true,
            [2, 0, 4, 0] => false,
            _ => return None,
        };
        let kind = Kind { big, unit: 1 };
        match kind.u32(head, 0) {
            0xa1b2_c3d4 => Some(Kind { unit: 1000, ..kind }),
            0xa1b2_3c4d => Some(kind),
            _ => None,
        }
    }

    /// A number of a header that is there.
    fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let mut array = [0; 4];
        array.copy_from_slice(&bytes[at..at + 4]);
        if self.big { u32::from_be_bytes(array) } else { u32::from_le_bytes(array) }
    }
}

struct Reader {
    name: String,
    input: Box<dyn BufRead + Send>,
    offset: u64,
    /// Once the file's header is read.
    kind: Option<Kind>,
    joiner: Joiner,
}

impl Source for Reader {
    fn step(&mut self, ready: &mut Ready) -> ControlFlow<()> {
        let what = match self.packet(ready) {
            Ok(true) => return ControlFlow::Continue(()),
            Ok(false) => None,
            Err(Failure::Io(error)) => Some(broken_off(&self.name, self.offset, &error)),
            Err(Failure::Broken(what)) => {
                let place = format!("{} at byte {}", self.name, self.offset);
                Some(Complaint { place, what, fatal: true })
            }
        };
        self.joiner.idle(ready);
        ready.extend(what.map(Err));
        ControlFlow::Break(())
    }
}

/// Why reading ends.
enum Failure {
    Io(io::Error),
    Broken(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}

impl From<String> for Failure {
    fn from(what: String) -> Self {
        Failure::Broken(what)
    }
}

impl Reader {
    /// Reads a header and its packet; false at the file's end.
    fn packet(&mut self, ready: &mut Ready) -> Result<bool, Failure> {
        let kind = match self.kind {
            Some(kind) => kind,
            None => self.header()?,
        };
        let head = self.bytes(PACKET_HEADER)?;
        if head.is_empty() {
            return Ok(false);
        }
        let cut = |have: usize, need: u32| {
            format!("the file is cut off: {have} of {need} bytes of a packet are there")
        };
        if head.len() < PACKET_HEADER {
            return Err(cut(head.len(), 16).into());
        }
        let [seconds, units, size] = [0, 4, 8].map(|at| kind.u32(&head, at));
        if size > PACKET || u64::from(units) * u64::from(kind.unit) >= 1_000_000_000 {
            return Err(format!(
                "no packet begins here ({size} bytes at {seconds}+{units}): the rest cannot be read"
            )
            .into());
        }
        let bytes = self.bytes(size as usize)?;
        let nanos = i64::from(seconds) * Time::SECOND + i64::from(units) * i64::from(kind.unit);
        let note = Note::default();
        let time = Some(Time(nanos));
        let piece = Piece { time, bus: "", dir: None, offset: self.offset, bytes: &bytes, note };
        // A packet without bytes says nothing.
        if !bytes.is_empty() {
            self.joiner.push(&piece, ready)?;
        }
        if bytes.len() < size as usize {
            return Err(cut(bytes.len(), size).into());
        }
        self.offset += (PACKET_HEADER + bytes.len()) as u64;
        Ok(true)
    }

    fn header(&mut self) -> Result<Kind, Failure> {
        let head = self.bytes(FILE_HEADER as usize)?;
        let kind = Kind::of(&head).filter(|_| head.len() as u64 == FILE_HEADER);
        let kind = kind.ok_or_else(|| "no header of a pcap file".to_owned())?;
        // The higher half is about check sums.
        let link = kind.u32(&head, 20) & 0xffff;
        if link != LINKTYPE_USER0 {
            return Err(format!(
                "link type {link}, not that of a serial bus (USER0, {LINKTYPE_USER0})"
            )
            .into());
        }
        self.offset = FILE_HEADER;
        self.kind = Some(kind);
        Ok(kind)
    }

    /// The next bytes, fewer at the end.
    fn bytes(&mut self, size: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.input.by_ref().take(size as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_proto::record::Record;
    use std::io::Cursor;

    const POLL: [u8; 6] = [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c];

    fn file(big: bool, nano: bool, link: u32, packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let number = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
        let magic = if nano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        let version = if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
        let mut file =
            [number(magic), version, [0; 4], [0; 4], number(65535), number(link)].concat();
        for (seconds, units, bytes) in packets {
            let size = bytes.len() as u32;
            file.extend([*seconds, *units, size, size].map(number).concat());
            file.extend(*bytes);
        }
        file
    }

    fn read(bytes: Vec<u8>) -> Vec<Result<Record, Complaint>> {
        Pcap.read("a.pcap", Box::new(Cursor::new(bytes))).collect()
    }

    #[test]
    fn byte_orders_and_units() {
        for (big, nano, nanos) in
            [(false, false, 5_000), (false, true, 5), (true, false, 5_000), (true, true, 5)]
        {
            let bytes = file(big, nano, 147, &[(7, 5, &POLL[..2]), (7, 5, &POLL[2..])]);
            assert_eq!(Pcap.detect(&bytes), Likelihood::Sure);
            let got = read(bytes);
            assert_eq!(got.len(), 1);
            let record = got[0].as_ref().unwrap();
            assert_eq!(
                (record.time, &record.bytes[..]),
                (Some(Time(7_000_000_000 + nanos)), &POLL[..])
            );
            assert_eq!(record.offset, 24);
        }
    }

    #[test]
    fn what_is_broken_ends_it_with_its_place() {
        let good = file(false, true, 147, &[(7, 5, &POLL)]);
        let told = |bytes| {
            let got = read(bytes);
            let last = got.last().unwrap().as_ref().unwrap_err();
            assert!(last.fatal);
            (got.len(), last.to_string())
        };
        let cut = told(good[..good.len() - 2].to_vec());
        let what = "a.pcap at byte 24: the file is cut off: 4 of 6 bytes of a packet are there";
        assert_eq!(cut, (2, what.to_owned()));
        let odd = [good.clone(), vec![0xff; 20]].concat();
        assert_eq!(told(odd).0, 2);
        let link = told(file(false, true, 1, &[(7, 5, &POLL)]));
        assert_eq!(
            link,
            (1, "a.pcap at byte 0: link type 1, not that of a serial bus (USER0, 147)".to_owned())
        );
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(junk in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            read(junk.clone());
            read([file(false, true, 147, &[]), junk].concat());
        }
    }
}

//! pcapng: packets with times, interfaces and comments, as Wireshark reads and writes them.
//!
//! One packet a span, one interface a bus. Written: link type USER0 (147), little endian, times in
//! nanoseconds since the Unix epoch, the interface's name (the bus's; none where that has none)
//! and its speed. In a packet's flags, the direction as the host sees it, *outbound* for a request
//! and *inbound* for a response, and the bit for a CRC error where noise is a frame with a wrong
//! CRC. What the block has no place for is in the packet's comment, in parts with `; ` between:
//!
//! | part | means |
//! | --- | --- |
//! | `noise: REASON` | the packet is noise |
//! | `gap: REASON`, `gap: REASON, N ns, N bytes` | here bytes are missing: the packet has none |
//! | `bare: head and CRC were added` | the source has the frame without them |
//! | `dir inferred` | the direction in the flags was worked out, not told |
//! | `no time`, `time SECONDS` | there is no time, or one that a packet cannot have (before 1970) |
//! | `call ID, timeout N ms, took N ns` | the traced call of the host |
//!
//! At the end, an interface on which something was lost has its statistics: how often the port lost
//! bytes (`isb_ifdrop`) and how often the capturing program dropped some (`isb_osdrop`), each time
//! counted as one packet, since nobody knows how many there were; the bytes are in the comment.
//!
//! Read: both byte orders, any number of sections, any time resolution and offset, packets of all
//! three kinds; other blocks are passed over. An interface that is not USER0 is complained about
//! and its packets are skipped. A packet that no comment tells of holds bytes of a wire: a frame
//! may go on in the next packet of its interface and direction. The second and every other
//! interface without a name gets the bus name `interface N`.
//!
//! A broken block is complained about, and reading goes on at the next place where a block of a
//! known kind begins and ends as it should. A broken interface description keeps its number.
//!
//! Source: the Internet draft `draft-ietf-opsawg-pcapng`.

use std::io::BufRead;
use std::ops::ControlFlow;

use k485_proto::record::{Direction, Time};

use crate::capture::{Format, Likelihood, Reading, broken_off, skipped};
use crate::format::joiner::{Joiner, Piece};
use crate::format::note::Note;
use crate::format::steps::{Ready, Source, Steps};
use block::{Block, Fields, Look, Window, kind};
use interface::Interface;

pub use write::{Options, Writer};

mod block;
mod interface;
mod write;

/// The link type that is free for every user's own use. Source: the list of tcpdump.org.
pub(super) const LINKTYPE_USER0: u32 = 147;
/// No file has more interfaces; they are kept while a section is read.
const INTERFACES: usize = 1 << 16;

/// Codes of options.
mod option {
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SHB_USERAPPL: u16 = 4;
    pub(super) const IF_NAME: u16 = 2;
    pub(super) const IF_SPEED: u16 = 8;
    pub(super) const IF_TSRESOL: u16 = 9;
    pub(super) const IF_TSOFFSET: u16 = 14;
    pub(super) const EPB_FLAGS: u16 = 2;
    pub(super) const ISB_IFDROP: u16 = 5;
    pub(super) const ISB_OSDROP: u16 = 7;
}

/// Bits of a packet's flags.
mod flag {
    pub(super) const DIRECTION: u32 = 3;
    pub(super) const INBOUND: u32 = 1;
    pub(super) const OUTBOUND: u32 = 2;
    pub(super) const CRC_ERROR: u32 = 1 << 24;
}

/// The format `pcapng`.
#[derive(Debug, Clone, Copy)]
pub struct Pcapng;

impl Format for Pcapng {
    fn name(&self) -> &'static str {
        "pcapng"
    }

    fn detect(&self, head: &[u8]) -> Likelihood {
        let is_section = head.starts_with(&block::SECTION) && block::byte_order(head).is_some();
        if is_section { Likelihood::Sure } else { Likelihood::No }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        Box::new(Steps::new(Reader {
            name: name.to_owned(),
            window: Window::new(input),
            interfaces: Vec::new(),
            joiner: Joiner::new(),
        }))
    }
}

struct Reader {
    name: String,
    window: Window,
    /// The section's; `None` for one whose description is broken.
    interfaces: Vec<Option<Interface>>,
    joiner: Joiner,
}

impl Source for Reader {
    fn step(&mut self, ready: &mut Ready) -> ControlFlow<()> {
        let offset = self.window.offset();
        match self.window.look() {
            Look::Block(block) => {
                let (size, is_interface) = (block.size, block.kind == kind::INTERFACE);
                match take(&block, offset, &mut self.interfaces, &mut self.joiner, ready) {
                    Err(Bad::Block(what)) => self.broken(offset, &what, is_interface, ready),
                    Err(Bad::Meaning(what)) => {
                        ready.push_back(Err(skipped(self.place(offset), what)));
                        self.window.consume(size);
                    }
                    Ok(()) => self.window.consume(size),
                }
                ControlFlow::Continue(())
            }
            Look::Broken { what, is_interface } => {
                self.broken(offset, &what, is_interface, ready);
                ControlFlow::Continue(())
            }
            Look::End => {
                self.joiner.idle(ready);
                if let Some(error) = self.window.error() {
                    ready.push_back(Err(broken_off(&self.name, offset, &error)));
                }
                ControlFlow::Break(())
            }
        }
    }
}

/// Why nothing comes of a block.
enum Bad {
    /// Its parts do not fit together: perhaps it does not even end where it says.
    Block(String),
    /// It is whole, but what it says cannot be used.
    Meaning(String),
}

impl From<String> for Bad {
    fn from(what: String) -> Self {
        Bad::Block(what)
    }
}

impl Reader {
    /// Leaves a broken block behind.
    fn broken(&mut self, offset: u64, what: &str, is_interface: bool, ready: &mut Ready) {
        if is_interface && self.interfaces.len() < INTERFACES {
            self.interfaces.push(None);
        }
        self.joiner.idle(ready);
        let what = match self.window.find_block() {
            Some(next) => format!("{what}; went on at byte {next}"),
            None => format!("{what}; there is no other block behind it"),
        };
        ready.push_back(Err(skipped(self.place(offset), what)));
    }

    fn place(&self, offset: u64) -> String {
        format!("{} at byte {offset}", self.name)
    }
}

/// Takes a block in.
fn take(
    block: &Block<'_>,
    offset: u64,
    interfaces: &mut Vec<Option<Interface>>,
    joiner: &mut Joiner,
    ready: &mut Ready,
) -> Result<(), Bad> {
    let body = block.body;
    let (number, ticks, bytes, options) = match block.kind {
        kind::SECTION => {
            interfaces.clear();
            return Ok(());
        }
        kind::INTERFACE if interfaces.len() == INTERFACES => {
            let what = format!("more than {INTERFACES} interfaces: this one was skipped");
            return Err(Bad::Meaning(what));
        }
        kind::INTERFACE => {
            let number = interfaces.len();
            let is_unnamed = |i: &Interface| i.link == LINKTYPE_USER0 && i.bus.is_empty();
            let has_unnamed = interfaces.iter().flatten().any(is_unnamed);
            let interface = Interface::read(body, number, has_unnamed)?;
            let link = interface.link;
            interfaces.push(Some(interface));
            if link != LINKTYPE_USER0 {
                return Err(Bad::Meaning(format!(
                    "interface {number} has link type {link}, not that of a serial bus (USER0, \
                     {LINKTYPE_USER0}): its packets are skipped"
                )));
            }
            return Ok(());
        }
        kind::PACKET => packet(body, 20, body.u32(0)?)?,
        kind::OLD_PACKET => packet(body, 20, u32::from(body.u16(0)?))?,
        kind::SIMPLE_PACKET => simple_packet(body, interfaces)?,
        _ => return Ok(()),
    };
    let interface = usize::try_from(number).ok().and_then(|number| interfaces.get(number));
    let Some(interface) = interface else {
        let what = format!("a packet of interface {number}, which is not described");
        return Err(Bad::Block(what));
    };
    let Some(interface) = interface else {
        let what = format!("a packet of interface {number}, whose description is broken: skipped");
        return Err(Bad::Meaning(what));
    };
    if interface.link != LINKTYPE_USER0 {
        return Ok(());
    }
    let said = Said::read(options)?;
    let time = ticks.map(|ticks| interface.time(ticks));
    if time == Some(None) && said.note.time.is_none() {
        let what = "the packet's time does not fit into 64 bits of nanoseconds: skipped";
        return Err(Bad::Meaning(what.to_owned()));
    }
    let (time, bus) = (time.flatten(), &*interface.bus);
    let piece = Piece { time, bus, dir: said.dir, offset, bytes, note: said.note };
    joiner.push(&piece, ready).map_err(|what| Bad::Meaning(format!("the packet {what}: skipped")))
}

/// Interface, time, bytes and options of a packet.
type Packet<'a> = (u32, Option<u64>, &'a [u8], Fields<'a>);

/// A packet with a time; its bytes begin at `start` of the block's body.
fn packet<'a>(body: Fields<'a>, start: usize, number: u32) -> Result<Packet<'a>, String> {
    let ticks = u64::from(body.u32(4)?) << 32 | u64::from(body.u32(8)?);
    let size = usize::try_from(body.u32(12)?).unwrap_or(usize::MAX);
    let bytes = body
        .bytes(start, size)
        .map_err(|_| format!("a packet of {size} bytes in a block of {}", body.len()))?;
    Ok((number, Some(ticks), bytes, body.from(start + size.next_multiple_of(4))))
}

/// A packet with nothing but bytes, of the first interface.
fn simple_packet<'a>(
    body: Fields<'a>,
    interfaces: &[Option<Interface>],
) -> Result<Packet<'a>, String> {
    let limit = interfaces.first().and_then(Option::as_ref).map_or(0, |first| first.limit);
    let limit = if limit == 0 { u32::MAX } else { limit };
    let size = usize::try_from(body.u32(0)?.min(limit)).unwrap_or(usize::MAX);
    let bytes = body.bytes(4, size.min(body.len() - 4))?;
    Ok((0, None, bytes, body.from(body.len())))
}

/// What a packet's options say.
#[derive(Default)]
struct Said {
    dir: Option<Direction>,
    note: Note,
}

impl Said {
    fn read(options: Fields<'_>) -> Result<Said, String> {
        let (mut said, mut comments) = (Said::default(), String::new());
        for option in options.options() {
            match option? {
                (option::COMMENT, value) => {
                    comments.push_str(&String::from_utf8_lossy(value.all()));
                    comments.push(';');
                }
                (option::EPB_FLAGS, value) => {
                    said.dir = match value.u32(0)? & flag::DIRECTION {
                        flag::INBOUND => Some(Direction::Response),
                        flag::OUTBOUND => Some(Direction::Request),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        // Other words are somebody's comment.
        (said.note, _) = Note::parse(&comments);
        Ok(said)
    }
}

impl Interface {
    /// The moment of a packet; `None` where it does not fit.
    fn time(&self, ticks: u64) -> Option<Time> {
        let nanos = self.resolution.nanos(ticks)?;
        let offset = i128::from(self.offset) * i128::from(Time::SECOND);
        i64::try_from(nanos.checked_add(offset)?).ok().map(Time)
    }
}

#[cfg(test)]
mod tests;

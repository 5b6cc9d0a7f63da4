//! Writing pcapng.

use std::collections::BTreeMap;
use std::io::{self, Write};

use k485_proto::deframer::NoiseReason;
use k485_proto::record::{Direction, Gap, GapReason, Verdict};

use super::block::{SECTION, kind};
use super::{INTERFACES, LINKTYPE_USER0, flag, option};
use crate::format::note::{Bare, Note};
use crate::format::write::{CaptureWriter, Item, Loss, Losses};

/// What to write beside the items.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The buses' speed in baud. Not written for the buses of a trace, whose frames were not seen
    /// on a wire.
    pub baud: Option<u32>,
    /// The program that writes.
    pub program: String,
}

/// What was lost on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Lost {
    /// When it was last, in ticks.
    ticks: u64,
    by_port: u64,
    by_program: u64,
    /// As far as they were counted.
    bytes: u64,
}

/// Writes pcapng. Nothing is buffered here.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    losses: Losses,
    options: Options,
    /// The interface of each bus.
    buses: BTreeMap<String, u32>,
    /// What was lost on an interface.
    lost: BTreeMap<u32, Lost>,
    begun: bool,
}

impl<W: Write> Writer<W> {
    /// A writer at the beginning of a file, which is written with the first item.
    pub fn new(out: W, options: Options) -> Self {
        let buses = BTreeMap::new();
        let lost = BTreeMap::new();
        Writer { out, losses: Losses::default(), options, buses, lost, begun: false }
    }

    fn header(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let mut body = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
        // Version 1.0, of a length that is not known yet.
        body.extend([1, 0, 0, 0]);
        body.extend((-1i64).to_le_bytes());
        let program = fitting(&self.options.program);
        if !program.is_empty() {
            add_option(&mut body, option::SHB_USERAPPL, program.as_bytes());
            end_options(&mut body);
        }
        self.block(u32::from_le_bytes(SECTION), &body)
    }

    /// The number of the item's interface, described before its first packet.
    fn interface(&mut self, item: &Item) -> io::Result<u32> {
        let record = item.record();
        if let Some(number) = self.buses.get(&*record.bus) {
            return Ok(*number);
        }
        if self.buses.len() == INTERFACES {
            return Err(io::Error::other(format!(
                "more than {INTERFACES} buses in one pcapng file"
            )));
        }
        let number = u32::try_from(self.buses.len()).map_err(io::Error::other)?;
        let mut body = LINKTYPE_USER0.to_le_bytes().to_vec();
        // Packets of any length.
        body.extend(0u32.to_le_bytes());
        let name = fitting(&record.bus);
        if !name.is_empty() {
            add_option(&mut body, option::IF_NAME, name.as_bytes());
        }
        if let (Some(baud), None) = (self.options.baud, record.call) {
            add_option(&mut body, option::IF_SPEED, &u64::from(baud).to_le_bytes());
        }
        // Nanoseconds.
        add_option(&mut body, option::IF_TSRESOL, &[9]);
        end_options(&mut body);
        self.block(kind::INTERFACE, &body)?;
        self.buses.insert(record.bus.to_string(), number);
        Ok(number)
    }

    /// What was lost on an interface, as far as anything was.
    fn statistics(&mut self) -> io::Result<()> {
        for (interface, lost) in std::mem::take(&mut self.lost) {
            let mut body = Vec::new();
            for number in [interface, (lost.ticks >> 32) as u32, lost.ticks as u32] {
                body.extend(number.to_le_bytes());
            }
            add_option(&mut body, option::ISB_IFDROP, &lost.by_port.to_le_bytes());
            add_option(&mut body, option::ISB_OSDROP, &lost.by_program.to_le_bytes());
            if lost.bytes > 0 {
                let comment = format!("bytes lost, as far as they were counted: {}", lost.bytes);
                add_option(&mut body, option::COMMENT, comment.as_bytes());
            }
            end_options(&mut body);
            self.block(kind::STATISTICS, &body)?;
        }
        Ok(())
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let size = u32::try_from(body.len() + 12).map_err(io::Error::other)?;
        let size = size.to_le_bytes();
        self.out.write_all(&[&kind.to_le_bytes()[..], &size, body, &size].concat())
    }
}

impl<W: Write> CaptureWriter for Writer<W> {
    fn begin(&mut self) -> io::Result<()> {
        self.header()
    }

    fn write(&mut self, item: &Item) -> io::Result<()> {
        self.header()?;
        self.losses.add(item, &[Loss::NoReply]);
        let record = item.record();
        if record.verdict == Verdict::NoReply {
            return Ok(());
        }
        let interface = self.interface(item)?;
        let mut note = item.note(Bare::Completed);
        let ticks = record.time.and_then(|time| u64::try_from(time.0).ok());
        if ticks.is_none() {
            note.time = Some(record.time);
        }
        let ticks = ticks.unwrap_or(0);
        if let Verdict::Gap(Gap { reason, bytes, .. }) = record.verdict
            && matches!(reason, GapReason::Overrun | GapReason::Dropped)
        {
            let lost = self.lost.entry(interface).or_default();
            lost.ticks = lost.ticks.max(ticks);
            lost.by_port += u64::from(reason == GapReason::Overrun);
            lost.by_program += u64::from(reason == GapReason::Dropped);
            lost.bytes = lost.bytes.saturating_add(bytes.unwrap_or(0));
        }
        let bytes = item.wire();
        let size = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut body = Vec::with_capacity(bytes.len() + 64);
        // The halves of the time, the higher one first.
        for number in [interface, (ticks >> 32) as u32, ticks as u32, size, size] {
            body.extend(number.to_le_bytes());
        }
        body.extend(bytes);
        body.resize(body.len().next_multiple_of(4), 0);
        let flags = flags(item);
        if flags != 0 {
            add_option(&mut body, option::EPB_FLAGS, &flags.to_le_bytes());
        }
        if note != Note::default() {
            add_option(&mut body, option::COMMENT, note.to_string().as_bytes());
        }
        if flags != 0 || note != Note::default() {
            end_options(&mut body);
        }
        self.block(kind::PACKET, &body)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.header()?;
        self.statistics()?;
        self.out.flush()
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

fn flags(item: &Item) -> u32 {
    let dir = match item.dir().0 {
        Some(Direction::Request) => flag::OUTBOUND,
        Some(Direction::Response) => flag::INBOUND,
        None => 0,
    };
    match item.record().verdict {
        Verdict::Noise(NoiseReason::BadCrc { .. }) => dir | flag::CRC_ERROR,
        _ => dir,
    }
}

/// A text, or so much of it as an option holds.
fn fitting(text: &str) -> &str {
    let most = text.len().min(usize::from(u16::MAX));
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// An option; `value` has at most 65535 bytes.
fn add_option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn end_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

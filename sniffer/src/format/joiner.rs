//! Records out of pieces that name their bus: the lines of a log, the packets of a packet file.
//!
//! A piece that is told to be noise, a gap, a bare frame or a call without a reply is a record of its own,
//! whatever is around it. All others are the bytes of a wire, deframed a bus and a direction at a
//! time: a program that writes what each read gave it cuts frames at any place. A gap of more than
//! [`SILENCE`] ends what is open, as does a record of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use k485_proto::deframer::{Span, spans};
use k485_proto::frame::{Frame, MAX_FRAME};
use k485_proto::record::{Direction, Origin, Record, Time, Verdict};

use crate::format::hex::SILENCE;
use crate::format::note::{Bare, Note};
use crate::format::steps::Ready;
use crate::framer::{Chunk, Framer, Place};

/// How many buses are kept at once; beyond that, the one not heard for the longest is ended.
const BUSES: usize = 64;

/// What a line or a packet says.
pub(super) struct Piece<'a> {
    pub(super) time: Option<Time>,
    pub(super) bus: &'a str,
    /// The direction beside the bytes, inferred or not.
    pub(super) dir: Option<Direction>,
    /// Where it is in the source.
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
    pub(super) note: Note,
}

/// What is known of one bus.
struct Bus {
    name: Arc<str>,
    framer: Framer,
    last: Option<Time>,
}

/// Puts pieces together.
#[derive(Default)]
pub(super) struct Joiner {
    /// The one heard last is the last.
    buses: VecDeque<Bus>,
}

impl Joiner {
    pub(super) fn new() -> Self {
        Joiner::default()
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// What is wrong with it, if nothing can be made of it.
    pub(super) fn push(&mut self, piece: &Piece<'_>, ready: &mut Ready) -> Result<(), String> {
        let note = &piece.note;
        let dir = if note.inferred { None } else { piece.dir };
        let time = note.time.unwrap_or(piece.time);
        let bus = self.bus(piece.bus, ready);
        if let (Some(now), Some(last)) = (time, bus.last)
            && now.since(last) > SILENCE
        {
            bus.idle(ready);
        }
        bus.last = time;
        let Some((verdict, origin, bytes)) = alone(piece)? else {
            let place = Place::Line(piece.offset);
            let chunk = Chunk { time, dir, place, bytes: piece.bytes };
            bus.framer.push(chunk, |mut record| {
                record.call = note.call;
                ready.push_back(Ok(record));
            });
            return Ok(());
        };
        bus.idle(ready);
        if let Verdict::Gap(gap) = verdict {
            let record = Record::of_gap(gap, time, bus.name.clone());
            ready.push_back(Ok(Record { offset: piece.offset, ..record }));
            return Ok(());
        }
        ready.push_back(Ok(Record {
            time,
            bus: bus.name.clone(),
            dir,
            offset: piece.offset,
            bytes: bytes.to_vec(),
            origin,
            verdict,
            call: note.call,
        }));
        Ok(())
    }

    /// Whether a frame of that bus and direction has begun and is not complete yet.
    pub(super) fn is_open(&self, bus: &str, dir: Option<Direction>) -> bool {
        self.buses.iter().any(|known| *known.name == *bus && known.framer.is_open(dir))
    }

    /// Tells of the source's end, or of a place where something may be missing.
    pub(super) fn idle(&mut self, ready: &mut Ready) {
        self.buses.iter_mut().for_each(|bus| bus.idle(ready));
    }

    /// The bus of that name, which is now the last.
    fn bus(&mut self, name: &str, ready: &mut Ready) -> &mut Bus {
        let bus = match self.buses.iter().rposition(|bus| *bus.name == *name) {
            Some(at) => self.buses.remove(at),
            None => None,
        };
        if bus.is_none()
            && self.buses.len() == BUSES
            && let Some(mut oldest) = self.buses.pop_front()
        {
            oldest.idle(ready);
        }
        let bus = bus.unwrap_or_else(|| {
            let name: Arc<str> = name.into();
            Bus { framer: Framer::new(name.clone()), name, last: None }
        });
        self.buses.push_back(bus);
        let last = self.buses.len() - 1;
        &mut self.buses[last]
    }
}

impl Bus {
    fn idle(&mut self, ready: &mut Ready) {
        self.framer.idle(|record| ready.push_back(Ok(record)));
    }
}

/// What a record of its own is, and its bytes.
type Alone<'a> = (Verdict, Origin, &'a [u8]);

/// What a piece is that is a record of its own; `None` for bytes of the wire.
fn alone<'a>(piece: &Piece<'a>) -> Result<Option<Alone<'a>>, String> {
    let (note, bytes) = (&piece.note, piece.bytes);
    if note.no_reply {
        return if bytes.is_empty() {
            Ok(Some((Verdict::NoReply, Origin::Wire, bytes)))
        } else {
            Err("says `no reply` and has bytes".to_owned())
        };
    }
    if let Some(gap) = note.gap {
        return if bytes.is_empty() {
            Ok(Some((Verdict::Gap(gap), Origin::Wire, bytes)))
        } else {
            Err("says `gap` and has bytes".to_owned())
        };
    }
    if bytes.is_empty() {
        return Err("has no bytes".to_owned());
    }
    match (note.bare, note.noise) {
        (Some(Bare::Kept), _) if Frame::from_bare(bytes).is_ok() => {
            Ok(Some((Verdict::Frame, Origin::Bare, bytes)))
        }
        (Some(Bare::Completed), _) if Frame::from_bytes(bytes).is_ok() => {
            Ok(Some((Verdict::Frame, Origin::Bare, &bytes[1..bytes.len() - 1])))
        }
        (Some(_), _) => Err("says `bare`, but its LEN or CRC does not fit".to_owned()),
        // A frame is one, whatever is said of it.
        (None, Some(reason)) if is_noise(bytes) => {
            Ok(Some((Verdict::Noise(reason), Origin::Wire, bytes)))
        }
        (None, _) => Ok(None),
    }
}

/// Whether a span of noise may have these bytes: no frame is in it, and it is no longer than one.
pub(super) fn is_noise(bytes: &[u8]) -> bool {
    (1..=MAX_FRAME).contains(&bytes.len())
        && !spans(bytes).any(|span| matches!(span, Span::Frame { .. }))
}

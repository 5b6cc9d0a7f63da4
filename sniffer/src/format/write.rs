//! Writing captures: what a writer is given, and what it says that its format could not hold.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use k485_proto::deframer::NoiseReason;
use k485_proto::dialect::{Dialect, K2};
use k485_proto::direction::Source;
use k485_proto::exchange::{Observed, Pairer, Seen};
use k485_proto::record::{Complaint, Direction, Origin, Record, Verdict};

use crate::capture::Reading;
use crate::format::note::{Bare, Note};

/// One thing of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A frame, with what the sequence says about it.
    Frame(Arc<Observed>),
    /// Noise.
    Noise(Record),
    /// A traced call that returned without a reply.
    NoReply(Record),
    /// A place where bytes are missing.
    Gap(Record),
}

impl Item {
    /// What was observed.
    #[must_use]
    pub fn record(&self) -> &Record {
        match self {
            Item::Frame(observed) => &observed.record,
            Item::Noise(record) | Item::NoReply(record) | Item::Gap(record) => record,
        }
    }

    /// What a capture keeps of what was seen; nothing of an exchange, whose frames it has already.
    /// A traced call without a reply is not seen but in its exchange.
    #[must_use]
    pub fn of(seen: &Seen) -> Option<Item> {
        match seen {
            Seen::Frame(observed) => Some(Item::Frame(Arc::clone(observed))),
            Seen::Noise(record) => Some(Item::Noise(record.clone())),
            Seen::Gap(record) => Some(Item::Gap(record.clone())),
            Seen::Exchange(_) | Seen::Lone(_) => None,
        }
    }

    /// The direction and how it is known.
    #[must_use]
    pub fn dir(&self) -> (Option<Direction>, Source) {
        match (self, self.record().dir) {
            (Item::Frame(observed), _) => (observed.dir, observed.dir_source),
            (_, Some(dir)) => (Some(dir), Source::Given),
            (_, None) => (None, Source::Unknown),
        }
    }

    /// The bytes as the wire has them: a bare frame's with head and CRC.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        match self {
            Item::Frame(observed) => observed.frame().raw(),
            Item::Noise(record) | Item::NoReply(record) | Item::Gap(record) => &record.bytes,
        }
    }

    /// What a text beside the bytes has to say; `bare` is how it gives a bare frame's bytes.
    pub(super) fn note(&self, bare: Bare) -> Note {
        let record = self.record();
        Note {
            noise: match record.verdict {
                Verdict::Noise(reason) => Some(reason),
                Verdict::Frame | Verdict::NoReply | Verdict::Gap(_) => None,
            },
            gap: match record.verdict {
                Verdict::Gap(gap) => Some(gap),
                _ => None,
            },
            bare: (record.origin == Origin::Bare).then_some(bare),
            inferred: self.dir().1 == Source::Inferred,
            time: None,
            call: record.call,
            no_reply: record.verdict == Verdict::NoReply,
        }
    }
}

/// The items of a reading, in its order, each as soon as its record is read; a frame that may go
/// either way when the next record is.
pub struct Items {
    reading: Reading,
    pairer: Pairer,
    ready: VecDeque<Item>,
    is_over: bool,
}

impl Items {
    /// The items of a reading, which is one capture from its beginning.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self::with_dialect(reading, &K2)
    }

    /// As [`Items::new`], read in this dialect: directions and names depend on it.
    #[must_use]
    pub fn with_dialect(reading: Reading, dialect: &'static Dialect) -> Self {
        Items {
            reading,
            pairer: Pairer::with_dialect(dialect),
            ready: VecDeque::new(),
            is_over: false,
        }
    }
}

impl Iterator for Items {
    type Item = Result<Item, Complaint>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(Ok(item));
            }
            let mut silent = None;
            match self.reading.next() {
                Some(Ok(record)) => {
                    silent = (record.verdict == Verdict::NoReply).then(|| record.clone());
                    self.pairer.push(record);
                }
                Some(Err(complaint)) => return Some(Err(complaint)),
                None if self.is_over => return None,
                None => {
                    self.is_over = true;
                    self.pairer.finish();
                }
            }
            while let Some(seen) = self.pairer.pull() {
                match seen {
                    Seen::Frame(observed) => self.ready.push_back(Item::Frame(observed)),
                    Seen::Noise(record) => self.ready.push_back(Item::Noise(record)),
                    Seen::Gap(record) => self.ready.push_back(Item::Gap(record)),
                    Seen::Exchange(_) | Seen::Lone(_) => {}
                }
            }
            self.ready.extend(silent.map(Item::NoReply));
        }
    }
}

/// Writes a capture in one format.
pub trait CaptureWriter {
    /// Writes what the format begins with, if the first item has not come yet: a capture without
    /// items can be read too.
    ///
    /// # Errors
    /// Those of the output.
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Writes one item, or counts among the losses what the format cannot hold of it.
    ///
    /// # Errors
    /// Those of the output.
    fn write(&mut self, item: &Item) -> io::Result<()>;

    /// Ends the capture and hands everything to the output. Nothing is written behind it.
    ///
    /// # Errors
    /// Those of the output.
    fn finish(&mut self) -> io::Result<()>;

    /// What was not kept so far.
    fn losses(&self) -> &Losses;
}

/// Something of an item that a format cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// The time.
    Time,
    /// The bus's name.
    Bus,
    /// A direction that the source told.
    Direction,
    /// That a direction is inferred: it is written like one that was told.
    Inferred,
    /// That a frame was given bare: it is written with head and CRC.
    Bare,
    /// Which traced call a frame belongs to.
    Call,
    /// A traced call without a reply, all of it.
    NoReply,
    /// A place where bytes are missing.
    Gap,
    /// A span without a direction, all of it.
    Undirected,
    /// Where a frame that was cut short ended: what follows may be read as its rest.
    Cut,
}

impl Loss {
    fn what(self) -> &'static str {
        match self {
            Loss::Time => "times",
            Loss::Bus => "bus names",
            Loss::Direction => "directions",
            Loss::Inferred => "marks that a direction is inferred",
            Loss::Bare => "marks that a frame was given bare (head and CRC were added)",
            Loss::Call => "links to the traced call",
            Loss::NoReply => "calls without a reply",
            Loss::Gap => "gaps (places where bytes are missing)",
            Loss::Undirected => "spans whose direction is not known",
            Loss::Cut => {
                "ends of frames that were cut short (what follows may be read as the rest)"
            }
        }
    }
}

/// Counts of what was not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses(BTreeMap<Loss, u64>);

impl Losses {
    /// How often this was lost.
    #[must_use]
    pub fn count(&self, loss: Loss) -> u64 {
        self.0.get(&loss).copied().unwrap_or(0)
    }

    /// Whether everything was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts what was lost elsewhere too.
    pub fn merge(&mut self, other: &Losses) {
        for (loss, count) in &other.0 {
            *self.0.entry(*loss).or_default() += count;
        }
    }

    /// Counts what of the item is not among the things that the format holds. A gap that is lost is
    /// lost as a whole.
    pub(super) fn add(&mut self, item: &Item, lost: &[Loss]) {
        let gap = [Loss::Gap];
        let is_lost_gap = matches!(item, Item::Gap(_)) && lost.contains(&Loss::Gap);
        for loss in if is_lost_gap { &gap } else { lost } {
            if Losses::concerns(*loss, item) {
                *self.0.entry(*loss).or_default() += 1;
            }
        }
    }

    /// Whether an item has what this loss takes away.
    fn concerns(loss: Loss, item: &Item) -> bool {
        let record = item.record();
        match loss {
            Loss::Time => record.time.is_some(),
            Loss::Bus => !record.bus.is_empty(),
            Loss::Direction => record.dir.is_some(),
            Loss::Inferred => item.dir().1 == Source::Inferred,
            Loss::Bare => record.origin == Origin::Bare,
            Loss::Call => record.call.is_some(),
            Loss::NoReply => record.verdict == Verdict::NoReply,
            Loss::Gap => matches!(record.verdict, Verdict::Gap(_)),
            Loss::Undirected => item.dir().0.is_none(),
            Loss::Cut => {
                matches!(record.verdict, Verdict::Noise(NoiseReason::Truncated { .. }))
            }
        }
    }
}

/// The counts in words, as `345 times, 12 directions`.
impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (loss, count) in &self.0 {
            write!(f, "{between}{count} {}", loss.what())?;
            between = ", ";
        }
        Ok(())
    }
}

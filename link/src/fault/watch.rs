//! What passes, as a filter looks at it.

use std::sync::Arc;

use k485_proto::deframer::Deframer;
use k485_proto::dialect::Dialect;
use k485_proto::exchange::{Exchange, Observed, Pairer, Seen};
use k485_proto::filter::Filter;
use k485_proto::frame::Frame;
use k485_proto::record::{Direction, Record, Time};

/// What a rule may strike.
#[derive(Debug)]
pub(super) enum Subject {
    /// A request, or a reply whose exchange is not known.
    Frame(Arc<Observed>),
    /// A reply, with its request where that was seen.
    Reply(Exchange),
    /// Bytes that are no frame.
    Noise(Record),
}

impl Subject {
    /// Whether a rule with this filter means it. Without a filter noise is not meant.
    pub(super) fn is_meant(&self, filter: Option<&Filter>) -> bool {
        match (self, filter) {
            (Subject::Noise(_), None) => false,
            (_, None) => true,
            (Subject::Frame(observed), Some(filter)) => filter.matches_frame(observed),
            (Subject::Reply(exchange), Some(filter)) => filter.matches_exchange(exchange),
            (Subject::Noise(record), Some(filter)) => filter.matches_noise(record),
        }
    }

    /// The frame, unless it is noise.
    pub(super) fn frame(&self) -> Option<Frame<'_>> {
        match self {
            Subject::Frame(observed) => Some(observed.frame()),
            Subject::Reply(exchange) => exchange.response.as_deref().map(Observed::frame),
            Subject::Noise(_) => None,
        }
    }

    /// The bytes as they came.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Subject::Frame(observed) => &observed.record.bytes,
            Subject::Reply(exchange) => {
                exchange.response.as_deref().map_or(&[], |observed| &observed.record.bytes)
            }
            Subject::Noise(record) => &record.bytes,
        }
    }
}

/// One direction's bytes, until they are frames or noise.
#[derive(Debug, Default)]
pub(super) struct Lane {
    deframer: Deframer,
    /// When the last of them came.
    pub(super) last: Option<Time>,
}

impl Lane {
    /// The spans that `bytes` complete.
    pub(super) fn take(&mut self, mut bytes: &[u8], at: Time) -> Vec<Record> {
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        let mut records = Vec::new();
        while let Some(span) = self.deframer.pull(&mut bytes) {
            records.push(Record::of_span(&span));
        }
        records
    }

    /// What waits for more bytes, since none come.
    pub(super) fn idle(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        while let Some(span) = self.deframer.idle() {
            records.push(Record::of_span(&span));
        }
        records
    }

    /// Whether bytes wait for more.
    pub(super) fn waits(&self) -> bool {
        self.deframer.pending() > 0
    }
}

/// Pairs what passes.
#[derive(Debug)]
pub(super) struct Watch {
    pairer: Pairer,
    bus: Arc<str>,
}

impl Watch {
    pub(super) fn new(dialect: &'static Dialect, bus: Arc<str>) -> Watch {
        Watch { pairer: Pairer::with_dialect(dialect), bus }
    }

    /// Looks at a span that passes.
    pub(super) fn look(&mut self, mut record: Record, direction: Direction, at: Time) -> Subject {
        record.time = Some(at);
        record.dir = Some(direction);
        record.bus = Arc::clone(&self.bus);
        let mut subject = Subject::Noise(record.clone());
        self.pairer.push(record);
        while let Some(seen) = self.pairer.pull() {
            match seen {
                Seen::Frame(observed) | Seen::Lone(observed) => subject = Subject::Frame(observed),
                // Others are requests that nobody answered, before this.
                Seen::Exchange(exchange) if is_of(&exchange, &subject) => {
                    subject = Subject::Reply(exchange);
                }
                Seen::Exchange(_) | Seen::Noise(_) | Seen::Gap(_) => {}
            }
        }
        subject
    }
}

/// Whether the exchange is the one of this reply.
fn is_of(exchange: &Exchange, subject: &Subject) -> bool {
    match (subject, &exchange.response) {
        (Subject::Frame(frame), Some(response)) => Arc::ptr_eq(frame, response),
        _ => false,
    }
}

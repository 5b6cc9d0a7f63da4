//! What each request was answered with.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use k485_proto::address::Address;
use k485_proto::dialect::{Dialect, K2};
use k485_proto::exchange::{Exchange, Outcome, Seen};
use k485_proto::frame::Frame;

use super::script::Shared;

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// With this frame, so many nanoseconds later as recorded.
    Reply {
        /// The frame.
        frame: Arc<[u8]>,
        /// The recorded latency; `None` where the capture has no times.
        latency_ns: Option<i64>,
    },
    /// Not at all, as recorded.
    Silence,
    /// Nobody knows: such a request is not in the capture.
    Unknown,
    /// Not from here: no device of this address answered in the capture, or none answers it.
    NotOurs,
}

/// A request as answers are looked up: address, function and data.
type Key = Arc<[u8]>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    reply: Option<Arc<[u8]>>,
    latency_ns: Option<i64>,
    /// How often the request was sent.
    sends: u32,
}

#[derive(Debug, Default)]
struct Sequence {
    entries: Vec<Entry>,
    /// The entry that the next request gets.
    next: usize,
}

/// The answers of a capture by (address, function, data), in their sequence.
///
/// The same request again gets the next recorded answer; after the last one it stays at the last,
/// or starts over. An answer that the recorded host got at its third transmission is given at the
/// third.
#[derive(Debug)]
pub struct Answers {
    sequences: HashMap<Key, Sequence>,
    /// What requests begin with: address, STATUS, function.
    spoken: BTreeSet<(Address, u8, u8)>,
    /// Addresses that requests are answered at.
    asked: BTreeSet<Address>,
    /// Addresses that answers come from.
    from: BTreeSet<Address>,
    repeat: bool,
    dialect: Option<&'static Dialect>,
    shared: Shared,
    exchanges: u64,
    /// The last request, while it is not answered: its entry, and how often it was heard.
    open: Option<(Key, usize, u32)>,
}

impl Answers {
    /// No answer yet. With `repeat` a sequence starts over after its last answer.
    #[must_use]
    pub fn new(repeat: bool) -> Answers {
        Answers {
            sequences: HashMap::new(),
            spoken: BTreeSet::new(),
            asked: BTreeSet::new(),
            from: BTreeSet::new(),
            repeat,
            dialect: None,
            shared: Shared::default(),
            exchanges: 0,
            open: None,
        }
    }

    /// Takes the next thing seen.
    pub fn push(&mut self, seen: &Seen) {
        if let Seen::Exchange(exchange) = seen {
            self.exchange(exchange);
        }
    }

    fn exchange(&mut self, exchange: &Exchange) {
        let Some(request) = &exchange.request else { return };
        let reply = match (exchange.outcome, &exchange.response) {
            (Outcome::Answered, Some(reply)) => Some(reply),
            (Outcome::Timeout, None) => None,
            _ => return,
        };
        self.dialect.get_or_insert(request.dialect);
        if let Some(reply) = reply {
            self.asked.insert(request.frame().addr());
            self.from.insert(reply.frame().addr());
        }
        self.exchanges += 1;
        let entry = Entry {
            reply: reply.map(|reply| self.shared.keep(reply.frame().raw())),
            latency_ns: exchange.latency_ns,
            sends: exchange.attempts.unwrap_or(1).max(1),
        };
        self.spoken.insert(head(&request.frame()));
        let key = self.shared.keep(&key(&request.frame()));
        self.sequences.entry(key).or_default().entries.push(entry);
    }

    /// The addresses that are played: those that answers come from.
    #[must_use]
    pub fn addresses(&self) -> &BTreeSet<Address> {
        &self.from
    }

    /// Whether requests to this address are answered.
    #[must_use]
    pub fn plays(&self, addr: Address) -> bool {
        self.asked.contains(&addr)
    }

    /// Whether a request of this address, STATUS and function is in the capture.
    #[must_use]
    pub fn knows(&self, request: &Frame<'_>) -> bool {
        self.spoken.contains(&head(request))
    }

    /// How many different requests are known, and how many exchanges they are made of.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        (self.sequences.len(), self.exchanges)
    }

    /// The dialect that the capture was read in.
    #[must_use]
    pub fn dialect(&self) -> &'static Dialect {
        self.dialect.unwrap_or(&K2)
    }

    /// What a request is answered with this time.
    pub fn answer(&mut self, request: &Frame<'_>) -> Answer {
        let open = self.open.take();
        if !self.asked.contains(&request.addr()) || k485_proto::host::expects_no_reply(request) {
            return Answer::NotOurs;
        }
        let key = key(request);
        let Some((key, _)) = self.sequences.get_key_value(&*key) else { return Answer::Unknown };
        let key = key.clone();
        let Some(sequence) = self.sequences.get_mut(&key) else { return Answer::Unknown };
        // The same request in a row, not answered, and sent as often when it was recorded.
        let (at, heard) = match open {
            Some((open, at, heard)) if open == key && heard < sequence.entries[at].sends => {
                (at, heard + 1)
            }
            _ => (sequence.advance(self.repeat), 1),
        };
        let entry = &sequence.entries[at];
        match &entry.reply {
            Some(frame) if heard >= entry.sends => {
                Answer::Reply { frame: frame.clone(), latency_ns: entry.latency_ns }
            }
            _ => {
                self.open = Some((key, at, heard));
                Answer::Silence
            }
        }
    }
}

impl Sequence {
    /// The entry of the next request.
    fn advance(&mut self, repeat: bool) -> usize {
        let at = self.next;
        let last = self.entries.len() - 1;
        self.next = match at == last {
            true if repeat => 0,
            true => last,
            false => at + 1,
        };
        at
    }
}

fn head(request: &Frame<'_>) -> (Address, u8, u8) {
    (request.addr(), request.status().0, request.func())
}

/// Address, function and data, one after the other.
fn key(request: &Frame<'_>) -> Vec<u8> {
    [&[request.addr().0, request.func()], request.data()].concat()
}

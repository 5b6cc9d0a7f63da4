//! The reverse engineer's view: what the payloads of each function look like, from the frames
//! alone. No declaration is looked at.
//!
//! A [`Discovery`] is fed with what the [`Pairer`](k485_proto::exchange::Pairer) gives and keeps,
//! for each function of each family of devices, the payloads of its requests and of its replies.
//! [`Discovery::report`] then says how each payload divides into fields of which
//! [`Kind`](k485_proto::message::Kind), how well that is supported, what moves together and what
//! changes after what; [`stub`] writes it as a dialect file to go on from.
//!
//! - [`run`]: payloads in time, in bounded memory;
//! - `cost`, `segment`: the layout that describes the payloads in the fewest bits;
//! - `forms`: several layouts in one function, and what chooses between them;
//! - `column`: what the bytes of a field do (masks, counters, check sums, …);
//! - `relate`: rank correlation, and what changes after what.
//!
//! Memory is bounded whatever is fed: [`FUNCTIONS`] functions, each with [`run::RUNS`] runs and
//! [`run::BYTES`] bytes of payload a side (about 1.5 MB with all that is kept about them), beyond
//! which a random part is kept and the report says so. The same input gives the same report.

mod column;
mod cost;
mod forms;
mod relate;
pub mod report;
pub mod run;
mod segment;
pub mod stub;

use std::collections::{BTreeMap, VecDeque};

use k485_proto::address::{Address, Class};
use k485_proto::exchange::{Exchange, Observed, Outcome, Seen};

use report::Report;
use run::{Command, Payload, Side, Stamp};

#[cfg(test)]
mod tests;

/// How many functions are kept; exchanges of further ones are only counted.
pub const FUNCTIONS: usize = 128;
/// How many commands to a device are remembered to say what went before a change.
const RECENT: usize = 64;

/// The devices that share a function: a class, or one address that belongs to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// A class of devices.
    Class(Class),
    /// An address of no class.
    Address(u8),
}

/// A function of a family of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Whose it is.
    pub family: Family,
    /// The FUNC byte.
    pub func: u8,
}

impl core::fmt::Display for Family {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Family::Class(class) => f.pad(class.name()),
            Family::Address(addr) => f.pad(&format!("0x{addr:02x}")),
        }
    }
}

/// What one function did.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) requests: Side,
    pub(crate) replies: Side,
    /// Requests that nobody answered in time.
    pub(crate) timeouts: u64,
    /// Replies by STATUS.
    pub(crate) statuses: BTreeMap<u8, u64>,
    /// Frames by device address.
    pub(crate) devices: BTreeMap<u8, u64>,
}

/// Collects payloads. Feed it a capture, then ask for the report.
#[derive(Debug, Default)]
pub struct Discovery {
    groups: BTreeMap<Key, Group>,
    recent: BTreeMap<u8, VecDeque<(u64, Command)>>,
    seq: u64,
    input: u32,
    device: Option<u8>,
    func: Option<u8>,
    left_out: u64,
}

impl Discovery {
    /// A discovery of every device and function.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A discovery of one device, one function, or both. The other functions of the device are
    /// still remembered for what went before a change.
    #[must_use]
    pub fn only(device: Option<Address>, func: Option<u8>) -> Self {
        Discovery { device: device.map(|addr| addr.0), func, ..Self::default() }
    }

    /// The next input begins: the devices of another capture are others, whatever their addresses,
    /// and nothing in it comes after anything before.
    pub fn begin(&mut self) {
        self.input += 1;
        self.recent.clear();
    }

    /// Takes the next thing seen. Exchanges count; frames come again as part of one, and what has
    /// no direction belongs to neither side.
    pub fn see(&mut self, seen: &Seen) {
        if let Seen::Exchange(exchange) = seen {
            self.exchange(exchange);
        }
    }

    /// Says what was found.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::of(&self.groups, self.seq, self.left_out)
    }

    fn exchange(&mut self, exchange: &Exchange) {
        let Some(subject) = exchange.subject() else { return };
        self.seq += 1;
        let (addr, func) = (subject.frame().addr(), subject.frame().func());
        if self.device.is_none_or(|device| device == addr.0)
            && self.func.is_none_or(|wanted| wanted == func)
        {
            self.keep(exchange, subject);
        }
        if let Some(request) = &exchange.request {
            let recent = self.recent.entry(addr.0).or_default();
            if recent.len() == RECENT {
                recent.pop_front();
            }
            recent.push_back((self.seq, Command::new(func, request.frame().data())));
        }
    }

    fn keep(&mut self, exchange: &Exchange, subject: &Observed) {
        let (addr, func) = (subject.frame().addr(), subject.frame().func());
        let family = match subject.dialect.class(addr) {
            Some(class) => Family::Class(class),
            None => Family::Address(addr.0),
        };
        let key = Key { family, func };
        if !self.groups.contains_key(&key) && self.groups.len() == FUNCTIONS {
            self.left_out += 1;
            return;
        }
        let group = self.groups.entry(key).or_default();
        *group.devices.entry(addr.0).or_default() += 1;
        group.timeouts += u64::from(exchange.outcome == Outcome::Timeout);
        let stamp = |observed: &Observed| Stamp { seq: self.seq, time: observed.record.time };
        let asked = exchange.request.as_deref();
        if let Some(request) = asked {
            let frame = request.frame();
            let payload = Payload {
                input: self.input,
                addr: frame.addr().0,
                status: frame.status().0,
                asked: None,
                data: frame.data(),
            };
            group.requests.push(payload, stamp(request), std::iter::empty());
        }
        if let Some(reply) = exchange.response.as_deref() {
            let frame = reply.frame();
            let asked = asked.map(Observed::frame);
            *group.statuses.entry(frame.status().0).or_default() += 1;
            let payload = Payload {
                input: self.input,
                addr: frame.addr().0,
                status: frame.status().0,
                asked: asked.as_ref().map(|request| request.data()),
                data: frame.data(),
            };
            let recent = self.recent.get(&addr.0).into_iter().flatten().rev();
            let others = recent.filter(|(_, command)| command.func != func);
            group.replies.push(payload, stamp(reply), others.copied());
        }
    }
}

//! What was seen, as a filter looks at it: at most two frames, each decoded once and only if asked.

use alloc::string::ToString;
use core::cell::OnceCell;

use super::field::{Builtin, Flag, Name};
use super::operand::{Test, has_part, holds, said};
use super::{Compare, Op};
use crate::dialect::Dialect;
use crate::direction::{self, Source};
use crate::exchange::{Exchange, Observed, Outcome};
use crate::frame::Frame;
use crate::message::value::escape_ascii;
use crate::message::{Function, Message, Value};
use crate::record::{Direction, Origin, Record, Verdict};
use crate::status::Status;

/// What a filter is matched against.
pub(super) struct View<'a> {
    what: What<'a>,
    request: Option<Seat<'a>>,
    response: Option<Seat<'a>>,
}

/// Which kind of thing was seen.
enum What<'a> {
    Exchange(&'a Exchange),
    /// In `request` or `response`, by its direction; one without is in `request`.
    Frame,
    Noise(&'a Record),
    Gap(&'a Record),
}

/// A frame, with what a filter may ask of it.
struct Seat<'a> {
    frame: Frame<'a>,
    dir: Option<Direction>,
    dir_source: Source,
    implausible: bool,
    record: Option<&'a Record>,
    asked: Option<Frame<'a>>,
    dialect: &'static Dialect,
    message: OnceCell<Message<'a>>,
}

impl<'a> Seat<'a> {
    fn new(observed: &'a Observed) -> Self {
        Seat {
            frame: observed.frame(),
            dir: observed.dir,
            dir_source: observed.dir_source,
            implausible: observed.implausible,
            record: Some(&observed.record),
            asked: observed.request.as_deref().map(Observed::frame),
            dialect: observed.dialect,
            message: OnceCell::new(),
        }
    }

    fn message(&self) -> &Message<'a> {
        self.message.get_or_init(|| self.dialect.decode(&self.frame, self.dir, self.asked.as_ref()))
    }

    /// The function that it calls or answers, as decoding it would find.
    fn function(&self) -> Option<&'static Function> {
        let asked = self.asked.as_ref().unwrap_or(&self.frame);
        self.dialect.find(asked.addr(), asked.func())
    }

    /// What a reply reports.
    fn status(&self) -> Option<Status> {
        let status = self.frame.status();
        let is_request = self.dir == Some(Direction::Request);
        (!is_request && status != Status::REQUEST).then_some(status)
    }

    /// The value of a payload's field, and the field's declaration.
    fn holds_payload(&self, path: &[alloc::string::String], compare: &Compare) -> bool {
        let Test::Payload(operand) = &compare.test else { return false };
        let Some((name, parts)) = path.split_first() else { return false };
        let Some(field) = self.message().fields.iter().find(|f| f.field.name == name) else {
            return false;
        };
        let mut value = &field.value;
        for part in parts {
            let Value::Group(group) = value else { return false };
            match group.iter().find(|(name, _)| name == part) {
                Some((_, inner)) => value = inner,
                None => return false,
            }
        }
        operand.holds(compare.op, value, field.field.kind, self.dialect)
    }

    fn holds(&self, builtin: Builtin, op: Op, test: &Test) -> bool {
        let number = |n: i64| matches!(test, Test::Number(other) if holds(op, other.order_of(n)));
        match builtin {
            Builtin::Addr => self.addr(op, test),
            Builtin::Class => {
                let class = self.dialect.class(self.frame.addr());
                class.is_some_and(|class| word(op, test, class.name()))
            }
            Builtin::Func => match test {
                Test::Code(code) => holds(op, Some(self.frame.func().cmp(code))),
                _ => self.function().is_some_and(|function| word(op, test, function.name)),
            },
            Builtin::Status => self.status().is_some_and(|status| match test {
                Test::Code(code) => holds(op, Some(status.0.cmp(code))),
                _ => word(op, test, &self.dialect.status_name(status)),
            }),
            Builtin::Dir => word(op, test, self.dir.map_or("unknown", Direction::name)),
            Builtin::DirSource => word(op, test, self.dir_source.name()),
            Builtin::Form => self.message().form.is_some_and(|form| word(op, test, form)),
            Builtin::Len => number(self.frame.len_byte().into()),
            Builtin::Data => bytes(op, test, self.frame.data()),
            Builtin::Raw => {
                let raw = self.record.map_or(self.frame.raw(), |record| &record.bytes);
                bytes(op, test, raw)
            }
            Builtin::Offset => self.record.is_some_and(|record| number(offset(record))),
            _ => false,
        }
    }

    fn addr(&self, op: Op, test: &Test) -> bool {
        let addr = self.frame.addr();
        match test {
            Test::Address(other) => holds(op, Some(addr.cmp(other))),
            Test::Class(class) => said(op, self.dialect.class(addr) == Some(*class)),
            _ => word(op, test, &self.dialect.device(addr)),
        }
    }

    fn flag(&self, flag: Flag) -> bool {
        match flag {
            Flag::Request => self.dir == Some(Direction::Request),
            Flag::Response => self.dir == Some(Direction::Response),
            Flag::Bare => self.record.is_some_and(|record| record.origin == Origin::Bare),
            Flag::Implausible => self.implausible,
            Flag::Misfit => self.message().misfit.is_some(),
            Flag::Unknown => self.function().is_none(),
            _ => false,
        }
    }
}

impl<'a> View<'a> {
    pub(super) fn exchange(exchange: &'a Exchange) -> Self {
        View {
            what: What::Exchange(exchange),
            request: exchange.request.as_deref().map(Seat::new),
            response: exchange.response.as_deref().map(Seat::new),
        }
    }

    pub(super) fn frame(observed: &'a Observed) -> Self {
        let seat = Some(Seat::new(observed));
        match observed.dir {
            Some(Direction::Response) => View { what: What::Frame, request: None, response: seat },
            _ => View { what: What::Frame, request: seat, response: None },
        }
    }

    pub(super) fn noise(record: &'a Record) -> Self {
        View { what: What::Noise(record), request: None, response: None }
    }

    pub(super) fn gap(record: &'a Record) -> Self {
        View { what: What::Gap(record), request: None, response: None }
    }

    pub(super) fn request(frame: &Frame<'a>, dialect: &'static Dialect) -> Self {
        let seat = Seat {
            frame: *frame,
            dir: Some(Direction::Request),
            dir_source: Source::Given,
            implausible: direction::is_implausible(frame, dialect),
            record: None,
            asked: None,
            dialect,
            message: OnceCell::new(),
        };
        View { what: What::Frame, request: Some(seat), response: None }
    }

    fn seats(&self) -> impl Iterator<Item = &Seat<'a>> {
        self.request.iter().chain(&self.response)
    }

    /// The record of the frame, noise or gap; an exchange has none of its own.
    fn record(&self) -> Option<&'a Record> {
        match &self.what {
            What::Exchange(_) => None,
            What::Noise(record) | What::Gap(record) => Some(record),
            What::Frame => self.seats().find_map(|seat| seat.record),
        }
    }

    pub(super) fn flag(&self, flag: Flag) -> bool {
        match (flag, &self.what) {
            (Flag::Noise, what) => matches!(what, What::Noise(_)),
            (Flag::Gap, what) => matches!(what, What::Gap(_)),
            (Flag::Frame, what) => matches!(what, What::Frame),
            (Flag::Exchange, what) => matches!(what, What::Exchange(_)),
            (Flag::Retry, What::Exchange(exchange)) => exchange.attempts.is_some_and(|n| n > 1),
            (Flag::Late, What::Exchange(exchange)) => {
                exchange.outcome == Outcome::Unsolicited && exchange.request.is_some()
            }
            _ => self.seats().any(|seat| seat.flag(flag)),
        }
    }

    pub(super) fn compare(&self, compare: &Compare) -> bool {
        let (op, test) = (compare.op, &compare.test);
        let builtin = match &compare.name {
            Name::Payload(path) => {
                return self.seats().any(|seat| seat.holds_payload(path, compare));
            }
            Name::Builtin(builtin) => *builtin,
        };
        match (builtin, &self.what) {
            (Builtin::Time, What::Exchange(exchange)) => {
                nanos(op, test, exchange.time.map(|time| time.0))
            }
            (Builtin::Time, _) => {
                nanos(op, test, self.record().and_then(|record| record.time).map(|time| time.0))
            }
            (Builtin::Bus, What::Exchange(exchange)) => bus(op, test, &exchange.bus),
            (Builtin::Bus, _) => self.record().is_some_and(|record| bus(op, test, &record.bus)),
            (Builtin::Outcome, What::Exchange(exchange)) => word(op, test, exchange.outcome.name()),
            (Builtin::Latency, What::Exchange(exchange)) => nanos(op, test, exchange.latency_ns),
            (Builtin::Attempts, What::Exchange(exchange)) => {
                number(op, test, exchange.attempts.map(i64::from))
            }
            (_, What::Noise(record)) => noise(record, builtin, op, test),
            (_, What::Gap(record)) => gap(record, builtin, op, test),
            _ => self.seats().any(|seat| seat.holds(builtin, op, test)),
        }
    }
}

fn noise(record: &Record, builtin: Builtin, op: Op, test: &Test) -> bool {
    match (builtin, record.verdict) {
        (Builtin::Reason, Verdict::Noise(reason)) => word(op, test, reason.name()),
        (Builtin::Size, _) => number(op, test, i64::try_from(record.bytes.len()).ok()),
        (Builtin::Offset, _) => number(op, test, Some(offset(record))),
        (Builtin::Raw, _) => bytes(op, test, &record.bytes),
        // The capture may tell the direction of noise too; it is no frame, so nothing infers it.
        (Builtin::Dir, _) => word(op, test, record.dir.map_or("unknown", Direction::name)),
        _ => false,
    }
}

/// A gap's size is that of what was lost in it, where that was counted.
fn gap(record: &Record, builtin: Builtin, op: Op, test: &Test) -> bool {
    match (builtin, record.verdict) {
        (Builtin::Reason, Verdict::Gap(gap)) => word(op, test, gap.reason.name()),
        (Builtin::Size, Verdict::Gap(gap)) => {
            number(op, test, gap.bytes.and_then(|bytes| i64::try_from(bytes).ok()))
        }
        (Builtin::Offset, _) => number(op, test, Some(offset(record))),
        _ => false,
    }
}

fn offset(record: &Record) -> i64 {
    i64::try_from(record.offset).unwrap_or(i64::MAX)
}

/// The word of a fixed set, or a name.
fn word(op: Op, test: &Test, own: &str) -> bool {
    match test {
        Test::Name(name) => said(op, own.eq_ignore_ascii_case(name)),
        Test::Part(part) => said(op, has_part(own, part)),
        _ => false,
    }
}

/// The bus, in the form in which a filter's texts are.
fn bus(op: Op, test: &Test, own: &str) -> bool {
    if own.is_empty() {
        return false;
    }
    let own = escape_ascii(own.as_bytes());
    match test {
        Test::Text(text) => said(op, own == *text),
        _ => word(op, test, &own.to_string()),
    }
}

fn bytes(op: Op, test: &Test, own: &[u8]) -> bool {
    match test {
        Test::Bytes(other) => match op.is_order() {
            true => false,
            false => said(op, own == other),
        },
        Test::Pattern(pattern) => said(op, pattern.is_in(own)),
        _ => false,
    }
}

fn nanos(op: Op, test: &Test, own: Option<i64>) -> bool {
    match (test, own) {
        (Test::Nanos(other), Some(own)) => holds(op, Some(own.cmp(other))),
        _ => false,
    }
}

fn number(op: Op, test: &Test, own: Option<i64>) -> bool {
    match (test, own) {
        (Test::Number(other), Some(own)) => holds(op, other.order_of(own)),
        _ => false,
    }
}

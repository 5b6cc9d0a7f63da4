//! Steady polling in one line: a host asks the same again and again, and only what is new is worth
//! a line of its own.
//!
//! A [`Fold`] says of everything seen whether to show it. An exchange is *steady* if it is the same
//! as the last one with this request: the same reply to the byte, or the same silence, after as
//! many transmissions; latency aside. Steady are told as counts, [`Polls`], when something else is
//! about to be shown, and now and then. So the first of its kind is shown, and so is every change.
//!
//! What [does](k485_proto::effect::Effect) something is an order, and shown each time it is given.
//! A poll (A1, A2, A3 on any address, 0A to boxes) and a mere reading fold whenever they are steady.
//! Of a function that nobody declared nobody knows which of these it is: it folds from its third
//! time on, and only if it comes in short distances.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k485_proto::effect::Effect;
use k485_proto::exchange::{Exchange, Observed, Outcome, Seen};
use k485_proto::line::{Role, Word};
use k485_proto::record::Time;
use k485_proto::status::Status;

use crate::stats::row::is_polled;

/// After how long counts are told, if nothing else is said, in nanoseconds.
pub const EVERY: i64 = 10 * Time::SECOND;
/// How many requests are followed; beyond it those that were made longest ago are forgotten.
pub const MAX_REQUESTS: usize = 4096;
/// How many kinds of polls are told apart; others are only counted.
pub const MAX_KINDS: usize = 1024;
/// How many groups a line of text has; JSON has them all.
const GROUPS: usize = 12;
/// How far counts of neighbours in a group may be apart.
const NEAR: u64 = 2;

/// How often the same exchange is shown before it is steady, where nobody knows what it does.
const SHOWN: u32 = 2;
/// Counts of less than this long are not worth a line before each line of something else, in
/// nanoseconds.
const SHORT: i64 = Time::SECOND;

/// Folds what is steady.
#[derive(Debug)]
pub struct Fold {
    every_ns: i64,
    /// By request: what came of it last.
    last: HashMap<Key, Last>,
    /// A number for each exchange, for finding the oldest.
    turn: u64,
    polls: Polls,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    bus: Arc<str>,
    addr: u8,
    func: u8,
    /// The request's data; `None` where no request was seen.
    asked: Option<Vec<u8>>,
}

/// What came of it.
#[derive(Debug)]
struct Last {
    outcome: Option<Outcome>,
    attempts: Option<u32>,
    /// ADDR to the end of DATA.
    reply: Option<Vec<u8>>,
    /// How often in a row.
    times: u32,
    at: Time,
    turn: u64,
}

/// What to do with something seen.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Folded {
    /// Counts to tell now, before it.
    pub polls: Option<Polls>,
    /// Whether to show it.
    pub show: bool,
}

/// Steady polls, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Polls {
    /// When the first of them was.
    pub since: Option<Time>,
    /// When the last of them was.
    pub until: Option<Time>,
    /// How many.
    pub count: u64,
    /// By bus, device, function and what came of it, in this order.
    pub kinds: BTreeMap<Kind, Counted>,
    /// How many of them were of a kind beyond [`MAX_KINDS`].
    pub others: u64,
}

/// A kind of steady polls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The bus's name.
    pub bus: Arc<str>,
    /// ADDR of the request, or of the reply where that is all.
    pub addr: u8,
    /// FUNC.
    pub func: u8,
    /// What came back each time.
    pub outcome: Came,
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    /// A reply with this STATUS.
    Reply(Status),
    /// A reply with this STATUS, to a request that was not seen.
    ReplyAlone(Status),
    /// Nothing.
    Silence,
    /// Nothing, as always with such requests.
    NoneExpected,
    /// A frame of unknown direction.
    Lone,
}

/// How often there was one of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The device's name.
    pub device: String,
    /// The function's name, if it has one.
    pub function: Option<&'static str>,
    /// The STATUS's name, if a reply came.
    pub status: Option<String>,
    /// How often.
    pub count: u64,
}

impl Default for Fold {
    fn default() -> Self {
        Fold::new(EVERY)
    }
}

impl Fold {
    /// Nothing seen. Counts are told after so many nanoseconds at the latest.
    #[must_use]
    pub fn new(every_ns: i64) -> Self {
        Fold { every_ns, last: HashMap::new(), turn: 0, polls: Polls::default() }
    }

    /// Takes the next thing seen. Frames are never folded and hide nothing: they are parts of
    /// exchanges, which come later.
    pub fn push(&mut self, seen: &Seen, now: Time) -> Folded {
        let steady = match seen {
            Seen::Frame(_) => return Folded { polls: self.tick(now), show: true },
            Seen::Noise(_) | Seen::Gap(_) => None,
            Seen::Exchange(exchange) => self.exchange(exchange, now),
            Seen::Lone(frame) => self.lone(frame, now),
        };
        match steady {
            Some((subject, came)) => {
                self.count(subject, came, now);
                Folded { polls: self.tick(now), show: false }
            }
            None => {
                let is_short = self.polls.since.is_some_and(|since| now.since(since) < SHORT);
                Folded { polls: if is_short { None } else { self.finish() }, show: true }
            }
        }
    }

    /// Tells the time: counts, if they have not been told for long.
    #[must_use]
    pub fn tick(&mut self, now: Time) -> Option<Polls> {
        let is_due = |since: Time| now.since(since) >= self.every_ns;
        if self.polls.since.is_some_and(is_due) { self.finish() } else { None }
    }

    /// What was counted and not told.
    #[must_use]
    pub fn finish(&mut self) -> Option<Polls> {
        let polls = std::mem::take(&mut self.polls);
        (polls.count > 0).then_some(polls)
    }

    /// The exchange's subject and what came back, if it is to be folded.
    fn exchange<'a>(&mut self, exchange: &'a Exchange, now: Time) -> Option<(&'a Observed, Came)> {
        let subject = exchange.subject()?;
        let status = exchange.response.as_ref().map(|response| response.frame().status());
        let came = match (exchange.outcome, status) {
            (Outcome::Answered, Some(status)) => Came::Reply(status),
            (Outcome::RequestNotSeen, Some(status)) => Came::ReplyAlone(status),
            (Outcome::Timeout, _) => Came::Silence,
            (Outcome::NoReplyExpected, _) => Came::NoneExpected,
            // A reply too many is news; the capture's end is there once.
            _ => return None,
        };
        let key = Key::of(&exchange.bus, subject, exchange.request.as_deref());
        let is_steady = self.follow(
            key,
            subject,
            exchange.request.as_deref(),
            Last {
                outcome: Some(exchange.outcome),
                attempts: exchange.attempts,
                reply: exchange.response.as_deref().map(bare),
                times: 1,
                at: now,
                turn: self.turn,
            },
        );
        is_steady.then_some((subject, came))
    }

    fn lone<'a>(&mut self, frame: &'a Observed, now: Time) -> Option<(&'a Observed, Came)> {
        let key = Key::of(&frame.record.bus, frame, None);
        let is_steady = self.follow(
            key,
            frame,
            None,
            Last {
                outcome: None,
                attempts: None,
                reply: Some(bare(frame)),
                times: 1,
                at: now,
                turn: self.turn,
            },
        );
        is_steady.then_some((frame, Came::Lone))
    }

    /// Notes what came of a request; whether it is steady.
    fn follow(
        &mut self,
        key: Key,
        subject: &Observed,
        request: Option<&Observed>,
        mut new: Last,
    ) -> bool {
        self.turn += 1;
        let Some(last) = self.last.get_mut(&key) else {
            if self.last.len() >= MAX_REQUESTS {
                self.forget();
            }
            self.last.insert(key, new);
            return false;
        };
        let same =
            (last.outcome, last.attempts) == (new.outcome, new.attempts) && last.reply == new.reply;
        let close = new.at.since(last.at) <= self.every_ns;
        if same && close {
            new.times = last.times.saturating_add(1);
        }
        let times = new.times;
        *last = new;
        same && match habit(subject, request) {
            Habit::Reading => true,
            Habit::Order => false,
            Habit::Unknown => times > SHOWN,
        }
    }

    /// Forgets the older half, so that this is seldom.
    fn forget(&mut self) {
        let mut turns: Vec<u64> = self.last.values().map(|last| last.turn).collect();
        let (_, &mut middle, _) = turns.select_nth_unstable(MAX_REQUESTS / 2);
        self.last.retain(|_, last| last.turn >= middle);
    }

    fn count(&mut self, subject: &Observed, outcome: Came, now: Time) {
        let polls = &mut self.polls;
        polls.since.get_or_insert(now);
        polls.until = Some(now);
        polls.count += 1;
        let frame = subject.frame();
        let kind = Kind {
            bus: subject.record.bus.clone(),
            addr: frame.addr().0,
            func: frame.func(),
            outcome,
        };
        if let Some(counted) = polls.kinds.get_mut(&kind) {
            counted.count += 1;
        } else if polls.kinds.len() < MAX_KINDS {
            let dialect = subject.dialect;
            let status = match outcome {
                Came::Reply(status) | Came::ReplyAlone(status) => {
                    Some(dialect.status_name(status).into_owned())
                }
                Came::Silence | Came::NoneExpected | Came::Lone => None,
            };
            let counted = Counted {
                device: dialect.device(frame.addr()).into_owned(),
                function: dialect.find(frame.addr(), frame.func()).map(|found| found.name),
                status,
                count: 1,
            };
            polls.kinds.insert(kind, counted);
        } else {
            polls.others += 1;
        }
    }
}

/// What repeating a request means.
enum Habit {
    /// Looking whether something changed.
    Reading,
    /// That it is to happen again.
    Order,
    /// Nobody declared the function.
    Unknown,
}

fn habit(subject: &Observed, request: Option<&Observed>) -> Habit {
    let (dialect, frame) = (subject.dialect, subject.frame());
    let is_reading = |effect: Effect| effect <= Effect::Clear;
    match (dialect.find(frame.addr(), frame.func()), request) {
        _ if is_polled(subject) => Habit::Reading,
        (None, _) => Habit::Unknown,
        (Some(_), Some(request)) if is_reading(dialect.effect(&request.frame())) => Habit::Reading,
        // Without the request it is a reading if it can be nothing else.
        (Some(function), None) if function.effects.iter().all(|rule| is_reading(rule.effect)) => {
            Habit::Reading
        }
        (Some(_), _) => Habit::Order,
    }
}

impl Key {
    fn of(bus: &Arc<str>, subject: &Observed, request: Option<&Observed>) -> Key {
        let frame = subject.frame();
        Key {
            bus: bus.clone(),
            addr: frame.addr().0,
            func: frame.func(),
            asked: request.map(|request| request.frame().data().to_vec()),
        }
    }
}

/// ADDR to the end of DATA.
fn bare(observed: &Observed) -> Vec<u8> {
    let frame = observed.frame();
    [&[frame.addr().0, frame.status().0, frame.func()][..], frame.data()].concat()
}

impl Came {
    /// As the JSON lines name it: an exchange's outcome, or `unknown_direction`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Came::Reply(_) => Outcome::Answered.name(),
            Came::ReplyAlone(_) => Outcome::RequestNotSeen.name(),
            Came::Silence => Outcome::Timeout.name(),
            Came::NoneExpected => Outcome::NoReplyExpected.name(),
            Came::Lone => "unknown_direction",
        }
    }
}

/// Neighbours of a kind that are told together.
struct Group<'a> {
    kind: &'a Kind,
    first: &'a Counted,
    last: (u8, &'a Counted),
    size: u64,
    count: u64,
    least: u64,
    most: u64,
}

impl Polls {
    /// The line for people: `· 38 polls in 10.2 s: box1 GET_BOX_STATE x4, box1-4 ONLINE_CHECK x9
    /// each`.
    #[must_use]
    pub fn words(&self) -> Vec<Word> {
        let word = |role, text| Word { role, text };
        let plural = if self.count == 1 { "" } else { "s" };
        let span = self.since.zip(self.until).map(|(since, until)| until.since(since));
        let span = span.filter(|_| self.count > 1).map_or_else(String::new, |span| {
            let tenths = span.max(0) / (Time::SECOND / 10);
            format!(" in {}.{} s", tenths / 10, tenths % 10)
        });
        let mut words = vec![word(Role::Minor, format!("· {} poll{plural}{span}:", self.count))];
        let groups = self.groups();
        let several = self.kinds.keys().any(|kind| kind.bus != groups[0].kind.bus);
        let (told, left) = groups.split_at(groups.len().min(GROUPS));
        let rest: u64 = left.iter().map(|group| group.count).sum();
        let rest = rest + self.others;
        for (at, group) in told.iter().enumerate() {
            let comma = if at + 1 < told.len() || rest > 0 { "," } else { "" };
            words.push(word(Role::Minor, format!("{}{comma}", group.text(several))));
        }
        if rest > 0 {
            words.push(word(Role::Minor, format!("others x{rest}")));
        }
        words
    }

    /// The kinds, those of neighbours with like counts together; at least one.
    fn groups(&self) -> Vec<Group<'_>> {
        let mut kinds: Vec<(&Kind, &Counted)> = self.kinds.iter().collect();
        kinds.sort_by_key(|(kind, _)| (&kind.bus, kind.func, kind.outcome, kind.addr));
        let mut groups: Vec<Group<'_>> = Vec::new();
        for (kind, counted) in kinds {
            let count = counted.count;
            match groups.last_mut().filter(|group| group.takes(kind, counted)) {
                Some(group) => {
                    group.last = (kind.addr, counted);
                    group.size += 1;
                    group.count += count;
                    group.least = group.least.min(count);
                    group.most = group.most.max(count);
                }
                None => groups.push(Group {
                    kind,
                    first: counted,
                    last: (kind.addr, counted),
                    size: 1,
                    count,
                    least: count,
                    most: count,
                }),
            }
        }
        groups.sort_by_key(|group| (&group.kind.bus, group.kind.addr, group.kind.func));
        groups
    }
}

impl Group<'_> {
    /// Whether this one is the next neighbour.
    fn takes(&self, kind: &Kind, counted: &Counted) -> bool {
        let own = self.kind;
        (&own.bus, own.func, own.outcome) == (&kind.bus, kind.func, kind.outcome)
            && self.first.function == counted.function
            && self.last.0.checked_add(1) == Some(kind.addr)
            && stem(&self.first.device).is_some_and(|own| Some(own) == stem(&counted.device))
            && self.most.max(counted.count) - self.least.min(counted.count) <= NEAR
    }

    fn text(&self, several: bool) -> String {
        let bus = if several { format!("{}: ", self.kind.bus) } else { String::new() };
        let device = match self.size {
            1 => self.first.device.clone(),
            _ => format!("{}-{}", self.first.device, number(&self.last.1.device)),
        };
        let function = match self.first.function {
            Some(name) => name.to_owned(),
            None => format!("function 0x{:02X}", self.kind.func),
        };
        let came = match self.kind.outcome {
            Came::Reply(Status::OK) | Came::NoneExpected => String::new(),
            Came::Reply(_) => format!(" {}", self.first.status.as_deref().unwrap_or_default()),
            Came::ReplyAlone(_) => " (request not seen)".to_owned(),
            Came::Silence => " no reply".to_owned(),
            Came::Lone => " (direction unknown)".to_owned(),
        };
        let count = match (self.size, self.least == self.most) {
            (1, _) => format!("x{}", self.most),
            (_, true) => format!("x{} each", self.most),
            (_, false) => format!("x{}-{} each", self.least, self.most),
        };
        format!("{bus}{device} {function}{came} {count}")
    }
}

/// A numbered device's name without its number; `None` for a bare address.
fn stem(device: &str) -> Option<&str> {
    let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.len() < device.len() && !device.starts_with("0x")).then_some(stem)
}

/// A numbered device's number.
fn number(device: &str) -> &str {
    stem(device).map_or(device, |stem| &device[stem.len()..])
}

#[cfg(test)]
mod tests;

//! Carrying rules out.

use std::collections::BTreeMap;
use std::sync::Arc;

use k485_proto::address::Address;
use k485_proto::dialect::Dialect;
use k485_proto::record::{Direction, Record, Time};

use super::message::{Message, later, noise};
use super::watch::{Lane, Watch};
use super::{Befalls, Effect, Kind, Rule};
use crate::rng::Rng;

/// How long the beginning of a frame is held back for its end; then it passes as it is, as noise.
pub const HOLD: i64 = 20 * Time::MILLISECOND;

/// Bytes that come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// When: the time at which they came, and what rules added.
    pub at: Time,
    /// Which way they go; an echo goes back.
    pub direction: Direction,
    /// Only whoever sent them hears them.
    pub echo: bool,
    /// The bytes, never empty.
    pub bytes: Vec<u8>,
}

/// How often a rule was at work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// What it could strike passed so often: direction and filter fitted.
    pub met: u64,
    /// It struck so often.
    pub struck: u64,
}

/// Rules at work on one bus.
///
/// Bytes go in by [`pass`](Faults::pass) in any chunks. What is not yet a frame is held back until
/// it is one, for [`HOLD`] at most; so rules strike whole frames. Rules are asked in their order,
/// each with what those before it have left; whether one is meant is decided by the frame as its
/// sender sent it. Without rules all bytes pass at once as they come.
///
/// Times must not go back by much; an earlier one is taken for the latest.
#[derive(Debug)]
pub struct Faults {
    rules: Vec<Armed>,
    /// Gives each rule its own chance.
    seeds: Rng,
    /// The number of the next rule.
    next: u64,
    dialect: &'static Dialect,
    watch: Watch,
    /// Of requests and of replies.
    lanes: [Lane; 2],
    now: Time,
    /// Who is silent, until when.
    silent: BTreeMap<Address, Silence>,
    talkers: Vec<Talker>,
    /// The last reply of each address, where some rule makes devices babble.
    replies: BTreeMap<Address, Vec<u8>>,
    effects: Vec<Effect>,
    /// Whether whoever passes the bytes has the devices, and silences them himself.
    has_devices: bool,
}

/// A rule with its state.
#[derive(Debug)]
struct Armed {
    id: u64,
    rule: Rule,
    rng: Rng,
    counts: Counts,
    /// When it struck first.
    since: Option<Time>,
}

/// A device that neither hears nor says anything.
#[derive(Debug)]
struct Silence {
    until: Time,
    /// The rule that struck it.
    rule: u64,
}

/// A device that talks without being asked.
#[derive(Debug)]
struct Talker {
    /// The rule that struck it.
    rule: u64,
    device: Address,
    rng: Rng,
    next: Time,
    until: Time,
    gap_ns: i64,
}

impl Armed {
    /// Whether it strikes what it has met; counts it.
    fn decides(&mut self, at: Time) -> bool {
        self.counts.met += 1;
        let rule = &self.rule;
        let Some(turn) = self.counts.met.checked_sub(rule.after_n + 1) else { return false };
        let over = match (rule.for_ns, self.since) {
            (Some(ns), Some(since)) => at >= later(since, ns),
            _ => false,
        };
        let spent = rule.times.is_some_and(|times| self.counts.struck >= times);
        let skipped = turn % rule.every_n.max(1) != 0;
        !over && !spent && !skipped && self.rng.chance(rule.probability)
    }

    fn struck(&mut self, at: Time) {
        self.counts.struck += 1;
        self.since.get_or_insert(at);
    }
}

impl Faults {
    /// Rules at work on a bus that nothing has passed yet.
    #[must_use]
    pub fn new(rules: Vec<Rule>, dialect: &'static Dialect, seed: u64) -> Faults {
        let mut faults = Faults {
            rules: Vec::new(),
            seeds: Rng::new(seed),
            next: 1,
            dialect,
            watch: Watch::new(dialect, Arc::from("")),
            lanes: Default::default(),
            now: Time(i64::MIN),
            silent: BTreeMap::new(),
            talkers: Vec::new(),
            replies: BTreeMap::new(),
            effects: Vec::new(),
            has_devices: false,
        };
        for rule in rules {
            faults.add(rule);
        }
        faults
    }

    /// Adds a rule behind the others; its number, by which it can be taken away.
    pub fn add(&mut self, rule: Rule) -> u64 {
        // A generator each, so that what one rule meets does not change what another one does.
        let rng = Rng::new(self.seeds.next_u64());
        let id = self.next;
        self.next += 1;
        self.rules.push(Armed { id, rule, rng, counts: Counts::default(), since: None });
        id
    }

    /// Takes a rule away, and ends what it brought over devices: silence (told as an [`Effect`], too)
    /// and babbling. Whether there was one with this number.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.rules.len();
        self.take_away(|rule| rule == id);
        self.rules.len() < before
    }

    /// Takes all rules away, and ends what they brought over devices.
    pub fn clear(&mut self) {
        self.take_away(|_| true);
    }

    fn take_away(&mut self, is_meant: impl Fn(u64) -> bool) {
        self.rules.retain(|armed| !is_meant(armed.id));
        self.talkers.retain(|talker| !is_meant(talker.rule));
        let (now, effects) = (self.now, &mut self.effects);
        self.silent.retain(|device, silence| {
            let meant = is_meant(silence.rule);
            if meant && silence.until > now {
                effects.push(Effect { at: now, device: *device, what: Befalls::Online });
            }
            !meant
        });
    }

    /// The rules in their order, each with its number and how often it was at work.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, &Rule, Counts)> {
        self.rules.iter().map(|armed| (armed.id, &armed.rule, armed.counts))
    }

    /// The same for somebody who has the devices and carries out all that befalls them: who is offline
    /// is then kept from the bus by him, and what is said to such a device passes, for others to hear.
    #[must_use]
    pub fn with_devices(mut self) -> Faults {
        self.has_devices = true;
        self
    }

    /// The same on a bus of that name, for filters that ask for it.
    #[must_use]
    pub fn on_bus(mut self, bus: &str) -> Faults {
        self.watch = Watch::new(self.dialect, Arc::from(bus));
        self
    }

    /// Takes bytes that came at `at`; what passes until then, in order of time. Times that lie ahead
    /// are those of bytes that are to be given later.
    pub fn pass(&mut self, bytes: &[u8], direction: Direction, at: Time) -> Vec<Passed> {
        let mut out = self.advance(at);
        if bytes.is_empty() {
            return out;
        }
        // What an earlier rule has held back goes first.
        if self.rules.is_empty() && !self.lanes[lane(direction)].waits() {
            out.push(Passed { at: self.now, direction, echo: false, bytes: bytes.to_vec() });
            return out;
        }
        let at = self.now;
        for record in self.lanes[lane(direction)].take(bytes, at) {
            self.span(record, direction, at, &mut out);
        }
        out.sort_by_key(|passed| passed.at);
        out
    }

    /// Goes on to `to`: babblers talk, and what is held back for too long passes.
    pub fn advance(&mut self, to: Time) -> Vec<Passed> {
        let mut out = Vec::new();
        while let Some(due) = self.next_event().filter(|due| *due <= to) {
            self.now = self.now.max(due);
            for direction in [Direction::Request, Direction::Response] {
                let held = &mut self.lanes[lane(direction)];
                if due_of(held).is_some_and(|time| time <= due) {
                    for record in held.idle() {
                        self.span(record, direction, due, &mut out);
                    }
                }
            }
            self.talk(due, &mut out);
        }
        self.now = self.now.max(to);
        out.sort_by_key(|passed| passed.at);
        out
    }

    /// When something comes of itself; `None` while only more bytes change something.
    #[must_use]
    pub fn next_event(&self) -> Option<Time> {
        let held = self.lanes.iter().filter_map(due_of);
        held.chain(self.talkers.iter().map(|talker| talker.next)).min()
    }

    /// Takes what befell devices since the last call, for whoever has them to carry out.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The rules in their order, and how often each was at work.
    pub fn counts(&self) -> impl Iterator<Item = (&Rule, Counts)> {
        self.rules.iter().map(|armed| (&armed.rule, armed.counts))
    }

    /// One frame, or noise.
    fn span(&mut self, record: Record, direction: Direction, at: Time, out: &mut Vec<Passed>) {
        let subject = self.watch.look(record, direction, at);
        let frame = subject.frame();
        let addr = frame.map(|frame| frame.addr());
        if !self.has_devices && addr.is_some_and(|addr| self.is_silent(addr, at)) {
            return;
        }
        let babbles = |armed: &Armed| matches!(armed.rule.kind, Kind::Babble { .. });
        if let (Some(addr), Direction::Response) = (addr, direction)
            && self.rules.iter().any(babbles)
        {
            self.replies.insert(addr, subject.bytes().to_vec());
        }
        let mut message = Message::new(subject.bytes(), frame.is_some(), direction, at);
        let mut silenced = false;
        for i in 0..self.rules.len() {
            let armed = &mut self.rules[i];
            let rule = &armed.rule;
            let way = rule.direction.is_none_or(|way| way == direction);
            if !way || !subject.is_meant(rule.when.as_ref()) || !armed.decides(at) {
                continue;
            }
            let (kind, id) = (armed.rule.kind.clone(), armed.id);
            let struck = match kind.device() {
                Some(named) => match named.or(addr) {
                    Some(device) => {
                        let rng = Rng::new(armed.rng.next_u64());
                        silenced |= self.befall(id, &kind, device, at, rng) && addr == Some(device);
                        true
                    }
                    // Noise is nobody's.
                    None => false,
                },
                None => message.strike(&kind, self.dialect, &mut armed.rng),
            };
            if struck {
                self.rules[i].struck(at);
            }
        }
        // Who went silent at this very frame did not hear it, or did not say it.
        if !silenced || (self.has_devices && direction == Direction::Request) {
            message.deliver(out);
        }
    }

    /// Something befalls a device; whether it is silent from now on.
    fn befall(&mut self, rule: u64, kind: &Kind, device: Address, at: Time, rng: Rng) -> bool {
        let what = match *kind {
            Kind::Offline { lasts_ns, .. } => {
                self.silent.insert(device, Silence { until: later(at, lasts_ns), rule });
                Befalls::Offline { ns: lasts_ns }
            }
            Kind::Babble { lasts_ns, gap_ns, .. } => {
                let gap_ns = gap_ns.max(Time::MILLISECOND);
                let (next, until) = (later(at, gap_ns), later(at, lasts_ns));
                self.talkers.retain(|talker| talker.device != device);
                if next <= until {
                    self.talkers.push(Talker { rule, device, rng, next, until, gap_ns });
                }
                return false;
            }
            Kind::Reset { .. } => Befalls::Reset,
            Kind::SlowBoot { lasts_ns, .. } => Befalls::SlowBoot { ns: lasts_ns },
            Kind::Busy { lasts_ns, .. } => Befalls::Busy { ns: lasts_ns },
            _ => return false,
        };
        self.effects.push(Effect { at, device, what });
        matches!(what, Befalls::Offline { ns } if ns > 0)
    }

    fn is_silent(&mut self, addr: Address, at: Time) -> bool {
        self.silent.retain(|_, silence| silence.until > at);
        self.silent.contains_key(&addr)
    }

    /// Those talk whose time it is.
    fn talk(&mut self, now: Time, out: &mut Vec<Passed>) {
        for talker in &mut self.talkers {
            if talker.next > now {
                continue;
            }
            let bytes = match self.replies.get(&talker.device) {
                Some(reply) => reply.clone(),
                None => {
                    let count = 1 + talker.rng.below(16);
                    noise(count, &mut talker.rng)
                }
            };
            // One who is silent says nothing here either.
            if self.silent.get(&talker.device).is_none_or(|silence| silence.until <= talker.next) {
                let direction = Direction::Response;
                out.push(Passed { at: talker.next, direction, echo: false, bytes });
            }
            talker.next = later(talker.next, talker.gap_ns);
        }
        self.talkers.retain(|talker| talker.next <= talker.until);
    }
}

impl Kind {
    /// Of what befalls a device: the one that is named, if one is.
    #[allow(clippy::option_option, reason = "none, the one that is struck, a certain one")]
    fn device(&self) -> Option<Option<Address>> {
        match *self {
            Kind::Babble { device, .. }
            | Kind::Offline { device, .. }
            | Kind::Reset { device }
            | Kind::SlowBoot { device, .. }
            | Kind::Busy { device, .. } => Some(device),
            _ => None,
        }
    }
}

fn lane(direction: Direction) -> usize {
    match direction {
        Direction::Request => 0,
        Direction::Response => 1,
    }
}

/// When what a lane holds back passes.
fn due_of(lane: &Lane) -> Option<Time> {
    lane.last.filter(|_| lane.waits()).map(|last| later(last, HOLD))
}

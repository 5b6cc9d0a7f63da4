//! The vendor's host, as a transcript shows it, on a wire: it sends what it sent, waits and tries
//! again as it does, goes on polling a feed until the toolhead sensor sees filament and pushing until
//! the buffer is not full any more, and finds fault with what comes late, not at all, or cannot be.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use k485_emulator::hand::Hand;
use k485_proto::dialect::K2;
use k485_proto::frame::Frame;
use k485_proto::host::ask::{Ask, Echo, Ended, Step};
use k485_proto::host::{Policy, policy};
use k485_proto::record::{Direction, Time};

use crate::script::Line;

const MS: i64 = Time::MILLISECOND;
/// Between two polls of a feed, from the sensor to the end of the feed, and around a further push, in
/// ns.
const POLL: i64 = 2_030 * MS;
const AT_ONCE: i64 = 40 * MS;
const PUSH: (i64, i64) = (1_000 * MS, 2_800 * MS);
/// A poll so soon behind others' bytes may be thrown away with them, in ns: the feed's loop reads
/// every 20 ms what has come.
const GLUED: i64 = 25 * MS;
/// How long an answer is waited for at least in real time, in ms.
const PATIENCE: u32 = 1_500;
/// So many polls end a feed that never reaches the sensor; so many pushes a buffer that stays full.
const POLLS: u32 = 15;
const PUSHES: u32 = 6;

/// What the host is connected to.
pub(crate) trait Wire {
    /// What time it is.
    fn now(&self) -> Time;

    /// Sends; gives when the last byte is out.
    fn say(&mut self, bytes: &[u8]) -> Time;

    /// Listens until this time, or less when something comes or the toolhead sensor changes.
    fn listen(&mut self, until: Time) -> Vec<(Time, Vec<u8>)>;

    /// What the toolhead sensor shows.
    fn toolhead(&self) -> bool;

    /// Does what the printer does. `false`: the other side plays the printer by itself.
    fn act(&mut self, hand: &Hand) -> bool;

    /// Whether time is the machine's, which may be busy with something else: what comes after its
    /// time-out is counted then, and is no fault.
    fn is_live(&self) -> bool {
        false
    }
}

/// What came of a transcript.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub requests: usize,
    pub answered: usize,
    /// Where silence is right: nobody is asked, nobody has no address, a box is feeding.
    pub silent: usize,
    /// Sent again.
    pub again: usize,
    /// Answered after the time-out, in real time.
    pub slow: usize,
    pub late: Vec<String>,
    pub missing: Vec<String>,
    pub impossible: Vec<String>,
}

impl Tally {
    pub(crate) fn faults(&self) -> impl Iterator<Item = &String> {
        self.late.iter().chain(&self.missing).chain(&self.impossible)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:5} requests {:5} answered {:4} silent {:3} again {:2} slow {:3} late {:3} missing {:3} impossible",
            self.requests,
            self.answered,
            self.silent,
            self.again,
            self.slow,
            self.late.len(),
            self.missing.len(),
            self.impossible.len()
        )
    }
}

/// A feed: whose, and how often it was polled.
#[derive(Debug, Clone, Copy)]
struct Feed {
    device: u8,
    polls: u32,
    /// Whether its end has been put first.
    ending: bool,
    /// What the odometer read last, in mm: it falls while filament goes out.
    odometer: f32,
}

pub(crate) struct Player<W> {
    wire: W,
    lines: VecDeque<Line>,
    /// What has reached the host.
    come: VecDeque<(Time, Vec<u8>)>,
    feed: Option<Feed>,
    loaded: bool,
    /// How often the buffer was full in this load beyond what the transcript shows.
    pushes: u32,
    /// Whether the transcript feeds at all: else the buffer shows what it likes.
    feeds: bool,
    /// Whether the other side plays extruder and cutter.
    auto: bool,
    /// How many boxes have no address.
    unassigned: usize,
    assigned: BTreeSet<u8>,
    /// What mode each box was set to, 00 print or 01 idle, as far as it is known.
    modes: BTreeMap<u8, u8>,
    /// Since when two boxes may introduce themselves at once.
    rivals: Option<Time>,
    /// The function that was asked last: A0 is answered three times.
    last: Option<u8>,
    /// When somebody else than the feeding box was last talked to.
    foreign: Time,
    pub(crate) tally: Tally,
}

impl<W: Wire> Player<W> {
    /// A host that will send these lines; `unassigned` boxes have no address yet.
    pub(crate) fn new(wire: W, lines: VecDeque<Line>, unassigned: usize) -> Player<W> {
        Player {
            foreign: wire.now(),
            wire,
            feeds: lines.iter().any(|line| line.stage().is_some()),
            lines,
            come: VecDeque::new(),
            feed: None,
            loaded: false,
            pushes: 0,
            auto: false,
            unassigned,
            assigned: BTreeSet::new(),
            modes: BTreeMap::new(),
            rivals: None,
            last: None,
            tally: Tally::default(),
        }
    }

    pub(crate) fn run(&mut self) {
        while let Some(line) = self.lines.front() {
            let until = Time(self.now().0 + line.gap);
            if !self.wait(until) {
                continue;
            }
            let Some(line) = self.lines.pop_front() else { return };
            if line.stage() == Some(6) && self.is_early(&line) {
                continue;
            }
            self.hands(&line);
            self.ask(&line);
        }
        self.pass(Time(self.now().0 + Time::SECOND));
        self.stray("after the end");
    }

    /// Waits; tells whether the time has come, and not the toolhead sensor's.
    fn wait(&mut self, until: Time) -> bool {
        loop {
            if self.feed.is_some_and(|feed| !feed.ending) && self.wire.toolhead() {
                return self.end_feed(until);
            }
            if self.now() >= until {
                return true;
            }
            self.come.extend(self.wire.listen(until));
        }
    }

    /// The sensor sees filament: polls that would follow are not sent, the end is, at once.
    fn end_feed(&mut self, until: Time) -> bool {
        if let Some(feed) = &mut self.feed {
            feed.ending = true;
        }
        let Some(end) = self.lines.iter().position(|line| line.stage() == Some(6)) else {
            // The transcript ends before.
            return false;
        };
        let now = self.now();
        // What was waited for comes when it would have, behind the end; unless it is a poll.
        if let Some(next) = self.lines.front_mut().filter(|next| next.stage().is_none()) {
            next.gap = (until.0 - now.0 - AT_ONCE).clamp(AT_ONCE, next.gap.max(AT_ONCE));
        }
        let Some(mut line) = self.lines.remove(end) else { return false };
        let mut index = 0;
        self.lines.retain(|line| {
            index += 1;
            index > end || line.stage() != Some(5)
        });
        line.gap = AT_ONCE;
        self.lines.push_front(line);
        false
    }

    /// The transcript's feed was shorter than this one: it is polled on.
    fn is_early(&mut self, line: &Line) -> bool {
        let Some(feed) = &mut self.feed else { return false };
        if self.wire.toolhead() {
            return false;
        }
        feed.polls += 1;
        if feed.polls > POLLS {
            let place = format!("line {}: the toolhead sensor never sees filament", line.number);
            self.tally.impossible.push(place);
            self.feed = None;
            return false;
        }
        let mut poll = line.clone();
        let frame = line.frame();
        poll.request = Frame::to_vec(frame.addr(), frame.status(), 0x10, &[frame.data()[0], 5, 0])
            .expect("short");
        poll.gap = POLL;
        self.lines.push_front(line.clone());
        self.lines.push_front(poll);
        true
    }

    /// What the printer does before this request, as far as the transcript shows its effect.
    fn hands(&mut self, line: &Line) {
        let frame = line.frame();
        let extrude = |mm| Hand::Extrude { mm, speed: None };
        let hands = match (frame.func(), frame.data()) {
            // The extruder takes as much as is pushed: the buffer stays full.
            (0x10, [_, 7, _]) => vec![extrude(3.0)],
            // It takes more: the buffer leaves its full switch.
            (0x05, []) if line.answered() == Some(0) => vec![extrude(10.0)],
            // Filament is cut before it goes back, unless the extruder never took it.
            (0x04, [0, 1]) if self.loaded && self.goes_back(frame.addr().0) => {
                self.loaded = false;
                vec![Hand::Cut, extrude(-10.0)]
            }
            (0x11, [0, 0]) => vec![extrude(-6.0)],
            (0x04, [slot, 0]) if *slot != 0 => {
                self.loaded = true;
                vec![]
            }
            _ => vec![],
        };
        for hand in hands {
            self.auto |= !self.wire.act(&hand);
        }
    }

    /// Whether a box's next motion is back.
    fn goes_back(&self, device: u8) -> bool {
        let moves = |line: &&Line| {
            let frame = line.frame();
            frame.addr().0 == device && matches!(frame.func(), 0x10 | 0x11)
        };
        self.lines.iter().find(moves).is_some_and(|line| line.frame().func() == 0x11)
    }

    fn now(&self) -> Time {
        self.wire.now()
    }

    fn ask(&mut self, line: &Line) {
        let request = line.frame();
        self.stray(&format!("before line {}", line.number));
        self.tally.requests += 1;
        if request.func() == 0xa1 {
            self.rivals = (self.unassigned > 1).then_some(self.now());
        }
        let deaf = self.is_deaf(&request);
        let glued = self.feed.is_some() && self.now().since(self.foreign) < GLUED;
        if self.feed.is_none_or(|feed| feed.device != request.addr().0) {
            self.foreign = self.now();
        }
        let policy = policy(&request, &K2);
        let patience = self.wire.is_live() && line.reply.is_some() && !deaf;
        let timeout_ms = if patience { policy.timeout_ms.max(PATIENCE) } else { policy.timeout_ms };
        let mut ask = Ask::new(&line.request, &K2, Policy { timeout_ms, ..policy }, Echo::Off);
        let ended = loop {
            // What is deaf is not asked again: the point is made.
            if deaf && ask.attempts() == 1 && self.now().since(self.foreign) > 100 * MS {
                break None;
            }
            match ask.poll(self.now()) {
                Step::Send => {
                    let end = self.wire.say(&line.request);
                    ask.sent(end);
                }
                Step::Wait(until) => {
                    self.come.extend(self.wire.listen(until));
                    while let Some((time, bytes)) = self.come.pop_front() {
                        ask.heard(&bytes, time);
                    }
                }
                Step::Done => break ask.ended().cloned(),
            }
        };
        self.tally.again += (ask.attempts().max(1) - 1) as usize;
        self.last = Some(request.func());
        if self.feed.is_none_or(|feed| feed.device != request.addr().0) {
            self.foreign = self.now();
        }
        let place = format!("line {}: {request:?}", line.number);
        match ended {
            Some(Ended::Answered(answer)) => {
                // A poll glued to others' bytes is thrown away with them.
                let limit = i64::from(policy.timeout_ms) * MS;
                self.tally.slow += usize::from(answer.latency_ns > limit);
                if answer.attempts > 1 && !glued {
                    self.tally.late.push(format!("{place}: attempt {}", answer.attempts));
                }
                let reply = Frame::from_bytes(&answer.reply).expect("a frame");
                self.tally.answered += 1;
                if request.func() == 0xa0 && self.assigned.insert(reply.addr().0) {
                    self.unassigned = self.unassigned.saturating_sub(1);
                }
                if self.auto && self.feeds && request.func() == 0x05 {
                    self.buffer(line, reply.data().first().copied());
                }
                if let Err(fault) = self.judge(line, &request, &reply) {
                    self.tally.impossible.push(format!("{place} -> {reply:?}: {fault}"));
                }
            }
            _ if line.reply.is_none() || deaf => self.tally.silent += 1,
            _ if self.excused(line, &request) => self.tally.silent += 1,
            _ => self.tally.missing.push(place),
        }
        self.follow(line);
    }

    /// Whether two boxes that introduced themselves at once are the reason for this silence. Then the
    /// host asks again in the next round.
    fn excused(&mut self, line: &Line, request: &Frame<'_>) -> bool {
        if self.rivals.is_none() {
            return false;
        }
        match request.func() {
            0xa0 => {
                let next = self.lines.iter().position(|line| line.frame().func() == 0xa1);
                let at = next.map_or(self.lines.len(), |next| next + 1);
                self.lines.insert(at, Line { gap: 0, ..line.clone() });
                true
            }
            0xa1 => true,
            _ => !self.assigned.contains(&request.addr().0),
        }
    }

    /// The buffer's state is not the transcript's: what the host does then.
    fn buffer(&mut self, line: &Line, state: Option<u8>) {
        let full = state == Some(1);
        let ready = self.lines.iter().position(|line| line.is_print());
        match (full, line.answered() == Some(1)) {
            // Ready earlier: the rounds that would follow are left out.
            (false, true) => {
                let Some(ready) = ready else { return };
                let mut index = 0;
                self.lines.retain(|line| {
                    index += 1;
                    index > ready || !(line.stage() == Some(7) || line.frame().func() == 0x05)
                });
            }
            (true, false) if self.pushes < PUSHES => {
                self.pushes += 1;
                let frame = line.frame();
                let slot = ready.map_or(1, |ready| self.lines[ready].frame().data()[0]);
                let push = Frame::to_vec(frame.addr(), frame.status(), 0x10, &[slot, 7, 3]);
                let push = Line { request: push.expect("short"), gap: PUSH.0, ..line.clone() };
                self.lines.push_front(Line { gap: PUSH.1, ..line.clone() });
                self.lines.push_front(push);
            }
            (true, false) => {
                let place = format!("line {}: the buffer is always full", line.number);
                self.tally.impossible.push(place);
            }
            _ => {}
        }
    }

    /// Whether the box that is asked is feeding, and hears nothing but EXTRUDE_PROCESS.
    fn is_deaf(&self, request: &Frame<'_>) -> bool {
        self.feed.is_some_and(|feed| feed.device == request.addr().0) && request.func() != 0x10
    }

    /// Whether a reply may be. What nobody answered in the transcript may be answered here only
    /// where somebody can.
    fn judge(&mut self, line: &Line, request: &Frame<'_>, reply: &Frame<'_>) -> Result<(), String> {
        let status = reply.status().0;
        let message = K2.decode(reply, Some(Direction::Response), Some(request));
        // Of a motor's parameters the host only prints what it is told of operations 4 to 6.
        let printed = matches!((request.func(), request.data()), (0x06, [4..=6]));
        if let Some(misfit) = message.misfit.filter(|_| !printed) {
            return Err(misfit.to_string());
        }
        if line.reply.is_none() && request.func() == 0xa3 {
            return Err("nobody has this address".to_owned());
        }
        let expected = line.reply.as_deref().and_then(|raw| Frame::from_bytes(raw).ok());
        let same = |what: &str, got: &[u8], want: &[u8]| {
            if got == want { Ok(()) } else { Err(format!("{what} {got:02x?}, not {want:02x?}")) }
        };
        match (request.func(), request.data()) {
            // Who it is.
            (0xa0 | 0xa2 | 0xa3, _) => {
                let want = expected.map_or(&[][..], |frame| frame.data());
                let (got, want) = (reply.data().get(2..), want.get(2..));
                same("identity", got.unwrap_or_default(), want.unwrap_or_default())?;
            }
            _ if !matches!(request.addr().0, 1..=4) => {}
            (0x08, _) => same("slots", reply.data(), &[line.answered().unwrap_or_default()])?,
            (0x05, []) if self.feeds && !self.auto => {
                same("buffer", reply.data(), &[line.answered().unwrap_or_default()])?
            }
            (0x0a, []) if status == 0x00 => {
                let told = [reply.data()[3]];
                match self.modes.get(&request.addr().0) {
                    Some(0) => same("state", &told, &[2])?,
                    // Preloading is idle too.
                    Some(_) if !matches!(told, [0 | 1]) => same("state", &told, &[0])?,
                    _ => {}
                }
            }
            (0x10, [_, 5, _]) if matches!(status, 0x00 | 0x0c) => {
                let bytes = reply.data().first_chunk::<4>().ok_or("no odometer")?;
                let reads = f32::from_be_bytes(*bytes);
                if let Some(feed) = &mut self.feed {
                    if !reads.is_finite() || reads > feed.odometer {
                        return Err(format!("odometer {reads} after {}", feed.odometer));
                    }
                    feed.odometer = reads;
                }
            }
            _ => {}
        }
        match (request.func(), request.data()) {
            _ if !matches!(request.addr().0, 1..=4) => {}
            // A feed may have met the extruder in the moment in which it reached the sensor.
            (0x10, [_, 5, _]) if self.wire.toolhead() && status == 0x0c => return Ok(()),
            (0x0a, _) if status == 0x30 => return Ok(()),
            // The host's form with two bytes is none of this firmware's.
            (0x13, [_, _]) if status == 0x01 => return Ok(()),
            _ => {}
        }
        let known = match (request.addr().0, request.func(), request.data()) {
            // What this firmware does not take.
            (1..=4, 0x06, _) | (1..=4, 0x07, []) => 0x01,
            _ => 0x00,
        };
        if status == known { Ok(()) } else { Err(format!("STATUS {status:02x}")) }
    }

    /// What the host knows from now on.
    fn follow(&mut self, line: &Line) {
        let (frame, device) = (line.frame(), line.frame().addr().0);
        match (frame.func(), frame.data()) {
            (0x04, [_, mode]) => drop(self.modes.insert(device, *mode)),
            // A motion ends in idle, or in an error that is found out.
            (0x10 | 0x11, _) => drop(self.modes.remove(&device)),
            _ => {}
        }
        match line.stage() {
            Some(4) => {
                let device = line.frame().addr().0;
                let odometer = f32::INFINITY;
                self.feed = Some(Feed { device, polls: 0, ending: false, odometer });
            }
            Some(0 | 3 | 6) => self.feed = None,
            _ => {}
        }
    }

    /// What comes though nobody waits for it.
    fn stray(&mut self, place: &str) {
        while let Some((time, bytes)) = self.come.pop_front() {
            let repeated = self.last == Some(0xa0);
            let rival = self.rivals.is_some_and(|since| time.since(since) < 1_100 * MS);
            if !repeated && !rival {
                self.tally.late.push(format!("{place}: {bytes:02x?}"));
            }
        }
    }

    /// Time goes on.
    fn pass(&mut self, to: Time) {
        while self.now() < to {
            self.come.extend(self.wire.listen(to));
        }
    }
}

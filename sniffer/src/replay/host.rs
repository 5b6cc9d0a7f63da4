//! Playing the host: what to send and when, and what came back.

use std::collections::VecDeque;
use std::sync::Arc;

use k485_proto::deframer::{Deframer, Span};
use k485_proto::direction;
use k485_proto::frame::{Frame, HEAD};
use k485_proto::host;
use k485_proto::host::Policy;
use k485_proto::host::ask::Echo;
use k485_proto::record::{Direction, Time};

use super::comparison::{Comparison, Extra, Summary};
use super::script::{Recorded, Script, Step, checked};
use super::told::{HostEvent, HostTodo, Options, Played};

/// What is waited beyond twice the recorded latency.
const SPARE: i64 = 500 * Time::MILLISECOND;
/// How long is waited for a reply that was recorded without times, where the vendor's host waits
/// without end (0A: an hour).
const ENDLESS: i64 = 2 * Time::SECOND;
/// From here on a time-out means that the host waits without end.
const HOUR: i64 = 3_600 * Time::SECOND;
/// How long is listened behind a reply, so that a second one right behind it is seen.
const SETTLE: i64 = 3 * Time::MILLISECOND;
/// From a time-out to the next transmission. The vendor's host sends again after 5 to 10 ms.
const AGAIN: i64 = 5 * Time::MILLISECOND;
/// After this silence a frame that has begun gets no more bytes.
const SILENCE: i64 = 150 * Time::MILLISECOND;
/// How many requests that were given up are remembered, for a late reply.
const GIVEN_UP: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next request is not due yet.
    Between { due: Time, allowed: bool },
    /// The request was given out and is on its way; transmissions before it.
    Sending { first: Option<Time>, sends: u32 },
    /// It was sent so often, last at `sent`.
    Waiting { first: Time, sent: Time, until: Time, sends: u32 },
    /// It is to be sent again.
    Again { first: Time, sent: Time, due: Time, sends: u32 },
    /// It is over; a second reply would come now.
    Settling { first: Time, until: Time, ended: Time },
    /// Everything is.
    Done,
}

/// Plays the requests of a script and compares the replies.
#[derive(Debug)]
pub struct Host {
    script: Script,
    options: Options,
    at: usize,
    state: State,
    deframer: Deframer,
    heard: Option<Time>,
    comparison: Comparison,
    /// The request that was sent last.
    last: Option<usize>,
    /// The request that was answered last.
    answered: Option<usize>,
    given_up: VecDeque<usize>,
    echo: Echo,
    /// Whether the last transmission may still come back.
    may_echo: bool,
    out: VecDeque<HostEvent>,
}

impl Host {
    /// A host that is about to send its first request.
    #[must_use]
    pub fn new(script: Script, options: Options, now: Time) -> Host {
        let comparison =
            Comparison::new(script.dialect(), options.ignore.clone(), options.latency_ns);
        Host {
            echo: options.echo,
            may_echo: false,
            script,
            options,
            at: 0,
            state: State::Between { due: now, allowed: false },
            deframer: Deframer::new(),
            heard: None,
            comparison,
            last: None,
            answered: None,
            given_up: VecDeque::new(),
            out: VecDeque::new(),
        }
    }

    /// What is played.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// What is to be done at this time.
    pub fn poll(&mut self, now: Time) -> HostTodo {
        loop {
            if let Some(until) = self.in_frame(now) {
                // What has begun may be the reply, or is another's: it is heard to its end.
                return HostTodo::Wait(until);
            }
            match self.state {
                State::Between { due, allowed } => {
                    if self.at >= self.script.steps().len() {
                        self.silence(now);
                        self.state = State::Done;
                    } else if self.options.step && !allowed {
                        return HostTodo::Ask(self.at);
                    } else if now < due {
                        return HostTodo::Wait(due);
                    } else {
                        self.silence(now);
                        self.last = Some(self.at);
                        self.state = State::Sending { first: None, sends: 0 };
                        return HostTodo::Send(self.request());
                    }
                }
                State::Sending { .. } => return HostTodo::Send(self.request()),
                State::Waiting { until, .. } if now < until => return HostTodo::Wait(until),
                State::Waiting { first, sent, sends, .. } => {
                    // What is left may be noise in front of the reply.
                    self.silence(now);
                    if !matches!(self.state, State::Waiting { .. }) {
                        continue;
                    }
                    if sends < self.most(self.at) {
                        self.state = State::Again { first, sent, due: now.plus(AGAIN), sends };
                    } else {
                        self.end(None, first, now, sends, None);
                    }
                }
                State::Again { due, .. } if now < due => return HostTodo::Wait(due),
                State::Again { first, sends, .. } => {
                    self.state = State::Sending { first: Some(first), sends };
                }
                State::Settling { until, .. } if now < until => return HostTodo::Wait(until),
                State::Settling { first, ended, .. } => self.next(first, ended),
                State::Done => return HostTodo::Done,
            }
        }
    }

    /// Tells when the request was on the wire.
    pub fn sent(&mut self, time: Time) {
        let State::Sending { first, sends } = self.state else { return };
        let first = first.unwrap_or(time);
        let sends = sends + 1;
        self.may_echo = self.echo != Echo::Off;
        let step = &self.script.steps()[self.at];
        if host::expects_no_reply(&step.frame()) {
            self.end(None, first, time, sends, None);
        } else {
            let until = time.plus(self.wait(step));
            self.state = State::Waiting { first, sent: time, until, sends };
        }
    }

    /// Allows the request that is [asked](HostTodo::Ask) about.
    pub fn go(&mut self) {
        if let State::Between { .. } = self.state {
            self.state = State::Between { due: Time(i64::MIN), allowed: true };
        }
    }

    /// Passes over the request that is [asked](HostTodo::Ask) about.
    pub fn skip(&mut self) {
        if let State::Between { due, .. } = self.state {
            self.comparison.skipped();
            self.advance(due);
        }
    }

    /// Takes what was heard.
    pub fn heard(&mut self, bytes: &[u8], time: Time) {
        if self.heard.is_some_and(|heard| time.since(heard) > SILENCE) {
            self.silence(time);
        }
        self.heard = Some(time);
        let mut deframer = std::mem::take(&mut self.deframer);
        let mut rest = bytes;
        while let Some(span) = deframer.pull(&mut rest) {
            self.span(&span, time);
        }
        self.deframer = deframer;
    }

    /// The next thing to tell.
    pub fn pull(&mut self) -> Option<HostEvent> {
        self.out.pop_front()
    }

    /// What it comes to so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.comparison.summary()
    }

    /// How long the reply to the request that is sent next is waited for, and how often it was sent
    /// already.
    #[must_use]
    pub fn waits(&self) -> (Policy, u32) {
        let sends = match self.state {
            State::Sending { sends, .. } => sends,
            _ => 0,
        };
        let step = &self.script.steps()[self.at];
        let ms = u32::try_from(self.wait(step) / Time::MILLISECOND).unwrap_or(u32::MAX);
        let most = u8::try_from(self.most(self.at)).unwrap_or(u8::MAX);
        (Policy { timeout_ms: ms, sends: most }, sends)
    }

    /// The request that is sent next, or is being played.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    fn request(&self) -> Arc<[u8]> {
        self.script.steps()[self.at].request.clone()
    }

    /// Until when a frame that has begun may still get bytes.
    fn in_frame(&self, now: Time) -> Option<Time> {
        let open = self.deframer.pending_bytes().first() == Some(&HEAD);
        let until = self.heard?.plus(SILENCE);
        (open && now < until).then_some(until)
    }

    /// How long the reply to a step is waited for, in nanoseconds.
    fn wait(&self, step: &Step) -> i64 {
        if let Some(timeout) = self.options.timeout_ns {
            return timeout;
        }
        let policy = host::policy(&step.frame(), self.script.dialect());
        let vendor = i64::from(policy.timeout_ms) * Time::MILLISECOND;
        match (&step.recorded, step.latency_ns) {
            (_, Some(latency)) => vendor.min(latency.saturating_mul(2).saturating_add(SPARE)),
            (Recorded::Reply(_), None) if vendor >= HOUR => ENDLESS,
            (Recorded::Reply(_), None) => vendor,
            _ => vendor.min(SPARE),
        }
    }

    /// How often a step is sent at most.
    fn most(&self, at: usize) -> u32 {
        let step = &self.script.steps()[at];
        match self.options.retries {
            true => host::policy(&step.frame(), self.script.dialect()).sends.into(),
            false => step.sends,
        }
    }

    /// What is heard no further: what the deframer keeps is noise, or hides frames.
    fn silence(&mut self, now: Time) {
        let mut deframer = std::mem::take(&mut self.deframer);
        while let Some(span) = deframer.idle() {
            self.span(&span, self.heard.unwrap_or(now));
        }
        self.deframer = deframer;
    }

    fn span(&mut self, span: &Span<'_>, time: Time) {
        match span {
            Span::Frame { frame, .. } => self.frame(frame, time),
            Span::Noise(noise) => {
                let counts = self.comparison.noise(noise.bytes.len());
                let bytes = noise.bytes.to_vec();
                self.out.push_back(HostEvent::Noise { time, bytes, reason: noise.reason, counts });
            }
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, time: Time) {
        if self.is_echo(frame) {
            return;
        }
        let is_request =
            direction::certain(frame, self.script.dialect()) == Some(Direction::Request);
        let answers =
            |at: usize| !is_request && host::answers(&self.script.steps()[at].frame(), frame);
        if let State::Waiting { first, sent, sends, .. } | State::Again { first, sent, sends, .. } =
            self.state
            && answers(self.at)
        {
            self.end(Some(frame), first, time, sends, Some(time.since(sent)));
            return;
        }
        let kind = if self.answered.is_some_and(answers) {
            Extra::Duplicate
        } else if let Some(at) = self.given_up.iter().rposition(|at| answers(*at)) {
            self.given_up.remove(at);
            Extra::Late
        } else {
            Extra::Foreign
        };
        let counts = self.comparison.extra(frame);
        self.out.push_back(HostEvent::Extra {
            time,
            kind,
            frame: frame.raw().to_vec(),
            after: self.last,
            counts,
        });
    }

    /// Whether this is what was just sent, heard again. A request that its reply may repeat byte
    /// for byte (motors, belt modules) shows no echo; there one is known only by the others.
    fn is_echo(&mut self, frame: &Frame<'_>) -> bool {
        let sent = self.last.map(|at| &*self.script.steps()[at].request);
        if !self.may_echo || sent != Some(frame.raw()) {
            return false;
        }
        self.may_echo = false;
        let sure = direction::certain(frame, self.script.dialect()) == Some(Direction::Request);
        if sure {
            self.echo = Echo::On;
        }
        sure || self.echo == Echo::On
    }

    /// Ends the request that is played.
    fn end(
        &mut self,
        reply: Option<&Frame<'_>>,
        first: Time,
        now: Time,
        sends: u32,
        latency_ns: Option<i64>,
    ) {
        let step = &self.script.steps()[self.at];
        let (verdict, changes) = self.comparison.step(step, reply, latency_ns);
        // A reply that comes from now on is another's: of two requests of the same device and
        // function only the later one can still be answered.
        let same = |at: &usize| {
            let (a, b) = (checked(&self.script.steps()[*at].request), step.frame());
            (a.addr(), a.func()) == (b.addr(), b.func())
        };
        self.given_up.retain(|at| !same(at));
        match reply {
            Some(_) => self.answered = Some(self.at),
            None => {
                self.answered = self.answered.filter(|at| !same(at));
                if self.given_up.len() == GIVEN_UP {
                    self.given_up.pop_front();
                }
                self.given_up.push_back(self.at);
            }
        }
        self.out.push_back(HostEvent::Played(Played {
            step: self.at,
            time: first,
            verdict,
            changes,
            reply: reply.map(|reply| reply.raw().to_vec()),
            latency_ns,
            sends,
        }));
        self.state = State::Settling { first, until: now.plus(SETTLE), ended: now };
    }

    /// Goes on behind a request that was sent at `first` and over at `ended`.
    fn next(&mut self, first: Time, ended: Time) {
        let steps = self.script.steps();
        let mut due = ended;
        if let Some(next) = steps.get(self.at + 1)
            && let (this, Some(at)) = (&steps[self.at], next.time)
        {
            let scale = |from: Time| self.options.speed.scale(at.since(from));
            // From request to request, and from the reply to the next request.
            due = due.max(this.time.map_or(due, |from| first.plus(scale(from))));
            due = due.max(this.ended.map_or(due, |from| ended.plus(scale(from))));
        }
        self.advance(due);
    }

    fn advance(&mut self, due: Time) {
        self.at += 1;
        if self.options.repeat && self.at >= self.script.steps().len() {
            self.at = 0;
        }
        self.state = State::Between { due, allowed: false };
    }
}

/// A time so many nanoseconds later.
trait Plus {
    fn plus(self, nanos: i64) -> Time;
}

impl Plus for Time {
    fn plus(self, nanos: i64) -> Time {
        Time(self.0.saturating_add(nanos))
    }
}

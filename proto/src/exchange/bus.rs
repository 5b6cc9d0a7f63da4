//! One bus: the request that is open on it, those that were given up, and what the sequence says of
//! a frame's direction.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use super::{Exchange, LatencySource, Observed, Outcome, Seen, alone};
use crate::dialect::Dialect;
use crate::direction::{self, Source};
use crate::frame::Frame;
use crate::host::{self, Policy};
use crate::record::{Direction, Time};

/// How many requests that timed out are kept for a reply that comes late.
const EXPIRED: usize = 8;

/// A request whose reply has not come.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) first: Arc<Observed>,
    /// How long its host waits, and how often it sends.
    pub(super) policy: Policy,
    /// When it was last sent.
    sent: Option<Time>,
    attempts: u32,
}

impl Pending {
    /// Whether more time has passed than the host would wait.
    pub(super) fn expired(&self, now: Option<Time>) -> bool {
        match (self.sent, now) {
            (Some(sent), Some(now)) => now.since(sent) > self.policy.wait_ns(),
            _ => false,
        }
    }
}

/// What is known of one bus.
#[derive(Debug)]
pub(super) struct Bus {
    dialect: &'static Dialect,
    pub(super) pending: Option<Pending>,
    expired: VecDeque<Pending>,
    /// Whether the sequence so far is without gaps: true once a frame was certain, false after
    /// noise or a gap, which may have been a request or a reply.
    pub(super) in_step: bool,
    /// When the last frame was seen.
    last: Option<Time>,
    /// The last frame, where it may be a request or a reply and the next one tells.
    pub(super) held: Option<Observed>,
}

impl Pending {
    /// The exchange without a reply.
    pub(super) fn end(self, outcome: Outcome) -> Exchange {
        Exchange {
            bus: self.first.record.bus.clone(),
            time: self.first.record.time,
            request: Some(self.first),
            response: None,
            outcome,
            latency_ns: None,
            latency_source: None,
            attempts: Some(self.attempts),
        }
    }

    /// The exchange with a reply.
    fn answered(self, response: Arc<Observed>, outcome: Outcome) -> Exchange {
        let latency_ns = self.sent.zip(response.record.time).map(|(sent, time)| time.since(sent));
        Exchange {
            latency_ns,
            latency_source: latency_ns.map(|_| LatencySource::Wire),
            response: Some(response),
            ..self.end(outcome)
        }
    }
}

impl Bus {
    pub(super) fn new(dialect: &'static Dialect) -> Self {
        Bus {
            dialect,
            pending: None,
            expired: VecDeque::new(),
            in_step: false,
            last: None,
            held: None,
        }
    }

    /// The direction of a frame: from itself where that leaves no doubt, else from what went
    /// before, else what is to be expected of such a frame.
    pub(super) fn infer(
        &self,
        frame: &Frame<'_>,
        time: Option<Time>,
    ) -> (Option<Direction>, Source) {
        let answers = self.pending.as_ref().is_some_and(|pending| {
            let request = pending.first.frame();
            // The same bytes again are a retry, but where the host has none and the time tells
            // that it still waits.
            let again =
                request == *frame && (pending.policy.sends > 1 || pending.sent.zip(time).is_none());
            host::answers(&request, frame) && !again && !pending.expired(time)
        });
        let likely = match direction::alone(frame, self.dialect) {
            // Right behind its request, a frame that is too short for a reply is a bad reply.
            (Some(Direction::Request), Source::Certain)
                if answers && self.in_step && direction::is_two_faced(frame, self.dialect) =>
            {
                None
            }
            (dir, Source::Certain) => return (dir, Source::Certain),
            (dir, _) => dir,
        };
        let dir = match &self.pending {
            Some(pending) if host::answers(&pending.first.frame(), frame) => {
                if pending.expired(time) {
                    let again = pending.first.frame() == *frame;
                    likely.filter(|_| !again).or(Some(Direction::Request))
                } else if self.in_step || pending.sent.zip(time).is_some() {
                    Some(Direction::Response)
                } else {
                    // Noise lies between and no time tells: it may have been the reply, and this
                    // the next request.
                    likely
                }
            }
            _ if likely.is_some() => likely,
            _ if self.in_step => Some(Direction::Request),
            _ => self.after_silence(frame, time).then_some(Direction::Request),
        };
        (dir, if dir.is_some() { Source::Inferred } else { Source::Unknown })
    }

    /// Whether a frame's direction is open until the next frame tells: it answers no request that is
    /// known, and may be one.
    pub(super) fn may_be_either(&self, observed: &Observed) -> bool {
        let frame = observed.frame();
        let open = match (observed.dir, observed.dir_source) {
            (_, Source::Given | Source::Certain) | (Some(Direction::Request), _) => false,
            (Some(Direction::Response), _) | (None, _) => true,
        };
        let mut asked = self.pending.iter().chain(&self.expired);
        open && direction::may_ask(&frame, self.dialect)
            && !asked.any(|pending| host::answers(&pending.first.frame(), &frame))
    }

    /// Decides on the held frame, given the next one; whether the next one answers it.
    pub(super) fn settle_before(
        &mut self,
        next: &Frame<'_>,
        dir: Option<Direction>,
        time: Option<Time>,
        out: &mut VecDeque<Seen>,
    ) -> bool {
        let Some(held) = &mut self.held else { return false };
        let asked = held.frame();
        let answers = match dir {
            Some(dir) => dir == Direction::Response && host::answers(&asked, next),
            None => direction::pairs(&asked, next, self.dialect),
        };
        let wait = host::policy(&asked, self.dialect).wait_ns();
        let late = held.record.time.zip(time).is_some_and(|(held, time)| time.since(held) > wait);
        let answers = answers && !late;
        if answers {
            (held.dir, held.dir_source) = (Some(Direction::Request), Source::Inferred);
        }
        self.settle(out);
        answers
    }

    /// Gives the held frame as what it seems to be alone.
    pub(super) fn settle(&mut self, out: &mut VecDeque<Seen>) {
        if let Some(held) = self.held.take() {
            self.place(held, out);
        }
    }

    /// Gives the held frame when its reply would have come by now.
    pub(super) fn settle_if_late(&mut self, now: Time, out: &mut VecDeque<Seen>) {
        let is_late = self.held.as_ref().is_some_and(|held| {
            let wait = host::policy(&held.frame(), self.dialect).wait_ns();
            held.record.time.is_some_and(|time| now.since(time) > wait)
        });
        if is_late {
            self.settle(out);
        }
    }

    /// Gives a frame whose direction is decided, and what it makes of the exchanges.
    pub(super) fn place(&mut self, mut observed: Observed, out: &mut VecDeque<Seen>) {
        let sure = matches!(observed.dir_source, Source::Given | Source::Certain);
        let time = observed.record.time;
        match observed.dir {
            Some(Direction::Request) => {
                let observed = Arc::new(observed);
                out.push_back(Seen::Frame(observed.clone()));
                self.request(observed, out);
            }
            Some(Direction::Response) => {
                observed.implausible |= self.is_misaddressed(&observed.frame());
                let asked = self.asked(&observed.frame());
                observed.request = asked.as_ref().map(|(pending, _)| pending.first.clone());
                let observed = Arc::new(observed);
                out.push_back(Seen::Frame(observed.clone()));
                out.push_back(Seen::Exchange(self.response(observed, asked)));
            }
            None => {
                let observed = Arc::new(observed);
                out.push_back(Seen::Frame(observed.clone()));
                out.push_back(Seen::Lone(observed));
            }
        }
        self.in_step |= sure;
        self.last = time.or(self.last);
    }

    /// Whether nothing was heard for longer than a device may take to answer this function.
    fn after_silence(&self, frame: &Frame<'_>, time: Option<Time>) -> bool {
        let wait = i64::from(host::policy(frame, self.dialect).timeout_ms) * Time::MILLISECOND;
        self.last.zip(time).is_some_and(|(last, time)| time.since(last) > wait * 5 / 4)
    }

    fn request(&mut self, observed: Arc<Observed>, out: &mut VecDeque<Seen>) {
        let frame = observed.frame();
        if let Some(pending) = &mut self.pending
            && pending.first.frame() == frame
            && pending.attempts < u32::from(pending.policy.sends)
        {
            pending.attempts += 1;
            pending.sent = observed.record.time;
            return;
        }
        self.give_up(out);
        // A reply that comes from now on is taken for the new request's, as the host does.
        self.expired.retain(|old| {
            let old = old.first.frame();
            (old.addr(), old.func()) != (frame.addr(), frame.func())
        });
        let pending = Pending {
            policy: host::policy(&frame, self.dialect),
            sent: observed.record.time,
            first: observed.clone(),
            attempts: 1,
        };
        if host::expects_no_reply(&frame) {
            out.push_back(Seen::Exchange(pending.end(Outcome::NoReplyExpected)));
        } else {
            self.pending = Some(pending);
        }
    }

    /// Takes out the request that a reply answers, open or given up.
    fn asked(&mut self, reply: &Frame<'_>) -> Option<(Pending, Outcome)> {
        let answered = |pending: &Pending| host::answers(&pending.first.frame(), reply);
        if let Some(pending) = self.pending.take_if(|pending| answered(pending)) {
            return Some((pending, Outcome::Answered));
        }
        let at = self.expired.iter().rposition(answered)?;
        self.expired.remove(at).map(|pending| (pending, Outcome::Unsolicited))
    }

    /// The exchange that a reply ends.
    fn response(&self, reply: Arc<Observed>, asked: Option<(Pending, Outcome)>) -> Exchange {
        match asked {
            Some((pending, outcome)) => pending.answered(reply, outcome),
            None if self.in_step => alone(reply, Outcome::Unsolicited),
            None => alone(reply, Outcome::RequestNotSeen),
        }
    }

    /// Ends the open request without a reply, and remembers it for a late one.
    pub(super) fn give_up(&mut self, out: &mut VecDeque<Seen>) {
        let Some(pending) = self.pending.take() else { return };
        out.push_back(Seen::Exchange(pending.clone().end(Outcome::Timeout)));
        if self.expired.len() == EXPIRED {
            self.expired.pop_front();
        }
        self.expired.push_back(pending);
    }

    /// Forgets what went before a gap that began then. A wait that was over by then is a time-out;
    /// of another, nobody knows how it ended.
    pub(super) fn gap(&mut self, began: Option<Time>, out: &mut VecDeque<Seen>) {
        if let Some(pending) = self.pending.take() {
            let is_over = pending.expired(began);
            let outcome = if is_over { Outcome::Timeout } else { Outcome::Unfinished };
            out.push_back(Seen::Exchange(pending.end(outcome)));
        }
        self.expired.clear();
        self.in_step = false;
        self.last = None;
    }

    /// Whether a reply comes from another address than the open request of its function went to,
    /// and nobody else was asked: its ADDR is probably damaged.
    fn is_misaddressed(&self, reply: &Frame<'_>) -> bool {
        let Some(pending) = &self.pending else { return false };
        let request = pending.first.frame();
        request.func() == reply.func()
            && !host::answers(&request, reply)
            && !self.expired.iter().any(|p| host::answers(&p.first.frame(), reply))
    }
}

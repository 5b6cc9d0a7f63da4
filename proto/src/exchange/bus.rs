//! One bus: the request that is open on it, those that were given up, and what the sequence says of
//! a frame's direction.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use super::{Exchange, LatencySource, Observed, Outcome, Seen, alone};
use crate::dialect::Dialect;
use crate::direction::{self, Source};
use crate::frame::Frame;
use crate::host;
use crate::record::{Direction, Time};

/// How many requests that timed out are kept for a reply that comes late.
const EXPIRED: usize = 8;

/// A request whose reply has not come.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) first: Arc<Observed>,
    /// When it was last sent.
    sent: Option<Time>,
    attempts: u32,
}

impl Pending {
    /// Whether more time has passed than the host would wait, with a quarter more for slow clocks.
    pub(super) fn expired(&self, now: Option<Time>) -> bool {
        match (self.sent, now) {
            (Some(sent), Some(now)) => {
                let wait =
                    i64::from(host::policy(&self.first.frame(), self.first.dialect).timeout_ms) * 5
                        / 4
                        + 20;
                now.since(sent) > wait * Time::MILLISECOND
            }
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
    pub(super) last: Option<Time>,
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
        Bus { dialect, pending: None, expired: VecDeque::new(), in_step: false, last: None }
    }

    /// The direction of a frame: from itself where that leaves no doubt, else from what went
    /// before.
    pub(super) fn infer(
        &self,
        frame: &Frame<'_>,
        time: Option<Time>,
    ) -> (Option<Direction>, Source) {
        let answers = self.pending.as_ref().is_some_and(|pending| {
            let request = pending.first.frame();
            // The same bytes again are a retry, but where the host has none and the time tells
            // that it still waits.
            let sends = host::policy(&request, self.dialect).sends;
            let again = request == *frame && (sends > 1 || pending.sent.zip(time).is_none());
            host::answers(&request, frame) && !again && !pending.expired(time)
        });
        match direction::certain(frame, self.dialect) {
            // Right behind its request, a frame that is too short for a reply is a bad reply.
            Some(Direction::Request)
                if answers && self.in_step && direction::is_two_faced(frame, self.dialect) => {}
            Some(dir) => return (Some(dir), Source::Certain),
            None => {}
        }
        let dir = match &self.pending {
            Some(pending) if host::answers(&pending.first.frame(), frame) => {
                if pending.expired(time) {
                    Some(Direction::Request)
                } else if self.in_step || pending.sent.zip(time).is_some() {
                    Some(Direction::Response)
                } else {
                    // Noise lies between and no time tells: it may have been the reply, and this
                    // the next request.
                    None
                }
            }
            _ if self.in_step => Some(Direction::Request),
            _ => self.after_silence(frame, time).then_some(Direction::Request),
        };
        (dir, if dir.is_some() { Source::Inferred } else { Source::Unknown })
    }

    /// Whether nothing was heard for longer than a device may take to answer this function.
    fn after_silence(&self, frame: &Frame<'_>, time: Option<Time>) -> bool {
        let wait = i64::from(host::policy(frame, self.dialect).timeout_ms) * Time::MILLISECOND;
        self.last.zip(time).is_some_and(|(last, time)| time.since(last) > wait * 5 / 4)
    }

    pub(super) fn request(&mut self, observed: Arc<Observed>, out: &mut VecDeque<Seen>) {
        let frame = observed.frame();
        let policy = host::policy(&frame, self.dialect);
        if let Some(pending) = &mut self.pending
            && pending.first.frame() == frame
            && pending.attempts < u32::from(policy.sends)
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
        let pending = Pending { sent: observed.record.time, first: observed.clone(), attempts: 1 };
        if host::expects_no_reply(&frame) {
            out.push_back(Seen::Exchange(pending.end(Outcome::NoReplyExpected)));
        } else {
            self.pending = Some(pending);
        }
    }

    /// Takes out the request that a reply answers, open or given up.
    pub(super) fn asked(&mut self, reply: &Frame<'_>) -> Option<(Pending, Outcome)> {
        let answered = |pending: &Pending| host::answers(&pending.first.frame(), reply);
        if let Some(pending) = self.pending.take_if(|pending| answered(pending)) {
            return Some((pending, Outcome::Answered));
        }
        let at = self.expired.iter().rposition(answered)?;
        self.expired.remove(at).map(|pending| (pending, Outcome::Unsolicited))
    }

    /// The exchange that a reply ends.
    pub(super) fn response(
        &self,
        reply: Arc<Observed>,
        asked: Option<(Pending, Outcome)>,
    ) -> Exchange {
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
    pub(super) fn is_misaddressed(&self, reply: &Frame<'_>) -> bool {
        let Some(pending) = &self.pending else { return false };
        let request = pending.first.frame();
        request.func() == reply.func()
            && !host::answers(&request, reply)
            && !self.expired.iter().any(|p| host::answers(&p.first.frame(), reply))
    }
}

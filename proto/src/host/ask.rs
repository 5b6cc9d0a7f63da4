//! One request from its first transmission to its reply, or to the end of all waiting, as the
//! vendor's host does it. Without I/O and without a clock.
//!
//! [`Ask::poll`] says what to do, [`Ask::sent`] and [`Ask::heard`] are told what happened:
//!
//! ```
//! use k485_proto::dialect::K2;
//! use k485_proto::host::ask::{Ask, Echo, Ended, Step};
//! use k485_proto::host::Policy;
//! use k485_proto::record::Time;
//!
//! let request = [0xf7, 0x01, 0x03, 0xff, 0x05, 0x71];
//! let policy = Policy { timeout_ms: 2_000, sends: 5 };
//! let mut ask = Ask::new(&request, &K2, policy, Echo::Auto);
//! assert_eq!(ask.poll(Time(0)), Step::Send);
//! ask.sent(Time(1_000_000));
//! assert_eq!(ask.poll(Time(1_000_000)), Step::Wait(Time(2_001_000_000)));
//! ask.heard(&[0xf7, 0x01, 0x04, 0x00, 0x05, 0x00, 0x19], Time(3_000_000));
//! assert_eq!(ask.poll(Time(3_000_000)), Step::Done);
//! let Some(Ended::Answered(answer)) = ask.ended() else { panic!() };
//! assert_eq!((answer.attempts, answer.latency_ns), (1, 2_000_000));
//! ```
//!
//! What it does (source: the vendor's live host): a reply is taken by address and function,
//! whatever its STATUS, and a late one for the current transmission's; bad frames, other addresses
//! and other functions are passed over, then the time-out comes; the same bytes are sent again 5 ms
//! after it, as often as the [`Policy`] says; of two replies the second is passed over; to a
//! broadcast nobody answers.
//!
//! Where it differs on purpose: the vendor's host takes any frame of that address and function for
//! the reply, its own echo included. Here a frame that can only be a request is none, so that
//! neither an echo nor a poll of the printer's own host is taken for one; and a stray F7 costs
//! 250 ms of silence, not the frames behind it.
//!
//! # Echo
//!
//! Some adapters hear what they send. For boxes and address management that makes no difference:
//! no request of theirs looks like a reply. Motors and belt modules answer some requests with the
//! very same bytes (motor 11), so there it matters:
//!
//! - [`Echo::On`]: the bytes that were sent, where they are the first that come back, are taken
//!   away, once for each transmission. A part of them is noise, out of which the reply is found.
//! - [`Echo::Off`]: nothing is taken away.
//! - [`Echo::Auto`]: where the request cannot be a reply too, its bytes are an echo. Else they are
//!   kept back until the time-out: a reply behind them shows that they were the echo, and without
//!   one they are the reply, marked as [`Answer::doubtful`]. [`Ask::echo`] tells what was found, so
//!   that the next request to the same bus can say `On` or `Off`.

use alloc::vec::Vec;

use super::{Policy, is_reply_to};
use crate::address::Address;
use crate::deframer::{Deframer, Span};
use crate::dialect::Dialect;
use crate::direction;
use crate::frame::{Frame, HEAD, MIN_FRAME};
use crate::record::{Direction, Time};

/// How long after a time-out the request is sent again; the vendor's host takes 5 to 10 ms.
const AGAIN: i64 = 5 * Time::MILLISECOND;
/// After so much silence an open frame gets no more bytes. The vendor's host takes a frame that
/// was split by 200 ms.
const SILENCE: i64 = 250 * Time::MILLISECOND;
/// How many frames that are not the reply are kept.
const BESIDES: usize = 64;

/// Whether what is sent is heard again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Echo {
    /// It is not.
    Off,
    /// It is.
    On,
    /// It is found out.
    #[default]
    Auto,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send the request, then tell [`Ask::sent`].
    Send,
    /// Listen until this time; tell [`Ask::heard`] what comes, then ask again.
    Wait(Time),
    /// Nothing: it has ended.
    Done,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The reply came.
    Answered(Answer),
    /// None came after so many transmissions.
    NoReply {
        /// How often it was sent.
        attempts: u32,
    },
    /// It was sent, and nobody answers such a request.
    NotExpected,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The frame, head to CRC.
    pub reply: Vec<u8>,
    /// How often the request was sent.
    pub attempts: u32,
    /// From the last transmission to the reply's last byte, in nanoseconds.
    pub latency_ns: i64,
    /// Whether it repeats the request byte for byte and may be its echo.
    pub doubtful: bool,
}

/// One request on its way.
#[derive(Debug)]
pub struct Ask {
    request: Vec<u8>,
    dialect: &'static Dialect,
    policy: Policy,
    echo: Echo,
    /// The request's address and function; without them every frame is its reply.
    key: Option<(Address, u8)>,
    /// Whether the request's own bytes can be nothing but its echo.
    echo_is_sure: bool,
    silent: bool,
    deframer: Deframer,
    attempts: u32,
    /// When it was sent last.
    sent: Time,
    /// When it is to be sent again, once the time-out has passed.
    again: Option<Time>,
    /// How many of the request's bytes have come back and are kept, while all that came are those.
    held: Option<usize>,
    /// When the request's own bytes had come back, which may be the reply.
    doubtful: Option<Time>,
    heard: Option<Time>,
    echoed: Option<bool>,
    ended: Option<Ended>,
    besides: Vec<Vec<u8>>,
    more: u64,
    /// What was kept back and turned out to be no echo.
    released: Vec<(Time, Vec<u8>)>,
}

impl Ask {
    /// A request that is not sent yet. Its bytes are a frame, or whatever somebody wants to send:
    /// what begins as a frame is answered by address and function, anything else by any frame.
    #[must_use]
    pub fn new(request: &[u8], dialect: &'static Dialect, policy: Policy, echo: Echo) -> Ask {
        let frame = Frame::from_bytes(request).ok();
        let key = match request {
            [HEAD, addr, _, _, func, ..] if request.len() >= MIN_FRAME => {
                Some((Address(*addr), *func))
            }
            _ => None,
        };
        let can_be_reply =
            |frame: &Frame<'_>| direction::certain(frame, dialect) != Some(Direction::Request);
        Ask {
            request: request.to_vec(),
            dialect,
            policy,
            echo,
            key,
            echo_is_sure: !frame.as_ref().is_some_and(can_be_reply),
            silent: key.is_some_and(|(addr, _)| addr.is_broadcast()),
            deframer: Deframer::new(),
            attempts: 0,
            sent: Time(0),
            again: None,
            held: None,
            doubtful: None,
            heard: None,
            echoed: None,
            ended: None,
            besides: Vec::new(),
            more: 0,
            released: Vec::new(),
        }
    }

    /// What is to be done at this time.
    pub fn poll(&mut self, now: Time) -> Step {
        if self.ended.is_some() {
            return Step::Done;
        }
        if self.attempts == 0 {
            return Step::Send;
        }
        if let Some(again) = self.again {
            if now < again {
                return Step::Wait(again);
            }
            // What is open would be cut off by sending.
            self.flush(now);
            return if self.ended.is_some() { Step::Done } else { Step::Send };
        }
        let deadline = later(self.sent, i64::from(self.policy.timeout_ms) * Time::MILLISECOND);
        if now >= deadline {
            self.flush(now);
            return self.timed_out(deadline, now);
        }
        let open = self.deframer.pending() > 0 || self.held.is_some_and(|held| held > 0);
        match self.heard.filter(|_| open).map(|heard| later(heard, SILENCE)) {
            Some(silence) if now >= silence => {
                self.flush(now);
                if self.ended.is_some() { Step::Done } else { Step::Wait(deadline) }
            }
            Some(silence) => Step::Wait(silence.min(deadline)),
            None => Step::Wait(deadline),
        }
    }

    /// Tells that the request's last byte went out at this time.
    pub fn sent(&mut self, now: Time) {
        if self.ended.is_some() {
            return;
        }
        self.flush(now);
        self.attempts += 1;
        if self.ended.is_some() {
            return;
        }
        self.sent = now;
        self.again = None;
        self.doubtful = None;
        self.held = (self.echo != Echo::Off).then_some(0);
        if self.silent {
            self.ended = Some(Ended::NotExpected);
        }
    }

    /// Tells what was heard, and when. Gives back what of it is sure not to be the request's echo,
    /// for whoever watches the bus; what [`Ask::take_released`] gives comes before it.
    pub fn heard<'b>(&mut self, bytes: &'b [u8], now: Time) -> &'b [u8] {
        if !bytes.is_empty() {
            self.heard = Some(now);
        }
        let mut rest = bytes;
        while let (Some(held), Some((byte, after))) = (self.held, rest.split_first()) {
            if self.request.get(held) != Some(byte) {
                self.release(now);
                break;
            }
            rest = after;
            self.held = Some(held + 1);
            if held + 1 == self.request.len() {
                self.held = None;
                self.own_bytes(now);
            }
        }
        self.deframe(rest, now);
        rest
    }

    /// What was kept back as an echo, and turned out to be none: bytes with the time at which they
    /// were heard. At most two pieces a transmission, no longer than the request.
    pub fn take_released(&mut self) -> Vec<(Time, Vec<u8>)> {
        core::mem::take(&mut self.released)
    }

    /// How it ended; `None` while it has not.
    #[must_use]
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// How often it was sent so far.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the link echoes, as far as this request has shown it.
    #[must_use]
    pub fn echo(&self) -> Option<bool> {
        self.echoed
    }

    /// The frames that were heard and are not the reply, the first 64 of them. An echo that was
    /// taken away is none of them.
    #[must_use]
    pub fn besides(&self) -> &[Vec<u8>] {
        &self.besides
    }

    /// How many more were heard than [`Ask::besides`] holds.
    #[must_use]
    pub fn more_besides(&self) -> u64 {
        self.more
    }

    fn timed_out(&mut self, deadline: Time, now: Time) -> Step {
        if let (None, Some(time)) = (&self.ended, self.doubtful) {
            let reply = self.request.clone();
            self.released.push((time, reply.clone()));
            self.answered(reply, time, true);
        }
        if self.ended.is_some() {
            return Step::Done;
        }
        if self.attempts >= u32::from(self.policy.sends.max(1)) {
            self.ended = Some(Ended::NoReply { attempts: self.attempts });
            return Step::Done;
        }
        let again = later(deadline, AGAIN);
        self.again = Some(again);
        if now >= again { Step::Send } else { Step::Wait(again) }
    }

    /// All of the request's bytes came back before anything else.
    fn own_bytes(&mut self, now: Time) {
        if self.echo == Echo::On || self.echo_is_sure {
            self.echoed = Some(true);
        } else {
            self.doubtful = Some(now);
        }
    }

    /// What was kept back was no echo, or only a part of one.
    fn release(&mut self, now: Time) {
        if let Some(held) = self.held.take().filter(|held| *held > 0) {
            let bytes = self.request[..held].to_vec();
            self.deframe(&bytes, now);
            self.released.push((now, bytes));
        }
    }

    /// Nothing more comes of what is open.
    fn flush(&mut self, now: Time) {
        self.release(now);
        let mut deframer = core::mem::take(&mut self.deframer);
        while let Some(span) = deframer.idle() {
            self.span(&span, now);
        }
    }

    fn deframe(&mut self, bytes: &[u8], now: Time) {
        let mut deframer = core::mem::take(&mut self.deframer);
        let mut rest = bytes;
        while let Some(span) = deframer.pull(&mut rest) {
            self.span(&span, now);
        }
        self.deframer = deframer;
    }

    fn span(&mut self, span: &Span<'_>, now: Time) {
        let Span::Frame { frame, .. } = span else { return };
        if self.ended.is_none() && self.attempts > 0 && self.is_reply(frame) {
            // Nothing came back before it, or what did was the echo.
            self.echoed = match (self.echo, self.doubtful) {
                (Echo::Auto, Some(_)) => Some(true),
                (Echo::Auto, None) => Some(self.echoed == Some(true)),
                _ => self.echoed,
            };
            self.answered(frame.raw().to_vec(), now, false);
        } else if self.besides.len() < BESIDES {
            self.besides.push(frame.raw().to_vec());
        } else {
            self.more += 1;
        }
    }

    fn is_reply(&self, frame: &Frame<'_>) -> bool {
        // Of devices whose replies look like requests, a bad reply may look like one alone.
        let is_request = direction::certain(frame, self.dialect) == Some(Direction::Request)
            && !direction::is_two_faced(frame, self.dialect);
        !is_request && self.key.is_none_or(|(addr, func)| is_reply_to(addr, func, frame))
    }

    fn answered(&mut self, reply: Vec<u8>, time: Time, doubtful: bool) {
        self.ended = Some(Ended::Answered(Answer {
            reply,
            attempts: self.attempts,
            latency_ns: time.since(self.sent).max(0),
            doubtful,
        }));
    }
}

fn later(time: Time, by: i64) -> Time {
    Time(time.0.saturating_add(by))
}

#[cfg(test)]
mod tests;

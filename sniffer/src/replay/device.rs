//! Playing the devices: which reply to send and when.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use k485_proto::address::Address;
use k485_proto::deframer::{Deframer, Span};
use k485_proto::direction::{self, Source};
use k485_proto::frame::{Frame, HEAD};
use k485_proto::host::ask::Echo;
use k485_proto::record::{Direction, Time};
use serde::Serialize;

use super::Speed;
use super::answers::{Answer, Answers};

/// After this silence a frame that has begun gets no more bytes. The box's own parser gives up after
/// 120 ms inside a frame.
const SILENCE: i64 = 150 * Time::MILLISECOND;
/// How long our own reply may take to come back as an echo.
const ECHO: i64 = 100 * Time::MILLISECOND;
/// How many different unknown requests are told.
const TOLD: usize = 4096;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceTodo {
    /// Send this, then tell by [`Device::sent`] when it was.
    Send(Arc<[u8]>),
    /// Listen until then.
    Wait(Time),
    /// Listen.
    Listen,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceEvent {
    /// A request to a played address that is not in the capture; told once a request.
    Unknown {
        /// When it was heard.
        time: Time,
        /// The frame.
        request: Vec<u8>,
    },
    /// Another device answers from a played address.
    Conflict {
        /// When it was heard.
        time: Time,
        /// The address.
        addr: Address,
    },
}

/// What was done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests to the played addresses.
    pub requests: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Those with a recorded silence.
    pub silent: u64,
    /// Those that are not in the capture.
    pub unknown: u64,
    /// Those whose reply was not due yet when the host went on.
    pub given_up: u64,
    /// Requests to other addresses.
    pub others: u64,
    /// Stretches of bytes that are no frame.
    pub noise_places: u64,
    /// Their bytes.
    pub noise_bytes: u64,
}

#[derive(Debug)]
struct Pending {
    request: Vec<u8>,
    reply: Arc<[u8]>,
    due: Time,
}

/// Answers requests as the devices of a capture did.
#[derive(Debug)]
pub struct Device {
    answers: Answers,
    speed: Speed,
    echo: Echo,
    deframer: Deframer,
    heard: Option<Time>,
    pending: Option<Pending>,
    /// What was sent last, and when.
    said: Option<(Arc<[u8]>, Time)>,
    unknown: HashSet<Vec<u8>>,
    counts: Counts,
    out: VecDeque<DeviceEvent>,
}

impl Device {
    /// Devices that wait for their first request. `echo` says whether the link hears what it sends;
    /// with [`Echo::Auto`] a repetition of the last reply within 100 ms is taken for its echo.
    #[must_use]
    pub fn new(answers: Answers, speed: Speed, echo: Echo) -> Device {
        Device {
            answers,
            speed,
            echo,
            deframer: Deframer::new(),
            heard: None,
            pending: None,
            said: None,
            unknown: HashSet::new(),
            counts: Counts::default(),
            out: VecDeque::new(),
        }
    }

    /// What is answered.
    #[must_use]
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// What is to be done at this time.
    pub fn poll(&mut self, now: Time) -> DeviceTodo {
        let open = self.deframer.pending_bytes().first() == Some(&HEAD);
        let until = self.heard.map(|heard| Time(heard.0.saturating_add(SILENCE)));
        match until.filter(|_| self.deframer.pending() > 0) {
            Some(until) if now >= until => self.silence(now),
            // Nothing is said over a frame that has begun.
            Some(until) if open => return DeviceTodo::Wait(until),
            _ => {}
        }
        match &self.pending {
            Some(pending) if now < pending.due => DeviceTodo::Wait(pending.due),
            Some(pending) => DeviceTodo::Send(pending.reply.clone()),
            None => match until.filter(|_| self.deframer.pending() > 0) {
                Some(until) => DeviceTodo::Wait(until),
                None => DeviceTodo::Listen,
            },
        }
    }

    /// Tells when the reply was on the wire.
    pub fn sent(&mut self, time: Time) {
        if let Some(pending) = self.pending.take() {
            self.counts.answered += 1;
            self.said = Some((pending.reply, time));
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
    pub fn pull(&mut self) -> Option<DeviceEvent> {
        self.out.pop_front()
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn silence(&mut self, now: Time) {
        let mut deframer = std::mem::take(&mut self.deframer);
        while let Some(span) = deframer.idle() {
            self.span(&span, now);
        }
        self.deframer = deframer;
    }

    fn span(&mut self, span: &Span<'_>, time: Time) {
        match span {
            Span::Frame { frame, .. } => self.frame(frame, time),
            Span::Noise(noise) => {
                self.counts.noise_places += 1;
                self.counts.noise_bytes += noise.bytes.len() as u64;
            }
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, time: Time) {
        if self.is_echo(frame, time) {
            return;
        }
        // What only seems to be a reply is a request where one like it was recorded.
        let is_reply = match direction::alone(frame, self.answers.dialect()) {
            (Some(Direction::Response), Source::Certain) => true,
            (Some(Direction::Response), _) => !self.answers.knows(frame),
            _ => false,
        };
        if is_reply {
            if self.answers.addresses().contains(&frame.addr()) {
                self.out.push_back(DeviceEvent::Conflict { time, addr: frame.addr() });
            }
            return;
        }
        if let Some(pending) = &self.pending {
            if pending.request == frame.raw() {
                // Sent again before the recorded latency is over: it is on its way.
                self.counts.requests += 1;
                return;
            }
            self.pending = None;
            self.counts.given_up += 1;
        }
        let answer = self.answers.answer(frame);
        if answer == Answer::NotOurs {
            self.counts.others += 1;
            return;
        }
        self.counts.requests += 1;
        match answer {
            Answer::Reply { frame: reply, latency_ns } => {
                let due = Time(time.0.saturating_add(self.speed.scale(latency_ns.unwrap_or(0))));
                self.pending = Some(Pending { request: frame.raw().to_vec(), reply, due });
            }
            Answer::Silence => self.counts.silent += 1,
            _ => {
                self.counts.unknown += 1;
                if self.unknown.len() < TOLD && self.unknown.insert(frame.raw().to_vec()) {
                    let request = frame.raw().to_vec();
                    self.out.push_back(DeviceEvent::Unknown { time, request });
                }
            }
        }
    }

    /// Whether this is what was just sent, heard again. Some motors answer with the very bytes of
    /// the request: without this their echo would be the next request, and so on without end.
    fn is_echo(&mut self, frame: &Frame<'_>, time: Time) -> bool {
        let again =
            |(said, at): &mut (Arc<[u8]>, Time)| **said == *frame.raw() && time.since(*at) < ECHO;
        self.echo != Echo::Off && self.said.take_if(again).is_some()
    }
}

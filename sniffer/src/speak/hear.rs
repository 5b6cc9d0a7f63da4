//! What is heard on a speaker's link, and what it sends itself, on the way to the observer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use k485_link::Event;
use k485_proto::deframer::spans;
use k485_proto::exchange::{Observed, Seen};
use k485_proto::host::Policy;
use k485_proto::host::ask::{Ask, Ended};
use k485_proto::record::{Direction, Record, Time, Verdict};

use super::{SpeakError, Speaker};
use crate::framer::{Chunk, Place};

/// How long a read waits at most: the longest that a wish to stop takes to be seen.
const WAIT: i64 = 50 * Time::MILLISECOND;
/// After this silence an open frame gets no more bytes.
const SILENCE: i64 = 150 * Time::MILLISECOND;
/// How many reads are thrown at what was heard before a transmission.
const DRAIN: usize = 64;

impl Speaker {
    /// Takes what has been heard already.
    pub(super) fn drain(&mut self, observe: &mut dyn FnMut(&Seen)) -> Result<(), SpeakError> {
        for _ in 0..DRAIN {
            if !self.hear(0, None, observe)? {
                break;
            }
        }
        Ok(())
    }

    /// Listens for so long, or until something is heard; gives whether it was.
    pub(super) fn hear(
        &mut self,
        wait: i64,
        ask: Option<&mut Ask>,
        observe: &mut dyn FnMut(&Seen),
    ) -> Result<bool, SpeakError> {
        if self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::SeqCst)) {
            return Err(SpeakError::Stopped);
        }
        let wait = Duration::from_nanos(wait.clamp(0, WAIT).unsigned_abs());
        let mut buf = std::mem::take(&mut self.buf);
        let event = self.link.read(&mut buf, wait);
        let heard = match event {
            Ok(Event::Bytes { n, time }) => {
                self.heard = Some(time);
                let mut rest = &buf[..n];
                if let Some(kept) = &mut self.kept {
                    kept.push((time, rest.to_vec()));
                }
                if let Some(ask) = ask {
                    rest = ask.heard(rest, time);
                    self.release(ask, observe);
                }
                self.observe(rest, time, observe);
                Ok(true)
            }
            Ok(Event::Idle) => {
                let now = self.clock.now();
                if self.heard.is_none_or(|heard| now.since(heard) >= SILENCE) {
                    self.idle(observe);
                }
                Ok(false)
            }
            Ok(Event::Closed) => Err(SpeakError::Closed { name: self.bus.to_string() }),
            Err(error) => Err(error.into()),
        };
        self.buf = buf;
        heard
    }

    /// Observes what an ask kept back and was no echo, and notes the reply that it has found.
    pub(super) fn release(&mut self, ask: &mut Ask, observe: &mut dyn FnMut(&Seen)) {
        if let (None, Some(Ended::Answered(answer))) = (&self.reply, ask.ended()) {
            self.reply = Some(answer.reply.clone());
        }
        for (time, bytes) in ask.take_released() {
            self.observe(&bytes, time, observe);
        }
    }

    pub(super) fn observe(&mut self, bytes: &[u8], time: Time, observe: &mut dyn FnMut(&Seen)) {
        let place = Place::Stream(self.offset);
        self.offset += bytes.len() as u64;
        let mut records = Vec::new();
        let chunk = Chunk { time: Some(time), dir: None, place, bytes };
        self.framer.push(chunk, |record| records.push(record));
        self.records(records, observe);
    }

    pub(super) fn idle(&mut self, observe: &mut dyn FnMut(&Seen)) {
        let mut records = Vec::new();
        self.framer.idle(|record| records.push(record));
        self.records(records, observe);
    }

    fn records(&mut self, records: Vec<Record>, observe: &mut dyn FnMut(&Seen)) {
        for mut record in records {
            // The one frame whose direction this side knows better than the sequence tells.
            let asked = self.pairer.open(&self.bus);
            if self.reply.as_ref() == Some(&record.bytes) && self.is_own(asked) {
                record.dir = Some(Direction::Response);
            }
            self.pairer.push(record);
            self.pull(observe);
        }
    }

    /// Observes what was sent: a request, for whose reply is waited, or something else.
    pub(super) fn inject(
        &mut self,
        bytes: &[u8],
        policy: Option<Policy>,
        time: Time,
        observe: &mut dyn FnMut(&Seen),
    ) {
        self.sending = true;
        for span in spans(bytes) {
            let record = Record {
                time: Some(time),
                bus: self.bus.clone(),
                dir: policy.map(|_| Direction::Request),
                offset: self.offset,
                ..Record::of_span(&span)
            };
            let is_frame = record.verdict == Verdict::Frame;
            self.pairer.push(record);
            self.pull(observe);
            if let (true, Some(policy)) = (is_frame, policy) {
                self.pairer.set_policy(&self.bus, policy);
            }
        }
        self.sending = false;
    }

    pub(super) fn is_own(&self, request: Option<&Arc<Observed>>) -> bool {
        match (request, &self.own) {
            (Some(request), Some(own)) => Arc::ptr_eq(request, own),
            _ => false,
        }
    }

    pub(super) fn pull(&mut self, observe: &mut dyn FnMut(&Seen)) {
        while let Some(seen) = self.pairer.pull() {
            if let Seen::Frame(frame) = &seen {
                if self.sending {
                    // A retry belongs to the exchange of the first transmission.
                    if !self.is_own(self.pairer.open(&self.bus)) {
                        self.own = Some(frame.clone());
                    }
                } else {
                    self.last = Some(frame.clone());
                    if !self.is_own(frame.request.as_ref()) {
                        self.watch.frame(frame);
                    }
                }
            }
            observe(&seen);
        }
    }
}

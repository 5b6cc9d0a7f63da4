//! A link under faults.

use std::time::Duration;

use k485_proto::record::{Direction, Time};

use super::engine::{Faults, Passed};
use crate::clock::Clock;
use crate::error::{LinkError, OpenError};
use crate::link::{Event, Hear, LineErrors, Link};

/// Bytes of one read.
const CHUNK: usize = 4096;
/// So many bytes that are heard and not asked for yet are kept; more wait in the link.
const KEPT: usize = 64 * 1024;

/// A link whose traffic is spoiled by rules.
///
/// What is to be sent later (delayed, or behind a pause) is sent during a later call of
/// [`read`](Hear::read) or [`send`](Link::send), as soon as its time has come; whoever uses the link
/// reads from it anyway. What befalls devices is in [`Faults::effects`].
#[derive(Debug)]
pub struct Faulty<L> {
    link: L,
    faults: Faults,
    clock: Clock,
    /// What is sent on this link.
    sends: Direction,
    /// What is to be sent later, in order of time.
    sending: Vec<Passed>,
    /// What is to be heard, in order of time.
    hearing: Vec<Passed>,
}

impl<L: Hear> Faulty<L> {
    /// Spoils the traffic of `link`. `sends` is what goes out on it: requests where a host has the
    /// link, replies where devices have it.
    pub fn new(link: L, faults: Faults, sends: Direction, clock: Clock) -> Faulty<L> {
        Faulty { link, faults, clock, sends, sending: Vec::new(), hearing: Vec::new() }
    }

    /// The faults, with what they counted.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The faults, to take what befell devices.
    pub fn faults_mut(&mut self) -> &mut Faults {
        &mut self.faults
    }

    fn heard(&self) -> Direction {
        match self.sends {
            Direction::Request => Direction::Response,
            Direction::Response => Direction::Request,
        }
    }

    /// Puts what came out where it goes.
    fn sort(&mut self, passed: Vec<Passed>) {
        for one in passed {
            let queue =
                if one.direction == self.sends { &mut self.sending } else { &mut self.hearing };
            // Behind those of the same time.
            let place = queue.partition_point(|other| other.at <= one.at);
            queue.insert(place, one);
        }
    }

    /// Takes from the front of what is to be heard, if its time has come.
    fn tell(&mut self, buf: &mut [u8], now: Time) -> Option<Event> {
        let first = self.hearing.first_mut().filter(|first| first.at <= now)?;
        let (n, time) = (first.bytes.len().min(buf.len()), first.at);
        buf[..n].copy_from_slice(&first.bytes[..n]);
        first.bytes.drain(..n);
        if first.bytes.is_empty() {
            self.hearing.remove(0);
        }
        Some(Event::Bytes { n, time })
    }

    /// When something is due of itself.
    fn due(&self) -> Option<Time> {
        let queues = [&self.sending, &self.hearing];
        let queued = queues.into_iter().filter_map(|queue| queue.first().map(|one| one.at));
        queued.chain(self.faults.next_event()).min()
    }
}

impl<L: Link> Faulty<L> {
    /// Sends what is due; when the last of it was sent.
    fn send_due(&mut self, now: Time) -> Result<Option<Time>, LinkError> {
        let due = self.sending.partition_point(|one| one.at <= now);
        let mut sent = None;
        for one in self.sending.drain(..due) {
            sent = Some(self.link.send(&one.bytes)?);
        }
        Ok(sent)
    }
}

impl<L: Link> Hear for Faulty<L> {
    fn name(&self) -> &str {
        self.link.name()
    }

    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        if buf.is_empty() {
            return Err(LinkError::EmptyBuffer { name: self.name().to_owned() });
        }
        let nanos = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
        let end = Time(self.clock.now().0.saturating_add(nanos));
        let mut looked = false;
        loop {
            let now = self.clock.now();
            let passed = self.faults.advance(now);
            self.sort(passed);
            self.send_due(now)?;
            if let Some(event) = self.tell(buf, now) {
                return Ok(event);
            }
            if looked && now >= end {
                return Ok(Event::Idle);
            }
            let until = self.due().map_or(end, |due| end.min(due));
            let wait = Duration::from_nanos(until.since(now).max(0).cast_unsigned());
            let kept: usize = self.hearing.iter().map(|one| one.bytes.len()).sum();
            if kept >= KEPT {
                std::thread::sleep(wait);
                looked = true;
                continue;
            }
            let mut chunk = [0; CHUNK];
            match self.link.read(&mut chunk, wait)? {
                Event::Bytes { n, time } => {
                    let passed = self.faults.pass(&chunk[..n], self.heard(), time);
                    self.sort(passed);
                }
                Event::Idle => looked = true,
                // What is on its way still comes, since the time of all of it is over.
                Event::Closed => {
                    let passed = self.faults.advance(self.due().unwrap_or(now));
                    self.sort(passed);
                    return Ok(self.tell(buf, Time(i64::MAX)).unwrap_or(Event::Closed));
                }
            }
        }
    }

    /// What was on its way is forgotten.
    fn reopen(&mut self) -> Result<(), OpenError> {
        self.sending.clear();
        self.hearing.clear();
        self.link.reopen()
    }

    fn baud(&self) -> Option<u32> {
        self.link.baud()
    }

    fn set_baud(&mut self, baud: u32) -> Result<(), OpenError> {
        self.link.set_baud(baud)
    }

    fn line_errors(&self) -> Option<LineErrors> {
        self.link.line_errors()
    }

    fn is_live(&self) -> bool {
        self.link.is_live()
    }
}

impl<L: Link> Link for Faulty<L> {
    /// What is lost or delayed counts as sent, at the time of the call.
    fn send(&mut self, bytes: &[u8]) -> Result<Time, LinkError> {
        let now = self.clock.now();
        let passed = self.faults.pass(bytes, self.sends, now);
        self.sort(passed);
        Ok(self.send_due(now)?.unwrap_or(now))
    }
}

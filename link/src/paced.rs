//! A link on which bytes take the time of a wire.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use k485_proto::record::Time;

use crate::clock::Clock;
use crate::error::{LinkError, OpenError};
use crate::link::{Event, Hear, LineErrors, Link};
use crate::wait::time_of;

/// So much of what is heard early is held back; more waits in the link.
const HELD: usize = 4096;

/// A link that is as slow as a wire of `baud`, for links that have no wire: memory, TCP,
/// pseudo-terminals.
///
/// Sending gives the link one byte at a time, each when its last bit would be over, and comes back
/// then. With [`hearing`](Paced::hearing) what is heard is held back in the same way: bytes that
/// come at once are told one after the other, each with the time at which it would be over. The
/// machine may be late; bytes are never early.
#[derive(Debug)]
pub struct Paced<L> {
    link: L,
    clock: Clock,
    baud: u32,
    hearing: bool,
    /// What was heard and is not told yet, with the times from which it may be.
    held: VecDeque<(u8, Time)>,
    /// When the last byte that was heard was over.
    over: Time,
}

impl<L: Hear> Paced<L> {
    /// Makes `link` as slow as `baud`. Its own speed is neither asked nor set.
    pub fn new(link: L, baud: u32, clock: Clock) -> Paced<L> {
        let (held, over) = (VecDeque::new(), Time(i64::MIN));
        Paced { link, clock, baud, hearing: false, held, over }
    }

    /// The same, with hearing as slow as sending.
    #[must_use]
    pub fn hearing(mut self) -> Paced<L> {
        self.hearing = true;
        self
    }

    /// From the beginning to the end of so many bytes, in nanoseconds.
    fn takes(&self, bytes: usize) -> i64 {
        i64::try_from(time_of(bytes, Some(self.baud)).as_nanos()).unwrap_or(i64::MAX)
    }

    fn wait_until(&self, due: Time, at_most: Duration) {
        let wait = Duration::from_nanos(due.since(self.clock.now()).max(0).cast_unsigned());
        thread::sleep(wait.min(at_most));
    }

    fn hold(&mut self, bytes: &[u8], time: Time) {
        let byte = self.takes(1);
        for &value in bytes {
            self.over = Time(self.over.max(time).0.saturating_add(byte));
            self.held.push_back((value, self.over));
        }
    }
}

impl<L: Hear> Hear for Paced<L> {
    fn name(&self) -> &str {
        self.link.name()
    }

    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        if !self.hearing {
            return self.link.read(buf, timeout);
        }
        if buf.is_empty() {
            return Err(LinkError::EmptyBuffer { name: self.name().to_owned() });
        }
        let mut left = timeout;
        if self.held.is_empty() {
            let began = self.clock.now();
            let mut fresh = [0; HELD];
            match self.link.read(&mut fresh, timeout)? {
                Event::Bytes { n, time } => self.hold(&fresh[..n], time),
                other => return Ok(other),
            }
            let spent = self.clock.now().since(began).max(0).cast_unsigned();
            left = timeout.saturating_sub(Duration::from_nanos(spent));
        }
        if let Some(&(_, due)) = self.held.front() {
            self.wait_until(due, left);
        }
        let now = self.clock.now();
        let due = self.held.iter().take_while(|(_, due)| *due <= now).count().min(buf.len());
        let mut time = now;
        for (to, (value, over)) in buf.iter_mut().zip(self.held.drain(..due)) {
            (*to, time) = (value, over);
        }
        Ok(if due == 0 { Event::Idle } else { Event::Bytes { n: due, time } })
    }

    /// What was held back is forgotten.
    fn reopen(&mut self) -> Result<(), OpenError> {
        self.held.clear();
        self.link.reopen()
    }

    fn can_return(&self) -> bool {
        self.link.can_return()
    }

    /// The speed that it is slowed to.
    fn baud(&self) -> Option<u32> {
        Some(self.baud)
    }

    /// Slows it to another speed; the link's own is set too, where it has one.
    fn set_baud(&mut self, baud: u32) -> Result<(), OpenError> {
        match self.link.set_baud(baud) {
            Ok(()) | Err(OpenError::NoSpeed { .. }) => {}
            Err(error) => return Err(error),
        }
        self.baud = baud;
        Ok(())
    }

    fn line_errors(&self) -> Option<LineErrors> {
        self.link.line_errors()
    }

    fn is_live(&self) -> bool {
        self.link.is_live()
    }
}

impl<L: Link> Link for Paced<L> {
    fn send(&mut self, bytes: &[u8]) -> Result<Time, LinkError> {
        let began = self.clock.now();
        let mut sent = began;
        let mut done = 0;
        while done < bytes.len() {
            let due = Time(began.0.saturating_add(self.takes(done + 1)));
            self.wait_until(due, Duration::MAX);
            // Whoever was woken late sends all that is due by now.
            let due = |count| began.0.saturating_add(self.takes(count)) <= self.clock.now().0;
            let mut next = done + 1;
            while next < bytes.len() && due(next + 1) {
                next += 1;
            }
            sent = self.link.send(&bytes[done..next])?;
            done = next;
        }
        Ok(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn sending_takes_the_time_of_the_wire() {
        let clock = Clock::new();
        let (a, mut b) = memory::pair(clock, None);
        let mut a = Paced::new(a, 10_000, clock);
        let began = clock.now();
        // 100 bytes of ten bits.
        let sent = a.send(&[7; 100]).unwrap();
        assert!(sent.since(began) >= 100 * Time::MILLISECOND, "{}", sent.since(began));
        let mut buf = [0; 200];
        assert!(matches!(b.read(&mut buf, LONG).unwrap(), Event::Bytes { n: 100, .. }));
        assert_eq!(a.baud(), Some(10_000));
    }

    #[test]
    fn hearing_takes_the_time_of_the_wire_and_each_byte_has_its_own() {
        let clock = Clock::new();
        let (mut a, b) = memory::pair(clock, None);
        let mut b = Paced::new(b, 10_000, clock).hearing();
        let began = clock.now();
        a.send(&[1, 2, 3, 4, 5]).unwrap();
        let mut heard = Vec::new();
        let mut times = Vec::new();
        let mut buf = [0; 1];
        while heard.len() < 5 {
            match b.read(&mut buf, LONG).unwrap() {
                Event::Bytes { n: 1, time } => {
                    assert!(clock.now() >= time);
                    heard.push(buf[0]);
                    times.push(time);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard, [1, 2, 3, 4, 5]);
        assert!(times[0].since(began) >= Time::MILLISECOND);
        assert!(times.windows(2).all(|t| t[1].since(t[0]) == Time::MILLISECOND), "{times:?}");
    }

    #[test]
    fn a_byte_that_is_not_over_is_idle() {
        let clock = Clock::new();
        let (mut a, b) = memory::pair(clock, None);
        let mut b = Paced::new(b, 10, clock).hearing();
        a.send(&[1]).unwrap();
        let mut buf = [0; 4];
        assert_eq!(b.read(&mut buf, Duration::from_millis(2)).unwrap(), Event::Idle);
        assert_eq!(b.read(&mut buf, Duration::ZERO).unwrap(), Event::Idle);
        drop(a);
        // What is held back is not lost with the other end.
        assert_eq!(b.read(&mut buf, Duration::from_millis(2)).unwrap(), Event::Idle);
        assert!(matches!(b.read(&mut buf, LONG).unwrap(), Event::Bytes { n: 1, .. }));
        assert_eq!(b.read(&mut buf, LONG).unwrap(), Event::Closed);
    }

    #[test]
    fn the_speed_can_be_set() {
        let clock = Clock::new();
        let (a, _b) = memory::pair(clock, None);
        let mut a = Paced::new(a, 9_600, clock);
        a.set_baud(115_200).unwrap();
        assert_eq!(a.baud(), Some(115_200));
    }
}

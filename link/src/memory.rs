//! A wire inside the process: two ends, each hears what the other sends.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k485_proto::record::Time;

use crate::clock::Clock;
use crate::error::{LinkError, OpenError};
use crate::link::{Event, Hear, Link};
use crate::wait::patience;

/// How many bytes each direction holds that are sent and not heard yet.
pub const CAPACITY: usize = 64 * 1024;

/// The two ends of a wire. `baud` is what both tell as their speed until it is set; bytes pass at
/// once, whatever it is ([`Paced`](crate::Paced) makes them take their time).
///
/// The ends may be on different threads. A sender waits while the other end has [`CAPACITY`] bytes
/// to hear, a second and the time of 4 KiB on the wire at most, then it is told that nobody takes
/// them. When an end is dropped, the other hears what was sent, then [`Event::Closed`].
#[must_use]
pub fn pair(clock: Clock, baud: Option<u32>) -> (End, End) {
    let (a, b) = (Arc::new(Half::default()), Arc::new(Half::default()));
    let end = |hears: &Arc<Half>, fills: &Arc<Half>, name: &str| End {
        name: name.to_owned(),
        hears: Arc::clone(hears),
        fills: Arc::clone(fills),
        clock,
        baud,
    };
    (end(&a, &b, "memory a"), end(&b, &a, "memory b"))
}

/// One end of a wire inside the process.
#[derive(Debug)]
pub struct End {
    name: String,
    /// What this end hears.
    hears: Arc<Half>,
    /// What the other one does.
    fills: Arc<Half>,
    clock: Clock,
    baud: Option<u32>,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    state: Mutex<State>,
    /// Told at every change of the state.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    /// One of the two ends is dropped.
    over: bool,
}

impl Half {
    /// A panic of the other thread leaves the state whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready`, or until `timeout` has passed.
    fn wait(&self, timeout: Duration, ready: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.lock();
        // The longest time that no clock overflows with.
        let timeout = timeout.min(Duration::from_secs(3600));
        self.changed
            .wait_timeout_while(state, timeout, |state| !ready(state))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

impl Hear for End {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        if buf.is_empty() {
            return Err(LinkError::EmptyBuffer { name: self.name.clone() });
        }
        let mut state = self.hears.wait(timeout, |state| !state.bytes.is_empty() || state.over);
        let n = buf.len().min(state.bytes.len());
        if n == 0 {
            return Ok(if state.over { Event::Closed } else { Event::Idle });
        }
        for (to, from) in buf.iter_mut().zip(state.bytes.drain(..n)) {
            *to = from;
        }
        drop(state);
        self.hears.changed.notify_all();
        Ok(Event::Bytes { n, time: self.clock.now() })
    }

    fn baud(&self) -> Option<u32> {
        self.baud
    }

    /// Changes what this end tells, and nothing else.
    fn set_baud(&mut self, baud: u32) -> Result<(), OpenError> {
        if self.baud.is_none() {
            return Err(OpenError::NoSpeed { name: self.name.clone() });
        }
        self.baud = Some(baud);
        Ok(())
    }
}

impl Link for End {
    fn send(&mut self, bytes: &[u8]) -> Result<Time, LinkError> {
        let mut deadline = Instant::now() + patience(self.baud);
        let mut sent = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut state =
                self.fills.wait(left, |state| state.bytes.len() < CAPACITY || state.over);
            if state.over {
                return Err(LinkError::Gone { name: self.name.clone() });
            }
            let n = (bytes.len() - sent).min(CAPACITY - state.bytes.len());
            state.bytes.extend(&bytes[sent..sent + n]);
            sent += n;
            drop(state);
            self.fills.changed.notify_all();
            if sent == bytes.len() {
                return Ok(self.clock.now());
            }
            if n > 0 {
                deadline = Instant::now() + patience(self.baud);
            } else if left.is_zero() {
                return Err(LinkError::NotTaken {
                    name: self.name.clone(),
                    sent,
                    len: bytes.len(),
                });
            }
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        for half in [&self.hears, &self.fills] {
            half.lock().over = true;
            half.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn each_end_hears_the_other() {
        let (mut a, mut b) = pair(Clock::new(), Some(230_400));
        let mut buf = [0; 4];
        assert_eq!(b.read(&mut buf, Duration::from_millis(1)).unwrap(), Event::Idle);
        let sent = a.send(&[1, 2, 3, 4, 5]).unwrap();
        match b.read(&mut buf, LONG).unwrap() {
            Event::Bytes { n: 4, time } => assert!(time >= sent),
            other => panic!("{other:?}"),
        }
        assert_eq!(buf, [1, 2, 3, 4]);
        b.send(&[6]).unwrap();
        assert!(matches!(a.read(&mut buf, LONG).unwrap(), Event::Bytes { n: 1, .. }));
        assert_eq!(buf[0], 6);
        drop(a);
        assert!(matches!(b.read(&mut buf, LONG).unwrap(), Event::Bytes { n: 1, .. }));
        assert_eq!(b.read(&mut buf, LONG).unwrap(), Event::Closed);
        assert!(matches!(b.send(&[1]), Err(LinkError::Gone { .. })));
        assert!(matches!(b.read(&mut [], LONG), Err(LinkError::EmptyBuffer { .. })));
    }

    #[test]
    fn a_million_bytes_pass_between_threads_in_order() {
        let (mut a, mut b) = pair(Clock::new(), None);
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        thread::scope(|scope| {
            scope.spawn(|| {
                for chunk in bytes.chunks(777) {
                    a.send(chunk).unwrap();
                }
            });
            let mut heard = Vec::new();
            let mut buf = [0; 1000];
            while heard.len() < bytes.len() {
                match b.read(&mut buf, LONG).unwrap() {
                    Event::Bytes { n, .. } => heard.extend_from_slice(&buf[..n]),
                    other => panic!("{other:?} after {} bytes", heard.len()),
                }
            }
            assert!(heard == bytes);
        });
    }

    #[test]
    fn memory_is_bounded_and_a_sender_does_not_wait_for_ever() {
        let (mut a, b) = pair(Clock::new(), None);
        match a.send(&vec![0; CAPACITY + 1]) {
            Err(LinkError::NotTaken { sent: CAPACITY, len, .. }) => assert_eq!(len, CAPACITY + 1),
            other => panic!("{other:?}"),
        }
        drop(b);
    }

    #[test]
    fn an_end_has_a_speed_only_where_it_was_given_one() {
        let (mut a, b) = pair(Clock::new(), Some(230_400));
        a.set_baud(115_200).unwrap();
        assert_eq!((a.baud(), b.baud()), (Some(115_200), Some(230_400)));
        let (mut a, _b) = pair(Clock::new(), None);
        assert!(matches!(a.set_baud(9_600), Err(OpenError::NoSpeed { .. })));
    }
}

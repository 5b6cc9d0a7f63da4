//! What waits between the readers and whoever decodes.
//!
//! A reader must not wait for anybody: what is not fetched from a port in time is lost there. So
//! the queue takes whatever comes until a number of bytes wait, far more than a slow moment needs;
//! beyond that it counts what it cannot take, and tells so. A reader of a file waits instead.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k485_link::{LineErrors, LinkError};
use k485_proto::record::Time;

/// How many bytes wait at most, each event counted with what it takes in memory itself.
const CAPACITY: usize = 64 << 20;
/// What an event takes beside its bytes.
const EVENT: usize = 128;

/// What a reader tells of its port.
#[derive(Debug)]
pub enum Heard {
    /// Bytes, read at that time.
    Bytes {
        /// Right after they were read.
        time: Time,
        /// The bytes.
        bytes: Box<[u8]>,
    },
    /// Nothing until then; told several times a second.
    Idle {
        /// The time.
        time: Time,
    },
    /// The port is gone; the reader tries to open it anew.
    Lost {
        /// When that was noticed.
        time: Time,
        /// What the system said, where it said something.
        error: Option<LinkError>,
    },
    /// The port is back.
    Back {
        /// When it was opened.
        time: Time,
        /// How long it was away, in nanoseconds.
        away: i64,
    },
    /// The line spoiled something, as the driver counted since the last time this was told.
    Spoiled {
        /// When the counters were read.
        time: Time,
        /// How much more they count.
        errors: LineErrors,
    },
    /// So many bytes were lost here since nobody fetched them from the queue in time.
    Dropped {
        /// When there was room again.
        time: Time,
        /// How many.
        bytes: u64,
    },
    /// Nothing more comes of this port: the source is read to its end, or cannot be read.
    Ended {
        /// What the system said, where it was not the end.
        error: Option<LinkError>,
    },
}

impl Heard {
    fn size(&self) -> usize {
        EVENT + if let Heard::Bytes { bytes, .. } = self { bytes.len() } else { 0 }
    }
}

/// The queue; every port has its number.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<(usize, Heard)>,
    size: usize,
    /// Bytes that were not taken, by port.
    dropped: BTreeMap<usize, u64>,
    /// Somebody waits to be told of the next event.
    waited_for: bool,
    /// Nobody fetches any more.
    closed: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Queue::new()
    }
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Queue::with_capacity(CAPACITY)
    }

    fn with_capacity(capacity: usize) -> Self {
        let (filled, emptied) = (Condvar::new(), Condvar::new());
        Queue { state: Mutex::default(), filled, emptied, capacity }
    }

    /// Takes an event of a live port at once. Where there is no room, its bytes are counted as
    /// lost, which is told before the port's next event. False when nobody fetches any more.
    pub fn push(&self, port: usize, heard: Heard) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        if state.size + heard.size() > self.capacity {
            if let Heard::Bytes { bytes, .. } = &heard {
                *state.dropped.entry(port).or_default() += bytes.len() as u64;
                return true;
            }
            // A few events more, such as the port's end, must not be lost, and do no harm.
            if matches!(heard, Heard::Idle { .. }) {
                return true;
            }
        }
        if let Heard::Bytes { time, .. } = &heard
            && let Some(bytes) = state.dropped.remove(&port)
        {
            let time = *time;
            state.add(port, Heard::Dropped { time, bytes });
        }
        state.add(port, heard);
        let waited_for = state.waited_for;
        drop(state);
        if waited_for {
            self.filled.notify_one();
        }
        true
    }

    /// Takes an event of a source that can wait, when there is room. False when nobody fetches any
    /// more.
    pub fn push_waiting(&self, port: usize, heard: Heard) -> bool {
        let mut state = self.lock();
        while !state.closed && state.size > 0 && state.size + heard.size() > self.capacity {
            state = self.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return false;
        }
        state.add(port, heard);
        let waited_for = state.waited_for;
        drop(state);
        if waited_for {
            self.filled.notify_one();
        }
        true
    }

    /// Everything that waits, in the order in which it came, into `events`; waits for something,
    /// but no longer than the time-out.
    pub fn fetch(&self, events: &mut VecDeque<(usize, Heard)>, timeout: Duration) {
        let mut state = self.lock();
        if state.events.is_empty() {
            state.waited_for = true;
            let woken = self.filled.wait_timeout_while(state, timeout, |s| s.events.is_empty());
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.waited_for = false;
        }
        events.append(&mut state.events);
        state.size = 0;
        drop(state);
        self.emptied.notify_all();
    }

    /// Nothing more is taken: readers end.
    pub fn close(&self) {
        self.lock().closed = true;
        self.emptied.notify_all();
    }

    /// Bytes that were lost for want of room and are not told yet, by port.
    #[must_use]
    pub fn take_dropped(&self) -> BTreeMap<usize, u64> {
        std::mem::take(&mut self.lock().dropped)
    }

    /// A reader that panicked leaves the queue as it was: whole events.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, port: usize, heard: Heard) {
        self.size += heard.size();
        self.events.push_back((port, heard));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    fn bytes(time: i64, n: usize) -> Heard {
        Heard::Bytes { time: Time(time), bytes: vec![0x55; n].into() }
    }

    fn all(queue: &Queue) -> Vec<(usize, Heard)> {
        let mut events = VecDeque::new();
        queue.fetch(&mut events, Duration::ZERO);
        events.into()
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_where_it_is_missing() {
        let queue = Queue::with_capacity(3 * EVENT);
        for (time, n) in [(1, 200), (2, 200), (3, 7), (4, 9)] {
            assert!(queue.push(0, bytes(time, n)));
        }
        // Another port's loss is its own; and an end is never lost.
        assert!(queue.push(1, bytes(5, 300)));
        assert!(queue.push(1, Heard::Ended { error: None }));
        let got = all(&queue);
        let kinds: Vec<_> = got.iter().map(|(port, heard)| (*port, heard.size() - EVENT)).collect();
        assert_eq!(kinds, [(0, 200), (1, 0)], "{got:?}");
        // With room again, the loss comes before what is heard next.
        assert!(queue.push(0, bytes(6, 1)));
        let got = all(&queue);
        assert!(
            matches!(got[0], (0, Heard::Dropped { time: Time(6), bytes: 216 })),
            "{:?}",
            got[0]
        );
        assert!(matches!(&got[1], (0, Heard::Bytes { bytes, .. }) if bytes.len() == 1));
        assert_eq!(queue.take_dropped(), BTreeMap::from([(1, 300)]));
    }

    #[test]
    fn a_source_that_can_wait_loses_nothing() {
        let queue = Arc::new(Queue::with_capacity(3 * EVENT));
        let filler = Arc::clone(&queue);
        let thread = thread::spawn(move || {
            (0..1000).all(|time| filler.push_waiting(0, bytes(time, 100)))
                && filler.push_waiting(0, Heard::Ended { error: None })
        });
        let (mut events, mut next) = (VecDeque::new(), 0);
        'all: loop {
            queue.fetch(&mut events, Duration::from_secs(10));
            for (_, heard) in events.drain(..) {
                match heard {
                    Heard::Bytes { time, .. } => assert_eq!(time, Time(next)),
                    _ => break 'all,
                }
                next += 1;
            }
        }
        assert_eq!(next, 1000);
        assert!(thread.join().unwrap());
    }

    #[test]
    fn a_closed_queue_lets_its_readers_go() {
        let queue = Arc::new(Queue::with_capacity(EVENT));
        assert!(queue.push_waiting(0, bytes(0, 4000)));
        let filler = Arc::clone(&queue);
        let thread = thread::spawn(move || filler.push_waiting(0, bytes(1, 4000)));
        queue.close();
        assert!(!thread.join().unwrap());
        assert!(!queue.push(0, bytes(2, 1)));
    }
}

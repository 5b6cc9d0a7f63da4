//! A thread a port, which does nothing but read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use k485_link::{Clock, Event, Hear, LineErrors, LinkError};

use super::queue::{Heard, Queue};

/// How long a read waits: the longest that it takes to end a reader.
const WAIT: Duration = Duration::from_millis(50);
/// How often a port that is gone is looked for.
const RETRY: Duration = Duration::from_millis(250);
/// How often the driver's counters are looked at.
const COUNTERS: Duration = Duration::from_secs(1);
/// Bytes of one read: more than a 230,400 baud bus carries in a second.
const CHUNK: usize = 32 * 1024;

/// The reader of one port.
#[derive(Debug)]
pub struct Reader(JoinHandle<()>);

impl Reader {
    /// Starts reading; what comes is told to the queue under the port's number, with
    /// [`Heard::Ended`] as the last, when the source ends or `stop` is set.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub fn start(
        link: Box<dyn Hear>,
        port: usize,
        clock: Clock,
        queue: Arc<Queue>,
        stop: Arc<AtomicBool>,
    ) -> std::io::Result<Reader> {
        let reading = Reading { link, port, clock, queue, stop, errors: LineErrors::default() };
        let name = format!("reader {port}");
        thread::Builder::new().name(name).spawn(move || reading.run()).map(Reader)
    }

    /// Waits until it has ended.
    pub fn join(self) {
        // A reader that panicked has told nothing more: that was said on stderr.
        let _ = self.0.join();
    }
}

struct Reading {
    link: Box<dyn Hear>,
    port: usize,
    clock: Clock,
    queue: Arc<Queue>,
    stop: Arc<AtomicBool>,
    /// What the counters were when they were last looked at.
    errors: LineErrors,
}

impl Reading {
    fn run(mut self) {
        let error = self.read();
        self.tell(Heard::Ended { error });
    }

    /// Reads until the end; what ended it, where that was no end.
    fn read(&mut self) -> Option<LinkError> {
        let mut buf = vec![0; CHUNK];
        let mut looked = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let on = match self.link.read(&mut buf, WAIT) {
                Ok(Event::Bytes { n, time }) => {
                    self.tell(Heard::Bytes { time, bytes: buf[..n].into() })
                }
                Ok(Event::Idle) => self.tell(Heard::Idle { time: self.clock.now() }),
                Ok(Event::Closed) if self.link.can_return() => self.wait_for_it(None),
                Ok(Event::Closed) => return None,
                Err(error) if self.link.can_return() => self.wait_for_it(Some(error)),
                Err(error) => return Some(error),
            };
            if !on {
                break;
            }
            if looked.elapsed() >= COUNTERS {
                looked = Instant::now();
                self.look_at_counters();
            }
        }
        self.look_at_counters();
        None
    }

    fn tell(&self, heard: Heard) -> bool {
        if self.link.is_live() {
            self.queue.push(self.port, heard)
        } else {
            self.queue.push_waiting(self.port, heard)
        }
    }

    /// Waits until the port is back; false when it shall not be waited for.
    fn wait_for_it(&mut self, error: Option<LinkError>) -> bool {
        let gone = self.clock.now();
        if !self.tell(Heard::Lost { time: gone, error }) {
            return false;
        }
        loop {
            // In small steps, so that the end is not waited for and other ports are not held up.
            for _ in 0..RETRY.as_millis() / WAIT.as_millis() {
                if self.stop.load(Ordering::Relaxed) {
                    return false;
                }
                thread::sleep(WAIT);
                if !self.tell(Heard::Idle { time: self.clock.now() }) {
                    return false;
                }
            }
            if self.link.reopen().is_ok() {
                let time = self.clock.now();
                self.errors = LineErrors::default();
                return self.tell(Heard::Back { time, away: time.since(gone) });
            }
        }
    }

    fn look_at_counters(&mut self) {
        let Some(now) = self.link.line_errors() else { return };
        let errors = now.since(self.errors);
        self.errors = now;
        if !errors.is_empty() {
            self.tell(Heard::Spoiled { time: self.clock.now(), errors });
        }
    }
}

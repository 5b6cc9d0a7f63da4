//! A client of a bus at a pseudo-terminal, in real time.

use std::path::Path;
use std::time::Duration;

use k485_link::{Clock, Event, Hear, Link, OpenError, Options, Serial};
use k485_proto::record::Time;

/// How often the toolhead sensor is looked at.
const LOOK: Duration = Duration::from_millis(5);

pub(crate) struct Client {
    clock: Clock,
    port: Serial,
}

impl Client {
    pub(crate) fn open(path: &Path, clock: Clock) -> Result<Client, OpenError> {
        Ok(Client { clock, port: Serial::open(path, &Options::default(), clock)? })
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Sends; gives when the last byte is out.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Time {
        self.port.send(bytes).expect("the pseudo-terminal is there")
    }

    /// Listens until this time, or less when something comes or the sensor shows something else.
    pub(crate) fn listen(
        &mut self,
        until: Time,
        toolhead: impl Fn() -> bool,
    ) -> Vec<(Time, Vec<u8>)> {
        let seen = toolhead();
        let mut buf = [0; 512];
        loop {
            let left = until.since(self.now()).max(0).unsigned_abs();
            let timeout = Duration::from_nanos(left).min(LOOK);
            match self.port.read(&mut buf, timeout).expect("the pseudo-terminal is there") {
                Event::Bytes { n, time } => return vec![(time, buf[..n].to_vec())],
                Event::Closed => panic!("the other end is gone"),
                Event::Idle => {}
            }
            if self.now() >= until || toolhead() != seen {
                return Vec::new();
            }
        }
    }
}

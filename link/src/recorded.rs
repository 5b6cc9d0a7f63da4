//! A link that tells what passes.

use std::time::Duration;

use k485_proto::record::Time;

use crate::error::{LinkError, OpenError};
use crate::link::{Event, Hear, LineErrors, Link};

/// What passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told<'a> {
    /// Bytes were heard, at this time.
    Heard(Time, &'a [u8]),
    /// Bytes were sent, and were so at this time.
    Sent(Time, &'a [u8]),
}

/// A link whose every byte is told to `tell`, before whoever reads or sends goes on. What could not
/// be sent is not told.
#[derive(Debug)]
pub struct Recorded<L, F> {
    link: L,
    tell: F,
}

impl<L, F: FnMut(Told<'_>)> Recorded<L, F> {
    /// Tells all of `link`.
    pub fn new(link: L, tell: F) -> Recorded<L, F> {
        Recorded { link, tell }
    }
}

impl<L: Hear, F: FnMut(Told<'_>) + Send> Hear for Recorded<L, F> {
    fn name(&self) -> &str {
        self.link.name()
    }
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        let event = self.link.read(buf, timeout)?;
        if let Event::Bytes { n, time } = event {
            (self.tell)(Told::Heard(time, &buf[..n]));
        }
        Ok(event)
    }
    fn reopen(&mut self) -> Result<(), OpenError> {
        self.link.reopen()
    }
    fn can_return(&self) -> bool {
        self.link.can_return()
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

impl<L: Link, F: FnMut(Told<'_>) + Send> Link for Recorded<L, F> {
    fn send(&mut self, bytes: &[u8]) -> Result<Time, LinkError> {
        let time = self.link.send(bytes)?;
        (self.tell)(Told::Sent(time, bytes));
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, memory};

    #[test]
    fn all_that_passes_is_told_once() {
        let (a, mut b) = memory::pair(Clock::new(), None);
        let mut told = Vec::new();
        let mut a = Recorded::new(a, |what: Told<'_>| {
            told.push(match what {
                Told::Heard(time, bytes) => ('<', time, bytes.to_vec()),
                Told::Sent(time, bytes) => ('>', time, bytes.to_vec()),
            });
        });
        let sent = a.send(b"ask").unwrap();
        b.send(b"answer").unwrap();
        let mut buf = [0; 16];
        let Event::Bytes { n: 6, time } = a.read(&mut buf, Duration::ZERO).unwrap() else {
            panic!("six bytes");
        };
        assert_eq!(a.read(&mut buf, Duration::ZERO).unwrap(), Event::Idle);
        drop(b);
        assert!(a.send(b"lost").is_err());
        assert_eq!(told, [('>', sent, b"ask".to_vec()), ('<', time, b"answer".to_vec())]);
    }
}

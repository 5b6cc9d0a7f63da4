//! Waiting for a descriptor: reading and writing with an end to the wait.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};

use crate::clock::Clock;
use crate::error::LinkError;
use crate::link::Event;

/// The longest single wait; longer time-outs are made of several.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// How long a write may wait for room beyond the time that a buffer of the system's takes on the
/// wire.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of such a buffer.
const BUFFER: usize = 4096;

/// How long whoever sends waits for room before the other end counts as deaf.
pub(crate) fn patience(baud: Option<u32>) -> Duration {
    time_of(BUFFER, baud) + PATIENCE
}

/// The time that so many bytes of ten bits take at this speed; none where it is not known.
pub(crate) fn time_of(bytes: usize, baud: Option<u32>) -> Duration {
    let Some(baud) = baud.filter(|&baud| baud > 0) else { return Duration::ZERO };
    let bits = (bytes as u64).saturating_mul(10);
    Duration::from_nanos(bits.saturating_mul(1_000_000_000) / u64::from(baud))
}

/// Waits for one of the events; which came, and none when the time is over.
fn wait(fd: impl AsFd, events: PollFlags, timeout: Duration) -> Result<PollFlags, Errno> {
    let timeout = Timespec::try_from(timeout.min(LONGEST_WAIT)).map_err(|_| Errno::INVAL)?;
    let mut fds = [PollFd::new(&fd, events)];
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) => Ok(fds[0].revents()),
        Err(Errno::INTR) => Ok(PollFlags::empty()),
        Err(error) => Err(error),
    }
}

/// Waits until bytes are there and reads them, or until `timeout` has passed. A signal does not
/// end it. An end of file and a device that is gone are both [`Event::Closed`].
pub(crate) fn read_from(
    fd: impl AsFd,
    name: &str,
    buf: &mut [u8],
    timeout: Duration,
    clock: &Clock,
) -> Result<Event, LinkError> {
    if buf.is_empty() {
        return Err(LinkError::EmptyBuffer { name: name.to_owned() });
    }
    let failed = |error: Errno| LinkError::Read { name: name.to_owned(), source: error.into() };
    // None is a time-out beyond the end of the clock.
    let deadline = Instant::now().checked_add(timeout);
    let mut left = timeout;
    loop {
        let came = wait(&fd, PollFlags::IN, left).map_err(failed)?;
        if came.is_empty() && left.is_zero() {
            return Ok(Event::Idle);
        }
        if !came.is_empty() {
            match read(&fd, &mut *buf) {
                Ok(0) => return Ok(Event::Closed),
                Ok(n) => return Ok(Event::Bytes { n, time: clock.now() }),
                Err(Errno::AGAIN) if !came.difference(PollFlags::IN).is_empty() => {
                    return Ok(Event::Closed);
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) if is_gone(error) => return Ok(Event::Closed),
                Err(error) => return Err(failed(error)),
            }
        }
        // A last look when the time is over: a busy machine may come back from the wait long after
        // it ended, and what came meanwhile is not to be told as silence.
        left = deadline.map_or(LONGEST_WAIT, |end| end.saturating_duration_since(Instant::now()));
    }
}

/// Writes all of it to a non-blocking descriptor. It may take as long as it likes, but each wait for
/// room has an end: [`patience`].
pub(crate) fn write_to(
    fd: impl AsFd,
    name: &str,
    bytes: &[u8],
    baud: Option<u32>,
) -> Result<(), LinkError> {
    let failed = |error: Errno| match is_gone(error) || error == Errno::PIPE {
        true => LinkError::Gone { name: name.to_owned() },
        false => LinkError::Write { name: name.to_owned(), source: error.into() },
    };
    let mut deadline = Instant::now() + patience(baud);
    let mut sent = 0;
    while sent < bytes.len() {
        match write(&fd, &bytes[sent..]) {
            Ok(n) => {
                sent += n;
                deadline = Instant::now() + patience(baud);
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    let name = name.to_owned();
                    return Err(LinkError::NotTaken { name, sent, len: bytes.len() });
                }
                // It may say that there is room where there is none for a whole write.
                let came = wait(&fd, PollFlags::OUT, left).map_err(failed)?;
                if came.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
                    return Err(LinkError::Gone { name: name.to_owned() });
                }
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// What the system says when the device or the other end is no more.
pub(crate) fn is_gone(error: Errno) -> bool {
    matches!(
        error,
        Errno::IO
            | Errno::NXIO
            | Errno::NODEV
            | Errno::CONNRESET
            | Errno::CONNABORTED
            | Errno::TIMEDOUT
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::NETDOWN
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_takes_ten_bits() {
        assert_eq!(time_of(1, Some(230_400)), Duration::from_nanos(43_402));
        assert_eq!(time_of(23_040, Some(230_400)), Duration::from_secs(1));
        assert_eq!(time_of(100, None), Duration::ZERO);
        assert_eq!(time_of(100, Some(0)), Duration::ZERO);
    }
}

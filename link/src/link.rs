//! What every link is: something that bytes of a bus are heard from, and, for most, sent to.
//!
//! The two are apart, so that what only listens has no way to speak: a sniffer is given a
//! [`Hear`], whoever takes part a [`Link`].

use std::fmt;
use std::time::Duration;

use k485_proto::record::Time;

use crate::error::{LinkError, OpenError};

/// What a read came back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Bytes.
    Bytes {
        /// How many, from the start of the buffer; at least one.
        n: usize,
        /// The clock, read right after the bytes were.
        time: Time,
    },
    /// Nothing was heard within the time-out.
    Idle,
    /// The link is gone: unplugged, its other end has ended, or the source is read to its end.
    /// [`Hear::reopen`] may bring it back.
    Closed,
}

/// Something that a bus is heard from.
pub trait Hear: Send {
    /// The link's name for people: a path, `tcp:HOST:PORT`.
    fn name(&self) -> &str;

    /// Waits until bytes are there and reads them, or until `timeout` has passed; with a zero
    /// time-out it only looks.
    ///
    /// # Errors
    ///
    /// What the system says, other than that the link is gone, which is [`Event::Closed`].
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError>;

    /// Opens it anew after [`Event::Closed`], where that can work.
    ///
    /// # Errors
    ///
    /// It is not back yet, or cannot come back ([`OpenError::Gone`]).
    fn reopen(&mut self) -> Result<(), OpenError> {
        Err(OpenError::Gone { name: self.name().to_owned() })
    }

    /// Whether it can come back after [`Event::Closed`], so that it is worth waiting for.
    fn can_return(&self) -> bool {
        false
    }

    /// The line's speed in baud; `None` where bytes do not come over a line of known speed.
    fn baud(&self) -> Option<u32> {
        None
    }

    /// Sets the line's speed, for those that look for it.
    ///
    /// # Errors
    ///
    /// The link has no speed, or not this one.
    fn set_baud(&mut self, baud: u32) -> Result<(), OpenError> {
        let _ = baud;
        Err(OpenError::NoSpeed { name: self.name().to_owned() })
    }

    /// The driver's counters of what the line spoiled, since the link was opened; `None` where
    /// there are none.
    fn line_errors(&self) -> Option<LineErrors> {
        None
    }

    /// Whether what is not read in time is lost. A file or a pipe waits for its reader.
    fn is_live(&self) -> bool {
        true
    }
}

/// A link that can also speak.
pub trait Link: Hear {
    /// Sends all of it, and waits until it is on the wire as far as the system tells. Returns the
    /// time right after that.
    ///
    /// # Errors
    ///
    /// The link is gone, or the system refuses.
    fn send(&mut self, bytes: &[u8]) -> Result<Time, LinkError>;
}

/// How often the line spoiled something, as the driver counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LineErrors {
    /// Bytes with a wrong stop bit.
    pub framing: u32,
    /// Bytes with wrong parity.
    pub parity: u32,
    /// Bytes that the UART lost, since nobody fetched them in time.
    pub overrun: u32,
    /// Bytes that the driver's buffer had no room for.
    pub buffer_overrun: u32,
    /// Breaks: the line held low for longer than a byte.
    pub breaks: u32,
}

impl LineErrors {
    /// Both together.
    #[must_use]
    pub fn plus(&self, more: &LineErrors) -> LineErrors {
        LineErrors {
            framing: self.framing.saturating_add(more.framing),
            parity: self.parity.saturating_add(more.parity),
            overrun: self.overrun.saturating_add(more.overrun),
            buffer_overrun: self.buffer_overrun.saturating_add(more.buffer_overrun),
            breaks: self.breaks.saturating_add(more.breaks),
        }
    }

    /// Whether nothing was spoiled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == LineErrors::default()
    }

    /// What came on since an earlier reading of counters that wrap.
    #[must_use]
    pub fn since(self, earlier: LineErrors) -> LineErrors {
        LineErrors {
            framing: self.framing.wrapping_sub(earlier.framing),
            parity: self.parity.wrapping_sub(earlier.parity),
            overrun: self.overrun.wrapping_sub(earlier.overrun),
            buffer_overrun: self.buffer_overrun.wrapping_sub(earlier.buffer_overrun),
            breaks: self.breaks.wrapping_sub(earlier.breaks),
        }
    }
}

/// `3 framing errors, 17 bytes overrun`; `nothing` where all is zero.
impl fmt::Display for LineErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.framing, "bytes with a wrong stop bit (framing)"),
            (self.parity, "bytes with wrong parity"),
            (self.overrun, "bytes lost by the UART (overrun)"),
            (self.buffer_overrun, "bytes lost by its driver (buffer overrun)"),
            (self.breaks, "breaks"),
        ];
        let mut between = "";
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{between}{count} {what}")?;
            between = ", ";
        }
        if between.is_empty() { f.write_str("nothing") } else { Ok(()) }
    }
}

impl<H: Hear + ?Sized> Hear for Box<H> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        (**self).read(buf, timeout)
    }
    fn reopen(&mut self) -> Result<(), OpenError> {
        (**self).reopen()
    }
    fn can_return(&self) -> bool {
        (**self).can_return()
    }
    fn baud(&self) -> Option<u32> {
        (**self).baud()
    }
    fn set_baud(&mut self, baud: u32) -> Result<(), OpenError> {
        (**self).set_baud(baud)
    }
    fn line_errors(&self) -> Option<LineErrors> {
        (**self).line_errors()
    }
    fn is_live(&self) -> bool {
        (**self).is_live()
    }
}

impl<L: Link + ?Sized> Link for Box<L> {
    fn send(&mut self, bytes: &[u8]) -> Result<Time, LinkError> {
        (**self).send(bytes)
    }
}

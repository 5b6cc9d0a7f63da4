//! A port to take part with.
//!
//! It is opened in the order of [`listen`](crate::listen), for the reasons told there: speaking is
//! what its owner does on purpose, not what the terminal does by itself. That is why it is neither
//! `serialport` nor `tokio-serial`: both set raw mode after other things, while the port echoes.
//! It blocks; what runs on an event loop takes the descriptor with [`Serial::into_fd`] once the
//! port is open, which is non-blocking already.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use k485_proto::record::Time;
use rustix::io::Errno;
use rustix::termios::{ioctl_tiocexcl, ioctl_tiocnxcl, tcdrain};

use crate::clock::Clock;
use crate::error::{LinkError, OpenError};
use crate::link::{Event, Hear, LineErrors, Link};
use crate::port::{Access, Controls, Options, Port, failed};
use crate::wait;

/// A serial port or a pseudo-terminal that is heard and spoken to.
///
/// It is this process's alone: locked with `flock`, and, where it is hardware, with `TIOCEXCL`,
/// which keeps out programs that ask for no lock (root's excepted). A pseudo-terminal would stay
/// locked by `TIOCEXCL` after a process that was killed, until its owner ends, so there it is left
/// out.
#[derive(Debug)]
pub struct Serial(Port);

impl Serial {
    /// Opens a port to take part on the bus: 8 data bits, no parity, one stop bit.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. A port that cannot be opened is left silent, not as it was.
    pub fn open(
        port: impl AsRef<Path>,
        options: &Options,
        clock: Clock,
    ) -> Result<Serial, OpenError> {
        let serial = Serial(Port::open(port.as_ref(), Access::ReadWrite, options, clock)?);
        serial.exclude_others()?;
        Ok(serial)
    }

    fn exclude_others(&self) -> Result<(), OpenError> {
        match self.0.fd() {
            Some(fd) if !is_pty(fd) => match ioctl_tiocexcl(fd) {
                Ok(()) | Err(Errno::NOTTY | Errno::INVAL) => Ok(()),
                Err(error) => Err(failed(self.0.path(), "take it for this program alone", error)),
            },
            _ => Ok(()),
        }
    }

    /// The path as given to [`Serial::open`].
    #[must_use]
    pub fn port(&self) -> &Path {
        self.0.path()
    }

    /// What became of RTS and DTR.
    #[must_use]
    pub fn controls(&self) -> Controls {
        self.0.controls()
    }

    /// Whether the driver took the request to hand over bytes at once.
    #[must_use]
    pub fn low_latency(&self) -> bool {
        self.0.low_latency()
    }

    /// As [`Listener::echo_window`](crate::Listener::echo_window).
    #[must_use]
    pub fn echo_window(&self) -> Option<Duration> {
        self.0.echo_window()
    }

    /// The open descriptor, for polling; `None` while the port is lost.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.fd()
    }

    /// The open descriptor alone, non-blocking and with its locks, for an event loop; `None` where
    /// the port was lost.
    #[must_use]
    pub fn into_fd(mut self) -> Option<OwnedFd> {
        self.0.take_fd()
    }
}

/// Whether it is the end of a pseudo-terminal that programs open (majors 136 to 143; source:
/// Linux, `Documentation/admin-guide/devices.txt`).
#[cfg(target_os = "linux")]
fn is_pty(fd: BorrowedFd<'_>) -> bool {
    use rustix::fs::{fstat, major};
    fstat(fd).is_ok_and(|stat| (136..=143).contains(&major(stat.st_rdev)))
}

#[cfg(not(target_os = "linux"))]
fn is_pty(_: BorrowedFd<'_>) -> bool {
    false
}

impl Hear for Serial {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        self.0.read(buf, timeout)
    }

    /// Opens the same path anew. The port is given up first, and stays closed where that fails.
    fn reopen(&mut self) -> Result<(), OpenError> {
        self.release();
        self.0.reopen()?;
        self.exclude_others()
    }

    fn can_return(&self) -> bool {
        true
    }

    fn baud(&self) -> Option<u32> {
        Some(self.0.baud())
    }

    /// What was heard at another speed and is not read yet is thrown away.
    fn set_baud(&mut self, baud: u32) -> Result<(), OpenError> {
        self.0.set_baud(baud)
    }

    fn line_errors(&self) -> Option<LineErrors> {
        self.0.line_errors()
    }
}

impl Serial {
    /// Lets others open the port again. The system does so itself only when nobody at all has it
    /// open any more.
    fn release(&self) {
        if let Some(fd) = self.0.fd()
            && !is_pty(fd)
        {
            let _ = ioctl_tiocnxcl(fd);
        }
    }
}

impl Link for Serial {
    /// Writes all of it and waits until the driver says that it is sent (`tcdrain`). A UART says so
    /// when its shift register is empty; a USB adapter's driver when the adapter has it, or
    /// earlier.
    fn send(&mut self, bytes: &[u8]) -> Result<Time, LinkError> {
        let gone = || LinkError::Gone { name: self.0.name().to_owned() };
        let fd = self.0.fd().ok_or_else(gone)?;
        wait::write_to(fd, self.0.name(), bytes, Some(self.0.baud()))?;
        loop {
            match tcdrain(fd) {
                Ok(()) => return Ok(self.0.clock().now()),
                Err(Errno::INTR) => {}
                Err(error) if wait::is_gone(error) => return Err(gone()),
                Err(error) => {
                    let name = self.0.name().to_owned();
                    return Err(LinkError::Write { name, source: error.into() });
                }
            }
        }
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        self.release();
    }
}

//! A bus on a pseudo-terminal that garbles: who opens it at another speed than the bus's reads what
//! a UART at that speed would read, where a plain pseudo-terminal ignores the speed.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::error::OpenError;
use crate::pty::Pty;
use crate::uart::{Line, Noise};

/// A line is idle so long, at least, before and behind everything that is written: two bytes at
/// 9,600 baud, so that the receiver comes to its end.
const SETTLE: Duration = Duration::from_millis(2);

/// How a tap's wires are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wires {
    /// As they should be.
    Straight,
    /// Swapped, on a bus with bias resistors.
    Swapped,
    /// Swapped, on a bus without.
    SwappedUnbiased,
}

impl Wires {
    fn line(self, from: u32, to: u32) -> Line {
        match self {
            Wires::Straight => Line::new(from, to),
            Wires::Swapped => Line::swapped(from, to),
            Wires::SwappedUnbiased => Line::swapped_unbiased(from, to),
        }
    }
}

/// A [`Pty`] whose other end is a tap on a bus of some speed.
///
/// Each write is what the bus carries at once, with an idle line before and behind it; each read is
/// what the client sent, as the bus hears it. The client's speed is looked at each time. A bus waits
/// for nobody: what the client does not fetch is lost when the system's buffer is full (4 KiB), and
/// counted in [`lost`](GarblingPty::lost).
///
/// Reads do not block either: [`WouldBlock`](io::ErrorKind::WouldBlock) when the client sent nothing.
#[derive(Debug)]
pub struct GarblingPty {
    pty: Pty,
    wires: Wires,
    to_client: Line,
    from_client: Line,
    lost: u64,
}

impl GarblingPty {
    /// A fresh pair with a bus of `baud` at this end.
    ///
    /// # Errors
    ///
    /// The system has no pair left, or no `/dev/pts`.
    pub fn open(baud: u32, wires: Wires) -> io::Result<GarblingPty> {
        GarblingPty::of(Pty::open()?, baud, wires)
    }

    /// The same with a link file, as [`Pty::with_link`] makes one.
    ///
    /// # Errors
    ///
    /// As [`Pty::with_link`].
    pub fn with_link(
        link: impl AsRef<Path>,
        baud: u32,
        wires: Wires,
    ) -> Result<GarblingPty, OpenError> {
        let pty = Pty::with_link(link.as_ref())?;
        GarblingPty::of(pty, baud, wires).map_err(|source| {
            let step = "set up a pseudo-terminal for it";
            OpenError::Io { port: link.as_ref().to_owned(), step, source }
        })
    }

    fn of(pty: Pty, baud: u32, wires: Wires) -> io::Result<GarblingPty> {
        let flags = fcntl_getfl(&pty)?;
        fcntl_setfl(&pty, flags | OFlags::NONBLOCK)?;
        let client = pty.baud()?;
        Ok(GarblingPty {
            pty,
            wires,
            to_client: wires.line(baud, client),
            from_client: wires.line(client, baud),
            lost: 0,
        })
    }

    /// The path of the client's end.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.pty.path()
    }

    /// The link file's path, where there is one.
    #[must_use]
    pub fn link(&self) -> Option<&Path> {
        self.pty.link()
    }

    /// The speed that the client's end is set to, in baud.
    ///
    /// # Errors
    ///
    /// The system refuses to tell.
    pub fn client_baud(&self) -> io::Result<u32> {
        self.pty.baud()
    }

    /// Bytes that the client did not fetch in time.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Something drives the bus that is no UART of its speed: `drive` is given the line to the
    /// client, and where to put what the client reads.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn drive(&mut self, drive: impl FnOnce(&mut Line, &mut Vec<u8>)) -> io::Result<()> {
        let baud = self.pty.baud()?;
        self.to_client.set_to_baud(baud);
        let mut heard = Vec::new();
        self.to_client.idle(SETTLE, &mut heard);
        drive(&mut self.to_client, &mut heard);
        self.to_client.idle(SETTLE, &mut heard);
        let mut rest = &heard[..];
        while !rest.is_empty() {
            match (&self.pty).write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.lost += rest.len() as u64;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Noise of this seed for so long, as of a line that nobody drives and nothing biases.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn noise(&mut self, noise: &mut Noise, time: Duration) -> io::Result<()> {
        self.drive(|line, out| noise.wander(line, time, out))
    }
}

/// The bus's descriptor, for polling. It does not block.
impl AsFd for GarblingPty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pty.as_fd()
    }
}

/// The bus carries these bytes back to back. All are taken, whatever the client fetches of them.
impl Write for GarblingPty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.drive(|line, out| line.bytes(bytes, out))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the bus hears of the client. A buffer shorter than what one write of the client makes of
/// itself loses the rest.
impl Read for GarblingPty {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // A faster receiver makes more bytes of them, ten at most of each.
        let most = (buf.len() / 10).max(1);
        let n = self.pty.read(&mut buf[..most])?;
        let client = self.pty.baud()?;
        if client != self.from_client.from_baud() {
            self.from_client = self.wires.line(client, self.from_client.to_baud());
        }
        let mut heard = Vec::new();
        self.from_client.idle(SETTLE, &mut heard);
        self.from_client.bytes(&buf[..n], &mut heard);
        self.from_client.idle(SETTLE, &mut heard);
        let n = heard.len().min(buf.len());
        buf[..n].copy_from_slice(&heard[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, Event, Hear, Listener};

    const POLL: [u8; 6] = [0xf7, 0x01, 0x03, 0x00, 0xa2, 0xda];

    fn read(listener: &mut Listener) -> Vec<u8> {
        let mut buf = [0; 64];
        match listener.read(&mut buf, Duration::from_secs(10)).unwrap() {
            Event::Bytes { n, .. } => buf[..n].to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_client_at_the_speed_of_the_bus_reads_it_and_another_does_not() {
        let mut bus = GarblingPty::open(115_200, Wires::Straight).unwrap();
        for (baud, same) in [(115_200, true), (230_400, false), (9_600, false), (115_200, true)] {
            let mut listener = Listener::open(bus.path(), baud, Clock::new()).unwrap();
            assert_eq!(bus.client_baud().unwrap(), baud);
            bus.write_all(&POLL).unwrap();
            let expected = crate::uart::heard(Line::new(115_200, baud), &POLL);
            assert_eq!(read(&mut listener), expected, "{baud}");
            assert_eq!(expected == POLL, same, "{baud}");
        }
    }

    #[test]
    fn a_client_that_changes_its_speed_reads_nothing_of_before() {
        let mut bus = GarblingPty::open(115_200, Wires::Straight).unwrap();
        let mut listener = Listener::open(bus.path(), 230_400, Clock::new()).unwrap();
        bus.write_all(&POLL).unwrap();
        listener.set_baud(115_200).unwrap();
        assert_eq!((listener.baud(), bus.client_baud().unwrap()), (115_200, 115_200));
        bus.write_all(&POLL).unwrap();
        assert_eq!(read(&mut listener), POLL);
        // The same speed again changes nothing.
        bus.write_all(&POLL).unwrap();
        Hear::set_baud(&mut listener, 115_200).unwrap();
        assert_eq!(read(&mut listener), POLL);
    }

    #[test]
    fn swapped_wires_never_read_right() {
        for wires in [Wires::Swapped, Wires::SwappedUnbiased] {
            let mut bus = GarblingPty::open(230_400, wires).unwrap();
            let mut listener = Listener::open(bus.path(), 230_400, Clock::new()).unwrap();
            bus.write_all(&POLL).unwrap();
            assert_eq!(read(&mut listener)[0], 0x04, "{wires:?}");
        }
    }

    #[test]
    fn the_bus_hears_the_client_at_its_own_speed() {
        let mut bus = GarblingPty::open(230_400, Wires::Straight).unwrap();
        let mut buf = [0; 256];
        assert_eq!(bus.read(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        for (baud, same) in [(230_400, true), (460_800, false)] {
            // It sets the speed, and leaves it set.
            drop(Listener::open(bus.path(), baud, Clock::new()).unwrap());
            let mut client = std::fs::OpenOptions::new().write(true).open(bus.path()).unwrap();
            client.write_all(&POLL).unwrap();
            let n = bus.read(&mut buf).unwrap();
            assert_eq!(buf[..n] == POLL, same, "{baud}: {:02x?}", &buf[..n]);
        }
    }

    #[test]
    fn a_bus_waits_for_nobody() {
        let mut bus = GarblingPty::open(230_400, Wires::Straight).unwrap();
        let _listener = Listener::open(bus.path(), 230_400, Clock::new()).unwrap();
        for _ in 0..100 {
            bus.write_all(&[0x55; 1000]).unwrap();
        }
        assert!(bus.lost() > 10_000, "{}", bus.lost());
    }
}

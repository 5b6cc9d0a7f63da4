//! Pseudo-terminal pairs of our own: a serial port that a program can be at the other end of.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::tty;

/// A pseudo-terminal pair: this end is read and written here, the other has a path that any
/// program can open as if it were a serial port.
///
/// The other end is in raw mode before its path is given out, at 230,400 baud, and one descriptor
/// of it stays open: its settings stay, and this end sees no end of file when the program there
/// closes. A fresh pair echoes all that is written here, even with nobody at the other end.
/// Dropping the value hangs up.
///
/// Reads and writes block, unless the descriptor is made non-blocking. What is written and not yet
/// read at the other end is held by the system, about 4 KiB of it; a write then waits.
#[derive(Debug)]
pub struct Pty {
    master: File,
    slave: OwnedFd,
    path: PathBuf,
}

impl Pty {
    /// A fresh pair.
    ///
    /// # Errors
    ///
    /// The system has no pair left, or no `/dev/pts`.
    pub fn open() -> io::Result<Pty> {
        let master = openpt(master_flags())?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path =
            PathBuf::from(std::ffi::OsString::from_vec(ptsname(&master, Vec::new())?.into_bytes()));
        let slave = open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut termios = tcgetattr(&slave)?;
        tty::silence(&mut termios);
        tty::set_line(&mut termios, crate::BAUD)?;
        tcsetattr(&slave, OptionalActions::Now, &termios)?;
        Ok(Pty { master: File::from(master), slave, path })
    }

    /// The path of the other end.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The speed that the other end was set to, in baud. It has no effect on a pseudo-terminal.
    ///
    /// # Errors
    ///
    /// The system refuses to tell.
    pub fn baud(&self) -> io::Result<u32> {
        Ok(tcgetattr(&self.slave)?.output_speed())
    }
}

/// Close-on-exec is a flag of the call on Linux alone.
#[cfg(target_os = "linux")]
fn master_flags() -> OpenptFlags {
    OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC
}

#[cfg(not(target_os = "linux"))]
fn master_flags() -> OpenptFlags {
    OpenptFlags::RDWR | OpenptFlags::NOCTTY
}

/// This end's descriptor, for polling.
impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

impl Read for Pty {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.master.read(buf)
    }
}

impl Read for &Pty {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&self.master).read(buf)
    }
}

impl Write for Pty {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.master.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.master.flush()
    }
}

impl Write for &Pty {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&self.master).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.master).flush()
    }
}

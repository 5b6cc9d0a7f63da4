//! Pseudo-terminal pairs of our own: a serial port that a program can be at the other end of.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k485_proto::record::Time;
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::clock::Clock;
use crate::error::{LinkError, OpenError};
use crate::link::{Event, Hear, Link};
use crate::symlink::LinkFile;
use crate::{tty, wait};

/// A pseudo-terminal pair: this end is read and written here, the other has a path that any
/// program can open as if it were a serial port.
///
/// The other end is in raw mode before its path is given out, at 230,400 baud, and one descriptor
/// of it stays open: its settings stay, and this end sees no end of file when the program there
/// closes. A fresh pair echoes all that is written here, even with nobody at the other end.
/// Dropping the value hangs up.
///
/// Reads and writes ([`Read`], [`Write`]) block, unless the descriptor is made non-blocking. What is
/// written and not yet read at the other end is held by the system, about 4 KiB of it; a write then
/// waits.
///
/// As a [`Link`] it is a port that nobody can unplug: with nobody at the other end it is idle, never
/// closed. [`Link::send`] does not wait for ever: where nobody makes room for a second and the time
/// of 4 KiB on the wire it is [`LinkError::NotTaken`].
#[derive(Debug)]
pub struct Pty {
    master: File,
    slave: OwnedFd,
    path: PathBuf,
    name: String,
    clock: Clock,
    link: Option<LinkFile>,
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
        let name = path.display().to_string();
        let master = File::from(master);
        Ok(Pty { master, slave, path, name, clock: Clock::new(), link: None })
    }

    /// A fresh pair with a link file: a symbolic link `link` to the other end's path, so that
    /// programs find it under a name that stays the same. It is removed when the value is dropped.
    ///
    /// A link file that an earlier process left behind is replaced: a symbolic link to a
    /// pseudo-terminal that is no more, or to this very one. (The system gives out the numbers of
    /// pseudo-terminals anew, the lowest first.) Anything else is left alone: a file, a link to
    /// elsewhere, a link to a pseudo-terminal that somebody has.
    ///
    /// # Errors
    ///
    /// [`OpenError::LinkTaken`]; or the system has no pair left, or refuses the link.
    pub fn with_link(link: impl AsRef<Path>) -> Result<Pty, OpenError> {
        let link = link.as_ref();
        let failed = |step: &'static str, source: io::Error| {
            let port = link.to_owned();
            OpenError::Io { port, step, source }
        };
        let mut pty = Pty::open().map_err(|e| failed("make a pseudo-terminal for it", e))?;
        pty.link = Some(LinkFile::new(link, &pty.path)?);
        pty.name = link.display().to_string();
        Ok(pty)
    }

    /// The same with its times taken from this clock.
    #[must_use]
    pub fn timed_by(self, clock: Clock) -> Pty {
        Pty { clock, ..self }
    }

    /// The path of the other end.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The link file's path, where there is one.
    #[must_use]
    pub fn link(&self) -> Option<&Path> {
        self.link.as_ref().map(LinkFile::path)
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

impl Hear for Pty {
    /// The link file's path, or the other end's where there is none.
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        wait::read_from(&self.master, &self.name, buf, timeout, &self.clock)
    }

    /// The speed that the program at the other end has set.
    fn baud(&self) -> Option<u32> {
        Pty::baud(self).ok()
    }
}

impl Link for Pty {
    fn send(&mut self, bytes: &[u8]) -> Result<Time, LinkError> {
        let failed = |error: rustix::io::Errno| {
            let name = self.name.clone();
            LinkError::Write { name, source: error.into() }
        };
        // A blocking write could wait for ever, and whether there is room for a whole write cannot
        // be asked.
        let flags = fcntl_getfl(&self.master).map_err(failed)?;
        fcntl_setfl(&self.master, flags | OFlags::NONBLOCK).map_err(failed)?;
        let sent = wait::write_to(&self.master, &self.name, bytes, Pty::baud(self).ok());
        fcntl_setfl(&self.master, flags).map_err(failed)?;
        sent.map(|()| self.clock.now())
    }
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

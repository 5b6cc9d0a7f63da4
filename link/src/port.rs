//! How a serial port is opened such that it does not speak by itself, and what any open one does.
//!
//! [`Listener`](crate::Listener) and [`Serial`](crate::Serial) are both this, and differ in the
//! right to write. Why in this order is told in [`listen`](crate::listen).

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};

use crate::clock::Clock;
use crate::error::{LinkError, NotATty, OpenError};
use crate::link::{Event, LineErrors};
use crate::{BAUD, ioctl, ports, terminal, tty, wait};

/// How a port is to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Options {
    /// The speed, in baud.
    pub baud: u32,
    /// Ask the driver to hand over bytes at once (`ASYNC_LOW_LATENCY`). A driver that cannot is
    /// left as it is. The driver keeps it over closing. Untested on hardware.
    pub low_latency: bool,
    /// Have the driver switch the transmitter by RTS; with `None` its setting is left alone.
    pub rs485: Option<Rs485>,
}

/// The bus's speed, low latency, and nothing done about the transmitter.
impl Default for Options {
    fn default() -> Options {
        Options { baud: BAUD, low_latency: true, rs485: None }
    }
}

/// That RTS is high while the port sends, and low else (`TIOCSRS485`): for a bare transceiver
/// whose transmitter is enabled by RTS. Untested on hardware.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rs485 {
    /// From raising RTS to the first bit, in whole milliseconds.
    pub before: Duration,
    /// From the last bit to lowering RTS, in whole milliseconds.
    pub after: Duration,
}

/// What became of RTS and DTR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Controls {
    /// Both are at the level for receiving (low).
    Set,
    /// The port has no such lines: a pseudo-terminal, or a driver without them.
    NotSupported,
}

/// Which rights a port is opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    ReadWrite,
}

/// A port, open or lost.
#[derive(Debug)]
pub(crate) struct Port {
    path: PathBuf,
    /// The path in words.
    name: String,
    access: Access,
    options: Options,
    clock: Clock,
    open: Option<Open>,
}

/// What there is of an open port.
#[derive(Debug)]
struct Open {
    fd: OwnedFd,
    baud: u32,
    controls: Controls,
    low_latency: bool,
    echo_window: Option<Duration>,
    /// The driver's counters at opening; they count since it was loaded.
    line_errors: Option<LineErrors>,
}

impl Port {
    pub(crate) fn open(
        path: &Path,
        access: Access,
        options: &Options,
        clock: Clock,
    ) -> Result<Port, OpenError> {
        let open = Open::new(path, access, options)?;
        let name = path.display().to_string();
        let path = path.to_owned();
        Ok(Port { path, name, access, options: *options, clock, open: Some(open) })
    }

    /// Opens the path anew. What was open is given up first: its lock would be in the way.
    pub(crate) fn reopen(&mut self) -> Result<(), OpenError> {
        self.open = None;
        if terminal::is_somebodys(&self.path) {
            return Err(OpenError::Busy { port: self.path.clone() });
        }
        self.open = Some(Open::new(&self.path, self.access, &self.options)?);
        Ok(())
    }

    pub(crate) fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        match &self.open {
            Some(open) => wait::read_from(&open.fd, &self.name, buf, timeout, &self.clock),
            None => Ok(Event::Closed),
        }
    }

    pub(crate) fn set_baud(&mut self, baud: u32) -> Result<(), OpenError> {
        let Some(open) = &mut self.open else {
            return Err(OpenError::Gone { name: self.name.clone() });
        };
        let path = &self.path;
        let found = tcgetattr(&open.fd).map_err(|e| failed(path, "read its settings", e))?;
        let was_set = set_line(path, &open.fd, found, baud)?;
        open.baud = check_settings(path, &open.fd, baud)?;
        self.options.baud = baud;
        if !was_set {
            drop_heard(path, &open.fd, QueueSelector::IFlush)?;
        }
        Ok(())
    }

    pub(crate) fn line_errors(&self) -> Option<LineErrors> {
        let open = self.open.as_ref()?;
        let before = open.line_errors?;
        Some(ioctl::line_errors(open.fd.as_fd()).ok()?.since(before))
    }

    /// The descriptor; none while the port is lost.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.open.as_ref().map(|open| open.fd.as_fd())
    }

    pub(crate) fn take_fd(&mut self) -> Option<OwnedFd> {
        self.open.take().map(|open| open.fd)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The speed that the driver told; while the port is lost, the one asked for.
    pub(crate) fn baud(&self) -> u32 {
        self.open.as_ref().map_or(self.options.baud, |open| open.baud)
    }

    pub(crate) fn controls(&self) -> Controls {
        self.open.as_ref().map_or(Controls::NotSupported, |open| open.controls)
    }

    pub(crate) fn low_latency(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.low_latency)
    }

    pub(crate) fn echo_window(&self) -> Option<Duration> {
        self.open.as_ref().and_then(|open| open.echo_window)
    }
}

impl Open {
    fn new(port: &Path, access: Access, options: &Options) -> Result<Open, OpenError> {
        check_path(port)?;
        let began = Instant::now();
        let fd = open(port, access)?;
        let found = tcgetattr(&fd).map_err(|e| failed(port, "read its settings", e))?;
        let mut wanted = found.clone();
        tty::silence(&mut wanted);
        let was_silent = tty::is_silent(&found);
        if !was_silent {
            tcsetattr(&fd, OptionalActions::Now, &wanted)
                .map_err(|e| failed(port, "set raw mode", e))?;
        }
        let echo_window = tty::echoes(&found).then(|| began.elapsed());
        lock(port, &fd)?;
        let controls = lower_controls(port, &fd)?;
        let line_was_set = set_line(port, &fd, wanted, options.baud)?;
        if !(was_silent && line_was_set) {
            let stale = if was_silent { QueueSelector::IFlush } else { QueueSelector::IOFlush };
            drop_heard(port, &fd, stale)?;
        }
        let baud = check_settings(port, &fd, options.baud)?;
        switch_transmitter(port, &fd, options.rs485)?;
        let low_latency = shorten_latency(&fd, options.low_latency);
        let line_errors = ioctl::line_errors(fd.as_fd()).ok();
        Ok(Open { fd, baud, controls, low_latency, echo_window, line_errors })
    }
}

fn drop_heard(port: &Path, fd: &OwnedFd, which: QueueSelector) -> Result<(), OpenError> {
    tcflush(fd, which).map_err(|e| failed(port, "drop what it heard before", e))
}

/// Looks at what is there before anything is opened: opening alone does things to other devices.
fn check_path(port: &Path) -> Result<(), OpenError> {
    let kind = fs::metadata(port).map_err(|e| failed_io(port, "look at it", e))?.file_type();
    let kind = match kind {
        kind if kind.is_char_device() => return Ok(()),
        kind if kind.is_file() => NotATty::File,
        kind if kind.is_dir() => NotATty::Directory,
        _ => NotATty::Other,
    };
    Err(OpenError::NotATty { port: port.to_owned(), kind })
}

/// Opens without waiting for a carrier.
fn open(port: &Path, access: Access) -> Result<OwnedFd, OpenError> {
    let access = match access {
        Access::Read => OFlags::RDONLY,
        Access::ReadWrite => OFlags::RDWR,
    };
    let flags = access | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(port, flags, Mode::empty()).map_err(|e| failed(port, "open it", e))
}

/// Takes the port for this process, as far as programs ask each other.
fn lock(port: &Path, fd: &OwnedFd) -> Result<(), OpenError> {
    match flock(fd, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(OpenError::Busy { port: port.to_owned() }),
        // Where nodes cannot be locked nobody has locked this one.
        _ => Ok(()),
    }
}

/// Asks for what makes the driver hand over bytes at once; whether it does.
fn shorten_latency(fd: &OwnedFd, wanted: bool) -> bool {
    wanted && ioctl::set_low_latency(fd.as_fd()).is_ok()
}

/// Has the driver switch the transmitter, where that was asked for.
fn switch_transmitter(port: &Path, fd: &OwnedFd, rs485: Option<Rs485>) -> Result<(), OpenError> {
    let Some(rs485) = rs485 else { return Ok(()) };
    ioctl::set_rs485(fd.as_fd(), rs485).map_err(|error| match error {
        // No such request, and a request that this hardware cannot follow.
        Errno::NOTTY | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS => {
            OpenError::NoRs485 { port: port.to_owned() }
        }
        error => failed(port, "have RTS switch the transmitter", error),
    })
}

/// Takes RTS and DTR to the level for receiving.
fn lower_controls(port: &Path, fd: &OwnedFd) -> Result<Controls, OpenError> {
    match ioctl::lower_rts_and_dtr(fd.as_fd()) {
        Ok(()) => Ok(Controls::Set),
        // What drivers without these lines say: ENOTTY, and EINVAL before Linux 5.13.
        Err(Errno::NOTTY | Errno::INVAL) => Ok(Controls::NotSupported),
        Err(error) => Err(failed(port, "take back RTS and DTR", error)),
    }
}

/// Sets speed and format; whether they were so already.
fn set_line(port: &Path, fd: &OwnedFd, found: Termios, baud: u32) -> Result<bool, OpenError> {
    let refused = || OpenError::UnsupportedBaud { port: port.to_owned(), asked: baud, got: None };
    // 0 baud means "hang up".
    if baud == 0 {
        return Err(refused());
    }
    let mut wanted = found.clone();
    tty::set_line(&mut wanted, baud).map_err(|_| refused())?;
    let same_speed = (found.input_speed(), found.output_speed()) == (baud, baud);
    if same_speed && tty::same_modes(&found, &wanted) {
        return Ok(true);
    }
    match tcsetattr(fd, OptionalActions::Now, &wanted) {
        Ok(()) => Ok(false),
        Err(Errno::INVAL) => Err(refused()),
        Err(error) => Err(failed(port, "set its speed", error)),
    }
}

/// Reads the settings back, since setting them succeeds when any of them was taken; the speed.
fn check_settings(port: &Path, fd: &OwnedFd, asked: u32) -> Result<u32, OpenError> {
    let set = tcgetattr(fd).map_err(|e| failed(port, "read its settings", e))?;
    if !tty::is_silent(&set) {
        return Err(OpenError::NotSilent { port: port.to_owned() });
    }
    let got = set.input_speed();
    if !tty::near(asked, got) {
        let port = port.to_owned();
        return Err(OpenError::UnsupportedBaud { port, asked, got: Some(got) });
    }
    Ok(got)
}

pub(crate) fn failed(port: &Path, step: &'static str, error: Errno) -> OpenError {
    failed_io(port, step, error.into())
}

/// The error for what the system said to a step.
fn failed_io(port: &Path, step: &'static str, source: io::Error) -> OpenError {
    let port = port.to_owned();
    match Errno::from_io_error(&source) {
        Some(Errno::NOENT | Errno::NOTDIR) => {
            OpenError::NotFound { port, existing: ports::available() }
        }
        Some(Errno::ACCESS | Errno::PERM) => OpenError::NoPermission { port },
        Some(Errno::BUSY) => OpenError::Busy { port },
        Some(Errno::NOTTY) => OpenError::NotATty { port, kind: NotATty::Other },
        Some(Errno::NXIO | Errno::NODEV | Errno::IO) => OpenError::NoDevice { port, source },
        _ => OpenError::Io { port, step, source },
    }
}

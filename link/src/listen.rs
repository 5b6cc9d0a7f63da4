//! A port that can only hear.
//!
//! A bus that is listened to must not notice it. A Linux terminal can speak in three ways without
//! any program writing to it, and all three are turned off in this order, at once after `open`:
//!
//! 1. *Echo.* A fresh terminal sends back every byte that it hears, whoever opened it and with
//!    which rights, read-only too. Raw mode ends that, together with the other settings that make
//!    a terminal send by itself: XOFF bytes and RTS as flow control, and the bell. If echo was on,
//!    what is still waiting to be sent is thrown away.
//! 2. *RTS and DTR.* Opening raises both (source: Linux, `tty_port.c`). Adapters that switch their
//!    transmitter by RTS then hold the bus. Both are taken back, the level for receiving.
//! 3. *Closing.* It restores nothing: old settings would mean echo. It leaves RTS and DTR low.
//!
//! # The window that remains
//!
//! The kernel lets nobody set a terminal that is not open, so between `open` and raw mode there is
//! a window: some 20 µs on a pseudo-terminal (measured; milliseconds when the scheduler steps in),
//! about that on a UART of the machine, and more on a USB adapter, whose driver talks to the
//! adapter before `open` returns (both inferred). What is heard in it goes back to the bus **if the
//! settings as found have echo**; [`Listener::echo_window`] says whether they had and how long the
//! window was. Measured with fresh pseudo-terminals that heard a full bus at 230,400 baud from the
//! moment of opening: 2 in 100 opens gave a byte back, against 80 in 100 with raw mode 2 ms later.
//!
//! Which settings are found is up to the driver (source: Linux, `tty_io.c`, `pty.c`,
//! `usb-serial.c`; observed for pseudo-terminals only):
//!
//! | port | settings found at `open` | echo |
//! |---|---|---|
//! | serial port, UART or USB, never opened since it was plugged in (since start-up, if built in) | the driver's: echo on | for the window |
//! | the same, opened before | those of the last program, kept over closing | none after a `Listener` |
//! | USB adapter whose driver has settings of its own, kernel before 5.2 | the driver's at every open | for the window |
//! | fresh pseudo-terminal | echo on, and it echoes **before** anybody opens it | until the first program sets raw mode |
//! | pseudo-terminal opened before, or a [`Pty`](crate::Pty) | the last ones; kept until its owner ends | none after a `Listener` |
//!
//! So the first `Listener` on a port leaves it such that no later one has a window, until the
//! adapter is plugged in anew. Where not one byte may come back, open the port once while its bus
//! wires are not connected yet. The window of RTS is another: every `open` raises it, and nothing
//! but an adapter that switches its transmitter by itself, as most do, is safe from that.
//!
//! Another program with the same port open can still write; but [`Listener::open`] refuses a port
//! that is locked (`flock`, `TIOCEXCL`), and locks it with `flock` itself, for each byte goes to
//! only one reader. It does not set `TIOCEXCL`, which on a pseudo-terminal outlives the listener.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};

use crate::clock::Clock;
use crate::error::{LinkError, NotATty, OpenError};
use crate::link::{Event, Hear};
use crate::{ioctl, ports, tty};

/// The longest single wait; longer time-outs are made of several.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A serial port or a pseudo-terminal that is heard and cannot be written to.
///
/// It has no way to write and gives out no descriptor with which one could:
///
/// ```compile_fail
/// fn can_write<T: std::io::Write>() {}
/// can_write::<k485_link::Listener>();
/// ```
/// ```compile_fail
/// fn gives_its_descriptor<T: std::os::fd::AsFd>() {}
/// gives_its_descriptor::<k485_link::Listener>();
/// ```
///
/// A [`Pty`](crate::Pty) does both, so these two tests can pass:
///
/// ```
/// fn can_write<T: std::io::Write>() {}
/// fn gives_its_descriptor<T: std::os::fd::AsFd>() {}
/// can_write::<k485_link::Pty>();
/// gives_its_descriptor::<k485_link::Pty>();
/// ```
#[derive(Debug)]
pub struct Listener {
    port: PathBuf,
    /// The path in words.
    name: String,
    fd: OwnedFd,
    clock: Clock,
    baud: u32,
    controls: Controls,
    echo_window: Option<Duration>,
}

/// What became of RTS and DTR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Controls {
    /// Both are at the level for receiving (low).
    Set,
    /// The port has no such lines: a pseudo-terminal, or a driver without them.
    NotSupported,
}

impl Listener {
    /// Opens a port for listening: `baud`, 8 data bits, no parity, one stop bit, in the order that
    /// the [module](self) tells. What the port heard before its settings were right is thrown
    /// away; if they were, it is kept and read first.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. A port that cannot be opened is left silent, not as it was.
    pub fn open(port: impl AsRef<Path>, baud: u32, clock: Clock) -> Result<Listener, OpenError> {
        let port = port.as_ref();
        check_path(port)?;
        let began = Instant::now();
        let fd = open_to_read(port)?;
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
        let line_was_set = set_line(port, &fd, wanted, baud)?;
        if !(was_silent && line_was_set) {
            let stale = if was_silent { QueueSelector::IFlush } else { QueueSelector::IOFlush };
            tcflush(&fd, stale).map_err(|e| failed(port, "drop what it heard before", e))?;
        }
        let baud = check_settings(port, &fd, baud)?;
        let name = port.display().to_string();
        Ok(Listener { port: port.to_owned(), name, fd, clock, baud, controls, echo_window })
    }

    /// Waits until bytes are there and reads them, or until `timeout` has passed; with a zero
    /// time-out it only looks. A signal does not end it, so a program that is to end by Ctrl-C
    /// gives a short time-out and looks at its flag in between.
    ///
    /// Bytes that arrive together may be told in one event: their time is that of the reading, not
    /// that of the wire. USB adapters collect bytes for up to 16 ms.
    ///
    /// # Errors
    ///
    /// [`LinkError::EmptyBuffer`], and whatever the system says other than that the port is gone.
    pub fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        if buf.is_empty() {
            return Err(LinkError::EmptyBuffer { port: self.port.clone() });
        }
        // None is a time-out beyond the end of the clock.
        let deadline = Instant::now().checked_add(timeout);
        let mut hung_up = false;
        loop {
            match rustix::io::read(&self.fd, &mut *buf) {
                Ok(0) => return Ok(Event::Closed),
                Ok(n) => return Ok(Event::Bytes { n, time: self.clock.now() }),
                Err(Errno::AGAIN) if hung_up => return Ok(Event::Closed),
                Err(Errno::AGAIN) => {}
                Err(Errno::INTR) => continue,
                Err(Errno::IO | Errno::NXIO | Errno::NODEV) => return Ok(Event::Closed),
                Err(error) => return Err(self.failed(error)),
            }
            let left = deadline.map_or(LONGEST_WAIT, |end| {
                end.saturating_duration_since(Instant::now()).min(LONGEST_WAIT)
            });
            if left.is_zero() {
                return Ok(Event::Idle);
            }
            hung_up = self.wait(left)?;
        }
    }

    /// Waits for bytes; whether the other end has hung up.
    fn wait(&self, timeout: Duration) -> Result<bool, LinkError> {
        let timeout = Timespec::try_from(timeout).map_err(|_| self.failed(Errno::INVAL))?;
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(self.failed(error)),
        }
        Ok(fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL))
    }

    fn failed(&self, error: Errno) -> LinkError {
        LinkError::Io { port: self.port.clone(), source: error.into() }
    }

    /// The path as given to [`Listener::open`].
    #[must_use]
    pub fn port(&self) -> &Path {
        &self.port
    }

    /// The speed that the driver says it runs at, in baud; within 2.5 % of the one asked for.
    #[must_use]
    pub fn baud(&self) -> u32 {
        self.baud
    }

    /// What became of RTS and DTR.
    #[must_use]
    pub fn controls(&self) -> Controls {
        self.controls
    }

    /// How long, at most, the port was open with echo on before raw mode was set: bytes heard in
    /// that time may have gone back to the bus. `None` when it was found without echo, so that
    /// nothing can have gone back.
    #[must_use]
    pub fn echo_window(&self) -> Option<Duration> {
        self.echo_window
    }
}

impl Hear for Listener {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        Listener::read(self, buf, timeout)
    }

    fn reopen(&mut self) -> Result<(), OpenError> {
        *self = Listener::open(&self.port, self.baud, self.clock)?;
        Ok(())
    }

    fn baud(&self) -> Option<u32> {
        Some(self.baud)
    }

    /// What was heard at the old speed and not read yet is thrown away.
    fn set_baud(&mut self, baud: u32) -> Result<(), OpenError> {
        let found = tcgetattr(&self.fd).map_err(|e| failed(&self.port, "read its settings", e))?;
        if !set_line(&self.port, &self.fd, found, baud)? {
            tcflush(&self.fd, QueueSelector::IFlush)
                .map_err(|e| failed(&self.port, "drop what it heard before", e))?;
        }
        self.baud = check_settings(&self.port, &self.fd, baud)?;
        Ok(())
    }
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

/// Opens without the right to write, and without waiting for a carrier.
fn open_to_read(port: &Path) -> Result<OwnedFd, OpenError> {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
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

fn failed(port: &Path, step: &'static str, error: Errno) -> OpenError {
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

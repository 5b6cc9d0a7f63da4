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

use std::path::Path;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{LinkError, OpenError};
use crate::link::{Event, Hear, LineErrors};
use crate::port::{Access, Controls, Options, Port};

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
pub struct Listener(Port);

impl Listener {
    /// Opens a port for listening: `baud`, 8 data bits, no parity, one stop bit, in the order that
    /// the [module](self) tells; else as [`Options::default`] says. What the port heard before its
    /// settings were right is thrown away; if they were, it is kept and read first.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. A port that cannot be opened is left silent, not as it was.
    pub fn open(port: impl AsRef<Path>, baud: u32, clock: Clock) -> Result<Listener, OpenError> {
        Listener::with(port, &Options { baud, ..Options::default() }, clock)
    }

    /// [`Listener::open`] with all the settings told.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn with(
        port: impl AsRef<Path>,
        options: &Options,
        clock: Clock,
    ) -> Result<Listener, OpenError> {
        Ok(Listener(Port::open(port.as_ref(), Access::Read, options, clock)?))
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
        self.0.read(buf, timeout)
    }

    /// The path as given to [`Listener::open`].
    #[must_use]
    pub fn port(&self) -> &Path {
        self.0.path()
    }

    /// The speed that the driver says it runs at, in baud; within 2.5 % of the one asked for.
    #[must_use]
    pub fn baud(&self) -> u32 {
        self.0.baud()
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

    /// How long, at most, the port was open with echo on before raw mode was set: bytes heard in
    /// that time may have gone back to the bus. `None` when it was found without echo, so that
    /// nothing can have gone back.
    #[must_use]
    pub fn echo_window(&self) -> Option<Duration> {
        self.0.echo_window()
    }
}

impl Hear for Listener {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        self.0.read(buf, timeout)
    }

    /// Opens the same path anew, with all the care of the first time. The port is given up first,
    /// and stays closed where that fails.
    fn reopen(&mut self) -> Result<(), OpenError> {
        self.0.reopen()
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

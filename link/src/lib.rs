//! Where the bytes of the bus come from and go to.
//!
//! - [`link`](mod@link): what every link is, [`Hear`] and [`Link`];
//! - [`listen`]: a serial port that can only hear, [`Listener`]; [`serial`]: one to take part with,
//!   [`Serial`]; [`port`]: how both are set;
//! - [`pty`]: pseudo-terminal pairs of our own, for tests and for emulated buses;
//! - [`tcp`]: ser2net, socat; [`memory`]: a wire inside the process;
//! - [`pipe`] and [`played`]: a stream and a capture, heard as a bus;
//! - [`recorded`], [`paced`], [`echo`]: wrappers round any of them;
//! - [`fault`]: rules that spoil what passes, seeded and repeatable, and [`Faulty`], a link under
//!   them;
//! - [`clock`]: the one clock that times are taken from;
//! - [`error`]: what can go wrong, each with what to do;
//! - [`ports`]: the serial ports of this machine;
//! - [`uart`]: what a UART reads at another speed, or with its wires swapped; [`garble`]: a
//!   pseudo-terminal that does so to its client.
//!
//! All of it blocks, with an end to every wait: no runtime.
//!
//! Unix only: Linux first, and macOS as far as its terminals are the same.

pub mod clock;
pub mod echo;
pub mod error;
pub mod fault;
pub mod garble;
mod ioctl;
pub mod link;
pub mod listen;
pub mod memory;
pub mod paced;
pub mod pipe;
pub mod played;
pub mod port;
pub mod ports;
pub mod pty;
pub mod recorded;
mod rng;
pub mod serial;
mod symlink;
pub mod tcp;
mod terminal;
mod tty;
pub mod uart;
mod wait;

pub use clock::Clock;
pub use echo::EchoOff;
pub use error::{LinkError, NotATty, OpenError};
pub use fault::{Faults, Faulty};
pub use garble::{GarblingPty, Wires};
pub use link::{Event, Hear, LineErrors, Link};
pub use listen::Listener;
pub use paced::Paced;
pub use pipe::Pipe;
pub use played::{Played, Step};
pub use port::{Controls, Options, Rs485};
pub use pty::Pty;
pub use recorded::{Recorded, Told};
pub use rng::Rng;
pub use serial::Serial;
pub use tcp::Tcp;

/// The bus's speed in baud (bits a second, 8 data bits, no parity, one stop bit). Source: the
/// printers' configuration files; firmware.
pub const BAUD: u32 = 230_400;

//! Where the bytes of the bus come from: serial ports and pseudo-terminals.
//!
//! - [`link`](mod@link): what every link is, [`Hear`] and [`Link`];
//! - [`listen`]: a port that can only hear, [`Listener`];
//! - [`clock`]: the one clock that times are taken from;
//! - [`error`]: what can go wrong at opening and reading, each with what to do;
//! - [`ports`]: the serial ports of this machine;
//! - [`pty`]: pseudo-terminal pairs of our own, for tests and for emulated buses;
//! - [`uart`]: what a UART reads at another speed, or with its wires swapped;
//! - [`garble`]: a pseudo-terminal that does so to its client.
//!
//! Unix only: Linux first, and macOS as far as its terminals are the same.

pub mod clock;
pub mod error;
pub mod garble;
mod ioctl;
pub mod link;
pub mod listen;
pub mod ports;
pub mod pty;
mod tty;
pub mod uart;

pub use clock::Clock;
pub use error::{LinkError, NotATty, OpenError};
pub use garble::{GarblingPty, Wires};
pub use link::{Event, Hear, LineErrors, Link};
pub use listen::{Controls, Listener};
pub use pty::Pty;

/// The bus's speed in baud (bits a second, 8 data bits, no parity, one stop bit). Source: the
/// printers' configuration files; firmware.
pub const BAUD: u32 = 230_400;

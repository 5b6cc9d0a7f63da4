//! What can go wrong at opening, reading and writing a link, each with what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is nothing at the path.
    #[error("{}: there is no such port; {}", port.display(), Existing(existing))]
    NotFound {
        /// The path as given.
        port: PathBuf,
        /// The serial ports that this machine has, as [`ports::available`](crate::ports) lists
        /// them.
        existing: Vec<PathBuf>,
    },
    /// The user may not read the port.
    #[error(
        "{}: no permission; add yourself to the group that owns the port (dialout on Debian and \
         Ubuntu, uucp on Arch): `sudo usermod -aG dialout $USER`, then log in again",
        port.display()
    )]
    NoPermission {
        /// The path as given.
        port: PathBuf,
    },
    /// Another program has the port and would lose bytes to this one.
    #[error(
        "{}: another program is using the port, and each byte goes to only one reader; end that \
         program (`fuser -v {}` names it)",
        port.display(), port.display()
    )]
    Busy {
        /// The path as given.
        port: PathBuf,
    },
    /// The path leads to something that is no terminal.
    #[error("{}: this is {kind}, not a serial port{}", port.display(), kind.advice())]
    NotATty {
        /// The path as given.
        port: PathBuf,
        /// What is there.
        kind: NotATty,
    },
    /// The node is there, the device behind it is not.
    #[error(
        "{}: no device is behind this port ({source}); it was unplugged, or this machine has no \
         such UART",
        port.display()
    )]
    NoDevice {
        /// The path as given.
        port: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The port cannot run at the speed.
    #[error(
        "{}: the port cannot run at {asked} baud{}; use another adapter or another speed",
        port.display(), Got(*got)
    )]
    UnsupportedBaud {
        /// The path as given.
        port: PathBuf,
        /// The speed asked for, in baud.
        asked: u32,
        /// The speed that the driver chose instead, in baud; `None` when it refused.
        got: Option<u32>,
    },
    /// The driver would not take the settings that keep it from sending by itself.
    #[error(
        "{}: the driver keeps a setting with which it would send by itself; nothing can listen \
         here safely, use another adapter",
        port.display()
    )]
    NotSilent {
        /// The path as given.
        port: PathBuf,
    },
    /// Another way to switch the transmitter is needed.
    #[error(
        "{}: the driver cannot switch a transmitter by RTS; leave out the RS-485 mode, and use an \
         adapter that switches by itself",
        port.display()
    )]
    NoRs485 {
        /// The path as given.
        port: PathBuf,
    },
    /// An address of the network that is none.
    #[error("{name}: {why}; write tcp:HOST:PORT, with an IPv6 address in brackets: tcp:[::1]:2000")]
    Address {
        /// The link's name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing answered at an address of the network.
    #[error("{name}: cannot connect: {source}; is ser2net or socat running there?")]
    Connect {
        /// The link's name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A link file's place is taken.
    #[error("{}: {why}; choose another name, or remove it", link.display())]
    LinkTaken {
        /// The link file.
        link: PathBuf,
        /// What is there.
        why: String,
    },
    /// The link is gone and cannot be opened anew.
    #[error("{name}: is gone and cannot come back")]
    Gone {
        /// The link's name.
        name: String,
    },
    /// The link has no speed to set.
    #[error("{name}: has no speed to set")]
    NoSpeed {
        /// The link's name.
        name: String,
    },
    /// Anything else.
    #[error("{}: cannot {step}: {source}", port.display())]
    Io {
        /// The path as given.
        port: PathBuf,
        /// What was being done, to be read after `cannot`.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// What is at a path that leads to no terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotATty {
    /// A file with contents.
    File,
    /// A directory.
    Directory,
    /// A pipe, a socket, a disk or another device.
    Other,
}

impl NotATty {
    /// What to do instead, with the punctuation in front of it.
    fn advice(self) -> &'static str {
        match self {
            NotATty::File => "; to decode a file use `k485 decode`",
            NotATty::Directory => "; give one of the ports in it",
            NotATty::Other => "",
        }
    }
}

/// `a file`, `a directory`, `another kind of device`.
impl fmt::Display for NotATty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotATty::File => "a file",
            NotATty::Directory => "a directory",
            NotATty::Other => "another kind of device",
        })
    }
}

/// Why a link could not be read or written to. For a reader a link that is gone is no error but
/// [`Event::Closed`](crate::Event::Closed).
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The buffer for the bytes has no room.
    #[error("{name}: the buffer to read into is empty")]
    EmptyBuffer {
        /// The link's name.
        name: String,
    },
    /// The system refused to read.
    #[error("{name}: cannot read: {source}")]
    Read {
        /// The link's name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused to write.
    #[error("{name}: cannot send: {source}")]
    Write {
        /// The link's name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The link is gone while something was to be sent.
    #[error("{name}: cannot send: it is gone (unplugged, or its other end was closed)")]
    Gone {
        /// The link's name.
        name: String,
    },
    /// The other end does not take bytes as fast as a wire would.
    #[error(
        "{name}: cannot send: after {sent} of {len} bytes nobody takes any more; is a program \
         reading at the other end?"
    )]
    NotTaken {
        /// The link's name.
        name: String,
        /// How many bytes were taken.
        sent: usize,
        /// How many there were.
        len: usize,
    },
}

/// The ports that could have been meant.
struct Existing<'a>(&'a [PathBuf]);

impl fmt::Display for Existing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.0.split_first() else {
            return f.write_str("no serial port was found: is the adapter plugged in?");
        };
        write!(f, "there is {}", first.display())?;
        others.iter().try_for_each(|port| write!(f, ", {}", port.display()))
    }
}

/// The speed that the driver chose.
struct Got(Option<u32>);

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |got| write!(f, " (the driver offers {got})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_which_port_what_is_wrong_and_what_to_do() {
        let port = PathBuf::from("/dev/ttyUSB7");
        let none = OpenError::NotFound { port: port.clone(), existing: vec![] };
        assert_eq!(
            none.to_string(),
            "/dev/ttyUSB7: there is no such port; no serial port was found: is the adapter plugged \
             in?"
        );
        let some = OpenError::NotFound {
            port: port.clone(),
            existing: vec!["/dev/ttyUSB0".into(), "/dev/ttyACM0".into()],
        };
        assert_eq!(
            some.to_string(),
            "/dev/ttyUSB7: there is no such port; there is /dev/ttyUSB0, /dev/ttyACM0"
        );
        let slow = OpenError::UnsupportedBaud { port, asked: 230_400, got: Some(115_200) };
        assert_eq!(
            slow.to_string(),
            "/dev/ttyUSB7: the port cannot run at 230400 baud (the driver offers 115200); use \
             another adapter or another speed"
        );
        let file = OpenError::NotATty { port: "a.log".into(), kind: NotATty::File };
        assert_eq!(
            file.to_string(),
            "a.log: this is a file, not a serial port; to decode a file use `k485 decode`"
        );
        let pipe = OpenError::NotATty { port: "/dev/null".into(), kind: NotATty::Other };
        assert_eq!(
            pipe.to_string(),
            "/dev/null: this is another kind of device, not a serial port"
        );
    }
}

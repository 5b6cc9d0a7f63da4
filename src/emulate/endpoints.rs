//! Where an emulated bus can be reached.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use k485_emulator::serve::Server;
use k485_link::{Clock, Event, Hear, Options, Serial};
use k485_proto::deframer::{Deframer, Span};
use k485_proto::dialect::K2;
use k485_proto::direction;
use k485_proto::record::Direction;
use serde::Serialize;

use crate::runtime;

/// The default link file's name.
const NAME: &str = "k485";
/// How long a serial port is listened to before devices are played there.
const LISTEN: Duration = Duration::from_secs(10);
/// How long one read waits.
const WAIT: Duration = Duration::from_millis(200);

/// An endpoint, as the first line on stdout tells it.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Told {
    /// A pseudo-terminal.
    Pty {
        /// The link file.
        link: PathBuf,
        /// What it leads to.
        path: PathBuf,
    },
    /// A TCP port.
    Tcp {
        /// Its address and port.
        address: SocketAddr,
    },
    /// A serial port.
    Serial {
        /// Its path.
        path: PathBuf,
    },
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told::Pty { link, .. } => write!(f, "{}", link.display()),
            Told::Tcp { address } => write!(f, "tcp:{address}"),
            Told::Serial { path } => write!(f, "{}", path.display()),
        }
    }
}

/// What was asked for.
pub(super) struct Endpoints<'a> {
    pub(super) pty: &'a [PathBuf],
    pub(super) tcp: &'a [SocketAddr],
    pub(super) serial: Vec<(PathBuf, OwnedFd)>,
}

impl Endpoints<'_> {
    /// Opens all of them; the default one where there is none.
    pub(super) fn open(self, server: &mut Server) -> anyhow::Result<Vec<Told>> {
        let mut told = Vec::new();
        let mut links = self.pty.to_vec();
        if links.is_empty() && self.tcp.is_empty() && self.serial.is_empty() {
            links.push(runtime::folder()?.join(NAME));
        }
        for link in links {
            let path = server.add_pty(Some(&link))?;
            told.push(Told::Pty { link, path });
        }
        for address in self.tcp {
            let bound = server.add_tcp(*address);
            let address = bound.with_context(|| format!("tcp:{address}: cannot listen there"))?;
            told.push(Told::Tcp { address });
        }
        for (path, fd) in self.serial {
            server.add_serial(&path.display().to_string(), fd);
            told.push(Told::Serial { path });
        }
        Ok(told)
    }
}

/// Opens serial ports to play these addresses there, unless one of them answers already: then the
/// refusal, in words.
pub(super) fn claim(
    ports: &[PathBuf],
    baud: u32,
    played: &[u8],
) -> anyhow::Result<Result<Vec<(PathBuf, OwnedFd)>, String>> {
    let mut claimed = Vec::new();
    for path in ports {
        let mut port = Serial::open(path, &Options { baud, ..Options::default() }, Clock::new())?;
        eprintln!("k485: listening on {} for {} s first", path.display(), LISTEN.as_secs());
        if let Some(address) = answered(&mut port, played)? {
            return Ok(Err(format!(
                "{}: a device at {address:02x} answers there already; two at one address spoil each \
                 other's replies: unplug it, or play fewer devices",
                path.display()
            )));
        }
        let Some(fd) = port.into_fd() else {
            bail!("{} is gone: it was unplugged", path.display())
        };
        claimed.push((path.clone(), fd));
    }
    Ok(Ok(claimed))
}

/// Listens; the first of the addresses that is heard to answer.
fn answered(port: &mut impl Hear, played: &[u8]) -> anyhow::Result<Option<u8>> {
    let until = Instant::now() + LISTEN;
    let mut deframer = Deframer::new();
    let mut buf = [0; 1024];
    // A motor's reply can be its request's very bytes: the second of two is one.
    let mut before = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let mut bytes = match port.read(&mut buf, left.min(WAIT))? {
            Event::Bytes { n, .. } => &buf[..n],
            Event::Idle => {
                before.clear();
                continue;
            }
            Event::Closed => bail!("{} is gone: it was unplugged", port.name()),
        };
        while let Some(span) = deframer.pull(&mut bytes) {
            let Span::Frame { frame, .. } = span else { continue };
            let (direction, _) = direction::alone(&frame, &K2);
            let again = direction.is_none() && before == frame.raw();
            let reply = direction == Some(Direction::Response) || again;
            if reply && played.contains(&frame.addr().0) {
                return Ok(Some(frame.addr().0));
            }
            before = frame.raw().to_vec();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_link::memory;

    fn heard(frames: &[&[u8]]) -> Option<u8> {
        let (mut bus, mut port) = memory::pair(Clock::new(), None);
        for frame in frames {
            k485_link::Link::send(&mut bus, frame).unwrap();
        }
        // What is closed ends it early.
        drop(bus);
        answered(&mut port, &[1, 2, 0x81]).ok().flatten()
    }

    #[test]
    fn whoever_answers_is_found() {
        let poll = [0xf7, 0x01, 0x03, 0xff, 0x05, 0x71];
        let reply = [0xf7, 0x01, 0x04, 0x00, 0x05, 0x00, 0x19];
        assert_eq!(heard(&[&poll]), None);
        assert_eq!(heard(&[&poll, &reply]), Some(1));
        let mode = [0xf7, 0x81, 0x04, 0x00, 0x11, 0x02, 0x14];
        assert_eq!(heard(&[&mode]), None);
        assert_eq!(heard(&[&mode, &mode]), Some(0x81));
    }
}

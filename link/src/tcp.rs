//! A bus at the other end of a TCP connection: ser2net in its raw mode, or socat.
//!
//! The bytes of the connection are the bytes of the wire, nothing else: no telnet, no RFC 2217. So
//! the speed is the other side's business, and times are those of arrival here.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use k485_proto::record::Time;
use rustix::net::sockopt;

use crate::clock::Clock;
use crate::error::{LinkError, OpenError};
use crate::link::{Event, Hear, Link};
use crate::wait;

/// How long a connection may take, for each address of the host.
const CONNECT: Duration = Duration::from_secs(5);
/// After so long a silence the system asks whether the other side is still there, and then this
/// often; a dead one is noticed after some 25 s. A bus may well be silent.
const ASK_AFTER: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_secs(5);
const ASK_TIMES: u32 = 3;

/// A TCP connection that carries the bytes of a bus.
#[derive(Debug)]
pub struct Tcp {
    address: String,
    /// `tcp:` and the address.
    name: String,
    clock: Clock,
    stream: Option<TcpStream>,
}

impl Tcp {
    /// Connects to `HOST:PORT`; an IPv6 address is in brackets. It gives up after 5 s for each
    /// address that the host has.
    ///
    /// # Errors
    ///
    /// [`OpenError::Address`], [`OpenError::Connect`].
    pub fn connect(address: &str, clock: Clock) -> Result<Tcp, OpenError> {
        let name = format!("tcp:{address}");
        let stream = Some(connect(address, &name)?);
        Ok(Tcp { address: address.to_owned(), name, clock, stream })
    }

    /// Whether it reads like `HOST:PORT`.
    ///
    /// # Errors
    ///
    /// [`OpenError::Address`], which says what is wrong.
    pub fn check_address(address: &str) -> Result<(), OpenError> {
        let wrong = |why| Err(OpenError::Address { name: format!("tcp:{address}"), why });
        let Some((host, port)) = address.rsplit_once(':') else {
            return wrong("the port's number is missing");
        };
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match inner {
            None if host.is_empty() => return wrong("the host is missing"),
            None if host.contains([':', '[', ']']) => {
                return wrong("an IPv6 address needs its brackets");
            }
            Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_err() => {
                return wrong("what is in brackets is no IPv6 address");
            }
            _ => {}
        }
        match port.parse::<u16>() {
            Ok(1..) => Ok(()),
            _ => wrong("the port is no number from 1 to 65535"),
        }
    }
}

/// A connection, ready for use.
fn connect(address: &str, name: &str) -> Result<TcpStream, OpenError> {
    Tcp::check_address(address)?;
    let failed = |source: io::Error| OpenError::Connect { name: name.to_owned(), source };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in address.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                prepare(&stream).map_err(failed)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// Frames go out at once, a dead other side is noticed, and no call waits by itself.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, ASK_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, ASK_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, ASK_TIMES)?;
    stream.set_nonblocking(true)
}

impl Hear for Tcp {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        match &self.stream {
            Some(stream) => wait::read_from(stream, &self.name, buf, timeout, &self.clock),
            None => Ok(Event::Closed),
        }
    }

    /// Connects anew; the old connection is closed first, for servers that have room for one.
    fn reopen(&mut self) -> Result<(), OpenError> {
        self.stream = None;
        self.stream = Some(connect(&self.address, &self.name)?);
        Ok(())
    }

    fn can_return(&self) -> bool {
        true
    }
}

impl Link for Tcp {
    /// Gives the bytes to the system, which sends them at once. When they are on the bus is not
    /// known.
    fn send(&mut self, bytes: &[u8]) -> Result<Time, LinkError> {
        let Some(stream) = &self.stream else {
            return Err(LinkError::Gone { name: self.name.clone() });
        };
        wait::write_to(stream, &self.name, bytes, None)?;
        Ok(self.clock.now())
    }
}

impl Tcp {
    /// The open socket, for polling; `None` while it is lost.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }

    /// The socket alone, non-blocking, for an event loop; `None` where it was lost.
    #[must_use]
    pub fn into_stream(self) -> Option<TcpStream> {
        self.stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    const LONG: Duration = Duration::from_secs(10);

    fn connected(bind: &str) -> (TcpListener, Tcp, TcpStream) {
        let server = TcpListener::bind(bind).unwrap();
        let tcp = Tcp::connect(&server.local_addr().unwrap().to_string(), Clock::new()).unwrap();
        let (other, _) = server.accept().unwrap();
        (server, tcp, other)
    }

    #[test]
    fn bytes_go_both_ways() {
        let (server, mut tcp, mut other) = connected("127.0.0.1:0");
        assert_eq!(tcp.name(), format!("tcp:{}", server.local_addr().unwrap()));
        let mut buf = [0; 16];
        assert_eq!(tcp.read(&mut buf, Duration::ZERO).unwrap(), Event::Idle);
        other.write_all(&[0xF7, 1, 2]).unwrap();
        let mut heard = Vec::new();
        while heard.len() < 3 {
            match tcp.read(&mut buf, LONG).unwrap() {
                Event::Bytes { n, .. } => heard.extend_from_slice(&buf[..n]),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard, [0xF7, 1, 2]);
        tcp.send(&[1, 2, 3, 4]).unwrap();
        let mut got = [0; 4];
        other.read_exact(&mut got).unwrap();
        assert_eq!(got, [1, 2, 3, 4]);
        assert_eq!(tcp.baud(), None);
        assert!(matches!(tcp.set_baud(9_600), Err(OpenError::NoSpeed { .. })));
    }

    #[test]
    fn a_closed_connection_comes_back() {
        let (server, mut tcp, other) = connected("127.0.0.1:0");
        drop(other);
        let mut buf = [0; 16];
        assert_eq!(tcp.read(&mut buf, LONG).unwrap(), Event::Closed);
        tcp.reopen().unwrap();
        let (mut other, _) = server.accept().unwrap();
        other.write_all(b"x").unwrap();
        assert!(matches!(tcp.read(&mut buf, LONG).unwrap(), Event::Bytes { n: 1, .. }));
        // Nobody there at all any more: it stays closed and says so to whoever speaks.
        drop((server, other));
        assert_eq!(tcp.read(&mut buf, LONG).unwrap(), Event::Closed);
        assert!(matches!(tcp.reopen(), Err(OpenError::Connect { .. })));
        assert_eq!(tcp.read(&mut buf, LONG).unwrap(), Event::Closed);
        assert!(matches!(tcp.send(b"x"), Err(LinkError::Gone { .. })));
    }

    #[test]
    fn a_connection_that_nobody_reads_does_not_hang_the_sender() {
        let (_server, mut tcp, _other) = connected("127.0.0.1:0");
        let error = tcp.send(&vec![0; 64 << 20]).unwrap_err();
        assert!(matches!(error, LinkError::NotTaken { len, .. } if len == 64 << 20), "{error}");
    }

    #[test]
    fn an_ipv6_address_is_in_brackets() {
        // A machine without IPv6 has nothing to try it on.
        if TcpListener::bind("[::1]:0").is_err() {
            return;
        }
        let (_server, tcp, _other) = connected("[::1]:0");
        assert!(tcp.name().starts_with("tcp:[::1]:"), "{}", tcp.name());
    }

    #[test]
    fn wrong_addresses_are_told_apart() {
        let why = |address: &str| match Tcp::check_address(address) {
            Err(OpenError::Address { why, .. }) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why("printer"), "the port's number is missing");
        assert_eq!(why(":2000"), "the host is missing");
        assert_eq!(why("printer:"), "the port is no number from 1 to 65535");
        assert_eq!(why("printer:0"), "the port is no number from 1 to 65535");
        assert_eq!(why("printer:70000"), "the port is no number from 1 to 65535");
        assert_eq!(why("::1:2000"), "an IPv6 address needs its brackets");
        assert_eq!(why("[printer]:2000"), "what is in brackets is no IPv6 address");
        for right in ["printer:2000", "10.0.0.7:1", "[fe80::1]:65535"] {
            Tcp::check_address(right).unwrap();
        }
        let error = Tcp::connect("printer", Clock::new()).unwrap_err().to_string();
        assert_eq!(
            error,
            "tcp:printer: the port's number is missing; write tcp:HOST:PORT, with an IPv6 address \
             in brackets: tcp:[::1]:2000"
        );
    }
}

//! What endpoints are made of: who reads them, and how they are written to.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use k485_link::{Clock, GarblingPty, Link, memory};
use k485_proto::record::Time;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, WriteHalf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_local;

use super::OnHeard;
use super::pace::Pace;
use super::watch;
use crate::bus::{EndpointId, Heard};

/// Bytes of one read.
pub(super) const CHUNK: usize = 4096;
/// How far a talker may be ahead of the wire.
const AHEAD: Duration = Duration::from_millis(20);
/// How much a client's receiver keeps while the line does not fall silent, as those of USB adapters
/// do. Only what a device repeats at once is so kept: a client that answered the first copy as soon as
/// a pseudo-terminal can hand it over would talk into the next, and no real one is that fast.
const KEPT: usize = 64;
/// Messages that wait for a slow reader inside the process.
const WAITING: usize = 256;

/// What a port tells the server.
pub(super) enum Input {
    /// Somebody says something.
    Bytes { endpoint: EndpointId, bytes: Vec<u8>, at: Time },
    /// A TCP client.
    Joined(TcpStream),
    /// The other end is gone.
    Left { endpoint: EndpointId, why: Option<io::Error> },
}

/// Where the others are heard.
pub(super) enum Outlet {
    Tty(Tty),
    Tcp(OwnedWriteHalf, Fifo),
    Duplex(Sender<Vec<u8>>),
    Tap(memory::End),
    Listener(OnHeard),
}

impl Outlet {
    /// Says there what was on the bus. A bus waits for nobody: what is not taken is lost.
    pub(super) fn say(&mut self, heard: &Heard) {
        let Heard { bytes, at, goes_on, .. } = heard;
        match self {
            Outlet::Tty(tty) => tty.say(bytes, *goes_on),
            Outlet::Tcp(stream, fifo) => {
                fifo.take(bytes, *goes_on, |bytes| drop(stream.try_write(bytes)));
            }
            _ if bytes.is_empty() => {}
            Outlet::Duplex(sender) => drop(sender.try_send(bytes.clone())),
            Outlet::Tap(end) => drop(end.send(bytes)),
            Outlet::Listener(call) => call(bytes, *at),
        }
    }
}

/// What a client's receiver has not handed over.
#[derive(Default)]
pub(super) struct Fifo {
    kept: Vec<u8>,
}

impl Fifo {
    /// Takes what was on the line, and hands over what is complete.
    fn take(&mut self, bytes: &[u8], goes_on: bool, hand_over: impl FnOnce(&[u8])) {
        if self.kept.is_empty() && !goes_on {
            if !bytes.is_empty() {
                hand_over(bytes);
            }
            return;
        }
        self.kept.extend_from_slice(bytes);
        if !goes_on || self.kept.len() >= KEPT {
            hand_over(&self.kept);
            self.kept.clear();
        }
    }
}

/// What a terminal is made of.
enum Wire {
    /// It is never gone: who closes it may open it again.
    Pty(Box<GarblingPty>),
    Serial(OwnedFd),
}

/// A terminal, which the server reads itself: a task of its own would cost a reply some µs.
pub(super) struct Tty {
    wire: Wire,
    fifo: Fifo,
    watch: AsyncFd<OwnedFd>,
    /// When all that was said there will have been on the wire.
    free: Time,
}

impl Tty {
    pub(super) fn pty(pty: GarblingPty) -> io::Result<Tty> {
        let watch = watch(pty.as_fd().try_clone_to_owned()?)?;
        Ok(Tty::new(Wire::Pty(Box::new(pty)), watch))
    }

    pub(super) fn serial(fd: OwnedFd) -> io::Result<Tty> {
        let watch = watch(fd.try_clone()?)?;
        Ok(Tty::new(Wire::Serial(fd), watch))
    }

    fn new(wire: Wire, watch: AsyncFd<OwnedFd>) -> Tty {
        Tty { wire, fifo: Fifo::default(), watch, free: Time(i64::MIN) }
    }

    fn say(&mut self, bytes: &[u8], goes_on: bool) {
        match &mut self.wire {
            Wire::Pty(pty) => {
                self.fifo.take(bytes, goes_on, |bytes| drop(pty.write_all(bytes)));
            }
            // There the real receiver is behind a real wire.
            Wire::Serial(fd) if !bytes.is_empty() => drop(rustix::io::write(fd, bytes)),
            Wire::Serial(_) => {}
        }
    }

    /// When it is to be read again, where who talks is too far ahead of the wire.
    pub(super) fn held_until(&self, now: Time) -> Option<Time> {
        let until = Time(self.free.0.saturating_sub(AHEAD.as_nanos() as i64));
        (until > now).then_some(until)
    }

    /// What is said there at `now`, at most as fast as the wire, where a byte takes `byte` ns.
    pub(super) fn poll_hear(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
        now: Time,
        byte: i64,
    ) -> Poll<io::Result<usize>> {
        if self.held_until(now).is_some() {
            return Poll::Pending;
        }
        loop {
            let mut ready = ready!(self.watch.poll_read_ready(context))?;
            let (most, read) = match &mut self.wire {
                Wire::Pty(pty) => (buf.len() / 10, pty.read(buf)),
                Wire::Serial(fd) => match rustix::io::read(&*fd, &mut *buf) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    read => (buf.len(), read.map_err(io::Error::from)),
                },
            };
            match read {
                Ok(n) => {
                    if n < most {
                        // All that was there: what comes from now on is told anew.
                        ready.clear_ready();
                    }
                    if n > 0 {
                        let time = byte.saturating_mul(n as i64);
                        self.free = Time(self.free.max(now).0.saturating_add(time));
                        return Poll::Ready(Ok(n));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Tells the server what somebody says, at most as fast as the wire.
#[derive(Clone)]
pub(super) struct Mouth {
    pub(super) endpoint: EndpointId,
    pub(super) inputs: Sender<Input>,
    pub(super) clock: Clock,
    pub(super) pace: Pace,
    /// What a byte takes, in ns of the bus's time; 0 where it takes none.
    pub(super) byte: i64,
}

impl Mouth {
    /// Whether the server is still there.
    async fn say(&self, bytes: &[u8], free: &mut Time) -> bool {
        let at = self.clock.now();
        let input = Input::Bytes { endpoint: self.endpoint, bytes: bytes.to_vec(), at };
        if self.inputs.send(input).await.is_err() {
            return false;
        }
        let takes = self.pace.stretch(self.byte.saturating_mul(bytes.len() as i64));
        free.0 = free.0.max(at.0).saturating_add(takes);
        let ahead = u64::try_from(free.since(at)).unwrap_or(0);
        if let Some(wait) = Duration::from_nanos(ahead).checked_sub(AHEAD) {
            tokio::time::sleep(wait).await;
        }
        true
    }

    async fn left(&self, why: Option<io::Error>) {
        let _ = self.inputs.send(Input::Left { endpoint: self.endpoint, why }).await;
    }
}

/// Waits for TCP clients.
pub(super) fn listen(listener: TcpListener, inputs: Sender<Input>) {
    spawn_local(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    if inputs.send(Input::Joined(stream)).await.is_err() {
                        return;
                    }
                }
                // Too many descriptors, or a client that was gone at once.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
}

/// Hears a TCP client.
pub(super) fn tcp(stream: TcpStream, mouth: Mouth) -> Outlet {
    let (reader, writer) = stream.into_split();
    spawn_local(hear_tcp(reader, mouth));
    Outlet::Tcp(writer, Fifo::default())
}

async fn hear_tcp(mut stream: OwnedReadHalf, mouth: Mouth) {
    let (mut buf, mut free) = (vec![0; CHUNK], Time(0));
    loop {
        match stream.read(&mut buf).await {
            Ok(n) if n > 0 => {
                if !mouth.say(&buf[..n], &mut free).await {
                    return;
                }
            }
            // A client that ends or fails is gone; that is nobody's failure.
            _ => return mouth.left(None).await,
        }
    }
}

/// Hears somebody inside the process.
pub(super) fn duplex(stream: DuplexStream, mouth: Mouth) -> Outlet {
    let (mut reader, writer) = tokio::io::split(stream);
    let (sender, waiting) = channel(WAITING);
    spawn_local(say_duplex(writer, waiting));
    spawn_local(async move {
        let (mut buf, mut free) = (vec![0; CHUNK], Time(0));
        loop {
            match reader.read(&mut buf).await {
                Ok(n) if n > 0 => {
                    if !mouth.say(&buf[..n], &mut free).await {
                        return;
                    }
                }
                _ => return mouth.left(None).await,
            }
        }
    });
    Outlet::Duplex(sender)
}

async fn say_duplex(mut writer: WriteHalf<DuplexStream>, mut waiting: Receiver<Vec<u8>>) {
    while let Some(bytes) = waiting.recv().await {
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

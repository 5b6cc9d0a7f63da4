//! A bus in real time: pseudo-terminals, TCP clients, serial ports and others inside the process as
//! its endpoints.
//!
//! Everything runs on one thread in a current-thread tokio runtime: nothing is locked, and a reply
//! is one wake-up away. While nobody speaks and nothing moves it sleeps.
//!
//! ```no_run
//! # use k485_emulator::{Bus, BusConfig, World, serve::Server};
//! # use k485_emulator::device::boxes::BoxConfig;
//! # use k485_link::Clock;
//! let clock = Clock::new();
//! let world = World::new(clock.now(), vec![BoxConfig::default()], 1);
//! let mut server = Server::new(Bus::new(world, BusConfig::default()), clock);
//! let path = server.add_pty(Some("/tmp/bus".as_ref()))?;
//! println!("{}", path.display());
//! server.run_here()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alarm;
mod ports;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::task::Poll;

use k485_link::{Clock, GarblingPty, OpenError, Wires, memory};
use k485_proto::record::Time;
use tokio::io::unix::AsyncFd;
use tokio::io::{DuplexStream, Interest};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::bus::{Bus, EndpointId, Tally};
use crate::hand::{Hand, HandError};
use crate::world::Picture;
use alarm::Alarm;
use ports::{Input, Mouth, Outlet, Tty};

/// Reads that wait for the bus.
const WAITING: usize = 64;
/// How many TCP clients there may be at once.
const CLIENTS: usize = 64;
/// Bytes of a stream inside the process that are sent and not read.
const DUPLEX: usize = 64 * 1024;

/// A port that an endpoint will be made of.
enum Port {
    Pty(GarblingPty),
    Tcp(std::net::TcpListener),
    Serial(OwnedFd),
    Duplex(DuplexStream),
    Tap(memory::End),
}

/// What the server is told from other threads.
enum Command {
    Act(Hand, oneshot::Sender<Result<(), HandError>>),
    Look(oneshot::Sender<Picture>),
    Stop,
}

/// Why a server ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The system refused something that the server cannot do without.
    #[error("cannot {step}: {source}")]
    System {
        /// What was being done, to be read after `cannot`.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A port failed: a serial port that was unplugged.
    #[error("{name} is gone: {source}")]
    Port {
        /// Which.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Speaks to a server from another thread. Its calls wait for the server, a moment as a rule, and
/// give `None` when it has ended.
#[derive(Debug, Clone)]
pub struct Handle(UnboundedSender<Command>);

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Command::Act(..) => "Act",
            Command::Look(_) => "Look",
            Command::Stop => "Stop",
        })
    }
}

impl Handle {
    /// Does what a hand does, now.
    #[must_use]
    pub fn act(&self, hand: Hand) -> Option<Result<(), HandError>> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(Command::Act(hand, sender)).ok()?;
        receiver.blocking_recv().ok()
    }

    /// How everything is, now.
    #[must_use]
    pub fn picture(&self) -> Option<Picture> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(Command::Look(sender)).ok()?;
        receiver.blocking_recv().ok()
    }

    /// Ends the server.
    pub fn stop(&self) {
        let _ = self.0.send(Command::Stop);
    }
}

/// Whoever is told what the toolhead's filament sensor shows.
type OnToolhead = Box<dyn FnMut(bool)>;

/// A bus in real time.
pub struct Server {
    bus: Bus,
    clock: Clock,
    ports: Vec<(String, Port)>,
    commands: UnboundedReceiver<Command>,
    handle: Handle,
    on_toolhead: Vec<OnToolhead>,
}

/// A server that runs: whoever is connected.
struct Running {
    inputs: mpsc::Sender<Input>,
    outlets: Vec<Option<(String, Outlet)>>,
    clients: usize,
    clock: Clock,
    byte: i64,
    buf: Vec<u8>,
}

impl Server {
    /// A server without endpoints. The world's clock must be this one.
    #[must_use]
    pub fn new(bus: Bus, clock: Clock) -> Server {
        let (sender, commands) = mpsc::unbounded_channel();
        let (ports, on_toolhead) = (Vec::new(), Vec::new());
        Server { bus, clock, ports, commands, handle: Handle(sender), on_toolhead }
    }

    /// Adds a pseudo-terminal, with a link file where one is given (see [`k485_link::Pty`] for its
    /// rules). A client at another speed than the bus's hears and says garbage. Returns its path.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn add_pty(&mut self, link: Option<&Path>) -> Result<PathBuf, OpenError> {
        let baud = self.bus.config().baud;
        let pty = match link {
            Some(link) => GarblingPty::with_link(link, baud, Wires::Straight)?,
            None => GarblingPty::open(baud, Wires::Straight).map_err(|source| {
                let (port, step) = (PathBuf::from("/dev/ptmx"), "make a pseudo-terminal");
                OpenError::Io { port, step, source }
            })?,
        };
        let path = pty.path().to_owned();
        self.ports.push((path.display().to_string(), Port::Pty(pty)));
        Ok(path)
    }

    /// Listens for TCP clients. Each is an endpoint; bytes come and go as they are. Returns the
    /// address, with its port where 0 was asked for.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub fn add_tcp(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        self.ports.push((format!("tcp:{address}"), Port::Tcp(listener)));
        Ok(address)
    }

    /// Adds a serial port: a descriptor that is set up and does not block, as
    /// [`k485_link::Serial::into_fd`] gives it. What devices say is really sent.
    pub fn add_serial(&mut self, name: &str, fd: OwnedFd) {
        self.ports.push((name.to_owned(), Port::Serial(fd)));
    }

    /// Adds somebody inside the process: the other end of this stream.
    pub fn add_duplex(&mut self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(DUPLEX);
        self.ports.push(("inside".to_owned(), Port::Duplex(near)));
        far
    }

    /// Adds one who only listens, inside the process: the other end of this wire, which blocks and
    /// may be on another thread. It has to be read: a server waits a second for one who does not.
    pub fn add_tap(&mut self) -> memory::End {
        let (near, far) = memory::pair(self.clock, Some(self.bus.config().baud));
        self.ports.push(("tap".to_owned(), Port::Tap(near)));
        far
    }

    /// Calls this now and whenever the toolhead's filament sensor changes, on the server's thread,
    /// which it must not hold up.
    pub fn on_toolhead(&mut self, mut call: impl FnMut(bool) + 'static) {
        call(self.bus.world().toolhead());
        self.on_toolhead.push(Box::new(call));
    }

    /// What speaks to it while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What the bus carried.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.bus.tally()
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Runs on this thread until [`Handle::stop`], in a runtime of its own.
    ///
    /// # Errors
    ///
    /// See [`ServeError`].
    pub fn run_here(&mut self) -> Result<(), ServeError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(system("start a runtime"))?;
        LocalSet::new().block_on(&runtime, self.run())
    }

    /// Runs until [`Handle::stop`]. To be polled in a [`LocalSet`] of a current-thread runtime;
    /// several servers may share one.
    ///
    /// # Errors
    ///
    /// See [`ServeError`].
    pub async fn run(&mut self) -> Result<(), ServeError> {
        let mut alarm = Alarm::new(self.clock).map_err(system("make a timer"))?;
        let (inputs, mut heard) = mpsc::channel(WAITING);
        let config = self.bus.config();
        let byte = if config.fast { 0 } else { 10_000_000_000 / i64::from(config.baud.max(1)) };
        let (outlets, clock) = (Vec::new(), self.clock);
        let buf = vec![0; ports::CHUNK * 10];
        let mut running = Running { inputs, outlets, clients: 0, clock, byte, buf };
        for (name, port) in std::mem::take(&mut self.ports) {
            running.open(name, port, &mut self.bus)?;
        }
        loop {
            self.bus.advance(self.clock.now());
            self.hand_out(&mut running);
            let due = [self.bus.next_event(), running.held_until()].into_iter().flatten().min();
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => {
                    if self.obey(command) {
                        return Ok(());
                    }
                }
                Some(input) = heard.recv() => running.take(input, &mut self.bus)?,
                (endpoint, read) = running.hear() => running.took(endpoint, read, &mut self.bus)?,
                woken = alarm.wait(due) => woken.map_err(system("wait"))?,
            }
        }
    }

    /// Tells everybody what was on the bus.
    fn hand_out(&mut self, running: &mut Running) {
        for heard in self.bus.heard() {
            if let Some(Some((_, outlet))) = running.outlets.get_mut(heard.endpoint.0) {
                outlet.say(&heard.bytes);
            }
        }
        for change in self.bus.toolhead_changes() {
            self.on_toolhead.iter_mut().for_each(|call| call(change.filament));
        }
    }

    /// Whether that was the end.
    fn obey(&mut self, command: Command) -> bool {
        // Who asked may be gone by now.
        match command {
            Command::Act(hand, reply) => {
                drop(reply.send(self.bus.act(&hand, self.clock.now())));
            }
            Command::Look(reply) => drop(reply.send(self.bus.world().state())),
            Command::Stop => return true,
        }
        false
    }
}

impl Running {
    fn mouth(&self, endpoint: EndpointId) -> Mouth {
        Mouth { endpoint, inputs: self.inputs.clone(), clock: self.clock, byte: self.byte }
    }

    fn open(&mut self, name: String, port: Port, bus: &mut Bus) -> Result<(), ServeError> {
        if let Port::Tcp(listener) = port {
            let listener = TcpListener::from_std(listener).map_err(system("listen"))?;
            ports::listen(listener, self.inputs.clone());
            return Ok(());
        }
        let endpoint = bus.connect();
        let outlet = match port {
            Port::Pty(pty) => {
                Outlet::Tty(Tty::pty(pty).map_err(system("watch a pseudo-terminal"))?)
            }
            Port::Serial(fd) => {
                Outlet::Tty(Tty::serial(fd).map_err(system("watch a serial port"))?)
            }
            Port::Duplex(stream) => ports::duplex(stream, self.mouth(endpoint)),
            Port::Tap(end) => Outlet::Tap(end),
            Port::Tcp(_) => return Ok(()),
        };
        self.put(endpoint, name, outlet);
        Ok(())
    }

    fn put(&mut self, endpoint: EndpointId, name: String, outlet: Outlet) {
        if self.outlets.len() <= endpoint.0 {
            self.outlets.resize_with(endpoint.0 + 1, || None);
        }
        self.outlets[endpoint.0] = Some((name, outlet));
    }

    /// Waits until somebody says something at a terminal: where, and how many bytes of the buffer
    /// it is.
    async fn hear(&mut self) -> (EndpointId, io::Result<usize>) {
        let now = self.clock.now();
        poll_fn(|context| {
            for (place, outlet) in self.outlets.iter_mut().enumerate() {
                let Some((_, Outlet::Tty(tty))) = outlet else { continue };
                if let Poll::Ready(read) = tty.poll_hear(context, &mut self.buf, now, self.byte) {
                    return Poll::Ready((EndpointId(place), read));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// When the first terminal is to be read again whose talker was too fast.
    fn held_until(&self) -> Option<Time> {
        let now = self.clock.now();
        let ttys = self.outlets.iter().filter_map(|outlet| match outlet {
            Some((_, Outlet::Tty(tty))) => tty.held_until(now),
            _ => None,
        });
        ttys.min()
    }

    /// Somebody said so many bytes of the buffer at a terminal, or it failed.
    fn took(
        &mut self,
        endpoint: EndpointId,
        read: io::Result<usize>,
        bus: &mut Bus,
    ) -> Result<(), ServeError> {
        match read {
            Ok(n) => bus.say(endpoint, &self.buf[..n], self.clock.now()),
            Err(error) => return self.take(Input::Left { endpoint, why: Some(error) }, bus),
        }
        Ok(())
    }

    fn take(&mut self, input: Input, bus: &mut Bus) -> Result<(), ServeError> {
        match input {
            Input::Bytes { endpoint, bytes, at } => bus.say(endpoint, &bytes, at),
            // One more than there may be is hung up on.
            Input::Joined(_) if self.clients >= CLIENTS => {}
            Input::Joined(stream) => {
                let endpoint = bus.connect();
                self.clients += 1;
                let outlet = ports::tcp(stream, self.mouth(endpoint));
                self.put(endpoint, "tcp".to_owned(), outlet);
            }
            Input::Left { endpoint, why } => {
                bus.disconnect(endpoint);
                let left = self.outlets.get_mut(endpoint.0).and_then(Option::take);
                if let Some((name, outlet)) = left {
                    self.clients -= usize::from(matches!(outlet, Outlet::Tcp(_)));
                    if let Some(source) = why {
                        return Err(ServeError::Port { name, source });
                    }
                }
            }
        }
        Ok(())
    }
}

/// Has the runtime watch a descriptor for something to read.
#[allow(
    deprecated,
    reason = "the function to use instead is unsafe, for descriptors that are closed while they are \
              watched; an OwnedFd stays open as long as it is"
)]
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

fn system(step: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::System { step, source }
}

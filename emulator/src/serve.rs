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
mod handle;
mod pace;
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
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::LocalSet;

use crate::bus::{Bus, EndpointId, Tally};
use alarm::Alarm;
use handle::Command;
use pace::Pace;
use ports::{Input, Mouth, Outlet, Tty};

pub use handle::{FaultState, Handle, Snapshot};
pub use pace::Reading;

/// Reads that wait for the bus.
const WAITING: usize = 64;
/// How many TCP clients there may be at once.
const CLIENTS: usize = 64;
/// Bytes of a stream inside the process that are sent and not read.
const DUPLEX: usize = 64 * 1024;
/// Bytes that were said and are not on the wire yet, as while the time stands still: who says more
/// waits.
const BACKLOG: usize = 64 * 1024;
/// How far a request takes a virtual time on at most, in ns: longer than any motion of a box.
const LONGEST: i64 = 30 * 60 * Time::SECOND;

/// A port that an endpoint will be made of.
enum Port {
    Pty(GarblingPty),
    Tcp(std::net::TcpListener),
    Serial(OwnedFd),
    Duplex(DuplexStream),
    Tap(memory::End),
    Listener(OnHeard),
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

/// Whoever is told what the toolhead's filament sensor shows.
type OnToolhead = Box<dyn FnMut(bool)>;
/// Whoever is told what was on the bus.
type OnHeard = Box<dyn FnMut(&[u8], Time)>;

/// A bus in real time.
pub struct Server {
    bus: Bus,
    clock: Clock,
    pace: Pace,
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
    pace: Pace,
    byte: i64,
    buf: Vec<u8>,
}

impl Server {
    /// A server without endpoints. The world's clock must be this one.
    #[must_use]
    pub fn new(bus: Bus, clock: Clock) -> Server {
        let (sender, commands) = mpsc::unbounded_channel();
        let (ports, on_toolhead) = (Vec::new(), Vec::new());
        let pace = Pace::new(clock);
        let handle = Handle::new(sender, pace.clone());
        Server { bus, clock, pace, ports, commands, handle, on_toolhead }
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

    /// Calls this with all that is on the bus and the time of its last byte, on the server's thread,
    /// which it must not hold up.
    pub fn on_heard(&mut self, call: impl FnMut(&[u8], Time) + 'static) {
        self.ports.push(("listener".to_owned(), Port::Listener(Box::new(call))));
    }

    /// The bus's time stands still from now on, but for steps ([`Handle::step`]) and for requests:
    /// each takes it on to its answer, which so comes at once, however long the device works on it.
    /// To be called before the server runs: its time begins then, so that the same requests and steps
    /// meet the same times.
    pub fn set_virtual(&mut self) {
        self.pace.set_virtual(self.bus.now());
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
        let (outlets, clock, pace) = (Vec::new(), self.clock, self.pace.clone());
        let buf = vec![0; ports::CHUNK * 10];
        let mut running = Running { inputs, outlets, clients: 0, clock, pace, byte, buf };
        for (name, port) in std::mem::take(&mut self.ports) {
            running.open(name, port, &mut self.bus)?;
        }
        loop {
            self.bus.advance(self.pace.now());
            self.hand_out(&mut running);
            let due = self.bus.next_event().and_then(|due| self.pace.real(due));
            let due = [due, running.held_until()].into_iter().flatten().min();
            let crowded = self.bus.waiting() > BACKLOG;
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => match command {
                    Command::Stop => return Ok(()),
                    Command::Do(call) => call(self),
                },
                Some(input) = heard.recv(), if !crowded => {
                    running.take(input, &mut self.bus)?;
                    self.settle();
                }
                (endpoint, read) = running.hear(), if !crowded => {
                    running.took(endpoint, read, &mut self.bus)?;
                    self.settle();
                }
                woken = alarm.wait(due) => woken.map_err(system("wait"))?,
            }
        }
    }

    /// Takes virtual time on to the answers.
    fn settle(&mut self) {
        if self.pace.is_virtual() {
            self.bus.settle(LONGEST);
            self.pace.jump(self.bus.now());
        }
    }

    /// Tells everybody what was on the bus.
    fn hand_out(&mut self, running: &mut Running) {
        for heard in self.bus.heard() {
            if let Some(Some((_, outlet))) = running.outlets.get_mut(heard.endpoint.0) {
                outlet.say(&heard);
            }
        }
        for change in self.bus.toolhead_changes() {
            self.on_toolhead.iter_mut().for_each(|call| call(change.filament));
        }
    }
}

impl Running {
    fn mouth(&self, endpoint: EndpointId) -> Mouth {
        let (inputs, pace) = (self.inputs.clone(), self.pace.clone());
        Mouth { endpoint, inputs, clock: self.clock, pace, byte: self.byte }
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
            Port::Listener(call) => Outlet::Listener(call),
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
        let (now, byte) = (self.clock.now(), self.pace.stretch(self.byte));
        poll_fn(|context| {
            for (place, outlet) in self.outlets.iter_mut().enumerate() {
                let Some((_, Outlet::Tty(tty))) = outlet else { continue };
                if let Poll::Ready(read) = tty.poll_hear(context, &mut self.buf, now, byte) {
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
            Ok(n) => bus.say(endpoint, &self.buf[..n], self.pace.now()),
            Err(error) => return self.take(Input::Left { endpoint, why: Some(error) }, bus),
        }
        Ok(())
    }

    fn take(&mut self, input: Input, bus: &mut Bus) -> Result<(), ServeError> {
        match input {
            Input::Bytes { endpoint, bytes, at } => bus.say(endpoint, &bytes, self.pace.at(at)),
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
                    self.clients -= usize::from(matches!(outlet, Outlet::Tcp(..)));
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

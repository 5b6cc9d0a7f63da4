//! Listening on real pseudo-terminals: what is heard, and that nothing comes back.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use k485_link::{Clock, Controls, Event, LinkError, Listener, NotATty, OpenError, Pty};
use k485_proto::record::Time;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, fcntl_getfl, fcntl_setfl, flock, open};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, tcgetattr, tcsetattr,
};

/// The bus's speed.
const BAUD: u32 = 230_400;
/// How often a port is opened and closed under traffic.
const OPENS: usize = 1_000;
/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);
/// A request as the host sends it: no byte of it is special to a terminal, and it ends in no line.
const FRAME: [u8; 6] = [0xF7, 0xFE, 0x03, 0xFF, 0xA2, 0x55];

fn listen(path: &Path) -> Listener {
    Listener::open(path, BAUD, Clock::new()).unwrap()
}

/// The bytes of the next event, which must be bytes, and its time.
fn hear(listener: &mut Listener) -> (Vec<u8>, Time) {
    let mut buf = [0; 512];
    match listener.read(&mut buf, LONG).unwrap() {
        Event::Bytes { n, time } => (buf[..n].to_vec(), time),
        other => panic!("{other:?}"),
    }
}

/// All that is there to read at this end, without waiting.
fn drain(mut master: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buf = [0; 4096];
    while let Ok(n @ 1..) = master.read(&mut buf) {
        all.extend_from_slice(&buf[..n]);
    }
    all
}

fn set_nonblocking(fd: impl AsFd) {
    fcntl_setfl(&fd, fcntl_getfl(&fd).unwrap() | OFlags::NONBLOCK).unwrap();
}

/// Opens the other end as any program would, settings untouched.
fn open_plainly(path: &Path) -> OwnedFd {
    open(path, OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK, Mode::empty()).unwrap()
}

#[test]
fn what_is_sent_is_heard_with_times_that_do_not_go_back() {
    let mut pty = Pty::open().unwrap();
    let mut listener = listen(pty.path());
    let clock = Clock::new();
    let mut last = Time(0);
    // Every byte value passes unchanged, those that terminals act on among them.
    let all: Vec<u8> = (0..=255).collect();
    for chunk in all.chunks(16) {
        pty.write_all(chunk).unwrap();
        let mut heard = Vec::new();
        while heard.len() < chunk.len() {
            let (bytes, time) = hear(&mut listener);
            assert!(time >= last, "{time} after {last}");
            last = time;
            heard.extend_from_slice(&bytes);
        }
        assert_eq!(heard, chunk);
    }
    assert!(clock.now().since(last).abs() < Time::SECOND);
    assert_eq!(listener.port(), pty.path());
}

#[test]
fn bytes_that_came_before_the_right_settings_were_changed_are_kept() {
    let mut pty = Pty::open().unwrap();
    pty.write_all(&FRAME).unwrap();
    let mut listener = listen(pty.path());
    assert_eq!(hear(&mut listener).0, FRAME);
}

#[test]
fn silence_is_idle_and_takes_as_long_as_was_asked() {
    let pty = Pty::open().unwrap();
    let mut listener = listen(pty.path());
    let mut buf = [0; 8];
    let began = Instant::now();
    assert_eq!(listener.read(&mut buf, Duration::from_millis(30)).unwrap(), Event::Idle);
    assert!(began.elapsed() >= Duration::from_millis(30), "{:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(listener.read(&mut buf, Duration::ZERO).unwrap(), Event::Idle);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn the_longest_time_out_is_no_trap() {
    let mut pty = Pty::open().unwrap();
    let mut listener = listen(pty.path());
    pty.write_all(&FRAME).unwrap();
    let mut buf = [0; 8];
    let event = listener.read(&mut buf, Duration::MAX).unwrap();
    assert!(matches!(event, Event::Bytes { n: 1..=6, .. }), "{event:?}");
}

#[test]
fn an_empty_buffer_is_refused() {
    let pty = Pty::open().unwrap();
    let error = listen(pty.path()).read(&mut [], LONG).unwrap_err();
    assert!(matches!(error, LinkError::EmptyBuffer { .. }), "{error}");
    assert!(error.to_string().starts_with(pty.path().to_str().unwrap()), "{error}");
}

#[test]
fn a_port_whose_other_end_ends_is_closed_and_stays_so() {
    let pty = Pty::open().unwrap();
    let mut listener = listen(pty.path());
    let mut buf = [0; 8];
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(20));
            drop(pty);
        });
        assert_eq!(listener.read(&mut buf, LONG).unwrap(), Event::Closed);
    });
    assert_eq!(listener.read(&mut buf, LONG).unwrap(), Event::Closed);
}

#[test]
fn the_port_is_set_to_the_speed_asked_for() {
    let pty = Pty::open().unwrap();
    assert_eq!(pty.baud().unwrap(), BAUD);
    for baud in [115_200, 460_800, 250_000, 230_400] {
        let listener = Listener::open(pty.path(), baud, Clock::new()).unwrap();
        assert_eq!(listener.baud(), baud);
        assert_eq!(pty.baud().unwrap(), baud);
    }
}

#[test]
fn all_that_makes_a_terminal_speak_is_off_and_stays_off_after_closing() {
    let (master, path) = fresh();
    let before = tcgetattr(&master).unwrap();
    assert!(before.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
    let mut noisy = before;
    noisy.input_modes |= InputModes::IXOFF | InputModes::IMAXBEL | InputModes::IGNPAR;
    noisy.control_modes |= ControlModes::CRTSCTS | ControlModes::HUPCL | ControlModes::CSTOPB;
    tcsetattr(&master, OptionalActions::Now, &noisy).unwrap();
    drop(listen(&path));
    let after = tcgetattr(&master).unwrap();
    let speaking = LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON;
    assert!(!after.local_modes.intersects(speaking | LocalModes::ISIG | LocalModes::IEXTEN));
    assert!(!after.input_modes.intersects(
        InputModes::IXOFF | InputModes::IXON | InputModes::IMAXBEL | InputModes::IGNPAR
    ));
    assert!(!after.control_modes.intersects(
        ControlModes::CRTSCTS | ControlModes::HUPCL | ControlModes::CSTOPB | ControlModes::PARENB
    ));
    assert!(after.control_modes.contains(ControlModes::CS8 | ControlModes::CLOCAL));
}

#[test]
fn a_pseudo_terminal_has_no_rts_and_dtr() {
    let pty = Pty::open().unwrap();
    assert_eq!(listen(pty.path()).controls(), Controls::NotSupported);
}

#[test]
fn wrong_paths_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.log");
    fs::write(&file, "F7").unwrap();
    let socket = folder.path().join("socket");
    let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let kind = |path: &Path| match Listener::open(path, BAUD, Clock::new()) {
        Err(OpenError::NotATty { port, kind }) if port == path => kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(&file), NotATty::File);
    assert_eq!(kind(folder.path()), NotATty::Directory);
    assert_eq!(kind(&socket), NotATty::Other);
    assert_eq!(kind(Path::new("/dev/null")), NotATty::Other);
    for nothing in [folder.path().join("ttyUSB0"), file.join("ttyUSB0")] {
        match Listener::open(&nothing, BAUD, Clock::new()) {
            Err(OpenError::NotFound { port, existing }) => {
                assert_eq!(port, nothing);
                assert_eq!(existing, k485_link::ports::available());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_port_is_heard_by_one_listener_at_a_time() {
    let pty = Pty::open().unwrap();
    let first = listen(pty.path());
    let second = Listener::open(pty.path(), BAUD, Clock::new());
    assert!(matches!(second, Err(OpenError::Busy { ref port }) if port == pty.path()));
    drop(first);
    drop(listen(pty.path()));
}

#[test]
fn a_busy_port_keeps_its_speed() {
    let pty = Pty::open().unwrap();
    let _first = listen(pty.path());
    let second = Listener::open(pty.path(), 9_600, Clock::new());
    assert!(matches!(second, Err(OpenError::Busy { .. })));
    assert_eq!(pty.baud().unwrap(), BAUD);
}

/// Raw mode comes before all else: what fails afterwards leaves the port silent.
#[test]
fn a_port_is_silent_before_it_is_locked_or_set() {
    let silenced = |refused: &dyn Fn(&Path) -> OpenError| {
        let (master, path) = fresh();
        let found = tcgetattr(&master).unwrap();
        assert!(found.local_modes.contains(LocalModes::ECHO));
        let error = refused(&path);
        assert!(!tcgetattr(&master).unwrap().local_modes.contains(LocalModes::ECHO));
        error
    };
    let busy = silenced(&|path| {
        let other = open_plainly(path);
        flock(&other, FlockOperation::LockExclusive).unwrap();
        Listener::open(path, BAUD, Clock::new()).unwrap_err()
    });
    assert!(matches!(busy, OpenError::Busy { .. }), "{busy}");
    let slow = silenced(&|path| Listener::open(path, 0, Clock::new()).unwrap_err());
    assert!(matches!(slow, OpenError::UnsupportedBaud { .. }), "{slow}");
}

#[test]
fn no_speed_is_refused() {
    let pty = Pty::open().unwrap();
    match Listener::open(pty.path(), 0, Clock::new()) {
        Err(OpenError::UnsupportedBaud { port, asked: 0, got: None }) => {
            assert_eq!(port, pty.path());
        }
        other => panic!("{other:?}"),
    }
}

// --- Nothing comes back ---------------------------------------------------------------------

/// A fresh pair as the system gives it: echo on, and nobody at the other end.
fn fresh() -> (OwnedFd, PathBuf) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&master).unwrap();
    let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
    (master, path)
}

/// A bus with traffic on it, as a serial port would see it, at the far end of a pseudo-terminal.
struct Bus<'a> {
    master: &'a OwnedFd,
    /// The byte that the bus is full of.
    says: AtomicU8,
    /// Whether the bus is heard only while somebody has the other end open, as with a UART.
    only_while_open: bool,
    over: AtomicBool,
}

impl<'a> Bus<'a> {
    fn new(master: &'a OwnedFd, says: u8, only_while_open: bool) -> Bus<'a> {
        set_nonblocking(master);
        Bus { master, says: AtomicU8::new(says), only_while_open, over: AtomicBool::new(false) }
    }

    /// Runs `job` under traffic; all that came back to the bus during it and just after.
    fn while_busy(&self, job: impl FnOnce(&Bus<'_>)) -> Vec<u8> {
        thread::scope(|scope| {
            let traffic = scope.spawn(|| {
                let mut back = Vec::new();
                while !self.over.load(Ordering::SeqCst) {
                    if !self.only_while_open || self.is_open() {
                        let _ = rustix::io::write(self.master, &[self.says.load(Ordering::SeqCst)]);
                    }
                    back.extend(self.drain());
                }
                thread::sleep(Duration::from_millis(50));
                back.extend(self.drain());
                back
            });
            // The traffic ends when the job panics, too.
            let end = EndOf(&self.over);
            job(self);
            drop(end);
            traffic.join().unwrap()
        })
    }

    fn is_open(&self) -> bool {
        let mut fds = [PollFd::new(self.master, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).unwrap();
        !fds[0].revents().contains(PollFlags::HUP)
    }

    fn drain(&self) -> Vec<u8> {
        let mut buf = [0; 4096];
        match rustix::io::read(self.master, &mut buf) {
            Ok(n) => buf[..n].to_vec(),
            Err(_) => Vec::new(),
        }
    }
}

struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Makes the terminal as a driver gives it out at the first open: raw mode off, echo on.
fn make_fresh(master: &OwnedFd, like: &rustix::termios::Termios) {
    tcsetattr(master, OptionalActions::Now, like).unwrap();
}

/// How many bytes `says` came back.
fn count(back: &[u8], says: u8) -> usize {
    back.iter().filter(|&&byte| byte == says).count()
}

/// Hears until the bus says `says`, so that all it said before has been heard.
fn hear_bus(listener: &mut Listener, says: u8) {
    while hear(listener).0.last() != Some(&says) {}
}

#[test]
fn a_thousand_opens_under_traffic_give_no_byte_back() {
    let mut pty = Pty::open().unwrap();
    set_nonblocking(&pty);
    let over = AtomicBool::new(false);
    let path = pty.path().to_owned();
    let back = thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let mut back = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let _ = (&pty).write(&FRAME);
                back.extend(drain(&pty));
            }
            back
        });
        let end = EndOf(&over);
        for _ in 0..OPENS {
            let mut listener = listen(&path);
            assert_eq!(listener.echo_window(), None);
            hear(&mut listener);
            // Room is made again, so that the traffic never stops at a full buffer.
            let mut buf = [0; 8192];
            for _ in 0..8 {
                listener.read(&mut buf, Duration::ZERO).unwrap();
            }
        }
        drop(end);
        traffic.join().unwrap()
    });
    assert_eq!(back, [] as [u8; 0]);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(drain(&mut pty), [] as [u8; 0]);
}

/// The control of all these tests: the same traffic does come back from a program that opens the
/// port, read-only too, and leaves the settings as they are.
#[test]
fn a_plain_open_of_a_fresh_port_gives_bytes_back() {
    let (master, path) = fresh();
    drop(open_plainly(&path));
    let bus = Bus::new(&master, b'A', true);
    let back = bus.while_busy(|_| {
        let _open = open_plainly(&path);
        thread::sleep(Duration::from_millis(20));
    });
    assert!(count(&back, b'A') > 0);
}

/// Settings made late, as programs do that first set the speed, the lines and the locks.
#[test]
fn a_late_raw_mode_gives_bytes_back() {
    let (master, path) = fresh();
    let like = tcgetattr(&master).unwrap();
    drop(open_plainly(&path));
    let bus = Bus::new(&master, b'A', true);
    let back = bus.while_busy(|_| {
        for _ in 0..20 {
            make_fresh(&master, &like);
            let port = open_plainly(&path);
            thread::sleep(Duration::from_millis(2));
            let mut raw = tcgetattr(&port).unwrap();
            raw.make_raw();
            tcsetattr(&port, OptionalActions::Now, &raw).unwrap();
        }
    });
    assert!(count(&back, b'A') > 0);
}

/// A port that keeps its settings over closing, as serial drivers do: only the first open of a
/// fresh one has a window.
#[test]
fn a_fresh_port_has_a_window_at_the_first_open_only() {
    let (master, path) = fresh();
    drop(open_plainly(&path));
    let bus = Bus::new(&master, b'A', true);
    let back = bus.while_busy(|bus| {
        let first = listen(&path);
        let window = first.echo_window().expect("a fresh port echoes");
        assert!(window < Duration::from_secs(1), "{window:?}");
        drop(first);
        bus.says.store(b'B', Ordering::SeqCst);
        for _ in 0..OPENS {
            let mut listener = listen(&path);
            assert_eq!(listener.echo_window(), None);
            hear_bus(&mut listener, b'B');
        }
    });
    assert_eq!(count(&back, b'B'), 0);
}

/// A port that is fresh at every open, the worst that a driver can do: once `open` has returned
/// nothing comes back any more.
#[test]
fn nothing_that_is_heard_after_the_open_comes_back() {
    let (master, path) = fresh();
    let like = tcgetattr(&master).unwrap();
    drop(open_plainly(&path));
    let bus = Bus::new(&master, b'A', true);
    let back = bus.while_busy(|bus| {
        for _ in 0..OPENS {
            make_fresh(&master, &like);
            bus.says.store(b'A', Ordering::SeqCst);
            let mut listener = listen(&path);
            bus.says.store(b'B', Ordering::SeqCst);
            assert!(listener.echo_window().is_some());
            hear_bus(&mut listener, b'B');
            // No B is on its way any more when the port is made fresh again.
            bus.says.store(b'A', Ordering::SeqCst);
            hear_bus(&mut listener, b'A');
        }
    });
    assert_eq!(count(&back, b'B'), 0);
}

//! `k485 replay` as a child, captures for it, and a device at the other end.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use k485_link::{Clock, Event, Hear, Link, Options, Serial};
use k485_proto::address::Address;
use k485_proto::deframer::{Deframer, Span};
use k485_proto::frame::Frame;
use k485_proto::status::Status;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::{command, hex};

/// Far longer than anything here takes; a test that waits so long fails.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn ask(addr: u8, func: u8, data: &[u8]) -> Vec<u8> {
    Frame::to_vec(Address(addr), Status::REQUEST, func, data).unwrap()
}

pub(crate) fn tell(addr: u8, func: u8, data: &[u8]) -> Vec<u8> {
    Frame::to_vec(Address(addr), Status::OK, func, data).unwrap()
}

/// A request with its reply.
pub(crate) type Exchange = (Vec<u8>, Option<Vec<u8>>);

/// Requests with their replies as a capture, 20 ms apart, answered after 2 ms.
pub(crate) fn capture(exchanges: &[Exchange]) -> String {
    let mut text = String::new();
    for (n, (request, reply)) in exchanges.iter().enumerate() {
        let time = 1_767_225_600.0 + n as f64 * 0.02;
        writeln!(text, "({time:.6}) {}", hex(request)).unwrap();
        if let Some(reply) = reply {
            writeln!(text, "({:.6}) {}", time + 0.002, hex(reply)).unwrap();
        }
    }
    text
}

/// A running `k485 replay`. It is killed when a test fails.
pub(crate) struct Replay {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Replay {
    pub(crate) fn start(folder: &Path, name: &str, args: &[&str], stdin: &str) -> Replay {
        let (out, err) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        let create = |path: &Path| Stdio::from(std::fs::File::create(path).unwrap());
        let mut child = command(["replay"].iter().chain(args))
            .stdin(Stdio::piped())
            .stdout(create(&out))
            .stderr(create(&err))
            .spawn()
            .expect("k485 runs");
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        Replay { child, out, err }
    }

    /// Waits until it has said this on stderr.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str) {
        let read = || std::fs::read_to_string(&self.err).unwrap();
        until(|| read().contains(what), read);
    }

    pub(crate) fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The exit code, stdout and stderr.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        until(|| self.child.try_wait().unwrap().is_some(), String::new);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        (self.child.wait().unwrap().code(), read(&self.out), read(&self.err))
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
pub(crate) fn until(mut holds: impl FnMut() -> bool, told: impl Fn() -> String) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "not within {LONG:?}: {}", told());
        thread::sleep(Duration::from_millis(5));
    }
}

/// The other end of a pseudo-terminal of `k485 replay`, once it is there.
pub(crate) fn join(path: &Path) -> Serial {
    until(|| path.exists(), || path.display().to_string());
    Serial::open(path, &Options::default(), Clock::new()).unwrap()
}

/// A device at that end that gives these bytes for each request, until it is dropped.
pub(crate) struct Device {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Device {
    pub(crate) fn start(
        path: PathBuf,
        mut answer: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static,
    ) -> Device {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut port = join(&path);
            let mut deframer = Deframer::new();
            let mut buf = [0; 1024];
            while !stopped.load(Ordering::SeqCst) {
                let Ok(Event::Bytes { n, .. }) = port.read(&mut buf, Duration::from_millis(20))
                else {
                    continue;
                };
                let mut rest = &buf[..n];
                while let Some(span) = deframer.pull(&mut rest) {
                    if let Span::Frame { frame, .. } = span {
                        let reply = answer(frame.raw());
                        if !reply.is_empty() {
                            port.send(&reply).unwrap();
                        }
                    }
                }
            }
        });
        Device { stop, thread: Some(thread) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers each request with the next reply.
pub(crate) fn in_turn(exchanges: &[Exchange]) -> impl FnMut(&[u8]) -> Vec<u8> + use<> {
    let mut left: VecDeque<_> = exchanges.to_vec().into();
    move |request| {
        let Some((expected, reply)) = left.pop_front() else { return vec![] };
        assert_eq!(request, expected);
        reply.unwrap_or_default()
    }
}

pub(crate) const ALLOW: [&str; 4] =
    ["--transmit", "--allow", "clear,motion,setting,firmware", "--speed=max"];

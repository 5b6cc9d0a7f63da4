//! A bus at a pseudo-terminal, with devices and other hosts of a script on it, and commands there.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use k485_link::Pty;
use k485_proto::address::Address;
use k485_proto::deframer::{Deframer, Span};
use k485_proto::frame::Frame;
use k485_proto::status::Status;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::{bytes, command, hex};

/// Far longer than anything here takes; a test that waits so long fails.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) const MIDDLE: &str = "f7010400050019";
pub(crate) const BUFFER: &str = "f70103ff0571";

/// What a device says to a frame that it heard; the number counts the frames.
pub(crate) type Script = Box<dyn FnMut(&Frame<'_>, usize) -> Vec<Vec<u8>> + Send>;

/// A bus with something of a script on it.
pub(crate) struct Bus {
    pty: Arc<Pty>,
    heard: Arc<Mutex<Vec<u8>>>,
    stop: Arc<AtomicBool>,
    device: Option<JoinHandle<()>>,
}

impl Bus {
    pub(crate) fn new(
        script: impl FnMut(&Frame<'_>, usize) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Bus {
        let pty = Arc::new(Pty::open().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let device = Device {
            pty: pty.clone(),
            heard: heard.clone(),
            stop: stop.clone(),
            script: Box::new(script),
        };
        Bus { pty, heard, stop, device: Some(thread::spawn(move || device.run())) }
    }

    /// A bus on which nobody answers.
    pub(crate) fn silent() -> Bus {
        Bus::new(|_, _| Vec::new())
    }

    pub(crate) fn port(&self) -> &str {
        self.pty.path().to_str().unwrap()
    }

    /// Somebody else says this.
    pub(crate) fn say(&self, hex: &str) {
        (&*self.pty).write_all(&bytes(hex)).unwrap();
    }

    /// Everything that was sent onto the bus.
    pub(crate) fn heard(&self) -> String {
        hex(&self.heard.lock().unwrap())
    }

    /// A command on this bus, with its own words behind the port.
    pub(crate) fn start(&self, verb: &str, words: &[&str]) -> Running {
        let mut child = command([verb, self.port()])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("k485 runs");
        let err = BufReader::new(child.stderr.take().unwrap());
        Running { child, err, told: String::new() }
    }

    /// A command that runs to its end.
    pub(crate) fn run(&self, verb: &str, words: &[&str]) -> Ended {
        self.start(verb, words).end()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(device) = self.device.take() {
            let _ = device.join();
        }
    }
}

pub(crate) struct Device {
    pty: Arc<Pty>,
    heard: Arc<Mutex<Vec<u8>>>,
    stop: Arc<AtomicBool>,
    script: Script,
}

impl Device {
    pub(crate) fn run(mut self) {
        let mut deframer = Deframer::new();
        let mut buf = [0; 1024];
        let mut count = 0;
        while !self.stop.load(Ordering::SeqCst) {
            let mut fds = [PollFd::new(&*self.pty, PollFlags::IN)];
            let wait = Timespec::try_from(Duration::from_millis(20)).unwrap();
            if poll(&mut fds, Some(&wait)).unwrap_or(0) == 0 {
                continue;
            }
            let Ok(n) = (&*self.pty).read(&mut buf) else { break };
            self.heard.lock().unwrap().extend_from_slice(&buf[..n]);
            let mut rest = &buf[..n];
            let mut answers = Vec::new();
            while let Some(span) = deframer.pull(&mut rest) {
                if let Span::Frame { frame, .. } = span {
                    answers.extend((self.script)(&frame, count));
                    count += 1;
                }
            }
            for answer in answers {
                (&*self.pty).write_all(&answer).unwrap();
            }
        }
    }
}

/// A command that runs. It is killed when a test fails.
pub(crate) struct Running {
    pub(crate) child: Child,
    err: BufReader<ChildStderr>,
    told: String,
}

/// What it left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Running {
    /// Waits for a line on stderr that holds this.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            let n = self.err.read_line(&mut line).unwrap();
            assert!(n > 0, "it ended without {text:?}: {}", self.told);
            self.told.push_str(&line);
            if line.contains(text) {
                return;
            }
        }
    }

    pub(crate) fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
    }

    pub(crate) fn end(mut self) -> Ended {
        let (mut out, mut err) = (String::new(), std::mem::take(&mut self.told));
        // Both are short, so one after the other does not block it.
        self.err.read_to_string(&mut err).unwrap();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        Ended { code: self.child.wait().unwrap().code(), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn reply(addr: u8, status: u8, func: u8, data: &[u8]) -> Vec<u8> {
    Frame::to_vec(Address(addr), Status(status), func, data).unwrap()
}

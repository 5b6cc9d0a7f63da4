//! `--exec`: a program that is run for each match, with the record as a JSON line on its stdin.
//!
//! There is no shell. One program runs at a time, on a thread of its own; what waits for it is
//! bounded, so that neither a slow program nor a busy bus holds up the capture.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use k485_proto::exchange::Seen;
use k485_sniffer::format::jsonl;
use rustix::fs::{Access, OFlags, access, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process_group};

/// How many matches may wait.
const QUEUE: usize = 256;
/// How long a program may run.
const LONGEST: Duration = Duration::from_secs(30);
/// How long after Ctrl-C matches that wait are still worked off.
const GRACE: Duration = Duration::from_millis(1500);
/// How often a running program and Ctrl-C are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Which program to run for each match.
#[derive(Debug, clap::Args)]
pub(crate) struct ExecArgs {
    /// Run this program for each match, with the record as a JSON line on its stdin. No shell; one
    /// at a time, 30 s at most, and what it prints goes to stderr
    #[arg(long, value_name = "PROG")]
    exec: Option<PathBuf>,
    /// An argument of that program; may be given more than once
    #[arg(long, value_name = "ARG", requires = "exec", allow_hyphen_values = true)]
    exec_arg: Vec<OsString>,
}

/// A program that is there.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// As the user named it.
    name: String,
    path: PathBuf,
    args: Vec<OsString>,
    longest: Duration,
}

impl ExecArgs {
    /// The program, if there is to be one; fails if there is no such program.
    pub(crate) fn find(&self) -> anyhow::Result<Option<Program>> {
        let Some(wanted) = &self.exec else { return Ok(None) };
        let name = crate::input::printable(wanted);
        let path = find(wanted, std::env::var_os("PATH").unwrap_or_default())
            .with_context(|| format!("--exec {name}"))?;
        Ok(Some(Program { name, path, args: self.exec_arg.clone(), longest: LONGEST }))
    }
}

/// Where a program is, as a shell would find it.
fn find(wanted: &Path, folders: OsString) -> anyhow::Result<PathBuf> {
    let runs = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if wanted.components().count() > 1 || wanted.is_absolute() {
        if !wanted.exists() {
            bail!("there is no such program");
        }
        if !runs(wanted) {
            bail!("this is not an executable file; `chmod +x` makes a script one");
        }
        return Ok(wanted.to_owned());
    }
    let mut places = std::env::split_paths(&folders).map(|folder| folder.join(wanted));
    match places.find(|path| runs(path)) {
        Some(path) => Ok(path),
        None => bail!("no folder of PATH has this program; for one in this folder write ./NAME"),
    }
}

/// What is said while the capture runs: to stderr, or to a view that has the screen.
pub(crate) type Say = Box<dyn Fn(&str) + Send>;

/// Runs the program for each match.
pub(crate) struct Exec {
    queue: SyncSender<Vec<u8>>,
    worker: JoinHandle<Counts>,
    /// Matches for which there was no room.
    lost: u64,
}

impl Exec {
    /// Starts the thread. Once `stop` is set, nothing runs for longer than two seconds more.
    pub(crate) fn start(program: Program, stop: Arc<AtomicBool>, say: Say) -> io::Result<Exec> {
        let (queue, matches) = sync_channel(QUEUE);
        let worker = Worker { program, stop, say, counts: Counts::default(), deadline: None };
        let worker =
            thread::Builder::new().name("exec".to_owned()).spawn(move || worker.work(&matches))?;
        Ok(Exec { queue, worker, lost: 0 })
    }

    /// Takes a match. Never waits: what there is no room for is counted.
    pub(crate) fn push(&mut self, seen: &Seen) -> io::Result<()> {
        let mut line = jsonl::Writer::new(Vec::new());
        match seen {
            Seen::Frame(frame) | Seen::Lone(frame) => line.frame(frame)?,
            Seen::Noise(record) => line.noise(record)?,
            Seen::Gap(record) => line.gap(record)?,
            Seen::Exchange(exchange) => line.exchange(exchange)?,
        }
        match self.queue.try_send(line.into_inner()) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost += 1;
                Ok(())
            }
        }
    }

    /// Waits until every match that waits was worked off, or given up after `stop`. Gives what it
    /// came to, for the end's summary.
    pub(crate) fn finish(self) -> Summary {
        drop(self.queue);
        let counts = self.worker.join().unwrap_or_default();
        Summary { counts, lost: self.lost }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Code(i32),
    Signal(i32),
    TooLong,
    Stopped,
    NotStarted(io::ErrorKind),
}

impl Ending {
    fn of(status: ExitStatus) -> Ending {
        match (status.code(), status.signal()) {
            (Some(code), _) => Ending::Code(code),
            (None, signal) => Ending::Signal(signal.unwrap_or(0)),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Code(code) => write!(f, "ended with exit code {code}"),
            Ending::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Ending::TooLong => write!(f, "was killed, as it ran for {} s", LONGEST.as_secs()),
            Ending::Stopped => f.write_str("was killed at the end"),
            Ending::NotStarted(kind) => write!(f, "could not be started: {kind}"),
        }
    }
}

/// How runs ended.
#[derive(Debug, Default)]
struct Counts {
    endings: BTreeMap<Ending, u64>,
    /// Matches that still waited at the end.
    dropped: u64,
}

/// What it came to.
#[derive(Debug)]
pub(crate) struct Summary {
    counts: Counts,
    lost: u64,
}

/// `exec: 14 runs, 2 ended with exit code 3; 5 matches without a run: 256 waited already`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        let runs: u64 = counts.endings.values().sum();
        write!(f, "exec: {runs} run{}", if runs == 1 { "" } else { "s" })?;
        for (ending, count) in counts.endings.iter().filter(|(e, _)| **e != Ending::Code(0)) {
            write!(f, ", {count} {ending}")?;
        }
        if self.lost > 0 {
            write!(f, "; {} without a run, as {QUEUE} waited already", matches(self.lost))?;
        }
        if counts.dropped > 0 {
            write!(f, "; {} still waited at the end", matches(counts.dropped))?;
        }
        Ok(())
    }
}

fn matches(count: u64) -> String {
    format!("{count} match{}", if count == 1 { "" } else { "es" })
}

/// The thread that runs the program.
struct Worker {
    program: Program,
    stop: Arc<AtomicBool>,
    say: Say,
    counts: Counts,
    /// When everything is given up; known once `stop` was seen.
    deadline: Option<Instant>,
}

impl Worker {
    fn work(mut self, matches: &Receiver<Vec<u8>>) -> Counts {
        loop {
            let line = match matches.recv_timeout(LOOK) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    self.is_over();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return self.counts,
            };
            if self.is_over() {
                self.counts.dropped += 1;
                continue;
            }
            let ending = self.run(&line);
            let count = self.counts.endings.entry(ending).or_default();
            *count += 1;
            // The same again is only counted.
            if *count == 1 && ending != Ending::Code(0) {
                (self.say)(&format!("--exec {}: {ending}", self.program.name));
            }
        }
    }

    /// Whether the time after Ctrl-C is over.
    fn is_over(&mut self) -> bool {
        if self.deadline.is_none() && self.stop.load(Ordering::SeqCst) {
            self.deadline = Some(Instant::now() + GRACE);
        }
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn run(&mut self, line: &[u8]) -> Ending {
        let mut child = match self.spawn() {
            Ok(child) => child,
            Err(error) => return Ending::NotStarted(error.kind()),
        };
        let start = Instant::now();
        let mut stdin = child.stdin.take();
        let mut left = line;
        let mut pause = Duration::from_millis(1);
        loop {
            stdin = stdin.and_then(|pipe| feed(pipe, &mut left));
            match child.try_wait() {
                Ok(Some(status)) => return Ending::of(status),
                Ok(None) => {}
                Err(error) => return Ending::NotStarted(error.kind()),
            }
            let ending = if start.elapsed() >= self.program.longest {
                Ending::TooLong
            } else if self.is_over() {
                Ending::Stopped
            } else {
                thread::sleep(pause);
                pause = (pause * 2).min(LOOK);
                continue;
            };
            // What it started itself goes with it.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
            return ending;
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        // stdout is for data alone.
        let stderr: OwnedFd = io::stderr().as_fd().try_clone_to_owned()?;
        let child = Command::new(&self.program.path)
            .args(&self.program.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::from(stderr))
            // A group of its own: Ctrl-C is for us, and what it starts can be killed with it.
            .process_group(0)
            .spawn()?;
        // A program need not read its stdin, and a pipe does not hold everything.
        if let Some(pipe) = &child.stdin {
            let flags = fcntl_getfl(pipe)?;
            fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?;
        }
        Ok(child)
    }
}

/// Writes what the pipe takes. Gives the pipe back while there is more to write, and closes it
/// else, or when nobody reads it.
fn feed(mut pipe: ChildStdin, left: &mut &[u8]) -> Option<ChildStdin> {
    while !left.is_empty() {
        match pipe.write(left) {
            Ok(n) => *left = &left[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(pipe),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests;

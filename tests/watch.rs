//! How `k485 sniff` shows a live bus, on real pseudo-terminals: polls folded, only what is around a
//! match, what changes as lines and on a screen, a program for each match.

mod common;

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use common::live::{LONG, lines, next};
use common::{command, folder, k485, project};
use k485_link::Pty;
use k485_proto::address::Address;
use k485_proto::frame::Frame;
use k485_proto::status::Status;
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;

/// A running `k485 sniff` and the bus that it hears. It is killed when a test fails.
struct Sniff {
    bus: Pty,
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Sniff {
    /// Starts it and waits until it listens.
    #[track_caller]
    fn start(args: &[&str]) -> Sniff {
        let bus = Pty::open().unwrap();
        let mut child = command(["sniff", bus.path().to_str().unwrap()].iter().chain(args))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("k485 runs");
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        let sniff = Sniff { bus, child, out, err };
        let told = next(&sniff.err).unwrap_or_default();
        assert!(told.starts_with("listening on "), "{told}");
        sniff
    }

    /// A request and its reply.
    fn ask(&mut self, addr: u8, func: u8, data: &[u8], status: u8, reply: &[u8]) {
        ask(&mut self.bus, addr, func, data, status, reply);
    }

    /// The state of a box.
    fn state(&mut self, addr: u8, temperature: u8) {
        self.ask(addr, 0x0a, &[], 0, &[temperature, 40, 0, 0]);
    }

    /// The next line that holds this text, without the time; earlier ones are dropped.
    #[track_caller]
    fn line(&self, text: &str) -> String {
        loop {
            let line = next(&self.out).unwrap_or_else(|| panic!("no line has {text}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Ends it by Ctrl-C. What is left of stdout and stderr.
    #[track_caller]
    fn end(mut self) -> (Vec<String>, Vec<String>) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        out.extend(std::iter::from_fn(|| next(&self.out)));
        err.extend(std::iter::from_fn(|| next(&self.err)));
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0), "{err:?}");
        (out, err)
    }
}

impl Drop for Sniff {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(bus: &mut Pty, addr: u8, func: u8, data: &[u8], status: u8, reply: &[u8]) {
    let wire = |status, data| Frame::to_vec(Address(addr), Status(status), func, data).unwrap();
    bus.write_all(&[wire(0xff, data), wire(status, reply)].concat()).unwrap();
}

#[track_caller]
fn valid(line: &str) -> Value {
    let text = fs::read_to_string(project("docs/jsonl.schema.json")).unwrap();
    let schema = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::validator_for(&schema).expect("the schema is one itself");
    let value: Value = serde_json::from_str(line).expect("a line is JSON");
    let errors: Vec<String> =
        validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{line}\n{}", errors.join("\n"));
    value
}

#[test]
fn quiet_polls() {
    let folder = folder();
    let kept = folder.path().join("bus");
    let mut sniff = Sniff::start(&["--quiet-polls", "-w", kept.to_str().unwrap()]);
    for _ in 0..5 {
        for addr in [1, 2] {
            sniff.state(addr, 25);
        }
    }
    sniff.state(1, 26);
    // Counts may come between, if this takes more than a second.
    let (mut shown, mut polls) = (Vec::new(), Vec::new());
    while shown.len() < 3 {
        let line = next(&sniff.out).unwrap();
        match line.contains('·') {
            true => polls.push(line),
            false => shown.extend(line.contains(" box").then_some(line)),
        }
    }
    for (line, end) in
        shown.iter().zip([["box1 ", "=25 C"], ["box2 ", "=25 C"], ["box1 ", "=26 C"]])
    {
        assert!(end.iter().all(|part| line.contains(part)), "{end:?} is not in {line}");
    }
    // What was not told yet is told at the end.
    let size = || fs::metadata(&kept).unwrap().len();
    let (before, start) = (size(), Instant::now());
    sniff.state(1, 26);
    while size() == before {
        assert!(start.elapsed() < LONG);
        thread::sleep(Duration::from_millis(5));
    }
    let (out, err) = sniff.end();
    polls.extend(out);
    assert!(polls.iter().all(|line| line.contains("box1") && line.contains("GET_BOX_STATE")));
    let counts = polls.iter().map(|line| line.split("· ").nth(1).unwrap().split(' ').next());
    let counted: u64 = counts.map(|count| count.unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!((counted, err.len()), (9, 2), "{polls:?} {err:?}");
    assert!(err[0].starts_with("24 frames, 12 exchanges (12 answered)"), "{err:?}");

    let mut sniff = Sniff::start(&["--quiet-polls", "--to", "json"]);
    for temperature in [25, 25, 25, 26] {
        sniff.state(1, temperature);
    }
    sniff.line("\"temperature\":26");
    let (out, _) = sniff.end();
    let polls: Vec<Value> = out.iter().map(|line| valid(line)).collect();
    // Nothing is shown behind the last exchange but counts, and they are all there, unless this
    // took more than a second.
    assert!(polls.iter().all(|polls| polls["type"] == "polls"), "{polls:?}");
    if let [polls] = &polls[..] {
        let kind = &polls["polls"][0];
        assert_eq!((&polls["count"], &kind["count"]), (&2.into(), &2.into()));
        assert_eq!((&kind["device"], &kind["outcome"]), (&"box1".into(), &"answered".into()));
    }
}

#[test]
fn a_trigger() {
    let args = ["--trigger", "status!=OK", "--pre", "1h", "--post", "100ms"];
    let mut sniff = Sniff::start(&args);
    sniff.state(1, 25);
    sniff.state(2, 25);
    // Only while nothing is shown does the time pass that is not.
    assert_eq!(sniff.out.recv_timeout(Duration::from_millis(300)), Err(RecvTimeoutError::Timeout));
    sniff.ask(1, 0x0a, &[], 0x14, &[25, 40, 0, 0]);
    assert!(sniff.line("trigger").starts_with("== trigger at "));
    for part in ["box1 ", "box2 ", "RETRUDE_ERR2", "--"] {
        let line = next(&sniff.out).unwrap();
        assert!(line.contains(part), "{part} is not in {line}");
    }
    // It is armed again.
    sniff.state(3, 25);
    sniff.ask(1, 0x0a, &[], 0x14, &[25, 40, 0, 0]);
    sniff.line("trigger");
    assert!(next(&sniff.out).unwrap().contains("box3 "));
    sniff.line("RETRUDE_ERR2");
    sniff.end();

    let err = k485(["sniff", "/dev/no-such-port", "--trigger", "sttus!=OK"]).failed(2);
    assert!(err.contains("--trigger"), "{err}");
    assert_eq!(k485(["sniff", "/dev/no-such-port", "--pre", "1s"]).code, Some(2));
    let err = k485(["sniff", "x", "--trigger", "noise", "--pre", "soon"]).failed(2);
    assert!(err.contains("1m30s"), "{err}");
}

#[test]
fn changes_as_lines() {
    let mut sniff = Sniff::start(&["--changes", "-F", "addr==box1"]);
    sniff.state(1, 25);
    sniff.state(1, 25);
    sniff.state(2, 25);
    sniff.state(1, 26);
    let first = sniff.line("box1");
    let wanted = "box1   GET_BOX_STATE first seen: outcome=answered status=OK temperature=25 C \
                  humidity=40 % ran=none state=idle";
    assert_eq!(&first[13..], wanted);
    let line = next(&sniff.out).unwrap();
    assert_eq!(&line[13..], "box1   GET_BOX_STATE temperature 25 -> 26 C");
    sniff.end();

    let mut sniff = Sniff::start(&["--changes", "--to", "json"]);
    sniff.state(1, 25);
    sniff.ask(1, 0x0a, &[], 0x14, &[25, 40, 0, 2]);
    let first = valid(&next(&sniff.out).unwrap());
    assert_eq!((&first["first"], &first["request_data"]), (&true.into(), &"".into()));
    let second = valid(&next(&sniff.out).unwrap());
    let names: Vec<&Value> =
        second["changes"].as_array().unwrap().iter().map(|change| &change["name"]).collect();
    assert_eq!(names, ["status", "state"]);
    let state = &second["changes"][1];
    assert_eq!((&state["old"], &state["new"]), (&0.into(), &2.into()));
    assert_eq!(state["old_name"], "idle");
    sniff.end();
}

const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };

/// A child that is killed when a test fails.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A terminal with somebody looking at it.
struct Looker {
    terminal: Pty,
    seen: Vec<u8>,
}

impl Looker {
    /// What was written so far and comes until this text is there.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        let mut buf = [0; 4096];
        while !String::from_utf8_lossy(&self.seen).contains(text) {
            let mut fds =
                [rustix::event::PollFd::new(&self.terminal, rustix::event::PollFlags::IN)];
            let wait = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
            if rustix::event::poll(&mut fds, Some(&wait)).unwrap() > 0 {
                let n = self.terminal.read(&mut buf).unwrap();
                self.seen.extend(&buf[..n]);
            }
            let so_far = String::from_utf8_lossy(&self.seen);
            assert!(start.elapsed() < LONG, "{text} does not come: {so_far}");
        }
    }

    /// Waits for the end while it goes on reading, so that nothing blocks.
    #[track_caller]
    fn wait_for_end(&mut self, child: &mut Child) -> ExitStatus {
        self.wait_for("\x1b[?1049l");
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < LONG, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn changes_on_a_screen() {
    enum End {
        Key,
        CtrlC,
        Signal,
    }
    for end in [End::Key, End::CtrlC, End::Signal] {
        let mut bus = Pty::open().unwrap();
        let terminal = Pty::open().unwrap();
        tcsetwinsize(&terminal, SIZE).unwrap();
        let tty = || OpenOptions::new().read(true).write(true).open(terminal.path()).unwrap();
        let before = format!("{:?}", tcgetattr(tty()).unwrap());
        let mut child = command(["sniff", bus.path().to_str().unwrap(), "--changes"])
            .env("TERM", "xterm-256color")
            .env("NO_COLOR", "1")
            .stdin(tty())
            .stdout(tty())
            .stderr(Stdio::piped())
            .spawn()
            .expect("k485 runs");
        let err = lines(child.stderr.take().unwrap());
        let mut child = Guarded(child);
        assert!(next(&err).unwrap().starts_with("listening on "));
        let mut looker = Looker { terminal, seen: Vec::new() };
        looker.wait_for("\x1b[?1049h");
        looker.wait_for("nothing heard yet");
        ask(&mut bus, 1, 0x0a, &[], 0, &[25, 40, 0, 0]);
        looker.wait_for("temperature=25");
        ask(&mut bus, 2, 0x0a, &[], 0, &[31, 40, 0, 0]);
        looker.wait_for("temperature=31");
        looker.terminal.write_all(b"?").unwrap();
        looker.wait_for("closes");
        looker.terminal.write_all(b"x").unwrap();
        match end {
            End::Key => looker.terminal.write_all(b"q").unwrap(),
            End::CtrlC => looker.terminal.write_all(b"\x03").unwrap(),
            End::Signal => kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap(),
        }
        let status = looker.wait_for_end(&mut child.0);
        assert_eq!(status.code(), Some(0));
        // The terminal is as it was, without a colour ever, and the summary comes behind.
        assert_eq!(format!("{:?}", tcgetattr(&looker.terminal).unwrap()), before);
        let seen = String::from_utf8_lossy(&looker.seen).into_owned();
        assert!(!seen.contains("[38;") && !seen.contains("[48;"), "{seen}");
        assert!(next(&err).unwrap().starts_with("4 frames, 2 exchanges (2 answered)"));
    }
}

#[test]
fn a_screen_that_goes_away() {
    let mut bus = Pty::open().unwrap();
    let terminal = Pty::open().unwrap();
    tcsetwinsize(&terminal, SIZE).unwrap();
    let tty = || OpenOptions::new().read(true).write(true).open(terminal.path()).unwrap();
    let mut child = command(["sniff", bus.path().to_str().unwrap(), "--changes"])
        .env("TERM", "xterm")
        .stdin(tty())
        .stdout(tty())
        .stderr(Stdio::piped())
        .spawn()
        .expect("k485 runs");
    let err = lines(child.stderr.take().unwrap());
    let mut child = Guarded(child);
    let mut looker = Looker { terminal, seen: Vec::new() };
    looker.wait_for("nothing heard yet");
    ask(&mut bus, 1, 0x0a, &[], 0, &[25, 40, 0, 0]);
    looker.wait_for("temperature=25");
    drop(looker);
    let start = Instant::now();
    while child.0.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < LONG, "it runs on where nobody looks");
        thread::sleep(Duration::from_millis(5));
    }
    // What it heard is still summed up.
    let err: Vec<String> = std::iter::from_fn(|| next(&err)).collect();
    assert!(err.iter().any(|line| line.starts_with("2 frames, 1 exchange")), "{err:?}");
}

#[test]
fn a_program_for_each_match() {
    let folder = folder();
    let file = folder.path().join("out");
    let name = file.to_str().unwrap();
    let script = "cat >> \"$1\"; echo for people; exit 4";
    let args = ["-F", "status!=OK", "--exec", "sh"];
    let rest = ["-c", script, "sh", name].map(|arg| ["--exec-arg", arg]);
    let args: Vec<&str> = args.into_iter().chain(rest.into_iter().flatten()).collect();
    let mut sniff = Sniff::start(&args);
    sniff.state(1, 25);
    for _ in 0..3 {
        sniff.ask(1, 0x0a, &[], 0x14, &[25, 40, 0, 0]);
    }
    wait_for_lines(&file, 3);
    let (out, err) = sniff.end();
    assert!(out.iter().all(|line| !line.contains("for people")), "{out:?}");
    assert_eq!(err.iter().filter(|line| *line == "for people").count(), 3);
    let told = "k485: --exec sh: ended with exit code 4";
    assert_eq!(err.iter().filter(|line| *line == told).count(), 1, "{err:?}");
    assert_eq!(err.last().unwrap(), "exec: 3 runs, 3 ended with exit code 4");
    let text = fs::read_to_string(&file).unwrap();
    for line in text.lines() {
        let line = valid(line);
        assert_eq!((&line["type"], &line["response"]["status"]), (&"exchange".into(), &20.into()));
    }

    // A slow program holds up neither what is shown nor the end.
    let mut sniff = Sniff::start(&["--exec", "sleep", "--exec-arg", "600"]);
    for temperature in 0..100 {
        sniff.state(1, temperature);
    }
    sniff.line("temperature=99 C");
    let start = Instant::now();
    let (_, err) = sniff.end();
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    let wanted = "exec: 1 run, 1 was killed at the end; 99 matches still waited at the end";
    assert_eq!(err.last().unwrap(), wanted);

    // A program that is not there is told before a port is.
    let err = k485(["sniff", "/dev/no-such-port", "--exec", "no-such-program"]).failed(1);
    assert!(err.starts_with("k485: --exec no-such-program: no folder of PATH has"), "{err}");
}

#[track_caller]
fn wait_for_lines(file: &Path, count: usize) {
    let start = Instant::now();
    while fs::read_to_string(file).unwrap_or_default().lines().count() < count {
        assert!(start.elapsed() < LONG);
        thread::sleep(Duration::from_millis(5));
    }
}

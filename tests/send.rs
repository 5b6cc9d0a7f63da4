//! `k485 send` and `k485 scan` on real pseudo-terminals, with devices and other hosts of a script at
//! the other end: what goes onto the wire and when, what is shown, and the exit codes.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::{bytes, command, hex};
use k485_link::Pty;
use k485_proto::address::Address;
use k485_proto::deframer::Deframer;
use k485_proto::deframer::Span;
use k485_proto::frame::Frame;
use k485_proto::status::Status;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Far longer than anything here takes; a test that waits so long fails.
const LONG: Duration = Duration::from_secs(60);

const MIDDLE: &str = "f7010400050019";
const BUFFER: &str = "f70103ff0571";

/// What a device says to a frame that it heard; the number counts the frames.
type Script = Box<dyn FnMut(&Frame<'_>, usize) -> Vec<Vec<u8>> + Send>;

/// A bus with something of a script on it.
struct Bus {
    pty: Arc<Pty>,
    heard: Arc<Mutex<Vec<u8>>>,
    stop: Arc<AtomicBool>,
    device: Option<JoinHandle<()>>,
}

impl Bus {
    fn new(script: impl FnMut(&Frame<'_>, usize) -> Vec<Vec<u8>> + Send + 'static) -> Bus {
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
    fn silent() -> Bus {
        Bus::new(|_, _| Vec::new())
    }

    fn port(&self) -> &str {
        self.pty.path().to_str().unwrap()
    }

    /// Somebody else says this.
    fn say(&self, hex: &str) {
        (&*self.pty).write_all(&bytes(hex)).unwrap();
    }

    /// Everything that was sent onto the bus.
    fn heard(&self) -> String {
        hex(&self.heard.lock().unwrap())
    }

    /// A command on this bus, with its own words behind the port.
    fn start(&self, verb: &str, words: &[&str]) -> Running {
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
    fn run(&self, verb: &str, words: &[&str]) -> Ended {
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

struct Device {
    pty: Arc<Pty>,
    heard: Arc<Mutex<Vec<u8>>>,
    stop: Arc<AtomicBool>,
    script: Script,
}

impl Device {
    fn run(mut self) {
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
struct Running {
    child: Child,
    err: BufReader<ChildStderr>,
    told: String,
}

/// What it left behind.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Running {
    /// Waits for a line on stderr that holds this.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
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

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
    }

    fn end(mut self) -> Ended {
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

fn reply(addr: u8, status: u8, func: u8, data: &[u8]) -> Vec<u8> {
    Frame::to_vec(Address(addr), Status(status), func, data).unwrap()
}

#[test]
fn a_request_and_its_reply() {
    let bus = Bus::new(|_, _| vec![bytes(MIDDLE)]);
    let end = bus.run("send", &["--transmit", "box1", "GET_BUFFER_STATE"]);
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(end.out.contains("box1   GET_BUFFER_STATE -> OK buffer=middle"), "{end:?}");
    assert_eq!(end.err, format!("listening on {} for 3 s first\n", bus.port()));
    assert_eq!(bus.heard(), BUFFER);
    // The frame as hex, whole and bare; a class that is allowed.
    for (hex, sent, more) in [
        ("F7 01 03 FF 05 71", BUFFER, &[][..]),
        ("0103ff05", BUFFER, &[]),
        ("f70105ff04000190", "f70105ff04000190", &["--allow", "clear,setting"]),
    ] {
        let bus = Bus::new(|frame, _| {
            vec![reply(1, 0, frame.func(), &[0][..usize::from(frame.func() == 5)])]
        });
        let end = bus.run("send", &[&["--transmit", "--hex", hex, "--to", "json"], more].concat());
        assert_eq!((end.code, bus.heard().as_str()), (Some(0), sent), "{end:?}");
        let exchange: Value = serde_json::from_str(&end.out).unwrap();
        assert_eq!(exchange["outcome"], "answered");
        assert_eq!(exchange["attempts"], 1);
        assert_eq!(exchange["bus"], bus.port());
    }
}

#[test]
fn it_is_sent_again_as_the_host_does() {
    let bus = Bus::new(|_, count| if count < 2 { vec![] } else { vec![bytes(MIDDLE)] });
    let words = ["--transmit", "--timeout", "2s", "--to", "json", "box1", "GET_BUFFER_STATE"];
    let end = bus.run("send", &words);
    assert_eq!((end.code, bus.heard()), (Some(0), BUFFER.repeat(3)), "{end:?}");
    let exchange: Value = serde_json::from_str(&end.out).unwrap();
    assert_eq!((&exchange["attempts"], &exchange["outcome"]), (&3.into(), &"answered".into()));
}

#[test]
fn no_reply() {
    let bus = Bus::silent();
    let words = ["--transmit", "--timeout", "50ms", "--sends", "2", "box1", "GET_BUFFER_STATE"];
    let end = bus.run("send", &words);
    assert_eq!((end.code, bus.heard()), (Some(5), BUFFER.repeat(2)), "{end:?}");
    assert!(end.out.contains("box1   GET_BUFFER_STATE"), "{end:?}");
    // To everyone: nobody answers, and that is well.
    let bus = Bus::silent();
    let words = ["--transmit", "--allow", "firmware", "all", "LOADER_TO_APP"];
    let end = bus.run("send", &words);
    assert_eq!((end.code, bus.heard().as_str()), (Some(0), "f7ff04000b01c8"), "{end:?}");
}

#[test]
fn an_error_status() {
    let bus = Bus::new(|frame, _| vec![reply(1, 0x03, frame.func(), &[])]);
    let end = bus.run("send", &["--transmit", "--sends", "5", "box1", "05"]);
    assert_eq!((end.code, bus.heard().as_str()), (Some(4), BUFFER), "{end:?}");
    assert!(end.out.contains("STATE_ERR"), "{end:?}");
    // A motor's STATUS means nothing.
    let bus = Bus::new(|frame, _| vec![reply(0x81, 0x03, frame.func(), &[0; 8])]);
    let words = ["--transmit", "--allow", "clear", "motor1", "PROTECTION", "op=query"];
    assert_eq!(bus.run("send", &words).code, Some(0));
}

#[test]
fn an_adapter_that_echoes() {
    let stall = "f7810400110214";
    let words =
        ["--transmit", "--allow", "setting", "--timeout", "2s", "motor1", "STALL_MODE", "mode=2"];
    // The echo and the reply are the same bytes.
    let bus = Bus::new(move |_, _| vec![bytes(stall), bytes(stall)]);
    let end = bus.run("send", &words);
    assert_eq!((end.code, bus.heard().as_str()), (Some(0), stall), "{end:?}");
    assert_eq!(end.err.lines().count(), 1, "{end:?}");
    // Only one of them: it may be either, and that is said; or it is told which.
    for (echo, code, doubt) in [("auto", 0, true), ("off", 0, false), ("on", 5, false)] {
        let bus = Bus::new(move |_, _| vec![bytes(stall)]);
        let end = bus.run("send", &[&["--echo", echo], &words[..]].concat());
        assert_eq!(end.code, Some(code), "{echo} {end:?}");
        assert_eq!(end.err.contains("--echo on or --echo off"), doubt, "{echo} {end:?}");
    }
    // A box's reply is none of an echo.
    let bus = Bus::new(|frame, _| vec![frame.raw().to_vec(), bytes(MIDDLE)]);
    let end = bus.run("send", &["--transmit", "--to", "json", "box1", "GET_BUFFER_STATE"]);
    let exchange: Value = serde_json::from_str(&end.out).unwrap();
    assert_eq!((end.code, &exchange["attempts"]), (Some(0), &1.into()), "{end:?}");
}

#[test]
fn the_guard_lets_nothing_out() {
    let bus = Bus::silent();
    for (words, missing) in [
        (&["box1", "GET_BUFFER_STATE"][..], "--transmit"),
        (&["--allow", "motion", "box1", "10", "slot=A", "stage=0"], "--transmit"),
        (&["--transmit", "box1", "10", "slot=A", "stage=0"], "--allow motion"),
        (&["--transmit", "--allow", "motion", "box1", "GET_BOX_STATE"], "--allow clear"),
        (&["--transmit", "--allow", "motion,clear", "box1", "01"], "--allow setting"),
        (
            &["--transmit", "--allow", "clear", "--allow", "setting", "motor1", "BOOT"],
            "--allow firmware",
        ),
        // A function that nobody declared, and what is no frame.
        (&["--transmit", "--hex", "0103ff12"], "--allow firmware"),
        (&["--transmit", "--raw", "--hex", "0102"], "--allow firmware"),
        (&["box1", "GET_BOX_STATE"], "--transmit --allow clear"),
    ] {
        let end = bus.run("send", words);
        assert_eq!((end.code, end.out.as_str()), (Some(6), ""), "{words:?} {end:?}");
        assert!(end.err.trim_end().ends_with(&format!("add {missing}")), "{words:?} {end:?}");
        // The port is not even opened.
        assert!(!end.err.contains("listening"), "{end:?}");
    }
    let end = bus.run("scan", &[]);
    assert_eq!(end.code, Some(6), "{end:?}");
    thread::sleep(Duration::from_millis(100));
    assert_eq!(bus.heard(), "");
}

#[test]
fn nothing_goes_into_a_feed() {
    let bus = Bus::silent();
    for (verb, words) in
        [("send", &["--transmit", "box1", "GET_BUFFER_STATE"][..]), ("scan", &["--transmit"])]
    {
        let mut running = bus.start(verb, words);
        running.wait_for("listening on");
        bus.say("f70206ff1001050082");
        bus.say("f702070010c412ce5530");
        let end = running.end();
        assert_eq!((end.code, end.out.as_str()), (Some(6), ""), "{end:?}");
        let said = "box2 is feeding: EXTRUDE_PROCESS feed_poll slot=A was seen ";
        assert!(end.err.contains(said), "{end:?}");
    }
    assert_eq!(bus.heard(), "");
}

#[test]
fn it_waits_until_the_bus_is_quiet() {
    let quiet = Arc::new(AtomicBool::new(false));
    let flag = quiet.clone();
    let bus = Bus::new(move |_, _| {
        assert!(flag.load(Ordering::SeqCst), "it spoke into the others' frames");
        vec![bytes(MIDDLE)]
    });
    let mut running = bus.start("send", &["--transmit", "box1", "GET_BUFFER_STATE"]);
    running.wait_for("listening on");
    // A host and box 2, for longer than it listens: with each reply comes the next request, so that
    // one is always open.
    let began = Instant::now();
    bus.say("f70203ff0571");
    while began.elapsed() < Duration::from_millis(4_500) {
        bus.say("f7020400050019f70203ff0571");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(bus.heard(), "");
    quiet.store(true, Ordering::SeqCst);
    bus.say("f7020400050019");
    let end = running.end();
    assert_eq!((end.code, bus.heard().as_str()), (Some(0), BUFFER), "{end:?}");
    // Only what is its own is shown.
    assert_eq!(end.out.matches("GET_BUFFER_STATE").count(), 1, "{end:?}");
}

#[test]
fn a_bus_that_is_never_quiet() {
    let bus = Bus::silent();
    let mut running = bus.start("send", &["--transmit", "box1", "GET_BUFFER_STATE"]);
    running.wait_for("listening on");
    // A host waits, and nobody answers: GET_BOX_STATE may take an hour.
    bus.say("f70203ff0a5c");
    let end = running.end();
    assert_eq!((end.code, bus.heard().as_str()), (Some(6), ""), "{end:?}");
    assert!(end.err.contains("a host asked box2 GET_BOX_STATE 1"), "{end:?}");
}

#[test]
fn hex_is_strict() {
    let bus = Bus::silent();
    for (hex, what) in [
        ("f70103ff0572", "bad CRC"),
        ("f70103ff05", "--raw"),
        ("0102", "neither a frame"),
        ("f70103ff0571f7", "--raw"),
        ("f7010", "even number of hex digits"),
        ("", "nothing to send"),
    ] {
        let end = bus.run("send", &["--transmit", "--allow", "firmware", "--hex", hex]);
        assert_eq!(end.code, Some(1), "{hex} {end:?}");
        assert!(end.err.to_lowercase().contains(&what.to_lowercase()), "{hex} {end:?}");
    }
    assert_eq!(bus.heard(), "");
    // As it is.
    let bus = Bus::new(|_, _| vec![]);
    let words = [
        "--transmit",
        "--allow",
        "firmware",
        "--timeout",
        "50ms",
        "--raw",
        "--hex",
        "f70103ff0572",
    ];
    let end = bus.run("send", &words);
    assert_eq!((end.code, bus.heard().as_str()), (Some(5), "f70103ff0572"), "{end:?}");
}

#[test]
fn again_and_again() {
    let bus = Bus::new(|frame, count| match count {
        1 => vec![reply(1, 0x03, frame.func(), &[])],
        _ => vec![bytes(MIDDLE)],
    });
    let words = ["--transmit", "--every", "50ms", "--repeat", "4", "box1", "GET_BUFFER_STATE"];
    let end = bus.run("send", &words);
    assert_eq!((end.code, bus.heard()), (Some(4), BUFFER.repeat(4)), "{end:?}");
    let summary = "4 requests: 4 answered (1 with an error STATUS), 0 without a reply; latency ";
    assert!(end.err.contains(summary), "{end:?}");
    // Until Ctrl-C.
    let bus = Bus::new(|_, _| vec![bytes(MIDDLE)]);
    let words = ["--transmit", "--every", "20ms", "box1", "GET_BUFFER_STATE"];
    let mut running = bus.start("send", &words);
    let mut out = BufReader::new(running.child.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..4 {
        out.read_line(&mut line).unwrap();
    }
    running.interrupt();
    running.wait_for(" answered, 0 without a reply; latency ");
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
}

/// Watching a printer with pure reads: a feed is waited for, and said once.
#[test]
fn a_watch_goes_on_behind_a_feed() {
    let bus = Bus::new(|_, _| vec![bytes(MIDDLE)]);
    let words = ["--transmit", "--every", "100ms", "box1", "GET_BUFFER_STATE"];
    let mut running = bus.start("send", &words);
    running.wait_for("listening on");
    bus.say("f70206ff10010600bd");
    running.wait_for("box2 is feeding");
    assert_eq!(bus.heard(), "");
    bus.say("f702030010cd");
    let began = Instant::now();
    while bus.heard().is_empty() {
        assert!(began.elapsed() < LONG);
        thread::sleep(Duration::from_millis(20));
    }
    running.interrupt();
    let end = running.end();
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(end.err.contains(" not sent; latency"), "{end:?}");
    assert_eq!(end.err.matches("is feeding").count(), 1, "{end:?}");
}

/// A pseudo-terminal of its own is no printer's: nothing has to be said twice there.
#[test]
fn a_line_of_its_own_needs_no_flags() {
    let folder = common::folder();
    let link = folder.path().join("bus");
    let word = format!("left=pty:{}", link.display());
    let words = ["send", &word, "--timeout", "50ms", "--to", "json", "motor1", "BOOT"];
    let end = common::k485(words);
    assert_eq!((end.code, end.err.as_str()), (Some(5), ""), "{end:?}");
    let exchange: Value = serde_json::from_str(&end.out).unwrap();
    assert_eq!((&exchange["bus"], &exchange["outcome"]), (&"left".into(), &"timeout".into()));
}

#[test]
fn wrong_words() {
    let bus = Bus::silent();
    for (words, code, what) in [
        (&["--transmit", "box9", "05"][..], 2, "no address"),
        (&["--transmit", "box1", "GET_BUFFER_STAT"], 1, "did you mean GET_BUFFER_STATE"),
        (&["--transmit", "box1", "10", "slot=A"], 1, "stage is missing"),
        (&["--allow", "everything", "box1", "05"], 2, "there are read, clear, motion"),
        (&["--listen", "1s", "box1", "05"], 2, "3s is the least"),
        (&["--every", "5", "box1", "05"], 2, "with its unit"),
        (&["box1"], 2, "<FUNCTION>"),
        (&["--raw", "box1", "05"], 2, "cannot be used with"),
    ] {
        let end = bus.run("send", words);
        assert_eq!(end.code, Some(code), "{words:?} {end:?}");
        assert!(end.err.contains(what), "{words:?} {end:?}");
    }
    let end = command(["send", "/dev/no-such-port", "--transmit", "box1", "05"]).output().unwrap();
    assert_eq!(end.status.code(), Some(1));
    for (list, what) in [
        ("0", "no address"),
        ("1-130", "no address"),
        ("0xfe", "no address"),
        ("4-1", "the larger"),
        ("x", "no address: "),
        ("0xeb", "no address"),
        ("17", "no address"),
    ] {
        let end = bus.run("scan", &["--transmit", "--addr", list]);
        assert_eq!(end.code, Some(2), "{list} {end:?}");
        assert!(end.err.contains(what), "{list} {end:?}");
    }
    assert_eq!(bus.heard(), "");
}

/// Box 1 answers everything, box 3 A3 alone, something at 05 too.
fn boxes(frame: &Frame<'_>, _: usize) -> Vec<Vec<u8>> {
    let identity = |uniid: &str| [bytes("0100"), bytes(uniid)].concat();
    let data = match (frame.addr().0, frame.func()) {
        (1, 0xa2) => identity("690630021853331152353832"),
        (1, 0x14) => b"11310000843215B625AHSC".to_vec(),
        (3, 0xa3) => [bytes("0101"), bytes("4b9b30021853331052353832")].concat(),
        (5, 0xa2) => identity("0b7430021853331052353832"),
        _ => return Vec::new(),
    };
    vec![reply(frame.addr().0, 0, frame.func(), &data)]
}

#[test]
fn a_scan() {
    let bus = Bus::new(boxes);
    let end = bus.run("scan", &["--transmit", "--timeout", "1s"]);
    assert_eq!(end.code, Some(0), "{end:?}");
    let rows: Vec<Vec<&str>> =
        end.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows[0],
        ["addr", "device", "answer", "type", "mode", "uniid", "version", "serial", "ms"]
    );
    let one = ["01", "box1", "OK", "box", "app", "690630021853331152353832", "1.1.3"];
    assert_eq!(rows[1][..7], one);
    assert_eq!(rows[1][7], "10000843215B625AHSC");
    assert_eq!(rows[2], ["02", "box2", "none"]);
    assert_eq!(rows[3][..6], ["03", "box3", "OK", "box", "loader", "4b9b30021853331052353832"]);
    assert_eq!(rows[4], ["04", "box4", "none"]);
    // Twice at most, and nothing but pure reads.
    let twice = |addr: u8| [0xa2, 0xa3, 0xa2, 0xa3].map(|func| reply(addr, 0, func, &[])).concat();
    let first = [reply(1, 0, 0xa2, &[]), reply(1, 0xff, 0x14, &[])].concat();
    let third =
        [reply(3, 0, 0xa2, &[]), reply(3, 0, 0xa3, &[]), reply(3, 0xff, 0x14, &[])].concat();
    assert_eq!(bus.heard(), hex(&[first, twice(2), third, twice(4)].concat()));
}

#[test]
fn a_scan_of_other_addresses() {
    let bus = Bus::new(boxes);
    let words = ["--transmit", "--addr", "box4,5-5", "--timeout", "1s", "--to", "json"];
    let end = bus.run("scan", &words);
    assert_eq!(end.code, Some(0), "{end:?}");
    let lines: Vec<Value> =
        end.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["addr"], &lines[0]["answered"]), (&4.into(), &false.into()));
    assert_eq!(lines[1]["uniid"], "0b7430021853331052353832");
    assert_eq!(lines[1]["device_type"], "box");
    assert!(lines[1]["latency_ms"].is_number());
    // Nobody at all.
    let bus = Bus::silent();
    let end = bus.run("scan", &["--transmit", "--addr", "2", "--timeout", "20ms"]);
    assert_eq!(end.code, Some(5), "{end:?}");
}

//! `k485 sniff` on real pseudo-terminals: what it shows and when, how it ends, and that nothing
//! comes back.

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use common::live::{LONG, lines, next};
use common::{bytes, command, folder, k485, sample_lines};
use k485_link::Pty;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A running `k485 sniff`. It is killed when a test fails.
struct Sniff {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Sniff {
    /// Starts it on a port and waits until it listens.
    #[track_caller]
    fn start(port: &Path, args: &[&str]) -> Sniff {
        let expected = format!("listening on {} at 230400 baud, read-only, ", port.display());
        Sniff::told(port.to_str().unwrap(), args, &expected)
    }

    /// Starts it on a port and waits until it tells this.
    #[track_caller]
    fn told(port: &str, args: &[&str], expected: &str) -> Sniff {
        let mut child = command(["sniff", port].iter().chain(args))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("k485 runs");
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        let sniff = Sniff { child, out, err };
        let told = next(&sniff.err).unwrap_or_default();
        assert!(told.starts_with(expected), "{told}");
        sniff
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// The exit code, and what is left of stdout and stderr.
    #[track_caller]
    fn end(mut self) -> (Option<i32>, Vec<String>, Vec<String>) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        out.extend(std::iter::from_fn(|| next(&self.out)));
        err.extend(std::iter::from_fn(|| next(&self.err)));
        (self.child.wait().expect("it ends").code(), out, err)
    }
}

impl Drop for Sniff {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether anything comes out of our end within this time.
fn hears_something(pty: &Pty, wait: Duration) -> bool {
    let mut fds = [PollFd::new(pty, PollFlags::IN)];
    let wait = Timespec::try_from(wait).unwrap();
    poll(&mut fds, Some(&wait)).unwrap() > 0
}

/// Waits until a file has so many bytes.
#[track_caller]
fn wait_for_bytes(file: &Path, size: usize) {
    let start = Instant::now();
    loop {
        let have = fs::metadata(file).unwrap().len();
        if have >= size as u64 {
            return;
        }
        assert!(start.elapsed() < LONG, "{have} of {size} bytes");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The line of an exchange without its times.
fn said(line: &str) -> &str {
    line.get(24..).unwrap_or(line)
}

const POLL: &str = "f70203ff0a5c";
const STATE: &str = "f70207000a182700004c";
const SAID: &str = "box2   GET_BOX_STATE -> OK temperature=24 C humidity=39 % ran=none state=idle";

#[test]
fn live_and_silent() {
    let mut pty = Pty::open().unwrap();
    let sniff = Sniff::start(pty.path(), &[]);
    let sample = sample_lines();
    let mut exchanges = 0;
    for frame in &sample {
        pty.write_all(frame).unwrap();
    }
    // It is all shown while the port is open and the bus goes silent behind it.
    let start = Instant::now();
    let mut out = Vec::new();
    while exchanges < 97 {
        let line = next(&sniff.out).expect("it runs on");
        exchanges += usize::from(line.contains("-> OK"));
        out.push(line);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(out[0].starts_with("-- 20"), "{}", out[0]);
    assert_eq!(out.iter().filter(|line| line.contains("noise: ")).count(), 2);

    // And a single exchange later too, at once.
    pty.write_all(&bytes(POLL)).unwrap();
    pty.write_all(&bytes(STATE)).unwrap();
    let start = Instant::now();
    while said(&next(&sniff.out).expect("it runs on")) != SAID {}
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());

    assert!(!hears_something(&pty, Duration::from_millis(100)), "the bus heard something");
    sniff.signal(Signal::INT);
    let (code, _, err) = sniff.end();
    assert_eq!(code, Some(0));
    assert_eq!(err.len(), 1, "{err:?}");
    assert!(err[0].starts_with("225 frames, "), "{}", err[0]);
    assert!(
        err[0].contains("98 answered") && err[0].contains("noise: 10 bytes in 2 places"),
        "{}",
        err[0]
    );
    assert!(!hears_something(&pty, Duration::from_millis(100)), "the bus heard something");
}

#[test]
fn ends_with_a_summary() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut pty = Pty::open().unwrap();
        let folder = folder();
        let kept = folder.path().join("bus.raw");
        let sniff = Sniff::start(pty.path(), &["-w", kept.to_str().unwrap()]);
        // A request that is open at the end, and half a frame.
        pty.write_all(&bytes(POLL)).unwrap();
        pty.write_all(&bytes("f701")).unwrap();
        wait_for_bytes(&kept, 8);
        sniff.signal(signal);
        let start = Instant::now();
        let (code, out, err) = sniff.end();
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        assert_eq!(code, Some(0), "{err:?}");
        // The reply may still have been on its way: nobody is called silent.
        let summary = "1 frame, 1 exchange (1 unfinished), noise: 2 bytes in 1 place";
        assert_eq!(err[0], summary);
        assert_eq!(err[err.len() - 1], "k485: written: 2 records, 8 bytes in 1 file");
        let all = out.join("\n");
        assert!(all.contains("box2   GET_BOX_STATE -> no reply before the capture ends"), "{all}");
        assert!(all.contains("noise: 2 bytes at 6: truncated: 2 of 3 bytes f701"), "{all}");
    }
}

#[test]
fn keeps_the_bytes() {
    let mut pty = Pty::open().unwrap();
    let folder = folder();
    let kept = folder.path().join("bus.raw");
    let kept_name = kept.to_str().unwrap();
    let sniff = Sniff::start(pty.path(), &["-w", kept_name]);
    let mut wire = sample_lines().concat();
    wire.extend((0..=255).rev());
    pty.write_all(&wire).unwrap();
    // In the file as they come, not only at the end.
    wait_for_bytes(&kept, wire.len());
    assert_eq!(fs::read(&kept).unwrap(), wire);
    sniff.signal(Signal::INT);
    let (code, live, _) = sniff.end();
    assert_eq!(code, Some(0));
    assert_eq!(fs::read(&kept).unwrap(), wire);

    // The file decodes to what was shown, but for the times.
    let again = k485(["decode", kept_name]).clean();
    let replies = |lines: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        lines.filter(|line| line.contains("-> OK")).map(|line| said(line).to_owned()).collect()
    };
    let live = replies(&mut live.iter().map(String::as_str));
    assert!(live.len() >= 97);
    assert_eq!(replies(&mut again.lines()), live);

    // Nothing captured is overwritten.
    let err = k485(["sniff", pty.path().to_str().unwrap(), "-w", kept_name]).failed(1);
    let refusal =
        format!("k485: cannot create {kept_name} (a capture is never overwritten: choose");
    assert!(err.starts_with(&refusal), "{err}");
    assert_eq!(fs::read(&kept).unwrap(), wire);
}

#[test]
fn a_port_that_goes_away_and_comes_back() {
    let folder = folder();
    let (link, kept) = (folder.path().join("port"), folder.path().join("bus.pcapng"));
    let plug = |pty: &Pty| std::os::unix::fs::symlink(pty.path(), &link).unwrap();
    let mut pty = Pty::open().unwrap();
    plug(&pty);
    let sniff = Sniff::start(&link, &["-w", kept.to_str().unwrap()]);
    let mut out = Vec::new();
    for times in 1..=3 {
        pty.write_all(&bytes(&format!("{POLL}{STATE}{POLL}"))).unwrap();
        let answered = |out: &[String]| out.iter().filter(|line| said(line) == SAID).count();
        while answered(&out) < times {
            out.push(next(&sniff.out).expect("it runs on"));
        }
        fs::remove_file(&link).unwrap();
        drop(pty);
        let gone = next(&sniff.err).expect("it runs on");
        assert!(
            gone.contains("is gone: unplugged, or its other end was closed; waiting"),
            "{gone}"
        );
        pty = Pty::open().unwrap();
        plug(&pty);
        // Once, however often it was looked for.
        let back = next(&sniff.err).expect("it runs on");
        assert!(back.contains(" is back after "), "{back}");
    }
    pty.write_all(&bytes(&format!("{POLL}{STATE}"))).unwrap();
    while out.iter().filter(|line| said(line) == SAID).count() < 4 {
        out.push(next(&sniff.out).expect("it runs on"));
    }
    sniff.signal(Signal::INT);
    let (code, rest, err) = sniff.end();
    assert_eq!(code, Some(0), "{err:?}");
    out.extend(rest);
    let gaps = |lines: &[String]| {
        lines.iter().filter(|line| line.contains("gap: the port was away for ")).count()
    };
    // The request before each may have been answered while nobody heard it.
    let open = "box2   GET_BOX_STATE -> no reply before the capture ends or has a gap";
    assert_eq!((gaps(&out), out.iter().filter(|line| said(line) == open).count()), (3, 3));
    let again = k485(["decode", kept.to_str().unwrap()]).clean();
    let again: Vec<String> = again.lines().map(str::to_owned).collect();
    assert_eq!(gaps(&again), 3, "{again:?}");
    assert_eq!(again.iter().filter(|line| said(line) == SAID).count(), 4);
}

#[test]
fn json_lines() {
    let mut pty = Pty::open().unwrap();
    let sniff = Sniff::start(pty.path(), &["--to", "json"]);
    pty.write_all(&bytes(POLL)).unwrap();
    thread::sleep(Duration::from_millis(20));
    pty.write_all(&bytes(STATE)).unwrap();
    let line: Value = serde_json::from_str(&next(&sniff.out).unwrap()).unwrap();
    assert_eq!(line["type"], "exchange");
    assert_eq!(line["outcome"], "answered");
    assert_eq!(line["latency_source"], "wire");
    // It is what this process was late, too; but never less than nothing.
    assert!(line["latency_ms"].as_f64().unwrap() >= 0.0, "{line}");
    assert!(line["time"].as_f64().unwrap() > 1.7e9, "{line}");
    assert_eq!(line["bus"], pty.path().to_str().unwrap());
    assert_eq!(line["response"]["fields"]["temperature"], 24);
    assert_eq!((&line["request"]["offset"], &line["response"]["offset"]), (&0.into(), &6.into()));
    sniff.signal(Signal::INT);
    assert_eq!(sniff.end().0, Some(0));

    let sniff = Sniff::start(pty.path(), &["--to", "json", "--frames"]);
    pty.write_all(&bytes(&format!("{POLL}00{STATE}"))).unwrap();
    let kinds: Vec<Value> = (0..3)
        .map(|_| serde_json::from_str::<Value>(&next(&sniff.out).unwrap()).unwrap()["type"].take())
        .collect();
    assert_eq!(kinds, ["frame", "noise", "frame"]);
    sniff.signal(Signal::INT);
    assert_eq!(sniff.end().0, Some(0));
}

#[test]
fn a_wrong_port() {
    let err = k485(["sniff", "/dev/no-such-port"]).failed(1);
    assert!(err.starts_with("k485: /dev/no-such-port: there is no such port; there "), "{err}");
    let err = k485(["sniff", "/dev/null"]).failed(1);
    assert!(err.contains("not a serial port"), "{err}");
    let err = k485(["sniff", "/dev"]).failed(1);
    assert!(err.contains("a directory, not a serial port; give one of the ports in it"), "{err}");
    assert_eq!(k485(["sniff"]).code, Some(2));
    let err = k485(["sniff", "can:x"]).failed(2);
    assert!(err.contains("no kind of port is called can: a path (/dev/ttyUSB0), tcp:"), "{err}");
    let err = k485(["sniff", "tcp:printer"]).failed(2);
    assert!(
        err.contains("tcp:printer: the port's number is missing; write tcp:HOST:PORT"),
        "{err}"
    );

    // A second listener would take bytes away from the first.
    let pty = Pty::open().unwrap();
    let sniff = Sniff::start(pty.path(), &[]);
    let err = k485(["sniff", pty.path().to_str().unwrap()]).failed(1);
    assert!(err.contains("another program is using the port"), "{err}");
    sniff.signal(Signal::INT);
    assert_eq!(sniff.end().0, Some(0));
}

/// A capture as a port: it decodes as `decode` shows it, at once or at its own times.
#[test]
fn a_capture_is_played() {
    let sample = common::sample();
    let sample = sample.to_str().unwrap();
    let run = k485(["sniff", sample]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let told = format!("listening on {sample}, a capture, as fast as it is read; Ctrl-C ends");
    assert_eq!(run.err.lines().next(), Some(told.as_str()));
    assert!(run.err.contains("223 frames, "), "{}", run.err);
    let answered = |text: &str| text.lines().filter(|line| line.contains("-> OK")).count();
    assert_eq!(answered(&run.out), answered(&k485(["decode", sample]).clean()));

    let folder = folder();
    let short = format!("(1767293752.000) {POLL}\n(1767293753.000) {STATE}\n");
    let short = common::file(&folder, "short.hex", short.as_bytes());
    let start = Instant::now();
    let run = k485(["sniff", &short, "--pace=10"]);
    assert!(start.elapsed() >= Duration::from_millis(100), "{:?}", start.elapsed());
    assert!(run.err.contains("short.hex, played 10 times as fast as it was"), "{}", run.err);
    assert!(run.out.lines().any(|line| said(line) == SAID), "{}", run.out);

    let err = k485(["sniff", &short, "--pace=0"]).failed(2);
    assert!(err.contains("write how many times as fast"), "{err}");
    let prose = common::file(&folder, "prose.txt", b"dear diary\n");
    let err = k485(["sniff", &prose]).failed(1);
    assert!(err.contains("prose.txt: text in no known capture format"), "{err}");
}

/// The bytes of a wire on stdin, over TCP, and on a pseudo-terminal of our own.
#[test]
fn other_kinds_of_ports() {
    let wire = bytes(&format!("{POLL}{STATE}"));
    let mut child = command(["sniff", "left=-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&wire).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains(SAID));

    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("tcp:{}", server.local_addr().unwrap());
    let sniff = Sniff::told(&name, &[], &format!("listening on {name}, whose speed is "));
    server.accept().unwrap().0.write_all(&wire).unwrap();
    while said(&next(&sniff.out).expect("it runs on")) != SAID {}
    drop(sniff);

    let folder = folder();
    let link = folder.path().join("bus");
    let name = format!("pty:{}", link.display());
    let expected = format!("listening on {}, a pseudo-terminal of our own", link.display());
    let sniff = Sniff::told(&name, &[], &expected);
    fs::OpenOptions::new().write(true).open(&link).unwrap().write_all(&wire).unwrap();
    while said(&next(&sniff.out).expect("it runs on")) != SAID {}
    sniff.signal(Signal::INT);
    assert_eq!(sniff.end().0, Some(0));
    assert!(fs::symlink_metadata(&link).is_err(), "the link file is removed");
}

/// A corrupted LEN makes what follows look like the inside of a long frame. When the bus then goes
/// silent, nothing more comes to complete it.
#[test]
fn frames_behind_a_corrupted_length() {
    let mut pty = Pty::open().unwrap();
    let sniff = Sniff::start(pty.path(), &[]);
    let damaged = POLL.replacen("f70203", "f702f3", 1);
    pty.write_all(&bytes(&format!("{damaged}{POLL}{STATE}"))).unwrap();
    // No more traffic: it is let go by the silence alone.
    let mut out = Vec::new();
    let start = Instant::now();
    loop {
        out.push(next(&sniff.out).expect("it runs on"));
        if said(out.last().unwrap()) == SAID {
            break;
        }
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(start.elapsed() >= Duration::from_millis(100), "a gap inside a frame is no end of it");
    assert!(out.iter().any(|line| line.contains("noise: ") && line.contains(&damaged)), "{out:?}");
    // A frame that comes in two parts, with a short gap between, stays one.
    let (head, tail) = STATE.split_at(8);
    for part in [POLL, head] {
        pty.write_all(&bytes(part)).unwrap();
    }
    thread::sleep(Duration::from_millis(30));
    pty.write_all(&bytes(tail)).unwrap();
    assert_eq!(said(&next(&sniff.out).unwrap()), SAID);
    sniff.signal(Signal::INT);
    assert_eq!(sniff.end().0, Some(0));
}

#[test]
fn a_reader_that_has_seen_enough() {
    let mut pty = Pty::open().unwrap();
    let mut child = command(["sniff", pty.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let err = lines(child.stderr.take().unwrap());
    assert!(next(&err).unwrap().starts_with("listening on "));
    drop(child.stdout.take());
    let start = Instant::now();
    let code = loop {
        // More than once: while another test starts its child, that one has our pipe too.
        pty.write_all(&bytes(&format!("{POLL}{STATE}"))).unwrap();
        match child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None if start.elapsed() > LONG => {
                let _ = child.kill();
                panic!("it runs on without a reader");
            }
            None => thread::sleep(Duration::from_millis(50)),
        }
    };
    assert_eq!(code, Some(0));
}

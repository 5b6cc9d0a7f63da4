//! `k485 sniff -w` on real pseudo-terminals: what is in the files when the process is killed, the
//! disk is full, the output is stuck, files rotate, several ports are heard.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{bytes, command, folder, k485};
use k485_link::Pty;
use rustix::process::{Pid, Signal, kill_process};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);
const POLL: &str = "f70203ff0a5c";
const STATE: &str = "f70207000a182700004c";
/// Polls of a bus at 230,400 baud come no closer than this.
const PERIOD: Duration = Duration::from_millis(2);

/// A bus on which one exchange follows the other until it is dropped.
struct Bus {
    path: String,
    stop: std::sync::mpsc::Sender<()>,
    thread: Option<thread::JoinHandle<u64>>,
}

impl Bus {
    fn start() -> Bus {
        let mut pty = Pty::open().unwrap();
        let path = pty.path().to_str().unwrap().to_owned();
        let (stop, stopped) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let exchange = bytes(&format!("{POLL}{STATE}"));
            let mut count = 0;
            while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(PERIOD)
            {
                pty.write_all(&exchange).unwrap();
                count += 1;
            }
            count
        });
        Bus { path, stop, thread: Some(thread) }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

/// Starts a command and waits until it listens.
#[track_caller]
fn start(command: &mut Command) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on "), "{line}");
    (child, err)
}

/// Waits until this holds.
#[track_caller]
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Exit code and the rest of stderr.
fn end(mut child: Child, mut err: BufReader<std::process::ChildStderr>) -> (Option<i32>, String) {
    let mut text = String::new();
    err.read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[test]
fn a_killed_process_leaves_a_file_that_reads_to_its_end() {
    let folder = folder();
    let bus = Bus::start();
    for round in 0..12u64 {
        let kept = folder.path().join(format!("{round}.pcapng"));
        let (mut child, _err) = start(
            command(["sniff", &bus.path, "-w", kept.to_str().unwrap()]).stdout(Stdio::null()),
        );
        let begun = Instant::now();
        // At any moment, some before the first records are there.
        thread::sleep(Duration::from_millis(90 * round));
        child.kill().unwrap();
        let ran = begun.elapsed();
        child.wait().unwrap();
        let tshark = Command::new("tshark")
            .args(["-r", kept.to_str().unwrap(), "-T", "fields", "-e", "frame.time_epoch"])
            .output()
            .expect("tshark is there: ./test installs it");
        let err = String::from_utf8_lossy(&tshark.stderr).into_owned();
        assert!(tshark.status.success() && !err.contains("cut short"), "{err}");
        let times = String::from_utf8(tshark.stdout).unwrap();
        let times: Vec<f64> = times.lines().map(|line| line.parse().unwrap()).collect();
        // Nothing older than a second is missing: what is there reaches to a second before the end.
        if ran > Duration::from_millis(1500) {
            let heard = times.last().unwrap() - times.first().unwrap();
            assert!(heard > ran.as_secs_f64() - 1.5, "{heard} s of {ran:?}");
        }
    }
}

#[test]
fn a_full_disk_is_told_and_the_screen_goes_on() {
    let folder = folder();
    let kept = folder.path().join("bus.pcapng");
    let bus = Bus::start();
    // A limit of the file's size stands for a full disk: the same errors come from the same call.
    let line = "ulimit -f 8; exec \"$0\" \"$@\"";
    let binary = env!("CARGO_BIN_EXE_k485");
    let (mut child, err) = start(
        Command::new("sh")
            .args(["-c", line, binary, "sniff", &bus.path, "-w", kept.to_str().unwrap()])
            .args(["--to", "json", "--for", "4s"])
            .stdout(Stdio::piped()),
    );
    let shown = BufReader::new(child.stdout.take().unwrap()).lines().count();
    let (code, err) = end(child, err);
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(err.matches("the capture stops here: ").count(), 1, "{err}");
    assert!(err.contains("incomplete: "), "{err}");
    let frames = k485(["decode", "--frames", kept.to_str().unwrap()]).clean().lines().count();
    assert!(shown * 2 > frames + 100, "{shown} exchanges shown, {frames} frames kept");
    assert!(size(&kept) <= 8 * 512);
}

#[test]
fn a_stuck_output_does_not_stop_the_capture() {
    let folder = folder();
    let kept = folder.path().join("bus.raw");
    let mut pty = Pty::open().unwrap();
    let (mut child, err) = start(
        command(["sniff", pty.path().to_str().unwrap(), "-vv", "-w", kept.to_str().unwrap()])
            .stdout(Stdio::piped()),
    );
    // Far more than a pipe holds, and nobody reads it.
    let wire = bytes(&format!("{POLL}{STATE}")).repeat(3000);
    pty.write_all(&wire).unwrap();
    wait_for("all of it is in the file", || size(&kept) == wire.len() as u64);
    let mut screen = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        screen.read_to_string(&mut text).map(|_| text)
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (code, err) = end(child, err);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("6000 frames, 3000 exchanges"), "{err}");
    let shown = reader.join().unwrap().unwrap();
    assert_eq!(shown.matches("GET_BOX_STATE -> OK").count(), 3000);
}

#[test]
fn files_rotate_and_a_ring_keeps_the_newest() {
    let folder = folder();
    let kept = folder.path().join("bus.log");
    let mut pty = Pty::open().unwrap();
    let port = pty.path().to_str().unwrap().to_owned();
    let args = ["--rotate", "2k", "--ring", "3"];
    let (child, err) = start(
        command(["sniff", &port, "-w", kept.to_str().unwrap()].iter().chain(&args))
            .stdout(Stdio::null()),
    );
    let exchange = bytes(&format!("{POLL}{STATE}"));
    let names = || {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    wait_for("a sixth file begins", || {
        pty.write_all(&exchange).unwrap();
        names().last().is_some_and(|name| name.to_str().unwrap().contains("bus_00006_"))
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (code, err) = end(child, err);
    assert_eq!(code, Some(0), "{err}");
    let names = names();
    assert_eq!(names.len(), 3, "{names:?}");
    for name in &names {
        // Each is a capture of its own.
        let shown = k485(["decode", name.to_str().unwrap()]).clean();
        assert!(shown.contains("GET_BOX_STATE -> OK"), "{shown}");
    }
    assert!(err.contains("of them deleted again"), "{err}");

    let err = k485(["sniff", &port, "-w", "x.pcapng", "--ring", "3"]).failed(2);
    assert!(err.contains("--rotate"), "{err}");
    let err = k485(["sniff", &port, "-w", "x.pcapng.gz"]).failed(1);
    assert!(err.contains("is not written packed"), "{err}");
}

#[test]
fn several_ports_are_merged_by_time_under_their_names() {
    let folder = folder();
    let kept = folder.path().join("both.pcapng");
    let (a, b) = (Pty::open().unwrap(), Pty::open().unwrap());
    let named = |name: &str, pty: &Pty| format!("--port={name}={}", pty.path().display());
    let (mut child, err) = start(
        command(["sniff", &named("left", &a), &named("right", &b), "--to", "json", "--frames"])
            .args(["--count", "40", "-w", kept.to_str().unwrap()])
            .stdout(Stdio::piped()),
    );
    let (poll, state) = (bytes(POLL), bytes(STATE));
    let writer = thread::spawn(move || {
        for _ in 0..10 {
            for (mut pty, frame) in [(&a, &poll), (&b, &poll), (&b, &state), (&a, &state)] {
                pty.write_all(frame).unwrap();
                thread::sleep(Duration::from_millis(15));
            }
        }
        (a, b)
    });
    let mut screen = String::new();
    child.stdout.take().unwrap().read_to_string(&mut screen).unwrap();
    let _ports = writer.join().unwrap();
    let (code, err) = end(child, err);
    assert_eq!(code, Some(0), "{err}");
    let lines: Vec<serde_json::Value> =
        screen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // In each the order of the wire. Which was first of two on different ports, the times say:
    // those of the reading, which a busy machine does late.
    for bus in ["left", "right"] {
        let own = lines.iter().filter(|line| line["bus"] == bus);
        let dirs: Vec<&str> = own.map(|line| line["dir"].as_str().unwrap()).collect();
        assert_eq!(dirs, ["request", "response"].repeat(10));
    }
    let times: Vec<f64> = lines.iter().map(|line| line["time"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let stats = k485(["stats", kept.to_str().unwrap()]).clean();
    assert!(stats.contains("left") && stats.contains("right"), "{stats}");

    let same = ["sniff", "--port", "/dev/null", "--port", "/dev/null"];
    let err = k485(same).failed(1);
    assert!(err.contains("two ports are called /dev/null: name them apart"), "{err}");
}

#[test]
fn it_ends_after_a_count_and_after_a_time() {
    let bus = Bus::start();
    let run = k485(["sniff", &bus.path, "--count", "3", "-F", "func==GET_BOX_STATE"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(run.out.matches("GET_BOX_STATE -> OK").count(), 3, "{}", run.out);
    let begun = Instant::now();
    let run = k485(["sniff", &bus.path, "--for", "700ms", "-F", "addr==box4"]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""), "{}", run.err);
    assert!(begun.elapsed() >= Duration::from_millis(700));
}

#[test]
fn a_trigger_writes_what_is_around_a_match() {
    let folder = folder();
    let kept = folder.path().join("jam.log");
    let mut pty = Pty::open().unwrap();
    let port = pty.path().to_str().unwrap().to_owned();
    let args = ["--trigger", "status==EXTRUDE_ERR1", "--pre", "20s", "--post", "0s"];
    let (mut child, err) = start(
        command(["sniff", &port, "-w", kept.to_str().unwrap()].iter().chain(&args))
            .stdout(Stdio::piped()),
    );
    let good = bytes(&format!("{POLL}{STATE}")).repeat(5);
    // Slot A of box 2 to the hub: EXTRUDE_ERR1.
    let jam = [
        k485_proto::frame::Frame::to_vec(
            k485_proto::address::Address(2),
            k485_proto::status::Status::REQUEST,
            0x10,
            &[1, 0, 0],
        ),
        k485_proto::frame::Frame::to_vec(
            k485_proto::address::Address(2),
            k485_proto::status::Status(5),
            0x10,
            &[4],
        ),
    ]
    .map(Result::unwrap)
    .concat();
    pty.write_all(&good).unwrap();
    pty.write_all(&jam).unwrap();
    let mut screen = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = screen.find(|line| line.as_ref().unwrap().contains("EXTRUDE_ERR1"));
    assert!(found.is_some());
    // Behind the match nothing is written.
    thread::sleep(Duration::from_millis(50));
    pty.write_all(&good).unwrap();
    thread::sleep(Duration::from_millis(50));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (code, err) = end(child, err);
    assert_eq!(code, Some(0), "{err}");
    let frames = k485(["decode", "--frames", kept.to_str().unwrap()]).clean();
    let lines: Vec<&str> = frames.lines().filter(|line| line.contains("box2")).collect();
    assert_eq!(lines.len(), 12, "{frames}");
    assert!(lines[11].contains("EXTRUDE_ERR1"), "{frames}");
}

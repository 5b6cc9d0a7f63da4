//! `k485 doctor` and `sniff --baud auto` on real pseudo-terminals that garble what their client does
//! not listen to at the speed of the bus, each with a bus of another kind behind it.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::{Run, bytes, command, k485};
use k485_link::uart::{Line, Noise};
use k485_link::{GarblingPty, Wires};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A bus that goes on behind a port until it is dropped.
struct Bus {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    player: Option<JoinHandle<()>>,
}

impl Bus {
    /// What `traffic` does to the line in each step, with so long between the steps.
    fn start(
        baud: u32,
        wires: Wires,
        step: Duration,
        mut traffic: impl FnMut(u64, &mut Line, &mut Vec<u8>) + Send + 'static,
    ) -> Bus {
        let mut pty = GarblingPty::open(baud, wires).unwrap();
        let path = pty.path().to_owned();
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let player = thread::spawn(move || {
            for now in 0.. {
                if flag.load(Ordering::SeqCst) {
                    break;
                }
                pty.drive(|line, out| traffic(now, line, out)).unwrap();
                thread::sleep(step);
            }
        });
        Bus { path, stop, player: Some(player) }
    }

    /// Runs the doctor on it for so long.
    fn examine(&self, time: &str) -> Run {
        k485(["doctor", self.path.to_str().unwrap(), "--for", time, "--to", "json"])
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(player) = self.player.take() {
            let _ = player.join();
        }
    }
}

/// A third of a second for 110 steps: the idle host's cycle, three times as fast as it is.
const FAST: Duration = Duration::from_millis(3);

/// What an idle host and two boxes say in each step of a cycle.
fn idle_host(now: u64, boxes: &[u64]) -> Option<Vec<u8>> {
    let state = 1 + now / 110 % 2;
    match now % 110 {
        1 => Some(bytes("f7010300a2da")),
        2 if boxes.contains(&1) => Some(bytes("f7011100a2010069063002185333115235383244")),
        12 => Some(bytes("f7020300a2da")),
        13 if boxes.contains(&2) => Some(bytes("f7021100a2010069063002185333115235383244")),
        24 => Some(bytes("f7fe0500a1fefef8")),
        70 => Some(bytes(&format!("f70{state}03ff0a5c"))),
        71 if boxes.contains(&state) => Some(bytes(&format!("f70{state}07000a19240000e7"))),
        _ => None,
    }
}

fn polls(now: u64, line: &mut Line, out: &mut Vec<u8>) {
    if let Some(frame) = idle_host(now, &[1, 2]) {
        line.bytes(&frame, out);
    }
}

/// Tries several buses at the same time: most of it is waiting.
fn at_once<T: Send>(buses: impl IntoIterator<Item = T>, try_one: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for bus in buses {
            scope.spawn(|| try_one(bus));
        }
    });
}

/// The report of a run with this exit code.
#[track_caller]
fn report(run: &Run, code: i32) -> Value {
    assert_eq!(run.code, Some(code), "{}\n{}", run.out, run.err);
    serde_json::from_str(&run.out).expect("one JSON value")
}

#[test]
fn healthy_at_the_pace_of_a_printer() {
    let bus = Bus::start(230_400, Wires::Straight, Duration::from_millis(10), polls);
    let run = bus.examine("7s");
    let told = report(&run, 0);
    assert_eq!(told["verdict"], "healthy", "{told:#}");
    assert_eq!(told["baud"]["baud"], 230_400);
    assert_eq!(told["baud"]["sure"], true);
    let functions = told["traffic"]["functions"].as_array().unwrap();
    let online = functions.iter().find(|row| row["addr"] == 1 && row["func"] == 0xa2).unwrap();
    assert!(online["answered"].as_u64().unwrap() >= 2, "{online}");
    assert!(run.err.starts_with("listening on "), "{}", run.err);
}

#[test]
fn silent() {
    let bus = Bus::start(230_400, Wires::Straight, FAST, |_, _, _| {});
    assert_eq!(report(&bus.examine("3s"), 4)["verdict"], "silent");
}

#[test]
fn another_speed() {
    at_once([115_200, 460_800], |baud| {
        let bus = Bus::start(baud, Wires::Straight, FAST, polls);
        let told = report(&bus.examine("6s"), 4);
        assert_eq!(told["verdict"], "wrong-baud", "{told:#}");
        assert_eq!(told["baud"]["baud"], baud);
        // Who expects that speed has no complaint.
        let baud = baud.to_string();
        let path = bus.path.to_str().unwrap();
        let run = k485(["doctor", path, "--for", "3s", "--baud", &baud, "--to", "json"]);
        assert_eq!(report(&run, 0)["verdict"], "healthy");
    });
}

#[test]
fn swapped() {
    at_once([Wires::Swapped, Wires::SwappedUnbiased], |wires| {
        let bus = Bus::start(230_400, wires, FAST, polls);
        let told = report(&bus.examine("4s"), 4);
        assert_eq!(told["verdict"], "swapped", "{wires:?} {told:#}");
        assert_eq!(told["baud"], Value::Null);
    });
}

#[test]
fn no_bias() {
    let mut noise = Noise::new(1);
    let bus = Bus::start(230_400, Wires::Straight, FAST, move |now, line, out| {
        if now % 5 == 1 {
            noise.wander(line, Duration::from_micros(500), out);
        }
        polls(now, line, out);
    });
    let told = report(&bus.examine("5s"), 4);
    assert_eq!(told["verdict"], "no-bias", "{told:#}");
    assert!(told["seen"]["stray_places"].as_u64().unwrap() >= 5);
}

#[test]
fn floating() {
    let mut noise = Noise::new(2);
    let bus = Bus::start(230_400, Wires::Straight, FAST, move |_, line, out| {
        noise.wander(line, Duration::from_millis(1), out);
    });
    let told = report(&bus.examine("5s"), 4);
    assert_eq!(told["verdict"], "floating", "{told:#}");
    assert!(told["tried"].as_array().unwrap().len() > 4, "{told:#}");
}

#[test]
fn echo() {
    let bus = Bus::start(230_400, Wires::Straight, FAST, |now, line, out| {
        let Some(frame) = idle_host(now, &[1, 2]) else { return };
        line.bytes(&frame, out);
        if frame.len() < 10 {
            line.idle(Duration::from_micros(300), out);
            line.bytes(&frame, out);
        }
    });
    let told = report(&bus.examine("4s"), 4);
    assert_eq!(told["verdict"], "echo", "{told:#}");
    assert_eq!(told["findings"].as_array().unwrap().len(), 1, "{told:#}");
    assert_eq!(told["seen"]["reply_echoes"], 0);
}

/// A CAN data frame's bits, stuffed, with its end: CRC-15 of the standard (4599).
fn can_frame(id: u16, data: &[u8]) -> Vec<bool> {
    let mut bits = vec![false];
    bits.extend((0..11).rev().map(|at| id >> at & 1 == 1));
    bits.extend([false; 3]);
    bits.extend((0..4).rev().map(|at| data.len() >> at & 1 == 1));
    bits.extend(data.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1 == 1)));
    let crc = bits.iter().fold(0u16, |crc, bit| {
        let next = *bit != (crc >> 14 & 1 == 1);
        (crc << 1 & 0x7fff) ^ if next { 0x4599 } else { 0 }
    });
    bits.extend((0..15).rev().map(|at| crc >> at & 1 == 1));
    let mut stuffed: Vec<bool> = Vec::new();
    for bit in bits {
        stuffed.push(bit);
        if stuffed.len() >= 5 && stuffed[stuffed.len() - 5..].iter().all(|last| *last == bit) {
            stuffed.push(!bit);
        }
    }
    stuffed.extend([true, false, true]);
    stuffed.extend([true; 10]);
    stuffed
}

#[test]
fn can() {
    let bus = Bus::start(230_400, Wires::Straight, FAST, |now, line, out| {
        let data = [now as u8, (now >> 3) as u8 ^ 0x5a, 0xff, 0, (now * 11) as u8];
        for high in can_frame(0x201 + now as u16 % 5, &data) {
            line.level(high, Duration::from_micros(2), out);
        }
    });
    let told = report(&bus.examine("5s"), 4);
    assert_eq!(told["verdict"], "may-be-can", "{told:#}");
    assert!(told["findings"][0]["title"].as_str().unwrap().contains("500 kbit/s"), "{told:#}");
}

#[test]
fn a_box_that_never_answers() {
    let bus = Bus::start(230_400, Wires::Straight, FAST, |now, line, out| {
        if let Some(frame) = idle_host(now, &[1]) {
            line.bytes(&frame, out);
        }
    });
    let run = k485(["doctor", bus.path.to_str().unwrap(), "--for", "5s"]);
    assert_eq!(run.code, Some(4), "{}", run.err);
    let first = format!("{}: warning: box2 never answers\n", bus.path.display());
    assert!(run.out.starts_with(&first), "{}", run.out);
    assert!(run.out.contains("\nWho asks and who answers "), "{}", run.out);
    assert!(run.out.contains("  do     see that it is on and plugged in"), "{}", run.out);
    assert!(run.out.lines().all(|line| line.chars().count() <= 100), "{}", run.out);
}

#[test]
fn what_cannot_be_listened_to() {
    let err = k485(["doctor", "/dev/no-such-port"]).failed(1);
    assert!(err.contains("there is no such port"), "{err}");
    assert_eq!(k485(["doctor", "/dev/null", "--for", "15"]).code, Some(2));
    // A port that goes away while it listens.
    let bus = Bus::start(230_400, Wires::Straight, FAST, polls);
    let mut child = command(["doctor", bus.path.to_str().unwrap(), "--for", "1h"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(err.next().unwrap().unwrap().starts_with("listening on "));
    drop(bus);
    assert!(err.next().unwrap().unwrap().contains(" is gone: unplugged"));
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn ctrl_c_ends_it_with_what_is_known() {
    let bus = Bus::start(230_400, Wires::Straight, FAST, polls);
    let mut child = command(["doctor", bus.path.to_str().unwrap(), "--for", "1h"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
    err.next().unwrap().unwrap();
    // Several cycles of the polls.
    thread::sleep(Duration::from_secs(2));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains(": the line is well; the bus runs at 230400 baud\n"), "{text}");
    assert_eq!(out.status.code(), Some(0));
}

#[test]
fn sniffing_at_a_speed_that_is_found() {
    let bus = Bus::start(460_800, Wires::Straight, FAST, polls);
    let mut child = command(["sniff", bus.path.to_str().unwrap(), "--baud", "auto"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let out = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = out.map_while(Result::ok).find(|line| line.contains("GET_BOX_STATE -> OK temp"));
    assert!(line.is_some());
    assert!(begun.elapsed() < Duration::from_secs(60));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let err: Vec<String> =
        BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).collect();
    assert!(err[0].contains("looking for the speed"), "{err:?}");
    assert!(err[1].contains(" runs at 460800 baud: "), "{err:?}");
    assert!(err[2].contains(" at 460800 baud, read-only"), "{err:?}");
    child.wait().unwrap();
}

#[test]
fn a_search_ends_by_ctrl_c() {
    let bus = Bus::start(230_400, Wires::Straight, FAST, |_, _, _| {});
    let mut child = command(["sniff", bus.path.to_str().unwrap(), "--baud", "auto"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(err.next().unwrap().unwrap().contains("looking for the speed"));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(k485(["sniff", "/dev/null", "--baud", "fast"]).code, Some(2));
}

/// It has no way to speak, and the bus hears nothing of it.
#[test]
fn nothing_comes_back() {
    let mut pty = GarblingPty::open(230_400, Wires::Straight).unwrap();
    let path = pty.path().to_str().unwrap().to_owned();
    let run = thread::spawn(move || k485(["doctor", &path, "--for", "2s"]));
    while !run.is_finished() {
        pty.write_all(&bytes("f7010300a2da")).unwrap();
        let heard = std::io::Read::read(&mut pty, &mut [0; 64]).map_err(|error| error.kind());
        assert_eq!(heard, Err(std::io::ErrorKind::WouldBlock));
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(run.join().unwrap().code, Some(4));
}

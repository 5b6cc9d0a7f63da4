//! `k485 emulate --transmit`, on a pseudo-terminal that is the serial port: its other end is the bus,
//! with what a test plays there.

mod common;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::live::{lines, next};
use common::{bytes, command, hex};
use k485_link::{Event, Hear, Pty};
use serde_json::Value;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
/// How long it must have listened before it says anything.
const LISTENS: Duration = Duration::from_secs(10);
/// A host's polls of box 1 and motor 1, which nobody answers.
const POLLS: &str = "f7010300a3dd f70103ff0571 f78104000c0b95";

fn start(pty: &Pty) -> Child {
    emulate(pty).spawn().expect("k485 runs")
}

fn emulate(pty: &Pty) -> Command {
    let mut command = command(["emulate", "--seed", "1", "--transmit"]);
    command.arg(pty.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What comes within so long, or until there are so many bytes.
fn hear(pty: &mut Pty, count: usize, wait: Duration) -> Vec<u8> {
    let (mut heard, mut buf, until) = (Vec::new(), [0; 1024], Instant::now() + wait);
    while heard.len() < count && Instant::now() < until {
        let left = until.saturating_duration_since(Instant::now());
        if let Event::Bytes { n, .. } = Hear::read(pty, &mut buf, left).unwrap() {
            heard.extend_from_slice(&buf[..n]);
        }
    }
    heard
}

/// Says a frame on the bus; what is answered, of so many bytes.
fn ask(pty: &mut Pty, frame: &str, count: usize) -> String {
    Write::write_all(pty, &bytes(frame)).unwrap();
    hex(&hear(pty, count, LONG))
}

#[test]
fn it_listens_first_and_then_its_devices_answer() {
    let mut pty = Pty::open().unwrap();
    let mut child = start(&pty);
    let errors = lines(child.stderr.take().unwrap());
    let told = next(&errors).unwrap();
    assert!(told.contains("listening on") && told.contains("for 10 s first"), "{told}");
    let began = Instant::now();
    let said = lines(child.stdout.take().unwrap());
    // A host may talk meanwhile: what nobody answers may be played. Nothing is said to it.
    let first = loop {
        Write::write_all(&mut pty, &bytes(POLLS)).unwrap();
        if let Ok(line) = said.try_recv() {
            break line;
        }
        assert!(began.elapsed() < LONG, "it never begins");
        let heard = hear(&mut pty, 1, Duration::from_millis(250));
        // It may have begun in this moment, before its line was seen.
        assert!(heard.is_empty() || began.elapsed() >= LISTENS / 2, "{heard:02x?}");
    };
    assert!(began.elapsed() >= LISTENS - Duration::from_secs(1), "{:?}", began.elapsed());
    let told: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(told["endpoints"][0]["kind"], "serial", "{told}");
    assert_eq!(told["endpoints"][0]["path"], pty.path().to_str().unwrap(), "{told}");
    assert_eq!(pty.baud().unwrap(), 230_400);
    // What was asked last is over.
    while !hear(&mut pty, 1, Duration::from_millis(500)).is_empty() {}
    let uniid = told["devices"][0]["uniid"].as_str().unwrap().to_owned();
    let crc = |bare: &str| {
        let bare = bytes(bare);
        format!("f7{}{:02x}", hex(&bare), k485_proto::crc::crc8(&bare[1..]))
    };
    let assign = crc(&format!("fe1000a001{uniid}"));
    let reply = crc(&format!("011100a00100{uniid}"));
    assert_eq!(ask(&mut pty, &assign, 60), reply.repeat(3));
    assert_eq!(ask(&mut pty, "f70103ff0571", 7), "f7010400050217");
    assert_eq!(ask(&mut pty, "f78104000c0b95", 14), "f7810b000c0000000000000000fb");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(said.recv().ok(), None, "one line is all");
}

#[test]
fn it_is_refused_where_a_device_answers() {
    for (exchange, address) in [
        ("f70303ff0571 f7030400050019", "03"),
        // A motor's echo is its request's very bytes.
        ("f78204000c0b95 f7820b000c0000000000000000fb", "82"),
    ] {
        let mut pty = Pty::open().unwrap();
        let mut child = start(&pty);
        let errors = lines(child.stderr.take().unwrap());
        assert!(next(&errors).unwrap().contains("listening on"));
        Write::write_all(&mut pty, &bytes(exchange)).unwrap();
        let refusal = next(&errors).unwrap();
        let wanted = format!("a device at {address} answers there already");
        assert!(refusal.contains(&wanted) && refusal.contains("unplug it"), "{refusal}");
        assert_eq!(child.wait().unwrap().code(), Some(6));
        let mut out = String::new();
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(out, "");
        assert!(hear(&mut pty, 1, Duration::from_millis(200)).is_empty(), "it sent something");
    }
}

#[test]
fn a_port_that_is_not_there() {
    let mut command = command(["emulate", "--transmit", "/dev/no-such-port"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{err}");
    assert!(err.contains("/dev/no-such-port"), "{err}");
}

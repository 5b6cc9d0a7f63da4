//! As the host: against itself, and against devices that spoil replies.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use k485_link::Pty;
use k485_proto::frame::Frame;
use serde_json::Value;

use crate::bench::{ALLOW, Device, Exchange, Replay, ask, capture, in_turn, tell, until};
use crate::common::{file, folder, k485, sample};

#[test]
fn a_capture_against_its_own_devices_is_the_same() {
    let folder = folder();
    let bus = folder.path().join("bus");
    let port = format!("pty:{}", bus.display());
    let sample = sample().display().to_string();
    let device = Replay::start(
        folder.path(),
        "device",
        &[&sample, &port, "--as", "device", "--speed=max"],
        "",
    );
    device.wait_for("answering on");
    let bus = bus.display().to_string();
    let part = "addr==box1 || addr==box2 || addr==box4";
    let args = [&[&*sample, &*bus, "--as", "host", "-F", part], &ALLOW[..]].concat();
    let (code, out, err) = Replay::start(folder.path(), "host", &args, "").end();
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.starts_with("79 requests: 79 as recorded, "), "{out}");
    assert!(err.contains(&format!("listening on {bus} for 3 s first")), "{err}");
    device.interrupt();
    let (code, out, err) = device.end();
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains(" 0 not in the capture; 10 to others"), "{out}");
    assert!(err.contains("as box1, box2, box3, "), "{err}");
    assert!(!Path::new(&bus).exists(), "the link file is left behind");
}

/// What is done to a reply.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Drop,
    Twice,
    Change,
}

/// A generator of numbers below `below` (xorshift).
fn random(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

/// Exchanges of all kinds, and what is done to each reply: 1 % are dropped, 1 % come twice, 1 % are
/// changed.
fn generate(seed: u64, count: usize) -> (Vec<Exchange>, Vec<Fault>) {
    let mut state = seed;
    let (mut exchanges, mut faults) = (Vec::new(), Vec::new());
    while exchanges.len() < count {
        let addr = 1 + random(&mut state, 4) as u8;
        let byte = random(&mut state, 256) as u8;
        let exchange = match random(&mut state, 5) {
            0 => (ask(addr, 0x0a, &[]), tell(addr, 0x0a, &[byte & 0x3f, 40, 0, 0])),
            1 => (ask(addr, 0x05, &[]), tell(addr, 0x05, &[byte % 3])),
            2 => (ask(addr, 0x0e, &[1]), tell(addr, 0x0e, &[0x42, byte, 0x10, 0])),
            3 => (ask(addr, 0x08, &[0]), tell(addr, 0x08, &[byte & 0x0f])),
            _ => (ask(addr, 0x79, &[byte]), tell(addr, 0x79, &[byte, 1, 2, 3])),
        };
        exchanges.push((exchange.0, Some(exchange.1)));
        faults.push(match random(&mut state, 100) {
            0 => Fault::Drop,
            1 => Fault::Twice,
            2 => Fault::Change,
            _ => Fault::None,
        });
    }
    (exchanges, faults)
}

/// A reply as the device sends it.
fn spoilt(reply: &[u8], fault: Fault) -> Vec<u8> {
    match fault {
        Fault::None => reply.to_vec(),
        Fault::Drop => vec![],
        Fault::Twice => reply.repeat(2),
        Fault::Change => {
            let frame = Frame::from_bytes(reply).unwrap();
            let mut data = frame.data().to_vec();
            *data.last_mut().unwrap() ^= 0x02;
            tell(frame.addr().0, frame.func(), &data)
        }
    }
}

#[test]
fn exactly_the_replies_that_are_spoilt_are_told() {
    const COUNT: usize = 750;
    let folder = folder();
    let runs: Vec<_> = (1..=4u64)
        .map(|seed| {
            let (exchanges, faults) = generate(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), COUNT);
            let name = format!("{seed}");
            let log = file(&folder, &format!("{seed}.hex"), capture(&exchanges).as_bytes());
            let bus = folder.path().join(format!("bus{seed}"));
            let port = format!("pty:{}", bus.display());
            let mut left: VecDeque<_> = exchanges.into_iter().zip(faults.clone()).collect();
            let device = Device::start(bus, move |request| {
                let ((expected, reply), fault) = left.pop_front().expect("one more request");
                assert_eq!(request, expected);
                spoilt(&reply.unwrap(), fault)
            });
            let args = [&*log, &*port, "--as", "host", "--speed", "max", "--to", "json"];
            (Replay::start(folder.path(), &name, &args, ""), device, faults)
        })
        .collect();
    for (replay, device, faults) in runs {
        let (code, out, err) = replay.end();
        drop(device);
        assert_eq!(code, Some(1), "{out}{err}");
        let mut expected = Vec::new();
        for (n, fault) in faults.iter().enumerate() {
            match fault {
                Fault::None => {}
                Fault::Drop => expected.push(("missing".to_owned(), n)),
                Fault::Twice => expected.push(("extra duplicate".to_owned(), n)),
                Fault::Change => expected.push(("differs".to_owned(), n)),
            }
        }
        assert!(expected.len() > 5, "the generator spoils too little: {expected:?}");
        let lines: Vec<Value> =
            out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (summary, lines) = lines.split_last().unwrap();
        let told: Vec<(String, usize)> = lines
            .iter()
            .map(|line| match line["type"].as_str().unwrap() {
                "extra" => {
                    let kind = line["kind"].as_str().unwrap();
                    (format!("extra {kind}"), line["after"].as_u64().unwrap() as usize)
                }
                other => (other.to_owned(), line["step"].as_u64().unwrap() as usize),
            })
            .collect();
        assert_eq!(told, expected, "{err}");
        let count = |fault| faults.iter().filter(|other| **other == fault).count();
        assert_eq!(summary["type"], "summary");
        assert_eq!(summary["requests"], COUNT);
        assert_eq!(summary["missing"], count(Fault::Drop));
        assert_eq!(summary["extra"], count(Fault::Twice));
        assert_eq!(summary["different"], count(Fault::Change));
        assert_eq!(summary["same"], COUNT - count(Fault::Drop) - count(Fault::Change));
        assert_eq!(summary["noise_bytes"], 0);
    }
}

#[test]
fn differences_in_words() {
    let folder = folder();
    let exchanges = [
        (ask(1, 0x05, &[]), Some(tell(1, 0x05, &[0]))),
        (ask(1, 0x0a, &[]), Some(tell(1, 0x0a, &[24, 39, 0, 0]))),
        (ask(2, 0x05, &[]), None),
        (ask(1, 0x79, &[]), Some(tell(1, 0x79, &[1, 2]))),
    ];
    let log = file(&folder, "a.hex", capture(&exchanges).as_bytes());
    let live = [
        (ask(1, 0x05, &[]), None),
        (ask(1, 0x0a, &[]), Some([vec![0x55], tell(1, 0x0a, &[25, 39, 0, 0])].concat())),
        (ask(2, 0x05, &[]), Some([tell(2, 0x05, &[1]), tell(3, 0x05, &[2])].concat())),
        (ask(1, 0x79, &[]), Some(tell(1, 0x79, &[1, 3]))),
    ];
    let play = |name: &str, more: &[&str]| {
        let bus = folder.path().join(name);
        let port = format!("pty:{}", bus.display());
        let device = Device::start(bus, in_turn(&live));
        let args = [&[&*log, &*port, "--as", "host", "--speed", "max"], more].concat();
        let ended = Replay::start(folder.path(), name, &args, "").end();
        drop(device);
        ended
    };
    let (code, out, err) = play("bus", &[]);
    assert_eq!(code, Some(1), "{out}{err}");
    let said: Vec<&str> = out.lines().take(6).map(|line| line.get(16..).unwrap_or(line)).collect();
    assert_eq!(
        said,
        [
            "box1   GET_BUFFER_STATE -> OK buffer=middle  [recorded; no reply now]",
            "noise: 1 byte: garbage: no frame head 55",
            "box1   GET_BOX_STATE: temperature 24 -> 25",
            "box2   GET_BUFFER_STATE -> OK buffer=full  [no reply was recorded]",
            "< box3   GET_BUFFER_STATE OK buffer=empty  [foreign]",
            "box1   function 0x79: data[1] 02 -> 03",
        ]
    );
    let ignore = ["outcome", "extra", "noise", "temperature", "data"];
    let ignore: Vec<&str> = ignore.into_iter().flat_map(|name| ["--ignore", name]).collect();
    let (code, out, _) = play("again", &ignore);
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn step_by_step() {
    let folder = folder();
    let exchanges: Vec<_> =
        (0..5).map(|n| (ask(1, 0x79, &[n]), Some(tell(1, 0x79, &[n])))).collect();
    let log = file(&folder, "a.hex", capture(&exchanges).as_bytes());
    let bus = folder.path().join("bus");
    let port = format!("pty:{}", bus.display());
    let sent = [exchanges[0].clone(), exchanges[2].clone()];
    let _device = Device::start(bus, in_turn(&sent));
    let replay = Replay::start(
        folder.path(),
        "step",
        &[&log, &port, "--as", "host", "--step"],
        "\ns\nwhat\n\nq\n",
    );
    let (code, out, err) = replay.end();
    assert_eq!(code, Some(2), "{out}{err}");
    assert!(out.starts_with("2 requests (the capture has 5): 2 as recorded, "), "{out}");
    assert!(out.contains("; 1 skipped"), "{out}");
    assert_eq!(err.matches("3/5  box1   function 0x79 data=02").count(), 2, "{err}");
    let (code, _, err) =
        Replay::start(folder.path(), "stdin", &["-", &port, "--as", "host", "--step"], "").end();
    assert_eq!(code, Some(2));
    assert!(err.contains("--step asks on stdin"), "{err}");
}

#[test]
fn what_is_not_allowed_is_listed_and_nothing_is_opened() {
    let folder = folder();
    let exchanges = [
        (ask(1, 0x05, &[]), Some(tell(1, 0x05, &[0]))),
        (ask(1, 0x0a, &[]), Some(tell(1, 0x0a, &[24, 39, 0, 0]))),
        (ask(1, 0x04, &[0, 1]), Some(tell(1, 0x04, &[]))),
        (ask(2, 0x04, &[0, 1]), Some(tell(2, 0x04, &[]))),
        (ask(1, 0x79, &[]), Some(tell(1, 0x79, &[]))),
    ];
    let log = file(&folder, "a.hex", capture(&exchanges).as_bytes());
    // There is no such port, and nobody says so.
    let err = k485(["replay", &log, "/dev/no-such-port", "--as", "host"]).failed(6);
    assert!(err.starts_with("k485: nothing was sent: 5 of 5 requests are not allowed\n"), "{err}");
    for line in [
        "  read      GET_BUFFER_STATE       1  --transmit\n",
        "  clear     GET_BOX_STATE          1  --transmit --allow clear\n",
        "  setting   SET_BOX_MODE           2  --transmit --allow setting\n",
        "  firmware  function 79            1  --transmit --allow firmware\n",
        "If that is meant, add --transmit --allow clear,setting,firmware; ",
    ] {
        assert!(err.contains(line), "{line}{err}");
    }
    let allow = ["--transmit", "--allow", "setting,firmware"];
    let args = [&["replay", &*log, "/dev/no-such-port", "--as", "host"], &allow[..]].concat();
    let err = k485(&args).failed(6);
    assert!(err.starts_with("k485: nothing was sent: 1 of 5 requests are not allowed\n"), "{err}");
    assert!(err.contains("  clear     GET_BOX_STATE       1  --allow clear\n"), "{err}");
    // What is left is allowed, so now the port is looked at.
    let err = k485([&args[..], &["-F", "func!=0x0a"]].concat()).failed(2);
    assert!(err.contains("/dev/no-such-port: there is no such port"), "{err}");
    let err = k485(["replay", &log, "/dev/no-such-port", "--as", "device"]).failed(6);
    assert!(err.contains("without --transmit"), "{err}");
}

#[test]
fn a_feed_that_runs_keeps_the_host_silent() {
    let folder = folder();
    let exchanges = [(ask(2, 0x05, &[]), Some(tell(2, 0x05, &[0])))];
    let log = file(&folder, "a.hex", capture(&exchanges).as_bytes());
    let mut pty = Pty::open().unwrap();
    let port = pty.path().display().to_string();
    let mut replay =
        Replay::start(folder.path(), "feed", &[&log, &port, "--as", "host", "--transmit"], "");
    replay.wait_for("listening on");
    let poll = [ask(1, 0x10, &[1, 5, 0]), tell(1, 0x10, &[0x42, 0, 0, 0])];
    while replay.runs() {
        for frame in &poll {
            pty.write_all(frame).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(200));
    }
    let (code, _, err) = replay.end();
    assert_eq!(code, Some(6), "{err}");
    assert!(err.contains("box1 is feeding"), "{err}");
}

#[test]
fn ctrl_c_ends_a_loop_with_a_summary() {
    let folder = folder();
    let exchanges = [
        (ask(1, 0x05, &[]), Some(tell(1, 0x05, &[0]))),
        (ask(1, 0x08, &[0]), Some(tell(1, 0x08, &[15]))),
    ];
    let log = file(&folder, "a.hex", capture(&exchanges).as_bytes());
    let bus = folder.path().join("bus");
    let port = format!("pty:{}", bus.display());
    let (count, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (first, again) = (count.clone(), seen.clone());
    let replies = exchanges.clone();
    let _device = Device::start(bus, move |request| {
        if request == replies[1].0 && first.swap(true, Ordering::SeqCst) {
            again.store(true, Ordering::SeqCst);
        }
        replies.iter().find(|(known, _)| known == request).unwrap().1.clone().unwrap()
    });
    let args = [&*log, &*port, "--as", "host", "--speed", "max", "--loop", "--to", "json"];
    let replay = Replay::start(folder.path(), "loop", &args, "");
    until(|| seen.load(Ordering::SeqCst), String::new);
    replay.interrupt();
    let (code, out, err) = replay.end();
    assert_eq!(code, Some(0), "{out}{err}");
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&summary["type"], &summary["differs"]), (&"summary".into(), &false.into()));
    assert!(summary["requests"].as_u64().unwrap() >= 3, "{summary}");
    // Without --loop an end before the last request is trouble.
    let bus = folder.path().join("once");
    let port = format!("pty:{}", bus.display());
    let slow = [&*log, &*port, "--as", "host", "--speed", "0.0001"];
    let _device = Device::start(bus, in_turn(&exchanges));
    let replay = Replay::start(folder.path(), "once", &slow, "");
    replay.wait_for("playing 2 requests");
    replay.interrupt();
    let (code, out, _) = replay.end();
    assert_eq!(code, Some(2), "{out}");
    assert!(out.contains("(the capture has 2): "), "{out}");
}

#[test]
fn a_capture_that_is_cut_short() {
    let folder = folder();
    let exchanges = [
        (ask(1, 0x05, &[]), Some(tell(1, 0x05, &[0]))),
        (ask(1, 0x08, &[0]), Some(tell(1, 0x08, &[15]))),
    ];
    // The bytes alone, up to the middle of the last reply.
    let mut raw: Vec<u8> = exchanges
        .iter()
        .flat_map(|(request, reply)| [request.clone(), reply.clone().unwrap()].concat())
        .collect();
    raw.truncate(raw.len() - 3);
    let log = file(&folder, "a.bin", &raw);
    let bus = folder.path().join("bus");
    let port = format!("pty:{}", bus.display());
    let _device = Device::start(bus, in_turn(&exchanges));
    let args = [&*log, &*port, "--as", "host", "--from", "raw"];
    let (code, out, err) = Replay::start(folder.path(), "cut", &args, "").end();
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.starts_with("2 requests: 1 as recorded, "), "{out}");
    assert!(out.contains("; 1 not compared"), "{out}");
}

//! `k485 send`: what goes onto the wire and when, what is shown, and the exit codes.

use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::{BUFFER, Bus, LONG, MIDDLE, reply};
use crate::common::{self, bytes};

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

//! As the devices, against a host.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use k485_link::{Event, Hear, Link, Pty, Serial};
use k485_proto::frame::Frame;

use crate::bench::{LONG, Replay, ask, capture, join, tell};
use crate::common::{file, folder};

#[test]
fn answers_in_sequence_and_what_is_not_known() {
    let folder = folder();
    let state = |value: u8| (ask(1, 0x05, &[]), Some(tell(1, 0x05, &[value])));
    let exchanges = [
        state(0),
        state(0),
        state(2),
        (ask(1, 0x08, &[0]), None),
        state(1),
        (ask(2, 0x05, &[]), None),
    ];
    let log = file(&folder, "a.hex", capture(&exchanges).as_bytes());
    for (name, more, expected) in
        [("stays", &[][..], [0, 0, 2, 1, 1, 1]), ("loops", &["--loop"], [0, 0, 2, 1, 0, 0])]
    {
        let bus = folder.path().join(name);
        let port = format!("pty:{}", bus.display());
        let args = [&[&*log, &*port, "--as", "device", "--speed", "max"], more].concat();
        let replay = Replay::start(folder.path(), name, &args, "");
        let mut host = join(&bus);
        for value in expected {
            assert_eq!(asked(&mut host, &ask(1, 0x05, &[])), tell(1, 0x05, &[value]));
        }
        // A recorded silence, another device, one that is not in the capture, twice.
        for request in [ask(1, 0x08, &[0]), ask(2, 0x05, &[]), ask(1, 0x14, &[]), ask(1, 0x14, &[])]
        {
            host.send(&request).unwrap();
        }
        assert_eq!(asked(&mut host, &ask(1, 0x05, &[])).len(), 7);
        replay.interrupt();
        let (code, out, err) = replay.end();
        assert_eq!(code, Some(1), "{out}{err}");
        let lines: Vec<&str> = out.lines().collect();
        let [unknown, summary] = lines[..] else { panic!("{out}") };
        assert!(unknown.ends_with("> box1   GET_VERSION_SN  [not in the capture]"), "{out}");
        assert_eq!(
            summary,
            "10 requests: 7 answered, 1 silent as recorded, 2 not in the capture; 1 to others"
        );
    }
    // With --strict it ends at once.
    let bus = folder.path().join("strict");
    let port = format!("pty:{}", bus.display());
    let args = [&*log, &*port, "--as", "device", "--strict"];
    let replay = Replay::start(folder.path(), "strict", &args, "");
    join(&bus).send(&ask(1, 0x14, &[])).unwrap();
    assert_eq!(replay.end().0, Some(1));
}

/// What comes back to a request.
#[track_caller]
fn asked(host: &mut Serial, request: &[u8]) -> Vec<u8> {
    host.send(request).unwrap();
    let (mut heard, mut buf) = (Vec::new(), [0; 256]);
    let start = Instant::now();
    while Frame::from_bytes(&heard).is_err() {
        assert!(start.elapsed() < LONG, "no reply: {heard:?}");
        if let Event::Bytes { n, .. } = host.read(&mut buf, Duration::from_millis(50)).unwrap() {
            heard.extend(&buf[..n]);
        }
    }
    heard
}

#[test]
fn no_second_device_of_an_address() {
    let folder = folder();
    let exchanges = [(ask(1, 0x05, &[]), Some(tell(1, 0x05, &[0])))];
    let log = file(&folder, "a.hex", capture(&exchanges).as_bytes());
    let mut pty = Pty::open().unwrap();
    let port = pty.path().display().to_string();
    let args = [&*log, &*port, "--as", "device", "--transmit"];
    let mut replay = Replay::start(folder.path(), "second", &args, "");
    replay.wait_for("listening on");
    while replay.runs() {
        for frame in [ask(1, 0x14, &[]), tell(1, 0x14, &[b'1'; 20])] {
            pty.write_all(&frame).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
    }
    let (code, out, err) = replay.end();
    assert_eq!((code, &*out), (Some(6), ""), "{err}");
    assert!(err.contains("nothing was sent: box1 answers on "), "{err}");
}

#[test]
fn on_a_port_that_may_be_real_it_listens_first_and_gives_way_to_another_device() {
    let folder = folder();
    let exchanges = [(ask(1, 0x05, &[]), Some(tell(1, 0x05, &[2])))];
    let log = file(&folder, "a.hex", capture(&exchanges).as_bytes());
    let mut pty = Pty::open().unwrap();
    let port = pty.path().display().to_string();
    let args = [&*log, &*port, "--as", "device", "--transmit"];
    let replay = Replay::start(folder.path(), "first", &args, "");
    replay.wait_for("listening on");
    // What is asked meanwhile is not answered.
    pty.write_all(&ask(1, 0x05, &[])).unwrap();
    replay.wait_for("answering on");
    pty.write_all(&ask(1, 0x05, &[])).unwrap();
    let mut reply = [0; 7];
    pty.read_exact(&mut reply).unwrap();
    assert_eq!(reply[..], tell(1, 0x05, &[2]));
    pty.write_all(&tell(1, 0x14, &[b'1'; 20])).unwrap();
    let (code, out, err) = replay.end();
    assert_eq!(code, Some(2), "{err}");
    assert_eq!(out, "1 request: 1 answered, 0 silent as recorded, 0 not in the capture\n");
    assert!(err.contains("another device answers as box1"), "{err}");
}

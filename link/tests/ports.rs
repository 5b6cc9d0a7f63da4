//! Taking part, and coming back, on real pseudo-terminals; and what they refuse.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use k485_link::{
    Clock, Event, Hear, Link, LinkError, Listener, OpenError, Options, Pty, Rs485, Serial,
};

const BAUD: u32 = 230_400;
/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);
const FRAME: [u8; 6] = [0xF7, 0xFE, 0x03, 0xFF, 0xA2, 0x55];

fn serial(path: &Path) -> Serial {
    Serial::open(path, &Options::default(), Clock::new()).unwrap()
}

/// So many bytes.
#[track_caller]
fn hear(link: &mut dyn Hear, len: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut buf = [0; 512];
    while heard.len() < len {
        match link.read(&mut buf, LONG).unwrap() {
            Event::Bytes { n, .. } => heard.extend_from_slice(&buf[..n]),
            other => panic!("{other:?} after {heard:02x?}"),
        }
    }
    heard
}

#[test]
fn a_port_is_spoken_to_and_heard() {
    let mut pty = Pty::open().unwrap();
    let clock = Clock::new();
    let mut port = Serial::open(pty.path(), &Options::default(), clock).unwrap();
    let before = clock.now();
    let sent = port.send(&FRAME).unwrap();
    assert!(sent >= before && sent <= clock.now());
    assert_eq!(hear(&mut pty, 6), FRAME);
    // Every byte value, both ways.
    let all: Vec<u8> = (0..=255).collect();
    port.send(&all).unwrap();
    assert_eq!(hear(&mut pty, 256), all);
    pty.send(&all).unwrap();
    assert_eq!(hear(&mut port, 256), all);
    assert_eq!(port.name(), pty.path().to_str().unwrap());
    // And nothing comes back by itself.
    assert_eq!(Hear::read(&mut pty, &mut [0; 8], Duration::from_millis(20)).unwrap(), Event::Idle);
}

#[test]
fn a_port_that_is_taken_part_with_is_nobody_elses() {
    let pty = Pty::open().unwrap();
    let port = serial(pty.path());
    let busy = |result: Result<(), OpenError>| matches!(result, Err(OpenError::Busy { .. }));
    assert!(busy(Serial::open(pty.path(), &Options::default(), Clock::new()).map(drop)));
    assert!(busy(Listener::open(pty.path(), BAUD, Clock::new()).map(drop)));
    drop(port);
    let listener = Listener::open(pty.path(), BAUD, Clock::new()).unwrap();
    assert!(busy(Serial::open(pty.path(), &Options::default(), Clock::new()).map(drop)));
    drop(listener);
    drop(serial(pty.path()));
}

#[test]
fn the_descriptor_of_a_port_goes_on_with_its_lock() {
    let mut pty = Pty::open().unwrap();
    let fd = serial(pty.path()).into_fd().expect("it is open");
    rustix::io::write(&fd, &FRAME).unwrap();
    assert_eq!(hear(&mut pty, 6), FRAME);
    assert_eq!(rustix::io::read(&fd, &mut [0; 8]), Err(rustix::io::Errno::AGAIN));
    assert!(Listener::open(pty.path(), BAUD, Clock::new()).is_err());
    drop(fd);
    drop(serial(pty.path()));
}

#[test]
fn a_port_that_nobody_reads_does_not_hang_the_sender() {
    let mut pty = Pty::open().unwrap();
    let mut port = serial(pty.path());
    for link in [&mut port as &mut dyn Link, &mut pty] {
        match link.send(&vec![0; 1 << 20]) {
            Err(LinkError::NotTaken { sent, len, .. }) => assert!(sent < len, "{sent}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_speaks_on_a_port_that_is_gone_is_told() {
    let pty = Pty::open().unwrap();
    let mut port = serial(pty.path());
    drop(pty);
    assert_eq!(port.read(&mut [0; 8], LONG).unwrap(), Event::Closed);
    let error = port.send(&FRAME).unwrap_err();
    assert!(matches!(error, LinkError::Gone { .. }), "{error}");
    assert!(matches!(port.reopen(), Err(OpenError::NotFound { .. } | OpenError::NoDevice { .. })));
    assert_eq!(port.read(&mut [0; 8], Duration::ZERO).unwrap(), Event::Closed);
    assert!(matches!(port.send(&FRAME), Err(LinkError::Gone { .. })));
    assert!(matches!(port.set_baud(BAUD), Err(OpenError::Gone { .. })));
    assert!(port.fd().is_none());
}

/// A name that leads to another pseudo-terminal each time, as an adapter that is plugged in anew.
#[test]
fn a_port_that_was_unplugged_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("adapter");
    let first = Pty::open().unwrap();
    symlink(first.path(), &name).unwrap();
    let mut listener = Listener::open(&name, BAUD, Clock::new()).unwrap();
    drop(first);
    let mut buf = [0; 8];
    for _ in 0..20 {
        assert_eq!(Hear::read(&mut listener, &mut buf, LONG).unwrap(), Event::Closed);
        fs::remove_file(&name).unwrap();
        assert!(matches!(listener.reopen(), Err(OpenError::NotFound { .. })));
        let mut pty = Pty::open().unwrap();
        symlink(pty.path(), &name).unwrap();
        listener.reopen().unwrap();
        pty.write_all(&FRAME).unwrap();
        assert_eq!(hear(&mut listener, 6), FRAME);
    }
}

#[test]
fn a_port_that_is_not_gone_can_be_opened_anew_over_its_own_lock() {
    let mut pty = Pty::open().unwrap();
    let mut listener = Listener::open(pty.path(), BAUD, Clock::new()).unwrap();
    listener.reopen().unwrap();
    pty.write_all(&FRAME).unwrap();
    assert_eq!(hear(&mut listener, 6), FRAME);
    drop(listener);
    let mut port = serial(pty.path());
    port.reopen().unwrap();
    port.send(&FRAME).unwrap();
    assert_eq!(hear(&mut pty, 6), FRAME);
}

#[test]
fn a_speed_is_set_and_what_was_heard_at_the_old_one_is_dropped() {
    let mut pty = Pty::open().unwrap();
    let mut listener = Listener::open(pty.path(), BAUD, Clock::new()).unwrap();
    pty.write_all(&FRAME).unwrap();
    listener.set_baud(115_200).unwrap();
    assert_eq!((listener.baud(), pty.baud().unwrap()), (115_200, 115_200));
    pty.write_all(&[1, 2, 3]).unwrap();
    assert_eq!(hear(&mut listener, 3), [1, 2, 3]);
    // The same speed again drops nothing.
    pty.write_all(&[4]).unwrap();
    listener.set_baud(115_200).unwrap();
    assert_eq!(hear(&mut listener, 1), [4]);
    assert!(matches!(listener.set_baud(0), Err(OpenError::UnsupportedBaud { asked: 0, .. })));
    assert_eq!(listener.baud(), 115_200);
    // It is the one that the port comes back with.
    listener.reopen().unwrap();
    assert_eq!(pty.baud().unwrap(), 115_200);
}

/// What needs hardware is refused by a pseudo-terminal: this is all that can be tried here.
#[test]
fn a_pseudo_terminal_has_no_counters_no_latency_and_no_transmitter() {
    let pty = Pty::open().unwrap();
    let port = serial(pty.path());
    assert_eq!(port.line_errors(), None);
    assert!(!port.low_latency());
    drop(port);
    let rs485 = Some(Rs485 { before: Duration::from_millis(1), after: Duration::ZERO });
    let options = Options { rs485, ..Options::default() };
    let path = pty.path().display();
    let expected = format!(
        "{path}: the driver cannot switch a transmitter by RTS; leave out the RS-485 mode, and use \
         an adapter that switches by itself"
    );
    for error in [
        Serial::open(pty.path(), &options, Clock::new()).unwrap_err(),
        Listener::with(pty.path(), &options, Clock::new()).unwrap_err(),
    ] {
        assert!(matches!(error, OpenError::NoRs485 { .. }), "{error:?}");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_link_file_stays_while_clients_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("bus");
    let mut pty = Pty::with_link(&link).unwrap();
    assert_eq!((pty.link(), pty.name()), (Some(link.as_path()), link.to_str().unwrap()));
    for _ in 0..3 {
        let mut client = serial(&link);
        client.send(&FRAME).unwrap();
        assert_eq!(hear(&mut pty, 6), FRAME);
        pty.send(&FRAME).unwrap();
        assert_eq!(hear(&mut client, 6), FRAME);
        drop(client);
        assert_eq!(Hear::read(&mut pty, &mut [0; 8], Duration::ZERO).unwrap(), Event::Idle);
    }
    assert_eq!(Hear::baud(&pty), Some(BAUD));
    let error = Pty::with_link(&link).unwrap_err();
    assert!(matches!(error, OpenError::LinkTaken { .. }), "{error}");
    drop(pty);
    assert!(fs::symlink_metadata(&link).is_err());
    let error = Pty::with_link(folder.path().join("no/such/folder")).unwrap_err();
    assert!(error.to_string().contains("cannot make the link file"), "{error}");
}

/// The kernel gives the lowest free number again, so a link that a killed process left may lead to
/// the very pair that is made next.
#[test]
fn a_link_file_of_a_killed_process_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("bus");
    let gone = Pty::open().unwrap();
    symlink(gone.path(), &link).unwrap();
    drop(gone);
    // Another test may have taken the number: then the link leads to what somebody has.
    match Pty::with_link(&link) {
        Ok(pty) => assert_eq!(fs::read_link(&link).unwrap(), pty.path()),
        Err(error) => assert!(matches!(error, OpenError::LinkTaken { .. }), "{error}"),
    }
}

#[test]
fn a_pair_is_still_read_and_written_as_a_file() {
    let mut pty = Pty::open().unwrap();
    let mut port = serial(pty.path());
    pty.send(&[9]).unwrap();
    port.send(&FRAME).unwrap();
    let mut buf = [0; 6];
    // Sending as a link leaves reads blocking.
    pty.read_exact(&mut buf).unwrap();
    assert_eq!(buf, FRAME);
}

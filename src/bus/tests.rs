use std::io::Write;

use k485_link::Event;
use k485_proto::record::Time;

use super::*;

fn word(text: &str) -> PortWord {
    text.parse().unwrap()
}

#[track_caller]
fn wrong(text: &str) -> String {
    text.parse::<PortWord>().unwrap_err()
}

#[test]
fn words_are_told_apart() {
    let place = |text| word(text).place;
    assert_eq!(place("/dev/ttyUSB0"), Place::Path("/dev/ttyUSB0".into()));
    assert_eq!(place("bus.pcapng"), Place::Path("bus.pcapng".into()));
    // As under /dev/serial/by-path.
    let by_path = "/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0-port0";
    assert_eq!(place(by_path), Place::Path(by_path.into()));
    assert_eq!(place("./a:b"), Place::Path("./a:b".into()));
    assert_eq!(place("tcp:printer:2000"), Place::Tcp("printer:2000".into()));
    assert_eq!(place("tcp:[::1]:2000"), Place::Tcp("[::1]:2000".into()));
    assert_eq!(place("-"), Place::Stdin);
    assert_eq!(place("file:a=b:c"), Place::File("a=b:c".into()));
    assert_eq!(place("pty:/tmp/bus"), Place::Pty("/tmp/bus".into()));
    assert_eq!(place("emu:"), Place::Emulated(None));
    assert_eq!(place("emu:bus.toml"), Place::Emulated(Some("bus.toml".into())));
}

#[test]
fn a_bus_has_the_name_that_it_is_given() {
    assert_eq!(word("/dev/ttyUSB0").bus(), "/dev/ttyUSB0");
    assert_eq!(word("left=/dev/ttyUSB0").bus(), "left");
    assert_eq!(word("left=/dev/ttyUSB0").place, word("/dev/ttyUSB0").place);
    assert_eq!(word("b=tcp:printer:1").bus(), "b");
    // Paths may have an = of their own.
    assert_eq!(word("/tmp/a=b").bus(), "/tmp/a=b");
    assert_eq!(word("./a=b").bus(), "./a=b");
}

#[test]
fn wrong_words_say_what_there_is() {
    assert_eq!(
        wrong("can:x"),
        "no kind of port is called can: a path (/dev/ttyUSB0), tcp:HOST:PORT, pty:PATH, \
         file:PATH, emu: or - (stdin)"
    );
    assert!(wrong("").starts_with("the port is missing: "));
    assert!(wrong("a=").starts_with("the port is missing: "));
    assert_eq!(wrong("=/dev/ttyUSB0"), "the name before = is missing");
    assert_eq!(wrong("pty:"), "the path is missing: pty:PATH");
    assert!(wrong("tcp:printer").contains("the port's number is missing"));
}

#[test]
fn speeds_and_delays() {
    assert_eq!(speed("2"), Ok(2.0));
    for wrong in ["0", "-1", "nan", "inf", "fast", ""] {
        assert!(speed(wrong).is_err(), "{wrong}");
    }
    let ms = Duration::from_millis;
    assert_eq!(delays("1,20"), Ok(Rs485 { before: ms(1), after: ms(20) }));
    for wrong in ["1", "1,", "1,101", "-1,0", ""] {
        assert!(delays(wrong).is_err(), "{wrong}");
    }
}

/// All that is heard, with its times.
fn heard(mut opened: Opened) -> Vec<(Time, Vec<u8>)> {
    let mut heard = Vec::new();
    let mut buf = [0; 64];
    loop {
        match opened.hear.read(&mut buf, Duration::from_secs(10)).unwrap() {
            Event::Bytes { n, time } => heard.push((time, buf[..n].to_vec())),
            Event::Closed => return heard,
            Event::Idle => panic!("idle"),
        }
    }
}

#[test]
fn a_capture_of_any_format_is_heard() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(
        b"(1767293752.500000000) bus0 > f70104ff0800db\n\
          (1767293752.600000000) bus0 f701 ; noise: truncated: 2 of 3 bytes\n",
    )
    .unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let whole = vec![0xF7, 1, 4, 0xFF, 8, 0, 0xDB];
    for text in [path.clone(), format!("file:{path}")] {
        let word = word(&text);
        let opened = listen(&word, &Options::default(), Clock::new()).unwrap();
        assert!(opened.what.ends_with(", a capture, as fast as it is read"));
        assert!(!opened.hear.is_live());
        let at = |nanos| Time(1_767_293_752 * Time::SECOND + nanos);
        let expected = [(at(500_000_000), whole.clone()), (at(600_000_000), vec![0xF7, 1])];
        assert_eq!(heard(opened), expected);
    }
    let paced = Options { pace: Some(10.0), ..Options::default() };
    let opened = listen(&word(&path), &paced, Clock::new()).unwrap();
    assert!(opened.hear.is_live());
    let heard = heard(opened);
    assert!(heard[1].0.since(heard[0].0) >= 10 * Time::MILLISECOND, "{heard:?}");
    let refusal = speak(&word(&path), &Options::default(), Clock::new()).err().unwrap();
    assert_eq!(refusal.to_string(), format!("{path}: nothing can be sent to a file; give a port"));
}

#[test]
fn who_speaks_knows_whether_the_line_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let own = format!("pty:{}", folder.path().join("bus").display());
    let link = speak(&word(&own), &Options::default(), Clock::new()).unwrap();
    assert_eq!((word(&own).reality(), link.name()), (Reality::Own, &own[4..]));
    // The same line from its other end is somebody's.
    assert!(speak(&word(&own[4..]), &Options::default(), Clock::new()).is_ok());
    for real in [&own[4..], "/dev/ttyUSB0", "tcp:printer:2000", "-", "file:x"] {
        assert_eq!(word(real).reality(), Reality::Real, "{real}");
    }
    assert!(speak(&word("-"), &Options::default(), Clock::new()).is_err());
}

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use k485_link::memory::{self, End};
use k485_link::{Event, Hear};
use k485_proto::dialect::K2;
use k485_proto::effect::Effect;
use k485_proto::message::kind::hex_bytes;
use k485_proto::record::Direction;

use super::*;

const LONG: Duration = Duration::from_secs(20);
const BUFFER: &str = "f70103ff0571";
const MIDDLE: &str = "f7010400050019";

fn bytes(hex: &str) -> Vec<u8> {
    hex_bytes(hex).unwrap()
}

/// The other end of the wire: what the speaker says is heard here, what is said here the speaker
/// hears.
struct Wire(RefCell<End>);

impl Wire {
    fn say(&self, hex: &str) {
        self.0.borrow_mut().send(&bytes(hex)).unwrap();
    }

    /// The next thing that the speaker says.
    #[track_caller]
    fn hear(&self, hex: &str) {
        let mut heard = Vec::new();
        while heard.len() < hex.len() / 2 {
            let mut buf = vec![0; hex.len() / 2 - heard.len()];
            match self.0.borrow_mut().read(&mut buf, LONG).unwrap() {
                Event::Bytes { n, .. } => heard.extend_from_slice(&buf[..n]),
                other => panic!("nothing is sent: {other:?}"),
            }
        }
        assert_eq!(k485_proto::frame::Hex(&heard).to_string(), hex);
    }

    #[track_caller]
    fn heard_nothing(&self) {
        let event = self.0.borrow_mut().read(&mut [0], Duration::ZERO).unwrap();
        assert!(!matches!(event, Event::Bytes { .. }), "something was sent");
    }
}

fn speaker(guard: Guard) -> (Speaker, Wire) {
    let clock = Clock::new();
    let (end, other) = memory::pair(clock, None);
    (Speaker::new(Box::new(end), clock, &K2, guard), Wire(RefCell::new(other)))
}

/// A speaker on a wire that may be real, with everything allowed, that does not listen long.
fn real() -> (Speaker, Wire) {
    let guard = Guard { transmit: true, allow: BTreeSet::from(Effect::ALL), real: true };
    let (speaker, wire) = speaker(guard);
    (speaker.with_listening(Duration::from_millis(50)), wire)
}

fn short(sends: u8) -> Option<Policy> {
    Some(Policy { timeout_ms: 1_000, sends })
}

/// What an observer is told, in words.
#[derive(Default)]
struct Told(Vec<String>);

impl Told {
    fn observe(&mut self) -> impl FnMut(&Seen) {
        |seen| match seen {
            Seen::Frame(frame) => {
                let dir = frame.dir.map_or("?", Direction::name);
                self.0.push(format!("{dir} {:02x}", frame.frame().func()));
            }
            Seen::Exchange(exchange) => {
                let attempts = exchange.attempts.unwrap_or(0);
                self.0.push(format!("{} x{attempts}", exchange.outcome.name()));
            }
            other => self.0.push(format!("{other:?}")),
        }
    }
}

#[test]
fn a_request_and_its_reply() {
    // With an adapter that echoes too.
    for echo in [false, true] {
        let (mut speaker, wire) = speaker(Guard::own());
        let device = thread::spawn(move || {
            wire.hear(BUFFER);
            if echo {
                wire.say(&BUFFER[..4]);
                wire.say(&BUFFER[4..]);
            }
            wire.say(MIDDLE);
            wire
        });
        let mut told = Told::default();
        let ended = speaker.ask(&bytes(BUFFER), None, &mut told.observe()).unwrap();
        let Ended::Answered(answer) = ended else { panic!("{ended:?}") };
        assert_eq!((answer.reply, answer.attempts), (bytes(MIDDLE), 1));
        assert_eq!(told.0, ["request 05", "response 05", "answered x1"]);
        assert_eq!(speaker.echo(), if echo { Echo::On } else { Echo::Off });
        device.join().unwrap().heard_nothing();
    }
}

/// A belt module repeats the request: the sequence alone would take that for a retry.
#[test]
fn a_reply_that_repeats_the_request_is_told_as_a_reply() {
    let (mut speaker, wire) = speaker(Guard::own());
    let request = "f7210800080000000063f9";
    let device = thread::spawn(move || {
        wire.hear(request);
        wire.say(request);
        wire
    });
    let mut told = Told::default();
    let ended = speaker.ask(&bytes(request), None, &mut told.observe()).unwrap();
    assert!(matches!(ended, Ended::Answered(answer) if answer.doubtful));
    assert_eq!(told.0, ["request 08", "response 08", "answered x1"]);
    drop(device.join().unwrap());
}

#[test]
fn it_is_sent_again_and_then_given_up() {
    let (mut speaker, wire) = speaker(Guard::own());
    let device = thread::spawn(move || {
        wire.hear(BUFFER);
        wire.hear(BUFFER);
        // Nobody's.
        wire.say("f7020400050019");
        wire.hear(BUFFER);
        wire.say(MIDDLE);
        (0..2).for_each(|_| wire.hear(BUFFER));
        wire
    });
    let mut told = Told::default();
    let ended = speaker.ask(&bytes(BUFFER), short(3), &mut told.observe()).unwrap();
    assert!(matches!(ended, Ended::Answered(answer) if answer.attempts == 3));
    assert_eq!(told.0.last().unwrap(), "answered x3");
    assert_eq!(told.0.iter().filter(|line| *line == "request 05").count(), 3);
    let mut told = Told::default();
    let ended = speaker.ask(&bytes(BUFFER), short(2), &mut told.observe()).unwrap();
    assert_eq!(ended, Ended::NoReply { attempts: 2 });
    assert_eq!(told.0, ["request 05", "request 05", "timeout x2"]);
    device.join().unwrap().heard_nothing();
}

#[test]
fn what_came_before_is_no_reply() {
    let (mut speaker, wire) = speaker(Guard::own());
    wire.say(MIDDLE);
    let mut told = Told::default();
    let ended = speaker.ask(&bytes(BUFFER), short(1), &mut told.observe()).unwrap();
    assert_eq!(ended, Ended::NoReply { attempts: 1 });
    assert_eq!(told.0[..2], ["response 05", "request_not_seen x0"]);
    wire.hear(BUFFER);
}

#[test]
fn what_is_not_allowed_is_not_sent() {
    for (transmit, allow) in [(false, Effect::Motion), (true, Effect::Clear)] {
        let guard = Guard { transmit, allow: BTreeSet::from([allow]), real: true };
        let (mut speaker, wire) = speaker(guard);
        let motion = bytes("f70206ff1001040097");
        for result in [
            speaker.ask(&motion, None, &mut |_| ()).map(|_| ()),
            speaker.transmit(&motion, &mut |_| ()).map(|_| ()),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, SpeakError::Refused(_)) && error.kept_silent(), "{error}");
        }
        wire.heard_nothing();
    }
}

#[test]
fn nothing_is_sent_into_a_feed() {
    let (mut speaker, wire) = real();
    wire.say("f70206ff1001040097");
    wire.say("f702030010cd");
    wire.say("f70206ff1001050082");
    wire.say("f702070010c412ce5530");
    for _ in 0..2 {
        let error = speaker.ask(&bytes(BUFFER), None, &mut |_| ()).unwrap_err();
        assert!(error.kept_silent());
        let text = error.to_string();
        let begin = "memory a: box2 is feeding: EXTRUDE_PROCESS feed_poll slot=A was seen 0.";
        assert!(text.starts_with(begin), "{text}");
    }
    assert_eq!(speaker.feed().map(|feed| feed.addr.0), Some(2));
    wire.heard_nothing();
    // A link that this program made itself has no print to spoil.
    speaker.guard = Guard::own();
    let ended = speaker.ask(&bytes(BUFFER), short(1), &mut |_| ()).unwrap();
    assert_eq!(ended, Ended::NoReply { attempts: 1 });
    wire.hear(BUFFER);
}

/// Not before the next transmission either.
#[test]
fn a_feed_that_begins_meanwhile_ends_the_retries() {
    let (mut speaker, wire) = real();
    let device = thread::spawn(move || {
        wire.hear(BUFFER);
        wire.say("f70206ff1001040097");
        wire
    });
    let mut told = Told::default();
    let error = speaker.ask(&bytes(BUFFER), short(5), &mut told.observe()).unwrap_err();
    assert!(matches!(error, SpeakError::Feeding { sent: 1, .. }), "{error}");
    assert!(!error.kept_silent());
    assert!(error.to_string().ends_with("The request was sent once before, and not answered"));
    device.join().unwrap().heard_nothing();
}

#[test]
fn a_feed_of_its_own_is_no_reason() {
    let (mut speaker, wire) = real();
    let device = thread::spawn(move || {
        wire.hear("f70206ff1001040097");
        wire.say("f702030010cd");
        wire.hear("f70206ff1001050082");
        wire.say("f702070010c412ce5530");
    });
    for request in ["f70206ff1001040097", "f70206ff1001050082"] {
        let ended = speaker.ask(&bytes(request), None, &mut |_| ()).unwrap();
        assert!(matches!(ended, Ended::Answered(_)), "{ended:?}");
    }
    assert_eq!(speaker.feed(), None);
    device.join().unwrap();
}

/// Somebody was asked, and is answered after a while.
#[test]
fn it_waits_for_whoever_waits() {
    let (mut speaker, wire) = real();
    wire.say("f70203ff0571");
    let device = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        wire.heard_nothing();
        wire.say("f7020400050019");
        wire.hear(BUFFER);
        wire.say(MIDDLE);
    });
    let mut told = Told::default();
    let ended = speaker.ask(&bytes(BUFFER), None, &mut told.observe()).unwrap();
    assert!(matches!(ended, Ended::Answered(_)));
    let expected = ["request 05", "response 05", "answered x1"];
    assert_eq!(told.0, [expected, expected].concat());
    device.join().unwrap();
}

#[test]
fn a_bus_that_is_never_quiet() {
    let (mut speaker, wire) = real();
    speaker.patience = 500 * Time::MILLISECOND;
    wire.say("f70203ff0571");
    let error = speaker.ask(&bytes(BUFFER), None, &mut |_| ()).unwrap_err();
    let text = error.to_string();
    assert!(
        error.kept_silent() && text.contains("a host asked box2 GET_BUFFER_STATE 0."),
        "{text}"
    );
    wire.heard_nothing();
}

/// The printer's host sends its next request up to 20 ms after a reply.
#[test]
fn nothing_is_sent_right_behind_a_reply() {
    let (speaker, wire) = real();
    let mut speaker = speaker.with_listening(Duration::ZERO);
    let began = Instant::now();
    wire.say("f70203ff0571");
    wire.say("f7020400050019");
    let device = thread::spawn(move || {
        wire.hear(BUFFER);
        wire.say(MIDDLE);
        began.elapsed()
    });
    speaker.ask(&bytes(BUFFER), None, &mut |_| ()).unwrap();
    assert!(device.join().unwrap() >= Duration::from_millis(30));
}

#[test]
fn it_listens_first_and_stops_when_told() {
    let (speaker, wire) = real();
    let stop = Arc::new(AtomicBool::new(false));
    let mut speaker = speaker.with_listening(LONG).with_stop(stop.clone());
    let flag = stop.clone();
    let began = Instant::now();
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        flag.store(true, Ordering::SeqCst);
    });
    let error = speaker.ask(&bytes(BUFFER), None, &mut |_| ()).unwrap_err();
    assert!(matches!(error, SpeakError::Stopped), "{error}");
    assert!(began.elapsed() < LONG);
    wire.heard_nothing();
    other.join().unwrap();
}

#[test]
fn a_link_that_goes_away() {
    let (mut speaker, wire) = speaker(Guard::own());
    drop(wire);
    let error = speaker.ask(&bytes(BUFFER), None, &mut |_| ()).unwrap_err();
    assert!(matches!(error, SpeakError::Closed { .. }), "{error}");
}

/// Whoever plays a device sends what nobody answers.
#[test]
fn bytes_are_sent_without_waiting() {
    let (mut speaker, wire) = speaker(Guard::own());
    let mut told = Told::default();
    wire.say(BUFFER);
    let until = Time(speaker.clock.now().0 + 100 * Time::MILLISECOND);
    speaker.listen_until(until, &mut told.observe()).unwrap();
    speaker.transmit(&bytes(MIDDLE), &mut told.observe()).unwrap();
    wire.hear(MIDDLE);
    speaker.finish(&mut told.observe());
    assert_eq!(told.0, ["request 05", "response 05", "answered x1"]);
}

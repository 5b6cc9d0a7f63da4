//! Host and devices against each other, and each by itself, on a clock of their own.

use super::*;
use k485_proto::address::Address;
use k485_proto::exchange::{Pairer, Seen};
use k485_proto::frame::Frame;
use k485_proto::host::ask::Echo;
use k485_proto::record::{Direction, Time};
use k485_proto::status::Status;
use proptest::prelude::*;

const MS: i64 = Time::MILLISECOND;

fn ask(addr: u8, func: u8, data: &[u8]) -> Vec<u8> {
    Frame::to_vec(Address(addr), Status::REQUEST, func, data).unwrap()
}

fn tell(addr: u8, status: u8, func: u8, data: &[u8]) -> Vec<u8> {
    Frame::to_vec(Address(addr), Status(status), func, data).unwrap()
}

/// What is seen of these frames: time in milliseconds, direction, frame.
fn seen(frames: &[(i64, Direction, Vec<u8>)]) -> Vec<Seen> {
    let mut pairer = Pairer::new();
    for (ms, dir, frame) in frames {
        pairer.push(script::record(frame, *dir, Some(Time(ms * MS)), 0));
    }
    pairer.finish();
    std::iter::from_fn(|| pairer.pull()).collect()
}

const ASK: Direction = Direction::Request;
const TELL: Direction = Direction::Response;

/// Two polls, a request nobody answers, an error.
fn sample() -> Vec<Seen> {
    seen(&[
        (0, ASK, ask(1, 0x05, &[])),
        (10, TELL, tell(1, 0, 0x05, &[0])),
        (100, ASK, ask(2, 0x05, &[])),
        (3000, ASK, ask(1, 0x0a, &[])),
        (3020, TELL, tell(1, 0, 0x0a, &[24, 39, 0, 0])),
        (3100, ASK, ask(1, 0x10, &[1, 0, 0])),
        (3600, TELL, tell(1, 0x05, 0x10, &[0])),
        (3700, ASK, ask(1, 0x05, &[])),
        (3710, TELL, tell(1, 0, 0x05, &[2])),
    ])
}

/// Plays a script against a function from (number, request) to what is heard back and when after.
/// Gives the summary, the events, and the times (ms) at which something was sent.
fn play(
    script: Script,
    options: Options,
    mut bus: impl FnMut(usize, &[u8]) -> Vec<(i64, Vec<u8>)>,
) -> (Summary, Vec<HostEvent>, Vec<i64>) {
    let mut now = Time(0);
    let mut host = Host::new(script, options, now);
    let mut coming: Vec<(Time, Vec<u8>)> = Vec::new();
    let (mut events, mut sent) = (Vec::new(), Vec::new());
    for _ in 0..1_000_000 {
        match host.poll(now) {
            HostTodo::Send(bytes) => {
                coming.extend(
                    bus(sent.len(), &bytes)
                        .into_iter()
                        .map(|(ns, bytes)| (Time(now.0 + ns), bytes)),
                );
                coming.sort_by_key(|(time, _)| *time);
                sent.push(now.0 / MS);
                host.sent(now);
            }
            HostTodo::Wait(until) => {
                assert!(until > now, "no time passes");
                match coming.first() {
                    Some((time, _)) if *time <= until => {
                        let (time, bytes) = coming.remove(0);
                        now = now.max(time);
                        host.heard(&bytes, now);
                    }
                    _ => now = until,
                }
            }
            HostTodo::Ask(_) => host.go(),
            HostTodo::Done => {
                events.extend(std::iter::from_fn(|| host.pull()));
                return (host.summary(), events, sent);
            }
        }
        events.extend(std::iter::from_fn(|| host.pull()));
    }
    panic!("the host does not end");
}

fn at_most() -> Options {
    Options { speed: Speed::Max, ..Options::default() }
}

/// The recorded answers as a bus.
fn recorded(seen: &[Seen]) -> impl FnMut(usize, &[u8]) -> Vec<(i64, Vec<u8>)> + use<> {
    let mut answers = Answers::new(false);
    seen.iter().for_each(|seen| answers.push(seen));
    move |_, request| match answers.answer(&Frame::from_bytes(request).unwrap()) {
        Answer::Reply { frame, latency_ns } => vec![(latency_ns.unwrap_or(0), frame.to_vec())],
        _ => vec![],
    }
}

fn verdicts(events: &[HostEvent]) -> Vec<Verdict> {
    let verdict = |event: &HostEvent| match event {
        HostEvent::Played(played) => Some(played.verdict),
        _ => None,
    };
    events.iter().filter_map(verdict).collect()
}

fn changes(events: &[HostEvent]) -> Vec<String> {
    let of = |event: &HostEvent| match event {
        HostEvent::Played(played) => played.changes.clone(),
        _ => vec![],
    };
    let text = |shown: &Option<crate::diff::Shown>| {
        shown.as_ref().map_or("none".to_owned(), ToString::to_string)
    };
    let line = |change: &crate::diff::Change| {
        format!("{} {} -> {}", change.name, text(&change.a), text(&change.b))
    };
    events.iter().flat_map(of).map(|change| line(&change)).collect()
}

#[test]
fn a_capture_against_its_own_answers_is_the_same_and_keeps_its_pauses() {
    let seen = sample();
    let script = Script::new(seen.clone()).unwrap();
    let (summary, events, sent) = play(script.clone(), Options::default(), recorded(&seen));
    assert!(!summary.differs, "{events:?}");
    assert_eq!((summary.requests, summary.same), (5, 5));
    assert_eq!(sent, [0, 100, 3000, 3100, 3700]);
    let row = summary.functions.iter().find(|row| row.func == 0x10).unwrap();
    assert_eq!((row.recorded_median_ns, row.live_median_ns), (Some(500 * MS), Some(500 * MS)));
    // Ten times as fast; the wait for the one that is silent is not shortened.
    let fast = Options { speed: Speed::Times(10.0), ..Options::default() };
    let (summary, _, sent) = play(script.clone(), fast, recorded(&seen));
    assert!(!summary.differs);
    assert_eq!(sent, [0, 19, 522, 550, 1060]);
    let (summary, _, sent) = play(script, at_most(), recorded(&seen));
    assert!(!summary.differs);
    assert_eq!(sent, [0, 13, 516, 539, 1042]);
}

#[test]
fn a_slower_device_is_still_given_the_recorded_pause() {
    let seen = sample();
    let mut bus = recorded(&seen);
    let slow = move |n: usize, request: &[u8]| {
        let mut replies = bus(n, request);
        replies.iter_mut().for_each(|(ns, _)| *ns += 200 * MS);
        replies
    };
    let (summary, _, sent) = play(Script::new(seen).unwrap(), Options::default(), slow);
    assert!(!summary.differs);
    // Answered at 210, and 90 ms later the next.
    assert_eq!(sent[1], 300);
}

#[test]
fn what_differs_is_told_by_name() {
    let seen = sample();
    let change = |n: usize, _: &[u8]| -> Vec<(i64, Vec<u8>)> {
        let reply = match n {
            0 => tell(1, 0, 0x05, &[1]),
            1 => tell(2, 0, 0x05, &[0]),
            2 => tell(1, 0, 0x0a, &[25, 39, 0, 0]),
            3 => tell(1, 0, 0x10, &[]),
            _ => return vec![],
        };
        vec![(5 * MS, reply)]
    };
    let script = Script::new(seen).unwrap();
    let (summary, events, _) = play(script.clone(), at_most(), change);
    use Verdict::{Answered, Differs, Missing};
    assert_eq!(verdicts(&events), [Differs, Answered, Differs, Differs, Missing]);
    let told = changes(&events);
    assert!(told.contains(&"temperature 24 -> 25".to_owned()), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("status EXTRUDE_ERR1 -> OK")), "{told:?}");
    assert_eq!((summary.different, summary.missing, summary.answered), (3, 1, 1));
    let ignore =
        ["temperature", "buffer", "status", "data", "state", "outcome"].map(String::from).to_vec();
    let (summary, events, _) = play(script, Options { ignore, ..at_most() }, change);
    assert!(!summary.differs, "{:?}", changes(&events));
}

#[test]
fn unknown_data_is_compared_byte_by_byte() {
    let frames =
        |reply: &[u8]| vec![(0, ASK, ask(1, 0x77, &[])), (5, TELL, tell(1, 0, 0x77, reply))];
    let script = Script::new(seen(&frames(&[1, 2, 3]))).unwrap();
    let against = |reply: &'static [u8], ignore: &[&str]| {
        let ignore = ignore.iter().map(|name| name.to_string()).collect();
        let bus = move |_: usize, _: &[u8]| vec![(MS, tell(1, 0, 0x77, reply))];
        let (_, events, _) = play(script.clone(), Options { ignore, ..at_most() }, bus);
        changes(&events)
    };
    assert_eq!(against(&[1, 2, 3], &[]), [] as [&str; 0]);
    assert_eq!(against(&[1, 0xff, 4], &[]), ["data[1] 02 -> ff", "data[2] 03 -> 04"]);
    assert_eq!(against(&[1, 0xff, 4], &["data[1]"]), ["data[2] 03 -> 04"]);
    assert_eq!(against(&[1, 0xff, 4], &["data"]), [] as [&str; 0]);
    assert_eq!(against(&[1, 2], &[]), ["data 010203 -> 0102"]);
}

#[test]
fn latencies_count_when_asked() {
    let seen = sample();
    let script = Script::new(seen.clone()).unwrap();
    let mut bus = recorded(&seen);
    let mut late = move |n: usize, request: &[u8]| {
        let mut replies = bus(n, request);
        replies.iter_mut().for_each(|(ns, _)| *ns += 60 * MS);
        replies
    };
    let (summary, _, _) = play(script.clone(), at_most(), &mut late);
    assert!(!summary.differs);
    let strict = Options { latency_ns: Some(50 * MS), ..at_most() };
    let mut bus = recorded(&seen);
    let late = move |n: usize, request: &[u8]| {
        let mut replies = bus(n, request);
        replies.iter_mut().for_each(|(ns, _)| *ns += 60 * MS);
        replies
    };
    let (summary, events, _) = play(script, strict, late);
    assert_eq!(summary.different, 4);
    assert_eq!(changes(&events)[0], "latency 10.0 ms -> 70.0 ms");
}

#[test]
fn extra_frames_and_noise_are_told() {
    let seen = sample();
    let script = Script::new(seen.clone()).unwrap();
    let mut bus = recorded(&seen);
    let noisy = move |n: usize, request: &[u8]| {
        let mut replies = bus(n, request);
        match n {
            // Twice in one write, in the midst of nothing, and one that comes too late.
            0 => replies = vec![(10 * MS, [&*tell(1, 0, 5, &[0]), &*tell(1, 0, 5, &[0])].concat())],
            1 => replies = vec![(3 * MS, tell(3, 0, 0x05, &[0]))],
            2 => replies.insert(0, (MS, vec![0x00, 0x55])),
            3 => replies = vec![(1600 * MS, tell(1, 5, 0x10, &[0]))],
            _ => replies.iter_mut().for_each(|(ns, _)| *ns += 200 * MS),
        }
        replies
    };
    let (summary, events, _) = play(script, at_most(), noisy);
    let kinds: Vec<Extra> = events
        .iter()
        .filter_map(|event| match event {
            HostEvent::Extra { kind, .. } => Some(*kind),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, [Extra::Duplicate, Extra::Foreign, Extra::Late]);
    use Verdict::{Missing, Same};
    assert_eq!(verdicts(&events), [Same, Same, Same, Missing, Same]);
    assert_eq!((summary.extra, summary.noise_places, summary.noise_bytes), (3, 1, 2));
}

#[test]
fn a_request_is_sent_as_often_as_recorded_or_as_the_host_would() {
    // Lost twice, answered at the third; then not answered at all.
    let seen = seen(&[
        (0, ASK, ask(1, 0x05, &[])),
        (2007, ASK, ask(1, 0x05, &[])),
        (4014, ASK, ask(1, 0x05, &[])),
        (4020, TELL, tell(1, 0, 0x05, &[0])),
        (5000, ASK, ask(1, 0x08, &[0])),
        (9000, ASK, ask(1, 0x05, &[])),
        (9010, TELL, tell(1, 0, 0x05, &[0])),
    ]);
    let script = Script::new(seen.clone()).unwrap();
    let (summary, _, sent) = play(script.clone(), at_most(), recorded(&seen));
    assert!(!summary.differs);
    assert_eq!(sent.len(), 3 + 1 + 1);
    let (summary, _, sent) =
        play(script.clone(), Options { retries: true, ..at_most() }, recorded(&seen));
    assert!(!summary.differs);
    assert_eq!(sent.len(), 3 + 5 + 1);
    // Once answered, it is not sent again.
    let mut all = 0;
    let (_, _, sent) = play(script, Options { timeout_ns: Some(7 * MS), ..at_most() }, |_, _| {
        all += 1;
        vec![(MS, tell(1, 0, 0x05, &[0]))]
    });
    assert_eq!(sent, [0, 4, 14]);
}

#[test]
fn answers_come_in_sequence_and_stay_or_start_over() {
    let mut frames = Vec::new();
    for (n, state) in [0, 0, 2, 1].into_iter().enumerate() {
        frames.push((n as i64 * 100, ASK, ask(1, 0x05, &[])));
        frames.push((n as i64 * 100 + 5, TELL, tell(1, 0, 0x05, &[state])));
    }
    frames.push((500, ASK, ask(1, 0x08, &[0])));
    let seen = seen(&frames);
    for (repeat, expected) in [(false, [0, 0, 2, 1, 1, 1]), (true, [0, 0, 2, 1, 0, 0])] {
        let mut answers = Answers::new(repeat);
        seen.iter().for_each(|seen| answers.push(seen));
        let poll = ask(1, 0x05, &[]);
        let poll = Frame::from_bytes(&poll).unwrap();
        let got: Vec<u8> = (0..6)
            .map(|_| match answers.answer(&poll) {
                Answer::Reply { frame, .. } => script::checked(&frame).data()[0],
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(got, expected);
        let unknown = ask(1, 0x08, &[1]);
        assert_eq!(answers.answer(&Frame::from_bytes(&unknown).unwrap()), Answer::Unknown);
        let other = ask(2, 0x05, &[]);
        assert_eq!(answers.answer(&Frame::from_bytes(&other).unwrap()), Answer::NotOurs);
    }
}

#[test]
fn an_assignment_is_answered_from_the_new_address() {
    let assign = Frame::to_vec(Address(0xfe), Status::OK, 0xa0, &[3; 13]).unwrap();
    let table = Frame::to_vec(Address(0xff), Status::OK, 0x0b, &[1]).unwrap();
    let seen = seen(&[
        (0, ASK, assign.clone()),
        (5, TELL, tell(3, 0, 0xa0, &[1; 14])),
        (100, ASK, table.clone()),
    ]);
    let (summary, events, _) = play(Script::new(seen.clone()).unwrap(), at_most(), recorded(&seen));
    assert_eq!(verdicts(&events), [Verdict::Same, Verdict::NotCompared]);
    assert!(!summary.differs);
    let mut answers = Answers::new(false);
    seen.iter().for_each(|seen| answers.push(seen));
    assert_eq!(answers.addresses().iter().copied().collect::<Vec<_>>(), [Address(3)]);
    let mut device = Device::new(answers, Speed::default(), Echo::Auto);
    device.heard(&table, Time(0));
    assert_eq!(device.poll(Time(0)), DeviceTodo::Listen);
    device.heard(&assign, Time(MS));
    assert_eq!(device.poll(Time(MS)), DeviceTodo::Wait(Time(6 * MS)));
    assert_eq!(device.poll(Time(6 * MS)), DeviceTodo::Send(tell(3, 0, 0xa0, &[1; 14]).into()));
}

#[test]
fn a_device_waits_as_recorded_and_does_not_talk_into_a_frame() {
    let mut answers = Answers::new(false);
    sample().iter().for_each(|seen| answers.push(seen));
    let mut device = Device::new(answers, Speed::Times(2.0), Echo::Auto);
    let (poll, feed) = (ask(1, 0x05, &[]), ask(1, 0x10, &[1, 0, 0]));
    device.heard(&feed, Time(0));
    assert_eq!(device.poll(Time(0)), DeviceTodo::Wait(Time(250 * MS)));
    // Sent again meanwhile: the reply comes when it was due.
    device.heard(&feed, Time(100 * MS));
    assert_eq!(device.poll(Time(100 * MS)), DeviceTodo::Wait(Time(250 * MS)));
    // A frame has begun when the reply is due.
    device.heard(&poll[..3], Time(249 * MS));
    assert_eq!(device.poll(Time(250 * MS)), DeviceTodo::Wait(Time(399 * MS)));
    device.heard(&poll[3..], Time(251 * MS));
    assert_eq!(device.poll(Time(251 * MS)), DeviceTodo::Wait(Time(256 * MS)));
    assert_eq!(device.counts().given_up, 1);
    let DeviceTodo::Send(_) = device.poll(Time(256 * MS)) else { panic!("it is due") };
    device.sent(Time(257 * MS));
    // Its own echo is no other device; somebody else's reply is.
    device.heard(&tell(1, 0, 0x05, &[0]), Time(258 * MS));
    assert_eq!(device.pull(), None);
    device.heard(&tell(1, 0, 0x05, &[0]), Time(259 * MS));
    let conflict = DeviceEvent::Conflict { time: Time(259 * MS), addr: Address(1) };
    assert_eq!(device.pull(), Some(conflict));
    // What is not known is told once.
    for n in 0..3 {
        device.heard(&ask(1, 0x14, &[]), Time((300 + n) * MS));
    }
    assert!(matches!(device.pull(), Some(DeviceEvent::Unknown { .. })));
    assert_eq!((device.pull(), device.counts().unknown), (None, 3));
}

#[test]
fn the_echo_of_a_reply_that_repeats_its_request_is_not_answered_again() {
    let stall = tell(0x83, 0, 0x11, &[2]);
    let seen = seen(&[(0, ASK, stall.clone()), (5, TELL, stall.clone())]);
    for (echo, again) in [(Echo::Auto, false), (Echo::On, false), (Echo::Off, true)] {
        let mut answers = Answers::new(false);
        seen.iter().for_each(|seen| answers.push(seen));
        let mut device = Device::new(answers, Speed::Max, echo);
        device.heard(&stall, Time(0));
        assert_eq!(device.poll(Time(0)), DeviceTodo::Send(stall.clone().into()));
        device.sent(Time(MS));
        device.heard(&stall, Time(2 * MS));
        assert_eq!(device.poll(Time(2 * MS)) != DeviceTodo::Listen, again, "{echo:?}");
        // The host asks once more.
        device.heard(&stall, Time(500 * MS));
        assert_eq!(device.poll(Time(500 * MS)), DeviceTodo::Send(stall.clone().into()));
    }
    // As the host: the echo is known from the requests before.
    let poll = ask(1, 0x05, &[]);
    let frames = [
        (0, ASK, poll.clone()),
        (5, TELL, tell(1, 0, 0x05, &[0])),
        (10, ASK, stall.clone()),
        (15, TELL, stall.clone()),
    ];
    let script = Script::new(self::seen(&frames)).unwrap();
    let bus = |n: usize, request: &[u8]| match n {
        0 => vec![(MS, request.to_vec()), (5 * MS, tell(1, 0, 0x05, &[0]))],
        _ => vec![(MS, request.to_vec())],
    };
    let (summary, events, _) = play(script, at_most(), bus);
    assert_eq!(verdicts(&events), [Verdict::Same, Verdict::Missing]);
    assert_eq!(summary.extra, 0);
}

#[test]
fn several_buses_are_not_mixed() {
    let mut pairer = Pairer::new();
    for bus in ["a", "b"] {
        let record = script::record(&ask(1, 0x05, &[]), ASK, Some(Time(0)), 0);
        pairer.push(k485_proto::record::Record { bus: bus.into(), ..record });
    }
    pairer.finish();
    let error = Script::new(std::iter::from_fn(|| pairer.pull())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it holds several buses (\"a\", \"b\"), and one is played: choose it with -F 'bus==\"a\"'"
    );
    assert_eq!(Script::new([]).unwrap_err(), ScriptError::NoRequest);
}

/// What is done to a reply.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Drop,
    Twice,
    Change,
}

proptest! {
    /// Whatever a capture holds, and whichever replies are spoiled: exactly those are told.
    #[test]
    fn exactly_what_is_spoiled_is_told(
        requests in prop::collection::vec(
            (1u8..4, prop::sample::select(vec![0x05u8, 0x08, 0x14, 0x15, 0x77]), 0u8..4, 1i64..40,
             prop::sample::select(vec![Fault::None, Fault::None, Fault::Drop, Fault::Twice,
                                       Fault::Change])),
            1..60,
        ),
        speed in prop::sample::select(vec![Speed::Max, Speed::Times(1.0), Speed::Times(7.5)]),
    ) {
        let mut frames = Vec::new();
        let mut now = 0;
        for (addr, func, value, latency, _) in &requests {
            now += 3;
            frames.push((now, ASK, ask(*addr, *func, &[])));
            now += latency;
            frames.push((now, TELL, tell(*addr, 0, *func, &[*value; 6])));
        }
        let seen = seen(&frames);
        let mut bus = recorded(&seen);
        let spoil = |n: usize, request: &[u8]| {
            let (latency, reply) = bus(n, request).remove(0);
            let frame = Frame::from_bytes(&reply).unwrap();
            match requests[n].4 {
                Fault::None => vec![(latency, reply)],
                Fault::Drop => vec![],
                Fault::Twice => vec![(latency, reply.repeat(2))],
                Fault::Change => {
                    let mut data = frame.data().to_vec();
                    data[5] ^= 0x40;
                    vec![(latency, tell(frame.addr().0, 0, frame.func(), &data))]
                }
            }
        };
        let options = Options { speed, ..Options::default() };
        let (summary, events, sent) = play(Script::new(seen.clone()).unwrap(), options, spoil);
        prop_assert_eq!(sent.len(), requests.len());
        for (n, verdict) in verdicts(&events).into_iter().enumerate() {
            let expected = match requests[n].4 {
                Fault::None | Fault::Twice => Verdict::Same,
                Fault::Drop => Verdict::Missing,
                Fault::Change => Verdict::Differs,
            };
            prop_assert_eq!(verdict, expected, "{}", n);
        }
        let twice = requests.iter().filter(|request| request.4 == Fault::Twice).count();
        prop_assert_eq!(summary.extra, twice as u64);
        prop_assert_eq!(summary.noise_places, 0);
    }

    /// Nothing that is heard makes a host or a device panic, or stops the clock.
    #[test]
    fn anything_may_be_heard(chunks in prop::collection::vec(
        (prop::collection::vec(prop::sample::select(vec![0xf7u8, 1, 3, 4, 5, 0, 0xff, 0x0a, 0x5c]),
                               1..12), 0i64..300), 0..20)) {
        let seen = sample();
        let mut answers = Answers::new(true);
        seen.iter().for_each(|seen| answers.push(seen));
        let mut device = Device::new(answers, Speed::Max, Echo::Auto);
        let mut now = Time(0);
        for (bytes, ms) in &chunks {
            now = Time(now.0 + ms * MS);
            device.heard(bytes, now);
            for _ in 0..100 {
                match device.poll(now) {
                    DeviceTodo::Send(_) => device.sent(now),
                    DeviceTodo::Wait(until) => { prop_assert!(until > now); break }
                    DeviceTodo::Listen => break,
                }
            }
        }
        let script = Script::new(seen).unwrap();
        let mut n = 0;
        let (summary, _, _) = play(script, at_most(), |_, _| {
            n += 1;
            chunks.iter().skip(n).map(|(bytes, ms)| (ms * MS, bytes.clone())).collect()
        });
        prop_assert_eq!(summary.requests, 5);
    }
}

use super::*;
use crate::dialect::K2;
use crate::host;
use crate::message::kind::hex_bytes;
use alloc::borrow::ToOwned;
use proptest::prelude::*;

const MS: i64 = Time::MILLISECOND;
const BUFFER: &str = "f70103ff0571";
const MIDDLE: &str = "f7010400050019";
const STALL: &str = "f7810400110214";
const QUERY: &str = "f78104000c0b95";
const WORDS: &str = "f7810b000c0000000000000000fb";

fn bytes(hex: &str) -> Vec<u8> {
    hex_bytes(hex).unwrap()
}

/// A request with the host's own policy.
fn ask(hex: &str, echo: Echo) -> Ask {
    let request = bytes(hex);
    let policy = host::policy(&Frame::from_bytes(&request).unwrap(), &K2);
    Ask::new(&request, &K2, policy, echo)
}

/// Lets time pass, with bytes at given milliseconds after the start; gives when it was sent, and
/// when it ended.
fn run(ask: &mut Ask, heard: &[(i64, &str)]) -> (Vec<i64>, i64) {
    let (mut sends, mut now, mut at) = (Vec::new(), Time(0), 0);
    for _ in 0..10_000 {
        match ask.poll(now) {
            Step::Send => {
                sends.push(now.0 / MS);
                ask.sent(now);
            }
            Step::Wait(until) => {
                assert!(until > now, "it waits for the past");
                match heard.get(at) {
                    Some((ms, hex)) if Time(ms * MS) <= until => {
                        now = now.max(Time(ms * MS));
                        ask.heard(&bytes(hex), now);
                        at += 1;
                    }
                    _ => now = until,
                }
            }
            Step::Done => return (sends, now.0 / MS),
        }
    }
    panic!("it does not end");
}

fn answer(ask: &Ask) -> &Answer {
    match ask.ended() {
        Some(Ended::Answered(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reply() {
    let mut ask = ask(BUFFER, Echo::Auto);
    assert_eq!(run(&mut ask, &[(7, MIDDLE)]), (Vec::from([0]), 7));
    let expected =
        Answer { reply: bytes(MIDDLE), attempts: 1, latency_ns: 7 * MS, doubtful: false };
    assert_eq!(answer(&ask), &expected);
    assert_eq!(ask.echo(), Some(false));
    assert!(ask.besides().is_empty());
}

#[test]
fn five_transmissions_then_nothing() {
    let mut ask = ask(BUFFER, Echo::Auto);
    let (sends, end) = run(&mut ask, &[]);
    assert_eq!(sends, [0, 2_005, 4_010, 6_015, 8_020]);
    assert_eq!(end, 10_020);
    assert_eq!(ask.ended(), Some(&Ended::NoReply { attempts: 5 }));
}

#[test]
fn one_transmission_for_motors_and_addresses() {
    for (hex, end) in [(QUERY, 50), ("f7010300a2da", 100), ("f7010300a3dd", 50)] {
        let mut ask = ask(hex, Echo::Auto);
        assert_eq!(run(&mut ask, &[]), (Vec::from([0]), end), "{hex}");
        assert_eq!(ask.ended(), Some(&Ended::NoReply { attempts: 1 }));
    }
}

#[test]
fn a_status_is_an_answer() {
    let mut ask = ask("f70103ff0f47", Echo::Auto);
    run(&mut ask, &[(20, "f70103010f85")]);
    assert_eq!((answer(&ask).attempts, &answer(&ask).reply), (1, &bytes("f70103010f85")));
}

#[test]
fn what_is_no_reply_is_passed_over() {
    let mut ask = ask(BUFFER, Echo::Off);
    let others = [
        // A bad CRC, another address, another function, the same request of somebody else.
        (1, "f7010400050018"),
        (2, "f7020400050019"),
        (3, "f701040008 0f dd"),
        (4, BUFFER),
    ];
    let others: Vec<(i64, alloc::string::String)> =
        others.iter().map(|(ms, hex)| (*ms, hex.replace(' ', ""))).collect();
    let mut heard: Vec<(i64, &str)> = others.iter().map(|(ms, hex)| (*ms, hex.as_str())).collect();
    heard.push((2_050, MIDDLE));
    assert_eq!(run(&mut ask, &heard), (Vec::from([0, 2_005]), 2_050));
    assert_eq!((answer(&ask).attempts, answer(&ask).latency_ns), (2, 45 * MS));
    let besides: Vec<Vec<u8>> = others[1..].iter().map(|(_, hex)| bytes(hex)).collect();
    assert_eq!(ask.besides(), besides);
}

/// It comes between the time-out and the next transmission, or after it: taken for the current.
#[test]
fn a_late_reply_is_a_reply() {
    let mut first = ask(BUFFER, Echo::Auto);
    assert_eq!(run(&mut first, &[(2_002, MIDDLE)]), (Vec::from([0]), 2_002));
    assert_eq!(answer(&first).latency_ns, 2_002 * MS);
    let mut second = ask(BUFFER, Echo::Auto);
    assert_eq!(run(&mut second, &[(2_006, MIDDLE)]), (Vec::from([0, 2_005]), 2_006));
    assert_eq!((answer(&second).attempts, answer(&second).latency_ns), (2, MS));
}

#[test]
fn the_second_of_two_replies_is_dropped() {
    let mut ask = ask(BUFFER, Echo::Auto);
    let full = "f701040005011e";
    run(&mut ask, &[(5, &(MIDDLE.to_owned() + full))]);
    assert_eq!(answer(&ask).reply, bytes(MIDDLE));
    assert_eq!(ask.besides(), [bytes(full)]);
}

#[test]
fn a_new_address_answers_its_assignment() {
    let mut ask = ask("f7fe1000a00169063002185333115235383278", Echo::Auto);
    run(&mut ask, &[(30, "f7011100a0010069063002185333115235383229")]);
    assert_eq!(answer(&ask).reply[1], 1);
}

#[test]
fn nobody_answers_a_broadcast() {
    let mut ask = ask("f7ff04000b01c8", Echo::Auto);
    assert_eq!(run(&mut ask, &[]), (Vec::from([0]), 0));
    assert_eq!(ask.ended(), Some(&Ended::NotExpected));
}

/// For boxes and address management an echo changes nothing, in whatever mode.
#[test]
fn an_echo_of_what_only_a_host_says() {
    for (request, reply) in [
        (BUFFER, MIDDLE),
        ("f7010300a2da", "f7011100a2010069063002185333115235383244"),
        ("f7fe0500a1fefef8", "f7fe1100a101006906300218533311523538329c"),
    ] {
        for echo in [Echo::Off, Echo::On, Echo::Auto] {
            let mut silent = ask(request, echo);
            run(&mut silent, &[(1, request)]);
            assert!(matches!(silent.ended(), Some(Ended::NoReply { .. })), "{request} {echo:?}");
            let mut answered = ask(request, echo);
            run(&mut answered, &[(1, &request[..4]), (2, &request[4..]), (9, reply)]);
            assert_eq!(answer(&answered).reply, bytes(reply), "{request} {echo:?}");
            assert!(!answer(&answered).doubtful);
            let seen = (echo != Echo::Off).then_some(true);
            assert_eq!(answered.echo(), seen, "{request} {echo:?}");
            assert_eq!(answered.besides().len(), usize::from(echo == Echo::Off));
        }
    }
}

/// A motor's reply to 11 is the request's own bytes.
#[test]
fn a_reply_that_repeats_the_request() {
    // One comes: with an echo it is that, without one the reply, else it may be both.
    let mut on = ask(STALL, Echo::On);
    run(&mut on, &[(2, STALL)]);
    assert_eq!(on.ended(), Some(&Ended::NoReply { attempts: 1 }));
    assert_eq!(on.echo(), Some(true));
    let mut off = ask(STALL, Echo::Off);
    assert_eq!(run(&mut off, &[(2, STALL)]).1, 2);
    assert!(!answer(&off).doubtful);
    let mut auto = ask(STALL, Echo::Auto);
    assert_eq!(run(&mut auto, &[(2, STALL)]).1, 50);
    assert_eq!((answer(&auto).doubtful, answer(&auto).latency_ns), (true, 2 * MS));
    assert_eq!(auto.echo(), None);
    // Two come: the first is the echo.
    for echo in [Echo::On, Echo::Auto] {
        let mut ask = ask(STALL, echo);
        assert_eq!(run(&mut ask, &[(1, STALL), (9, STALL)]).1, 9);
        assert_eq!((answer(&ask).doubtful, answer(&ask).latency_ns), (false, 9 * MS));
        assert_eq!(ask.echo(), Some(true));
    }
    // The echo and another frame.
    let mut query = ask(QUERY, Echo::Auto);
    assert_eq!(run(&mut query, &[(1, QUERY), (9, WORDS)]).1, 9);
    assert_eq!((answer(&query).reply[2], query.echo()), (0x0b, Some(true)));
    let mut query = ask(QUERY, Echo::Auto);
    assert_eq!(run(&mut query, &[(9, WORDS)]).1, 9);
    assert_eq!(query.echo(), Some(false));
}

/// Whoever watches sees everything but the echo, in order.
#[test]
fn what_is_left_without_the_echo() {
    for (request, echo, heard, left) in [
        (BUFFER, Echo::Auto, &[(1, BUFFER), (5, MIDDLE)][..], MIDDLE),
        (BUFFER, Echo::On, &[(1, &BUFFER[..6]), (2, &BUFFER[6..]), (5, MIDDLE)], MIDDLE),
        (BUFFER, Echo::Auto, &[(5, MIDDLE)], MIDDLE),
        (BUFFER, Echo::Auto, &[(5, "f7"), (6, &MIDDLE[2..])], MIDDLE),
        (STALL, Echo::Auto, &[(2, STALL)], STALL),
        (STALL, Echo::Auto, &[(2, STALL), (4, STALL)], STALL),
        (STALL, Echo::On, &[(2, STALL)], ""),
        (QUERY, Echo::Auto, &[(2, &QUERY[..4])], &QUERY[..4]),
    ] {
        let mut ask = ask(request, echo);
        let (mut seen, mut now, mut at) = (Vec::new(), Time(0), 0);
        loop {
            let step = ask.poll(now);
            ask.take_released().into_iter().for_each(|(_, bytes)| seen.extend(bytes));
            match (step, heard.get(at)) {
                (Step::Send, _) => ask.sent(now),
                (Step::Wait(until), Some((ms, hex))) if Time(ms * MS) <= until => {
                    now = Time(ms * MS);
                    let bytes = bytes(hex);
                    let rest = ask.heard(&bytes, now);
                    ask.take_released().into_iter().for_each(|(_, bytes)| seen.extend(bytes));
                    seen.extend(rest);
                    at += 1;
                }
                (Step::Wait(until), _) => now = until,
                (Step::Done, _) => break,
            }
        }
        assert_eq!(seen, bytes(left), "{request} {echo:?} {heard:?}");
    }
}

/// The echo may lose bytes, or have a wrong one: the reply is found all the same.
#[test]
fn a_part_of_an_echo() {
    for part in ["f7", "f701", "f70103", "f70103ff05", "f701ff", "0103ff0571", "f70103ee0571"] {
        for echo in [Echo::On, Echo::Auto, Echo::Off] {
            let mut ask = ask(BUFFER, echo);
            let (sends, end) = run(&mut ask, &[(1, part), (5, MIDDLE)]);
            assert_eq!(answer(&ask).reply, bytes(MIDDLE), "{part} {echo:?}");
            // Where a wrong LEN hides it, the silence behind it tells.
            assert!(sends == [0] && [5, 255].contains(&end), "{part} {echo:?} {end}");
        }
    }
}

#[test]
fn a_frame_in_two_pieces() {
    let mut ask = ask(BUFFER, Echo::Auto);
    assert_eq!(run(&mut ask, &[(5, &MIDDLE[..6]), (205, &MIDDLE[6..])]).1, 205);
    assert_eq!(answer(&ask).latency_ns, 205 * MS);
}

/// Bytes that are no frame: a wrong CRC is answered by address and function (STATUS 02), what has
/// neither by any frame.
#[test]
fn whatever_somebody_sends() {
    let policy = Policy { timeout_ms: 100, sends: 1 };
    let reply = Frame::to_vec(Address(1), crate::status::Status(2), 5, &[]).unwrap();
    let mut wrong = Ask::new(&bytes("f70103ff0572"), &K2, policy, Echo::Auto);
    let mut reply_hex = alloc::format!("{}", crate::frame::Hex(&reply));
    reply_hex.retain(|c| c != ' ');
    run(&mut wrong, &[(1, "f70103ff0572"), (3, "f7020400050019"), (9, &reply_hex)]);
    assert_eq!(answer(&wrong).reply, reply);
    let mut strange = Ask::new(&[1, 2, 3], &K2, policy, Echo::Auto);
    run(&mut strange, &[(1, "010203"), (9, MIDDLE)]);
    assert_eq!(answer(&strange).reply, bytes(MIDDLE));
    assert_eq!(strange.echo(), Some(true));
    let mut none = Ask::new(&[], &K2, policy, Echo::On);
    assert_eq!(run(&mut none, &[]).1, 100);
}

/// What was heard before it was sent is no reply.
#[test]
fn nothing_answers_before_it_is_asked() {
    let mut ask = ask(BUFFER, Echo::Auto);
    ask.heard(&bytes(MIDDLE), Time(0));
    assert_eq!(ask.poll(Time(0)), Step::Send);
    assert_eq!(ask.besides(), [bytes(MIDDLE)]);
}

#[test]
fn what_is_kept_is_bounded() {
    let mut ask = ask("f70103ff0a5c", Echo::Auto);
    ask.sent(Time(0));
    for _ in 0..1_000 {
        ask.heard(&bytes("f7020400050019"), Time(MS));
    }
    assert_eq!((ask.besides().len(), ask.more_besides()), (64, 936));
}

fn wire() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(bytes(BUFFER)),
        Just(bytes(MIDDLE)),
        Just(bytes(STALL)),
        Just(bytes(QUERY)),
        Just(bytes(WORDS)),
        proptest::collection::vec(prop_oneof![Just(0xf7), 0u8..8, any::<u8>()], 0..20),
    ];
    proptest::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever is heard, whenever, even on a clock that goes back: no panic, and it ends after
    /// the transmissions that its policy allows.
    #[test]
    fn it_always_ends(
        request in prop_oneof![wire(), proptest::collection::vec(any::<u8>(), 0..12)],
        heard in proptest::collection::vec((wire(), -30i64..400), 0..30),
        timeout_ms in prop_oneof![0u32..5, 5u32..3_000, Just(u32::MAX)],
        sends in 0u8..6,
        echo in prop_oneof![Just(Echo::Off), Just(Echo::On), Just(Echo::Auto)],
        start in prop_oneof![Just(0i64), Just(i64::MAX - 1_000), any::<i64>()],
    ) {
        let mut ask = Ask::new(&request, &K2, Policy { timeout_ms, sends }, echo);
        let mut now = Time(start);
        let mut sent = 0;
        let mut heard = heard.into_iter();
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 2_000, "it does not end");
            match ask.poll(now) {
                Step::Send => {
                    sent += 1;
                    ask.sent(now);
                }
                Step::Wait(until) => match heard.next() {
                    Some((bytes, by)) => {
                        now = Time(now.0.saturating_add(by * MS));
                        ask.heard(&bytes, now);
                    }
                    // At the end of time it cannot wait any longer.
                    None => now = until.max(Time(now.0.saturating_add(1))),
                },
                Step::Done => break,
            }
        }
        prop_assert_eq!(sent, ask.attempts());
        prop_assert!(sent <= u32::from(sends.max(1)));
        match ask.ended().unwrap() {
            Ended::Answered(answer) => {
                prop_assert!(Frame::from_bytes(&answer.reply).is_ok());
                prop_assert!(answer.latency_ns >= 0 && answer.attempts <= sent);
            }
            Ended::NoReply { attempts } => prop_assert_eq!(*attempts, sent),
            Ended::NotExpected => prop_assert_eq!(sent, 1),
        }
        prop_assert!(ask.besides().len() <= BESIDES);
        prop_assert_eq!(ask.poll(Time(i64::MIN)), Step::Done);
    }
}

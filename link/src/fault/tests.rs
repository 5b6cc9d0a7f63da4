use k485_proto::address::Address;
use k485_proto::dialect::K2;
use k485_proto::frame::Frame;
use k485_proto::record::{Direction, Time};
use k485_proto::status::Status;

use super::*;

mod language;
mod properties;
mod wrapped;

use Direction::{Request, Response};

/// GET_BOX_STATE of a box, and an answer to it.
const ASK: [u8; 6] = [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c];
const ANSWER: [u8; 10] = [0xf7, 0x01, 0x07, 0x00, 0x0a, 0x19, 0x24, 0x00, 0x00, 0xe7];

fn ms(ms: i64) -> Time {
    Time(ms * Time::MILLISECOND)
}

fn faults(rules: &[&str]) -> Faults {
    let rules = rules.iter().map(|rule| Rule::parse(rule, &K2).unwrap_or_else(|e| panic!("{e}")));
    Faults::new(rules.collect(), &K2, 7)
}

/// What becomes of one frame or more at 0 ms, as times in ms, directions and bytes.
#[track_caller]
fn passed(faults: &mut Faults, bytes: &[u8], direction: Direction, at: i64) -> Vec<(i64, Vec<u8>)> {
    let passed = faults.pass(bytes, direction, ms(at));
    assert!(passed.iter().all(|one| one.direction == direction), "{passed:?}");
    passed.into_iter().map(|one| (one.at.0 / Time::MILLISECOND, one.bytes)).collect()
}

fn frame(addr: u8, status: u8, func: u8, data: &[u8]) -> Vec<u8> {
    Frame::to_vec(Address(addr), Status(status), func, data).unwrap()
}

#[test]
fn without_rules_every_byte_passes_at_once() {
    let mut none = faults(&[]);
    assert_eq!(passed(&mut none, &ASK[..3], Request, 1), [(1, ASK[..3].to_vec())]);
    assert_eq!(none.next_event(), None);
}

#[test]
fn a_beginning_is_held_back_for_its_end_and_not_longer() {
    let mut faults = faults(&["drop if func==0x04"]);
    assert_eq!(passed(&mut faults, &ASK[..3], Request, 0), []);
    assert_eq!(passed(&mut faults, &ASK[3..], Request, 5), [(5, ASK.to_vec())]);
    assert_eq!(passed(&mut faults, &ASK[..3], Request, 100), []);
    assert_eq!(faults.next_event(), Some(ms(120)));
    assert_eq!(faults.advance(ms(119)), []);
    let late = Passed { at: ms(120), direction: Request, echo: false, bytes: ASK[..3].to_vec() };
    assert_eq!(faults.advance(ms(500)), [late]);
    assert_eq!(faults.next_event(), None);
}

#[test]
fn what_is_lost_late_or_doubled() {
    let mut rules = faults(&["drop times=1", "delay 50ms after=1 times=1", "duplicate 2 gap=3ms"]);
    assert_eq!(passed(&mut rules, &ASK, Request, 0), []);
    let three: Vec<(i64, Vec<u8>)> = [60, 63, 66].map(|at| (at, ASK.to_vec())).into();
    assert_eq!(passed(&mut rules, &ASK, Request, 10), three);
    let counts: Vec<(u64, u64)> = rules.counts().map(|(_, c)| (c.met, c.struck)).collect();
    // A lost one is neither delayed nor doubled, and counts as met.
    assert_eq!(counts, [(2, 1), (2, 1), (2, 1)]);
}

#[test]
fn how_often_a_rule_strikes() {
    let lost = |rule: &str| -> String {
        let mut faults = faults(&[rule]);
        let pass = |i: i64| passed(&mut faults, &ASK, Request, i * 10).is_empty();
        (0..12).map(pass).map(|lost| if lost { 'x' } else { '.' }).collect()
    };
    assert_eq!(lost("drop"), "xxxxxxxxxxxx");
    assert_eq!(lost("drop after=2 every=3"), "..x..x..x..x");
    assert_eq!(lost("drop after=2 every=3 times=2"), "..x..x......");
    assert_eq!(lost("drop after=3 for=20ms"), "...xx.......");
    assert_eq!(lost("drop p=0"), "............");
    assert_eq!(lost("drop dir=response"), "............");
    assert_eq!(lost("drop if time>=0.1"), "..........xx");
    let some = lost("drop p=0.5");
    assert!(some.contains('x') && some.contains('.'), "{some}");
}

#[test]
fn a_reply_is_meant_by_its_request_too() {
    let mut faults = faults(&["drop if stage==feed_poll dir=response"]);
    for (stage, lost) in [(4, false), (5, true)] {
        let ask = frame(1, 0xff, 0x10, &[1, stage, 0]);
        assert_eq!(passed(&mut faults, &ask, Request, 5), [(5, ask.clone())]);
        let answer = frame(1, 0, 0x10, &[0xc4, 0x12, 0xce, 0x55]);
        assert_eq!(passed(&mut faults, &answer, Response, 5).is_empty(), lost, "{stage}");
    }
    // Without its request nobody knows what it answers.
    let answer = frame(2, 0, 0x10, &[0xc4, 0x12, 0xce, 0x55]);
    assert_eq!(passed(&mut faults, &answer, Response, 9), [(9, answer.clone())]);
}

#[test]
fn what_is_cut_and_parted() {
    assert_eq!(passed(&mut faults(&["truncate 4"]), &ASK, Request, 0), [(0, ASK[..4].to_vec())]);
    assert_eq!(passed(&mut faults(&["truncate 6"]), &ASK, Request, 0), [(0, ASK.to_vec())]);
    let parts = passed(&mut faults(&["split 130ms at=2"]), &ASK, Request, 0);
    assert_eq!(parts, [(0, ASK[..2].to_vec()), (130, ASK[2..].to_vec())]);
    let mut chance = faults(&["truncate"]);
    for i in 0..50 {
        let got = passed(&mut chance, &ASK, Request, i);
        assert!((1..6).contains(&got[0].1.len()) && ASK.starts_with(&got[0].1), "{got:?}");
    }
}

#[test]
fn bits_turn_over_where_they_should() {
    for (rule, range) in [("flip_data 3", 5..9), ("flip_crc 3", 9..10), ("flip_address 3", 1..2)] {
        let mut faults = faults(&[rule]);
        for i in 0..50 {
            let got = passed(&mut faults, &ANSWER, Response, i).remove(0).1;
            let turned = |at: &usize| (got[*at] ^ ANSWER[*at]).count_ones();
            assert_eq!((0..10).map(|at| turned(&at)).sum::<u32>(), 3, "{rule}");
            assert_eq!(range.clone().map(|at| turned(&at)).sum::<u32>(), 3, "{rule}");
        }
    }
    // There is nothing to turn over.
    let mut none = faults(&["flip_data"]);
    assert_eq!(passed(&mut none, &ASK, Request, 0), [(0, ASK.to_vec())]);
    assert_eq!(none.counts().next().unwrap().1, Counts { met: 1, struck: 0 });
}

#[test]
fn a_wrong_status_or_function_has_a_right_crc() {
    let mut set = faults(&["wrong_status STATE_ERR", "wrong_function SET_BOX_MODE"]);
    let got = passed(&mut set, &ANSWER, Response, 0).remove(0).1;
    let state_err = K2.status_of("STATE_ERR").unwrap();
    assert_eq!(got, frame(1, state_err.0, 0x04, &ANSWER[5..9]));
    let mut chance = faults(&["wrong_status", "wrong_function dir=response"]);
    for i in 0..200 {
        assert_eq!(passed(&mut chance, &ASK, Request, i), [(i, ASK.to_vec())]);
        let got = passed(&mut chance, &ANSWER, Response, i).remove(0).1;
        let got = Frame::from_bytes(&got).unwrap();
        assert!(K2.status(got.status()).is_some() && got.status() != Status::OK);
        assert!(K2.find(got.addr(), got.func()).is_some() && got.func() != 0x0a);
    }
}

#[test]
fn noise_and_echoes() {
    let mut noisy = faults(&["noise_before 3", "noise_after 5"]);
    let got = passed(&mut noisy, &ASK, Request, 0).remove(0).1;
    assert_eq!((got.len(), &got[3..9]), (14, &ASK[..]));
    let mut echo = faults(&["echo", "drop if func==0x0a dir=request"]);
    let back = Passed { at: ms(0), direction: Response, echo: true, bytes: ASK.to_vec() };
    // Whoever sends hears itself, even if nobody else does.
    assert_eq!(echo.pass(&ASK, Request, ms(0)), [back]);
    assert_eq!(passed(&mut echo, &ANSWER, Response, 1), [(1, ANSWER.to_vec())]);
}

#[test]
fn noise_is_struck_by_rules_that_mean_it() {
    let mut faults = faults(&["drop if noise"]);
    let mut bytes = vec![1, 2, 3];
    bytes.extend(ASK);
    assert_eq!(passed(&mut faults, &bytes, Request, 0), [(0, ASK.to_vec())]);
    let mut bytes = ASK;
    bytes[5] ^= 1;
    assert_eq!(passed(&mut faults, &bytes, Request, 0), []);
}

#[test]
fn a_device_that_is_offline_is_silent_for_its_time() {
    let mut faults = faults(&["offline 1s if addr==box1 after=1 times=1"]);
    let other = frame(2, 0xff, 0x0a, &[]);
    assert_eq!(passed(&mut faults, &ASK, Request, 0).len(), 1);
    assert_eq!(passed(&mut faults, &ASK, Request, 100), []);
    for at in [101, 1_099] {
        assert_eq!(passed(&mut faults, &ASK, Request, at), []);
        assert_eq!(passed(&mut faults, &ANSWER, Response, at), []);
        assert_eq!(passed(&mut faults, &other, Request, at).len(), 1);
    }
    assert_eq!(passed(&mut faults, &ASK, Request, 1_100).len(), 1);
    let what = Befalls::Offline { ns: Time::SECOND };
    assert_eq!(faults.effects(), [Effect { at: ms(100), device: Address(1), what }]);
    assert_eq!(faults.effects(), []);
}

#[test]
fn rules_come_and_go_and_end_what_they_brought() {
    let mut faults = faults(&["offline 1h times=1 if addr==box1"]);
    assert_eq!(passed(&mut faults, &ASK, Request, 0), []);
    let babble = Rule::parse("babble 1h gap=40ms if addr==box2 times=1", &K2).unwrap();
    let (drop, babble) = (Rule::parse("drop", &K2).unwrap(), faults.add(babble));
    let other = frame(2, 0xff, 0x0a, &[]);
    assert_eq!(passed(&mut faults, &other, Request, 10).len(), 1);
    assert_eq!(faults.next_event(), Some(ms(50)));
    assert!(faults.remove(babble) && !faults.remove(babble));
    assert_eq!(faults.next_event(), None);
    faults.effects();
    let first = faults.numbered().next().unwrap();
    assert_eq!((first.0, first.2.struck), (1, 1));
    assert!(faults.remove(1));
    let told = [Effect { at: ms(10), device: Address(1), what: Befalls::Online }];
    assert_eq!(faults.effects(), told);
    assert_eq!(passed(&mut faults, &ASK, Request, 20).len(), 1);
    // A number is not given out again.
    assert_eq!(faults.add(drop), 3);
    assert_eq!(passed(&mut faults, &ASK, Request, 30), []);
    // What a rule has held back comes before what follows its removal.
    assert_eq!(passed(&mut faults, &ANSWER[..4], Response, 40), []);
    faults.clear();
    let got = passed(&mut faults, &ANSWER[4..], Response, 41);
    assert_eq!(got, [(41, ANSWER.to_vec())]);
    assert_eq!(faults.counts().count(), 0);
}

#[test]
fn what_befalls_a_device_is_told() {
    let mut faults = faults(&["reset", "slow_boot 2s device=box3 times=1", "busy 300ms times=1"]);
    assert_eq!(passed(&mut faults, &ASK, Request, 4), [(4, ASK.to_vec())]);
    let effect = |device, what| Effect { at: ms(4), device: Address(device), what };
    let told = [
        effect(1, Befalls::Reset),
        effect(3, Befalls::SlowBoot { ns: 2 * Time::SECOND }),
        effect(1, Befalls::Busy { ns: 300 * Time::MILLISECOND }),
    ];
    assert_eq!(faults.effects(), told);
}

#[test]
fn a_babbler_repeats_its_last_reply() {
    let mut faults = faults(&["babble 100ms gap=40ms if addr==box1 after=1 times=1"]);
    passed(&mut faults, &ASK, Request, 0);
    passed(&mut faults, &ANSWER, Response, 3);
    assert_eq!(passed(&mut faults, &ASK, Request, 10).len(), 1);
    assert_eq!(faults.next_event(), Some(ms(50)));
    let talk = |at| Passed { at: ms(at), direction: Response, echo: false, bytes: ANSWER.to_vec() };
    assert_eq!(faults.advance(ms(1_000)), [talk(50), talk(90)]);
    assert_eq!(faults.next_event(), None);
}

#[test]
fn a_babbler_without_a_reply_is_noise() {
    let mut faults = faults(&["babble 10ms gap=10ms if addr==box1"]);
    passed(&mut faults, &ASK, Request, 0);
    let noise = faults.advance(ms(10));
    assert!(noise.len() == 1 && (1..=16).contains(&noise[0].bytes.len()), "{noise:?}");
}

/// The page tells every kind, every field and every rule of chaos.
#[test]
fn the_page_is_complete() {
    let page = include_str!("../../../docs/faults.md");
    let told = |word: &str| page.contains(&format!("`{word}`"));
    for word in KINDS.iter().map(|k| k.name).chain(FIELDS.iter().map(|f| f.name)) {
        assert!(told(word), "{word}");
    }
    for rule in chaos_text(WILDEST) {
        assert!(told(rule), "{rule}");
    }
}

#[test]
fn every_level_of_chaos_is_rules() {
    let mut fewer = 0;
    for level in CALMEST..=WILDEST {
        let rules = chaos(level, &K2);
        assert_eq!(rules.len(), chaos_text(level).count());
        assert!(rules.len() > fewer);
        fewer = rules.len();
        for (rule, text) in rules.iter().zip(chaos_text(level)) {
            assert_eq!(Rule::parse(&rule.to_string(), &K2).as_ref(), Ok(rule), "{text}");
        }
    }
    assert_eq!(chaos(0, &K2), []);
    assert_eq!(chaos(u8::MAX, &K2), chaos(WILDEST, &K2));
}

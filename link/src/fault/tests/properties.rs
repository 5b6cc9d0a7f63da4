//! What holds for all rules and all traffic.

use proptest::prelude::*;

use super::*;

fn a_count(most: u32) -> impl Strategy<Value = Option<u32>> {
    proptest::option::of(1..=most)
}

fn a_length() -> impl Strategy<Value = i64> {
    prop_oneof![0..3_000_000_i64, (0..5_000_i64).prop_map(|n| n * Time::MILLISECOND)]
}

fn a_kind() -> impl Strategy<Value = Kind> {
    let device = || proptest::option::of(any::<u8>().prop_map(Address));
    let part = prop_oneof![Just(Part::Data), Just(Part::Crc), Just(Part::Address)];
    let place = prop_oneof![Just(Place::Before), Just(Place::After)];
    prop_oneof![
        Just(Kind::Drop),
        Just(Kind::Echo),
        (a_length(), a_length()).prop_map(|(ns, jitter_ns)| Kind::Delay { ns, jitter_ns }),
        (1..4_u32, a_length()).prop_map(|(copies, gap_ns)| Kind::Duplicate { copies, gap_ns }),
        a_count(257).prop_map(|keep| Kind::Truncate { keep }),
        (a_count(257), a_length()).prop_map(|(at, pause_ns)| Kind::Split { at, pause_ns }),
        (part, 1..30_u32).prop_map(|(part, bits)| Kind::Flip { part, bits }),
        proptest::option::of(any::<u8>().prop_map(Status))
            .prop_map(|status| Kind::WrongStatus { status }),
        proptest::option::of(any::<u8>()).prop_map(|func| Kind::WrongFunction { func }),
        (place, a_count(20)).prop_map(|(place, bytes)| Kind::Noise { place, bytes }),
        (a_length(), 1..50_i64, device()).prop_map(|(lasts_ns, gap, device)| Kind::Babble {
            lasts_ns,
            gap_ns: gap * Time::MILLISECOND,
            device
        }),
        (a_length(), device()).prop_map(|(lasts_ns, device)| Kind::Offline { lasts_ns, device }),
        device().prop_map(|device| Kind::Reset { device }),
        (a_length(), device()).prop_map(|(lasts_ns, device)| Kind::SlowBoot { lasts_ns, device }),
        (a_length(), device()).prop_map(|(lasts_ns, device)| Kind::Busy { lasts_ns, device }),
    ]
}

fn a_rule() -> impl Strategy<Value = Rule> {
    let when = prop_oneof![
        3 => Just(None),
        1 => Just(Some("addr==box1")),
        1 => Just(Some("noise || status!=OK")),
        1 => Just(Some("!(func==0x0a) and latency>1ms")),
        1 => Just(Some("request")),
    ];
    let direction = prop_oneof![Just(None), Just(Some(Request)), Just(Some(Response))];
    let often = (0..4_u64, 1..4_u64, proptest::option::of(1..9_u64));
    let probability = prop_oneof![Just(1.0), 0.0..=1.0];
    (when, direction, probability, often, proptest::option::of(a_length()), a_kind()).prop_map(
        |(when, direction, probability, (after_n, every_n, times), for_ns, kind)| Rule {
            when: when.map(|text| Filter::parse(text, &K2).unwrap()),
            direction,
            probability,
            after_n,
            every_n,
            times,
            for_ns,
            kind,
        },
    )
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => Just(ASK.to_vec()),
        2 => Just(ANSWER.to_vec()),
        2 => (0..4_u8, any::<u8>(), any::<u8>(), proptest::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(addr, status, func, data)| frame(addr, status, func, &data)),
        1 => proptest::collection::vec(any::<u8>(), 0..30),
        1 => proptest::collection::vec(Just(0xf7_u8), 0..9),
    ]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Request), Just(Response)]
}

/// All that comes of the traffic, the end included.
fn run(
    rules: &[Rule],
    seed: u64,
    traffic: &[(Vec<u8>, Direction, i64)],
) -> (Vec<Passed>, Vec<Effect>) {
    let mut faults = Faults::new(rules.to_vec(), &K2, seed);
    let mut out = Vec::new();
    let mut at = 0;
    for (bytes, direction, pause) in traffic {
        at += pause;
        out.extend(faults.pass(bytes, *direction, Time(at * 100_000)));
    }
    out.extend(faults.advance(Time(at * 100_000 + 100 * Time::SECOND)));
    assert_eq!(faults.next_event(), None);
    (out, faults.effects())
}

fn traffic() -> impl Strategy<Value = Vec<(Vec<u8>, Direction, i64)>> {
    proptest::collection::vec((bytes(), direction(), 0..400_i64), 0..25)
}

/// The bytes of one direction, one behind the other.
fn of(passed: &[Passed], direction: Direction) -> Vec<u8> {
    let one = passed.iter().filter(|one| one.direction == direction);
    one.flat_map(|one| one.bytes.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_same_seed_gives_the_same_bytes(
        rules in proptest::collection::vec(a_rule(), 0..6),
        seed in any::<u64>(),
        traffic in traffic(),
    ) {
        let first = run(&rules, seed, &traffic);
        prop_assert!(first.0.iter().all(|one| !one.bytes.is_empty()));
        prop_assert_eq!(&first, &run(&rules, seed, &traffic));
    }

    /// Rules that never strike leave every byte of each direction where it was.
    #[test]
    fn nothing_is_lost_unless_a_rule_strikes(
        mut rules in proptest::collection::vec(a_rule(), 1..6),
        traffic in traffic(),
    ) {
        for rule in &mut rules {
            rule.probability = 0.0;
        }
        let (passed, effects) = run(&rules, 1, &traffic);
        prop_assert_eq!(effects, []);
        for direction in [Request, Response] {
            let sent = traffic.iter().filter(|(_, d, _)| *d == direction);
            let sent: Vec<u8> = sent.flat_map(|(bytes, ..)| bytes.clone()).collect();
            prop_assert_eq!(of(&passed, direction), sent);
        }
    }

    /// Bytes that come at once are struck alike in any chunks.
    #[test]
    fn chunks_do_not_matter(
        rules in proptest::collection::vec(a_rule(), 0..6),
        seed in any::<u64>(),
        traffic in traffic(),
        size in 1..9_usize,
    ) {
        let chunked: Vec<_> = traffic.iter().flat_map(|(bytes, direction, pause)| {
            let first = (Vec::new(), *direction, *pause);
            std::iter::once(first)
                .chain(bytes.chunks(size).map(|chunk| (chunk.to_vec(), *direction, 0)))
        }).collect();
        let (mut whole, mut parts) = (run(&rules, seed, &traffic), run(&rules, seed, &chunked));
        if !rules.is_empty() {
            // Of the same time the order in which they were given counts, which chunks change.
            for (passed, _) in [&mut whole, &mut parts] {
                passed.sort_by(|a, b| (a.at, &a.bytes).cmp(&(b.at, &b.bytes)));
            }
            prop_assert_eq!(whole, parts);
        }
    }

    #[test]
    fn a_rule_is_what_its_line_and_its_table_say(rule in a_rule()) {
        let line = rule.to_string();
        prop_assert_eq!(Rule::parse(&line, &K2), Ok(rule.clone()), "{}", line);
        let table = serde_json::to_string(&rule).unwrap();
        let draft: Draft = serde_json::from_str(&table).unwrap();
        prop_assert_eq!(draft.rule(&K2), Ok(rule), "{}", table);
    }

    #[test]
    fn no_line_panics(line in "\\PC{0,60}", words in "(drop|delay|if|p=|=|[a-z]{1,9}| |\"|==|7ms|0x0a){0,12}") {
        let _ = Rule::parse(&line, &K2);
        let _ = Rule::parse(&words, &K2);
    }
}

use super::*;
use crate::format::hex::read_hex_text;
use k485_proto::address::Address;
use k485_proto::exchange::Pairer;
use k485_proto::frame::{Frame, Hex};
use k485_proto::status::Status;
use proptest::prelude::*;

/// One exchange of a test: when, with whom, what, the answer and its latency.
#[derive(Debug, Clone, PartialEq)]
struct Ask {
    ms: u64,
    addr: u8,
    func: u8,
    data: Vec<u8>,
    status: u8,
    reply: Vec<u8>,
    latency: u64,
}

/// The wheel of a box: function 0E with an odometer.
fn wheel(ms: u64, addr: u8, odometer: f32) -> Ask {
    let reply = odometer.to_be_bytes().to_vec();
    Ask { ms, addr, func: 0x0e, data: vec![1], status: 0, reply, latency: 3 }
}

/// The state of a box, a poll.
fn state(ms: u64, addr: u8, state: u8) -> Ask {
    Ask { ms, addr, func: 0x0a, data: vec![], status: 0, reply: vec![25, 40, 0, state], latency: 2 }
}

fn hex(ms: u64, addr: u8, status: u8, func: u8, data: &[u8]) -> String {
    let frame = Frame::to_vec(Address(addr), Status(status), func, data).unwrap();
    format!("({}.{:03}) {}\n", ms / 1000, ms % 1000, Hex(&frame))
}

fn text(asks: &[Ask]) -> String {
    let mut text = String::new();
    for ask in asks {
        text += &hex(ask.ms, ask.addr, 0xff, ask.func, &ask.data);
        text += &hex(ask.ms + ask.latency, ask.addr, ask.status, ask.func, &ask.reply);
    }
    text
}

fn seen(text: &str) -> VecDeque<Seen> {
    let mut pairer = Pairer::new();
    read_hex_text("test", text).for_each(|record| pairer.push(record.unwrap()));
    pairer.finish();
    std::iter::from_fn(|| pairer.pull()).collect()
}

fn run(a: &str, b: &str, options: Options) -> (Vec<String>, Summary) {
    let (mut a, mut b) = (seen(a), seen(b));
    let mut diff = Diff::new(options);
    let mut out = Vec::new();
    while let Some(side) = diff.wants() {
        let next = if side == Side::A { a.pop_front() } else { b.pop_front() };
        match next {
            Some(seen) => diff.push(side, &seen),
            None => diff.end(side),
        }
        assert!(diff.a.items.len() <= WINDOW && diff.b.items.len() <= WINDOW);
        out.extend(std::iter::from_fn(|| diff.pull()).map(|difference| shown(&difference)));
    }
    (out, diff.finish())
}

fn shown(difference: &Difference) -> String {
    let at = |item: &Item| item.time().map_or(0, |time| time.0 / Time::MILLISECOND);
    let part = |shown: &Option<Shown>| shown.as_ref().map_or("none".into(), Shown::to_string);
    match difference {
        Difference::Only { side, item } => format!("only {side:?} @{}", at(item)),
        Difference::Changed { a, b, changes } => {
            let changes: Vec<String> = changes
                .iter()
                .map(|change| {
                    format!("{}: {} -> {}", change.name, part(&change.a), part(&change.b))
                })
                .collect();
            format!("@{} @{} {}", at(a), at(b), changes.join(", "))
        }
    }
}

fn row(summary: &Summary, addr: u8, func: u8) -> &summary::Row {
    let is = |row: &&summary::Row| {
        row.subject().is_some_and(|row| (row.addr, row.func) == (Some(addr), Some(func)))
    };
    summary.functions.iter().find(is).unwrap()
}

/// Ten readings of the wheel of box 1, a second apart.
fn plain() -> Vec<Ask> {
    (0..10).map(|i| wheel(1000 * i, 1, i as f32)).collect()
}

#[test]
fn a_changed_field_a_status_and_a_latency() {
    let a = plain();
    let mut b = a.clone();
    b[2].reply = 7.5f32.to_be_bytes().to_vec();
    b[4].status = 0x14;
    b[6].latency = 60;
    b[7].latency = 53;
    let (differences, summary) = run(&text(&a), &text(&b), Options::default());
    assert_eq!(
        differences,
        [
            "@2000 @2000 odometer: 2.00 -> 7.50",
            "@4000 @4000 status: OK -> RETRUDE_ERR2, odometer: 4.00 -> none, data: none -> 40800000",
            "@6000 @6000 latency: 3.0 ms -> 60.0 ms",
        ]
    );
    assert!(summary.differs);
    let row = row(&summary, 1, 0x0e);
    assert_eq!((row.pairs, row.same, row.only_a, row.only_b), (10, 7, 0, 0));
    let odometer = row.changes.iter().find(|change| change.name == "odometer").unwrap();
    assert_eq!((odometer.pairs, odometer.median_delta), (2, Some(5.5)));
    assert_eq!(row.latency_ratio, Some(1.0));
}

#[test]
fn what_one_side_lacks() {
    let a = plain();
    let mut b = a.clone();
    b.remove(3);
    b.insert(8, Ask { data: vec![2], ..wheel(8500, 1, 1.0) });
    let ignore = vec!["odometer".to_owned()];
    let options = Options { ignore, ..Options::default() };
    let (differences, summary) = run(&text(&a), &text(&b), options);
    // Which of ten like readings is missing cannot be told but by their answers.
    assert_eq!(differences.len(), 2, "{differences:?}");
    assert_eq!(differences[1], "only B @8500");
    let row = row(&summary, 1, 0x0e);
    assert_eq!((row.pairs, row.only_a, row.only_b), (9, 1, 1));
}

#[test]
fn time_outs_and_retries() {
    let a = plain();
    let whole = text(&a);
    // The answer at 5 s is lost, and a request at 7 s is sent twice.
    let lost = whole.replace(&hex(5003, 1, 0, 0x0e, &5f32.to_be_bytes()), "");
    let (differences, _) = run(&whole, &lost, Options::default());
    // 0E waits for longer than a second, so what follows is a retry.
    assert!(differences[0].starts_with("@5000 @5000 attempts: 1 -> 2, odometer: 5.00 -> 6.00"));
    let gone = text(&a[..9]) + &hex(9000, 1, 0xff, 0x0e, &[1]);
    let (differences, summary) = run(&whole, &gone, Options::default());
    assert_eq!(differences, ["@9000 @9000 outcome: answered -> unfinished"]);
    assert!(summary.differs);
    let options = Options { ignore: vec!["outcome".into()], ..Options::default() };
    let (differences, summary) = run(&whole, &gone, options);
    assert!(differences.is_empty() && !summary.differs);
}

#[test]
fn polls_are_counted_aligned_or_left_out() {
    let a: Vec<Ask> = (0..10).map(|i| state(1000 * i, 1, 0)).collect();
    let mut b = a.clone();
    b[5].reply[3] = 2;
    let with = |polls| Options { polls, ..Options::default() };
    let (differences, summary) = run(&text(&a), &text(&b), with(Polls::Count));
    assert!(differences.is_empty() && !summary.differs);
    assert!(row(&summary, 1, 0x0a).counted);
    let (differences, summary) = run(&text(&a), &text(&b[..9]), with(Polls::Count));
    assert!(differences.is_empty() && summary.differs && row(&summary, 1, 0x0a).differs);
    let (differences, _) = run(&text(&a), &text(&b), with(Polls::Align));
    assert_eq!(differences, ["@5000 @5000 state: idle -> printing"]);
    let (differences, summary) = run(&text(&a), &text(&b[..9]), with(Polls::Skip));
    assert!(differences.is_empty() && !summary.differs && summary.functions.is_empty());
}

#[test]
fn noise_counts() {
    let a = text(&plain());
    let b = a.clone() + "(10.0) 12 34\n";
    let (differences, summary) = run(&a, &b, Options::default());
    assert!(differences.is_empty() && summary.noise_differs && summary.differs);
    let options = Options { ignore: vec!["noise".into()], ..Options::default() };
    assert!(!run(&a, &b, options).1.differs);
}

#[test]
fn long_captures_stay_aligned_in_bounded_memory() {
    // Requests that repeat, in an order that does not.
    let mut number = 1u32;
    let a: Vec<Ask> = (0..12_000)
        .map(|i| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let data = vec![(number >> 24) as u8 & 0x1f, (number >> 16) as u8 & 3];
            Ask { data, ..wheel(10 * i, 1, 1.0) }
        })
        .collect();
    // What is added is asked of box 2.
    let added = |range: std::ops::Range<u64>| range.map(|i| wheel(10 * i, 2, 2.0));
    let mut b = a[..1000].to_vec();
    b.extend(added(1000..1900));
    b.extend_from_slice(&a[1000..7000]);
    b.extend_from_slice(&a[7900..11_000]);
    b.push(Ask { status: 0x14, ..a[11_000].clone() });
    b.extend_from_slice(&a[11_001..]);
    let (b, len) = (b.iter().enumerate(), b.len());
    let b: Vec<Ask> = b.map(|(i, ask)| Ask { ms: 10 * i as u64, ..ask.clone() }).collect();
    assert_eq!(len, 12_000);
    let (differences, summary) = run(&text(&a), &text(&b), Options::default());
    assert_eq!(differences.len(), 900 + 900 + 1);
    let expected = (0..900).map(|i| format!("only B @{}", 10_000 + 10 * i));
    assert!(expected.eq(differences[..900].iter().cloned()));
    assert!(differences[900].starts_with("only A @70"), "{}", differences[900]);
    assert!(differences[1800].starts_with("@110000 @110000 status: OK -> RETRUDE_ERR2"));
    assert_eq!(row(&summary, 1, 0x0e).pairs, 11_100);
    // Nothing in common at all ends too.
    let other: Vec<Ask> = (0..12_000).map(|i| wheel(10 * i, 3, 1.0)).collect();
    let (differences, _) = run(&text(&a), &text(&other), Options::default());
    assert_eq!(differences.len(), 24_000);
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let ask = (1u8..3, 0u8..3, any::<u8>(), 1u64..200).prop_map(|(addr, data, reply, latency)| {
        Ask { data: vec![data], latency, ..wheel(0, addr, f32::from(reply)) }
    });
    proptest::collection::vec(ask, 0..40).prop_map(|mut asks| {
        asks.iter_mut().zip(0..).for_each(|(ask, i)| ask.ms = 3000 * i);
        asks
    })
}

proptest! {
    #[test]
    fn a_capture_does_not_differ_from_itself(asks in asks(), noise in 0usize..40) {
        let mut text = text(&asks);
        if let Some((at, _)) = text.match_indices('\n').nth(noise) {
            text.insert_str(at, "\n 99 F7 02");
        }
        for polls in [Polls::Count, Polls::Align, Polls::Skip] {
            let (differences, summary) =
                run(&text, &text, Options { polls, latency_ns: 0, ..Options::default() });
            prop_assert!(differences.is_empty() && !summary.differs, "{differences:?}");
        }
    }

    /// Nothing is lost, and whether there is a difference does not depend on the order.
    #[test]
    fn the_other_way_round(a in asks(), b in asks()) {
        let options = Options { latency_ns: 0, ..Options::default() };
        let (_, there) = run(&text(&a), &text(&b), options.clone());
        let (_, back) = run(&text(&b), &text(&a), options);
        let sum = |summary: &Summary, of: fn(&summary::Row) -> u64| {
            summary.functions.iter().map(of).sum::<u64>()
        };
        prop_assert_eq!(sum(&there, |row| row.pairs + row.only_a), a.len() as u64);
        prop_assert_eq!(sum(&there, |row| row.pairs + row.only_b), b.len() as u64);
        prop_assert_eq!(sum(&back, |row| row.pairs + row.only_b), a.len() as u64);
        prop_assert_eq!(there.differs, back.differs);
    }
}

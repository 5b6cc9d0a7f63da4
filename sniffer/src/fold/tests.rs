use super::*;
use k485_proto::address::Address;
use k485_proto::exchange::Pairer;
use k485_proto::frame::{Frame, Hex};

use crate::format::hex::read_hex_text;

/// What is given, a frame a line.
#[derive(Default)]
struct Bus(String);

impl Bus {
    fn line(&mut self, ms: u64, addr: u8, status: u8, func: u8, data: &[u8]) {
        let frame = Frame::to_vec(Address(addr), Status(status), func, data).unwrap();
        self.0 += &format!("({}.{:03}) {}\n", ms / 1000, ms % 1000, Hex(&frame));
    }

    fn ask(&mut self, ms: u64, addr: u8, func: u8, data: &[u8], reply: &[u8]) {
        self.line(ms, addr, 0xff, func, data);
        self.line(ms + 2, addr, 0, func, reply);
    }

    /// What is shown, by the time of an exchange's end.
    fn folded(&self, every_ns: i64) -> Vec<String> {
        let mut pairer = Pairer::new();
        read_hex_text("test", &self.0).for_each(|record| pairer.push(record.unwrap()));
        pairer.finish();
        let mut fold = Fold::new(every_ns);
        let mut out = Vec::new();
        let text = |words: Vec<Word>| {
            let words: Vec<String> = words.into_iter().map(|word| word.text).collect();
            words.join(" ")
        };
        while let Some(seen) = pairer.pull() {
            let line = match &seen {
                Seen::Exchange(exchange) => k485_proto::line::exchange(exchange),
                Seen::Noise(record) => k485_proto::line::noise(record, 16),
                Seen::Frame(_) | Seen::Lone(_) | Seen::Gap(_) => Vec::new(),
            };
            let folded = fold.push(&seen, seen.time().unwrap());
            out.extend(folded.polls.map(|polls| text(polls.words())));
            if folded.show && !matches!(seen, Seen::Frame(_)) {
                out.push(text(line));
            }
        }
        out.extend(fold.finish().map(|polls| text(polls.words())));
        out
    }
}

#[test]
fn what_stays_the_same_is_one_line_and_what_changes_is_shown() {
    let mut bus = Bus::default();
    for second in 0..8 {
        let temperature = if second < 5 { 25 } else { 26 };
        for addr in 1..4 {
            let ms = 1000 * second + 100 * u64::from(addr);
            bus.ask(ms, addr, 0x0a, &[], &[if addr == 2 { temperature } else { 24 }, 40, 0, 0]);
        }
        // Nobody is at 4.
        bus.line(1000 * second + 500, 4, 0xff, 0x0a, &[]);
    }
    let state = |addr, t| {
        let what = "GET_BOX_STATE -> OK temperature";
        format!("box{addr}   {what}={t} C humidity=40 % ran=none state=idle")
    };
    assert_eq!(
        bus.folded(EVERY),
        [
            state(1, 24),
            state(2, 25),
            state(3, 24),
            "box4   GET_BOX_STATE -> no reply".into(),
            "· 17 polls in 4.0 s: box1-3 GET_BOX_STATE x4-5 each, box4 GET_BOX_STATE no reply x4"
                .into(),
            state(2, 26),
            "· 9 polls in 2.0 s: box1-3 GET_BOX_STATE x2-3 each, box4 GET_BOX_STATE no reply x2"
                .into(),
            // The last wait may not be over.
            "box4   GET_BOX_STATE -> no reply before the capture ends or has a gap".into(),
        ]
    );
}

#[test]
fn counts_are_told_in_time() {
    let mut bus = Bus::default();
    for second in 0..26 {
        bus.ask(1000 * second, 1, 0xa2, &[], &[1]);
    }
    let told = bus.folded(EVERY);
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[1], "· 10 polls in 9.0 s: box1 ONLINE_CHECK x10");
    assert_eq!(told[3], "· 5 polls in 4.0 s: box1 ONLINE_CHECK x5");

    // By the clock alone, too.
    let mut pairer = Pairer::new();
    let records = read_hex_text("test", &bus.0).map(Result::unwrap);
    records.take(4).for_each(|record| pairer.push(record));
    let mut fold = Fold::default();
    while let Some(seen) = pairer.pull() {
        assert_eq!(fold.push(&seen, Time(0)).polls, None);
    }
    assert_eq!(fold.tick(Time(EVERY - 1)), None);
    assert_eq!(fold.tick(Time(EVERY)).map(|polls| polls.count), Some(1));
    assert_eq!(fold.tick(Time(10 * EVERY)), None);
}

/// A reply's STATUS, a reply where there was none, another number of transmissions.
#[test]
fn every_change_is_shown() {
    let mut bus = Bus::default();
    bus.ask(0, 1, 0x0a, &[], &[25, 40, 0, 0]);
    bus.line(1000, 1, 0xff, 0x0a, &[]);
    bus.line(1002, 1, 0x14, 0x0a, &[25, 40, 0, 0]);
    for ms in [2000, 3000, 4000] {
        bus.line(ms, 1, 0xff, 0x0a, &[]);
        // The host goes on to another.
        bus.ask(ms + 500, 2, 0xa2, &[], &[1]);
    }
    bus.ask(5000, 1, 0x0a, &[], &[25, 40, 0, 0]);
    bus.ask(6000, 1, 0x0a, &[], &[25, 40, 0, 0]);
    let told = bus.folded(EVERY);
    assert_eq!(told.len(), 7, "{told:?}");
    assert!(told[1].contains("RETRUDE_ERR2"), "{told:?}");
    assert_eq!(told[2], "box1   GET_BOX_STATE -> no reply");
    let polls = "· 4 polls in 1.5 s: box1 GET_BOX_STATE no reply x2, box2 ONLINE_CHECK x2";
    assert_eq!(told[4], polls);
    assert_eq!(told[6], "· 1 poll: box1 GET_BOX_STATE x1");
}

/// An order is shown each time; a reading folds as a poll does; of an unknown function nobody knows.
#[test]
fn an_order_is_no_poll() {
    let shown = |func, data: &[u8], distance: u64| {
        let mut bus = Bus::default();
        for at in 0..10 {
            bus.ask(distance * at, 1, func, data, &[0]);
        }
        let told = bus.folded(EVERY);
        told.iter().filter(|line| !line.starts_with('·')).count()
    };
    // SET_PRE_LOADING, GET_BUFFER_STATE, and nobody's.
    assert_eq!(shown(0x0d, &[15, 1], 1000), 10);
    assert_eq!((shown(0x05, &[], 1000), shown(0x05, &[], 20_000)), (1, 1));
    assert_eq!((shown(0x60, &[], 1000), shown(0x60, &[], 20_000)), (2, 10));
}

/// Counts of an instant would be as many lines as they save.
#[test]
fn short_counts_wait() {
    let mut bus = Bus::default();
    for at in 0..40u8 {
        bus.ask(100 * u64::from(at), 1, 0xa2, &[], &[1]);
        bus.ask(100 * u64::from(at) + 50, 2, 0x0a, &[], &[at, 40, 0, 0]);
    }
    let told = bus.folded(EVERY);
    let polls: Vec<&String> = told.iter().filter(|line| line.starts_with('·')).collect();
    assert_eq!(told.len() - polls.len(), 41);
    assert_eq!(polls.len(), 4, "{polls:?}");
    assert_eq!(polls[0], "· 11 polls in 1.0 s: box1 ONLINE_CHECK x11");
}

#[test]
fn noise_is_shown_and_comes_behind_the_counts() {
    let mut bus = Bus::default();
    for ms in [0, 1000, 2000] {
        bus.ask(ms, 1, 0xa2, &[], &[1]);
    }
    bus.0 += "(2.5) 00 11\n";
    bus.ask(3000, 1, 0xa2, &[], &[1]);
    let told = bus.folded(EVERY);
    assert!(told[1].starts_with("· 2 polls") && told[2].starts_with("noise: 2 bytes"), "{told:?}");
    assert_eq!(told[3], "· 1 poll: box1 ONLINE_CHECK x1");
}

#[test]
fn what_is_followed_is_bounded() {
    let mut bus = Bus::default();
    for at in 0..6000u64 {
        let data = at.to_be_bytes();
        bus.ask(10 * at, 1, 0x60, &data, &data);
    }
    let mut pairer = Pairer::new();
    read_hex_text("test", &bus.0).for_each(|record| pairer.push(record.unwrap()));
    let mut fold = Fold::default();
    while let Some(seen) = pairer.pull() {
        assert!(fold.push(&seen, Time(0)).show);
        assert!(fold.last.len() <= MAX_REQUESTS);
    }
    assert!(fold.last.len() >= MAX_REQUESTS / 2);
    // The newest are those that are remembered.
    let newest = 5999u64.to_be_bytes();
    assert!(fold.last.keys().any(|key| key.asked.as_deref() == Some(&newest)));
}

proptest::proptest! {
    /// Every exchange is shown or counted, once; and a poll is hidden exactly if it came to the
    /// same as the last one with its request.
    #[test]
    fn everything_is_shown_or_counted(
        asks in proptest::collection::vec((1u8..4, 0u8..3, 0u64..4000), 1..60),
    ) {
        let mut bus = Bus::default();
        let (mut ms, mut news) = (0, 0);
        let mut last = BTreeMap::new();
        for &(addr, state, distance) in &asks {
            bus.ask(ms, addr, 0x0a, &[], &[25, 40, 0, state]);
            news += usize::from(last.insert(addr, state) != Some(state));
            ms += 10 + distance;
        }
        let told = bus.folded(EVERY);
        let counts = told.iter().filter_map(|line| line.strip_prefix("· ")?.split(' ').next());
        let counted: usize = counts.map(|count| count.parse::<usize>().unwrap()).sum();
        let shown = told.iter().filter(|line| line.starts_with("box")).count();
        proptest::prop_assert_eq!((shown, counted), (news, asks.len() - news));
    }
}

//! From bytes to every view: records, frames with their directions, exchanges, the lines for
//! people and the JSON lines.
//!
//! Input: see [`k485_fuzz::RAW`]. A raw stream has no times and no directions.

#![no_main]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arbitrary::Unstructured;
use k485_fuzz::RAW;
use k485_fuzz::capture::{Step, steps};
use k485_proto::deframer::spans;
use k485_proto::exchange::{Exchange, Observed, Outcome, Pairer, Seen};
use k485_proto::line::{self, Word};
use k485_proto::record::{Direction, Record, Verdict};
use k485_sniffer::format::jsonl;
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// JSON of any kind without an object that has a key twice: readers differ in which of the two
/// they take.
struct Json;

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(Json)
    }
}

impl<'de> Visitor<'de> for Json {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> std::result::Result<Json, E> {
        Ok(Json)
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Json, E> {
        Ok(Json)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Json, E> {
        Ok(Json)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Json, E> {
        Ok(Json)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Json, E> {
        Ok(Json)
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Json, E> {
        Ok(Json)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Json, A::Error> {
        while seq.next_element::<Json>()?.is_some() {}
        Ok(Json)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Json, A::Error> {
        let mut keys = std::collections::BTreeSet::new();
        while let Some((key, Json)) = map.next_entry::<String, Json>()? {
            assert!(keys.insert(key.clone()), "the key {key:?} is twice in an object");
        }
        Ok(Json)
    }
}

/// One line of valid JSON.
fn check_line(write: impl FnOnce(&mut jsonl::Writer<&mut Vec<u8>>) -> std::io::Result<()>) {
    let mut out = Vec::new();
    write(&mut jsonl::Writer::new(&mut out)).expect("a vector takes everything");
    let text = std::str::from_utf8(&out).expect("JSON is UTF-8");
    let line = text.strip_suffix('\n').expect("a line ends in a newline");
    // JSON leaves DEL and beyond as they are: a bus's name may hold them.
    assert!(line.starts_with('{') && line.bytes().all(|byte| byte >= b' '), "{line:?}");
    if let Err(error) = serde_json::from_str::<Json>(line) {
        panic!("{error}: {line}");
    }
}

fn check_words(words: &[Word]) {
    for word in words {
        assert!(!word.text.is_empty());
        assert!(!word.text.contains(char::is_control), "{word:?}");
    }
}

fn check_frame(observed: &Observed) {
    check_words(&line::frame(observed));
    check_words(&line::detail(observed));
    let bytes = line::bytes(observed);
    assert!(bytes.bytes().all(|b| b.is_ascii_hexdigit() || b == b' ' || b == b'|'), "{bytes}");
    let digits = bytes.bytes().filter(u8::is_ascii_hexdigit).count();
    assert_eq!(digits, 2 * observed.record.bytes.len(), "{bytes}");
    check_line(|writer| writer.frame(observed));
}

/// What the pairer has given.
#[derive(Default)]
struct Given {
    frames: Vec<Arc<Observed>>,
    noises: usize,
    gaps: usize,
    lone: Vec<Arc<Observed>>,
    exchanges: Vec<Exchange>,
}

impl Given {
    fn take(&mut self, pairer: &mut Pairer) {
        while let Some(seen) = pairer.pull() {
            match seen {
                Seen::Frame(observed) => {
                    check_frame(&observed);
                    self.frames.push(observed);
                }
                Seen::Noise(record) => {
                    for shown in [0, 8, usize::MAX] {
                        check_words(&line::noise(&record, shown));
                    }
                    check_line(|writer| writer.noise(&record));
                    self.noises += 1;
                }
                Seen::Gap(record) => {
                    check_words(&line::gap(&record));
                    check_line(|writer| writer.gap(&record));
                    self.gaps += 1;
                }
                Seen::Exchange(exchange) => {
                    check_words(&line::exchange(&exchange));
                    check_line(|writer| writer.exchange(&exchange));
                    self.exchanges.push(exchange);
                }
                Seen::Lone(observed) => self.lone.push(observed),
            }
        }
    }

    /// Every frame is accounted for exactly once: a reply in one exchange; a request as the first
    /// or a further attempt of one exchange, and once more if its reply came after the host had
    /// given up; a frame of unknown direction as a lone one.
    fn check(&self) {
        let mut lone: BTreeMap<_, usize> = BTreeMap::new();
        let (mut asked, mut late, mut answers) = (lone.clone(), lone.clone(), lone.clone());
        let mut attempts = 0;
        for observed in &self.lone {
            *lone.entry(Arc::as_ptr(observed)).or_default() += 1;
        }
        for exchange in &self.exchanges {
            if let Some(request) = &exchange.request {
                let is_late = exchange.outcome == Outcome::Unsolicited;
                let place = if is_late { &mut late } else { &mut asked };
                *place.entry(Arc::as_ptr(request)).or_default() += 1;
                // A traced call hides its attempts; its request is one record.
                attempts += if is_late { 0 } else { exchange.attempts.unwrap_or(1) as usize };
            }
            if let Some(response) = &exchange.response {
                *answers.entry(Arc::as_ptr(response)).or_default() += 1;
                let (told, known) = (&exchange.request, &response.request);
                let same = match (told, known) {
                    (Some(told), Some(known)) => Arc::ptr_eq(told, known),
                    (None, None) => true,
                    _ => false,
                };
                assert!(same, "an exchange and its reply name different requests: {exchange:?}");
            }
            assert!(
                exchange.subject().is_some() || exchange.outcome == Outcome::RequestNotSeen,
                "{exchange:?}"
            );
        }
        let mut requests = 0;
        for observed in &self.frames {
            let frame = Arc::as_ptr(observed);
            let times = |of: &BTreeMap<_, usize>| of.get(&frame).copied().unwrap_or(0);
            let traced = observed.record.call.is_some();
            let expected = match observed.dir {
                Some(Direction::Response) => (0, 0, 1),
                None if !traced => (1, 0, 0),
                _ => {
                    requests += 1;
                    // A retry is counted, not named.
                    (0, times(&asked).min(1), 0)
                }
            };
            assert_eq!((times(&lone), times(&asked), times(&answers)), expected, "{observed:?}");
            assert!(times(&late) <= times(&asked), "{observed:?}");
        }
        assert_eq!(attempts, requests, "a request was lost, or counted twice");
    }
}

fuzz_target!(|input: &[u8]| {
    let steps = match input {
        [RAW, stream @ ..] => {
            spans(stream).map(|span| Step::Push(Record::of_span(&span))).collect()
        }
        seed => match steps(&mut Unstructured::new(seed)) {
            Ok(steps) => steps,
            Err(_) => return,
        },
    };
    let (mut pairer, mut given) = (Pairer::new(), Given::default());
    let (mut pushed, mut noises, mut gaps) = (Vec::new(), 0, 0);
    for step in steps {
        match step {
            Step::Push(record) => {
                match record.verdict {
                    Verdict::Frame => pushed.push(record.clone()),
                    Verdict::Noise(_) => noises += 1,
                    Verdict::Gap(_) => gaps += 1,
                    Verdict::NoReply => {}
                }
                pairer.push(record);
            }
            Step::Tick(now) => pairer.tick(now),
        }
        given.take(&mut pairer);
        let told = (given.frames.len(), given.noises, given.gaps);
        assert_eq!(told, (pushed.len(), noises, gaps), "told late");
    }
    pairer.finish();
    given.take(&mut pairer);
    assert!(given.frames.iter().map(|observed| &observed.record).eq(&pushed));
    given.check();
});

//! What the bus carried: a ring that everybody reads at their own pace.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use k485_proto::exchange::{Observed, Seen};
use k485_proto::record::Record;
use tokio::sync::watch;

/// How many things are kept; the oldest go first.
pub const CAPACITY: usize = 10_000;
/// How much memory they take at most, in bytes as they are counted here.
const LARGEST: usize = 32 << 20;
/// What one thing takes beside its bytes.
const BASE: usize = 512;
/// What a byte of a frame or of noise takes: itself, and twice in hex.
const BYTE: usize = 5;

/// Writes a thing as a JSON object.
type Write = Box<dyn Fn(&Seen) -> String + Send + Sync>;

/// One thing that was seen.
pub struct Item {
    /// Its number, from 1; each is one more than that before it.
    pub seq: u64,
    /// What it is.
    pub seen: Seen,
    json: OnceLock<Box<str>>,
}

/// A part of what was seen.
#[derive(Debug, Default)]
pub struct Page {
    /// In their order.
    pub items: Vec<Arc<Item>>,
    /// How many that were asked for are not kept any more.
    pub missed: u64,
    /// What to ask for next: what follows this number.
    pub next: u64,
}

/// The ring. Whoever fills it never waits for those who read, and these never miss anything without
/// being told how much.
pub struct Feed {
    ring: Mutex<Ring>,
    news: watch::Sender<u64>,
    write: Write,
}

#[derive(Default)]
struct Ring {
    items: VecDeque<Arc<Item>>,
    /// The number of the last one.
    last: u64,
    size: usize,
}

impl Feed {
    /// An empty ring, whose things are written as JSON objects by `write`, once somebody asks for
    /// them.
    pub fn new(write: impl Fn(&Seen) -> String + Send + Sync + 'static) -> Feed {
        let news = watch::Sender::new(0);
        Feed { ring: Mutex::default(), news, write: Box::new(write) }
    }

    /// Adds what was seen, in its order.
    pub fn push(&self, all: impl IntoIterator<Item = Seen>) {
        let mut ring = self.lock();
        let before = ring.last;
        for seen in all {
            ring.add(seen);
        }
        let last = ring.last;
        drop(ring);
        if last > before {
            self.news.send_replace(last);
        }
    }

    /// The number of the last thing; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.lock().last
    }

    /// At most `limit` things that follow number `after`.
    #[must_use]
    pub fn after(&self, after: u64, limit: usize) -> Page {
        let ring = self.lock();
        // A number of the future is one of an earlier run: begin anew.
        let after = if after > ring.last { 0 } else { after };
        let first = ring.last - ring.items.len() as u64;
        let from = usize::try_from(after.saturating_sub(first)).unwrap_or(usize::MAX);
        let items: Vec<_> = ring.items.iter().skip(from).take(limit).cloned().collect();
        let next = items.last().map_or(after.max(first), |item| item.seq);
        Page { items, missed: first.saturating_sub(after), next }
    }

    /// Tells the number of the last thing whenever there are more.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// A thing as a JSON object, its number in it.
    #[must_use]
    pub fn json<'a>(&self, item: &'a Item) -> &'a str {
        item.json.get_or_init(|| {
            let text = (self.write)(&item.seen);
            let rest = text.strip_prefix('{').unwrap_or("}");
            let comma = if rest.starts_with('}') { "" } else { "," };
            format!("{{\"seq\":{}{comma}{rest}", item.seq).into_boxed_str()
        })
    }

    /// One who panicked left whole things.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn add(&mut self, seen: Seen) {
        self.last += 1;
        self.size += size(&seen);
        self.items.push_back(Arc::new(Item { seq: self.last, seen, json: OnceLock::new() }));
        while self.items.len() > CAPACITY || (self.size > LARGEST && self.items.len() > 1) {
            let Some(old) = self.items.pop_front() else { break };
            self.size -= size(&old.seen);
        }
    }
}

/// What a thing takes in memory, about.
fn size(seen: &Seen) -> usize {
    let record = |record: &Record| record.bytes.len();
    let frame = |frame: &Option<Arc<Observed>>| {
        frame.as_ref().map_or(0, |frame| record(&frame.record) + frame.frame().raw().len() + BASE)
    };
    let bytes = match seen {
        Seen::Frame(one) | Seen::Lone(one) => record(&one.record),
        Seen::Noise(one) | Seen::Gap(one) => record(one),
        Seen::Exchange(exchange) => frame(&exchange.request) + frame(&exchange.response),
    };
    BASE + BYTE * bytes
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("last", &self.last()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item").field("seq", &self.seq).field("seen", &self.seen).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_proto::record::{Gap, GapReason};
    use proptest::prelude::*;

    fn gap() -> Seen {
        let gap = Gap { reason: GapReason::Dropped, ns: None, bytes: None };
        Seen::Gap(Record::of_gap(gap, None, Arc::from("")))
    }

    fn feed() -> Feed {
        Feed::new(|_| "{\"type\":\"gap\"}".to_owned())
    }

    fn numbers(page: &Page) -> Vec<u64> {
        page.items.iter().map(|item| item.seq).collect()
    }

    #[test]
    fn things_are_numbered_and_read_in_parts() {
        let feed = feed();
        let news = feed.news();
        assert_eq!((feed.last(), feed.after(0, 10).next), (0, 0));
        feed.push((0..5).map(|_| gap()));
        assert_eq!(*news.borrow(), 5);
        let page = feed.after(0, 3);
        assert_eq!((numbers(&page), page.missed, page.next), (vec![1, 2, 3], 0, 3));
        let page = feed.after(page.next, 3);
        assert_eq!((numbers(&page), page.next), (vec![4, 5], 5));
        assert_eq!((feed.after(5, 3).items.len(), feed.after(5, 3).next), (0, 5));
        // What was told by an emulator before this one.
        assert_eq!(numbers(&feed.after(99, 2)), [1, 2]);
        assert_eq!(feed.json(&page.items[0]), "{\"seq\":4,\"type\":\"gap\"}");
    }

    #[test]
    fn what_is_large_is_kept_for_less_long() {
        let feed = feed();
        let noise = |n: usize| {
            let noise = Record {
                bytes: vec![0; n],
                ..Record::of_gap(
                    Gap { reason: GapReason::Dropped, ns: None, bytes: None },
                    None,
                    Arc::from(""),
                )
            };
            Seen::Noise(noise)
        };
        feed.push((0..100).map(|_| noise(1 << 20)));
        let page = feed.after(0, 1000);
        assert!(page.items.len() < 10, "{}", page.items.len());
        assert_eq!(page.missed + page.items.len() as u64, 100);
    }

    proptest! {
        #[test]
        fn whoever_reads_in_any_steps_gets_or_is_told_all(
            steps in proptest::collection::vec((0_usize..6000, 1_usize..4000), 1..20),
        ) {
            let feed = feed();
            let (mut cursor, mut got, mut missed, mut pushed) = (0, 0_u64, 0, 0_u64);
            for (push, limit) in steps {
                feed.push((0..push).map(|_| gap()));
                pushed += push as u64;
                let page = feed.after(cursor, limit);
                missed += page.missed;
                for (place, item) in page.items.iter().enumerate() {
                    prop_assert_eq!(item.seq, got + missed + 1 + place as u64);
                }
                got += page.items.len() as u64;
                prop_assert_eq!(page.next, got + missed);
                cursor = page.next;
            }
            let rest = feed.after(cursor, usize::MAX);
            prop_assert_eq!(got + missed + rest.missed + rest.items.len() as u64, pushed);
            prop_assert!(rest.items.len() <= CAPACITY);
        }
    }
}

//! Which return ends which call.
//!
//! A call and its end share an `id`. That is less than it seems, in traces as they are (all of it
//! seen in captures but the restart, which follows from the tracer's code):
//!
//! - **Ids restart** when the host does, and a file may go on over it. A `connected` event begins a
//!   new session, and so does a call whose id is open already or lies more than
//!   [`TURNED`] below the highest one. What was open is given up: its return can no longer be told
//!   from another's.
//! - **Ends come in any order**, since the host's greenlets interleave; **calls without end** and
//!   **ends without call** are at the borders of every trace, and elsewhere where the tracer
//!   filtered one half.
//! - **Labels are doubled** when two traced objects share a class: the class is wrapped twice, and
//!   every call is told twice, by ids n and n+1 under both labels, the inner one within the outer
//!   one. Which label is the right one cannot be told. Both get one number; the first end of
//!   either is the call's end, the second is told as [`End::Again`].
//!
//! Ids pair inside one source (a file) only; the two tellings of a doubled call may be in two files.
//!
//! Memory is bounded: at most [`MAX_OPEN`] calls are open in a source, then the one with the lowest
//! id is given up.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use k485_proto::record::Time;

use crate::event::Site;

/// The most calls that are open in one source. Eight were seen at once on a real printer.
pub const MAX_OPEN: usize = 4096;

/// How far a call's id may lie below the highest one seen without being a restart: threads may
/// turn the order of lines.
pub const TURNED: u64 = 16;

/// How far apart the two tellings of a call's beginning may be, in nanoseconds. Up to 0.43 s were
/// seen. Beyond it lies the same id of another session, whose call never ended.
const APART: u64 = 5 * Time::SECOND.unsigned_abs();

/// The most labels that one call is told under; two were seen.
const MAX_LABELS: usize = 8;

/// The open calls of all sources of a trace, each with something of the caller's.
#[derive(Debug, Clone)]
pub struct OpenCalls<T> {
    sources: BTreeMap<usize, Source<T>>,
    /// The doubled calls of which a telling is open, by number.
    doubled: HashMap<u64, Doubled>,
    /// The last end without a call.
    orphan: Option<Orphan>,
    /// The number given last.
    number: u64,
    given_up: u64,
    crowded_out: u64,
}

#[derive(Debug, Clone)]
struct Source<T> {
    open: BTreeMap<u64, Open<T>>,
    highest: u64,
}

#[derive(Debug, Clone)]
struct Open<T> {
    number: u64,
    time: Option<Time>,
    object: Label,
    /// What the tellings of a doubled call agree in.
    key: u64,
    value: T,
}

/// A label as its hash, so that an open call's size does not hang on the trace.
type Label = u64;

#[derive(Debug, Clone)]
struct Doubled {
    /// The labels it was told under, each once: two equal calls of two greenlets have neighbouring
    /// ids as well. At most [`MAX_LABELS`].
    labels: Vec<Label>,
    /// How many of the tellings are open.
    open: u32,
    /// Whether one of them has ended.
    ended: bool,
}

#[derive(Debug, Clone, Copy)]
struct Orphan {
    id: u64,
    object: Label,
    key: u64,
    number: u64,
}

/// What a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// A call.
    Call {
        /// Its number, unique over all sources and sessions.
        number: u64,
    },
    /// The second telling of a call under another label.
    Again {
        /// The call's number.
        number: u64,
    },
}

/// What an end (a return or an error) is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End<T> {
    /// The end of an open call.
    Of {
        /// The call's number.
        number: u64,
        /// What was put beside the call.
        value: T,
    },
    /// The second telling of an end.
    Again {
        /// The call's number.
        number: u64,
    },
    /// An end whose call was not seen.
    Orphan {
        /// A number of its own.
        number: u64,
    },
}

impl<T> Default for OpenCalls<T> {
    fn default() -> Self {
        OpenCalls {
            sources: BTreeMap::new(),
            doubled: HashMap::new(),
            orphan: None,
            number: 0,
            given_up: 0,
            crowded_out: 0,
        }
    }
}

impl<T: Clone> OpenCalls<T> {
    /// No call is open.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many tellings of calls are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.sources.values().map(|source| source.open.len()).sum()
    }

    /// Whether the source's call of this id is open.
    #[must_use]
    pub fn is_open(&self, source: usize, id: u64) -> bool {
        self.sources.get(&source).is_some_and(|source| source.open.contains_key(&id))
    }

    /// How many tellings of calls were given up because a new session began in their source.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// How many tellings of calls were given up to make room.
    #[must_use]
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out
    }

    /// A session begins in `source`.
    pub fn restart(&mut self, source: usize) {
        if let Some(source) = self.sources.remove(&source) {
            self.given_up += source.open.len() as u64;
            for open in source.open.into_values() {
                self.leave(open.number);
            }
        }
    }

    /// A call; `value` is kept beside it, unless it is told the second time.
    pub fn call(
        &mut self,
        source: usize,
        id: u64,
        time: Option<Time>,
        site: &Site<'_>,
        args: &str,
        value: T,
    ) -> Begin {
        let back = self.sources.get(&source).is_some_and(|source| {
            source.open.contains_key(&id) || id.saturating_add(TURNED) < source.highest
        });
        if back {
            self.restart(source);
        }
        let object = hash(&site.object);
        let key = hash(&(&site.class, &site.method, args));
        let twin = self.twin(id, time, object, key);
        let twin = twin.map(|open| (open.number, open.object, open.value.clone()));
        let (number, value, again) = match twin {
            Some((number, first, value)) => {
                // The first telling was alone until now.
                let alone = || Doubled { labels: vec![first], open: 1, ended: false };
                let doubled = self.doubled.entry(number).or_insert_with(alone);
                doubled.labels.push(object);
                doubled.open += 1;
                (number, value, true)
            }
            None => (self.next_number(), value, false),
        };
        let source = self
            .sources
            .entry(source)
            .or_insert_with(|| Source { open: BTreeMap::new(), highest: id });
        source.highest = source.highest.max(id);
        source.open.insert(id, Open { number, time, object, key, value });
        let over = source.open.len() > MAX_OPEN;
        if let Some((_, open)) = over.then(|| source.open.pop_first()).flatten() {
            self.crowded_out += 1;
            self.leave(open.number);
        }
        if again { Begin::Again { number } } else { Begin::Call { number } }
    }

    /// The end of a call. `result` is what the two tellings of an end agree in.
    ///
    /// A site's empty parts are not compared.
    pub fn end(&mut self, source: usize, id: u64, site: &Site<'_>, result: &str) -> End<T> {
        let object = hash(&site.object);
        let open = self.sources.get_mut(&source).and_then(|source| {
            let fits = |open: &Open<T>| site.object.is_empty() || open.object == object;
            source.open.get(&id).is_some_and(fits).then(|| source.open.remove(&id)).flatten()
        });
        if let Some(Open { number, value, .. }) = open {
            let first = match self.doubled.get_mut(&number) {
                Some(doubled) => !std::mem::replace(&mut doubled.ended, true),
                None => true,
            };
            self.leave(number);
            return if first { End::Of { number, value } } else { End::Again { number } };
        }
        let key = hash(&(&site.class, &site.method, result));
        // The inner telling ends first, and has the higher id.
        let again = self.orphan.filter(|last| {
            id.checked_add(1) == Some(last.id) && last.key == key && last.object != object
        });
        if let Some(Orphan { number, .. }) = again {
            self.orphan = None;
            return End::Again { number };
        }
        let number = self.next_number();
        self.orphan = Some(Orphan { id, object, key, number });
        End::Orphan { number }
    }

    /// The open telling of the same call under another label: the ids are neighbours. The inner
    /// one comes second, unless a coarse clock turned two files.
    fn twin(&self, id: u64, time: Option<Time>, object: Label, key: u64) -> Option<&Open<T>> {
        let near = [id.checked_sub(1), id.checked_add(1)].into_iter().flatten();
        near.flat_map(|near| self.sources.values().filter_map(move |it| it.open.get(&near)))
            .filter(|open| open.key == key && open.object != object)
            .filter(|open| match (open.time, time) {
                (Some(one), Some(other)) => other.since(one).unsigned_abs() <= APART,
                _ => true,
            })
            .filter(|open| match self.doubled.get(&open.number) {
                Some(Doubled { labels, ended, .. }) => {
                    !ended && !labels.contains(&object) && labels.len() < MAX_LABELS
                }
                None => true,
            })
            .max_by_key(|open| open.number)
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// A telling of the call is open no more.
    fn leave(&mut self, number: u64) {
        if let Some(doubled) = self.doubled.get_mut(&number) {
            doubled.open -= 1;
            if doubled.open == 0 {
                self.doubled.remove(&number);
            }
        }
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(object: &'static str) -> Site<'static> {
        Site { object: object.into(), class: "C".into(), method: "m".into() }
    }

    fn call(number: u64) -> Begin {
        Begin::Call { number }
    }

    #[test]
    fn ends_in_any_order() {
        let mut calls = OpenCalls::new();
        assert_eq!(calls.call(0, 10, None, &site("a"), "x", 'x'), call(1));
        assert_eq!(calls.call(0, 11, None, &site("a"), "x", 'y'), call(2), "one label: two calls");
        assert_eq!(calls.call(1, 10, None, &site("a"), "z", 'z'), call(3), "another file");
        assert_eq!(calls.end(0, 10, &site("a"), ""), End::Of { number: 1, value: 'x' });
        assert_eq!(calls.end(0, 11, &Site::default(), ""), End::Of { number: 2, value: 'y' });
        assert_eq!(calls.end(0, 10, &site("a"), ""), End::Orphan { number: 4 });
        assert_eq!(calls.end(1, 10, &site("b"), ""), End::Orphan { number: 5 }, "another object");
        assert_eq!((calls.open(), calls.given_up()), (1, 0));
    }

    #[test]
    fn a_doubled_call_is_one_call_in_one_file_or_two() {
        for inner in [0, 1] {
            let mut calls = OpenCalls::new();
            assert_eq!(calls.call(0, 4, None, &site("a"), "x", 'o'), call(1));
            assert_eq!(
                calls.call(inner, 5, None, &site("b"), "x", 'i'),
                Begin::Again { number: 1 }
            );
            assert_eq!(calls.end(inner, 5, &site("b"), ""), End::Of { number: 1, value: 'o' });
            assert_eq!(calls.end(0, 4, &site("a"), ""), End::Again { number: 1 });
            assert_eq!((calls.open(), calls.doubled.len()), (0, 0));
            // The next call is another one, though ids and labels look the same.
            assert_eq!(calls.call(0, 6, None, &site("a"), "x", 'n'), call(2));
        }
    }

    #[test]
    fn equal_calls_of_two_greenlets_are_two_doubled_calls() {
        let mut calls = OpenCalls::new();
        let begins = [(4, "a"), (5, "b"), (6, "a"), (7, "b")]
            .map(|(id, object)| calls.call(0, id, None, &site(object), "x", ()));
        let again = |number| Begin::Again { number };
        assert_eq!(begins, [call(1), again(1), call(2), again(2)]);
        let ends = [(5, "b"), (7, "b"), (4, "a"), (6, "a")]
            .map(|(id, object)| calls.end(0, id, &site(object), ""));
        let of = |number| End::Of { number, value: () };
        let again = |number| End::Again { number };
        assert_eq!(ends, [of(1), of(2), again(1), again(2)]);
    }

    #[test]
    fn a_call_has_a_bounded_number_of_labels() {
        let mut calls = OpenCalls::new();
        let labels: Vec<String> = (0..=MAX_LABELS).map(|label| label.to_string()).collect();
        let mut begin = |id: usize| {
            let site = Site { object: labels[id].as_str().into(), ..Site::default() };
            calls.call(0, id as u64, None, &site, "", ())
        };
        assert_eq!(begin(0), call(1));
        for id in 1..MAX_LABELS {
            assert_eq!(begin(id), Begin::Again { number: 1 });
        }
        assert_eq!(begin(MAX_LABELS), call(2));
    }

    #[test]
    fn calls_that_only_look_doubled() {
        let mut calls = OpenCalls::new();
        assert_eq!(calls.call(0, 4, None, &site("a"), "x", ()), call(1));
        assert_eq!(calls.call(0, 5, None, &site("b"), "y", ()), call(2), "other arguments");
        assert_eq!(calls.call(0, 7, None, &site("a"), "y", ()), call(3), "no neighbour");
        let End::Of { .. } = calls.end(0, 7, &site("a"), "") else { panic!() };
        assert_eq!(calls.call(0, 8, None, &site("b"), "y", ()), call(4), "the first one has ended");
    }

    #[test]
    fn three_labels_and_a_lost_inner_end() {
        let mut calls = OpenCalls::new();
        assert_eq!(calls.call(0, 4, None, &site("a"), "x", ()), call(1));
        assert_eq!(calls.call(0, 5, None, &site("b"), "x", ()), Begin::Again { number: 1 });
        assert_eq!(calls.call(0, 6, None, &site("c"), "x", ()), Begin::Again { number: 1 });
        assert_eq!(calls.end(0, 5, &site("b"), ""), End::Of { number: 1, value: () });
        assert_eq!(calls.end(0, 4, &site("a"), ""), End::Again { number: 1 });
        assert_eq!(calls.doubled.len(), 1);
        calls.restart(0);
        assert_eq!((calls.doubled.len(), calls.given_up()), (0, 1));
    }

    #[test]
    fn a_call_of_a_past_session_is_no_twin() {
        let second = |second| Some(Time(second * Time::SECOND));
        let mut calls = OpenCalls::new();
        assert_eq!(calls.call(0, 4, second(0), &site("a"), "x", ()), call(1));
        assert_eq!(calls.call(1, 5, second(6), &site("b"), "x", ()), call(2));
        assert_eq!(calls.call(2, 4, second(6), &site("a"), "x", ()), Begin::Again { number: 2 });
        // The newest of two that fit.
        assert_eq!(calls.call(3, 7, second(6), &site("a"), "z", ()), call(3));
        assert_eq!(calls.call(4, 7, second(7), &site("a"), "z", ()), call(4));
        assert_eq!(calls.call(5, 8, second(8), &site("b"), "z", ()), Begin::Again { number: 4 });
    }

    #[test]
    fn a_doubled_end_without_its_call() {
        let mut calls = OpenCalls::<()>::new();
        assert_eq!(calls.end(0, 5, &site("a"), "7"), End::Orphan { number: 1 });
        assert_eq!(calls.end(1, 4, &site("b"), "7"), End::Again { number: 1 });
        assert_eq!(calls.end(1, 3, &site("a"), "7"), End::Orphan { number: 2 });
        assert_eq!(calls.end(1, 2, &site("a"), "7"), End::Orphan { number: 3 }, "the same label");
        assert_eq!(calls.end(1, 1, &site("b"), "8"), End::Orphan { number: 4 }, "another result");
    }

    #[test]
    fn restarts() {
        let mut calls = OpenCalls::new();
        assert_eq!(calls.call(0, 100, None, &site("a"), "x", ()), call(1));
        assert_eq!(
            calls.call(0, 84, None, &site("a"), "y", ()),
            call(2),
            "threads turned two lines"
        );
        assert_eq!(calls.call(0, 83, None, &site("a"), "z", ()), call(3), "a restart");
        assert_eq!(calls.end(0, 100, &site("a"), ""), End::Orphan { number: 4 });
        assert_eq!(
            calls.call(0, 83, None, &site("a"), "z", ()),
            call(5),
            "the id is open: a restart"
        );
        assert_eq!(calls.call(1, 1, None, &site("a"), "", ()), call(6), "another file's ids");
        assert_eq!(calls.open(), 2);
        calls.restart(0);
        assert_eq!((calls.open(), calls.given_up()), (1, 4));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut calls = OpenCalls::new();
        for id in 0..MAX_OPEN as u64 {
            assert_eq!(calls.call(0, id, None, &site("a"), "", id), call(id + 1));
        }
        let begin = calls.call(0, u64::MAX, None, &site("a"), "", 0);
        assert_eq!(begin, call(MAX_OPEN as u64 + 1));
        assert_eq!((calls.open(), calls.given_up(), calls.crowded_out()), (MAX_OPEN, 0, 1));
        assert_eq!(calls.end(0, 1, &site("a"), ""), End::Of { number: 2, value: 1 });
    }
}

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
//!   one. Which label is the right one cannot be told. Both get one number. The outer telling (the
//!   lower id) is what the caller saw: its end is the call's end. That of the inner one comes
//!   before it, and is told as [`End::Inner`]: all there is where the outer one does not come.
//!
//! k485's own tracer tells every call once, and two neighbours that look alike are two calls: one
//! that hands its work to another object, or two greenlets. So nothing is taken for doubled that
//! tells what only that tracer does (see [`Event::is_told_once`]), nor anything in a source
//! whose `connected` line has a `schema`.
//!
//! Ids pair inside one source (a file) only; the two tellings of a doubled call may be in two files.
//!
//! Memory is bounded: at most [`MAX_OPEN`] calls are open in a source, then the one with the lowest
//! id is given up.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use k485_proto::record::Time;

use crate::event::{Event, Site};

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
    /// Whether its tracer said that it tells every call once.
    is_told_once: bool,
}

#[derive(Debug, Clone)]
struct Open<T> {
    number: u64,
    time: Option<Time>,
    object: Label,
    /// What the tellings of a doubled call agree in; `None` where calls are told once.
    key: Option<u64>,
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
    /// The id of the outer telling; `None` once that is open no more.
    outer: Option<u64>,
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
    /// The end of an inner telling, while the outer one is open: the call's end where that does
    /// not come. [`End::Of`] follows otherwise.
    Inner {
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
            for (id, open) in source.open {
                self.leave(open.number, id);
            }
        }
    }

    /// A `connected` line: a session begins in `source`, of a tracer that tells every call once if
    /// it has a schema.
    pub fn connected(&mut self, source: usize, schema: Option<u64>) {
        self.restart(source);
        if schema.is_some() {
            let begun = Source { open: BTreeMap::new(), highest: 0, is_told_once: true };
            self.sources.insert(source, begun);
        }
    }

    /// The call that an event tells; `value` is kept beside it, unless it is told the second time.
    pub fn call(
        &mut self,
        source: usize,
        event: &Event<'_>,
        id: u64,
        site: &Site<'_>,
        args: &str,
        value: T,
    ) -> Begin {
        let back = self.sources.get(&source).is_some_and(|source| {
            source.open.contains_key(&id) || id.saturating_add(TURNED) < source.highest
        });
        // It is the same tracer.
        let is_told_once = event.is_told_once() || self.is_told_once(source);
        if back {
            self.restart(source);
        }
        let time = event.time;
        let object = hash(&site.object);
        let key = (!is_told_once).then(|| hash(&(&site.class, &site.method, args)));
        let twin = key.and_then(|key| self.twin(id, time, object, key));
        let twin = twin.map(|(id, open)| (id, open.number, open.object, open.value.clone()));
        let (number, value, again) = match twin {
            Some((first_id, number, first, value)) => {
                // The first telling was alone until now.
                let alone = || Doubled {
                    labels: vec![first],
                    open: 1,
                    outer: Some(first_id),
                    ended: false,
                };
                let doubled = self.doubled.entry(number).or_insert_with(alone);
                doubled.labels.push(object);
                doubled.open += 1;
                doubled.outer = doubled.outer.map(|outer| outer.min(id));
                (number, value, true)
            }
            None => (self.next_number(), value, false),
        };
        let source = self.sources.entry(source).or_insert_with(|| Source {
            open: BTreeMap::new(),
            highest: id,
            is_told_once,
        });
        source.is_told_once = is_told_once;
        source.highest = source.highest.max(id);
        source.open.insert(id, Open { number, time, object, key, value });
        let over = source.open.len() > MAX_OPEN;
        if let Some((id, open)) = over.then(|| source.open.pop_first()).flatten() {
            self.crowded_out += 1;
            self.leave(open.number, id);
        }
        if again { Begin::Again { number } } else { Begin::Call { number } }
    }

    /// The end of a call that an event tells. `result` is what the two tellings of an end agree in.
    ///
    /// A site's empty parts are not compared.
    pub fn end(
        &mut self,
        source: usize,
        event: &Event<'_>,
        id: u64,
        site: &Site<'_>,
        result: &str,
    ) -> End<T> {
        let object = hash(&site.object);
        let is_told_once = event.is_told_once() || self.is_told_once(source);
        let open = self.sources.get_mut(&source).and_then(|source| {
            let fits = |open: &Open<T>| site.object.is_empty() || open.object == object;
            source.open.get(&id).is_some_and(fits).then(|| source.open.remove(&id)).flatten()
        });
        if let Some(Open { number, value, .. }) = open {
            let (is_inner, is_over) = match self.doubled.get_mut(&number) {
                Some(doubled) => {
                    let is_inner = doubled.outer.is_some_and(|outer| outer != id);
                    let is_over = doubled.ended;
                    doubled.ended |= !is_inner;
                    (is_inner, is_over)
                }
                None => (false, false),
            };
            self.leave(number, id);
            return match (is_over, is_inner) {
                (true, _) => End::Again { number },
                (false, true) => End::Inner { number, value },
                (false, false) => End::Of { number, value },
            };
        }
        if is_told_once {
            let number = self.next_number();
            return End::Orphan { number };
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
    fn twin(
        &self,
        id: u64,
        time: Option<Time>,
        object: Label,
        key: u64,
    ) -> Option<(u64, &Open<T>)> {
        let near = [id.checked_sub(1), id.checked_add(1)].into_iter().flatten();
        let at =
            |near| self.sources.values().filter_map(move |it| Some((near, it.open.get(&near)?)));
        near.flat_map(at)
            .filter(|(_, open)| open.key == Some(key) && open.object != object)
            .filter(|(_, open)| match (open.time, time) {
                (Some(one), Some(other)) => other.since(one).unsigned_abs() <= APART,
                _ => true,
            })
            .filter(|(_, open)| match self.doubled.get(&open.number) {
                Some(Doubled { labels, ended, .. }) => {
                    !ended && !labels.contains(&object) && labels.len() < MAX_LABELS
                }
                None => true,
            })
            .max_by_key(|(_, open)| open.number)
    }

    fn is_told_once(&self, source: usize) -> bool {
        self.sources.get(&source).is_some_and(|source| source.is_told_once)
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// A telling of the call is open no more.
    fn leave(&mut self, number: u64, id: u64) {
        if let Some(doubled) = self.doubled.get_mut(&number) {
            doubled.outer = doubled.outer.filter(|outer| *outer != id);
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
mod tests;

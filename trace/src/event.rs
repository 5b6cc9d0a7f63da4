//! The event schema of a method-call trace: one JSON object a line.
//!
//! | `type` | fields beside `time` (seconds since 1970) |
//! |---|---|
//! | `call` | `id`, `object`, `class`, `method`, `args` (one text, Python's own forms in it) |
//! | `return` | `id`, `object`, `class`, `method`, `result` (any JSON), `duration_ms` |
//! | `error` | as `return`, with `error` and `traceback` in place of `result` |
//! | `attr_read` | `object`, `class`, `path`, `attr`, `value` |
//! | `connected` | `message`, of k485's own tracer `schema`, and lists of what is traced |
//! | `frame` | `object`, `direction` (`tx`, `rx`), `bytes` (hex), `parent` |
//! | `dropped` | `count` |
//! | `lost` | `reason` |
//! | `yield` | `id`, `object`, `class`, `method` |
//! | `mark` | `name` |
//! | `gap` | `from`, `to`, `reason`: written by the client, where the connection was lost |
//!
//! k485's own tracer tells more of every event: see [`Context`]; and of a call `argv` and `kw`, of
//! an error `exc_type`.
//!
//! Source: `call`, `return` and `connected` are in captures of a real printer; `error` and
//! `attr_read` are documented by the tracer and were never captured. Its document also shows events
//! without `object`, `class` or `time`, so these may lack. `frame`, `dropped`, `mark` and what is in
//! the context are k485's own tracer's. More fields and other types are taken as they come.
//!
//! Nothing in this module panics on any input.

use std::borrow::Cow;

use k485_proto::record::{Direction, Time};

mod parse;
#[cfg(test)]
mod tests;

pub(crate) use parse::excerpt;

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// The line's number in its file, from 1.
    pub line: u64,
    /// Where the line begins in its file, in bytes.
    pub offset: u64,
    /// When it was written, by the printer's clock; `None` where the line tells no time.
    pub time: Option<Time>,
    /// Where in the running program it happened.
    pub context: Context,
    /// What happened.
    pub kind: Kind<'a>,
}

/// Where in the running program an event happened: told by k485's own tracer, nothing of it by
/// others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Context {
    /// The event's number in the stream.
    pub seq: Option<u64>,
    /// The monotonic clock of the printer, in nanoseconds.
    pub mono: Option<i64>,
    /// The thread.
    pub tid: Option<u64>,
    /// The greenlet.
    pub gid: Option<u64>,
    /// The id of the call within which it happened; `None` outside of any, or where not told.
    pub parent: Option<u64>,
    /// How many calls are around it.
    pub depth: Option<u32>,
}

impl Context {
    /// Whether the tracer tells which call is within which.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.parent.is_some() || self.depth.is_some() || self.gid.is_some() || self.tid.is_some()
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A method was called.
    Call {
        /// Shared with the event that ends the call; restarts with the host.
        id: u64,
        /// Which method of which object.
        site: Site<'a>,
        /// The arguments as one text: `{'_bytes': '0103ff0a'}, 3600`. Bare strings in it are not
        /// quoted, so a comma may be part of one. Arguments that are no text are given as JSON.
        args: Cow<'a, str>,
        /// The arguments as a JSON list, where the tracer tells them so.
        argv: Option<Cow<'a, str>>,
        /// The named arguments as a JSON object, where the tracer tells them so.
        kw: Option<Cow<'a, str>>,
    },
    /// A call returned.
    Return {
        /// As in the call.
        id: u64,
        /// As in the call.
        site: Site<'a>,
        /// The result as JSON text, unparsed; `null` where it lacks.
        result: Cow<'a, str>,
        /// How long the call took, in nanoseconds; negative when the clock went back.
        duration: Option<i64>,
    },
    /// A call raised an exception.
    Error {
        /// As in the call.
        id: u64,
        /// As in the call.
        site: Site<'a>,
        /// The exception's text.
        error: Cow<'a, str>,
        /// The exception's type; empty where the line has none.
        exc_type: Cow<'a, str>,
        /// The traceback's text.
        traceback: Cow<'a, str>,
        /// How long the call took, in nanoseconds; negative when the clock went back.
        duration: Option<i64>,
    },
    /// An attribute was read.
    AttrRead {
        /// The object's label; empty where the line has none.
        object: Cow<'a, str>,
        /// The object's class; empty where the line has none.
        class: Cow<'a, str>,
        /// The way from the object to the attribute's owner; empty where the line has none.
        path: Cow<'a, str>,
        /// The attribute's name.
        attr: Cow<'a, str>,
        /// The value as JSON text, unparsed; `null` where it lacks.
        value: Cow<'a, str>,
    },
    /// A client connected to the tracer. The lists of objects in the line, up to 40 kB, are not
    /// taken.
    Connected {
        /// The tracer's greeting.
        message: Cow<'a, str>,
        /// The number of its events' schema, from 1; only k485's own tracer has one.
        schema: Option<u64>,
    },
    /// The tracer had no room for events.
    Dropped {
        /// How many.
        count: u64,
    },
    /// An event of which the tracer could tell no more than its place.
    Lost {
        /// Why.
        reason: Cow<'a, str>,
    },
    /// A generator gave a value, or a coroutine waits: its call is left until it is entered again.
    Yield {
        /// The call's id.
        id: u64,
        /// Which method of which object.
        site: Site<'a>,
    },
    /// A person marked this moment.
    Mark {
        /// What the mark is called.
        name: Cow<'a, str>,
    },
    /// Bytes that a call gave to the bus, or got from it.
    Frame {
        /// The bus's object; its method is empty.
        site: Site<'a>,
        /// Which way.
        direction: Direction,
        /// The bytes as hex digits.
        bytes: Cow<'a, str>,
    },
    /// The client was not connected: what happened meanwhile is not in the trace.
    Gap {
        /// When the last event before it was written; `None` where there was none.
        from: Option<Time>,
        /// When the stream went on; `None` where it did not.
        to: Option<Time>,
        /// Why.
        reason: Cow<'a, str>,
    },
    /// Any other type, by its name: `trace_enabled`, `deep_traces_enabled`, `gcode_line`, ….
    Other(Cow<'a, str>),
}

/// A method of an object. Each is empty where the line does not tell it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Site<'a> {
    /// The object's label in the host, as `serial_485 serial485`. Two objects of one class can be
    /// mixed up: see [`crate::open`].
    pub object: Cow<'a, str>,
    /// Its class.
    pub class: Cow<'a, str>,
    /// The method.
    pub method: Cow<'a, str>,
}

/// Why a line is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The line is no JSON.
    #[error("no JSON at column {column}: {what}")]
    Json {
        /// Where the parser stopped, in bytes from 1.
        column: usize,
        /// What it says.
        what: String,
    },
    /// The line is JSON, but no object.
    #[error("no JSON object: an event begins with '{{'")]
    NotObject,
    /// The object lacks what its type asks for.
    #[error("{kind:?} event without {field:?}")]
    Lacks {
        /// The event's type; empty if that is what lacks.
        kind: String,
        /// The field.
        field: &'static str,
    },
    /// A field holds something else than it should.
    #[error("{field:?} is {found}, wanted is {wanted}")]
    Field {
        /// The field.
        field: &'static str,
        /// The beginning of what is there.
        found: String,
        /// What should be there.
        wanted: &'static str,
    },
}

impl Event<'_> {
    /// Whether its tracer is one that tells every call once, as k485's own does: it tells more than
    /// other tracers do. See [`crate::open`].
    #[must_use]
    pub fn is_told_once(&self) -> bool {
        self.context.seq.is_some() || self.context.is_told()
    }
}

impl Kind<'_> {
    /// The kind with every text copied.
    #[must_use]
    pub fn into_owned(self) -> Kind<'static> {
        match self {
            Kind::Call { id, site, args, argv, kw } => Kind::Call {
                id,
                site: site.into_owned(),
                args: owned(args),
                argv: argv.map(owned),
                kw: kw.map(owned),
            },
            Kind::Return { id, site, result, duration } => {
                Kind::Return { id, site: site.into_owned(), result: owned(result), duration }
            }
            Kind::Error { id, site, error, exc_type, traceback, duration } => Kind::Error {
                id,
                site: site.into_owned(),
                error: owned(error),
                exc_type: owned(exc_type),
                traceback: owned(traceback),
                duration,
            },
            Kind::AttrRead { object, class, path, attr, value } => Kind::AttrRead {
                object: owned(object),
                class: owned(class),
                path: owned(path),
                attr: owned(attr),
                value: owned(value),
            },
            Kind::Connected { message, schema } => {
                Kind::Connected { message: owned(message), schema }
            }
            Kind::Dropped { count } => Kind::Dropped { count },
            Kind::Lost { reason } => Kind::Lost { reason: owned(reason) },
            Kind::Yield { id, site } => Kind::Yield { id, site: site.into_owned() },
            Kind::Mark { name } => Kind::Mark { name: owned(name) },
            Kind::Frame { site, direction, bytes } => {
                Kind::Frame { site: site.into_owned(), direction, bytes: owned(bytes) }
            }
            Kind::Gap { from, to, reason } => Kind::Gap { from, to, reason: owned(reason) },
            Kind::Other(name) => Kind::Other(owned(name)),
        }
    }
}

impl Site<'_> {
    /// The site with every text copied.
    #[must_use]
    pub fn into_owned(self) -> Site<'static> {
        Site { object: owned(self.object), class: owned(self.class), method: owned(self.method) }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

//! One line of JSON as an event.

use std::borrow::Cow;

use k485_proto::record::{Direction, Time};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Context, Event, EventError, Kind, Site};
use crate::decimal::scaled;
use crate::scan;

/// The line as JSON sees it. Every value stays text until its type asks for it: `connected` lines
/// are long, and most events are looked at by their method only.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, rename = "type")]
    kind: Value<'a>,
    #[serde(borrow)]
    id: Value<'a>,
    #[serde(borrow)]
    time: Value<'a>,
    #[serde(borrow)]
    object: Value<'a>,
    #[serde(borrow)]
    class: Value<'a>,
    #[serde(borrow)]
    method: Value<'a>,
    #[serde(borrow)]
    args: Value<'a>,
    #[serde(borrow)]
    result: Value<'a>,
    #[serde(borrow)]
    duration_ms: Value<'a>,
    #[serde(borrow)]
    error: Value<'a>,
    #[serde(borrow)]
    traceback: Value<'a>,
    #[serde(borrow)]
    path: Value<'a>,
    #[serde(borrow)]
    attr: Value<'a>,
    #[serde(borrow)]
    value: Value<'a>,
    #[serde(borrow)]
    message: Value<'a>,
    #[serde(borrow)]
    seq: Value<'a>,
    #[serde(borrow)]
    mono: Value<'a>,
    #[serde(borrow)]
    tid: Value<'a>,
    #[serde(borrow)]
    gid: Value<'a>,
    #[serde(borrow)]
    parent: Value<'a>,
    #[serde(borrow)]
    depth: Value<'a>,
    #[serde(borrow)]
    argv: Value<'a>,
    #[serde(borrow)]
    kw: Value<'a>,
    #[serde(borrow)]
    exc_type: Value<'a>,
    #[serde(borrow)]
    count: Value<'a>,
    #[serde(borrow)]
    name: Value<'a>,
    #[serde(borrow)]
    direction: Value<'a>,
    #[serde(borrow)]
    bytes: Value<'a>,
    #[serde(borrow)]
    from: Value<'a>,
    #[serde(borrow)]
    to: Value<'a>,
    #[serde(borrow)]
    reason: Value<'a>,
    #[serde(borrow)]
    schema: Value<'a>,
}

/// A value's JSON text; `None` where it lacks or is `null`.
type Value<'a> = Option<&'a RawValue>;

impl<'a> Event<'a> {
    /// Reads one line, without its line end. `line` and `offset` are only passed on.
    ///
    /// # Errors
    /// [`EventError`]; for types that this module does not know, only when the line is no JSON
    /// object or has no `type`.
    pub fn parse(text: &'a str, line: u64, offset: u64) -> Result<Self, EventError> {
        match scan::event(text) {
            Some((kind, time)) => {
                Ok(Event { line, offset, time: Some(time), context: Context::default(), kind })
            }
            None => Self::parse_json(text, line, offset),
        }
    }

    /// Reads any line: [`Event::parse`] without the short cut.
    pub(crate) fn parse_json(text: &'a str, line: u64, offset: u64) -> Result<Self, EventError> {
        // The parser would take an array for the fields in their order.
        if !text.trim_start_matches([' ', '\t']).starts_with('{') {
            // What is no JSON at all is said so.
            serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(json_error)?;
            return Err(EventError::NotObject);
        }
        let raw: Raw<'a> = serde_json::from_str(text).map_err(json_error)?;
        let Some(kind) = raw.kind else {
            return Err(EventError::Lacks { kind: String::new(), field: "type" });
        };
        let kind = string(kind, "type")?;
        let time = optional_number(raw.time, "time", 9, "a number of seconds");
        let (kind, time) = match raw.body(&kind)? {
            Some(kind) => (kind, time?),
            // A stranger's `time` may be anything.
            None => (Kind::Other(kind), time.ok().flatten()),
        };
        Ok(Event { line, offset, time: time.map(Time), context: raw.context(), kind })
    }

    /// The event with every text copied, so that it outlives the line.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        Event {
            line: self.line,
            offset: self.offset,
            time: self.time,
            context: self.context,
            kind: self.kind.into_owned(),
        }
    }
}

impl<'a> Raw<'a> {
    /// What the type asks for; `None` for a type that is not known.
    fn body(&self, kind: &str) -> Result<Option<Kind<'a>>, EventError> {
        Ok(Some(match kind {
            "call" => Kind::Call {
                id: self.id(kind)?,
                site: self.site()?,
                args: self.args()?,
                argv: self.argv.map(|argv| Cow::Borrowed(argv.get())),
                kw: self.kw.map(|kw| Cow::Borrowed(kw.get())),
            },
            "return" => Kind::Return {
                id: self.id(kind)?,
                site: self.site()?,
                result: json(self.result),
                duration: self.duration()?,
            },
            "error" => Kind::Error {
                id: self.id(kind)?,
                site: self.site()?,
                error: text(self.error, "error")?,
                exc_type: text(self.exc_type, "exc_type")?,
                traceback: text(self.traceback, "traceback")?,
                duration: self.duration()?,
            },
            "attr_read" => Kind::AttrRead {
                object: text(self.object, "object")?,
                class: text(self.class, "class")?,
                path: text(self.path, "path")?,
                attr: text(self.attr, "attr")?,
                value: json(self.value),
            },
            "connected" => {
                let message = text(self.message, "message")?;
                Kind::Connected { message, schema: whole(self.schema) }
            }
            "dropped" => Kind::Dropped {
                count: whole(self.count).ok_or_else(|| match self.count {
                    Some(count) => unfit(count, "count", "a whole number from 0"),
                    None => EventError::Lacks { kind: kind.into(), field: "count" },
                })?,
            },
            // These two may be a stranger's.
            "lost" => Kind::Lost { reason: text(self.reason, "reason").unwrap_or_default() },
            "yield" => match (whole(self.id), self.site()) {
                (Some(id), Ok(site)) => Kind::Yield { id, site },
                _ => return Ok(None),
            },
            "mark" => Kind::Mark { name: text(self.name, "name")? },
            "frame" => Kind::Frame {
                site: self.site()?,
                direction: self.direction(kind)?,
                bytes: text(self.bytes, "bytes")?,
            },
            "gap" => Kind::Gap {
                from: optional_number(self.from, "from", 9, "a number of seconds")?.map(Time),
                to: optional_number(self.to, "to", 9, "a number of seconds")?.map(Time),
                reason: text(self.reason, "reason")?,
            },
            _ => return Ok(None),
        }))
    }

    fn id(&self, kind: &str) -> Result<u64, EventError> {
        let Some(id) = self.id else {
            return Err(EventError::Lacks { kind: kind.into(), field: "id" });
        };
        id.get().parse().map_err(|_| unfit(id, "id", "a whole number from 0"))
    }

    /// What is no number there is left out: it is told beside what an event is.
    fn context(&self) -> Context {
        Context {
            seq: whole(self.seq),
            mono: self.mono.and_then(|mono| scaled(mono.get(), 0)),
            tid: whole(self.tid),
            gid: whole(self.gid),
            // Ids begin at 1; 0 is no call.
            parent: whole(self.parent).filter(|parent| *parent > 0),
            depth: whole(self.depth).and_then(|depth| u32::try_from(depth).ok()),
        }
    }

    fn direction(&self, kind: &str) -> Result<Direction, EventError> {
        let Some(direction) = self.direction else {
            return Err(EventError::Lacks { kind: kind.into(), field: "direction" });
        };
        match direction.get() {
            r#""tx""# => Ok(Direction::Request),
            r#""rx""# => Ok(Direction::Response),
            _ => Err(unfit(direction, "direction", "\"tx\" or \"rx\"")),
        }
    }

    fn site(&self) -> Result<Site<'a>, EventError> {
        Ok(Site {
            object: text(self.object, "object")?,
            class: text(self.class, "class")?,
            method: text(self.method, "method")?,
        })
    }

    fn args(&self) -> Result<Cow<'a, str>, EventError> {
        match self.args {
            Some(args) if !args.get().starts_with('"') => Ok(Cow::Borrowed(args.get())),
            args => text(args, "args"),
        }
    }

    fn duration(&self) -> Result<Option<i64>, EventError> {
        optional_number(self.duration_ms, "duration_ms", 6, "a number of milliseconds")
    }
}

/// A whole number from 0; `None` for anything else.
fn whole(value: Value<'_>) -> Option<u64> {
    value.and_then(|value| value.get().parse().ok())
}

/// A text, or the empty one where it lacks.
fn text<'a>(value: Value<'a>, field: &'static str) -> Result<Cow<'a, str>, EventError> {
    value.map_or(Ok(Cow::Borrowed("")), |value| string(value, field))
}

/// A text, copied only if there are escapes in it.
fn string<'a>(value: &'a RawValue, field: &'static str) -> Result<Cow<'a, str>, EventError> {
    let inner = value.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if memchr::memchr(b'\\', inner.as_bytes()).is_none() => {
            Ok(Cow::Borrowed(inner))
        }
        _ => serde_json::from_str(value.get())
            .map(Cow::Owned)
            .map_err(|_| unfit(value, field, "a text")),
    }
}

fn json(value: Value<'_>) -> Cow<'_, str> {
    Cow::Borrowed(value.map_or("null", RawValue::get))
}

fn optional_number(
    value: Value<'_>,
    field: &'static str,
    shift: i32,
    wanted: &'static str,
) -> Result<Option<i64>, EventError> {
    value
        .map(|value| scaled(value.get(), shift).ok_or_else(|| unfit(value, field, wanted)))
        .transpose()
}

fn unfit(value: &RawValue, field: &'static str, wanted: &'static str) -> EventError {
    EventError::Field { field, found: excerpt(value.get()), wanted }
}

/// The beginning of a text, for a message.
pub(crate) fn excerpt(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

fn json_error(error: serde_json::Error) -> EventError {
    let what = error.to_string();
    // The parser's own place is in the line, which it calls line 1.
    let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
    EventError::Json { column: error.column(), what: what.into() }
}

//! The event schema of a method-call trace: one JSON object a line.
//!
//! | `type` | fields beside `time` (seconds since 1970) |
//! |---|---|
//! | `call` | `id`, `object`, `class`, `method`, `args` (one text, Python's own forms in it) |
//! | `return` | `id`, `object`, `class`, `method`, `result` (any JSON), `duration_ms` |
//! | `error` | as `return`, with `error` and `traceback` in place of `result` |
//! | `attr_read` | `object`, `class`, `path`, `attr`, `value` |
//! | `connected` | `message`, and lists of what is traced |
//!
//! Source: `call`, `return` and `connected` are in captures of a real printer; `error` and
//! `attr_read` are documented by the tracer and were never captured. Its document also shows events
//! without `object`, `class` or `time`, so these may lack. More fields and other types are taken
//! as they come.
//!
//! Nothing in this module panics on any input.

use std::borrow::Cow;

use k485_proto::record::Time;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::decimal::scaled;
use crate::scan;

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// The line's number in its file, from 1.
    pub line: u64,
    /// Where the line begins in its file, in bytes.
    pub offset: u64,
    /// When it was written, by the printer's clock; `None` where the line tells no time.
    pub time: Option<Time>,
    /// What happened.
    pub kind: Kind<'a>,
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
            Some((kind, time)) => Ok(Event { line, offset, time: Some(time), kind }),
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
        Ok(Event { line, offset, time: time.map(Time), kind })
    }

    /// The event with every text copied, so that it outlives the line.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        Event {
            line: self.line,
            offset: self.offset,
            time: self.time,
            kind: self.kind.into_owned(),
        }
    }
}

impl<'a> Raw<'a> {
    /// What the type asks for; `None` for a type that is not known.
    fn body(&self, kind: &str) -> Result<Option<Kind<'a>>, EventError> {
        Ok(Some(match kind {
            "call" => Kind::Call { id: self.id(kind)?, site: self.site()?, args: self.args()? },
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
            "connected" => Kind::Connected { message: text(self.message, "message")? },
            _ => return Ok(None),
        }))
    }

    fn id(&self, kind: &str) -> Result<u64, EventError> {
        let Some(id) = self.id else {
            return Err(EventError::Lacks { kind: kind.into(), field: "id" });
        };
        id.get().parse().map_err(|_| unfit(id, "id", "a whole number from 0"))
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

impl Kind<'_> {
    /// The kind with every text copied.
    #[must_use]
    pub fn into_owned(self) -> Kind<'static> {
        match self {
            Kind::Call { id, site, args } => {
                Kind::Call { id, site: site.into_owned(), args: owned(args) }
            }
            Kind::Return { id, site, result, duration } => {
                Kind::Return { id, site: site.into_owned(), result: owned(result), duration }
            }
            Kind::Error { id, site, error, traceback, duration } => Kind::Error {
                id,
                site: site.into_owned(),
                error: owned(error),
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
            Kind::Connected { message } => Kind::Connected { message: owned(message) },
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Event<'_>, EventError> {
        Event::parse(text, 3, 70)
    }

    fn site(object: &'static str, class: &'static str, method: &'static str) -> Site<'static> {
        Site { object: object.into(), class: class.into(), method: method.into() }
    }

    #[test]
    fn a_call_with_its_time_to_the_last_digit() {
        let line = r#"{"type": "call", "id": 7, "time": 1700000000.1234567, "object": "a b",
            "class": "C", "method": "m", "args": "{'_bytes': '01'}, T2A, \"x\"", "tid": [1]}"#;
        let event = parse(line).unwrap();
        assert_eq!(
            event,
            Event {
                line: 3,
                offset: 70,
                time: Some(Time(1_700_000_000_123_456_700)),
                kind: Kind::Call {
                    id: 7,
                    site: site("a b", "C", "m"),
                    args: "{'_bytes': '01'}, T2A, \"x\"".into()
                },
            }
        );
        let Kind::Call { site: Site { object, .. }, args, .. } = &event.kind else { panic!() };
        assert!(matches!(object, Cow::Borrowed(_)), "no copy without escapes");
        assert!(matches!(args, Cow::Owned(_)));
        assert_eq!(event.clone().into_owned(), event);
    }

    #[test]
    fn returns_and_errors_in_the_short_documented_form() {
        let event = parse(r#"{"type":"return","id":8,"result":{"a":[1, 2]},"duration_ms":1e-05}"#);
        let kind = Kind::Return {
            id: 8,
            site: Site::default(),
            result: r#"{"a":[1, 2]}"#.into(),
            duration: Some(10),
        };
        assert_eq!(event, Ok(Event { line: 3, offset: 70, time: None, kind }));
        let event = parse(r#"{"type":"error","id":9,"object":"o","method":"m","error":"E: x"}"#);
        let kind = Kind::Error {
            id: 9,
            site: site("o", "", "m"),
            error: "E: x".into(),
            traceback: "".into(),
            duration: None,
        };
        assert_eq!(event, Ok(Event { line: 3, offset: 70, time: None, kind }));
        let null = parse(r#"{"type":"return","id":1,"result":null}"#).unwrap();
        assert!(matches!(null.kind, Kind::Return { result, .. } if result == "null"));
    }

    #[test]
    fn the_other_types() {
        let read = r#"{"type":"attr_read","time":5,"object":"o","attr":"x","value":1.50}"#;
        let kind = Kind::AttrRead {
            object: "o".into(),
            class: "".into(),
            path: "".into(),
            attr: "x".into(),
            value: "1.50".into(),
        };
        let time = Some(Time(5_000_000_000));
        assert_eq!(parse(read), Ok(Event { line: 3, offset: 70, time, kind }));
        let hello = parse(r#"{"type":"connected","message":"hi","active_traces":[["a"]]}"#);
        assert_eq!(hello.unwrap().kind, Kind::Connected { message: "hi".into() });
        // Nothing is asked of a type that is not known.
        let other = parse(r#"{"type":"gcode_line","id":"x","time":"noon","object":5}"#).unwrap();
        assert_eq!((other.time, other.kind), (None, Kind::Other("gcode_line".into())));
        let args = parse(r#"{"type":"call","id":1,"args":[{"_bytes": "01"}, 2]}"#).unwrap();
        assert!(matches!(args.kind, Kind::Call { args, .. } if args == r#"[{"_bytes": "01"}, 2]"#));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let lacks = |kind: &str, field| Err(EventError::Lacks { kind: kind.into(), field });
        assert_eq!(parse("{}"), lacks("", "type"));
        assert_eq!(parse(r#"{"type":"call","time":1}"#), lacks("call", "id"));
        assert_eq!(parse(r#"["call", 1]"#), Err(EventError::NotObject));
        assert_eq!(
            parse(r#"{"type":"call","id":-1}"#),
            Err(EventError::Field {
                field: "id",
                found: "-1".into(),
                wanted: "a whole number from 0"
            })
        );
        let long = format!(r#"{{"type":"return","id":1,"duration_ms":"{}"}}"#, "é".repeat(99));
        let message = parse(&long).unwrap_err().to_string();
        let start = "é".repeat(59);
        assert_eq!(
            message,
            format!("\"duration_ms\" is \"{start}…, wanted is a number of milliseconds")
        );
        assert_eq!(
            parse(r#"{"type": "ca"#),
            Err(EventError::Json { column: 12, what: "EOF while parsing a string".into() })
        );
        assert!(matches!(parse("call 1"), Err(EventError::Json { column: 1, .. })));
        let surrogate = r#"{"type":"call","id":1,"args":"\ud800"}"#;
        assert!(matches!(parse(surrogate), Err(EventError::Field { field: "args", .. })));
    }
}

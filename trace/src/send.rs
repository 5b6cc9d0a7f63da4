//! The texts of the send function's calls and returns: bytes and a time-out out of Python's forms.
//!
//! Seen in captures, with what follows the bytes: `, 3600`, `, 2`, `, 0.1, False`, `, 1.0, False`
//! and `, 0.05, retries_en=False`. The number is the time-out of one transmission in seconds.

use k485_proto::deframer::spans;
use k485_proto::frame::{Frame, FrameError, Hex};
use k485_proto::record::{Direction, Origin, Record, Verdict};
use serde::Deserialize;
use std::borrow::Cow;

use crate::decimal::scaled;
use crate::event::excerpt;

/// The tracer cuts bytes after so many, without a mark.
const TRACER_CUT: usize = 250;

/// What a call sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// A frame, whole or bare.
    pub(crate) bytes: Vec<u8>,
    /// Which of the two.
    pub(crate) origin: Origin,
    /// The time-out of one transmission, in milliseconds.
    pub(crate) timeout_ms: Option<u32>,
}

/// What a call gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Bytes, at least one.
    Bytes(Vec<u8>),
    /// Nothing.
    Nothing,
    /// An exception.
    Raised,
}

/// Why a call's text tells no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the arguments do not begin with {{'_bytes': '…'}}: {0:?}")]
    NoBytes(String),
    #[error("the bytes are no hex pairs: {0:?}")]
    NoHex(String),
    #[error("the tracer cut the bytes: {0:?}")]
    Marked(String),
    #[error("the tracer cut the bytes after {TRACER_CUT}")]
    Cut,
    #[error("{hex} is no frame without head and CRC: {error}")]
    NoFrame { hex: String, error: FrameError },
}

/// Why a return's result tells no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplyError {
    #[error("neither null nor {{\"_bytes\": \"…\"}}: {0}")]
    Unknown(String),
    #[error("the bytes are no hex pairs: {0:?}")]
    NoHex(String),
}

/// Reads a call's arguments.
pub(crate) fn request(args: &str) -> Result<Request, RequestError> {
    let (digits, rest) = leading_bytes(args).ok_or_else(|| RequestError::NoBytes(excerpt(args)))?;
    if digits.ends_with("...") {
        return Err(RequestError::Marked(excerpt(digits)));
    }
    let bytes = hex::decode(digits).map_err(|_| RequestError::NoHex(excerpt(digits)))?;
    let timeout_ms = timeout_ms(rest);
    // A bare frame to an address F7, which nobody has, would need a fitting CRC to be taken for a
    // whole one; a whole one to address 05 or 11 may look bare by its length.
    let origin = if Frame::from_bytes(&bytes).is_ok() { Origin::Wire } else { Origin::Bare };
    if origin == Origin::Bare {
        match Frame::from_bare(&bytes) {
            Ok(_) => {}
            Err(FrameError::Truncated { .. }) if bytes.len() == TRACER_CUT => {
                return Err(RequestError::Cut);
            }
            Err(error) => {
                let hex = excerpt(&Hex(&bytes).to_string());
                return Err(RequestError::NoFrame { hex, error });
            }
        }
    }
    Ok(Request { bytes, origin, timeout_ms })
}

/// A stretch of bytes that a `frame` event told.
type Part = (Vec<u8>, Origin, Verdict);

/// Reads the bytes of a `frame` event: a request is one frame, whole or bare; a response is taken
/// apart as any stream is.
pub(crate) fn frame(digits: &str, direction: Direction) -> Result<Vec<Part>, RequestError> {
    let bytes = hex::decode(digits).map_err(|_| RequestError::NoHex(excerpt(digits)))?;
    if direction == Direction::Request && Frame::from_bytes(&bytes).is_err() {
        return match Frame::from_bare(&bytes) {
            Ok(_) => Ok(vec![(bytes, Origin::Bare, Verdict::Frame)]),
            Err(error) => Err(RequestError::NoFrame { hex: excerpt(digits), error }),
        };
    }
    let record = |span| Record::of_span(&span);
    let part = |Record { bytes, verdict, .. }| (bytes, Origin::Wire, verdict);
    Ok(spans(&bytes).map(record).map(part).collect())
}

/// The hex digits of the first argument, and what follows it. The argument may be named, and all
/// of them in brackets; quotes may be Python's or JSON's.
fn leading_bytes(args: &str) -> Option<(&str, &str)> {
    let args = args.trim_start();
    let args = args.strip_prefix('[').unwrap_or(args);
    let args = match args.split_once('=') {
        Some((name, rest)) if is_name(name) => rest,
        _ => args,
    };
    let inner = args.strip_prefix('{')?.trim_start();
    let inner = unquoted(inner, "_bytes")?.trim_start();
    let inner = inner.strip_prefix(':')?.trim_start();
    let quote = inner.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let (digits, rest) = inner[1..].split_once(quote)?;
    let (_, rest) = rest.split_once('}')?;
    Some((digits, rest))
}

/// What follows `word` in either quotes.
fn unquoted<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    ['\'', '"']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_prefix(word)?.strip_prefix(quote))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The time-out among the arguments behind the bytes: the first one, or the one so named.
fn timeout_ms(rest: &str) -> Option<u32> {
    let rest = rest.trim_end().trim_end_matches(']');
    let mut arguments = rest.split(',').map(str::trim).skip(1);
    let first = arguments.next()?;
    let seconds = match first.split_once('=') {
        None => first,
        Some(("timeout", seconds)) => seconds,
        Some(_) => arguments.find_map(|argument| argument.strip_prefix("timeout="))?,
    };
    scaled(seconds, 3).and_then(|millis| u32::try_from(millis).ok())
}

/// Reads a return's result, as JSON text.
pub(crate) fn reply(result: &str) -> Result<Reply, ReplyError> {
    #[derive(Deserialize)]
    struct Bytes<'a> {
        #[serde(rename = "_bytes", borrow)]
        digits: Cow<'a, str>,
    }
    if result == "null" {
        return Ok(Reply::Nothing);
    }
    if !result.starts_with('{') {
        return Err(ReplyError::Unknown(excerpt(result)));
    }
    let Bytes { digits } =
        serde_json::from_str(result).map_err(|_| ReplyError::Unknown(excerpt(result)))?;
    let bytes = hex::decode(&*digits).map_err(|_| ReplyError::NoHex(excerpt(&digits)))?;
    Ok(if bytes.is_empty() { Reply::Nothing } else { Reply::Bytes(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(bytes: &[u8], timeout_ms: Option<u32>) -> Result<Request, RequestError> {
        Ok(Request { bytes: bytes.to_vec(), origin: Origin::Bare, timeout_ms })
    }

    #[test]
    fn the_forms_that_were_seen() {
        let poll = [0x01, 0x03, 0xff, 0x0a];
        for (rest, timeout) in [
            (", 3600", Some(3_600_000)),
            (", 2", Some(2000)),
            (", 0.1, False", Some(100)),
            (", 1.0, False", Some(1000)),
            (", 0.05, retries_en=False", Some(50)),
            ("", None),
            (", True", None),
            (", None, False", None),
            (", -1", None),
            (", 1e9", None),
            (", retries_en=False, timeout=0.25", Some(250)),
            (", timeout=3", Some(3000)),
            (", retries_en=False", None),
        ] {
            assert_eq!(request(&format!("{{'_bytes': '0103ff0a'}}{rest}")), bare(&poll, timeout));
        }
    }

    #[test]
    fn quotes_names_and_brackets() {
        let poll = [0x01, 0x03, 0xff, 0x0a];
        for args in [
            r#"[{"_bytes": "0103FF0A"}, 2]"#,
            r#"data={'_bytes':'0103ff0a'}, timeout=2"#,
            r#"{ "_bytes" : "0103ff0a", "_len": 4 }, 2"#,
        ] {
            assert_eq!(request(args), bare(&poll, Some(2000)), "{args}");
        }
    }

    #[test]
    fn a_whole_frame_is_taken_as_such() {
        let whole = request("{'_bytes': 'f70103ff0a5c'}, 2").unwrap();
        assert_eq!(whole.origin, Origin::Wire);
        assert_eq!(whole.bytes, [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c]);
        // To address 05 it has the length of a bare one to F7 as well.
        let both = Frame::to_vec(
            k485_proto::address::Address(5),
            k485_proto::status::Status::REQUEST,
            0x0a,
            &[],
        )
        .unwrap();
        assert!(Frame::is_bare(&both));
        let args = format!("{{'_bytes': '{}'}}", Hex(&both));
        assert_eq!(request(&args).unwrap().origin, Origin::Wire);
    }

    #[test]
    fn what_is_no_request() {
        let error = |args: &str| request(args).unwrap_err();
        for args in ["", "None", "'0103ff0a', 2", "{'_bytes': 01}", "{'_bytes': '01", "x={}", "["] {
            assert_eq!(error(args), RequestError::NoBytes(args.into()));
        }
        assert_eq!(error("{'_bytes': '010'}"), RequestError::NoHex("010".into()));
        assert_eq!(error("{'_bytes': '01ff...'}"), RequestError::Marked("01ff...".into()));
        let cut = format!("{{'_bytes': '01ffff10{}'}}", "00".repeat(246));
        assert_eq!(error(&cut), RequestError::Cut);
        assert_eq!(
            error("{'_bytes': '0104ff0a'}").to_string(),
            "0104ff0a is no frame without head and CRC: truncated: 4 bytes, a frame needs 5"
        );
        // The longest whole ones fit.
        let long = format!("{{'_bytes': '01ffff10{}'}}", "00".repeat(252));
        assert_eq!(request(&long).unwrap().bytes.len(), 256);
        let long = format!("{{'_bytes': '01f9ff10{}'}}", "00".repeat(246));
        assert_eq!(request(&long).unwrap().bytes.len(), 250);
    }

    #[test]
    fn replies() {
        assert_eq!(reply("null"), Ok(Reply::Nothing));
        assert_eq!(reply(r#"{"_bytes": ""}"#), Ok(Reply::Nothing));
        assert_eq!(
            reply(r#"{"_bytes": "f7\u0030A", "_len": 2}"#),
            Ok(Reply::Bytes(vec![0xf7, 10]))
        );
        assert_eq!(reply(r#"{"_bytes": "f"}"#), Err(ReplyError::NoHex("f".into())));
        for result in ["true", "\"f7\"", "{}", "[1]", r#"{"_bytes": 5}"#, r#"["f7"]"#] {
            assert_eq!(reply(result), Err(ReplyError::Unknown(result.into())));
        }
    }
}

//! The stream of a tracer, as its bytes come: lines of JSON, or the compact form that k485's own
//! tracer changes to when it is asked (docs/trace-wire.md). Both give the same lines.
//!
//! A line is JSON that a file can keep; the events in it are read by [`Event`](crate::Event).
//! Nothing that comes is left out silently: what is no line is a [`Piece::Bad`].
//!
//! Memory: a line of at most [`MAX_LINE`] bytes or a chunk of at most [`MAX_CHUNK`], and
//! [`MAX_LABELS`] labels.

mod chunk;
mod marshal;
mod python;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use memchr::memchr;
use serde::Deserialize;

use crate::reader::{MAX_LINE, quote_constants};
use chunk::Chunks;

/// The largest chunk, in bytes. A tracer's own has some hundred kilobytes.
pub const MAX_CHUNK: usize = 16 << 20;
/// The most labels of a stream; a host has some thousand methods.
pub const MAX_LABELS: usize = 1 << 20;

/// The first line that a client may send, to be served in the compact form, and its token.
#[must_use]
pub fn hello(binary: bool, token: Option<&str>) -> String {
    let mut hello = serde_json::json!({"k485": "hello"});
    if binary {
        hello["wire"] = "binary".into();
    }
    if let Some(token) = token {
        hello["token"] = token.into();
    }
    format!("{hello}\n")
}

/// What a tracer says of itself when a client connects.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Greeting {
    /// The number of its events' schema; other tracers have none.
    pub schema: Option<u64>,
    /// The forms it can change to, with their versions.
    pub wire: std::collections::BTreeMap<String, u64>,
    /// Its version.
    pub version: Option<String>,
    /// The process it runs in.
    pub pid: Option<u64>,
    /// The number of its next event.
    pub seq: Option<u64>,
}

impl Greeting {
    /// Reads a `connected` line.
    #[must_use]
    pub fn of(line: &str) -> Greeting {
        serde_json::from_str(line).unwrap_or_default()
    }

    /// Whether it can be asked for the compact form. Others must not be sent a single byte: there
    /// are tracers whose host ends at the first one.
    #[must_use]
    pub fn speaks_binary(&self) -> bool {
        self.schema.is_some() && self.wire.get("binary") == Some(&chunk::VERSION)
    }
}

/// What comes out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A line of JSON, without its end.
    Line(String),
    /// Something that is no line.
    Bad {
        /// Why.
        why: String,
        /// Its beginning.
        text: String,
    },
    /// The tracer refuses to serve, and says why.
    Refused(String),
    /// The stream makes no sense from here on: connect anew.
    Broken(String),
}

/// Takes a stream apart.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What came and is not taken yet, from `at` on.
    buf: Vec<u8>,
    at: usize,
    /// So far there is no newline.
    searched: usize,
    /// The bytes of a line that is too long and being skipped.
    skipping: Option<usize>,
    chunks: Option<Chunks>,
    out: VecDeque<Piece>,
    is_broken: bool,
}

impl Decoder {
    /// At the beginning of a connection.
    #[must_use]
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Whether the stream is in the compact form.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.chunks.is_some()
    }

    /// Takes bytes as they came. Pull all pieces before the next ones.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.is_broken {
            return;
        }
        if self.at > 0 {
            self.buf.drain(..self.at);
            self.searched -= self.at.min(self.searched);
            self.at = 0;
        }
        self.buf.extend_from_slice(bytes);
    }

    /// The next piece; `None` until more is pushed.
    pub fn pull(&mut self) -> Option<Piece> {
        loop {
            if let Some(piece) = self.out.pop_front() {
                return Some(piece);
            }
            if self.is_broken {
                return None;
            }
            if self.chunks.is_some() {
                self.chunk()?;
            } else {
                self.line()?;
            }
        }
    }

    /// The connection ended: gives what is left, which is torn.
    pub fn finish(&mut self) -> Vec<u8> {
        let rest = self.buf.split_off(self.at);
        self.buf.clear();
        (self.at, self.searched) = (0, 0);
        rest
    }

    /// Takes one line; `None` if it is not there yet.
    fn line(&mut self) -> Option<()> {
        let from = self.searched.max(self.at);
        let Some(end) = memchr(b'\n', &self.buf[from..]).map(|end| from + end) else {
            self.searched = self.buf.len();
            if self.buf.len() - self.at > MAX_LINE {
                *self.skipping.get_or_insert(0) += self.buf.len() - self.at;
                self.buf.clear();
                (self.at, self.searched) = (0, 0);
            }
            return None;
        };
        let line = self.buf[self.at..end].to_vec();
        (self.at, self.searched) = (end + 1, end + 1);
        let size = self.skipping.take().unwrap_or(0) + line.len();
        if size > MAX_LINE {
            let why = format!("a line of {size} bytes, the most is {MAX_LINE}; skipped");
            self.out.push_back(Piece::Bad { why, text: String::new() });
            return Some(());
        }
        self.take_line(&line);
        Some(())
    }

    fn take_line(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        let quoted = quote_constants(line);
        let line = quoted.as_deref().unwrap_or(line);
        let parsed = std::str::from_utf8(line)
            .map_err(|error| format!("no UTF-8 from byte {} on", error.valid_up_to() + 1))
            .and_then(|text| {
                let head: Head = serde_json::from_str(text).map_err(|error| error.to_string())?;
                Ok((text, head))
            });
        match parsed {
            Ok((text, head)) => match head.kind.as_deref() {
                Some("refused") => {
                    self.out.push_back(Piece::Refused(head.message.unwrap_or_default()))
                }
                Some("wire") if head.wire.as_ref().is_some_and(|wire| wire == "binary") => {
                    if head.version == Some(chunk::VERSION.into()) {
                        self.chunks = Some(Chunks::default());
                    } else {
                        self.broken(
                            "a compact form that k485 does not know; update k485".to_owned(),
                        );
                    }
                }
                _ => self.out.push_back(Piece::Line(text.to_owned())),
            },
            Err(why) => {
                let text = String::from_utf8_lossy(line);
                let text = text.chars().take(2_000).collect();
                self.out.push_back(Piece::Bad { why, text });
            }
        }
    }

    /// Takes one chunk; `None` if it is not there yet.
    fn chunk(&mut self) -> Option<()> {
        let rest = &self.buf[self.at..];
        let (head, body) = rest.split_at_checked(chunk::HEAD)?;
        let [kind, size @ ..] = head else { return None };
        let size = u32::from_le_bytes(size.try_into().ok()?) as usize;
        if size > MAX_CHUNK {
            self.broken(format!("a chunk of {size} bytes, the most is {MAX_CHUNK}"));
            return Some(());
        }
        let body = body.get(..size)?;
        let chunks = self.chunks.as_mut()?;
        let result = chunks.take(*kind, body, &mut self.out);
        self.at += chunk::HEAD + size;
        if let Err(why) = result {
            self.broken(why);
        }
        Some(())
    }

    fn broken(&mut self, why: String) {
        self.is_broken = true;
        self.out.push_back(Piece::Broken(why));
    }
}

/// What is looked at of every line.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<std::borrow::Cow<'a, str>>,
    message: Option<String>,
    /// A `connected` line has an object there.
    wire: Option<serde_json::Value>,
    version: Option<serde_json::Value>,
}

//! The HTTP face of a bus: what `emulate --control` and `sniff --page` share.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use k485_proto::dialect::Dialect;
use k485_proto::exchange::Seen;
use k485_proto::line::{self, Role, Word};
use k485_sniffer::format::jsonl;
use k485_web::{Backend, Config, Feed, Kind, OpenError, Server, Token};
use serde::Serialize;
use serde_json::Value;

use crate::runtime::{Found, Note};
use crate::view;

/// Where it is found, as long as that is free; else at one of the next ports.
const PORT: u16 = 4850;
/// How many ports are tried.
const PORTS: u16 = 50;
/// Bytes of noise shown in a line.
const NOISE_SHOWN: usize = 16;

/// Where a face is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the usual place, or one of the next ports.
    Usual,
    /// There and nowhere else.
    At(SocketAddr),
}

/// `ADDRESS:PORT`, or nothing for the usual place.
impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        if text.is_empty() {
            return Ok(Place::Usual);
        }
        let wrong = |_| {
            format!(
                "write an address and a port, such as 127.0.0.1:{PORT}, or nothing (what else belongs \
                 to the command goes before it)"
            )
        };
        text.parse().map(Place::At).map_err(wrong)
    }
}

/// A ring of what the bus carries, written as pages and programs read it: as JSON lines are, with the
/// line that a screen would show as `text`, the same as `words` of a role and a text, and what to
/// think of it as `mark`.
pub(crate) fn feed() -> Arc<Feed> {
    Arc::new(Feed::new(write))
}

/// What such a feed holds.
pub(crate) fn is_shown(seen: &Seen) -> bool {
    view::shows(seen, false)
}

fn write(seen: &Seen) -> String {
    let mut writer = jsonl::Writer::new(Vec::new());
    let (written, words) = match seen {
        Seen::Exchange(exchange) => (writer.exchange(exchange), line::exchange(exchange)),
        Seen::Frame(frame) | Seen::Lone(frame) => (writer.frame(frame), line::frame(frame)),
        Seen::Noise(record) => (writer.noise(record), line::noise(record, NOISE_SHOWN)),
        Seen::Gap(record) => (writer.gap(record), line::gap(record)),
    };
    // Writing to memory does not fail.
    let json = written.map(|()| writer.into_inner()).unwrap_or_default();
    let json = String::from_utf8_lossy(&json);
    let object = json.trim_end().strip_suffix('}').unwrap_or("{\"type\":\"none\"");
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let text = Value::from(texts.join(" "));
    let parts: Vec<[&str; 2]> = words.iter().map(|word| [role(word.role), &word.text]).collect();
    let parts = serde_json::to_string(&parts).unwrap_or_default();
    format!("{object},\"text\":{text},\"words\":{parts},\"mark\":\"{}\"}}", mark(&words))
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Plain => "plain",
        Role::Minor => "minor",
        Role::Device => "device",
        Role::Function => "function",
        Role::Good => "good",
        Role::Bad => "bad",
        Role::Warn => "warn",
    }
}

/// What to think of a line: the gravest of its words.
fn mark(words: &[Word]) -> &'static str {
    let any = |role: Role| words.iter().any(|word| word.role == role);
    if any(Role::Bad) {
        "bad"
    } else if any(Role::Warn) {
        "warn"
    } else {
        "good"
    }
}

/// What the first line on stdout tells of it; never the token.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Told {
    /// The page's URL.
    pub(crate) url: String,
    /// Where the token is.
    pub(crate) token_file: Option<PathBuf>,
}

/// An open face. It closes when it is dropped.
pub(crate) struct Face {
    server: Server,
    token: Token,
    token_file: Option<PathBuf>,
    /// For `k485 ctl`.
    _note: Option<Note>,
}

impl Face {
    /// Opens it there, or at the usual place.
    pub(crate) fn open(
        place: Place,
        token_file: Option<&Path>,
        backend: Arc<dyn Backend>,
        feed: &Arc<Feed>,
        dialect: &'static Dialect,
    ) -> anyhow::Result<Face> {
        let token = token_file.map_or_else(Token::random, Token::of_file)?;
        let open = |place| {
            let (backend, feed) = (Arc::clone(&backend), Arc::clone(feed));
            Server::open(place, Config { backend, feed, dialect, token: token.clone() })
        };
        let server = match place {
            Place::At(place) => open(place)?,
            Place::Usual => usual(open)?,
        };
        let found = Found { url: server.url(), token: token.as_str().to_owned() };
        // It serves all the same to whoever is told the URL.
        let leave = || Note::leave(&found);
        let note = (backend.kind() == Kind::Emulator).then(leave).transpose();
        let _note = note.unwrap_or_else(|error| {
            eprintln!("k485: k485 ctl needs --url here: {error:#}");
            None
        });
        Ok(Face { server, token, token_file: token_file.map(Path::to_owned), _note })
    }

    /// What programs are told.
    pub(crate) fn told(&self) -> Told {
        Told { url: self.server.url(), token_file: self.token_file.clone() }
    }

    /// The page's URL with the token, which browsers keep to themselves.
    pub(crate) fn page(&self) -> String {
        format!("{}#token={}", self.server.url(), self.token.encoded())
    }
}

/// The first free one of the usual ports.
fn usual(open: impl Fn(SocketAddr) -> Result<Server, OpenError>) -> Result<Server, OpenError> {
    let place = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    for port in PORT..PORT + PORTS {
        match open(place(port)) {
            Err(OpenError::Listen { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {}
            opened => return opened,
        }
    }
    open(place(0))
}

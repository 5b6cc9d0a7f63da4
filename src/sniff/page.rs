//! `--page`: a bus that is listened to, on the live page. It can only be looked at.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::bail;
use k485_proto::dialect::Dialect;
use k485_proto::exchange::Seen;
use k485_sniffer::portrait::Portrait;
use k485_web::{Backend, Feed, Kind, Refusal};
use serde_json::{Map, Value, json};

use crate::face::{self, Face};

/// How many things wait at most, where a source is faster than a bus.
const AT_ONCE: usize = 256;

/// What the page is opened with.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Page")]
pub(crate) struct PageArgs {
    /// Show the bus on a page, read only (docs/page.md); at 127.0.0.1:4850 or the next free port
    /// where none is given
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "")]
    page: Option<face::Place>,
    /// Keep the token that a page on another address than this machine's needs in this file; it is
    /// made, with mode 0600, where it is not there
    #[arg(long, value_name = "PATH", requires = "page")]
    token_file: Option<PathBuf>,
}

impl PageArgs {
    /// Opens the page, if there is to be one; and what to tell of where it is.
    pub(super) fn open(
        &self,
        ports: &[String],
        dialect: &'static Dialect,
    ) -> anyhow::Result<Option<(Page, String)>> {
        let Some(place) = self.page else { return Ok(None) };
        if let [_, _, ..] = ports {
            bail!("--page shows one bus: name one port, and run k485 sniff once for each");
        }
        let feed = face::feed();
        let shown = Arc::new(Shown { portrait: Mutex::default(), ports: ports.to_vec() });
        let backend: Arc<dyn Backend> = Arc::clone(&shown) as _;
        let face = Face::open(place, self.token_file.as_deref(), backend, &feed, dialect)?;
        let told = format!("page: {}", face.page());
        Ok(Some((Page { feed, shown, waiting: Vec::new(), _face: face }, told)))
    }
}

/// The page of a bus. It closes when it is dropped.
pub(super) struct Page {
    feed: Arc<Feed>,
    shown: Arc<Shown>,
    /// What was seen and is not on the page yet.
    waiting: Vec<Seen>,
    _face: Face,
}

/// What stands behind the page.
struct Shown {
    portrait: Mutex<Portrait>,
    ports: Vec<String>,
}

impl Page {
    /// Takes what was seen.
    pub(super) fn seen(&mut self, seen: &Seen) {
        self.waiting.push(seen.clone());
        if self.waiting.len() >= AT_ONCE {
            self.show();
        }
    }

    /// Shows what was taken.
    pub(super) fn show(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut portrait = self.shown.portrait.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.iter().for_each(|seen| portrait.see(seen));
        drop(portrait);
        self.feed.push(self.waiting.drain(..).filter(face::is_shown));
    }
}

impl Backend for Shown {
    fn kind(&self) -> Kind {
        Kind::Bus
    }

    fn state(&self) -> Result<Map<String, Value>, Refusal> {
        let portrait = self.portrait.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let endpoint = |name: &String| json!({ "kind": "port", "path": name });
        let endpoints = self.ports.iter().map(endpoint).collect();
        Ok(Map::from_iter([
            ("bus".to_owned(), json!(portrait)),
            ("endpoints".to_owned(), Value::Array(endpoints)),
            ("faults".to_owned(), json!([])),
            ("scene".to_owned(), Value::Null),
        ]))
    }
}

//! The stream: what the bus carries and how things are, as it happens, over a WebSocket.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use futures_util::SinkExt;
use k485_proto::filter::Filter;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, interval, timeout};

use crate::access::PROTOCOL;
use crate::feed::Item;
use crate::refusal::{Refusal, Wrong};
use crate::routes::{Hub, Shared, number, read_only};

/// The largest message that a page may send: none means anything.
const LARGEST: usize = 4096;
/// How many things are written at once.
const CHUNK: usize = 64;
/// How often the state is looked at while somebody follows it.
const LOOK: Duration = Duration::from_millis(100);
/// How long a state stands whose clock and counters alone have changed.
const STALE: Duration = Duration::from_secs(1);
/// How often a page is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);
/// How long a page may take nothing before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is followed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    after: Option<u64>,
    filter: Option<String>,
}

/// Begins a stream.
pub(crate) async fn follow(
    State(shared): Hub,
    which: Result<Query<Which>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let malformed = |text: String| Refusal::new(Wrong::Malformed, text);
    let Query(which) = which.map_err(|error| malformed(error.body_text()))?;
    number(which.after)?;
    let filter = shared.filter(which.filter.as_deref())?;
    let upgrade = upgrade
        .map_err(|error| malformed(format!("this is a WebSocket: {}", error.body_text())))?
        .protocols([PROTOCOL])
        .max_message_size(LARGEST)
        .max_frame_size(LARGEST);
    let Ok(place) = Arc::clone(&shared.streams).try_acquire_owned() else {
        let message = "too many streams are open; close some";
        return Err(Refusal::new(Wrong::Conflict, message));
    };
    shared.ask(|backend| Ok(backend.catch_up())).await?;
    let after = which.after.unwrap_or_else(|| shared.feed.last());
    Ok(upgrade.on_upgrade(move |socket| async move {
        // A page that is gone is nobody's failure.
        let _ = Stream { shared, socket, filter, cursor: after }.run().await;
        drop(place);
    }))
}

struct Stream {
    shared: Arc<Shared>,
    socket: WebSocket,
    filter: Option<Filter>,
    cursor: u64,
}

impl Stream {
    async fn run(mut self) -> Result<(), axum::Error> {
        let mut news = self.shared.feed.news();
        let mut states = self.shared.states.subscribe();
        self.shared.follower.notify_one();
        let hello = json!({
            "type": "hello",
            "run": self.shared.run,
            "kind": self.shared.backend.kind(),
            "read_only": read_only(self.shared.backend.as_ref()),
            "version": env!("CARGO_PKG_VERSION"),
            "last_seq": self.shared.feed.last(),
        });
        self.feed([hello.to_string()]).await?;
        if let Ok(state) = self.shared.state().await {
            self.feed([message(state)]).await?;
        }
        let mut ping = interval(PING);
        ping.reset();
        // What is there already.
        news.mark_changed();
        loop {
            tokio::select! {
                changed = news.changed() => match changed {
                    Ok(()) => self.exchanges().await?,
                    Err(_) => return Ok(()),
                },
                changed = states.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let state = states.borrow_and_update().to_string();
                    self.feed([state]).await?;
                }
                said = self.socket.recv() => match said {
                    // What a page says means nothing; pings are answered by the library.
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                    Some(Ok(_)) => {}
                },
                _ = ping.tick() => self.send([Message::Ping(axum::body::Bytes::new())]).await?,
            }
        }
    }

    /// All that is new, in parts: what is too slow meanwhile is told how much it missed.
    async fn exchanges(&mut self) -> Result<(), axum::Error> {
        loop {
            let page = self.shared.feed.after(self.cursor, CHUNK);
            self.cursor = page.next;
            let lagged = (page.missed > 0)
                .then(|| json!({ "type": "lagged", "missed": page.missed }).to_string());
            let end = page.items.is_empty();
            let fits = |item: &Arc<Item>| {
                self.filter.as_ref().is_none_or(|filter| filter.matches(&item.seen))
            };
            let json = |item: Arc<Item>| self.shared.feed.json(&item).to_owned();
            let items = page.items.into_iter().filter(fits).map(json);
            let all: Vec<String> = lagged.into_iter().chain(items).collect();
            self.feed(all).await?;
            if end {
                return Ok(());
            }
        }
    }

    async fn feed(&mut self, all: impl IntoIterator<Item = String>) -> Result<(), axum::Error> {
        self.send(all.into_iter().map(|text| Message::Text(Utf8Bytes::from(text)))).await
    }

    /// Sends messages; waits for a page that is slow, but not for ever.
    async fn send(&mut self, all: impl IntoIterator<Item = Message>) -> Result<(), axum::Error> {
        let until = Instant::now() + PATIENCE;
        for message in all {
            let left = until.saturating_duration_since(Instant::now());
            timeout(left, self.socket.feed(message)).await.map_err(axum::Error::new)??;
        }
        let left = until.saturating_duration_since(Instant::now());
        timeout(left, self.socket.flush()).await.map_err(axum::Error::new)?
    }
}

/// A state as the stream tells it.
fn message(state: Map<String, Value>) -> String {
    json!({ "type": "state", "state": state }).to_string()
}

/// Looks at the state while somebody follows it, and tells it when it has changed.
pub(crate) async fn watch_state(shared: Arc<Shared>) {
    let mut last = Value::Null;
    let mut told = Instant::now();
    loop {
        while shared.states.receiver_count() == 0 {
            shared.follower.notified().await;
        }
        if let Ok(state) = shared.state().await {
            let still = without_counters(&state);
            if still != last || told.elapsed() >= STALE {
                last = still;
                told = Instant::now();
                let _ = shared.states.send(Arc::from(message(state)));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A state but for what changes all the time.
fn without_counters(state: &Map<String, Value>) -> Value {
    let mut state = state.clone();
    for key in ["tally", "last_seq"] {
        state.remove(key);
    }
    for (part, keys) in [("clock", &["time", "elapsed"][..]), ("bus", &["time"])] {
        if let Some(Value::Object(part)) = state.get_mut(part) {
            keys.iter().for_each(|key| drop(part.remove(*key)));
        }
    }
    Value::Object(state)
}

//! What can be asked for, and what is answered.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use k485_proto::dialect::Dialect;
use k485_proto::filter::Filter;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, Semaphore, watch};

use crate::access::Access;
use crate::backend::{Backend, ClockChange, ClockState, given};
use crate::body::{Body, LARGEST};
use crate::feed::{Feed, Item};
use crate::refusal::{Refusal, Wrong};
use crate::{events, openapi, page, words};

/// The largest number that exchanges are asked for by: what JSON readers keep every digit of.
pub(crate) const LAST: u64 = 1 << 53;
/// How many exchanges are given at once.
pub(crate) const MOST: usize = 1000;
/// How many, where it is not said.
pub(crate) const USUAL: usize = 100;
/// How many are looked through before somebody else has a turn.
const CHUNK: usize = 256;
/// How long exchanges may be waited for, in seconds.
pub(crate) const LONGEST_WAIT: f64 = 30.0;
/// How far one step may go, in ms: an hour.
pub(crate) const LONGEST_STEP: f64 = 3_600_000.0;
/// The slowest and the fastest time.
pub(crate) const SPEEDS: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

/// What pages and programs may do: load what is here, and nothing from elsewhere.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// How many streams there may be at once.
const STREAMS: usize = 64;

/// What all answers are made of.
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) dialect: &'static Dialect,
    pub(crate) access: Access,
    /// The state's text, for those who follow it.
    pub(crate) states: watch::Sender<Arc<str>>,
    /// Somebody begins to follow it.
    pub(crate) follower: Notify,
    /// Room for streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Which run this is: in another one numbers begin anew.
    pub(crate) run: String,
}

pub(crate) type Hub = State<Arc<Shared>>;
type Answer = Result<Json<Value>, Refusal>;

impl Shared {
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        feed: Arc<Feed>,
        dialect: &'static Dialect,
        access: Access,
    ) -> Shared {
        let (states, follower) = (watch::Sender::new(Arc::from("")), Notify::new());
        let streams = Arc::new(Semaphore::new(STREAMS));
        // Without chance the numbers alone have to tell, which they do as a rule.
        let run = format!("{:016x}", getrandom::u64().unwrap_or_default());
        Shared { backend, feed, dialect, access, states, follower, streams, run }
    }

    /// Asks what is behind, on a thread that may wait.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Backend) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let backend = Arc::clone(&self.backend);
        let asked = tokio::task::spawn_blocking(move || question(backend.as_ref())).await;
        asked.unwrap_or_else(|_| Err(Refusal::ended()))
    }

    /// All that there is to see.
    pub(crate) async fn state(&self) -> Result<Map<String, Value>, Refusal> {
        let last = self.feed.last();
        self.ask(move |backend| {
            let mut state = backend.state()?;
            state.insert("kind".to_owned(), json!(backend.kind()));
            state.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
            state.insert("read_only".to_owned(), json!(read_only(backend)));
            state.insert("last_seq".to_owned(), json!(last));
            Ok(state)
        })
        .await
    }

    /// A filter of a query.
    pub(crate) fn filter(&self, text: Option<&str>) -> Result<Option<Filter>, Refusal> {
        let read = |text| {
            let wrong = |error| Refusal::new(Wrong::Unprocessable, format!("the filter: {error}"));
            Filter::parse(text, self.dialect).map_err(wrong)
        };
        text.filter(|text| !text.is_empty()).map(read).transpose()
    }
}

pub(crate) fn read_only(backend: &dyn Backend) -> bool {
    backend.kind() == crate::backend::Kind::Bus
}

/// Everything.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route("/api/v1/state", get(state))
        .route("/api/v1/hands", post(hands))
        .route("/api/v1/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/api/v1/faults/{id}", delete(remove_fault))
        .route("/api/v1/scene", post(scene))
        .route("/api/v1/clock", get(clock).post(set_clock))
        .route("/api/v1/clock/step", post(step))
        .route("/api/v1/exchanges", get(exchanges))
        .route("/api/v1/events", get(events::follow))
        .route("/api/v1/openapi.json", get(document));
    for file in page::FILES {
        let answer = move || async move { ([(header::CONTENT_TYPE, file.mime)], file.text) };
        router = router.route(file.path, get(answer));
    }
    router
        .route("/words.json", get(async || Json(words::words())))
        .fallback(nothing)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}

/// What everything passes: who may ask, and what browsers are told to keep to.
async fn guard(State(shared): Hub, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_api = path.starts_with("/api/");
    let mut response = match shared.access.check(request.method(), path, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, value| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    add(header::CONTENT_SECURITY_POLICY, POLICY);
    add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(header::X_FRAME_OPTIONS, "DENY");
    add(header::REFERRER_POLICY, "no-referrer");
    add(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    add(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    // A page of an older version would speak to a newer server.
    add(header::CACHE_CONTROL, if is_api { "no-store" } else { "no-cache" });
    response
}

async fn nothing(request: Request) -> Refusal {
    let path: String = request.uri().path().chars().take(100).collect();
    let message =
        format!("there is nothing at {path:?}; see /api/v1/openapi.json for what there is");
    Refusal::new(Wrong::NotFound, message)
}

async fn no_such_method(request: Request) -> Refusal {
    let message = format!("{} is nothing that can be done here", request.method());
    Refusal::new(Wrong::Method, message)
}

async fn document(State(shared): Hub) -> Json<Value> {
    Json(openapi::document(shared.backend.as_ref()))
}

async fn state(State(shared): Hub) -> Answer {
    shared.state().await.map(|state| Json(Value::Object(state)))
}

async fn hands(State(shared): Hub, Body(hand): Body<Map<String, Value>>) -> Answer {
    shared.ask(move |backend| backend.act(Value::Object(hand))).await?;
    let state = shared.state().await?;
    Ok(Json(json!({ "state": state })))
}

async fn faults(State(shared): Hub) -> Answer {
    let faults = shared.ask(|backend| backend.faults()).await?;
    Ok(Json(json!({ "faults": faults })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFault {
    rule: String,
}

async fn add_fault(
    State(shared): Hub,
    Body(NewFault { rule }): Body<NewFault>,
) -> Result<Response, Refusal> {
    let id = shared.ask(move |backend| backend.add_fault(&rule)).await?;
    let place = [(header::LOCATION, format!("/api/v1/faults/{id}"))];
    Ok((StatusCode::CREATED, place, Json(json!({ "id": id }))).into_response())
}

async fn remove_fault(
    State(shared): Hub,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Refusal> {
    let Path(text) = id.map_err(|error| Refusal::new(Wrong::Malformed, error.body_text()))?;
    let Ok(id) = text.parse() else {
        let short: String = text.chars().take(40).collect();
        let message = format!("there is no fault {short:?}: write its id, a number");
        return Err(Refusal::new(Wrong::NotFound, message));
    };
    shared.ask(move |backend| backend.remove_fault(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(shared): Hub) -> Result<StatusCode, Refusal> {
    shared.ask(|backend| backend.clear_faults()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewScene {
    #[serde(default, deserialize_with = "given")]
    toml: Option<String>,
}

async fn scene(State(shared): Hub, Body(NewScene { toml }): Body<NewScene>) -> Answer {
    shared.ask(move |backend| backend.set_scene(toml)).await?;
    let state = shared.state().await?;
    Ok(Json(json!({ "state": state })))
}

fn told(clock: ClockState) -> Json<Value> {
    Json(json!(clock))
}

async fn clock(State(shared): Hub) -> Answer {
    shared.ask(|backend| backend.clock()).await.map(told)
}

async fn set_clock(State(shared): Hub, Body(change): Body<ClockChange>) -> Answer {
    if let Some(speed) = change.speed.filter(|speed| !SPEEDS.contains(speed)) {
        let message = format!(
            "speed cannot be {speed}: write how many of its seconds a second is, from {} to {}",
            SPEEDS.start(),
            SPEEDS.end()
        );
        return Err(Refusal::new(Wrong::Unprocessable, message));
    }
    shared.ask(move |backend| backend.set_clock(change)).await.map(told)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    ms: f64,
}

async fn step(State(shared): Hub, Body(Step { ms }): Body<Step>) -> Answer {
    if !(0.0..=LONGEST_STEP).contains(&ms) {
        let message = format!("ms cannot be {ms}: write milliseconds from 0 to {LONGEST_STEP}");
        return Err(Refusal::new(Wrong::Unprocessable, message));
    }
    let ns = (ms * 1e6).round() as i64;
    shared.ask(move |backend| backend.step(ns)).await.map(told)
}

/// Which exchanges are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    after: Option<u64>,
    limit: Option<usize>,
    filter: Option<String>,
    wait: Option<f64>,
}

async fn exchanges(
    State(shared): Hub,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Refusal> {
    let wrong = |error: QueryRejection| Refusal::new(Wrong::Malformed, error.body_text());
    let Query(Which { after, limit, filter, wait }) = which.map_err(wrong)?;
    let filter = shared.filter(filter.as_deref())?;
    let limit = limit.unwrap_or(USUAL);
    let wait = wait.unwrap_or(0.0);
    if !(1..=MOST).contains(&limit) {
        let message = format!("limit cannot be {limit}: write a number from 1 to {MOST}");
        return Err(Refusal::new(Wrong::Unprocessable, message));
    }
    number(after)?;
    if !(0.0..=LONGEST_WAIT).contains(&wait) {
        let message = format!("wait cannot be {wait}: write seconds from 0 to {LONGEST_WAIT}");
        return Err(Refusal::new(Wrong::Unprocessable, message));
    }
    shared.ask(|backend| Ok(backend.catch_up())).await?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs_f64(wait);
    let mut news = shared.feed.news();
    let mut found = Found::default();
    let mut cursor = match after {
        Some(after) => after,
        None => start_of_last(&shared.feed, limit, filter.as_ref()).await,
    };
    loop {
        news.borrow_and_update();
        cursor = found.search(&shared.feed, cursor, limit, filter.as_ref()).await;
        if !found.items.is_empty() {
            break;
        }
        // The feed ends only with the server.
        match tokio::time::timeout_at(deadline, news.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    // As they were written: a reader of numbers would round their times.
    let list: Vec<&str> = found.items.iter().map(|item| shared.feed.json(item)).collect();
    let (list, missed) = (list.join(","), found.missed);
    let text = format!("{{\"exchanges\":[{list}],\"next\":{cursor},\"missed\":{missed}}}");
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// A number to begin behind.
pub(crate) fn number(after: Option<u64>) -> Result<(), Refusal> {
    let fits = after.is_none_or(|after| after <= LAST);
    let wrong = || format!("after cannot be so large: write a number from 0 to {LAST}");
    if fits { Ok(()) } else { Err(Refusal::new(Wrong::Unprocessable, wrong())) }
}

#[derive(Default)]
struct Found {
    items: Vec<Arc<Item>>,
    missed: u64,
}

impl Found {
    /// Adds what fits and follows; what was looked at last.
    async fn search(
        &mut self,
        feed: &Feed,
        mut cursor: u64,
        limit: usize,
        filter: Option<&Filter>,
    ) -> u64 {
        loop {
            let page = feed.after(cursor, CHUNK);
            self.missed += page.missed;
            if page.items.is_empty() {
                return page.next;
            }
            for item in page.items {
                if self.items.len() >= limit {
                    return cursor;
                }
                cursor = item.seq;
                if filter.is_none_or(|filter| filter.matches(&item.seen)) {
                    self.items.push(item);
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Before which the last `limit` that fit begin.
async fn start_of_last(feed: &Feed, limit: usize, filter: Option<&Filter>) -> u64 {
    let last = feed.last();
    let Some(filter) = filter else { return last.saturating_sub(limit as u64) };
    let mut fitting = std::collections::VecDeque::new();
    let mut cursor = last.saturating_sub(crate::feed::CAPACITY as u64);
    while cursor < last {
        let page = feed.after(cursor, CHUNK);
        if page.items.is_empty() {
            break;
        }
        for item in page.items.iter().filter(|item| filter.matches(&item.seen)) {
            fitting.push_back(item.seq);
            if fitting.len() > limit {
                fitting.pop_front();
            }
        }
        cursor = page.next;
        tokio::task::yield_now().await;
    }
    fitting.front().map_or(last, |seq| seq - 1)
}

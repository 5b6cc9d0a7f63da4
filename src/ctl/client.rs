//! Asking a face over HTTP.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use k485_web::Token;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::runtime::{self, Found};

/// How long an answer may take: a step of an hour is the longest.
const PATIENCE: Duration = Duration::from_secs(120);
/// The largest answer: a thousand exchanges are some megabytes.
const LARGEST: u64 = 64 << 20;

/// A face that is asked.
pub(super) struct Client {
    agent: Agent,
    /// Its URL, without the last slash.
    url: String,
    token: Option<String>,
}

/// What the bus carried.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    /// As they were written.
    pub(super) exchanges: Vec<Box<RawValue>>,
    pub(super) next: u64,
    pub(super) missed: u64,
}

impl Client {
    /// The face at this URL, or that of the emulator that runs.
    pub(super) fn find(url: Option<&str>, token_file: Option<&Path>) -> anyhow::Result<Client> {
        let token = token_file.map(Token::read).transpose()?;
        let token = token.map(|token| token.as_str().to_owned());
        let (url, own) = match url {
            Some(url) => at(url)?,
            None => {
                let Found { url, token } = only(runtime::found()?)?;
                (url, Some(token))
            }
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .proxy(None)
            .build();
        let url = url.trim_end_matches('/').to_owned();
        Ok(Client { agent: agent.into(), url, token: token.or(own) })
    }

    /// Asks for something.
    pub(super) fn get(&self, what: &str) -> anyhow::Result<Value> {
        let request = self.agent.get(self.place(what));
        let request = self.with_token(request);
        Ok(serde_json::from_str(&self.answer(request.call())?)?)
    }

    /// Asks for what the bus carried.
    pub(super) fn exchanges(&self, query: &[(String, String)]) -> anyhow::Result<Page> {
        let pairs = query.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let request = self.agent.get(self.place("exchanges")).query_pairs(pairs);
        let request = self.with_token(request);
        Ok(serde_json::from_str(&self.answer(request.call())?)?)
    }

    /// Changes something.
    pub(super) fn post(&self, what: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.agent.post(self.place(what)).content_type("application/json");
        let request = self.with_token(request);
        Ok(serde_json::from_str(&self.answer(request.send(body.to_string()))?)?)
    }

    /// Takes something away.
    pub(super) fn delete(&self, what: &str) -> anyhow::Result<()> {
        let request = self.with_token(self.agent.delete(self.place(what)));
        self.answer(request.call()).map(drop)
    }

    fn place(&self, what: &str) -> String {
        format!("{}/api/v1/{what}", self.url)
    }

    fn with_token<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    /// The text of an answer; what was said where it was a refusal.
    fn answer(&self, answer: Result<Response<Body>, ureq::Error>) -> anyhow::Result<String> {
        let mut answer = answer.with_context(|| format!("{}: nobody answers there", self.url))?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(LARGEST).read_to_string();
        let text = text.with_context(|| self.url.clone())?;
        if status.is_success() {
            return Ok(text);
        }
        let said = serde_json::from_str::<Value>(&text).ok();
        match said.as_ref().and_then(|said| said["error"].as_str()) {
            Some(said) => bail!("{said}"),
            None => bail!("{}: answers with {status}, so it is no k485", self.url),
        }
    }
}

/// The face at a URL, which may have the token in it as the page's has, or be that of one that runs.
fn at(url: &str) -> anyhow::Result<(String, Option<String>)> {
    if !url.starts_with("http://") {
        bail!("--url {url}: write the page's URL, such as http://127.0.0.1:4850/");
    }
    if let Some((url, token)) = url.split_once("#token=") {
        return Ok((url.to_owned(), Some(token.to_owned())));
    }
    let same = |found: &Found| found.url.trim_end_matches('/') == url.trim_end_matches('/');
    let found = runtime::found().unwrap_or_default().into_iter().find(same);
    Ok((url.to_owned(), found.map(|found| found.token)))
}

/// The one that runs.
fn only(mut all: Vec<Found>) -> anyhow::Result<Found> {
    match (all.pop(), all.is_empty()) {
        (Some(found), true) => Ok(found),
        (None, _) => bail!(
            "no emulator of yours runs with --control; start one: k485 emulate --control, or name one \
             with --url"
        ),
        (Some(last), false) => {
            all.push(last);
            let urls: Vec<String> = all.into_iter().map(|found| found.url).collect();
            bail!("several emulators run; name one with --url: {}", urls.join(", "))
        }
    }
}

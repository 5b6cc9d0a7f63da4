//! A request's body as JSON, with refusals that say what is wrong.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::refusal::{Refusal, Wrong};

/// The largest body, in bytes: a scene is some kilobytes.
pub(crate) const LARGEST: usize = 1 << 20;
/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The body, read from JSON.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let mut types = request.headers().get_all(CONTENT_TYPE).into_iter();
        let content = types.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") || types.next().is_some() {
            let message = "the body must be JSON and say so: send Content-Type: application/json";
            return Err(Refusal::new(Wrong::MediaType, message));
        }
        let bytes = tokio::time::timeout(PATIENCE, Bytes::from_request(request, state)).await;
        let bytes = bytes
            .map_err(|_| Refusal::new(Wrong::Slow, "the body did not come in 20 s"))?
            .map_err(|rejection| unread(&rejection))?;
        read(&bytes).map(Body)
    }
}

fn unread(rejection: &BytesRejection) -> Refusal {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Refusal::new(Wrong::TooLarge, format!("the body is larger than {LARGEST} bytes"));
    }
    Refusal::new(Wrong::Malformed, format!("the body cannot be read: {}", rejection.body_text()))
}

/// JSON that is none is malformed; JSON that means nothing here cannot be processed.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let refuse =
        |wrong, error: serde_json::Error| Refusal::new(wrong, format!("the body: {error}"));
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| refuse(Wrong::Malformed, error))?;
    // A list would be taken for the values of an object in the order of its keys.
    if !value.is_object() {
        return Err(Refusal::new(Wrong::Unprocessable, "the body is no JSON object; write {…}"));
    }
    serde_json::from_value(value).map_err(|error| refuse(Wrong::Unprocessable, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::ClockChange;

    #[test]
    fn a_body_is_an_object_with_known_keys() {
        let read = |text: &str| read::<ClockChange>(text.as_bytes()).map_err(|why| why.wrong);
        let change = ClockChange { paused: Some(true), speed: Some(2.0) };
        assert_eq!(read(r#"{"paused":true,"speed":2}"#), Ok(change));
        assert_eq!(read("{}"), Ok(ClockChange::default()));
        for text in ["[true,2.0]", "null", "3", r#"{"pause":true}"#, r#"{"paused":null}"#] {
            assert_eq!(read(text), Err(Wrong::Unprocessable), "{text}");
        }
        for text in ["", "{", "{} {}", "\u{feff}{}", "nul"] {
            assert_eq!(read(text), Err(Wrong::Malformed), "{text}");
        }
    }
}

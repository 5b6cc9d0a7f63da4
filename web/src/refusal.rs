//! What is said to whoever asked for something that cannot be had.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// What kind of wrong something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// A request that cannot be read.
    Malformed,
    /// The token is missing or another one.
    Token,
    /// Asked from a place, or by a name, that is not this server's.
    Place,
    /// What is behind the page can only be looked at.
    ReadOnly,
    /// There is no such thing.
    NotFound,
    /// There is such a thing, and this cannot be done with it.
    Method,
    /// The body did not come in time.
    Slow,
    /// It does not go with how things are now.
    Conflict,
    /// A body beyond the limit.
    TooLarge,
    /// A body that is no JSON by its own account.
    MediaType,
    /// It can be read and cannot be done.
    Unprocessable,
    /// What is behind the page has ended.
    Ended,
}

impl Wrong {
    /// All of them.
    pub const ALL: [Wrong; 12] = [
        Wrong::Malformed,
        Wrong::Token,
        Wrong::Place,
        Wrong::ReadOnly,
        Wrong::NotFound,
        Wrong::Method,
        Wrong::Slow,
        Wrong::Conflict,
        Wrong::TooLarge,
        Wrong::MediaType,
        Wrong::Unprocessable,
        Wrong::Ended,
    ];

    /// Its name, for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Wrong::Malformed => "malformed",
            Wrong::Token => "token",
            Wrong::Place => "place",
            Wrong::ReadOnly => "read_only",
            Wrong::NotFound => "not_found",
            Wrong::Method => "method",
            Wrong::Slow => "slow",
            Wrong::Conflict => "conflict",
            Wrong::TooLarge => "too_large",
            Wrong::MediaType => "media_type",
            Wrong::Unprocessable => "unprocessable",
            Wrong::Ended => "ended",
        }
    }

    /// Its HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Wrong::Malformed => 400,
            Wrong::Token => 401,
            Wrong::Place | Wrong::ReadOnly => 403,
            Wrong::NotFound => 404,
            Wrong::Method => 405,
            Wrong::Slow => 408,
            Wrong::Conflict => 409,
            Wrong::TooLarge => 413,
            Wrong::MediaType => 415,
            Wrong::Unprocessable => 422,
            Wrong::Ended => 503,
        }
    }
}

/// A request that is refused: what was wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of wrong it is.
    pub wrong: Wrong,
    /// What was wrong and what to do, for people.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(wrong: Wrong, message: impl Into<String>) -> Refusal {
        Refusal { wrong, message: message.into() }
    }

    /// What is behind the page can only be looked at.
    #[must_use]
    pub fn read_only() -> Refusal {
        Refusal::new(Wrong::ReadOnly, "this is a real bus, which can only be looked at here")
    }

    /// What is behind the page has ended.
    #[must_use]
    pub fn ended() -> Refusal {
        Refusal::new(Wrong::Ended, "the bus behind this page has ended; start it again")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.wrong.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({ "error": self.message, "code": self.wrong.code() });
        let mut response = (status, Json(body)).into_response();
        if self.wrong == Wrong::Token {
            let scheme = HeaderValue::from_static("Bearer realm=\"k485\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

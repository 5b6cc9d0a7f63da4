//! Why a printer does not do what it is asked.

use std::time::Duration;

/// Why a printer does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrinterError {
    /// Nobody answers there.
    #[error("{place}: {what}{hint}")]
    Unreachable {
        /// Where.
        place: String,
        /// What went wrong.
        what: String,
        /// What may help; begins with a mark of its own, or is empty.
        hint: &'static str,
    },
    /// Moonraker wants to know who asks.
    #[error(
        "{place}: Moonraker does not trust this address. Give its API key: --api-key, or \
         K485_API_KEY"
    )]
    Untrusted {
        /// Where.
        place: String,
    },
    /// The connection ended.
    #[error("{place}: the connection ended: {what}")]
    Closed {
        /// Where.
        place: String,
        /// Why.
        what: String,
    },
    /// Klipper ended, or was restarted, while it was waited for.
    #[error("{place}: Klipper stopped or was restarted before it answered; see klippy.log")]
    Gone {
        /// Where.
        place: String,
    },
    /// No answer in time.
    #[error(
        "{place}: no answer within {}. The printer may still be busy with it: --timeout is how \
         long to wait",
        human(*.timeout)
    )]
    Timeout {
        /// Where.
        place: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// The printer answers with an error.
    #[error("{message}")]
    Api {
        /// What it says.
        message: String,
        /// Moonraker's code; 503 where Klipper is not there.
        code: Option<i64>,
    },
    /// What came is no answer.
    #[error("{place}: {what}")]
    Nonsense {
        /// Where.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// Ctrl-C.
    #[error("stopped; what the printer was told to do, it goes on with")]
    Stopped,
}

impl PrinterError {
    /// What went wrong, with the place before it, once.
    pub(crate) fn at(&self, place: &str) -> String {
        match self {
            PrinterError::Api { .. } | PrinterError::Stopped => format!("{place}: {self}"),
            _ => self.to_string(),
        }
    }
}

/// `1.5 s`, `10 s`.
fn human(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

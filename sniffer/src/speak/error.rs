//! Why nothing is sent.

use k485_link::LinkError;
use k485_proto::feed::Feed;
use k485_proto::record::Time;

use super::Refusal;

/// Why nothing was sent, or no more.
#[derive(Debug, thiserror::Error)]
pub enum SpeakError {
    /// The guard does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A box is feeding.
    #[error(
        "{name}: {device} is feeding: {} {}{} was seen {} ago. What is sent now can swallow a poll \
         of the printer's host, and its print would stand for 15 s: wait until the feed is over{}",
        feed.function, feed.stage, of_slots(feed), Seconds(*ago_ns), after(*sent)
    )]
    Feeding {
        /// The link.
        name: String,
        /// The box.
        device: String,
        /// What was seen of it.
        feed: Box<Feed>,
        /// How long before it was seen last, in nanoseconds.
        ago_ns: i64,
        /// How often the request was sent before.
        sent: u32,
    },
    /// The bus does not become quiet.
    #[error(
        "{name}: the bus was not quiet for 30 ms in 10 s: {who}. Send when nobody else does, or \
         look with `k485 sniff` who it is{}",
        after(*sent)
    )]
    Busy {
        /// The link.
        name: String,
        /// Who speaks, or waits for a reply.
        who: String,
        /// How often the request was sent before.
        sent: u32,
    },
    /// The link failed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The link is gone.
    #[error("{name} is gone: unplugged, or its other end was closed")]
    Closed {
        /// The link.
        name: String,
    },
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
}

impl SpeakError {
    /// Whether it kept something from being sent at all, by the rules of this module.
    #[must_use]
    pub fn kept_silent(&self) -> bool {
        match self {
            SpeakError::Refused(_) => true,
            SpeakError::Feeding { sent, .. } | SpeakError::Busy { sent, .. } => *sent == 0,
            _ => false,
        }
    }
}

/// Seconds with one digit, for people.
pub(super) struct Seconds(pub(super) i64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} s", self.0 as f64 / Time::SECOND as f64)
    }
}

fn of_slots(feed: &Feed) -> String {
    feed.slots.map(|slots| format!(" slot={slots}")).unwrap_or_default()
}

fn after(sent: u32) -> String {
    match sent {
        0 => String::new(),
        1 => ". The request was sent once before, and not answered".to_owned(),
        n => format!(". The request was sent {n} times before, and not answered"),
    }
}

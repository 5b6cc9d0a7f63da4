//! What stands behind the pages.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::refusal::{Refusal, Wrong};

/// What kind of bus it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An emulated one, to which things can be done.
    Emulator,
    /// A real one, which is only looked at.
    Bus,
}

/// How the time of an emulated bus goes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClockState {
    /// Its time, in seconds since 1970.
    pub time: f64,
    /// The same since its start.
    pub elapsed: f64,
    /// It stands still.
    pub paused: bool,
    /// How many of its seconds a second is while it goes.
    pub speed: f64,
    /// A request takes the time on to its reply.
    #[serde(rename = "virtual")]
    pub is_virtual: bool,
}

/// How the time is to go from now on; what is left out stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockChange {
    /// To stand still, or to go.
    #[serde(default, deserialize_with = "given")]
    pub paused: Option<bool>,
    /// How many of its seconds a second is.
    #[serde(default, deserialize_with = "given")]
    pub speed: Option<f64>,
}

/// A value that is left out or is one: null would be a third thing.
pub(crate) fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// What stands behind the pages. Its calls come from threads that may wait, several at once.
///
/// What only looks (a real bus) implements [`Backend::kind`] and [`Backend::state`], and refuses the
/// rest.
pub trait Backend: Send + Sync + 'static {
    /// What kind of bus it is.
    fn kind(&self) -> Kind;

    /// Everything that there is to see: keys `bus`, `faults`, `scene`, `clock`, `endpoints`, `tally`
    /// as far as there are such things.
    ///
    /// # Errors
    ///
    /// It has ended.
    fn state(&self) -> Result<Map<String, Value>, Refusal>;

    /// Returns once what happened before this call is in the feed.
    fn catch_up(&self) {}

    /// Does what a hand does.
    ///
    /// # Errors
    ///
    /// It cannot be done: [`Wrong::Unprocessable`] with what is wrong.
    fn act(&self, hand: Value) -> Result<(), Refusal> {
        let _ = hand;
        Err(Refusal::read_only())
    }

    /// The faults at work, each with its `id` and its `rule`.
    ///
    /// # Errors
    ///
    /// It has ended.
    fn faults(&self) -> Result<Vec<Value>, Refusal> {
        Ok(Vec::new())
    }

    /// Adds a fault, as one line; its id.
    ///
    /// # Errors
    ///
    /// No rule: [`Wrong::Unprocessable`] with what is wrong.
    fn add_fault(&self, rule: &str) -> Result<u64, Refusal> {
        let _ = rule;
        Err(Refusal::read_only())
    }

    /// Takes a fault away.
    ///
    /// # Errors
    ///
    /// There is none with this id: [`Wrong::NotFound`].
    fn remove_fault(&self, id: u64) -> Result<(), Refusal> {
        let _ = id;
        Err(Refusal::read_only())
    }

    /// Takes all faults away.
    ///
    /// # Errors
    ///
    /// It has ended.
    fn clear_faults(&self) -> Result<(), Refusal> {
        Err(Refusal::read_only())
    }

    /// Begins anew with this scene; without one with the file that it began with.
    ///
    /// # Errors
    ///
    /// It is none: [`Wrong::Unprocessable`] with all that is wrong.
    fn set_scene(&self, toml: Option<String>) -> Result<(), Refusal> {
        let _ = toml;
        Err(Refusal::read_only())
    }

    /// How the time goes.
    ///
    /// # Errors
    ///
    /// Its time is the real one.
    fn clock(&self) -> Result<ClockState, Refusal> {
        Err(Refusal::new(Wrong::NotFound, "this bus has no clock of its own: it is a real one"))
    }

    /// Has the time go otherwise.
    ///
    /// # Errors
    ///
    /// It cannot: [`Wrong::Unprocessable`].
    fn set_clock(&self, change: ClockChange) -> Result<ClockState, Refusal> {
        let _ = change;
        Err(Refusal::read_only())
    }

    /// Takes the time on by exactly so many nanoseconds.
    ///
    /// # Errors
    ///
    /// It cannot.
    fn step(&self, ns: i64) -> Result<ClockState, Refusal> {
        let _ = ns;
        Err(Refusal::read_only())
    }

    /// The JSON Schema of what [`Backend::act`] takes.
    fn hand_schema(&self) -> Value {
        Value::Bool(false)
    }
}

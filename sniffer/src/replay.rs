//! A capture played again, without I/O: time is passed in, bytes go in and come out.
//!
//! As the host, a [`Script`] holds the capture's requests with what was recorded of their replies;
//! a [`Host`] says what to send and when, takes what is heard, and compares each live reply with
//! the recorded one. As the devices, [`Answers`] holds what each request was answered with, and a
//! [`Device`] says which reply to send and when.
//!
//! What a capture holds of replies that nobody waited for, of noise, and of frames whose direction
//! is not known is not played.

mod answers;
mod comparison;
mod device;
mod host;
mod script;
mod told;

pub use answers::{Answer, Answers};
pub use comparison::{Extra, Row, Summary, Verdict};
pub use device::{Counts, Device, DeviceEvent, DeviceTodo};
pub use host::Host;
pub use script::{Builder, LeftOut, Recorded, Script, ScriptError, Step, observed};
pub use told::{HostEvent, HostTodo, Options, Played};

/// How fast a capture is played: recorded times are divided by it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as recorded; positive.
    Times(f64),
    /// Without any pause.
    Max,
}

impl Default for Speed {
    fn default() -> Self {
        Speed::Times(1.0)
    }
}

impl Speed {
    /// A recorded span of time as it is played, in nanoseconds; never negative.
    #[must_use]
    pub fn scale(self, nanos: i64) -> i64 {
        match self {
            // The cast saturates.
            Speed::Times(times) if times > 0.0 => (nanos.max(0) as f64 / times) as i64,
            Speed::Times(_) | Speed::Max => 0,
        }
    }
}

#[cfg(test)]
mod tests;

//! For whoever follows the replies himself: single transmissions under the same rules, and the
//! bytes that are heard.

use k485_proto::exchange::Seen;
use k485_proto::host::Policy;
use k485_proto::record::Time;

use super::{SpeakError, Speaker};

/// What was heard, piece by piece: when, and the bytes.
pub type Heard = Vec<(Time, Vec<u8>)>;

impl Speaker {
    /// Keeps the bytes that are heard for [`Speaker::take_heard`].
    #[must_use]
    pub fn with_heard(mut self) -> Speaker {
        self.kept = Some(Vec::new());
        self
    }

    /// What was heard since the last call, an echo included; nothing without
    /// [`Speaker::with_heard`].
    pub fn take_heard(&mut self) -> Heard {
        self.kept.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Sends a request once, under the rules of [`Speaker::ask`], and waits for nothing. `policy`
    /// says how long its reply is waited for; `sent` how often it was sent before.
    ///
    /// # Errors
    ///
    /// The rules forbid it, or the link fails.
    pub fn send_request(
        &mut self,
        request: &[u8],
        policy: Policy,
        sent: u32,
        observe: &mut dyn FnMut(&Seen),
    ) -> Result<Time, SpeakError> {
        self.guard.check_bytes(request, self.dialect)?;
        if self.guard.real {
            self.wait_for_quiet(sent, observe)?;
        }
        let time = self.link.send(request)?;
        self.inject(request, Some(policy), time, observe);
        Ok(time)
    }

    /// Listens until a time, until something is heard, or for 50 ms; gives whether it was.
    ///
    /// # Errors
    ///
    /// The link fails, or it was told to stop.
    pub fn hear_once(
        &mut self,
        until: Time,
        observe: &mut dyn FnMut(&Seen),
    ) -> Result<bool, SpeakError> {
        let left = until.since(self.clock.now());
        self.hear(left, None, observe)
    }
}

//! Speaking on a bus that others may speak on too.
//!
//! A [`Speaker`] has a link. Everything that is heard on it goes to an observer, what is sent by
//! itself too. What it sends is a request with its reply ([`Speaker::ask`], as the vendor's host
//! asks: [`mod@host::ask`]), or bytes that nobody is waited for
//! ([`Speaker::transmit`]).
//!
//! On a link that may be real ([`Guard::real`]) an ask keeps these rules, at every transmission:
//!
//! - what the [`Guard`] does not allow is not sent;
//! - before the first one it has listened for a while;
//! - not while a box is seen feeding ([`FeedWatch`]): one foreign frame can swallow the poll of the
//!   printer's host, and the print stands for 15 s. A feed that it asked for itself is no reason;
//! - not while somebody waits for a reply, nor within 30 ms of anything heard: the printer's host
//!   sends its next request 0.1 to 20 ms after a reply.
//!
//! Between that look and the first byte there is always a moment in which another host can begin:
//! nothing on this bus prevents two hosts from speaking at once.

mod error;
mod guard;
mod hear;
mod raw;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use k485_link::{Clock, Link};
use k485_proto::dialect::Dialect;
use k485_proto::exchange::{Observed, Pairer, Seen};
use k485_proto::feed::{Feed, FeedWatch};
use k485_proto::frame::Frame;
use k485_proto::host::ask::{Ask, Echo, Ended, Step};
use k485_proto::host::{self, Policy};
use k485_proto::record::Time;

use crate::framer::{Framer, byte_time};
use error::Seconds;

pub use error::SpeakError;
pub use guard::{Guard, Refusal};
pub use raw::Heard;

/// How long it listens before the first transmission, where nothing else is said: a printer's host
/// polls its boxes every 2.03 s in a feed, and every second else.
pub const LISTEN: Duration = Duration::from_secs(3);
/// How long nothing may have been heard before a transmission, in nanoseconds.
const QUIET: i64 = 30 * Time::MILLISECOND;
/// How long it waits for that.
const PATIENCE: i64 = 10 * Time::SECOND;
/// Bytes of one read.
const CHUNK: usize = 4096;

/// Takes part on a bus.
pub struct Speaker {
    link: Box<dyn Link>,
    clock: Clock,
    dialect: &'static Dialect,
    guard: Guard,
    echo: Echo,
    stop: Option<Arc<AtomicBool>>,
    listen: Duration,
    /// How long it waits for a quiet bus, in nanoseconds.
    patience: i64,
    bus: Arc<str>,
    framer: Framer,
    pairer: Pairer,
    watch: FeedWatch,
    /// Where the next byte is in what was heard.
    offset: u64,
    /// When something was heard last.
    heard: Option<Time>,
    /// The frame that was heard last, for whom it is about.
    last: Option<Arc<Observed>>,
    /// Whether it has listened long enough before its first transmission.
    listened: bool,
    /// The request that it sent last: what answers that is no business of others.
    own: Option<Arc<Observed>>,
    /// Whether what the pairer gives now is what was just sent.
    sending: bool,
    /// The reply that the request has found, until its record comes.
    reply: Option<Vec<u8>>,
    /// What was heard, where somebody wants the bytes.
    kept: Option<Heard>,
    buf: Vec<u8>,
}

impl Speaker {
    /// A speaker on an open link, whose times are those of `clock`.
    #[must_use]
    pub fn new(
        link: Box<dyn Link>,
        clock: Clock,
        dialect: &'static Dialect,
        guard: Guard,
    ) -> Speaker {
        let name = link.name().to_owned();
        let bus: Arc<str> = Arc::from("");
        let speaker = Speaker {
            framer: Framer::new(bus.clone()),
            pairer: Pairer::with_dialect(dialect),
            watch: FeedWatch::new(),
            echo: Echo::Auto,
            stop: None,
            listen: LISTEN,
            patience: PATIENCE,
            offset: 0,
            heard: None,
            last: None,
            listened: false,
            own: None,
            sending: false,
            reply: None,
            kept: None,
            buf: vec![0; CHUNK],
            link,
            clock,
            dialect,
            guard,
            bus,
        };
        speaker.with_bus_name(&name)
    }

    /// Gives the bus a name of its own in what is observed; the link's without that.
    #[must_use]
    pub fn with_bus_name(mut self, name: &str) -> Speaker {
        self.bus = Arc::from(name);
        self.framer = Framer::new(self.bus.clone());
        if let Some(baud) = self.link.baud() {
            self.framer = self.framer.with_byte_time(byte_time(baud));
        }
        self
    }

    /// Says whether the link echoes. Without that it is found out, where a reply shows it.
    #[must_use]
    pub fn with_echo(mut self, echo: Echo) -> Speaker {
        self.echo = echo;
        self
    }

    /// Says how long it listens before its first transmission on a link that may be real.
    #[must_use]
    pub fn with_listening(mut self, listen: Duration) -> Speaker {
        self.listen = listen;
        self
    }

    /// Gives a flag that ends any waiting, with [`SpeakError::Stopped`].
    #[must_use]
    pub fn with_stop(mut self, stop: Arc<AtomicBool>) -> Speaker {
        self.stop = Some(stop);
        self
    }

    /// The bus's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.bus
    }

    /// The guard.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The time on the link's clock.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// When something was heard last.
    #[must_use]
    pub fn heard(&self) -> Option<Time> {
        self.heard
    }

    /// Whether the link echoes, as far as that is known.
    #[must_use]
    pub fn echo(&self) -> Echo {
        self.echo
    }

    /// The feed of somebody else that is on now, as far as it was heard.
    #[must_use]
    pub fn feed(&self) -> Option<Feed> {
        self.watch.feed(self.clock.now())
    }

    /// Sends a request and waits for its reply, with the vendor's host's time-out and retries, or
    /// those of `policy`. The request's last exchange has gone to `observe` when this returns.
    ///
    /// # Errors
    ///
    /// The rules of this module forbid it, or the link fails.
    pub fn ask(
        &mut self,
        request: &[u8],
        policy: Option<Policy>,
        observe: &mut dyn FnMut(&Seen),
    ) -> Result<Ended, SpeakError> {
        self.guard.check_bytes(request, self.dialect)?;
        let policy = policy.unwrap_or_else(|| match Frame::from_bytes(request) {
            Ok(frame) => host::policy(&frame, self.dialect),
            Err(_) => Policy { timeout_ms: 2_000, sends: 1 },
        });
        self.reply = None;
        let mut ask = Ask::new(request, self.dialect, policy, self.echo);
        let result = self.run(&mut ask, request, policy, observe);
        self.release(&mut ask, observe);
        if self.echo == Echo::Auto {
            self.echo = match ask.echo() {
                Some(true) => Echo::On,
                Some(false) => Echo::Off,
                None => Echo::Auto,
            };
        }
        if !matches!(result, Ok(Ended::Answered(_))) && self.is_own(self.pairer.open(&self.bus)) {
            self.pairer.give_up(&self.bus);
            self.pull(observe);
        }
        result
    }

    /// Sends bytes at once and waits for nothing, for whoever plays a device: its host waits for
    /// just this, so neither a quiet bus nor a feed is a question. Where the link may be real the
    /// guard must allow it, and as a request a reply is [`Effect::Firmware`]: what somebody makes
    /// of it is not known.
    ///
    /// [`Effect::Firmware`]: k485_proto::effect::Effect::Firmware
    ///
    /// # Errors
    ///
    /// The guard does not allow it, or the link fails.
    pub fn transmit(
        &mut self,
        bytes: &[u8],
        observe: &mut dyn FnMut(&Seen),
    ) -> Result<Time, SpeakError> {
        self.guard.check_bytes(bytes, self.dialect)?;
        let time = self.link.send(bytes)?;
        self.inject(bytes, None, time, observe);
        Ok(time)
    }

    /// Listens until a time, and gives what is heard.
    ///
    /// # Errors
    ///
    /// The link fails, or it was told to stop.
    pub fn listen_until(
        &mut self,
        until: Time,
        observe: &mut dyn FnMut(&Seen),
    ) -> Result<(), SpeakError> {
        loop {
            let left = until.since(self.clock.now());
            if left <= 0 {
                return Ok(());
            }
            self.hear(left, None, observe)?;
        }
    }

    /// Tells what is still open: nothing more will be heard.
    pub fn finish(&mut self, observe: &mut dyn FnMut(&Seen)) {
        self.idle(observe);
        self.pairer.finish();
        self.pull(observe);
    }

    fn run(
        &mut self,
        ask: &mut Ask,
        request: &[u8],
        policy: Policy,
        observe: &mut dyn FnMut(&Seen),
    ) -> Result<Ended, SpeakError> {
        loop {
            let step = ask.poll(self.clock.now());
            self.release(ask, observe);
            match step {
                Step::Send => {
                    if self.guard.real {
                        self.wait_for_quiet(ask.attempts(), observe)?;
                    } else if ask.attempts() == 0 {
                        self.drain(observe)?;
                    }
                    let time = self.link.send(request)?;
                    ask.sent(time);
                    self.release(ask, observe);
                    self.inject(request, Some(policy), time, observe);
                }
                Step::Wait(until) => {
                    let left = until.since(self.clock.now());
                    self.hear(left, Some(ask), observe)?;
                }
                Step::Done => {
                    let none = Ended::NoReply { attempts: ask.attempts() };
                    return Ok(ask.ended().cloned().unwrap_or(none));
                }
            }
        }
    }

    /// Waits until nobody speaks and nobody waits, and no feed is on.
    fn wait_for_quiet(
        &mut self,
        sent: u32,
        observe: &mut dyn FnMut(&Seen),
    ) -> Result<(), SpeakError> {
        if !self.listened {
            let listen = i64::try_from(self.listen.as_nanos()).unwrap_or(i64::MAX);
            let until = Time(self.clock.now().0.saturating_add(listen));
            self.listen_until(until, observe)?;
            self.listened = true;
        }
        // What lies in the driver's buffer was heard, too.
        self.drain(observe)?;
        let began = self.clock.now();
        loop {
            let now = self.clock.now();
            if let Some(feed) = self.watch.feed(now) {
                return Err(SpeakError::Feeding {
                    name: self.bus.to_string(),
                    device: self.dialect.device(feed.addr).into_owned(),
                    feed: Box::new(feed),
                    ago_ns: now.since(feed.seen).max(0),
                    sent,
                });
            }
            self.pairer.tick(now);
            self.pull(observe);
            let quiet = self.heard.map_or(i64::MAX, |heard| now.since(heard));
            let open = self.pairer.open(&self.bus);
            let waits = open.is_some() && !self.is_own(open);
            if quiet >= QUIET && !waits && !self.framer.is_open(None) {
                return Ok(());
            }
            if now.since(began) >= self.patience {
                let who = self.who(now);
                return Err(SpeakError::Busy { name: self.bus.to_string(), who, sent });
            }
            self.hear((QUIET - quiet).max(Time::MILLISECOND), None, observe)?;
        }
    }

    /// Who keeps the bus busy.
    fn who(&self, now: Time) -> String {
        let name = |observed: &Observed| {
            let frame = observed.frame();
            let function = self.dialect.find(frame.addr(), frame.func());
            let device = self.dialect.device(frame.addr());
            match function {
                Some(function) => format!("{device} {}", function.name),
                None => format!("{device} function {:02X}", frame.func()),
            }
        };
        let ago = |time: Option<Time>| Seconds(time.map_or(0, |time| now.since(time).max(0)));
        let open = self.pairer.open(&self.bus).filter(|open| !self.is_own(Some(open)));
        match (open, &self.last) {
            (Some(open), _) => {
                let asked = ago(open.record.time);
                format!("a host asked {} {asked} ago, and it was not answered yet", name(open))
            }
            (None, Some(last)) => format!("the last frame was of {}", name(last)),
            (None, None) => "what is heard is noise".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;

//! Whether a box is feeding or pulling filament, by what is heard on its bus.
//!
//! In a feed a box hears nothing but the host's next stage, and drains whatever else comes unread
//! (firmware): one foreign frame at the wrong moment swallows the poll behind it, and the print
//! stands for the 15 s until the host sends that poll again. So whoever wants to speak asks here
//! first.
//!
//! A [`FeedWatch`] listens to one bus. It knows no clock: times are those of what it is told.
//!
//! What it goes by (host and firmware; `docs/protocol.md`, "A load, as the host does it"): the
//! stages of EXTRUDE_PROCESS, EXTRUDE_PROCESS_MODEL2, RETRUDE_PROCESS and a run of SET_PRE_LOADING,
//! each from its request until it is answered, or until the box has given up by itself; a feed
//! from its start (04) until the end of it (06) is answered, a poll (05) tells an error, or
//! something answers that a feeding box does not hear; and the state that GET_BOX_STATE tells.

use alloc::collections::BTreeMap;

use crate::address::{Address, Class};
use crate::exchange::{Observed, Seen};
use crate::host;
use crate::message::codes::{BoxMode, BoxState, ExtrudeStage, Preload, RetrudeStage};
use crate::message::{FieldType, boxes};
use crate::record::{Direction, Time};
use crate::slot::SlotSet;
use crate::status::Status;

/// How long after an end it still counts: the host's next stage follows at once.
pub const GRACE: i64 = 3 * Time::SECOND;

/// How long a stage that feeds may run, from its request: the box gives up after 25 s.
const FEED: i64 = 30 * Time::SECOND;
/// How long a feed goes on from a poll that was not answered: the host waits 15 s, then it sends
/// the poll again.
const POLLED: i64 = 18 * Time::SECOND;
/// How long a stage that ends with its reply may run beyond the host's time-out for it.
const MARGIN: i64 = 5 * Time::SECOND;
/// How long a state that a box told stands for: the host asks each box every 4 s.
const TOLD: i64 = 30 * Time::SECOND;

/// The reply to a request that was spoilt on its way.
const CRC_ERR: Status = Status(0x02);
/// The reply of a box that is doing something else.
const STATE_ERR: Status = Status(0x03);
/// The reply to GET_BOX_STATE that has changes of the slots in place of the state.
const UPDATE_STATE: Status = Status(0x30);

/// What a box was last seen doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feed {
    /// The box's address.
    pub addr: Address,
    /// The slots that the request named; `None` where only the box's state tells.
    pub slots: Option<SlotSet>,
    /// The function that told of it.
    pub function: &'static str,
    /// Its stage (or the box's state) in a word.
    pub stage: &'static str,
    /// When the feed was seen first.
    pub since: Time,
    /// When something of it was seen last.
    pub seen: Time,
    /// Until when it counts, if nothing more is seen.
    pub until: Time,
    /// Whether its end was seen: it counts for the [`GRACE`] alone.
    pub ended: bool,
}

/// One box's feed, and what only the watch wants to know.
#[derive(Debug, Clone, Copy)]
struct Watched {
    feed: Feed,
    /// Whether a poll was seen since the end: the host may send one more, and not two.
    polled: bool,
}

/// Follows the feeds on one bus.
#[derive(Debug, Clone, Default)]
pub struct FeedWatch {
    boxes: BTreeMap<Address, Watched>,
}

impl FeedWatch {
    /// A watch that has heard nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what a [`Pairer`](crate::exchange::Pairer) gives, in its order.
    pub fn see(&mut self, seen: &Seen) {
        if let Seen::Frame(frame) = seen {
            self.frame(frame);
        }
    }

    /// Takes a frame. One without a time or a direction tells nothing here.
    pub fn frame(&mut self, observed: &Observed) {
        let Some(time) = observed.record.time else { return };
        // Factory access is answered from the box's own address: the request says where it went.
        let subject = observed.request.as_deref().unwrap_or(observed);
        let addr = subject.frame().addr();
        if observed.dialect.class(addr) != Some(Class::Box) {
            return;
        }
        match observed.dir {
            Some(Direction::Request) => self.request(addr, observed, time),
            Some(Direction::Response) => self.reply(addr, observed, time),
            None => {}
        }
    }

    /// The feed that counts at this time; of several the one that was seen last.
    #[must_use]
    pub fn feed(&self, now: Time) -> Option<Feed> {
        let feeds = self.boxes.values().map(|watched| watched.feed);
        feeds.filter(|feed| now <= feed.until).max_by_key(|feed| feed.seen)
    }

    fn request(&mut self, addr: Address, observed: &Observed, time: Time) {
        let frame = observed.frame();
        let wait = i64::from(host::policy(&frame, observed.dialect).timeout_ms);
        let wait = wait * Time::MILLISECOND + MARGIN;
        use boxes::{extrude_process, extrude_process_model2, retrude_process, set_pre_loading};
        let (function, slots, stage, span) = match (frame.func(), frame.data()) {
            (0x0d, [slots, action @ (2 | 3), ..]) => {
                (&set_pre_loading::FUNCTION, *slots, word::<Preload>(*action), wait)
            }
            (0x10, [slots, stage @ 0..=6, ..]) => {
                let span = match ExtrudeStage(*stage) {
                    ExtrudeStage::FEED_POLL => return self.poll(addr, *slots, time),
                    ExtrudeStage::FEED_END => POLLED,
                    // It ends whatever is there; until it is answered that goes on.
                    ExtrudeStage::ABORT => return,
                    _ => FEED,
                };
                (&extrude_process::FUNCTION, *slots, word::<ExtrudeStage>(*stage), span)
            }
            (0x11, [slots, stage, ..]) => {
                (&retrude_process::FUNCTION, *slots, word::<RetrudeStage>(*stage), wait)
            }
            (0x13, [slots, ..]) => (&extrude_process_model2::FUNCTION, *slots, "feed", wait),
            _ => return,
        };
        self.runs(addr, Some(SlotSet(slots)), function.name, stage, time, span);
    }

    /// A poll: of a feed that goes on, or the one more behind its end.
    fn poll(&mut self, addr: Address, slots: u8, time: Time) {
        if let Some(watched) = self.boxes.get_mut(&addr)
            && watched.feed.ended
            && time <= watched.feed.until
            && !watched.polled
        {
            watched.polled = true;
            watched.feed.seen = time;
            watched.feed.until = Time(time.0.saturating_add(GRACE));
            return;
        }
        let (name, stage) = (boxes::extrude_process::FUNCTION.name, ExtrudeStage::FEED_POLL.0);
        self.runs(addr, Some(SlotSet(slots)), name, word::<ExtrudeStage>(stage), time, POLLED);
    }

    /// Something runs from `time` on, for `span` at most.
    fn runs(
        &mut self,
        addr: Address,
        slots: Option<SlotSet>,
        function: &'static str,
        stage: &'static str,
        time: Time,
        span: i64,
    ) {
        let old = self.boxes.get(&addr).map(|watched| watched.feed);
        let old = old.filter(|feed| time <= feed.until);
        let until = Time(time.0.saturating_add(span));
        let feed = Feed {
            addr,
            slots: slots.or(old.and_then(|old| old.slots)),
            function,
            stage,
            since: old.map_or(time, |old| old.since),
            seen: time,
            // What runs already is not over sooner for a new stage.
            until: old.map_or(until, |old| old.until.max(until)),
            ended: false,
        };
        self.boxes.insert(addr, Watched { feed, polled: false });
    }

    fn reply(&mut self, addr: Address, observed: &Observed, time: Time) {
        let frame = observed.frame();
        let asked = observed.request.as_deref().map(Observed::frame);
        let stage = asked.as_ref().and_then(|asked| asked.data().get(1)).copied();
        let ok = frame.status() == Status::OK;
        match (frame.func(), frame.data()) {
            // It was not understood; what the box does goes on.
            _ if frame.status() == CRC_ERR => {}
            (0x0a, [_, _, _, state]) if frame.status() != UPDATE_STATE => {
                self.told(addr, BoxState(*state), time);
            }
            // Refused, with the state that refuses it.
            (0x10, [state]) if frame.status() == STATE_ERR => {
                self.told(addr, BoxState(*state), time);
            }
            (0x10, _) => match stage.map(ExtrudeStage) {
                // They are answered while they go on.
                Some(ExtrudeStage::FEED_START | ExtrudeStage::FEED_POLL) if ok => {
                    self.touch(addr, time);
                }
                Some(_) => self.end(addr, time),
                // A poll that was not seen; an error ends what it polls.
                None if !ok => self.end(addr, time),
                None => self.touch(addr, time),
            },
            // A feeding box hears none of these.
            (0x04, _) if ok && stage == Some(BoxMode::IDLE.0) => self.end(addr, time),
            (0x0d, _) if matches!(stage, Some(2 | 3)) => self.end(addr, time),
            (0x11 | 0x13, _) => self.end(addr, time),
            _ => {}
        }
    }

    /// A box told its state.
    fn told(&mut self, addr: Address, state: BoxState, time: Time) {
        match state {
            BoxState::PRELOADING | BoxState::WRAPPING => {
                let name = boxes::get_box_state::FUNCTION.name;
                self.runs(addr, None, name, word::<BoxState>(state.0), time, TOLD);
            }
            _ => self.end(addr, time),
        }
    }

    fn touch(&mut self, addr: Address, time: Time) {
        if let Some(watched) = self.boxes.get_mut(&addr) {
            watched.feed.seen = time;
        }
    }

    fn end(&mut self, addr: Address, time: Time) {
        let Some(watched) = self.boxes.get_mut(&addr) else { return };
        let feed = &mut watched.feed;
        if feed.ended || time > feed.until {
            return;
        }
        (feed.ended, feed.seen) = (true, time);
        feed.until = Time(time.0.saturating_add(GRACE));
        watched.polled = false;
    }
}

/// The name of a value, or `unknown`.
fn word<T: FieldType>(value: u8) -> &'static str {
    let named = T::CODES.iter().find(|(code, _)| *code == u32::from(value));
    named.map_or("unknown", |(_, name)| name)
}

#[cfg(test)]
mod tests;

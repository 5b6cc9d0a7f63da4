//! The thread between the readers and the screen: decodes, keeps, chooses what is shown.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k485_link::{Clock, LineErrors};
use k485_proto::exchange::Seen;
use k485_proto::filter::Filter;
use k485_proto::record::Time;
use k485_sniffer::live::{Heard, Queue, Watch};
use k485_sniffer::trigger::{Begin, Out, Trigger};

use super::keep::{Keeping, size_of};
use super::outlet::{News, Outlet};
use crate::exec::Exec;
use crate::view::{self, Tally};

/// How long nothing is done when nothing is heard: the file is handed on and times are told then.
const WAIT: Duration = Duration::from_millis(100);

/// All that the thread has.
pub(super) struct Core {
    pub(super) queue: Arc<Queue>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) clock: Clock,
    pub(super) watch: Watch,
    /// The ports' names, by number.
    pub(super) names: Vec<String>,
    /// Frames are shown, instead of exchanges.
    pub(super) frames: bool,
    pub(super) filter: Option<Filter>,
    /// What starts showing and writing, and the ring of what is shown.
    pub(super) trigger: Option<(Filter, Trigger<Seen>)>,
    pub(super) keeping: Option<Keeping>,
    pub(super) exec: Option<Exec>,
    pub(super) outlet: Outlet,
    /// How many more things are shown.
    pub(super) count: Option<u64>,
    /// When it ends.
    pub(super) until: Option<Time>,
    pub(super) end: End,
}

/// How it ended.
#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) tally: Tally,
    /// What the drivers counted, by port.
    pub(super) spoiled: Vec<(String, LineErrors)>,
    /// Something went wrong that the exit code tells.
    pub(super) failed: bool,
}

impl Core {
    /// Runs until it is stopped, nothing more comes, or enough was shown.
    pub(super) fn run(mut self) -> End {
        let mut events = VecDeque::new();
        while !self.stop.load(Ordering::SeqCst) && !self.watch.is_over() {
            self.queue.fetch(&mut events, WAIT);
            self.hear(&mut events);
            let now = self.clock.now();
            if let Some(keeping) = &mut self.keeping {
                keeping.tick(now);
            }
            self.report();
            if let Some((_, trigger)) = &mut self.trigger {
                trigger.tick(now);
            }
            if self.until.is_some_and(|until| now >= until) {
                break;
            }
        }
        self.stop.store(true, Ordering::SeqCst);
        // The readers end now, and may have told something by then.
        self.queue.close();
        self.queue.fetch(&mut events, Duration::ZERO);
        self.hear(&mut events);
        self.watch.finish();
        self.pull();
        self.finish()
    }

    fn hear(&mut self, events: &mut VecDeque<(usize, Heard)>) {
        for (port, heard) in events.drain(..) {
            self.tell(port, &heard);
            self.watch.heard(port, &heard);
            self.pull();
        }
    }

    /// Says what a person should know of what a port told.
    fn tell(&mut self, port: usize, heard: &Heard) {
        let name = self.names.get(port).cloned().unwrap_or_default();
        let what = match heard {
            Heard::Lost { error: Some(error), .. } => format!("{error}; waiting for it to return"),
            Heard::Lost { error: None, .. } => {
                format!("{name} is gone (unplugged, or its other end was closed); waiting for it to return")
            }
            Heard::Back { away, .. } => {
                format!("{name} is back after {:.1} s", *away as f64 / Time::SECOND as f64)
            }
            Heard::Dropped { bytes, .. } => {
                format!("{name}: {bytes} bytes were lost: this machine could not keep up")
            }
            Heard::Spoiled { errors, .. } => {
                self.spoiled(&name, *errors);
                format!("{name}: the line spoiled bytes: {errors}")
            }
            Heard::Ended { error: Some(error) } => {
                self.end.failed = true;
                error.to_string()
            }
            Heard::Ended { error: None } | Heard::Bytes { .. } | Heard::Idle { .. } => return,
        };
        self.say(what);
    }

    fn spoiled(&mut self, name: &str, errors: LineErrors) {
        match self.end.spoiled.iter_mut().find(|(port, _)| port == name) {
            Some((_, sum)) => *sum = sum.and(&errors),
            None => self.end.spoiled.push((name.to_owned(), errors)),
        }
    }

    fn say(&mut self, what: String) {
        self.give(News::Say(what));
    }

    /// Gives something to the screen; without one it is over.
    fn give(&mut self, news: News) {
        if !self.outlet.give(news) {
            self.stop.store(true, Ordering::SeqCst);
        }
    }

    /// Takes what the watch has.
    fn pull(&mut self) {
        while let Some(seen) = self.watch.pull() {
            self.end.tally.count(&seen);
            let matched = self.trigger.as_ref().is_some_and(|(filter, _)| filter.matches(&seen));
            if let Some(keeping) = &mut self.keeping {
                keeping.seen(&seen, matched);
            }
            self.show(seen, matched);
        }
    }

    /// Shows something, if it is to be shown, and what a match of the trigger lets out.
    fn show(&mut self, seen: Seen, matched: bool) {
        let wanted = view::shows(&seen, self.frames)
            && self.filter.as_ref().is_none_or(|filter| filter.matches(&seen));
        let Some((_, trigger)) = &mut self.trigger else {
            if wanted {
                self.out(seen);
            }
            return;
        };
        let time = view::time(&seen).unwrap_or(Time(i64::MIN));
        if wanted {
            trigger.push(time, size_of(&seen), seen);
        }
        if matched {
            trigger.fire(time);
        }
        while let Some(out) = self.trigger.as_mut().and_then(|(_, trigger)| trigger.pull()) {
            match out {
                Out::Item(seen) => self.out(seen),
                Out::Begin(begin) => self.say(begun(&begin)),
                Out::End => self.say("the trigger waits for the next match".to_owned()),
            }
        }
    }

    /// Gives something to the screen and to the program of `--exec`.
    fn out(&mut self, seen: Seen) {
        if self.count == Some(0) {
            return;
        }
        if let Some(exec) = &mut self.exec {
            exec.give(&seen);
        }
        self.give(News::Seen(seen));
        if let Some(count) = &mut self.count {
            *count -= 1;
            if *count == 0 {
                self.stop.store(true, Ordering::SeqCst);
            }
        }
    }

    /// Says what the file has to say.
    fn report(&mut self) {
        while let Some(what) = self.keeping.as_mut().and_then(Keeping::report) {
            self.say(what);
        }
    }

    fn finish(mut self) -> End {
        for (port, bytes) in self.queue.take_dropped() {
            let name = self.names.get(port).cloned().unwrap_or_default();
            self.say(format!("{name}: {bytes} bytes were lost: this machine could not keep up"));
        }
        if let Some(keeping) = self.keeping.take() {
            let (what, whole) = keeping.finish();
            self.end.failed |= !whole;
            what.into_iter().for_each(|what| self.say(what));
        }
        if let Some(exec) = self.exec.take() {
            exec.finish().into_iter().for_each(|what| self.say(what));
        }
        self.end
    }
}

fn begun(begin: &Begin) -> String {
    let cut = match begin.cut {
        Some(_) => "; more came before it than is kept in memory, so the beginning is missing",
        None => "",
    };
    format!("triggered, with {} before it{cut}", begin.held)
}

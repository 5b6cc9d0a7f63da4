//! The thread between the readers and the screen: decodes, and keeps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use k485_link::{Clock, LineErrors};
use k485_proto::filter::Filter;
use k485_proto::record::Time;
use k485_sniffer::live::{Decoder, Heard, Queue};

use super::keep::Keeping;
use super::outlet::{News, Outlet};
use super::page::Page;
use crate::view::Tally;

/// The longest that nothing is done, so that the file is handed on in time.
const WAIT: Duration = Duration::from_millis(100);
/// How long it gathers what a live bus says before it goes on: nobody sees the difference, and a busy
/// bus does not wake three threads for every byte.
const GATHER: Duration = Duration::from_millis(40);

/// All that the thread has.
pub(super) struct Core {
    pub(super) queue: Arc<Queue>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) clock: Clock,
    pub(super) decoder: Decoder,
    /// The ports' names, by number.
    pub(super) names: Vec<String>,
    /// Whether it happens now.
    pub(super) live: bool,
    /// What the file's trigger waits for.
    pub(super) trigger: Option<Filter>,
    pub(super) keeping: Option<Keeping>,
    pub(super) page: Option<Page>,
    pub(super) outlet: Outlet,
    /// When it ends.
    pub(super) until: Option<Time>,
    /// When the file's state was said last.
    pub(super) status: Option<Time>,
    pub(super) end: End,
}

/// How it ended.
#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) tally: Tally,
    /// What the drivers counted, by port.
    pub(super) spoiled: Vec<(String, LineErrors)>,
    /// What is to be said at the end.
    pub(super) said: Vec<String>,
    /// Something went wrong that the exit code tells.
    pub(super) failed: bool,
}

impl Core {
    /// Runs until it is stopped, or nothing more comes.
    pub(super) fn run(mut self) -> End {
        let mut events = VecDeque::new();
        while !self.stop.load(Ordering::SeqCst) && !self.decoder.is_over() {
            self.queue.fetch(&mut events, WAIT);
            if self.live {
                thread::sleep(GATHER);
                self.queue.fetch(&mut events, Duration::ZERO);
            }
            self.hear(&mut events);
            if let Some(keeping) = &mut self.keeping {
                keeping.tick();
            }
            self.report();
            self.status();
            if self.until.is_some_and(|until| self.clock.now() >= until) {
                self.stop.store(true, Ordering::SeqCst);
            }
        }
        self.stop.store(true, Ordering::SeqCst);
        // What the readers had told by then was heard.
        self.queue.close();
        self.queue.fetch(&mut events, Duration::ZERO);
        self.hear(&mut events);
        self.decoder.finish();
        self.pull();
        self.finish()
    }

    fn hear(&mut self, events: &mut VecDeque<(usize, Heard)>) {
        for (port, heard) in events.drain(..) {
            self.tell(port, &heard);
            self.decoder.heard(port, &heard);
            self.pull();
        }
        if let Some(page) = &mut self.page {
            page.show();
        }
    }

    /// Says what a person should know of what a port told.
    fn tell(&mut self, port: usize, heard: &Heard) {
        let name = self.names.get(port).cloned().unwrap_or_default();
        let what = match heard {
            Heard::Lost { error: Some(error), .. } => format!("{error}; waiting for it to return"),
            Heard::Lost { error: None, .. } => format!(
                "{name} is gone: unplugged, or its other end was closed; waiting for it to return"
            ),
            Heard::Back { away, .. } => {
                format!("{name} is back after {:.1} s", *away as f64 / Time::SECOND as f64)
            }
            Heard::Dropped { bytes, .. } => slow(&name, *bytes),
            Heard::Spoiled { errors, .. } => {
                match self.end.spoiled.iter_mut().find(|(port, _)| *port == name) {
                    Some((_, sum)) => *sum = sum.plus(errors),
                    None => self.end.spoiled.push((name.clone(), *errors)),
                }
                format!("{name}: the line spoiled bytes: {errors}")
            }
            Heard::Ended { error: Some(error) } => {
                self.end.failed = true;
                error.to_string()
            }
            Heard::Ended { error: None } | Heard::Bytes { .. } | Heard::Idle { .. } => return,
        };
        self.give(News::Say(what));
    }

    /// Gives something to the screen; when that is gone, it is over.
    fn give(&mut self, news: News) {
        if !self.outlet.give(news) {
            self.stop.store(true, Ordering::SeqCst);
        }
    }

    /// Takes what the decoder has.
    fn pull(&mut self) {
        while let Some(seen) = self.decoder.pull() {
            self.end.tally.count(&seen);
            if let Some(keeping) = &mut self.keeping {
                let matches = self.trigger.as_ref().is_some_and(|filter| filter.matches(&seen));
                keeping.seen(&seen, matches);
            }
            if let Some(page) = &mut self.page {
                page.seen(&seen);
            }
            self.give(News::Seen(seen));
        }
    }

    /// Says what the file has to say.
    fn report(&mut self) {
        while let Some(what) = self.keeping.as_mut().and_then(Keeping::event) {
            self.give(News::Say(what));
        }
    }

    /// Says how it stands with the file, once a second.
    fn status(&mut self) {
        let now = self.clock.now();
        let Some(keeping) = &self.keeping else { return };
        if self.status.is_none_or(|last| now.since(last) >= Time::SECOND) {
            self.status = Some(now);
            let status = keeping.status();
            self.give(News::Status(status));
        }
    }

    fn finish(mut self) -> End {
        for (port, bytes) in self.queue.take_dropped() {
            self.end.said.push(slow(&self.names[port], bytes));
        }
        if self.outlet.left_out() > 0 {
            self.end.said.push(self.outlet.missing());
        }
        if let Some(keeping) = self.keeping.take() {
            let (said, whole) = keeping.finish();
            self.end.said.extend(said);
            self.end.failed |= !whole;
        }
        self.end
    }
}

fn slow(name: &str, bytes: u64) -> String {
    format!("{name}: {bytes} bytes were lost: this machine could not keep up")
}

//! The vendor's host as a guest of a bus: it assigns, polls, and does jobs one after the other.

use std::collections::VecDeque;

use k485_proto::address::Address;
use k485_proto::host::ask::Step;
use k485_proto::host::engine::{Config, Event, Host, Job, What};
use k485_proto::record::Time;
use k485_proto::slot::Slot;

use crate::bus::{BusConfig, Guest};
use crate::hand::Hand;

/// A host that does jobs, and whoever moves extruder and cutter for it.
pub struct HostGuest {
    host: Host,
    /// What a byte takes on the wire, in ns.
    byte: i64,
    jobs: VecDeque<Job>,
    /// Whether a job that is done is put behind the others again.
    again: bool,
    /// Between two jobs, in ns.
    pause: i64,
    /// When the next job may begin.
    free: Time,
    next: Option<Time>,
    on_event: Box<dyn FnMut(&Event, Time) + Send>,
}

impl HostGuest {
    /// A host on a bus of this kind, that starts now.
    #[must_use]
    pub fn new(config: Config, bus: &BusConfig, now: Time) -> HostGuest {
        let byte = if bus.fast { 0 } else { 10 * Time::SECOND / i64::from(bus.baud.max(1)) };
        HostGuest {
            host: Host::new(config, now),
            byte,
            jobs: VecDeque::new(),
            again: false,
            pause: 0,
            free: now,
            next: Some(now),
            on_event: Box::new(|_, _| {}),
        }
    }

    /// The jobs that it does, as soon as the boxes are there; with `again` over and over. So many ms
    /// pass after each.
    #[must_use]
    pub fn with_jobs(mut self, jobs: Vec<Job>, again: bool, pause_ms: u32) -> HostGuest {
        (self.jobs, self.again) = (jobs.into(), again);
        self.pause = i64::from(pause_ms) * Time::MILLISECOND;
        self
    }

    /// Calls this with all that happens.
    #[must_use]
    pub fn with_events(mut self, call: impl FnMut(&Event, Time) + Send + 'static) -> HostGuest {
        self.on_event = Box::new(call);
        self
    }

    /// Begins the next job, where there is one and its boxes are there.
    fn work(&mut self, now: Time) {
        if now < self.free || self.host.job().is_some() {
            return;
        }
        let Some(job) = self.jobs.front().copied() else { return };
        let ready = |slot: Slot| self.host.is_ready(Address(slot.device));
        let ready = match job {
            Job::Load(slot) | Job::Unload(slot) => ready(slot),
            Job::Change { from, to } => ready(from) && ready(to),
        };
        if !ready {
            return;
        }
        self.jobs.pop_front();
        // One that cannot begin is told as an event.
        if self.host.start(job, now).is_err() || self.again {
            self.jobs.push_back(job);
        }
        self.free = Time(now.0.saturating_add(self.pause));
    }
}

impl Guest for HostGuest {
    fn heard(&mut self, bytes: &[u8], at: Time) {
        self.host.heard(bytes, at);
        self.next = Some(at);
    }

    fn say(&mut self, now: Time) -> Option<Vec<u8>> {
        if self.next.is_none_or(|next| next > now) {
            return None;
        }
        self.work(now);
        let step = self.host.poll(now);
        for event in self.host.take_events() {
            if matches!(event, Event::Done(_) | Event::Failed { .. }) {
                self.free = Time(now.0.saturating_add(self.pause));
            }
            (self.on_event)(&event, now);
        }
        let mut said = None;
        let until = match step {
            Step::Send => {
                let bytes = self.host.request().to_vec();
                let end = Time(now.0 + self.byte * bytes.len() as i64);
                self.host.sent(end);
                said = Some(bytes);
                match self.host.poll(now) {
                    Step::Wait(until) => until,
                    _ => end,
                }
            }
            Step::Wait(until) => until,
            Step::Done => return None,
        };
        // Jobs wait for boxes and for their time: a look now and then is enough.
        let waiting = !self.jobs.is_empty() && self.host.job().is_none();
        let look = Time(now.0 + 250 * Time::MILLISECOND);
        self.next = Some(if waiting { until.min(look) } else { until });
        said
    }

    fn next_event(&self) -> Option<Time> {
        self.next
    }

    fn toolhead(&mut self, filament: bool, at: Time) {
        self.host.toolhead(filament);
        self.next = Some(at);
    }

    fn hands(&mut self, _: Time) -> Vec<Hand> {
        let hand = |want: k485_proto::host::engine::Want| match want.what {
            What::Extrude { mm } => {
                let seconds = f64::from(want.takes_ms.max(1)) / 1000.0;
                let mm = f64::from(mm);
                Some(Hand::Extrude { mm, speed: Some((mm.abs() / seconds).max(0.01)) })
            }
            What::Cut => Some(Hand::Cut),
            What::Heat { .. } | What::Clean => None,
        };
        self.host.take_wants().into_iter().filter_map(hand).collect()
    }
}

//! What other threads tell a server that runs.

use std::fmt;

use k485_link::fault::{Counts, Faults, Rule};
use k485_proto::record::Time;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::Server;
use super::pace::{Pace, Reading};
use crate::bus::{Stage, Tally};
use crate::hand::{Hand, HandError};
use crate::world::Picture;

/// What the server does between two events.
pub(super) enum Command {
    Do(Box<dyn FnOnce(&mut Server) + Send>),
    Stop,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Command::Do(_) => "Do",
            Command::Stop => "Stop",
        })
    }
}

/// Speaks to a server from another thread. Its calls wait for the server, a moment as a rule, and
/// give `None` when it has ended.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: UnboundedSender<Command>,
    pace: Pace,
}

/// A fault at work.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultState {
    /// Its number.
    pub id: u64,
    /// Its rule, as one line.
    pub rule: String,
    /// What it could strike passed so often.
    pub met: u64,
    /// It struck so often.
    pub struck: u64,
}

/// A bus at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Plant and devices.
    pub picture: Picture,
    /// What the bus carried so far.
    pub tally: Tally,
    /// The faults at work.
    pub faults: Vec<FaultState>,
    /// How its time goes.
    pub time: Reading,
}

fn faults(server: &Server) -> Vec<FaultState> {
    let all = server.bus.faults().into_iter().flat_map(Faults::numbered);
    let state = |(id, rule, counts): (u64, &Rule, Counts)| FaultState {
        id,
        rule: rule.to_string(),
        met: counts.met,
        struck: counts.struck,
    };
    all.map(state).collect()
}

impl Handle {
    pub(super) fn new(commands: UnboundedSender<Command>, pace: Pace) -> Handle {
        Handle { commands, pace }
    }

    /// Has the server do something, and waits for what comes of it.
    fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Server) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        // Who asked may be gone by then.
        let call = move |server: &mut Server| drop(sender.send(call(server)));
        self.commands.send(Command::Do(Box::new(call))).ok()?;
        receiver.blocking_recv().ok()
    }

    /// Does what a hand does, now.
    #[must_use]
    pub fn act(&self, hand: Hand) -> Option<Result<(), HandError>> {
        self.ask(move |server| {
            let now = server.pace.now();
            server.bus.act(&hand, now)
        })
    }

    /// How everything is, now.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.ask(|server| {
            let bus = &server.bus;
            let (picture, tally) = (bus.world().state(), bus.tally());
            Snapshot { picture, tally, faults: faults(server), time: server.pace.reading() }
        })
    }

    /// The same, of the plant and the devices alone.
    #[must_use]
    pub fn picture(&self) -> Option<Picture> {
        self.ask(|server| server.bus.world().state())
    }

    /// The faults at work.
    #[must_use]
    pub fn faults(&self) -> Option<Vec<FaultState>> {
        self.ask(|server| faults(server))
    }

    /// Returns once all that the bus carried before this call has been told to those who listen.
    #[must_use]
    pub fn catch_up(&self) -> Option<()> {
        self.ask(|_| ())
    }

    /// Adds a fault to a bus that was made with [`Bus::with_faults`](crate::Bus::with_faults); its
    /// number. `None` for another bus, too.
    #[must_use]
    pub fn add_fault(&self, rule: Rule) -> Option<u64> {
        self.ask(|server| Some(server.bus.faults_mut()?.add(rule)))?
    }

    /// Takes a fault away; whether there was one with this number.
    #[must_use]
    pub fn remove_fault(&self, id: u64) -> Option<bool> {
        self.ask(move |server| server.bus.faults_mut().is_some_and(|faults| faults.remove(id)))
    }

    /// Takes all faults away.
    #[must_use]
    pub fn clear_faults(&self) -> Option<()> {
        self.ask(|server| {
            if let Some(faults) = server.bus.faults_mut() {
                faults.clear();
            }
        })
    }

    /// Begins anew with what `make` makes of the bus's time, if it makes something; whoever is
    /// connected stays.
    #[must_use]
    pub fn restage(&self, make: impl FnOnce(Time) -> Option<Stage> + Send + 'static) -> Option<()> {
        self.ask(|server| {
            let now = server.pace.now();
            server.bus.advance(now);
            if let Some(stage) = make(server.bus.now()) {
                server.bus.restage(stage);
            }
        })
    }

    /// How the bus's time goes; of a server that has ended too.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.pace.reading()
    }

    /// Has the bus's time stand still or go, and how fast; what is left out stays.
    #[must_use]
    pub fn set_time(&self, paused: Option<bool>, speed: Option<f64>) -> Option<Reading> {
        self.ask(move |server| {
            server.pace.set(paused, speed);
            server.pace.reading()
        })
    }

    /// Takes the bus's time on by exactly so many ns, whether it goes or not, and does at once all
    /// that is due until then.
    #[must_use]
    pub fn step(&self, ns: i64) -> Option<Reading> {
        self.ask(move |server| {
            let to = Time(server.pace.now().0.saturating_add(ns.max(0)));
            server.bus.advance(to);
            server.pace.jump(to);
            server.pace.reading()
        })
    }

    /// Ends the server.
    pub fn stop(&self) {
        let _ = self.commands.send(Command::Stop);
    }
}

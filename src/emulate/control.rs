//! An emulated bus behind its HTTP face.

use std::sync::{Arc, Mutex, PoisonError};

use k485_emulator::serve::{FaultState, Handle, Reading, Snapshot};
use k485_emulator::{Stage, scene};
use k485_link::fault::{Faults, Rule};
use k485_proto::dialect::K2;
use k485_proto::record::Time;
use k485_web::{Backend, ClockChange, ClockState, Kind, Refusal, Wrong};
use serde_json::{Map, Value, json};

use super::endpoints::Told;
use super::setup::{Setup, SetupArgs};
use super::tap::Progress;
use super::{FAULTS, LineArgs};

/// The bus, and what it is begun anew with.
pub(super) struct Control {
    pub(super) handle: Handle,
    pub(super) progress: Arc<Progress>,
    pub(super) endpoints: Vec<Told>,
    pub(super) setup: SetupArgs,
    pub(super) line: LineArgs,
    /// Whether a scene's times count from the first request.
    pub(super) from_request: bool,
    /// The faults of the command line.
    pub(super) rules: Vec<Rule>,
    pub(super) baud: u32,
    /// The scene's title and where it is from, as it is now.
    pub(super) scene: Mutex<Value>,
}

/// What a setup is called.
pub(super) fn scene_name(setup: &Setup, from: Option<&std::path::Path>) -> Value {
    let title = setup.scene.as_ref().and_then(|scene| scene.layout.title.as_deref());
    json!({ "name": from.map(|path| path.display().to_string()), "title": title })
}

impl Backend for Control {
    fn kind(&self) -> Kind {
        Kind::Emulator
    }

    fn state(&self) -> Result<Map<String, Value>, Refusal> {
        let Snapshot { picture, tally, faults, time } =
            self.handle.snapshot().ok_or_else(Refusal::ended)?;
        let scene = self.scene.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let faults: Vec<Value> = faults.iter().map(fault).collect();
        let tally = json!({
            "asked_bytes": tally.asked,
            "answered_bytes": tally.answered,
            "answers": tally.answers,
            "collisions": tally.collisions,
        });
        Ok(Map::from_iter([
            ("bus".to_owned(), json!(picture)),
            ("faults".to_owned(), Value::Array(faults)),
            ("scene".to_owned(), scene),
            ("clock".to_owned(), json!(clock(time))),
            ("endpoints".to_owned(), json!(self.endpoints)),
            ("tally".to_owned(), tally),
        ]))
    }

    fn catch_up(&self) {
        if self.handle.catch_up().is_some() {
            self.progress.catch_up();
        }
    }

    fn act(&self, hand: Value) -> Result<(), Refusal> {
        let hand = scene::hand_from_json(&hand).map_err(cannot)?;
        self.handle.act(hand).ok_or_else(Refusal::ended)?.map_err(cannot)
    }

    fn faults(&self) -> Result<Vec<Value>, Refusal> {
        let faults = self.handle.faults().ok_or_else(Refusal::ended)?;
        Ok(faults.iter().map(fault).collect())
    }

    fn add_fault(&self, rule: &str) -> Result<u64, Refusal> {
        let rule = Rule::parse(rule, &K2).map_err(cannot)?;
        self.handle.add_fault(rule).ok_or_else(Refusal::ended)
    }

    fn remove_fault(&self, id: u64) -> Result<(), Refusal> {
        match self.handle.remove_fault(id) {
            Some(true) => Ok(()),
            Some(false) => Err(Refusal::new(Wrong::NotFound, format!("there is no fault {id}"))),
            None => Err(Refusal::ended()),
        }
    }

    fn clear_faults(&self) -> Result<(), Refusal> {
        self.handle.clear_faults().ok_or_else(Refusal::ended)
    }

    fn set_scene(&self, toml: Option<String>) -> Result<(), Refusal> {
        let (setup, from) = match &toml {
            None => (self.setup.read().map_err(cannot)?, self.setup.path()),
            Some(text) => (self.setup.with_text(text).map_err(cannot)?, None),
        };
        let config = self.line.config(setup.scene.as_ref());
        if config.baud != self.baud {
            return Err(cannot(format!(
                "the scene's bus has {} baud and this one {}: its ports are open at that speed; start \
                 k485 emulate anew with that scene",
                config.baud, self.baud
            )));
        }
        let name = scene_name(&setup, from);
        let mut rules =
            setup.scene.as_ref().map(|scene| scene.rules().to_vec()).unwrap_or_default();
        rules.extend(self.rules.iter().cloned());
        // What cannot be built is known before anything is changed.
        setup.world(Time(0)).map_err(cannot)?;
        let from_request = self.from_request;
        let make = move |now: Time| -> Option<Stage> {
            let world = setup.world(now).ok()?;
            let timeline = setup.scene.as_ref().map(|scene| {
                let timeline = scene.timeline(now);
                let timeline = if from_request { timeline.from_first_request() } else { timeline };
                (timeline, scene.dialect())
            });
            let faults = Faults::new(rules, &K2, setup.seed ^ FAULTS);
            Some(Stage { world, config, timeline, faults })
        };
        self.handle.restage(make).ok_or_else(Refusal::ended)?;
        *self.scene.lock().unwrap_or_else(PoisonError::into_inner) = name;
        Ok(())
    }

    fn clock(&self) -> Result<ClockState, Refusal> {
        Ok(clock(self.handle.reading()))
    }

    fn set_clock(&self, change: ClockChange) -> Result<ClockState, Refusal> {
        let reading = self.handle.set_time(change.paused, change.speed);
        reading.map(clock).ok_or_else(Refusal::ended)
    }

    fn step(&self, ns: i64) -> Result<ClockState, Refusal> {
        self.handle.step(ns).map(clock).ok_or_else(Refusal::ended)
    }

    fn hand_schema(&self) -> Value {
        scene::hand_schema()
    }
}

fn cannot(error: impl ToString) -> Refusal {
    Refusal::new(Wrong::Unprocessable, error.to_string())
}

fn fault(fault: &FaultState) -> Value {
    let FaultState { id, rule, met, struck } = fault;
    json!({ "id": id, "rule": rule, "met": met, "struck": struck })
}

fn clock(reading: Reading) -> ClockState {
    let Reading { now, began, paused, speed, is_virtual } = reading;
    ClockState {
        time: now.0 as f64 / 1e9,
        elapsed: now.since(began) as f64 / 1e9,
        paused,
        speed,
        is_virtual,
    }
}

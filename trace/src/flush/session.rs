//! What of a plan is done, in a file.
//!
//! The file is a trace of what the printer was told, a line of JSON an event: the commands as calls
//! of `gcode`'s `run_script`, what the box said of its slots as a call of its `get_status`. So all
//! that reads traces reads it. Lines of commands have `prev` and `next` beside that; a pair whose
//! command returned is done.

use std::collections::{BTreeMap, BTreeSet};

use k485_proto::record::Time;
use k485_proto::slot::Slot;
use serde_json::{Value, json};

use super::plan::{Pair, Wanted};

/// The largest file that is read, in bytes. All pairs of sixteen slots are below 1 MB.
pub const LARGEST: u64 = 64 << 20;

/// How a plan went so far.
#[derive(Debug, Clone, Default)]
pub struct Session {
    done: BTreeSet<Pair>,
    failed: BTreeMap<Pair, String>,
    hosts: BTreeSet<String>,
    id: u64,
    unreadable: u64,
}

/// A command to the printer, and the flush that comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<'a> {
    /// The command.
    pub script: &'a str,
    /// The flush, if it is known.
    pub pair: Option<Pair>,
}

impl Session {
    /// What the file's text says. Lines that are none, as a torn last one, are counted.
    #[must_use]
    pub fn read(text: &str) -> Session {
        let mut session = Session::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str::<Value>(line) {
                Ok(line) if line.is_object() => session.line(&line),
                _ => session.unreadable += 1,
            }
        }
        session
    }

    fn line(&mut self, line: &Value) {
        self.id = self.id.max(line["id"].as_u64().unwrap_or(0));
        let kind = line["type"].as_str().unwrap_or_default();
        if let ("flush_plan", Some(host)) = (kind, line["host"].as_str()) {
            self.hosts.insert(host.to_owned());
        }
        if line["method"] != "run_script" {
            return;
        }
        let slot = |name: &str| line[name].as_str().and_then(|slot| slot.parse::<Slot>().ok());
        let Some(next) = slot("next") else { return };
        let prev = slot("prev");
        if prev.is_none() && !line["prev"].is_null() {
            return;
        }
        let pair = Pair { prev, next };
        match kind {
            "return" => {
                self.failed.remove(&pair);
                self.done.insert(pair);
            }
            "error" if !self.done.contains(&pair) => {
                let error = line["error"].as_str().unwrap_or_default().to_owned();
                self.failed.insert(pair, error);
            }
            _ => {}
        }
    }

    /// The pairs that are done.
    #[must_use]
    pub fn done(&self) -> &BTreeSet<Pair> {
        &self.done
    }

    /// The pairs that failed and are not done, with the last error of each.
    #[must_use]
    pub fn failed(&self) -> &BTreeMap<Pair, String> {
        &self.failed
    }

    /// The printers that it is of.
    #[must_use]
    pub fn hosts(&self) -> &BTreeSet<String> {
        &self.hosts
    }

    /// How many lines could not be read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The line of a plan that begins.
    pub fn plan(&mut self, time: Time, host: &str, slots: &[Slot], wanted: Wanted) -> String {
        self.hosts.insert(host.to_owned());
        let slots: Vec<String> = slots.iter().map(Slot::to_string).collect();
        let wanted = match wanted {
            Wanted::All => "all",
            Wanted::FirstLoads => "first_loads",
            Wanted::Changes => "changes",
        };
        line(json!({
            "type": "flush_plan", "time": seconds(time), "host": host, "tools": slots,
            "wanted": wanted,
        }))
    }

    /// The lines of what the box says about itself.
    pub fn status(&mut self, time: Time, status: &Value) -> String {
        self.id += 1;
        let event = |kind: &str| {
            json!({
                "type": kind, "id": self.id, "time": seconds(time), "object": "box", "class": "",
                "method": "get_status",
            })
        };
        let (mut call, mut end) = (event("call"), event("return"));
        call["args"] = json!("");
        end["result"] = status.clone();
        line(call) + &line(end)
    }

    /// The line of a command that is told now.
    pub fn call(&mut self, time: Time, told: &Told<'_>) -> String {
        self.id += 1;
        let mut event = self.event("call", time, told);
        event["args"] = json!(told.script);
        line(event)
    }

    /// The line of how the command ended that was told last; `output` is what was printed
    /// meanwhile, `duration` is in nanoseconds.
    pub fn end(
        &mut self,
        time: Time,
        told: &Told<'_>,
        duration: i64,
        output: &[String],
        result: Result<(), &str>,
    ) -> String {
        let mut event = self.event(if result.is_ok() { "return" } else { "error" }, time, told);
        event["duration_ms"] = json!(duration as f64 / Time::MILLISECOND as f64);
        event["output"] = json!(output);
        match result {
            Ok(()) => event["result"] = json!(true),
            Err(error) => {
                event["error"] = json!(error);
                event["traceback"] = json!("");
            }
        }
        self.line(&event);
        line(event)
    }

    fn event(&self, kind: &str, time: Time, told: &Told<'_>) -> Value {
        let mut event = json!({
            "type": kind, "id": self.id, "time": seconds(time), "object": "gcode",
            "class": "GCodeDispatch", "method": "run_script",
        });
        if let Some(pair) = told.pair {
            event["prev"] = json!(pair.prev.map(|slot| slot.to_string()));
            event["next"] = json!(pair.next.to_string());
        }
        event
    }
}

fn line(event: Value) -> String {
    format!("{event}\n")
}

/// Seconds since 1970, to the microsecond.
fn seconds(time: Time) -> f64 {
    (time.0 / 1_000) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Kind};

    const NOW: Time = Time(1_767_293_742_500_000_000);

    fn pair(prev: Option<&str>, next: &str) -> Pair {
        let slot = |text: &str| text.parse().unwrap();
        Pair { prev: prev.map(slot), next: slot(next) }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut session = Session::default();
        let mut text = session.plan(NOW, "k2:7125", &[], Wanted::All);
        text += &session.status(NOW, &json!({ "T1": {} }));
        for (pair, result) in [
            (pair(None, "T1A"), Ok(())),
            (pair(Some("T1A"), "T2B"), Err("key835")),
            (pair(Some("T2B"), "T1A"), Err("key835")),
            (pair(Some("T2B"), "T1A"), Ok(())),
        ] {
            let script = format!("Tn_action tool={}", pair.next);
            let told = Told { script: &script, pair: Some(pair) };
            text += &session.call(NOW, &told);
            text += &session.end(NOW, &told, 96_800 * Time::MILLISECOND, &[], result);
        }
        // Begun, and torn.
        text += &session.call(NOW, &Told { script: "x", pair: Some(pair(None, "T4D")) });
        text += "{\"type\": \"ret";
        let read = Session::read(&text);
        let done = BTreeSet::from([pair(None, "T1A"), pair(Some("T2B"), "T1A")]);
        for session in [&session, &read] {
            assert_eq!(session.done, done);
            let failed: Vec<&Pair> = session.failed.keys().collect();
            assert_eq!(failed, [&pair(Some("T1A"), "T2B")]);
            assert_eq!(session.hosts.first().map(String::as_str), Some("k2:7125"));
            assert_eq!(session.id, 6);
        }
        assert_eq!((session.unreadable, read.unreadable), (0, 1));
    }

    #[test]
    fn its_lines_are_events() {
        let mut session = Session::default();
        let told = Told { script: "UNLOAD_FILAMENT", pair: None };
        let text = session.status(NOW, &json!({}))
            + &session.call(NOW, &told)
            + &session.end(NOW, &told, 5, &["// done".into()], Err("no"));
        let kinds: Vec<String> = text
            .lines()
            .map(|line| {
                let event = Event::parse(line, 1, 0).unwrap();
                assert_eq!(event.time, Some(NOW));
                match event.kind {
                    Kind::Call { site, args, .. } => format!("call {} {args}", site.method),
                    Kind::Return { site, result, .. } => format!("return {} {result}", site.method),
                    Kind::Error { site, error, .. } => format!("error {} {error}", site.method),
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        let expected = [
            "call get_status ",
            "return get_status {}",
            "call run_script UNLOAD_FILAMENT",
            "error run_script no",
        ];
        assert_eq!(kinds, expected);
    }
}

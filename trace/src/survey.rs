//! What a file of a trace holds: times, objects, counts, and what is missing.

use std::collections::{BTreeMap, BTreeSet};

use k485_proto::record::Time;
use serde::Serialize;

use crate::decimal::seconds;
use crate::event::{Event, Kind};

/// How many objects, and types of events, are named.
pub const MAX_NAMES: usize = 1_000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The time of the first event.
    pub first: Option<Time>,
    /// The latest time.
    pub last: Option<Time>,
    /// The objects, by their labels.
    pub objects: BTreeMap<String, u64>,
    /// Events by their type.
    pub types: BTreeMap<String, u64>,
    /// Events that the tracer dropped, by its own account.
    pub dropped: u64,
    /// Numbers that are missing in the tracer's count, and that it did not tell as dropped.
    pub missing: u64,
    /// Where the client was not connected.
    pub gaps: u64,
    /// How often a session of the tracer began.
    pub sessions: u64,
    /// Calls that raised an exception.
    pub raised: u64,
    /// Marks, by name, the first of them.
    pub marks: BTreeSet<String>,
    /// The number of the last event.
    seq: Option<u64>,
    /// What the tracer dropped since then.
    dropped_since: u64,
    last_gap: Option<(Option<Time>, Option<Time>)>,
}

/// The figures, for programs.
#[derive(Debug, Clone, Serialize)]
pub struct Figures<'a> {
    /// Seconds since 1970.
    pub first: Option<f64>,
    /// Seconds since 1970.
    pub last: Option<f64>,
    /// From the first to the last, in seconds.
    pub seconds: Option<f64>,
    /// All events.
    pub events: u64,
    /// By type.
    pub types: &'a BTreeMap<String, u64>,
    /// Events by object.
    pub objects: &'a BTreeMap<String, u64>,
    /// As in [`Survey`].
    pub raised: u64,
    /// As in [`Survey`].
    pub dropped: u64,
    /// As in [`Survey`].
    pub missing: u64,
    /// As in [`Survey`].
    pub gaps: u64,
    /// As in [`Survey`].
    pub sessions: u64,
    /// As in [`Survey`].
    pub marks: &'a BTreeSet<String>,
}

impl Survey {
    /// Takes the next event. `whole` says that all events of the stream come by, so that numbers
    /// which are missing are losses: not so in the file of one object.
    pub fn take(&mut self, event: &Event<'_>, whole: bool) {
        if let Some(time) = event.time {
            self.first = self.first.or(Some(time));
            self.last = self.last.max(Some(time));
        }
        let (name, object) = match &event.kind {
            Kind::Call { site, .. } => ("call", Some(&site.object)),
            Kind::Return { site, .. } => ("return", Some(&site.object)),
            Kind::Error { site, .. } => {
                self.raised += 1;
                ("error", Some(&site.object))
            }
            Kind::AttrRead { object, .. } => ("attr_read", Some(object)),
            Kind::Frame { site, .. } => ("frame", Some(&site.object)),
            Kind::Connected { .. } => {
                self.sessions += 1;
                self.seq = None;
                ("connected", None)
            }
            Kind::Dropped { count } => {
                self.dropped = self.dropped.saturating_add(*count);
                self.dropped_since = self.dropped_since.saturating_add(*count);
                ("dropped", None)
            }
            Kind::Lost { .. } => ("lost", None),
            Kind::Yield { .. } => ("yield", None),
            Kind::Mark { name } => {
                if self.marks.len() < MAX_NAMES {
                    self.marks.insert(name.to_string());
                }
                ("mark", None)
            }
            Kind::Gap { from, to, .. } => {
                if self.last_gap.replace((*from, *to)) != Some((*from, *to)) {
                    self.gaps += 1;
                }
                self.seq = None;
                ("gap", None)
            }
            Kind::Other(name) => (&**name, None),
        };
        count(&mut self.types, name);
        if let Some(object) = object {
            count(&mut self.objects, object);
        }
        if let (Some(seq), true) = (event.context.seq, whole) {
            if let Some(last) = self.seq {
                let missing = seq.saturating_sub(last.saturating_add(1));
                self.missing += missing.saturating_sub(self.dropped_since);
            }
            (self.seq, self.dropped_since) = (Some(seq), 0);
        }
    }

    /// All events.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.types.values().sum()
    }

    /// From the first time to the last, in nanoseconds.
    #[must_use]
    pub fn duration(&self) -> Option<i64> {
        Some(self.last?.since(self.first?))
    }

    /// The same for programs.
    #[must_use]
    pub fn figures(&self) -> Figures<'_> {
        Figures {
            first: self.first.map(|time| seconds(time.0)),
            last: self.last.map(|time| seconds(time.0)),
            seconds: self.duration().map(seconds),
            events: self.events(),
            types: &self.types,
            objects: &self.objects,
            raised: self.raised,
            dropped: self.dropped,
            missing: self.missing,
            gaps: self.gaps,
            sessions: self.sessions,
            marks: &self.marks,
        }
    }
}

/// Counts a name; beyond [`MAX_NAMES`] under `…`.
fn count(names: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = names.get_mut(name) {
        *count += 1;
    } else {
        let name = if names.len() < MAX_NAMES { name } else { "…" };
        *names.entry(name.to_owned()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_and_what_is_missing() {
        let mut survey = Survey::default();
        for line in [
            r#"{"type":"connected","time":1}"#,
            r#"{"type":"call","id":1,"time":2,"object":"box","seq":10}"#,
            r#"{"type":"return","id":1,"time":3,"object":"box","seq":11}"#,
            r#"{"type":"dropped","time":3,"count":4}"#,
            r#"{"type":"error","id":2,"time":4.5,"object":"rack","seq":18}"#,
            r#"{"type":"gap","from":4.5,"to":9,"time":9}"#,
            r#"{"type":"gap","from":4.5,"to":9,"time":9}"#,
            r#"{"type":"connected","time":9}"#,
            r#"{"type":"mark","name":"here","time":8,"seq":1}"#,
        ] {
            survey.take(&Event::parse(line, 1, 0).unwrap(), true);
        }
        assert_eq!((survey.events(), survey.duration()), (9, Some(8_000_000_000)));
        assert_eq!((survey.dropped, survey.missing, survey.gaps), (4, 2, 1));
        assert_eq!((survey.sessions, survey.raised), (2, 1));
        assert_eq!(
            survey.objects.iter().map(|(o, n)| (&**o, *n)).collect::<Vec<_>>(),
            [("box", 2), ("rack", 1)]
        );
        let json = serde_json::to_value(survey.figures()).unwrap();
        assert_eq!(
            (json["seconds"].as_f64(), json["marks"][0].as_str()),
            (Some(8.0), Some("here"))
        );
    }
}

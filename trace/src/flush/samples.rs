//! The flushes that a trace holds.
//!
//! The host's `get_flush_len(prev, next)` tells a length; `material_change_flush(prev, next)` round
//! it does the flush, and `Tn_action(next)` round that the whole change. During a flush
//! `get_material_target_speed(material)` is asked. `get_flushing_volume(rgb, rgb)` is the host's
//! function of [`super::volume`]. All seen in captures but the last one, whose results are known
//! from the vendor's module.

use k485_proto::material::{Colour, MaterialCode};
use k485_proto::record::Time;
use k485_proto::slot::Slot;

use super::args;
use super::plan::Pair;
use super::spools::Spools;
use super::volume::volume;
use crate::event::{Event, Kind, Site};
use crate::open::{Begin, End, OpenCalls};
use crate::send::{self, Reply};

/// The most samples that are kept of a trace. A change takes a minute and more.
pub const MOST: usize = 100_000;
/// The most flushes that are open at once.
const MOST_OPEN: usize = 64;

/// A length that the host told.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When; `None` where the trace tells no time.
    pub time: Option<Time>,
    /// From what to what.
    pub pair: Pair,
    /// What `get_flush_len` gave, in mm.
    pub length: f64,
    /// How long the flush took, in nanoseconds.
    pub flush: Option<i64>,
    /// How long the whole change took, in nanoseconds.
    pub change: Option<i64>,
    /// The material that the speed was asked for.
    pub material: Option<MaterialCode>,
    /// The speed, in mm/min.
    pub speed: Option<f64>,
}

/// Volumes that the host told, against [`volume`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Volumes {
    /// How many.
    pub told: u64,
    /// How many of them are what [`volume`] gives.
    pub equal: u64,
    /// The first one that is not: the colours, what the host gave, what [`volume`] gives.
    pub other: Option<(Colour, Colour, f64, u32)>,
}

/// Takes events and keeps the flushes.
#[derive(Debug, Default)]
pub struct Flushes {
    calls: OpenCalls<Open>,
    /// The flushes that are open, by their calls' numbers.
    open: Vec<(u64, Pair)>,
    samples: Vec<Sample>,
    spools: Spools,
    volumes: Volumes,
    /// Ends of `get_flush_len` of which nobody knows between what.
    without_call: u64,
    /// Those beyond [`MOST`].
    crowded_out: u64,
}

/// An open call.
#[derive(Debug, Clone)]
enum Open {
    Length(Option<Pair>),
    /// A flush and a change keep how many samples there were before.
    Flush(Option<Pair>, usize),
    Change(Option<Slot>, usize),
    Speed(Option<MaterialCode>, Option<Pair>),
    Volume(Option<(Colour, Colour)>),
    Status,
    Send,
}

impl Flushes {
    /// Nothing was taken yet; `spools` is what is known already.
    #[must_use]
    pub fn new(spools: Spools) -> Flushes {
        Flushes { spools, ..Flushes::default() }
    }

    /// Whether [`Flushes::take`] could do anything with the event.
    #[must_use]
    pub fn concerns(event: &Event<'_>) -> bool {
        match &event.kind {
            Kind::Connected { .. } => true,
            Kind::Call { site, .. } => is_wanted(site),
            // The short documented form: it may end a call of these.
            Kind::Return { site, .. } | Kind::Error { site, .. } => {
                is_wanted(site) || site.method.is_empty()
            }
            _ => false,
        }
    }

    /// Takes the next event. Events of several files may be mixed: `source` tells them apart.
    pub fn take(&mut self, source: usize, event: &Event<'_>) {
        if !Self::concerns(event) {
            return;
        }
        match &event.kind {
            Kind::Connected { schema, .. } => self.calls.connected(source, *schema),
            Kind::Call { id, site, args, .. } => {
                let Some(open) = self.open_call(site, args) else { return };
                let begin = self.calls.call(source, event, *id, site, args, open.clone());
                if let (Begin::Call { number }, Open::Flush(Some(pair), _)) = (begin, open) {
                    if self.open.len() == MOST_OPEN {
                        self.open.remove(0);
                    }
                    self.open.push((number, pair));
                }
            }
            Kind::Return { id, site, result, duration } => {
                let ended = self.calls.end(source, event, *id, site, result);
                self.end(event.time, site, ended, Some((result, *duration)));
            }
            Kind::Error { id, site, error, .. } => {
                let ended = self.calls.end(source, event, *id, site, error);
                self.end(event.time, site, ended, None);
            }
            _ => {}
        }
    }

    fn open_call(&self, site: &Site<'_>, args: &str) -> Option<Open> {
        let first = || args::split(args).into_iter().next().map(str::to_owned);
        let pair = || args::sides(args).map(|(prev, next)| Pair { prev, next });
        Some(match &*site.method {
            "get_flush_len" => Open::Length(pair()),
            "material_change_flush" => Open::Flush(pair(), self.samples.len()),
            "Tn_action" => {
                Open::Change(first().and_then(|tool| tool.parse().ok()), self.samples.len())
            }
            "get_material_target_speed" => Open::Speed(
                first().and_then(|code| code.parse().ok()),
                self.open.last().map(|(_, pair)| *pair),
            ),
            "get_flushing_volume" => {
                let parts = args::split(args);
                let colour = |at: usize| parts.get(at).and_then(|text| args::rgb(text));
                Open::Volume(colour(0).zip(colour(1)).map(|(from, to)| (from.into(), to.into())))
            }
            "get_status" => Open::Status,
            "cmd_send_data_with_response" => Open::Send,
            _ => return None,
        })
    }

    /// `result` is what the call gave and its duration; `None` where it raised.
    fn end(
        &mut self,
        time: Option<Time>,
        site: &Site<'_>,
        ended: End<Open>,
        result: Option<(&str, Option<i64>)>,
    ) {
        let open = match ended {
            End::Of { number, value } => {
                self.open.retain(|(open, _)| *open != number);
                value
            }
            // The outer end of a doubled call is the one.
            End::Inner { .. } | End::Again { .. } => return,
            // What is told without its call is of use where the arguments are none.
            End::Orphan { .. } => match &*site.method {
                "get_status" => Open::Status,
                "cmd_send_data_with_response" => Open::Send,
                "get_flush_len" => {
                    self.without_call += 1;
                    return;
                }
                _ => return,
            },
        };
        let Some((result, duration)) = result else { return };
        let number = || serde_json::from_str::<f64>(result).ok();
        match open {
            Open::Length(Some(pair)) => match number() {
                // A capture may hold it twice: in the object's file and in that of all.
                Some(length) if self.is_kept(time, pair, length) => {}
                Some(length) if self.samples.len() < MOST => self.samples.push(Sample {
                    time,
                    pair,
                    length,
                    flush: None,
                    change: None,
                    material: None,
                    speed: None,
                }),
                Some(_) => self.crowded_out += 1,
                None => {}
            },
            Open::Flush(Some(pair), before) => {
                let samples = self.samples[before..].iter_mut();
                for sample in samples.filter(|sample| sample.pair == pair) {
                    sample.flush = sample.flush.or(duration);
                }
            }
            Open::Change(Some(next), before) => {
                let samples = self.samples[before..].iter_mut();
                for sample in samples.filter(|sample| sample.pair.next == next) {
                    sample.change = sample.change.or(duration);
                }
            }
            Open::Speed(code, Some(pair)) => {
                let mut samples = self.samples.iter_mut().rev();
                if let Some(sample) = samples.find(|sample| sample.pair == pair) {
                    sample.material = code.or(sample.material);
                    sample.speed = number().or(sample.speed);
                }
            }
            Open::Volume(Some((from, to))) => self.volume(from, to, number()),
            Open::Status => {
                if let Ok(status) = serde_json::from_str(result) {
                    self.spools.status(time, &status);
                }
            }
            Open::Send => {
                if let Ok(Reply::Bytes(frame)) = send::reply(result) {
                    self.spools.frame(time, &frame);
                }
            }
            _ => {}
        }
    }

    /// Whether the same length was told at the same time.
    fn is_kept(&self, time: Option<Time>, pair: Pair, length: f64) -> bool {
        let same = |sample: &Sample| {
            time.is_some() && (sample.time, sample.pair, sample.length) == (time, pair, length)
        };
        self.samples.iter().rev().take(MOST_OPEN).any(same)
    }

    fn volume(&mut self, from: Colour, to: Colour, told: Option<f64>) {
        let Some(told) = told else { return };
        let own = volume(from, to);
        self.volumes.told += 1;
        if told == f64::from(own) {
            self.volumes.equal += 1;
        } else {
            self.volumes.other.get_or_insert((from, to, told, own));
        }
    }

    /// What was found, in the order of the trace.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// What is known of the slots.
    #[must_use]
    pub fn spools(&self) -> &Spools {
        &self.spools
    }

    /// The host's volumes against the function of this crate.
    #[must_use]
    pub fn volumes(&self) -> &Volumes {
        &self.volumes
    }

    /// How many lengths were told of which the call, and so the slots, are not in the trace.
    #[must_use]
    pub fn without_call(&self) -> u64 {
        self.without_call
    }

    /// How many lengths were left out since there were too many.
    #[must_use]
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out
    }
}

fn is_wanted(site: &Site<'_>) -> bool {
    matches!(
        &*site.method,
        "get_flush_len"
            | "material_change_flush"
            | "Tn_action"
            | "get_material_target_speed"
            | "get_flushing_volume"
            | "get_status"
            | "cmd_send_data_with_response"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(lines: &[&str]) -> Flushes {
        let mut flushes = Flushes::default();
        for (line, text) in lines.iter().enumerate() {
            flushes.take(0, &Event::parse(text, line as u64, 0).unwrap());
        }
        flushes
    }

    #[test]
    fn a_change_with_all_that_is_told_of_it() {
        let flushes = taken(&[
            r#"{"type":"call","id":1,"time":1.0,"object":"box","method":"Tn_action","args":"T2A"}"#,
            r#"{"type":"call","id":2,"time":60.0,"object":"box","method":"material_change_flush","args":"T1B, T2A"}"#,
            r#"{"type":"call","id":3,"time":60.1,"object":"box","method":"get_flush_len","args":"T1B, T2A"}"#,
            r#"{"type":"return","id":3,"time":60.2,"object":"box","method":"get_flush_len","result":105.5,"duration_ms":9}"#,
            r#"{"type":"call","id":4,"time":80.0,"object":"filament_rack","method":"get_material_target_speed","args":"type=0P1002"}"#,
            r#"{"type":"return","id":4,"time":80.1,"object":"filament_rack","method":"get_material_target_speed","result":450.0,"duration_ms":50}"#,
            r#"{"type":"return","id":2,"time":80.2,"object":"box","method":"material_change_flush","result":true,"duration_ms":20200}"#,
            r#"{"type":"return","id":1,"time":91.0,"object":"box","method":"Tn_action","result":true,"duration_ms":90000}"#,
            r#"{"type":"return","id":0,"time":92.0,"object":"box","method":"get_flush_len","result":70,"duration_ms":9}"#,
        ]);
        let [sample] = flushes.samples() else { panic!("{:?}", flushes.samples()) };
        assert_eq!(sample.pair.to_string(), "T1B > T2A");
        assert_eq!((sample.length, sample.speed), (105.5, Some(450.0)));
        assert_eq!(sample.flush, Some(20_200 * Time::MILLISECOND));
        assert_eq!(sample.change, Some(90 * Time::SECOND));
        assert_eq!(sample.material, "0P1002".parse().ok());
        assert_eq!(flushes.without_call(), 1);
    }

    #[test]
    fn volumes_are_checked() {
        let flushes = taken(&[
            r#"{"type":"call","id":1,"time":1,"method":"get_flushing_volume","args":"[0, 0, 0], [255, 255, 255]"}"#,
            r#"{"type":"return","id":1,"time":1,"method":"get_flushing_volume","result":560}"#,
            r#"{"type":"call","id":2,"time":1,"method":"get_flushing_volume","args":"[0, 0, 0], [0, 0, 0]"}"#,
            r#"{"type":"return","id":2,"time":1,"method":"get_flushing_volume","result":61}"#,
        ]);
        let black = Colour::from([0; 3]);
        let other = Some((black, black, 61.0, 60));
        assert_eq!(*flushes.volumes(), Volumes { told: 2, equal: 1, other });
    }

    #[test]
    fn what_raises_tells_nothing() {
        let flushes = taken(&[
            r#"{"type":"call","id":3,"time":1,"method":"get_flush_len","args":"T1B, T2A"}"#,
            r#"{"type":"error","id":3,"time":1,"method":"get_flush_len","error":"KeyError"}"#,
            r#"{"type":"call","id":4,"time":1,"method":"get_flush_len","args":"T9, T2A"}"#,
            r#"{"type":"return","id":4,"time":1,"method":"get_flush_len","result":70}"#,
        ]);
        assert!(flushes.samples().is_empty());
    }

    proptest! {
        /// Calls and ends in any order, with anything in them.
        #[test]
        fn nothing_panics(events in prop::collection::vec(
            (0..3_usize, 0_u64..5, 0..7_usize, "[^\"\\\\[:cntrl:]]*"), 0..40,
        )) {
            let methods = ["get_flush_len", "material_change_flush", "Tn_action", "get_status",
                "get_material_target_speed", "get_flushing_volume", "cmd_send_data_with_response"];
            let mut flushes = Flushes::default();
            for (kind, id, method, text) in events {
                let kind = ["call", "return", "error"][kind];
                let line = format!(
                    "{{\"type\":\"{kind}\",\"id\":{id},\"method\":\"{}\",\"args\":\"T1A, T1B{text}\",\
                     \"result\":{}}}",
                    methods[method],
                    id * 100
                );
                flushes.take(0, &Event::parse(&line, 1, 0).unwrap());
            }
        }
    }
}

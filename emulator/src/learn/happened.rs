//! What printer and hands must have done between two answers.

use super::Told;
use super::facts::{BoxFacts, Happened, seconds};
use crate::hand::Hand;

/// How much slack the buffer can take, in mm; the scene's default.
const TRAVEL: f64 = 20.0;
/// Slack in the middle.
const MIDDLE: f64 = 8.0;
/// What a push leaves room for where the buffer is full behind it.
const BEFORE_FULL: f64 = 17.5;

/// The printer's buffer as it was followed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Printer {
    /// How much slack there was, at the start and now.
    pub(crate) first_slack: f64,
    pub(crate) slack: f64,
    /// The extrusion before the last push, which the buffer's next state may show to have been
    /// less: which event it is, and the slack before it.
    push: Option<(usize, f64)>,
    /// An event that was wrong, and how far the extruder went in truth.
    pub(crate) correction: Option<(usize, f64)>,
    /// Whether the filament was cut since it was loaded.
    cut: bool,
}

impl Printer {
    pub(crate) fn start_here(&mut self) {
        self.first_slack = self.slack;
        self.push = None;
    }

    /// The extruder takes so much.
    fn take(&mut self, mm: f64, at: i64, why: &str, happened: &mut Vec<Happened>) {
        let mm = (mm * 100.0).round() / 100.0;
        if mm > 0.0 {
            self.slack = (self.slack - mm).max(0.0);
            happened.push((at, Hand::Extrude { mm, speed: None }, why.to_owned()));
        }
    }
}

/// Infers from an exchange what happened since the one `before`; `events` are known already.
pub(crate) fn between(
    told: &Told<'_>,
    facts: &BoxFacts,
    printer: &mut Printer,
    before: i64,
    events: usize,
    happened: &mut Vec<Happened>,
) {
    let middle = (before + told.request) / 2;
    match (told.func, told.arg(1), told.reply) {
        // The box filled the buffer.
        (0x10, 6, Some((0, _))) => (printer.slack, printer.cut) = (TRAVEL, false),
        // A push needs room: the extruder has taken some before.
        (0x10, 7, Some((0, _))) => {
            let why = "a push found room: the extruder took filament";
            let mm = printer.slack - MIDDLE;
            printer.push = (mm > 0.0).then_some((events + happened.len(), printer.slack));
            printer.take(mm, middle, why, happened);
            printer.slack = (printer.slack + f64::from(told.arg(2))).min(TRAVEL);
        }
        (0x05, _, Some((0, &[state]))) => buffer(state, printer, middle, happened),
        // Print mode keeps the buffer as it is; what the odometer shows went to the nozzle.
        (0x0e, _, Some((0, data))) if told.arg(0) == 1 => extruded(told, facts, data, happened),
        (0x11, _, Some((0, _))) => {
            let loaded = facts.loaded.or(facts.in_hub).is_some();
            if loaded && !printer.cut {
                let why = "it was pulled back: it must have been cut before";
                happened.push((middle, Hand::Cut, why.to_owned()));
                printer.cut = true;
            }
            printer.slack = 0.0;
        }
        _ => {}
    }
}

/// 0 middle, 1 full, 2 empty.
fn buffer(state: u8, printer: &mut Printer, middle: i64, happened: &mut Vec<Happened>) {
    let push = printer.push.take();
    match state {
        0 if printer.slack >= TRAVEL - 0.5 => {
            let why = "the buffer was no longer full: the extruder took filament";
            printer.take(printer.slack - MIDDLE, middle, why, happened);
        }
        1 if printer.slack < TRAVEL => {
            // The push filled it, so the extruder had taken less.
            printer.correction = push.map(|(event, slack)| (event, slack - BEFORE_FULL));
            printer.slack = TRAVEL;
        }
        2 if printer.slack > 0.0 => {
            let why = "the buffer was empty: the extruder took filament";
            printer.take(printer.slack + 1.0, middle, why, happened);
        }
        _ => {}
    }
}

/// What passed the wheel between two readings went through the extruder.
fn extruded(told: &Told<'_>, facts: &BoxFacts, data: &[u8], happened: &mut Vec<Happened>) {
    let (Some((from, last)), Ok(bytes)) = (facts.print_odometer, <[u8; 4]>::try_from(data)) else {
        return;
    };
    let mm = last - f64::from(f32::from_be_bytes(bytes));
    let s = seconds(told.request - from);
    if !(1.0..1e6).contains(&mm) || s < 0.5 {
        return;
    }
    let mm = (mm * 100.0).round() / 100.0;
    let speed = (mm / (s * 0.8) * 100.0).round().max(1.0) / 100.0;
    let at = from + (told.request - from) / 10;
    let why = "the odometer went on by this much: the extruder turned".to_owned();
    happened.push((at, Hand::Extrude { mm, speed: Some(speed.min(1000.0)) }, why));
}

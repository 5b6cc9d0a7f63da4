//! Where filament is, by what the host had the boxes do.

use k485_proto::message::Message;
use k485_proto::status::Status;
use serde::Serialize;

use super::{BoxPortrait, SlotPortrait};

/// Where things are on a slot's path, in mm from its inlet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Places {
    /// The hub sensor.
    pub hub: f64,
    /// The measuring wheel.
    pub wheel: f64,
    /// Where all paths meet, and the buffer begins.
    pub buffer: f64,
    /// The toolhead's filament sensor.
    pub toolhead: f64,
    /// The cutter.
    pub cutter: f64,
    /// The extruder's gears.
    pub extruder: f64,
}

/// A path of the usual lengths, since no frame tells them.
pub const PLACES: Places = Places {
    hub: 300.0,
    wheel: 325.0,
    buffer: 1350.0,
    toolhead: 1460.0,
    cutter: 1475.0,
    extruder: 1500.0,
};

/// Where a tip waits behind the feeder.
const WAITS: f64 = 60.0;
/// How much before a place that was not reached yet a tip is shown at the most.
const SHORT: f64 = 5.0;

impl SlotPortrait {
    /// The filament hangs on its spool, and its tip is there.
    fn put(&mut self, tip: f64) {
        self.filament = vec![(-1.0, tip)];
    }

    pub(super) fn sensed_inlet(&mut self, on: bool) {
        self.inlet = Some(on);
        if on && self.filament.is_empty() {
            self.put(WAITS);
        }
        if !on {
            (self.tag, self.spool) = (None, None);
            // A piece that broke off, or the end of a spool, may still be in the hub.
            match self.filament.last() {
                Some((_, tip)) if self.hub == Some(true) => {
                    self.filament = vec![(PLACES.hub / 2.0, *tip)]
                }
                _ => self.filament.clear(),
            }
        }
    }

    pub(super) fn sensed_hub(&mut self, on: bool) {
        self.hub = Some(on);
        let tip = self.filament.last().map(|(_, tip)| *tip);
        match tip {
            Some(tip) if on && tip < PLACES.hub => self.put(PLACES.wheel),
            Some(tip) if !on && tip >= PLACES.hub => self.put(WAITS),
            None if on => self.filament = vec![(PLACES.hub - SHORT, PLACES.wheel)],
            _ => {}
        }
        if !on && self.inlet == Some(false) {
            self.filament.clear();
        }
    }
}

impl BoxPortrait {
    /// A stage of EXTRUDE_PROCESS was answered.
    pub(super) fn extruded(&mut self, stage: Option<i64>, message: &Message<'_>, status: Status) {
        let before = self.odometer;
        self.wheel(message);
        let Some(slot) = self.named else { return };
        let slot = &mut self.slots[slot];
        let done = status == Status::OK;
        slot.moves = done && matches!(stage, Some(4 | 5));
        let tip = slot.filament.last().map_or(PLACES.wheel, |(_, tip)| *tip);
        match stage {
            Some(0) if done => slot.sensed_hub(true),
            Some(4) if done => {
                slot.sensed_hub(true);
                self.fed_from = before.or(Some(0.0));
            }
            Some(5) => {
                // It falls while filament is fed.
                if let (Some(from), Some(now)) = (self.fed_from, self.odometer) {
                    let fed = PLACES.wheel + f64::from(from - now).max(0.0);
                    slot.put(
                        fed.clamp(PLACES.wheel, PLACES.toolhead - SHORT)
                            .max(tip.min(PLACES.toolhead - SHORT)),
                    );
                }
            }
            Some(6) if done => slot.put(PLACES.toolhead + SHORT),
            Some(7) if done => slot.put(PLACES.extruder),
            _ => {}
        }
    }

    /// A stage of RETRUDE_PROCESS was answered.
    pub(super) fn retruded(&mut self, stage: Option<i64>, status: Status) {
        self.fed_from = None;
        // Without a slot's name it is whatever is in the hub.
        let in_hub = self.slots.iter().position(|slot| slot.hub == Some(true));
        self.stand();
        let Some(slot) = self.named.or(in_hub) else { return };
        if status != Status::OK {
            return;
        }
        let slot = &mut self.slots[slot];
        match stage {
            Some(0) => slot.put(PLACES.buffer),
            Some(1) => {
                slot.hub = Some(false);
                slot.put(WAITS);
            }
            _ => {}
        }
    }
}

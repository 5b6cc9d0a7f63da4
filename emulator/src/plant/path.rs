//! A box's part of the plant: four lanes, their feeders, the hub with its gear and wheel.

use super::filament::{Lane, Piece, Spool};
use crate::table::table;

/// How many slots a box has.
pub const SLOTS: usize = 4;

/// What a motor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Drive {
    /// It stands still; filament can be pulled through.
    #[default]
    Stop,
    /// Towards the printer.
    Forward,
    /// Towards the spool.
    Reverse,
}

table! {
    /// Places in mm from a slot's inlet, and speeds in mm/s.
    pub struct Geometry {
        /// The hub sensor.
        hub: f64, in 0..=100_000, "mm" = 300.0;
        /// The measuring wheel, where the hub gear grips too.
        wheel: f64, in 0..=100_000, "mm" = 325.0;
        /// Where all paths meet: behind it there is room for one filament.
        joint: f64, in 0..=100_000, "mm" = 1350.0;
        /// The toolhead's filament sensor.
        toolhead: f64, in 0..=100_000, "mm" = 1460.0;
        /// The cutter.
        cutter: f64, in 0..=100_000, "mm" = 1475.0;
        /// The extruder's gears, where filament stops unless they turn.
        extruder: f64, in 0..=100_000, "mm" = 1500.0;
        /// Speed of a feeder.
        feeder_speed: f64, in 0.1..=10_000.0, "mm/s" = 150.0;
        /// Speed of the hub motor.
        hub_speed: f64, in 0.1..=10_000.0, "mm/s" = 155.0;
    }
}

impl Copy for Geometry {}

/// A photo sensor that shows the same whatever is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SensorFault {
    /// It works.
    #[default]
    Works,
    /// It never sees filament.
    Dark,
    /// It always sees filament.
    Lit,
}

impl SensorFault {
    fn shows(self, seen: bool) -> bool {
        match self {
            SensorFault::Works => seen,
            SensorFault::Dark => false,
            SensorFault::Lit => true,
        }
    }
}

/// The paths of one box.
#[derive(Debug, Clone, Default)]
pub struct BoxPath {
    /// Where things are.
    pub geometry: Geometry,
    /// The slot's feeders.
    pub feeders: [Drive; SLOTS],
    /// The hub motor.
    pub hub: Drive,
    /// The inlet sensors' faults.
    pub inlet_faults: [SensorFault; SLOTS],
    /// The hub sensors' faults.
    pub hub_faults: [SensorFault; SLOTS],
    /// Filament that holds fast in the tube: no motor moves it.
    pub stuck: [bool; SLOTS],
    /// Where a tip cannot pass, in mm from the inlet.
    pub jam: [Option<f64>; SLOTS],
    /// The hub gear turns without gripping.
    pub hub_slips: bool,
    /// The hub motor cannot turn.
    pub hub_blocked: bool,
    /// The measuring wheel does not turn.
    pub wheel_blocked: bool,
    /// What the wheel has turned, in mm; positive while filament goes to the printer.
    pub(crate) wheel: f64,
    pub(crate) lanes: [Lane; SLOTS],
}

impl BoxPath {
    /// What the wheel has turned since the start, in mm: positive while filament goes to the
    /// printer.
    #[must_use]
    pub fn wheel(&self) -> f64 {
        self.wheel
    }

    /// Whether a slot's inlet sensor sees filament.
    #[must_use]
    pub fn inlet(&self, slot: usize) -> bool {
        self.inlet_faults[slot].shows(self.lanes[slot].covers(0.0))
    }

    /// Whether a slot's hub sensor sees filament.
    #[must_use]
    pub fn in_hub(&self, slot: usize) -> bool {
        self.hub_faults[slot].shows(self.lanes[slot].covers(self.geometry.hub))
    }

    /// What is in a slot's path, from the inlet outwards.
    #[must_use]
    pub fn pieces(&self, slot: usize) -> &[Piece] {
        &self.lanes[slot].pieces
    }

    /// The spool whose filament is in the inlet.
    #[must_use]
    pub fn spool(&self, slot: usize) -> Option<&Spool> {
        self.lanes[slot].spool.as_ref()
    }

    /// Whether the hub motor runs without turning.
    #[must_use]
    pub fn hub_stands(&self) -> bool {
        self.hub != Drive::Stop && self.hub_blocked
    }

    /// Stops every motor of the box.
    pub fn stop(&mut self) {
        self.feeders = [Drive::Stop; SLOTS];
        self.hub = Drive::Stop;
    }

    pub(crate) fn is_driven(&self) -> bool {
        self.hub != Drive::Stop || self.feeders.iter().any(|drive| *drive != Drive::Stop)
    }
}

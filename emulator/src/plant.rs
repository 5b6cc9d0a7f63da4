//! The physics behind the boxes: filament on its way from the spools to the nozzle.
//!
//! Every slot has a path of its own, measured in mm from its inlet: inlet sensor (0), hub sensor,
//! measuring wheel and hub gear, the joint where all paths meet, buffer, toolhead sensor, cutter,
//! extruder. The printer has one buffer, shared by all boxes, whose slack is what was pushed
//! towards an extruder that did not take it.
//!
//! The plant is stepped in whole milliseconds, and only while something moves: 24 idle hours cost
//! nothing. It is deterministic.
//!
//! Geometry and speeds are defaults that can be set; the defaults are those of the mechanical model
//! under which the real box firmware was observed, with the vendor's tube lengths behind it.

mod filament;
mod motion;
mod path;
mod printer;

use k485_proto::record::Time;

pub use filament::{Piece, Spool};
pub use path::{BoxPath, Drive, Geometry, SLOTS, SensorFault};
pub use printer::Printer;

/// One millisecond, the plant's step, in nanoseconds.
pub(crate) const STEP: i64 = Time::MILLISECOND;

/// A slot of a box, both counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    /// Which box of the plant.
    pub unit: usize,
    /// Which slot of it, 0 (A) to 3 (D).
    pub slot: usize,
}

/// All that moves: the boxes' paths and the printer.
#[derive(Debug, Clone)]
pub struct Plant {
    now: Time,
    paths: Vec<BoxPath>,
    printer: Printer,
}

impl Plant {
    /// A plant without filament, at the time `now`, with so many boxes.
    #[must_use]
    pub fn new(now: Time, boxes: usize) -> Plant {
        let paths = (0..boxes).map(|_| BoxPath::default()).collect();
        Plant { now, paths, printer: Printer::default() }
    }

    /// How far the plant has been advanced.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many boxes there are.
    #[must_use]
    pub fn boxes(&self) -> usize {
        self.paths.len()
    }

    /// A box's paths: filament, motors, sensors.
    ///
    /// # Panics
    /// There is no such box.
    #[must_use]
    pub fn path(&self, unit: usize) -> &BoxPath {
        &self.paths[unit]
    }

    /// A box's paths, to set motors, geometry and faults.
    ///
    /// # Panics
    /// There is no such box.
    pub fn path_mut(&mut self, unit: usize) -> &mut BoxPath {
        &mut self.paths[unit]
    }

    /// The printer: buffer, extruder, what is left behind the cutter.
    #[must_use]
    pub fn printer(&self) -> &Printer {
        &self.printer
    }

    /// The printer, to set the extruder's speed and to hold the buffer.
    pub fn printer_mut(&mut self) -> &mut Printer {
        &mut self.printer
    }

    /// Whether anything moves, so that time changes something.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.printer.speed != 0.0 || self.paths.iter().any(BoxPath::is_driven)
    }

    /// Goes on to `to`, in whole milliseconds; what is left of one counts when it is full. Does
    /// nothing when the plant is there already.
    pub fn advance(&mut self, to: Time) {
        let steps = to.since(self.now) / STEP;
        if steps <= 0 {
            return;
        }
        let mut left = steps;
        while left > 0 && self.is_moving() {
            self.step();
            left -= 1;
        }
        self.now = Time(self.now.0.saturating_add(steps * STEP));
    }

    /// A hand puts the spool's end into the inlet, so far that the feeder grips it (5 mm). What was
    /// in the inlet is pulled out first.
    pub fn insert(&mut self, port: Port, spool: Spool) {
        self.pull_out(port);
        self.paths[port.unit].lanes[port.slot].insert(spool, 5.0);
    }

    /// A hand pulls out what hangs on the spool. A piece that has broken off further on stays.
    pub fn pull_out(&mut self, port: Port) {
        let lane = &mut self.paths[port.unit].lanes[port.slot];
        lane.spool = None;
        lane.pieces.retain(|piece| piece.tail > 0.0);
    }

    /// Takes everything out of a slot's path, wherever it is.
    pub fn clear(&mut self, port: Port) {
        let lane = &mut self.paths[port.unit].lanes[port.slot];
        lane.spool = None;
        lane.pieces.clear();
    }

    /// A buffer through which no filament runs any more goes to its empty end, unless it is held.
    pub fn relax_buffer(&mut self) {
        let runs = |path: &BoxPath| {
            let joint = path.geometry.joint;
            path.lanes.iter().flat_map(|lane| &lane.pieces).any(|piece| piece.tip >= joint)
        };
        if !self.printer.held && !self.paths.iter().any(runs) {
            self.printer.slack = 0.0;
        }
    }

    /// Puts the tip of a slot's filament to `tip` mm by hand: as if it had been fed before.
    pub fn place(&mut self, port: Port, spool: Spool, tip: f64) {
        self.clear(port);
        self.paths[port.unit].lanes[port.slot].insert(spool, tip);
    }

    /// The filament ends: so much of it is left behind the inlet, on the spool.
    pub fn run_out(&mut self, port: Port, left: f64) {
        let lane = &mut self.paths[port.unit].lanes[port.slot];
        if let Some(piece) = lane.pieces.first_mut() {
            piece.tail = -left;
        }
    }

    /// The filament breaks at `at` mm, where there is some.
    pub fn break_at(&mut self, port: Port, at: f64) {
        self.paths[port.unit].lanes[port.slot].break_at(at);
    }

    /// The cutter closes: all filament that passes it is cut there. What is behind the cutter
    /// stays in the extruder, and only the extruder moves it.
    pub fn cut(&mut self) {
        for path in &mut self.paths {
            let (cutter, extruder) = (path.geometry.cutter, path.geometry.extruder);
            for lane in &mut path.lanes {
                for piece in &mut lane.pieces {
                    if piece.covers(cutter) && piece.tip > cutter {
                        piece.tip = cutter;
                        self.printer.stub = Some(extruder - cutter);
                    }
                }
            }
        }
    }

    /// The extruder turns by `mm` at once (negative: back). For a motion over time set
    /// [`Printer::speed`].
    pub fn extrude(&mut self, mm: f64) {
        self.turn_extruder(mm);
    }

    /// Whether the toolhead's filament sensor sees filament.
    #[must_use]
    pub fn toolhead(&self) -> bool {
        let seen = |path: &BoxPath| {
            let sensor = path.geometry.toolhead;
            let stub = self.printer.stub.is_some_and(|stub| path.geometry.extruder - stub < sensor);
            stub || path.lanes.iter().any(|lane| lane.covers(sensor))
        };
        self.paths.iter().any(seen)
    }
}

#[cfg(test)]
mod tests;

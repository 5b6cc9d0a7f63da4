//! The printer's part: buffer and extruder.

/// Buffer, extruder, and what is left behind the cutter.
#[derive(Debug, Clone, PartialEq)]
pub struct Printer {
    /// How much slack the buffer can take, in mm.
    pub travel: f64,
    /// How much slack it has, in mm.
    pub slack: f64,
    /// Something holds the buffer: its slack does not change.
    pub held: bool,
    /// The extruder's speed in mm/s; negative while it retracts.
    pub speed: f64,
    /// How far filament can reach beyond the extruder's gears, in mm: to the nozzle.
    pub nozzle: f64,
    /// How far the filament in the gears reaches beyond them, in mm.
    pub beyond: f64,
    /// A piece that was cut off, in mm before the gears; `None` when there is none or it is gone.
    pub stub: Option<f64>,
}

impl Default for Printer {
    fn default() -> Printer {
        Printer {
            travel: 20.0,
            slack: 0.0,
            held: false,
            speed: 0.0,
            nozzle: 60.0,
            beyond: 0.0,
            stub: None,
        }
    }
}

impl Printer {
    /// The switch at the full end, wired to every box.
    #[must_use]
    pub fn full(&self) -> bool {
        self.slack >= self.travel - SWITCH
    }

    /// The switch at the empty end, wired to every box.
    #[must_use]
    pub fn empty(&self) -> bool {
        self.slack <= SWITCH
    }

    /// A hand or a fault holds the buffer at so much slack.
    pub fn hold(&mut self, slack: f64) {
        self.slack = slack;
        self.held = true;
    }

    /// Takes in slack; gives how much found room. There is none once the full switch is tripped.
    pub(crate) fn take_in(&mut self, mm: f64) -> f64 {
        if self.held || self.full() {
            return 0.0;
        }
        let taken = mm.min(self.travel - self.slack).max(0.0);
        self.slack += taken;
        taken
    }

    /// Gives slack away; gives how much there was.
    pub(crate) fn give(&mut self, mm: f64) -> f64 {
        if self.held {
            return 0.0;
        }
        let given = mm.min(self.slack).max(0.0);
        self.slack -= given;
        given
    }
}

/// How near to its end the buffer trips a switch, in mm.
const SWITCH: f64 = 0.01;

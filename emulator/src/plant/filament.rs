//! Filament in a slot's path: the piece that hangs on the spool, and what broke off it.

/// What a spool brings.
#[derive(Debug, Clone, PartialEq)]
pub struct Spool {
    /// How much filament there is, in mm.
    pub length: f64,
    /// The 40 characters of its tag, where it has one that can be read.
    pub tag: Option<[u8; 40]>,
    /// What a box takes for the rest, in percent.
    pub remain: u8,
}

impl Default for Spool {
    /// A new 1 kg spool (about 330 m) without a tag, which a box takes for full.
    fn default() -> Spool {
        Spool { length: 330_000.0, tag: None, remain: 100 }
    }
}

/// A piece of filament, in mm from the inlet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// The end towards the printer.
    pub tip: f64,
    /// The end towards the spool; below 0 on the spool's side of the inlet.
    pub tail: f64,
}

impl Piece {
    /// Whether the place is between its ends.
    #[must_use]
    pub fn covers(&self, at: f64) -> bool {
        self.tail <= at && at <= self.tip
    }
}

/// What is in one slot's path, from the inlet to the extruder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lane {
    pub(crate) spool: Option<Spool>,
    /// From the inlet outwards; no two overlap.
    pub(crate) pieces: Vec<Piece>,
}

impl Lane {
    pub(crate) fn insert(&mut self, spool: Spool, tip: f64) {
        // What lies in the way is met at its end.
        let tip = self.pieces.first().map_or(tip, |next| tip.min(next.tail));
        self.pieces.insert(0, Piece { tip, tail: tip - spool.length.max(0.0) });
        self.spool = Some(spool);
    }

    pub(crate) fn covers(&self, at: f64) -> bool {
        self.pieces.iter().any(|piece| piece.covers(at))
    }

    pub(crate) fn break_at(&mut self, at: f64) {
        let Some(i) = self.pieces.iter().position(|piece| piece.tail < at && at < piece.tip) else {
            return;
        };
        let far = Piece { tip: self.pieces[i].tip, tail: at };
        self.pieces[i].tip = at;
        self.pieces.insert(i + 1, far);
    }
}

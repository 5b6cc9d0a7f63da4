//! How filament moves: one millisecond at a time.

use super::path::{BoxPath, Drive, SLOTS};
use super::{Plant, Port};

/// Below this a motion is none, in mm.
const NOTHING: f64 = 1e-9;

impl Drive {
    fn sign(self) -> f64 {
        match self {
            Drive::Stop => 0.0,
            Drive::Forward => 1.0,
            Drive::Reverse => -1.0,
        }
    }
}

impl BoxPath {
    /// How far the motors would move a piece in a millisecond, in mm.
    fn pull_on(&self, slot: usize, piece: usize) -> f64 {
        if self.stuck[slot] {
            return 0.0;
        }
        let geometry = &self.geometry;
        let piece = &self.lanes[slot].pieces[piece];
        let hub_grips = self.hub != Drive::Stop
            && !self.hub_slips
            && !self.hub_blocked
            && piece.covers(geometry.wheel);
        if hub_grips {
            return self.hub.sign() * geometry.hub_speed / 1000.0;
        }
        if piece.covers(0.0) {
            self.feeders[slot].sign() * geometry.feeder_speed / 1000.0
        } else {
            0.0
        }
    }
}

impl Plant {
    pub(super) fn step(&mut self) {
        // The extruder first: what a box then pushes into the buffer trips its switch, else one that
        // is filled while it is drawn from would never be full when it is looked at.
        if self.printer.speed != 0.0 {
            self.turn_extruder(self.printer.speed / 1000.0);
        }
        for unit in 0..self.paths.len() {
            if !self.paths[unit].is_driven() {
                continue;
            }
            for slot in 0..SLOTS {
                self.step_lane(Port { unit, slot });
            }
        }
    }

    fn step_lane(&mut self, port: Port) {
        // The far pieces first, so that a near one finds the room they leave.
        for i in (0..self.paths[port.unit].lanes[port.slot].pieces.len()).rev() {
            let pull = self.paths[port.unit].pull_on(port.slot, i);
            if pull > 0.0 {
                self.push(port, i, pull);
            } else if pull < 0.0 {
                self.draw(port, i, -pull);
            }
        }
        // What was drawn out of the inlet falls out.
        let lane = &mut self.paths[port.unit].lanes[port.slot];
        if lane.pieces.first().is_some_and(|piece| piece.tip < 0.0) {
            lane.pieces.remove(0);
            lane.spool = None;
        }
    }

    /// Pushes a piece towards the printer, and with it what it meets; gives how far it went. What
    /// the extruder does not take goes into the buffer.
    fn push(&mut self, port: Port, i: usize, mm: f64) -> f64 {
        let limit = self.limit(port, i);
        let path = &mut self.paths[port.unit];
        let wheel = path.geometry.wheel;
        let piece = path.lanes[port.slot].pieces[i];
        let mut moved = mm.min((limit - piece.tip).max(0.0));
        let more = mm - moved;
        if more > NOTHING && i + 1 < path.lanes[port.slot].pieces.len() {
            moved += self.push(port, i + 1, more);
        }
        self.paths[port.unit].lanes[port.slot].pieces[i].tip += moved;
        let at_end = self.is_at_end(port, i);
        let path = &mut self.paths[port.unit];
        let piece = &mut path.lanes[port.slot].pieces[i];
        // Only what runs through the buffer can bulge there.
        let room = (path.geometry.joint - piece.tail - moved).max(0.0);
        let slack = match mm - moved > NOTHING && at_end {
            true => self.printer.take_in((mm - moved).min(room)),
            false => 0.0,
        };
        piece.tail += moved + slack;
        let turned = moved + slack > NOTHING && piece.covers(wheel) && !path.wheel_blocked;
        if turned {
            // The wheel is turned by the gear beside it, which has done its whole step.
            path.wheel += mm;
        }
        moved + slack
    }

    /// Whether a piece's tip is at the extruder or what was cut off before it, or pressed against
    /// pieces of which the last one is.
    fn is_at_end(&self, port: Port, i: usize) -> bool {
        let path = &self.paths[port.unit];
        let end = path.geometry.extruder - self.printer.stub.unwrap_or(0.0);
        let pieces = &path.lanes[port.slot].pieces[i..];
        let pressed = pieces.windows(2).all(|two| two[0].tip >= two[1].tail - NOTHING);
        pressed && pieces.last().is_some_and(|last| last.tip >= end - NOTHING)
    }

    /// Draws a piece back; slack between it and the extruder goes first.
    fn draw(&mut self, port: Port, i: usize, mm: f64) {
        let path = &mut self.paths[port.unit];
        let geometry = path.geometry;
        let piece = &mut path.lanes[port.slot].pieces[i];
        let given = if piece.tip >= geometry.joint { self.printer.give(mm) } else { 0.0 };
        let moved = mm - given;
        if moved > NOTHING && piece.tip >= geometry.extruder - NOTHING {
            // Torn out of the gears.
            self.printer.beyond = 0.0;
        }
        piece.tip -= moved;
        piece.tail -= mm;
        if piece.covers(geometry.wheel) && !path.wheel_blocked {
            path.wheel -= mm;
        }
    }

    /// How far a piece's tip can go.
    fn limit(&self, port: Port, i: usize) -> f64 {
        let path = &self.paths[port.unit];
        let geometry = &path.geometry;
        let mut limit = geometry.extruder - self.printer.stub.unwrap_or(0.0);
        if let Some(next) = path.lanes[port.slot].pieces.get(i + 1) {
            limit = limit.min(next.tail);
        }
        if let Some(jam) = path.jam[port.slot]
            && path.lanes[port.slot].pieces[i].tip <= jam
        {
            limit = limit.min(jam);
        }
        if path.lanes[port.slot].pieces[i].tip <= geometry.joint && self.joint_taken(port) {
            limit = limit.min(geometry.joint);
        }
        limit
    }

    /// Whether filament of another path is behind the joint.
    fn joint_taken(&self, port: Port) -> bool {
        self.behind_joint(port).is_some()
    }

    /// Whose filament is behind the joint, other than this one's.
    pub fn behind_joint(&self, port: Port) -> Option<Port> {
        self.ports().filter(|other| *other != port).find(|other| {
            let path = &self.paths[other.unit];
            path.lanes[other.slot].pieces.iter().any(|piece| piece.tip > path.geometry.joint)
        })
    }

    fn ports(&self) -> impl Iterator<Item = Port> + use<> {
        let boxes = self.paths.len();
        (0..boxes).flat_map(|unit| (0..SLOTS).map(move |slot| Port { unit, slot }))
    }

    /// The filament that the extruder's gears hold: its path and which piece of it.
    fn gripped(&self) -> Option<(Port, usize)> {
        self.ports().find_map(|port| {
            let path = &self.paths[port.unit];
            let pieces = &path.lanes[port.slot].pieces;
            let i = pieces.iter().rposition(|p| p.tip >= path.geometry.extruder - NOTHING)?;
            Some((port, i))
        })
    }

    pub(super) fn turn_extruder(&mut self, mm: f64) {
        if mm == 0.0 {
            return;
        }
        if let Some(stub) = self.printer.stub {
            self.turn_stub(stub, mm);
            return;
        }
        let Some((port, i)) = self.gripped() else { return };
        if mm > 0.0 {
            self.printer.beyond = (self.printer.beyond + mm).min(self.printer.nozzle);
            let rest = mm - self.printer.give(mm);
            self.pull_through(port, i, rest);
        } else {
            let back = (-mm).min(self.printer.beyond);
            self.printer.beyond -= back;
            self.give_back(port, i, back);
            let left = -mm - back;
            if left > NOTHING {
                // The end has left the gears, which turn on without it.
                let path = &mut self.paths[port.unit];
                let piece = &mut path.lanes[port.slot].pieces[i];
                piece.tip = (path.geometry.extruder - 1.0).max(piece.tail);
            }
        }
    }

    /// Moves what was cut off; a filament pressed against it follows, or is pushed back.
    fn turn_stub(&mut self, stub: f64, mm: f64) {
        if mm < 0.0 {
            self.turn_stub_back(stub, -mm);
            return;
        }
        let left = stub - mm;
        self.printer.stub = (left > 0.0).then_some(left);
        self.printer.beyond = (self.printer.beyond + mm).min(self.printer.nozzle);
        for port in self.ports() {
            let path = &self.paths[port.unit];
            let place = path.geometry.extruder - stub;
            let pieces = &path.lanes[port.slot].pieces;
            let Some(i) = pieces.iter().rposition(|p| p.tip >= place - NOTHING) else { continue };
            let room = self.limit(port, i) - self.paths[port.unit].lanes[port.slot].pieces[i].tip;
            let follows = self.printer.give(mm.min(room.max(0.0)));
            self.paths[port.unit].lanes[port.slot].pieces[i].tip += follows;
            return;
        }
    }

    /// What was cut off comes back as far as it reaches beyond the gears; then they have lost it.
    fn turn_stub_back(&mut self, stub: f64, mm: f64) {
        let back = mm.min(self.printer.beyond);
        self.printer.beyond -= back;
        self.printer.stub = Some(stub + back);
        for port in self.ports() {
            let path = &self.paths[port.unit];
            let place = path.geometry.extruder - stub - back;
            self.make_room(port, path.lanes[port.slot].pieces.len(), place);
        }
    }

    /// The first pieces are pushed back so far that none reaches beyond `end`.
    fn make_room(&mut self, port: Port, count: usize, mut end: f64) {
        let path = &mut self.paths[port.unit];
        let wheel = path.geometry.wheel;
        for piece in path.lanes[port.slot].pieces[..count].iter_mut().rev() {
            let moved = piece.tip - end;
            if moved <= 0.0 {
                return;
            }
            piece.tip -= moved;
            piece.tail -= moved;
            if piece.covers(wheel) && !path.wheel_blocked {
                path.wheel -= moved;
            }
            end = piece.tail;
        }
    }

    /// The extruder pulls filament out of the box, past motors that stand still.
    fn pull_through(&mut self, port: Port, i: usize, mm: f64) {
        if mm <= NOTHING || self.printer.held {
            return;
        }
        let path = &mut self.paths[port.unit];
        if path.stuck[port.slot] {
            return;
        }
        let geometry = path.geometry;
        let piece = &mut path.lanes[port.slot].pieces[i];
        let on_wheel = piece.covers(geometry.wheel);
        piece.tail += mm;
        let used_up = piece.tail > geometry.extruder;
        if on_wheel && !path.wheel_blocked {
            path.wheel += mm;
        }
        if used_up {
            path.lanes[port.slot].pieces.remove(i);
            self.printer.beyond = 0.0;
        }
    }

    /// The extruder pushes filament back: into the buffer, and what that cannot take into the box.
    fn give_back(&mut self, port: Port, i: usize, mm: f64) {
        let held = self.printer.held;
        let path = &self.paths[port.unit];
        let bulges = path.lanes[port.slot].pieces[i].tail < path.geometry.joint;
        let rest = if bulges { mm - self.printer.take_in(mm) } else { mm };
        if rest <= NOTHING || (held && bulges) {
            return;
        }
        let path = &mut self.paths[port.unit];
        let wheel = path.geometry.wheel;
        let piece = &mut path.lanes[port.slot].pieces[i];
        piece.tail -= rest;
        if piece.covers(wheel) && !path.wheel_blocked {
            path.wheel -= rest;
        }
        let end = piece.tail;
        self.make_room(port, i, end);
    }
}

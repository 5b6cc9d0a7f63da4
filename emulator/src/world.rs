//! The plant and all devices of one bus, in order of time.
//!
//! A world hears what the bus carries, does what hands do, and tells what its devices say. It is
//! without I/O and without a clock: whoever drives it advances it to [`World::next_event`], or as
//! far as the time has come.

mod mishaps;
mod picture;

use k485_proto::address::Address;
use k485_proto::message::motors::{Errors, Warnings};
use k485_proto::record::Time;
use k485_proto::slot::{Letter, Slot};

use crate::Rng;
use crate::device::belt::{BeltConfig, BeltDevice};
use crate::device::boxes::{BoxConfig, BoxDevice, Climate};
use crate::device::motor::{MotorConfig, MotorDevice};
use crate::device::rack::RackDevice;
use crate::device::{Device, Said, advance_all};
use crate::hand::{Buffer, Hand, HandError, Part, Sensor, Shows};
use crate::plant::{Plant, Port, SensorFault, Spool};
use mishaps::Mishaps;

pub use picture::{
    BoxPicture, BufferPicture, DevicePicture, DrivePicture, GeometryPicture, KeyPicture, Picture,
    SlotPicture, SpoolPicture, TroublePicture,
};

/// A device of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(pub usize);

/// One device on the bus.
#[derive(Debug, Clone)]
enum Player {
    Box { device: Box<BoxDevice>, unit: usize, plugged: bool },
    Motor { device: Box<MotorDevice>, address: Address },
    Belt(Box<BeltDevice>),
    Rack(Box<RackDevice>),
}

impl Player {
    /// The device, unless it is unplugged.
    fn live(&self) -> Option<&dyn Device> {
        match self {
            Player::Box { plugged: false, .. } => None,
            Player::Box { device, .. } => Some(device.as_ref()),
            Player::Motor { device, .. } => Some(device.as_ref()),
            Player::Belt(device) => Some(device.as_ref()),
            Player::Rack(device) => Some(device.as_ref()),
        }
    }

    fn live_mut(&mut self) -> Option<&mut dyn Device> {
        match self {
            Player::Box { plugged: false, .. } => None,
            Player::Box { device, .. } => Some(device.as_mut()),
            Player::Motor { device, .. } => Some(device.as_mut()),
            Player::Belt(device) => Some(device.as_mut()),
            Player::Rack(device) => Some(device.as_mut()),
        }
    }
}

/// All that is on one bus, and the plant behind it.
#[derive(Debug, Clone)]
pub struct World {
    now: Time,
    plant: Plant,
    players: Vec<Player>,
    rng: Rng,
    /// When an extrusion that was given a length is over.
    extrusion: Option<Time>,
    /// What the toolhead's sensor shows, whatever is there.
    toolhead: Option<bool>,
    /// Whether the boxes have looked at what is there.
    begun: bool,
    mishaps: Mishaps,
}

impl World {
    /// A world with these boxes, without filament, all switched on now. The seed is for all of their
    /// chance. Each [`BoxConfig::unit`] is set to the box's place.
    ///
    /// What hands do ([`World::act`]) before the world is first advanced, or hears something, the boxes
    /// find at their start: they preload only filament that is put in later.
    #[must_use]
    pub fn new(now: Time, boxes: Vec<BoxConfig>, seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let plant = Plant::new(now, boxes.len());
        let place = |(unit, config): (usize, BoxConfig)| {
            let config = BoxConfig { unit, power_on: now, ..config };
            let device = Box::new(BoxDevice::new(config, rng.next_u64()));
            Player::Box { device, unit, plugged: true }
        };
        let players = boxes.into_iter().enumerate().map(place).collect();
        let mishaps = Mishaps::default();
        World { now, plant, players, rng, extrusion: None, toolhead: None, begun: false, mishaps }
    }

    /// Adds a motor.
    pub fn add_motor(&mut self, config: MotorConfig) -> DeviceId {
        let address = config.address;
        self.add(Player::Motor { device: Box::new(MotorDevice::new(config)), address })
    }

    /// Adds a belt module.
    pub fn add_belt(&mut self, config: BeltConfig) -> DeviceId {
        self.add(Player::Belt(Box::new(BeltDevice::new(config))))
    }

    /// Adds a rack.
    pub fn add_rack(&mut self, tag: Option<[u8; 40]>) -> DeviceId {
        self.add(Player::Rack(Box::new(RackDevice::new(tag))))
    }

    fn add(&mut self, player: Player) -> DeviceId {
        self.players.push(player);
        DeviceId(self.players.len() - 1)
    }

    /// How far the world has been advanced.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The plant.
    #[must_use]
    pub fn plant(&self) -> &Plant {
        &self.plant
    }

    /// The plant, to set geometry, filament and faults before it starts. Afterwards hands are for
    /// that ([`World::act`]).
    pub fn plant_mut(&mut self) -> &mut Plant {
        &mut self.plant
    }

    /// All devices.
    pub fn devices(&self) -> impl Iterator<Item = DeviceId> + use<> {
        (0..self.players.len()).map(DeviceId)
    }

    /// The address that a device answers to; `None` for an unplugged box or no device.
    #[must_use]
    pub fn address(&self, id: DeviceId) -> Option<Address> {
        match self.players.get(id.0)? {
            Player::Box { plugged: false, .. } => None,
            Player::Box { device, .. } => Some(device.address()),
            Player::Motor { address, .. } => Some(*address),
            Player::Belt(device) => Some(device.config().address),
            Player::Rack(_) => Some(Address::RACK),
        }
    }

    /// A box, by its place from 0.
    #[must_use]
    pub fn filament_box(&self, unit: usize) -> Option<&BoxDevice> {
        self.players.iter().find_map(|player| match player {
            Player::Box { device, unit: place, .. } if *place == unit => Some(device.as_ref()),
            _ => None,
        })
    }

    /// What the toolhead's filament sensor shows.
    #[must_use]
    pub fn toolhead(&self) -> bool {
        self.toolhead.unwrap_or_else(|| self.plant.toolhead())
    }

    /// Every device hears these bytes, the last of them at `at`.
    pub fn heard(&mut self, bytes: &[u8], at: Time) {
        self.heard_by(bytes, at, |_| true);
    }

    /// The devices that `who` names hear these bytes, the last of them at `at`.
    pub fn heard_by(&mut self, bytes: &[u8], at: Time, who: impl Fn(DeviceId) -> bool) {
        self.advance(at);
        for (place, player) in self.players.iter_mut().enumerate() {
            let id = DeviceId(place);
            if !who(id) || self.mishaps.keeps(id, bytes, self.now) {
                continue;
            }
            if let Some(device) = player.live_mut() {
                device.heard(bytes, self.now, &mut self.plant);
            }
        }
    }

    /// Does all that is due until `to`. An earlier time is taken for the latest.
    pub fn advance(&mut self, to: Time) {
        self.begun = true;
        let to = to.max(self.now);
        loop {
            let ends = [self.extrusion, self.mishaps.next_event()];
            let Some(end) = ends.into_iter().flatten().min().filter(|end| *end <= to) else {
                break;
            };
            self.run(end);
            if self.extrusion.is_some_and(|end| end <= self.now) {
                self.extrusion = None;
                self.plant.printer_mut().speed = 0.0;
            }
            self.catch_up();
        }
        self.run(to);
    }

    fn run(&mut self, to: Time) {
        self.now = self.now.max(to);
        let mut devices: Vec<_> = self.players.iter_mut().filter_map(Player::live_mut).collect();
        advance_all(&mut devices, self.now, &mut self.plant);
        self.plant.advance(self.now);
    }

    /// When something will be due of itself; `None` while all wait for the bus and for hands.
    #[must_use]
    pub fn next_event(&self) -> Option<Time> {
        let devices = self.players.iter().filter_map(Player::live);
        let beside = [self.extrusion, self.mishaps.next_event()];
        devices.filter_map(Device::next_event).chain(beside.into_iter().flatten()).min()
    }

    /// Whether some device is at work on an answer that somebody waits for.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.mishaps.owes() || self.players.iter().filter_map(Player::live).any(Device::owes)
    }

    /// Takes what the devices said since the last call, in order of time.
    pub fn said(&mut self) -> Vec<(DeviceId, Said)> {
        let mut all = Vec::new();
        for (place, player) in self.players.iter_mut().enumerate() {
            let said = player.live_mut().map(Device::said).unwrap_or_default();
            let id = DeviceId(place);
            let said = said.into_iter().filter(|said| !self.mishaps.mutes(id, said.at));
            all.extend(said.map(|said| (id, said)));
        }
        self.mishaps.forget(self.now);
        all.sort_by_key(|(_, said)| said.at);
        all
    }

    /// Does what a hand does, now.
    ///
    /// # Errors
    ///
    /// It cannot be done; nothing has changed then.
    pub fn act(&mut self, hand: &Hand) -> Result<(), HandError> {
        self.apply(hand)?;
        if self.begun {
            self.run(self.now);
        }
        Ok(())
    }

    fn apply(&mut self, hand: &Hand) -> Result<(), HandError> {
        match hand {
            Hand::Insert { slot, spool } => {
                let (port, spool) = (self.port(*slot)?, spool.spool()?);
                self.plant.insert(port, spool);
            }
            Hand::PullOut { slot } => {
                self.plant.pull_out(self.port(*slot)?);
                self.plant.relax_buffer();
            }
            Hand::Place { slot, spool, tip } => {
                let (port, spool) = (self.port(*slot)?, spool.spool()?);
                let tip = place("tip", *tip)?;
                let joint = self.plant.path(port.unit).geometry.joint;
                if let Some(other) = self.plant.behind_joint(port).filter(|_| tip > joint) {
                    return Err(HandError::Occupied { by: slot_at(other) });
                }
                self.plant.place(port, spool, tip);
            }
            Hand::Clear { slot } => {
                self.plant.clear(self.port(*slot)?);
                self.plant.relax_buffer();
            }
            Hand::RunOut { slot, left } => {
                self.plant.run_out(self.port(*slot)?, place("left", *left)?);
            }
            Hand::Break { slot, at } => self.plant.break_at(self.port(*slot)?, place("at", *at)?),
            Hand::Jam { slot, at: Some(at) } => {
                let (port, at) = (self.port(*slot)?, place("at", *at)?);
                self.plant.path_mut(port.unit).jam[port.slot] = Some(at);
            }
            Hand::Jam { slot, at: None } => {
                let port = self.port(*slot)?;
                self.plant.path_mut(port.unit).stuck[port.slot] = true;
            }
            Hand::Unjam { slot } => {
                let port = self.port(*slot)?;
                let path = self.plant.path_mut(port.unit);
                (path.jam[port.slot], path.stuck[port.slot]) = (None, false);
                (path.hub_slips, path.hub_blocked, path.wheel_blocked) = (false, false, false);
            }
            Hand::Slip { unit, on } => {
                let unit = self.unit(*unit)?;
                self.plant.path_mut(unit).hub_slips = *on;
            }
            Hand::Block { unit, part, on } => {
                let unit = self.unit(*unit)?;
                let path = self.plant.path_mut(unit);
                match part {
                    Part::Hub => path.hub_blocked = *on,
                    Part::Wheel => path.wheel_blocked = *on,
                }
            }
            Hand::Sensor { slot, sensor, shows } => {
                let port = self.port(*slot)?;
                let path = self.plant.path_mut(port.unit);
                let faults = match sensor {
                    Sensor::Inlet => &mut path.inlet_faults,
                    Sensor::Hub => &mut path.hub_faults,
                };
                faults[port.slot] = match shows {
                    Shows::Truth => SensorFault::Works,
                    Shows::On => SensorFault::Lit,
                    Shows::Off => SensorFault::Dark,
                };
            }
            Hand::Extrude { .. } | Hand::Extruder { .. } => self.extrude(hand)?,
            Hand::Cut => self.plant.cut(),
            Hand::Toolhead { shows } => {
                self.toolhead = match shows {
                    Shows::Truth => None,
                    Shows::On => Some(true),
                    Shows::Off => Some(false),
                };
            }
            Hand::HoldBuffer { at } => {
                let travel = self.plant.printer().travel;
                let slack = match at {
                    Buffer::Full => travel,
                    Buffer::Middle => travel / 2.0,
                    Buffer::Empty => 0.0,
                };
                self.plant.printer_mut().hold(slack);
            }
            Hand::FreeBuffer => {
                self.plant.printer_mut().held = false;
                self.plant.relax_buffer();
            }
            Hand::Unplug { unit } => self.plug(*unit, false)?,
            Hand::Plug { unit } => self.plug(*unit, true)?,
            Hand::Reset { unit } => {
                let (now, unit) = (self.now, self.unit(*unit)?);
                if let (Some((device, true)), plant) = self.box_of(unit) {
                    device.reset(now, plant);
                }
            }
            Hand::Climate { unit, temperature, humidity } => {
                let unit = self.unit(*unit)?;
                if let (Some((device, _)), _) = self.box_of(unit) {
                    let old = device.config().climate;
                    let old = old.unwrap_or(Climate { temperature: 25, humidity: 30 });
                    let none = temperature.is_none() && humidity.is_none();
                    device.set_climate((!none).then(|| Climate {
                        temperature: temperature.unwrap_or(old.temperature),
                        humidity: humidity.unwrap_or(old.humidity),
                    }));
                }
            }
            Hand::Motor { .. } | Hand::Belt { .. } | Hand::Rack { .. } => {
                self.apply_beside(hand)?
            }
        }
        Ok(())
    }

    /// What concerns the extruder.
    fn extrude(&mut self, hand: &Hand) -> Result<(), HandError> {
        match *hand {
            Hand::Extrude { mm, speed: None } => self.plant.extrude(length("mm", mm)?),
            Hand::Extrude { mm, speed: Some(speed) } => {
                let (mm, speed) = (length("mm", mm)?, turning(speed)?);
                if speed <= 0.0 {
                    let why = "write a speed above 0 in mm/s; mm says which way";
                    return Err(HandError::Number { what: "speed", value: speed, why });
                }
                // In whole steps of the plant.
                let ms = (mm.abs() / speed * 1000.0).round().max(1.0) as i64;
                self.plant.printer_mut().speed = mm / ms as f64 * 1000.0;
                self.extrusion = Some(Time(self.now.0.saturating_add(ms * Time::MILLISECOND)));
            }
            Hand::Extruder { speed } => {
                self.plant.printer_mut().speed = turning(speed)?;
                self.extrusion = None;
            }
            _ => {}
        }
        Ok(())
    }

    /// What concerns what is no box.
    fn apply_beside(&mut self, hand: &Hand) -> Result<(), HandError> {
        let none = |what, address| Err(HandError::NoDevice { what, address });
        match hand {
            Hand::Motor { address, errors, warnings } => {
                let motor = self.players.iter_mut().find_map(|player| match player {
                    Player::Motor { device, address: own } if own.0 == *address => Some(device),
                    _ => None,
                });
                let Some(motor) = motor else { return none("motor", Address(*address)) };
                motor.protect(Errors(*errors), Warnings(*warnings));
            }
            Hand::Belt { address, adc } => {
                let belt = self.players.iter_mut().find_map(|player| match player {
                    Player::Belt(device) if device.config().address.0 == *address => Some(device),
                    _ => None,
                });
                let Some(belt) = belt else { return none("belt module", Address(*address)) };
                belt.set_adc(*adc);
            }
            Hand::Rack { spool } => {
                let tag = spool.as_ref().map(|spool| spool.tag()).transpose()?.flatten();
                let rack = self.players.iter_mut().find_map(|player| match player {
                    Player::Rack(device) => Some(device),
                    _ => None,
                });
                let Some(rack) = rack else { return none("rack", Address::RACK) };
                rack.set_tag(tag);
            }
            _ => {}
        }
        Ok(())
    }

    /// The box's plug is put in or pulled.
    fn plug(&mut self, unit: usize, plug: bool) -> Result<(), HandError> {
        let (now, unit) = (self.now, self.unit(unit)?);
        let seed = self.rng.next_u64();
        for player in &mut self.players {
            match player {
                Player::Box { device, unit: place, plugged } if *place == unit => {
                    if plug && !*plugged {
                        // A new start, so that what happened meanwhile happens to nobody.
                        let config = device.config().clone();
                        let config = BoxConfig {
                            power_on: now,
                            address: None,
                            odometer: 0.0,
                            printing: None,
                            ..config
                        };
                        **device = BoxDevice::new(config, seed);
                    }
                    *plugged = plug;
                }
                _ => {}
            }
        }
        if !plug {
            self.plant.path_mut(unit).stop();
        }
        Ok(())
    }

    fn box_of(&mut self, unit: usize) -> (Option<(&mut BoxDevice, bool)>, &mut Plant) {
        let device = self.players.iter_mut().find_map(|player| match player {
            Player::Box { device, unit: place, plugged } if *place == unit => {
                Some((device.as_mut(), *plugged))
            }
            _ => None,
        });
        (device, &mut self.plant)
    }

    /// A box's place from its number.
    fn unit(&self, number: usize) -> Result<usize, HandError> {
        let have = self.plant.boxes();
        let unit = number.checked_sub(1).filter(|unit| *unit < have);
        unit.ok_or(HandError::NoBox { unit: number, have })
    }

    fn port(&self, slot: Slot) -> Result<Port, HandError> {
        Ok(Port { unit: self.unit(usize::from(slot.device))?, slot: slot.letter.index() })
    }

    /// The spool whose filament is in a slot's inlet.
    #[must_use]
    pub fn spool(&self, slot: Slot) -> Option<&Spool> {
        let port = self.port(slot).ok()?;
        self.plant.path(port.unit).spool(port.slot)
    }

    /// A picture of everything, for people and programs.
    #[must_use]
    pub fn state(&self) -> Picture {
        picture::of(self)
    }
}

/// The slot at a port.
fn slot_at(port: Port) -> Slot {
    Slot { device: port.unit as u8 + 1, letter: Letter::ALL[port.slot] }
}

/// A place or a length from 0 to a kilometre.
fn place(what: &'static str, value: f64) -> Result<f64, HandError> {
    let why = "write a length in mm, from 0 to 1000000";
    let fits = (0.0..=1e6).contains(&value);
    if fits { Ok(value) } else { Err(HandError::Number { what, value, why }) }
}

fn length(what: &'static str, value: f64) -> Result<f64, HandError> {
    place(what, value.abs()).map(|_| value)
}

/// A speed of the extruder.
fn turning(value: f64) -> Result<f64, HandError> {
    let why = "write a speed in mm/s, at most 1000";
    let fits = value.abs() <= 1000.0;
    if fits { Ok(value) } else { Err(HandError::Number { what: "speed", value, why }) }
}

#[cfg(test)]
mod tests;

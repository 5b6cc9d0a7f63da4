//! A bus without hardware: the devices as state machines, and the physics behind the boxes.
//!
//! - [`plant`]: filament, sensors, motors, buffer, extruder, cutter. Hands and the printer act on
//!   it; sensors are what it answers with;
//! - [`device`]: what is on the bus. A box answers as firmware 1.1.3 does, motors, belt modules
//!   and the rack as the vendor's host wants them answered;
//! - [`world`]: the plant and all devices of one bus, in order of time;
//! - [`hand`]: what hands, the printer and misfortune do to them, as scenes and programs say it;
//! - [`bus`]: who hears what and when, half duplex; [`auto`]: extruder and cutter played from what
//!   the bus carries;
//! - [`guest`]: a host inside the process, at the bus without I/O;
//! - [`serve`]: that bus in real time, at pseudo-terminals, TCP and serial ports;
//! - [`scene`]: a bus as a file describes it: devices, spools, faults, what happens when;
//! - [`learn`]: such a file out of recorded exchanges;
//! - [`Rng`]: the one source of chance, so that the same seed gives the same bytes.
//!
//! Nothing but [`serve`] knows a clock or does I/O: the time is an argument everywhere, and a device
//! is told what it hears and gives what it says, each with its time.

pub mod auto;
pub mod bus;
pub mod device;
pub mod guest;
pub mod hand;
pub mod learn;
pub mod plant;
pub mod scene;
pub mod serve;
mod spool;
pub mod table;
pub mod world;

pub use auto::{Auto, AutoConfig};
pub use bus::{Bus, BusConfig, Stage};
pub use hand::{Hand, HandError};
pub use k485_link::Rng;
pub use spool::{SpoolError, SpoolSpec};
pub use world::{DeviceId, World};

//! What is on the bus: devices that hear bytes and say bytes, each with its time.
//!
//! A device is advanced in order of time. Where several share a plant, whoever drives them goes to
//! the earliest [`Device::next_event`] of all, and advances each to it ([`advance_all`]): then what
//! one does and what another senses are in order too.

pub mod belt;
pub mod boxes;
mod ear;
pub mod motor;
pub mod rack;

use k485_proto::record::Time;

use crate::plant::Plant;

/// What a device says: bytes, and when it begins to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When the device decides to speak. Turnaround and byte times are the bus's.
    pub at: Time,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A device on the bus. Its time never goes back: an earlier time is taken for the latest.
pub trait Device {
    /// Bytes have arrived, the last of them at `at`.
    fn heard(&mut self, bytes: &[u8], at: Time, plant: &mut Plant);

    /// Does all that is due until `to`, and takes the plant there. To be called after every hand's
    /// touch of the plant, too.
    fn advance(&mut self, to: Time, plant: &mut Plant);

    /// When something will be due of itself; `None` while the device only waits for the bus and
    /// for hands.
    fn next_event(&self) -> Option<Time>;

    /// Takes what was said since the last call, in order of time.
    fn said(&mut self) -> Vec<Said>;
}

/// Advances devices that share a plant, in order of time.
pub fn advance_all(devices: &mut [&mut dyn Device], to: Time, plant: &mut Plant) {
    let mut reached = None;
    loop {
        let due = devices.iter().filter_map(|device| device.next_event()).min();
        // Only forward: what is due at a time that was reached has been done.
        let step = due.filter(|due| *due <= to && Some(*due) > reached);
        for device in devices.iter_mut() {
            device.advance(step.unwrap_or(to), plant);
        }
        if step.is_none() {
            return;
        }
        reached = step;
    }
}

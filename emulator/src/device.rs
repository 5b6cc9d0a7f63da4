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

    /// Whether it is at work on an answer that somebody waits for.
    fn owes(&self) -> bool {
        false
    }

    /// Takes what was said since the last call, in order of time.
    fn said(&mut self) -> Vec<Said>;
}

/// Advances devices that share a plant, in order of time.
pub fn advance_all(devices: &mut [&mut dyn Device], to: Time, plant: &mut Plant) {
    let mut reached: Option<Time> = None;
    loop {
        // Only forward: what is due at a time that was reached has been done. Who still tells such a
        // time is asked again a step later, and does not keep the others' times from being seen.
        let forward = |due: Time| match reached {
            Some(reached) if due <= reached => Time(reached.0.saturating_add(Time::MILLISECOND)),
            _ => due,
        };
        let due = devices.iter().filter_map(|device| device.next_event()).map(forward).min();
        let step = due.filter(|due| *due <= to);
        for device in devices.iter_mut() {
            device.advance(step.unwrap_or(to), plant);
        }
        if step.is_none() {
            return;
        }
        reached = step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that wants to be asked at a time, or every so often; it counts when it was.
    struct Counter {
        due: i64,
        every: Option<i64>,
        asked: Vec<i64>,
    }

    impl Device for Counter {
        fn heard(&mut self, _: &[u8], _: Time, _: &mut Plant) {}

        fn advance(&mut self, to: Time, _: &mut Plant) {
            self.asked.push(to.0);
            while let Some(every) = self.every.filter(|_| self.due <= to.0) {
                self.due += every;
            }
        }

        fn next_event(&self) -> Option<Time> {
            Some(Time(self.due))
        }

        fn said(&mut self) -> Vec<Said> {
            Vec::new()
        }
    }

    #[test]
    fn one_whose_time_has_come_hides_no_other_ones_time() {
        let step = 5 * Time::MILLISECOND;
        let mut stands = Counter { due: 1, every: None, asked: Vec::new() };
        let mut goes = Counter { due: step, every: Some(step), asked: Vec::new() };
        let mut plant = Plant::new(Time(0), 1);
        advance_all(&mut [&mut stands, &mut goes], Time(4 * step), &mut plant);
        for time in [1, step, 2 * step, 3 * step, 4 * step] {
            assert!(goes.asked.contains(&time), "{time}: {:?}", goes.asked);
        }
        assert!(stands.asked.len() < 50, "{:?}", stands.asked);
    }
}

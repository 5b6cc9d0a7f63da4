//! A box and its plant under the hands of a test.

use k485_emulator::device::boxes::{BoxConfig, BoxDevice};
use k485_emulator::device::{Device, Said};
use k485_emulator::plant::{Plant, Port, Spool};
use k485_proto::record::Time;

use crate::vector::{Vector, hex, show};

/// The firmware ran without EEPROM (so without serial number), climate sensor and tag readers.
fn config() -> BoxConfig {
    BoxConfig {
        serial: String::new(),
        climate: None,
        failed: [true, true, false, false, true, true],
        ..BoxConfig::default()
    }
}

pub(crate) fn port(slot: usize) -> Port {
    Port { unit: 0, slot }
}

pub(crate) fn ms(ms: i64) -> Time {
    Time(ms * Time::MILLISECOND)
}

/// A box, its plant, and the time in ms since both were switched on.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) plant: Plant,
    pub(crate) device: BoxDevice,
    pub(crate) now: i64,
}

impl World {
    /// A box without an address and without filament, the buffer in its middle.
    pub(crate) fn new() -> World {
        let mut plant = Plant::new(Time(0), 1);
        plant.printer_mut().slack = 10.0;
        World { plant, device: BoxDevice::new(config(), 1), now: 0 }
    }

    /// The same with the address 1.
    pub(crate) fn assigned() -> World {
        let mut world = World::new();
        world.advance(1_000);
        world.tell("f7fe1000a00169063002185333115235383278");
        world.advance(2_000);
        world.device.said();
        world
    }

    /// With the address 1, and without preloading.
    pub(crate) fn without_preloading() -> World {
        let mut world = World::assigned();
        world.advance(3_141);
        world.tell("f70105ff0d0000ad");
        world.advance(3_152);
        world.device.said();
        world
    }

    pub(crate) fn advance(&mut self, to: i64) {
        self.now = self.now.max(to);
        self.device.advance(ms(self.now), &mut self.plant);
    }

    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        self.device.heard(bytes, ms(self.now), &mut self.plant);
    }

    /// Says something to the box whose answer does not matter.
    pub(crate) fn tell(&mut self, text: &str) {
        self.hear(&hex(text).expect("hex in the test"));
    }

    /// Reads 0A until it has nothing more to tell that it tells once.
    pub(crate) fn drain(&mut self) {
        for _ in 0..3 {
            self.tell("f70103ff0a5c");
            self.advance(self.now + 100);
        }
        self.device.said();
    }

    pub(crate) fn insert(&mut self, slot: usize) {
        self.plant.insert(port(slot), Spool::default());
        self.advance(self.now);
    }

    /// Puts in four spools and waits until each is before the hub.
    pub(crate) fn fill(&mut self, slots: usize) {
        for slot in 0..slots {
            self.insert(slot);
        }
        self.advance(self.now + 5_000 * slots as i64);
    }

    /// Goes on until there is an answer, for so many ms at most.
    pub(crate) fn answers(&mut self, wait: i64) -> Vec<Said> {
        let end = self.now + wait;
        let mut said = self.device.said();
        while said.is_empty() {
            let next =
                self.device.next_event().map_or(end, |time| time.0.div_euclid(Time::MILLISECOND));
            let next = next.max(self.now + 1);
            if next > end {
                self.advance(end);
                said.extend(self.device.said());
                break;
            }
            self.advance(next);
            said.extend(self.device.said());
        }
        said
    }

    /// Sends a vector's request and waits for its answer; what differs.
    pub(crate) fn ask(&mut self, vector: &Vector, wait: i64) -> Option<String> {
        let sent = self.now;
        self.hear(vector.bytes());
        // A wait long enough for an answer that comes late, to tell late from never.
        let wait = vector.ms.map_or(wait, |ms| ms * 2 + 250);
        let said = self.answers(wait);
        let took = said.first().map(|said| (said.at.0 - ms(sent).0).div_euclid(Time::MILLISECOND));
        if let Some(took) = took {
            // The next thing happens after the answer.
            self.now = self.now.max(sent + took);
        }
        differs(vector, said.first().map(|said| &said.bytes[..]), took)
    }
}

/// What differs between an answer and the firmware's.
fn differs(vector: &Vector, said: Option<&[u8]>, took: Option<i64>) -> Option<String> {
    let wanted = vector.replies.first().map(Vec::as_slice);
    let text = |bytes: Option<&[u8]>| bytes.map_or("silence".to_owned(), show);
    if said != wanted {
        let request = show(vector.bytes());
        return Some(format!("{request}: {} instead of {}", text(said), text(wanted)));
    }
    let (wanted, took) = (vector.ms?, took?);
    // Below a few milliseconds a fifth is nothing: the firmware's clock ticks in whole ones.
    let allowed = (wanted as f64 * 0.2).max(3.0);
    let late = (took - wanted).abs() as f64 > allowed;
    late.then(|| format!("{}: after {took} ms instead of {wanted}", show(vector.bytes())))
}

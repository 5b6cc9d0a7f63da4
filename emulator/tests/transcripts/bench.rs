//! An emulated bus in virtual time.

use k485_emulator::auto::{Auto, AutoConfig};
use k485_emulator::bus::{Bus, BusConfig, EndpointId};
use k485_emulator::hand::Hand;
use k485_emulator::world::World;
use k485_proto::record::Time;

use crate::player::Wire;

/// How often the toolhead sensor is looked at, in ns.
const LOOK: i64 = 5 * Time::MILLISECOND;

pub(crate) struct Bench {
    bus: Bus,
    host: EndpointId,
    now: Time,
    auto: bool,
}

impl Bench {
    /// A bus; with `auto` it plays extruder and cutter by itself.
    pub(crate) fn new(world: World, auto: bool) -> Bench {
        let now = world.now();
        let mut bus = Bus::new(world, BusConfig::default());
        if auto {
            bus = bus.with_auto(Auto::new(AutoConfig::default()));
        }
        Bench { host: bus.connect(), bus, now, auto }
    }

    fn heard(&mut self) -> Vec<(Time, Vec<u8>)> {
        let host = self.host;
        let heard = self.bus.heard().into_iter().filter(|heard| heard.endpoint == host);
        heard.map(|heard| (heard.at, heard.bytes)).collect()
    }
}

impl Wire for Bench {
    fn now(&self) -> Time {
        self.now
    }

    fn say(&mut self, bytes: &[u8]) -> Time {
        self.bus.say(self.host, bytes, self.now);
        self.now = self.bus.busy(self.host).unwrap_or(self.now);
        self.bus.advance(self.now);
        self.now
    }

    fn listen(&mut self, until: Time) -> Vec<(Time, Vec<u8>)> {
        let seen = self.toolhead();
        loop {
            let heard = self.heard();
            if !heard.is_empty() || self.now >= until || self.toolhead() != seen {
                return heard;
            }
            let due = self.bus.next_event().unwrap_or(until).max(Time(self.now.0 + 1));
            self.now = until.min(due).min(Time(self.now.0 + LOOK));
            self.bus.advance(self.now);
        }
    }

    fn toolhead(&self) -> bool {
        self.bus.world().toolhead()
    }

    fn act(&mut self, hand: &Hand) -> bool {
        if !self.auto {
            self.bus.act(hand, self.now).expect("a hand");
        }
        !self.auto
    }
}

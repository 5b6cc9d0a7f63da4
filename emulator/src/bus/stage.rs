//! What is done with a bus that runs: faults come and go, it begins anew, its time goes on to an
//! answer.

use k485_link::fault::{Faults, Rule};
use k485_proto::dialect::Dialect;
use k485_proto::record::Time;

use super::story::{Spoiled, Story};
use super::wire::Wire;
use super::{Bus, BusConfig};
use crate::scene::Timeline;
use crate::world::World;

/// What a bus begins anew with.
pub struct Stage {
    /// The world, at the bus's time.
    pub world: World,
    /// How the bus behaves; the speed is not taken.
    pub config: BusConfig,
    /// What happens later.
    pub timeline: Option<(Timeline, &'static Dialect)>,
    /// The faults at work.
    pub faults: Faults,
}

impl Bus {
    /// Adds a fault; its number. `None` for a bus that was made without [`Bus::with_faults`].
    pub fn add_fault(&mut self, rule: Rule) -> Option<u64> {
        Some(self.spoiled.as_mut()?.faults.add(rule))
    }

    /// Takes a fault away, and ends what it brought over devices; whether there was one with this
    /// number.
    pub fn remove_fault(&mut self, id: u64) -> bool {
        let removed = self.spoiled.as_mut().is_some_and(|spoiled| spoiled.faults.remove(id));
        self.befall();
        removed
    }

    /// Takes all faults away, and ends what they brought over devices.
    pub fn clear_faults(&mut self) {
        if let Some(spoiled) = &mut self.spoiled {
            spoiled.faults.clear();
        }
        self.befall();
    }

    /// How many bytes were said that have not been on the wire yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.wire.waiting()
    }

    /// Goes on until nobody waits for an answer any more and the wire is silent, but no further than
    /// `most` ns: to an answer without a clock that would bring it.
    pub fn settle(&mut self, most: i64) {
        let end = Time(self.now.0.saturating_add(most));
        while self.wire.waiting() > 0 || self.world.owes() {
            let Some(due) = self.next_event().filter(|due| *due <= end) else { return };
            // What is due now was done when it was reached.
            self.advance(due.max(Time(self.now.0 + 1)));
        }
    }

    /// Begins anew with another world; those who are connected stay. What was on the wire, and what
    /// time and traffic would have brought, is gone. The speed stays as it is.
    pub fn restage(&mut self, stage: Stage) {
        let Stage { world, config, timeline, faults } = stage;
        self.config = BusConfig { baud: self.config.baud, ..config };
        self.wire = Wire::new((!self.config.fast).then_some(self.config.baud));
        self.echoes.clear();
        self.world = world;
        self.story = timeline.map(|(timeline, dialect)| Story::new(timeline, dialect));
        self.spoiled = Some(Spoiled::new(faults));
        if let Some(auto) = &mut self.auto {
            auto.restart();
        }
        self.world.advance(self.now);
        self.collect();
        self.advance(self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_proto::address::Address;
    use k485_proto::dialect::K2;
    use k485_proto::frame::Frame;
    use k485_proto::status::Status;

    use crate::auto::{Auto, AutoConfig};
    use crate::scene::Scene;

    const HOUR: i64 = 3600 * Time::SECOND;

    fn frame(addr: u8, status: u8, func: u8, data: &[u8]) -> Vec<u8> {
        Frame::to_vec(Address(addr), Status(status), func, data).unwrap()
    }

    fn scene(text: &str) -> Scene {
        Scene::from_toml(text, &K2).unwrap()
    }

    fn bus(text: &str) -> Bus {
        let scene = scene(text);
        let bus = Bus::new(scene.build(Time(0)), scene.bus()).with_faults(scene.faults());
        bus.with_auto(Auto::new(AutoConfig::default()))
    }

    const BOX: &str = "[[box]]\naddress = 1\nA = { material = 'PLA' }\n[[motor]]\naddress = 0x81\n";

    /// What comes back when the time goes on by itself, and how long that took, in ms.
    fn answered(bus: &mut Bus, request: &[u8]) -> (usize, i64) {
        let host = bus.connect();
        let began = bus.now();
        bus.say(host, request, began);
        bus.settle(HOUR);
        let bytes = bus.heard().iter().map(|heard| heard.bytes.len()).sum();
        bus.disconnect(host);
        (bytes, bus.now().since(began) / Time::MILLISECOND)
    }

    #[test]
    fn time_goes_on_to_an_answer_and_no_further() {
        let mut bus = bus(BOX);
        let poll = frame(1, 0xff, 0x05, &[]);
        assert_eq!(answered(&mut bus, &poll), (7, 2));
        // To the hub: a feeder runs for seconds.
        let to_hub = frame(1, 0xff, 0x10, &[1, 0, 0]);
        let (bytes, took) = answered(&mut bus, &to_hub);
        assert_eq!(bytes, 7);
        assert!((500..10_000).contains(&took), "{took}");
        // A feed goes on by itself: its start is answered, and nobody waits for its end.
        let (bytes, took) = answered(&mut bus, &frame(1, 0xff, 0x10, &[1, 4, 0]));
        assert!(bytes == 6 && took < 50, "{took}");
        // A poll is read by the loop that feeds, some 20 ms later.
        let (bytes, took) = answered(&mut bus, &frame(1, 0xff, 0x10, &[1, 5, 0]));
        assert!(bytes == 10 && took < 100, "{took}");
        // A motor answers when it has calibrated itself.
        let mut bus = self::bus(BOX);
        let (bytes, took) = answered(&mut bus, &frame(0x81, 0, 0x04, &[0]));
        assert!(bytes > 6 && took > 100, "{bytes} {took}");
    }

    #[test]
    fn nobody_answers_and_no_time_passes() {
        let mut bus = bus(BOX);
        for request in [frame(3, 0xff, 0x0a, &[]), frame(0xff, 0, 0xa0, &[]), vec![0x55; 7]] {
            let (bytes, took) = answered(&mut bus, &request);
            assert!(bytes == 0 && took <= 1, "{request:02x?}: {took}");
        }
        // Nor where a fault ate the reply, or the box is unplugged.
        let id = bus.add_fault(Rule::parse("drop dir=response", &K2).unwrap()).unwrap();
        let poll = frame(1, 0xff, 0x05, &[]);
        assert_eq!(answered(&mut bus, &poll), (0, 0));
        assert!(bus.remove_fault(id) && !bus.remove_fault(id));
        assert_eq!(answered(&mut bus, &poll).0, 7);
        // One that is late is waited for.
        bus.add_fault(Rule::parse("delay 5s dir=response", &K2).unwrap()).unwrap();
        assert_eq!(answered(&mut bus, &poll), (7, 5_002));
    }

    #[test]
    fn who_was_made_silent_speaks_when_the_rule_is_gone() {
        let mut bus = bus(BOX);
        let poll = frame(1, 0xff, 0x05, &[]);
        let rule = || Rule::parse("offline 1h times=1", &K2).unwrap();
        let id = bus.add_fault(rule()).unwrap();
        assert_eq!(answered(&mut bus, &poll).0, 0);
        assert_eq!(answered(&mut bus, &poll).0, 0);
        assert!(bus.remove_fault(id));
        assert_eq!(answered(&mut bus, &poll).0, 7);
        bus.add_fault(rule()).unwrap();
        assert_eq!(answered(&mut bus, &poll).0, 0);
        bus.clear_faults();
        assert_eq!(answered(&mut bus, &poll).0, 7);
    }

    #[test]
    fn a_bus_begins_anew_with_its_endpoints() {
        let mut bus =
            bus("[[box]]\naddress = 1\nA = { material = 'PLA' }\n[[fault]]\nkind = 'drop'\n");
        let host = bus.connect();
        let poll = frame(2, 0xff, 0x05, &[]);
        bus.say(host, &poll, Time(5 * Time::SECOND));
        bus.advance(Time(10 * Time::SECOND));
        assert!(bus.heard().is_empty());
        let other = scene(
            "[bus]\nfast = true\n[[box]]\naddress = 2\nA = { material = 'PLA', tip = 1465 }\n\
             [[event]]\nat = '2s'\ndo = 'clear'\nslot = 'T1A'\n",
        );
        let now = bus.now();
        bus.restage(Stage {
            world: other.build(now),
            config: other.bus(),
            timeline: Some((other.timeline(now), other.dialect())),
            faults: other.faults(),
        });
        let told: Vec<bool> = bus.toolhead_changes().iter().map(|change| change.filament).collect();
        assert_eq!((told, bus.faults().unwrap().counts().count()), (vec![true], 0));
        bus.say(host, &poll, bus.now());
        bus.advance(bus.now());
        assert_eq!(bus.heard().iter().filter(|heard| heard.endpoint == host).count(), 1);
        // What happens later counts from now.
        bus.advance(Time(now.0 + 2 * Time::SECOND));
        assert!(!bus.world().toolhead());
    }
}

//! Who hears what, and when: a half-duplex bus between devices and those who talk to them.
//!
//! An *endpoint* is where somebody outside is connected: a program at a pseudo-terminal, a TCP
//! client. A *guest* is one who talks from inside, without I/O: a built-in host, a test's script.
//! Everything that is said reaches all others: a second endpoint hears the host and the devices.
//!
//! A device's reply begins a turnaround after the device decided to speak, and its bytes take their
//! time. Whoever talks while another does spoils both: on the wire the low level wins. One who talks
//! does not hear meanwhile, unless the bus echoes.
//!
//! No I/O and no clock: the time is an argument, and whoever drives the bus advances it to
//! [`Bus::next_event`].

mod stage;
mod story;
mod wire;

use k485_link::fault::Faults;
use k485_proto::dialect::Dialect;
use k485_proto::record::Time;

use crate::auto::Auto;
use crate::hand::{Hand, HandError};
use crate::scene::Timeline;
use crate::world::{DeviceId, World};
use story::{Said, Spoiled, Story};
use wire::{Burst, Wire};

pub use stage::Stage;

/// How a bus behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusConfig {
    /// Its speed in baud.
    pub baud: u32,
    /// From a device's decision to speak to its first bit, in ns. (That of a real box is not known
    /// better than a few ms.)
    pub turnaround: i64,
    /// Whether bytes and turnaround take no time.
    pub fast: bool,
    /// Whether an endpoint hears what it says itself.
    pub echo: bool,
}

impl Default for BusConfig {
    fn default() -> BusConfig {
        let turnaround = 3 * Time::MILLISECOND / 2;
        BusConfig { baud: k485_link::BAUD, turnaround, fast: false, echo: false }
    }
}

/// Where somebody is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub usize);

/// Who talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Talker {
    /// A device.
    Device(DeviceId),
    /// Somebody at an endpoint.
    Endpoint(EndpointId),
    /// A guest.
    Guest(usize),
    /// A fault, of itself.
    Nobody,
}

/// What an endpoint hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Which one.
    pub endpoint: EndpointId,
    /// When the last byte was complete.
    pub at: Time,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whoever said them goes on at once. A receiver that waits for a silence has not handed them over
    /// yet.
    pub goes_on: bool,
}

/// What somebody will hear of themselves.
struct Echo {
    who: Talker,
    at: Time,
    bytes: Vec<u8>,
}

/// One who talks from inside the process, without I/O and without a clock.
pub trait Guest {
    /// Bytes were on the bus, the last of them at `at`; not its own.
    fn heard(&mut self, bytes: &[u8], at: Time);

    /// What it has to say now, if anything. Asked after each [`Guest::heard`] and at
    /// [`Guest::next_event`].
    fn say(&mut self, now: Time) -> Option<Vec<u8>>;

    /// When it will have something to say, if nothing comes before.
    fn next_event(&self) -> Option<Time>;

    /// The toolhead's filament sensor shows filament, or none any more.
    fn toolhead(&mut self, filament: bool, at: Time);

    /// Takes what extruder, cutter and hands are to do for it now. Asked when [`Guest::say`] is.
    fn hands(&mut self, now: Time) -> Vec<Hand> {
        let _ = now;
        Vec::new()
    }
}

/// How often in a row something may be due at one moment.
const TURNS: u32 = 1000;

/// What a bus carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Bytes that endpoints and guests said.
    pub asked: u64,
    /// Bytes that devices said.
    pub answered: u64,
    /// Answers of devices.
    pub answers: u64,
    /// Times that two or more talked at once.
    pub collisions: u64,
}

/// A change of the toolhead's filament sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toolhead {
    /// When.
    pub at: Time,
    /// Whether it shows filament.
    pub filament: bool,
}

/// A bus: a world, the wires, and those who are connected.
pub struct Bus {
    config: BusConfig,
    world: World,
    wire: Wire,
    now: Time,
    /// Whether somebody is connected at each.
    endpoints: Vec<bool>,
    guests: Vec<Box<dyn Guest + Send>>,
    auto: Option<Auto>,
    story: Option<Story>,
    spoiled: Option<Spoiled>,
    heard: Vec<Heard>,
    echoes: Vec<Echo>,
    /// What was delivered last has not been handed over by every receiver.
    goes_on: bool,
    toolhead: bool,
    changes: Vec<Toolhead>,
    tally: Tally,
}

impl Bus {
    /// A bus with this world, to which nobody is connected.
    #[must_use]
    pub fn new(world: World, config: BusConfig) -> Bus {
        let wire = Wire::new((!config.fast).then_some(config.baud));
        let (now, toolhead) = (world.now(), world.toolhead());
        let (heard, changes, tally) = (Vec::new(), Vec::new(), Tally::default());
        Bus {
            config,
            world,
            wire,
            now,
            endpoints: Vec::new(),
            guests: Vec::new(),
            auto: None,
            story: None,
            spoiled: None,
            heard,
            echoes: Vec::new(),
            goes_on: false,
            toolhead,
            changes,
            tally,
        }
    }

    /// Extruder and cutter are played from what the bus carries.
    #[must_use]
    pub fn with_auto(mut self, auto: Auto) -> Bus {
        self.auto = Some(auto);
        self
    }

    /// What happens later of itself, or on what the bus carries.
    #[must_use]
    pub fn with_timeline(mut self, timeline: Timeline, dialect: &'static Dialect) -> Bus {
        self.story = Some(Story::new(timeline, dialect));
        self
    }

    /// What is said passes these faults before it is on the wire.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Bus {
        self.spoiled = Some(Spoiled::new(faults));
        self
    }

    /// The faults, and what each did.
    #[must_use]
    pub fn faults(&self) -> Option<&Faults> {
        self.spoiled.as_ref().map(|spoiled| &spoiled.faults)
    }

    /// How it behaves.
    #[must_use]
    pub fn config(&self) -> &BusConfig {
        &self.config
    }

    /// What is on it.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What it carried so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How far it has been advanced.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Connects an endpoint. It hears what is said from now on.
    pub fn connect(&mut self) -> EndpointId {
        if let Some(free) = self.endpoints.iter().position(|connected| !connected) {
            self.endpoints[free] = true;
            return EndpointId(free);
        }
        self.endpoints.push(true);
        EndpointId(self.endpoints.len() - 1)
    }

    /// An endpoint is gone; its number will be given out anew.
    pub fn disconnect(&mut self, endpoint: EndpointId) {
        if let Some(connected) = self.endpoints.get_mut(endpoint.0) {
            *connected = false;
        }
        self.heard.retain(|heard| heard.endpoint != endpoint);
    }

    /// Lets a guest in.
    pub fn invite(&mut self, mut guest: Box<dyn Guest + Send>) {
        guest.toolhead(self.toolhead, self.now);
        self.guests.push(guest);
    }

    /// Somebody at an endpoint says something, beginning at `at`.
    pub fn say(&mut self, endpoint: EndpointId, bytes: &[u8], at: Time) {
        self.advance(at);
        self.tally.asked += bytes.len() as u64;
        self.talk(Talker::Endpoint(endpoint), bytes.to_vec(), 0);
        self.advance(self.now);
    }

    /// Somebody's bytes go onto the wire in so many ns, past the faults.
    fn talk(&mut self, who: Talker, bytes: Vec<u8>, wait: i64) {
        let Some(spoiled) = &mut self.spoiled else {
            self.wire.talk(who, bytes, Time(self.now.0.saturating_add(wait)));
            return;
        };
        let said = spoiled.pass(who, &bytes, self.now);
        self.carry(said, wait);
        self.befall();
    }

    /// What passed the faults goes onto the wire, in so many ns.
    fn carry(&mut self, said: Vec<Said>, wait: i64) {
        for Said { who, bytes, at, echo } in said {
            let at = Time(at.0.saturating_add(wait));
            if echo {
                let end = at.max(self.wire.busy(who).unwrap_or(at));
                let end = Time(end.0.saturating_add(self.wire.time_of(bytes.len())));
                self.echoes.push(Echo { who, at: end, bytes });
            } else {
                self.wire.talk(who, bytes, at);
            }
        }
    }

    /// Whoever hears themselves does so when they are done.
    fn echo(&mut self) {
        let now = self.now;
        for Echo { who, at, bytes } in self.echoes.extract_if(.., |echo| echo.at <= now) {
            match who {
                Talker::Endpoint(endpoint) => {
                    if self.endpoints.get(endpoint.0) == Some(&true) {
                        self.heard.push(Heard { endpoint, at, bytes, goes_on: false });
                    }
                }
                Talker::Guest(place) => self.guests[place].heard(&bytes, at),
                Talker::Device(id) => self.world.heard_by(&bytes, at, |other| other == id),
                Talker::Nobody => {}
            }
        }
    }

    /// What befell devices is carried out before they hear more.
    fn befall(&mut self) {
        for effect in self.spoiled.iter_mut().flat_map(|spoiled| spoiled.faults.effects()) {
            self.world.befall(&effect);
        }
    }

    /// When all that an endpoint has said will have been on the wire: who says more before then
    /// fills a memory that no line has.
    #[must_use]
    pub fn busy(&self, endpoint: EndpointId) -> Option<Time> {
        self.wire.busy(Talker::Endpoint(endpoint))
    }

    /// Does what a hand does, at `at`.
    ///
    /// # Errors
    ///
    /// It cannot be done.
    pub fn act(&mut self, hand: &Hand, at: Time) -> Result<(), HandError> {
        self.advance(at);
        self.world.act(hand)?;
        self.collect();
        self.advance(self.now);
        Ok(())
    }

    /// When something will happen of itself.
    #[must_use]
    pub fn next_event(&self) -> Option<Time> {
        // What is due at a moment that was reached has been done: a device then means its next one.
        let later = |due| if due > self.now { due } else { Time(self.now.0 + Time::MILLISECOND) };
        let world = self.world.next_event().map(later);
        let guests = self.guests.iter().filter_map(|guest| guest.next_event());
        let auto = self.auto.as_ref().and_then(Auto::next_event);
        let story = self.story.as_ref().and_then(Story::next_event);
        let spoiled = self.spoiled.as_ref().and_then(Spoiled::next_event);
        let echo = self.echoes.iter().map(|echo| echo.at).min();
        let all = [world, self.wire.next_event(), auto, story, spoiled, echo];
        all.into_iter().flatten().chain(guests).min()
    }

    /// Does all that is due until `to`. An earlier time is taken for the latest.
    pub fn advance(&mut self, to: Time) {
        let to = to.max(self.now);
        let mut turns = 0;
        while let Some(due) = self.next_event().filter(|due| *due <= to) {
            turns = if due > self.now { 0 } else { turns + 1 };
            self.now = due.max(self.now);
            self.step();
            // One that is due again and again must not stop the clock.
            if turns >= TURNS {
                break;
            }
        }
        self.now = self.now.max(to);
        self.step();
    }

    /// All that is due now.
    fn step(&mut self) {
        self.world.advance(self.now);
        self.collect();
        self.echo();
        while let Some(burst) = self.wire.take(self.now) {
            self.deliver(&burst);
        }
        let mut hands = Vec::new();
        if let Some(spoiled) = &mut self.spoiled {
            let said = spoiled.advance(self.now);
            self.carry(said, 0);
        }
        self.befall();
        if let Some(auto) = &mut self.auto {
            hands.extend(auto.due(self.now, &self.world));
        }
        if let Some(story) = &mut self.story {
            hands.extend(story.due(self.now));
        }
        for hand in hands {
            // What cannot be done is not done; an automaton has nobody to tell, and a scene is
            // checked.
            let _ = self.world.act(&hand);
            self.collect();
        }
        for place in 0..self.guests.len() {
            self.ask(place);
        }
    }

    /// Lets a guest say and do what it has to.
    fn ask(&mut self, place: usize) {
        for hand in self.guests[place].hands(self.now) {
            let _ = self.world.act(&hand);
            self.collect();
        }
        if let Some(bytes) = self.guests[place].say(self.now) {
            self.tally.asked += bytes.len() as u64;
            self.talk(Talker::Guest(place), bytes, 0);
        }
    }

    /// What the devices decided to say goes onto the wire, and changes are noted.
    fn collect(&mut self) {
        let turnaround = if self.config.fast { 0 } else { self.config.turnaround };
        for (id, said) in self.world.said() {
            self.tally.answers += 1;
            self.tally.answered += said.bytes.len() as u64;
            let wait = Time(said.at.0.saturating_add(turnaround)).since(self.now).max(0);
            self.talk(Talker::Device(id), said.bytes, wait);
        }
        let filament = self.world.toolhead();
        if filament != self.toolhead {
            self.toolhead = filament;
            self.changes.push(Toolhead { at: self.now, filament });
            for guest in &mut self.guests {
                guest.toolhead(filament, self.now);
            }
        }
    }

    /// Everybody hears what was on the wire.
    fn deliver(&mut self, burst: &Burst) {
        let collided = burst.talks.len() > 1;
        self.tally.collisions += u64::from(collided);
        let went_on = std::mem::replace(&mut self.goes_on, self.wire.goes_on(burst));
        let talked = |who: Talker| burst.talks.iter().any(|talk| talk.who == who);
        let nobody = Talker::Endpoint(EndpointId(usize::MAX));
        let common = self.wire.heard(burst, nobody, false);
        let heard = |who: Talker, echo: bool| {
            if talked(who) { self.wire.heard(burst, who, echo) } else { common.clone() }
        };
        let connected = self.endpoints.iter().enumerate().filter(|(_, connected)| **connected);
        for endpoint in connected.map(|(place, _)| EndpointId(place)) {
            let bytes = heard(Talker::Endpoint(endpoint), self.config.echo);
            // What was held back is handed over, even if nothing comes behind it.
            if !bytes.is_empty() || went_on {
                self.heard.push(Heard { endpoint, at: burst.end, bytes, goes_on: self.goes_on });
            }
        }
        for place in 0..self.guests.len() {
            let bytes = heard(Talker::Guest(place), false);
            if !bytes.is_empty() {
                self.guests[place].heard(&bytes, burst.end);
            }
        }
        self.world.heard_by(&common, burst.end, |id| !talked(Talker::Device(id)));
        if collided {
            // A device that talked hears what came when it was done.
            let device = |talk: &wire::Talk| match talk.who {
                Talker::Device(id) => Some(id),
                _ => None,
            };
            for id in
                burst.talks.iter().filter_map(device).collect::<std::collections::BTreeSet<_>>()
            {
                let bytes = self.wire.heard(burst, Talker::Device(id), false);
                if !bytes.is_empty() {
                    self.world.heard_by(&bytes, burst.end, |other| other == id);
                }
            }
        }
        if let Some(auto) = &mut self.auto {
            auto.heard(&common, burst.end);
        }
        if let Some(story) = &mut self.story {
            let direction = (!collided).then(|| story::direction(burst.talks[0].who)).flatten();
            story.heard(&common, direction, burst.end);
        }
        self.collect();
    }

    /// Takes what the endpoints heard since the last call, in order of time.
    pub fn heard(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    /// Takes the changes of the toolhead's filament sensor since the last call.
    pub fn toolhead_changes(&mut self) -> Vec<Toolhead> {
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests;

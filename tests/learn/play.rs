//! A capture's host against a world, in virtual time.

use std::error::Error;

use k485_emulator::World;
use k485_emulator::scene::{Scene, Timeline};
use k485_proto::exchange::{Exchange, Pairer, Seen};
use k485_proto::record::{Direction, Origin, Record, Time, Verdict};
use k485_sniffer::replay::{Recorded, Script, Step};

/// A byte's time, in nanoseconds.
const BYTE: i64 = 10 * Time::SECOND / 230_400;
/// How long is waited for a reply that was recorded; motions take their time.
const PATIENCE: i64 = 60 * Time::SECOND;
/// How long where none was recorded and nobody knows how long the host waited.
const SILENCE: i64 = 100 * Time::MILLISECOND;

/// A request, what was recorded and what came.
pub(crate) struct Pair {
    pub(crate) step: Step,
    /// When it was sent.
    pub(crate) time: Time,
    pub(crate) reply: Option<Vec<u8>>,
}

/// A world with its timeline.
struct Stage {
    world: World,
    timeline: Timeline,
    pairer: Pairer,
    turnaround: i64,
    now: Time,
    said: Vec<(Time, Vec<u8>)>,
}

/// Plays the host of these exchanges: each request when it was sent, or when the one before is
/// over. The world starts at `base`, else with the first of them.
pub(crate) fn play(
    scene: &Scene,
    exchanges: &[Exchange],
    base: Option<Time>,
) -> Result<Vec<Pair>, Box<dyn Error>> {
    let script = Script::new(exchanges.iter().cloned().map(Seen::Exchange))?;
    let first = script.steps().first().and_then(|step| step.time);
    let base = base.or(first).unwrap_or(Time(0));
    let mut stage = Stage {
        world: scene.build(Time(0)),
        timeline: scene.timeline(Time(0)),
        pairer: Pairer::with_dialect(scene.dialect()),
        turnaround: scene.bus().turnaround,
        now: Time(0),
        said: Vec::new(),
    };
    let mut pairs = Vec::new();
    for step in script.steps() {
        let due = step.time.map_or(0, |time| time.since(base));
        stage.run(Time(due.max(stage.now.0)), false)?;
        let time = Time(stage.now.0 + step.request.len() as i64 * BYTE);
        stage.run(time, false)?;
        // What came unasked, or too late, answers nothing.
        stage.said.clear();
        observe(&mut stage.pairer, &mut stage.timeline, &step.request, Direction::Request, time);
        stage.world.heard(&step.request, time);
        let patience = match step.recorded {
            Recorded::Reply(_) => PATIENCE,
            _ => step.latency_ns.unwrap_or(SILENCE),
        };
        stage.run(Time(time.0 + patience), true)?;
        let reply = (!stage.said.is_empty()).then(|| stage.said.remove(0).1);
        pairs.push(Pair { step: step.clone(), time, reply });
    }
    Ok(pairs)
}

impl Stage {
    /// Goes on to `until`, or to the first reply.
    fn run(&mut self, until: Time, to_reply: bool) -> Result<(), Box<dyn Error>> {
        loop {
            for hand in self.timeline.due(self.now) {
                self.world.act(&hand)?;
            }
            self.world.advance(self.now);
            for (_, said) in self.world.said() {
                let at = said.at.0 + self.turnaround + said.bytes.len() as i64 * BYTE;
                observe(&mut self.pairer, &mut self.timeline, &said.bytes, Direction::Response, Time(at));
                self.said.push((Time(at), said.bytes));
            }
            if to_reply && let Some((at, _)) = self.said.first() {
                self.now = self.now.max(*at);
                return Ok(());
            }
            if self.now >= until {
                return Ok(());
            }
            let events = [self.world.next_event(), self.timeline.next_event()];
            let next = events.into_iter().flatten().filter(|next| *next > self.now).min();
            self.now = next.map_or(until, |next| next.min(until));
        }
    }
}

/// Tells the timeline what was on the bus.
fn observe(
    pairer: &mut Pairer,
    timeline: &mut Timeline,
    bytes: &[u8],
    dir: Direction,
    at: Time,
) {
    pairer.push(Record {
        time: Some(at),
        bus: "".into(),
        dir: Some(dir),
        offset: 0,
        bytes: bytes.to_vec(),
        origin: Origin::Wire,
        verdict: Verdict::Frame,
        call: None,
    });
    while let Some(seen) = pairer.pull() {
        timeline.observe(&seen, at);
    }
}

//! A capture's host against a world, in virtual time.

use k485_emulator::scene::Scene;
use k485_proto::exchange::{Exchange, Pairer, Seen};
use k485_proto::record::{Direction, Origin, Record, Time, Verdict as RecordVerdict};
use k485_sniffer::replay::{Host, HostEvent, HostTodo, Options, Played, Script, Step};

/// A byte's time, in nanoseconds.
const BYTE: i64 = 10 * Time::SECOND / 230_400;
/// More steps than any capture needs.
const MOST: usize = 10_000_000;

/// A request, what was recorded and what came.
pub(crate) struct Pair {
    pub(crate) step: Step,
    pub(crate) played: Played,
}

/// Plays the host of these exchanges.
pub(crate) fn play(
    scene: &Scene,
    exchanges: &[Exchange],
) -> Result<Vec<Pair>, Box<dyn std::error::Error>> {
    let script = Script::new(exchanges.iter().cloned().map(Seen::Exchange))?;
    let steps: Vec<Step> = script.steps().to_vec();
    let start = Time(0);
    let mut world = scene.build(start);
    let mut timeline = scene.timeline(start);
    let turnaround = scene.bus().turnaround;
    let mut host = Host::new(script, Options::default(), start);
    let mut pairer = Pairer::with_dialect(scene.dialect());
    let mut now = start;
    let mut pairs = Vec::new();
    // Replies on their way: when their last byte is there.
    let mut coming: Vec<(Time, Vec<u8>)> = Vec::new();
    for _ in 0..MOST {
        let todo = host.poll(now);
        let until = match todo {
            HostTodo::Send(bytes) => {
                let at = Time(now.0 + bytes.len() as i64 * BYTE);
                observe(&mut pairer, &mut timeline, &bytes, Direction::Request, at);
                world.heard(&bytes, at);
                now = at;
                host.sent(at);
                at
            }
            HostTodo::Wait(until) => until,
            HostTodo::Ask(_) => return Err("nothing is asked here".into()),
            HostTodo::Done => return Ok(pairs),
        };
        let events = [world.next_event(), timeline.next_event()];
        let coming_at = coming.iter().map(|(at, _)| *at).min();
        let next = events.into_iter().flatten().chain(coming_at).min();
        now = next.map_or(until, |next| next.min(until)).max(now);
        for hand in timeline.due(now) {
            world.advance(now);
            world.act(&hand)?;
        }
        world.advance(now);
        for (_, said) in world.said() {
            let at = said.at.0 + turnaround + said.bytes.len() as i64 * BYTE;
            coming.push((Time(at.max(now.0)), said.bytes));
        }
        coming.sort_by_key(|(at, _)| *at);
        while coming.first().is_some_and(|(at, _)| *at <= now) {
            let (at, bytes) = coming.remove(0);
            observe(&mut pairer, &mut timeline, &bytes, Direction::Response, at);
            host.heard(&bytes, at);
        }
        while let Some(event) = host.pull() {
            if let HostEvent::Played(played) = event {
                pairs.push(Pair { step: steps[played.step].clone(), played });
            }
        }
    }
    Err("the replay does not end".into())
}

/// Tells the timeline what was on the bus.
fn observe(
    pairer: &mut Pairer,
    timeline: &mut k485_emulator::scene::Timeline,
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
        verdict: RecordVerdict::Frame,
        call: None,
    });
    while let Some(seen) = pairer.pull() {
        timeline.observe(&seen, at);
    }
}

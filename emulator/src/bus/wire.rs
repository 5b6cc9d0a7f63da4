//! The pair of wires: who talks when, and what is heard where two talk at once.

use std::time::Duration;

use k485_link::uart::Line;
use k485_proto::record::Time;

use super::Talker;

/// Bits of a byte: start bit, eight data bits, stop bit.
const BITS: usize = 10;

/// Somebody talks, or will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Talk {
    pub(super) who: Talker,
    pub(super) start: Time,
    /// When the last byte's stop bit is over.
    pub(super) end: Time,
    pub(super) bytes: Vec<u8>,
}

/// What the wire carried from one silence to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Burst {
    pub(super) end: Time,
    /// In order of their starts; more than one is a collision.
    pub(super) talks: Vec<Talk>,
}

/// The wires.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    /// In baud; `None` where bytes take no time.
    baud: Option<u32>,
    /// In order of their starts.
    talks: Vec<Talk>,
}

impl Wire {
    pub(super) fn new(baud: Option<u32>) -> Wire {
        Wire { baud: baud.filter(|baud| *baud > 0), talks: Vec::new() }
    }

    /// The time that so many bytes take, in ns.
    pub(super) fn time_of(&self, bytes: usize) -> i64 {
        let Some(baud) = self.baud else { return 0 };
        let nanos = bytes as u64 * (BITS as u64) * 1_000_000_000 / u64::from(baud);
        i64::try_from(nanos).unwrap_or(i64::MAX)
    }

    /// Somebody talks from `at` on, or when what they said before is over.
    pub(super) fn talk(&mut self, who: Talker, bytes: Vec<u8>, at: Time) {
        if bytes.is_empty() {
            return;
        }
        let before = self.talks.iter().filter(|talk| talk.who == who).map(|talk| talk.end).max();
        let start = before.map_or(at, |end| end.max(at));
        let end = Time(start.0.saturating_add(self.time_of(bytes.len())));
        let place = self.talks.partition_point(|talk| talk.start <= start);
        self.talks.insert(place, Talk { who, start, end, bytes });
    }

    /// How many bytes are or will be on the wire.
    pub(super) fn waiting(&self) -> usize {
        self.talks.iter().map(|talk| talk.bytes.len()).sum()
    }

    /// When what somebody says is over; `None` when they say nothing.
    pub(super) fn busy(&self, who: Talker) -> Option<Time> {
        self.talks.iter().filter(|talk| talk.who == who).map(|talk| talk.end).max()
    }

    /// When the next burst is over, as far as is known now, and how many talks it is.
    fn next(&self) -> Option<(Time, usize)> {
        let mut end = self.talks.first()?.end;
        let mut count = 1;
        while let Some(talk) = self.talks.get(count).filter(|talk| talk.start < end) {
            end = end.max(talk.end);
            count += 1;
        }
        Some((end, count))
    }

    /// When the next burst is over.
    pub(super) fn next_event(&self) -> Option<Time> {
        self.next().map(|(end, _)| end)
    }

    /// Whether the device that said a burst goes on at its end, as one does that repeats itself.
    pub(super) fn goes_on(&self, burst: &Burst) -> bool {
        let ([talk], Some(next)) = (&burst.talks[..], self.talks.first()) else { return false };
        let device = matches!(talk.who, Talker::Device(_));
        device && next.who == talk.who && next.start == burst.end
    }

    /// Takes the next burst, if it is over by `now`.
    pub(super) fn take(&mut self, now: Time) -> Option<Burst> {
        let (end, count) = self.next().filter(|(end, _)| *end <= now)?;
        Some(Burst { end, talks: self.talks.drain(..count).collect() })
    }

    /// What somebody hears of a burst; one who talks does not hear while they do, unless `echo`.
    pub(super) fn heard(&self, burst: &Burst, who: Talker, echo: bool) -> Vec<u8> {
        let deaf = |talk: &&Talk| !echo && talk.who == who;
        let (Some(baud), [_, _, ..]) = (self.baud, &burst.talks[..]) else {
            let heard = burst.talks.iter().filter(|talk| !deaf(talk));
            return heard.flat_map(|talk| talk.bytes.iter().copied()).collect();
        };
        collide(&burst.talks, baud, &burst.talks.iter().filter(deaf).collect::<Vec<_>>())
    }
}

/// What a receiver reads of a line that several drive: one that pulls it low wins, bit by bit. While
/// one of `deaf` lasts the receiver is off.
fn collide(talks: &[Talk], baud: u32, deaf: &[&Talk]) -> Vec<u8> {
    let Some(first) = talks.first() else { return Vec::new() };
    let bit = |n: usize| (n as u64 * 1_000_000_000 / u64::from(baud)) as i64;
    // Edges: how many pull the line low, and how many switch the receiver off, from here on.
    let mut edges: Vec<(i64, i32, i32)> = Vec::new();
    for talk in talks {
        for (place, byte) in talk.bytes.iter().enumerate() {
            let low = |n: usize| match n {
                0 => true,
                1..=8 => byte >> (n - 1) & 1 == 0,
                _ => false,
            };
            for n in (0..BITS).filter(|n| low(*n)) {
                let at = |n| talk.start.0 + bit(place * BITS + n);
                edges.extend([(at(n), 1, 0), (at(n + 1), -1, 0)]);
            }
        }
    }
    for talk in deaf {
        edges.extend([(talk.start.0, 0, 1), (talk.end.0, 0, -1)]);
    }
    edges.sort_unstable();
    let mut line = Line::new(baud, baud);
    let mut out = Vec::new();
    let (mut now, mut lows, mut off) = (first.start.0, 0, 0);
    for (at, low, deaf) in edges {
        let time = Duration::from_nanos(u64::try_from(at - now).unwrap_or(0));
        line.level(lows == 0 || off > 0, time, &mut out);
        (now, lows, off) = (at, lows + low, off + deaf);
    }
    line.idle(Duration::from_nanos(bit(BITS + 1).unsigned_abs()), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::EndpointId;
    use crate::world::DeviceId;

    const A: Talker = Talker::Device(DeviceId(0));
    const B: Talker = Talker::Device(DeviceId(1));
    const HOST: Talker = Talker::Endpoint(EndpointId(0));

    fn us(us: i64) -> Time {
        Time(us * 1000)
    }

    #[test]
    fn one_after_the_other_is_no_collision() {
        let mut wire = Wire::new(Some(100_000));
        wire.talk(A, vec![1, 2], us(0));
        wire.talk(B, vec![3], us(200));
        assert_eq!(wire.next_event(), Some(us(200)));
        assert!(wire.take(us(199)).is_none());
        let burst = wire.take(us(300)).unwrap();
        assert_eq!((burst.end, wire.heard(&burst, HOST, false)), (us(200), vec![1, 2]));
        assert!(wire.heard(&burst, A, false).is_empty());
        assert_eq!(wire.heard(&burst, A, true), [1, 2]);
        assert_eq!(wire.take(us(300)).unwrap().talks.len(), 1);
        // One who goes on talking does so behind what they said.
        wire.talk(A, vec![1], us(400));
        wire.talk(A, vec![2], us(420));
        assert_eq!(wire.busy(A), Some(us(600)));
    }

    #[test]
    fn the_low_level_wins_where_two_talk_at_once() {
        let mut wire = Wire::new(Some(100_000));
        wire.talk(A, vec![0b1100_1111, 0xff], us(0));
        wire.talk(B, vec![0b1111_1001], us(0));
        let burst = wire.take(us(200)).unwrap();
        assert_eq!(wire.heard(&burst, HOST, false), [0b1100_1001, 0xff]);
        // Who talks hears what comes behind, and nothing of the rest.
        assert_eq!(wire.heard(&burst, B, false), [0xff]);
        assert!(wire.heard(&burst, A, false).is_empty());
    }

    #[test]
    fn a_shifted_collision_is_garbage_of_about_its_length() {
        let mut wire = Wire::new(Some(230_400));
        let frame = [0xf7, 0xfe, 0x11, 0x00, 0xa1, 0x01, 0x00, 0x69, 0x06, 0x30];
        wire.talk(A, frame.to_vec(), us(0));
        wire.talk(B, frame.to_vec(), us(100));
        let burst = wire.take(us(10_000)).unwrap();
        let heard = wire.heard(&burst, HOST, false);
        assert_ne!(heard, frame);
        assert!((8..=14).contains(&heard.len()), "{heard:02x?}");
        assert_eq!(heard, wire.heard(&burst, HOST, false));
        // Whoever talked first is understood until the other one begins.
        assert_eq!(heard[..2], frame[..2]);
    }

    #[test]
    fn without_byte_times_nothing_collides() {
        let mut wire = Wire::new(None);
        wire.talk(A, vec![1], us(5));
        wire.talk(B, vec![2], us(5));
        let heard = [wire.take(us(5)).unwrap(), wire.take(us(5)).unwrap()];
        assert_eq!(heard.map(|burst| wire.heard(&burst, HOST, false)), [vec![1], vec![2]]);
    }
}

//! What is heard on some ports, decoded and merged: without threads and without a clock.

use std::collections::VecDeque;
use std::sync::Arc;

use k485_proto::dialect::Dialect;
use k485_proto::exchange::{Observed, Pairer, Seen};
use k485_proto::record::{Gap, GapReason, Record, Time};

use super::queue::Heard;
use crate::framer::{Chunk, Framer, Place, byte_time};

/// After this silence an open frame gets no more bytes, in nanoseconds. The box's own parser gives
/// up after 120 ms inside a frame; the rest is for machines that stand still for a moment. What a
/// stray head holds up is let go then, or when what follows shows that it was none.
const SILENCE: i64 = 300 * Time::MILLISECOND;
/// How many records of one port wait at most for another port's clock.
const WAITING: usize = 1 << 16;

/// A port that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The name of its bus in records.
    pub name: Arc<str>,
    /// The line's speed in baud, where bytes come over a line: tells bytes of one read apart in
    /// time.
    pub baud: Option<u32>,
}

/// Turns what the ports tell into what is seen.
///
/// Records of several ports are put in the order of their times: one waits until every other port
/// has told something later (each tells several times a second), or has ended.
#[derive(Debug)]
pub struct Decoder {
    lanes: Vec<Lane>,
    pairer: Pairer,
}

#[derive(Debug)]
struct Lane {
    name: Arc<str>,
    framer: Framer,
    /// A byte's time on the wire in nanoseconds; 0 where it is not known.
    byte: i64,
    /// Bytes so far.
    offset: u64,
    /// When bytes came last.
    heard: Option<Time>,
    /// Nothing earlier than this comes any more.
    told: Option<Time>,
    /// Records that wait for the other ports.
    waiting: VecDeque<Record>,
    ended: bool,
}

impl Decoder {
    /// Watches these ports, which are numbered in this order.
    #[must_use]
    pub fn new(ports: Vec<Port>, dialect: &'static Dialect) -> Self {
        let lane = |Port { name, baud }: Port| {
            let byte = baud.map_or(0, byte_time);
            Lane {
                framer: Framer::new(Arc::clone(&name)).with_byte_time(byte),
                name,
                byte,
                offset: 0,
                heard: None,
                told: None,
                waiting: VecDeque::new(),
                ended: false,
            }
        };
        let lanes = ports.into_iter().map(lane).collect();
        Decoder { lanes, pairer: Pairer::with_dialect(dialect) }
    }

    /// Takes what a port told.
    pub fn heard(&mut self, port: usize, heard: &Heard) {
        let Some(lane) = self.lanes.get_mut(port) else { return };
        match heard {
            Heard::Bytes { time, bytes } => lane.bytes(*time, bytes),
            Heard::Idle { time } => lane.idle(*time),
            // The gap is told when its length is known.
            Heard::Lost { time, .. } => lane.flush(*time),
            Heard::Back { time, away } => {
                lane.gap(*time, GapReason::Unplugged, Some(*away), None);
            }
            Heard::Dropped { time, bytes } => {
                lane.gap(*time, GapReason::Dropped, None, Some(*bytes));
            }
            Heard::Spoiled { time, errors } => {
                let lost = u64::from(errors.overrun) + u64::from(errors.buffer_overrun);
                if lost > 0 {
                    lane.gap(*time, GapReason::Overrun, None, Some(lost));
                }
            }
            Heard::Ended { .. } => lane.end(),
        }
        self.release();
    }

    /// The next thing seen; `None` until more is heard.
    pub fn pull(&mut self) -> Option<Seen> {
        self.pairer.pull()
    }

    /// A port's request that nobody has answered so far, and that may be.
    #[must_use]
    pub fn open(&self, port: usize) -> Option<&Arc<Observed>> {
        self.pairer.open(&self.lanes.get(port)?.name)
    }

    /// Whether every port has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.lanes.iter().all(|lane| lane.ended)
    }

    /// Tells of the end: what waits is let go, what is open ends.
    pub fn finish(&mut self) {
        self.lanes.iter_mut().for_each(Lane::end);
        self.release();
        self.pairer.finish();
    }

    /// Gives the pairer the records that nothing earlier can come before.
    fn release(&mut self) {
        let crowded = self.lanes.iter().any(|lane| lane.waiting.len() > WAITING);
        // Nothing earlier comes on any port; `None` while a port has told nothing.
        let told = self.lanes.iter().filter(|lane| !lane.ended).map(Lane::told).min();
        let until = match told {
            _ if crowded => Time(i64::MAX),
            Some(None) => return,
            Some(Some(time)) => time,
            None => Time(i64::MAX),
        };
        loop {
            let first = self.lanes.iter_mut().filter(|lane| lane.next_time() <= Some(until));
            let first = first.filter(|lane| !lane.waiting.is_empty());
            // The first of equals: ports keep their order.
            let Some(lane) = first.min_by_key(|lane| lane.next_time()) else { break };
            if let Some(record) = lane.waiting.pop_front() {
                self.pairer.push(record);
            }
        }
        if until < Time(i64::MAX) {
            self.pairer.tick(until);
        }
    }
}

impl Lane {
    fn bytes(&mut self, time: Time, bytes: &[u8]) {
        // More bytes behind a long silence are not the rest of an open frame. Many that are read
        // late, on a machine that was busy elsewhere, were on the wire all that time.
        let took = self.byte.saturating_mul(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.flush(Time(time.0.saturating_sub(took)));
        let chunk = Chunk { time: Some(time), dir: None, place: Place::Stream(self.offset), bytes };
        self.offset += bytes.len() as u64;
        let waiting = &mut self.waiting;
        self.framer.push(chunk, |record| waiting.push_back(record));
        self.heard = Some(time);
        self.told = self.told.max(Some(time));
    }

    fn idle(&mut self, time: Time) {
        self.flush(time);
        self.framer.quiet(time);
        self.told = self.told.max(Some(time));
    }

    /// Lets go what waits for more bytes, if it has waited long enough by now.
    fn flush(&mut self, now: Time) {
        if self.heard.is_none_or(|heard| now.since(heard) >= SILENCE) {
            let waiting = &mut self.waiting;
            self.framer.idle(|record| waiting.push_back(record));
        }
    }

    fn gap(&mut self, time: Time, reason: GapReason, ns: Option<i64>, bytes: Option<u64>) {
        let waiting = &mut self.waiting;
        // What follows is no continuation of what was before.
        self.framer.idle(|record| waiting.push_back(record));
        let gap = Record::of_gap(Gap { reason, ns, bytes }, Some(time), Arc::clone(&self.name));
        waiting.push_back(Record { offset: self.offset, ..gap });
        self.told = self.told.max(Some(time));
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            let waiting = &mut self.waiting;
            self.framer.idle(|record| waiting.push_back(record));
        }
    }

    /// Until when nothing more comes. What waits for more bytes may still come as a record of the
    /// time when its bytes were heard.
    fn told(&self) -> Option<Time> {
        self.framer.pending_since(None).or(self.told)
    }

    fn next_time(&self) -> Option<Time> {
        self.waiting.front().and_then(|record| record.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_link::LineErrors;
    use k485_proto::dialect::K2;
    use k485_proto::exchange::Outcome;
    use k485_proto::record::Verdict;

    const MS: i64 = Time::MILLISECOND;
    const POLL: [u8; 6] = [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c];
    const REPLY: [u8; 10] = [0xf7, 0x01, 0x07, 0x00, 0x0a, 0x19, 0x24, 0x00, 0x00, 0xe7];

    fn decoder(names: &[&str]) -> Decoder {
        let port = |name: &&str| Port { name: Arc::from(*name), baud: None };
        Decoder::new(names.iter().map(port).collect(), &K2)
    }

    fn bytes(ms: i64, bytes: &[u8]) -> Heard {
        Heard::Bytes { time: Time(ms * MS), bytes: bytes.into() }
    }

    /// What has been seen, in a word each with the time in ms, but for exchanges' frames.
    fn seen(decoder: &mut Decoder) -> Vec<String> {
        let ms = |time: Option<Time>| time.map_or(-1, |time| time.0 / MS);
        std::iter::from_fn(|| decoder.pull())
            .filter_map(|seen| match seen {
                Seen::Frame(frame) => {
                    let record = &frame.record;
                    Some(format!("{} frame {}", record.bus, ms(record.time)))
                }
                Seen::Noise(record) => Some(format!("{} noise {}", record.bus, ms(record.time))),
                Seen::Gap(record) => {
                    let Verdict::Gap(gap) = record.verdict else { panic!("{record:?}") };
                    let at = (ms(record.time), record.offset);
                    Some(format!("{} {gap:?} {at:?}", record.bus))
                }
                Seen::Exchange(exchange) if exchange.outcome != Outcome::Answered => {
                    Some(format!("{} {}", exchange.bus, exchange.outcome.name()))
                }
                Seen::Exchange(_) | Seen::Lone(_) => None,
            })
            .collect()
    }

    #[test]
    fn ports_are_merged_by_time_and_keep_their_order() {
        let mut decoder = decoder(&["a", "b"]);
        decoder.heard(0, &bytes(10, &POLL));
        decoder.heard(0, &bytes(30, &REPLY));
        // The other port may still tell of something earlier.
        assert_eq!(seen(&mut decoder), [] as [&str; 0]);
        decoder.heard(1, &bytes(20, &POLL));
        assert_eq!(seen(&mut decoder), ["a frame 10", "b frame 20"]);
        decoder.heard(1, &Heard::Idle { time: Time(35 * MS) });
        assert_eq!(seen(&mut decoder), ["a frame 30"]);
        // What has begun on one port holds up the others, until it is over.
        decoder.heard(1, &bytes(40, &REPLY[..4]));
        decoder.heard(0, &bytes(50, &POLL));
        assert_eq!(seen(&mut decoder), [] as [&str; 0]);
        decoder.heard(1, &bytes(45, &REPLY[4..]));
        decoder.heard(1, &Heard::Idle { time: Time(60 * MS) });
        assert_eq!(seen(&mut decoder), ["b frame 45", "a frame 50"]);
        decoder.heard(0, &bytes(70, &POLL));
        // A port that has ended holds up nobody.
        decoder.heard(1, &Heard::Ended { error: None });
        assert_eq!(seen(&mut decoder), ["a frame 70"]);
        assert!(!decoder.is_over());
        decoder.finish();
        assert!(decoder.is_over());
        assert_eq!(seen(&mut decoder), ["a unfinished"]);
    }

    #[test]
    fn a_silence_ends_what_waits_for_more_bytes() {
        let mut decoder = decoder(&["a"]);
        decoder.heard(0, &bytes(0, &REPLY[..4]));
        decoder.heard(0, &Heard::Idle { time: Time(299 * MS) });
        assert_eq!(seen(&mut decoder), [] as [&str; 0]);
        decoder.heard(0, &Heard::Idle { time: Time(300 * MS) });
        assert_eq!(seen(&mut decoder), ["a noise 0"]);
        // The same where bytes end the silence.
        decoder.heard(0, &bytes(400, &REPLY[..4]));
        decoder.heard(0, &bytes(700, &POLL));
        assert_eq!(seen(&mut decoder), ["a noise 400", "a frame 700"]);
    }

    #[test]
    fn bytes_that_are_read_late_are_no_silence() {
        let ports = vec![Port { name: Arc::from("a"), baud: Some(10_000) }];
        let mut decoder = Decoder::new(ports, &K2);
        // 200 ms in which nobody read, and in which 100 bytes of 1 ms came.
        decoder.heard(0, &bytes(0, &REPLY[..4]));
        let mut late = REPLY[4..].to_vec();
        late.extend(REPLY.iter().cycle().take(90));
        decoder.heard(0, &bytes(200, &late));
        let seen = seen(&mut decoder);
        assert_eq!(seen.iter().filter(|what| what.starts_with("a frame")).count(), 10, "{seen:?}");
        assert!(!seen.iter().any(|what| what.starts_with("a noise")), "{seen:?}");
        // As many bytes after as long a silence again are behind it.
        decoder.heard(0, &bytes(210, &REPLY[..4]));
        decoder.heard(0, &bytes(620, &REPLY[4..]));
        assert!(self::seen(&mut decoder).iter().any(|what| what.starts_with("a noise")));
    }

    #[test]
    fn what_is_missing_is_in_the_record_where_it_is_missing() {
        let mut decoder = decoder(&["a"]);
        decoder.heard(0, &bytes(0, &POLL));
        decoder.heard(0, &bytes(1, &REPLY[..4]));
        decoder.heard(0, &Heard::Lost { time: Time(10 * MS), error: None });
        decoder.heard(0, &Heard::Back { time: Time(3010 * MS), away: 3000 * MS });
        decoder.heard(0, &bytes(3020, &REPLY));
        let gap = "a Gap { reason: Unplugged, ns: Some(3000000000), bytes: None } (3010, 10)";
        let all =
            ["a frame 0", "a noise 1", "a unfinished", gap, "a frame 3020", "a request_not_seen"];
        assert_eq!(seen(&mut decoder), all);
        let errors = LineErrors { overrun: 2, buffer_overrun: 5, framing: 1, ..Default::default() };
        decoder.heard(0, &Heard::Spoiled { time: Time(3030 * MS), errors });
        decoder.heard(0, &Heard::Dropped { time: Time(3040 * MS), bytes: 77 });
        let spoiled = LineErrors { framing: 9, breaks: 3, ..Default::default() };
        decoder.heard(0, &Heard::Spoiled { time: Time(3050 * MS), errors: spoiled });
        let lost = [
            "a Gap { reason: Overrun, ns: None, bytes: Some(7) } (3030, 20)",
            "a Gap { reason: Dropped, ns: None, bytes: Some(77) } (3040, 20)",
        ];
        assert_eq!(seen(&mut decoder)[..], lost[..]);
    }
}

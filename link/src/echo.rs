//! A line that gives back what is sent on it.
//!
//! On two wires whoever sends hears itself, unless the receiver is off meanwhile; many adapters
//! leave it on.

use std::collections::VecDeque;
use std::time::Duration;

use k485_proto::frame::HEAD;
use k485_proto::record::Time;

use crate::clock::Clock;
use crate::error::{LinkError, OpenError};
use crate::link::{Event, Hear, LineErrors, Link};
use crate::wait::time_of;

/// How long an echo may be late, behind the time that the bytes take on the wire: USB adapters
/// collect bytes for 16 ms, in both directions.
const LATE: Duration = Duration::from_millis(40);
/// Bytes that may have come in between the echo's own (a glitch when the transmitter switches).
const EXTRA: usize = 4;
/// A longer message than any frame is looked for by its first bytes only.
const LOOKED_AT: usize = 512;
/// Bytes of one read.
const CHUNK: usize = 4096;

/// What became of the echoes of what was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Echoes {
    /// Came back as they were sent.
    pub exact: u64,
    /// Came back with bytes changed, lost or added: a collision, or a bad line.
    pub garbled: u64,
    /// Did not come back, or as something else: a line without echo.
    pub none: u64,
}

/// A link that takes its own bytes away when they come back.
///
/// After a send, what is heard is held back until it is clear whether it begins with the echo. As
/// soon as it is exactly what was sent, it is taken away. Else, when the echo would be over, the
/// beginning that is nearest to what was sent (by bytes changed, lost and added) is taken away if at
/// most a quarter of the bytes differ, else nothing is. So nothing is held back longer than the
/// bytes take on the wire and 40 ms more, and on a line without echo what differs early is told
/// early.
///
/// The line's speed is the link's; where that has none, 230,400 baud are taken.
#[derive(Debug)]
pub struct EchoOff<L> {
    link: L,
    clock: Clock,
    /// What was sent and did not come back yet, the oldest first, each with the time until which
    /// it is waited for.
    sent: VecDeque<(Vec<u8>, Time)>,
    /// What was heard and not decided yet, each byte with its time.
    held: VecDeque<(u8, Time)>,
    /// What is decided and not told yet.
    free: VecDeque<(u8, Time)>,
    echoes: Echoes,
}

impl<L: Hear> EchoOff<L> {
    /// Takes the echo out of what `link` hears.
    pub fn new(link: L, clock: Clock) -> EchoOff<L> {
        let (sent, held, free) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        EchoOff { link, clock, sent, held, free, echoes: Echoes::default() }
    }

    /// What became of the echoes until now.
    #[must_use]
    pub fn echoes(&self) -> Echoes {
        self.echoes
    }

    /// Decides what can be decided at `now`.
    fn decide(&mut self, now: Time) {
        while let Some((sent, until)) = self.sent.front() {
            let heard: Vec<u8> =
                self.held.iter().map(|(byte, _)| *byte).take(sent.len() + EXTRA).collect();
            let late = now >= *until;
            match judge(sent, &heard, late || heard.len() == sent.len() + EXTRA) {
                Verdict::Wait => return,
                Verdict::Echo(len) => {
                    let exact = heard[..len] == sent[..];
                    self.echoes.exact += u64::from(exact);
                    self.echoes.garbled += u64::from(!exact);
                    self.held.drain(..len);
                    self.sent.pop_front();
                }
                Verdict::None => {
                    self.echoes.none += 1;
                    self.sent.pop_front();
                }
            }
        }
        self.free.append(&mut self.held);
    }

    /// How long the next wait may be.
    fn patience(&self, now: Time, end: Time) -> Duration {
        let end = self.sent.front().map_or(end, |(_, until)| end.min(*until));
        Duration::from_nanos(end.since(now).max(0).cast_unsigned())
    }
}

/// What the beginning of what was heard is.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// More must be heard to know.
    Wait,
    /// So many bytes are the echo.
    Echo(usize),
    /// It is none.
    None,
}

/// Compares what was sent with the beginning of what was heard; `last` where nothing more is
/// waited for.
fn judge(sent: &[u8], heard: &[u8], last: bool) -> Verdict {
    if heard.starts_with(sent) {
        return Verdict::Echo(sent.len());
    }
    if sent.starts_with(heard) && !last {
        return Verdict::Wait;
    }
    let (sent_all, heard_all) = (sent, heard);
    let (sent, heard) =
        (&sent[..sent.len().min(LOOKED_AT)], &heard[..heard.len().min(LOOKED_AT + EXTRA)]);
    let allowed = (sent.len() / 4).max(1);
    // The edit distance of what was sent to each beginning of what was heard: a row of the table a
    // byte that was heard, `row[i]` for the first `i` that were sent.
    let mut row: Vec<usize> = (0..=sent.len()).collect();
    let mut best = (row[sent.len()], 0);
    for (j, &byte) in heard.iter().enumerate() {
        let mut corner = row[0];
        row[0] = j + 1;
        for (i, &own) in sent.iter().enumerate() {
            let changed = corner + usize::from(own != byte);
            corner = row[i + 1];
            row[i + 1] = changed.min(corner + 1).min(row[i] + 1);
        }
        // Nothing that comes can bring it below the least of a row.
        if row.iter().all(|&distance| distance > allowed) {
            break;
        }
        // Of two that are as near the longer: a byte more was garbled, not lost. But a frame's
        // head that does not belong to it begins the answer.
        let distance = row[sent.len()];
        let answer = byte == HEAD && sent.last() != Some(&HEAD);
        if distance < best.0 || (distance == best.0 && !answer) {
            best = (distance, j + 1);
        }
        if j + 1 == heard.len() && !last {
            return Verdict::Wait;
        }
    }
    let (distance, len) = best;
    match distance <= allowed && len > 0 {
        // Of a long message the rest follows as it was sent, as far as can be told.
        true => Verdict::Echo((len + sent_all.len() - sent.len()).min(heard_all.len())),
        false => Verdict::None,
    }
}

impl<L: Hear> Hear for EchoOff<L> {
    fn name(&self) -> &str {
        self.link.name()
    }

    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        if buf.is_empty() {
            return Err(LinkError::EmptyBuffer { name: self.name().to_owned() });
        }
        let nanos = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
        let end = Time(self.clock.now().0.saturating_add(nanos));
        loop {
            let now = self.clock.now();
            self.decide(now);
            if let Some(&(_, time)) = self.free.front() {
                // Bytes of one time are of one event.
                let n = self.free.iter().take_while(|(_, t)| *t == time).count().min(buf.len());
                for (to, (byte, _)) in buf.iter_mut().zip(self.free.drain(..n)) {
                    *to = byte;
                }
                return Ok(Event::Bytes { n, time });
            }
            let mut chunk = [0; CHUNK];
            match self.link.read(&mut chunk, self.patience(now, end))? {
                Event::Bytes { n, time } => {
                    self.held.extend(chunk[..n].iter().map(|&byte| (byte, time)));
                }
                // The end of the wait for an echo is not the end of the time-out.
                Event::Idle if self.clock.now() >= end => {
                    self.decide(self.clock.now());
                    if self.free.is_empty() {
                        return Ok(Event::Idle);
                    }
                }
                Event::Idle => {}
                Event::Closed => {
                    // No echo comes any more.
                    self.decide(Time(i64::MAX));
                    if self.free.is_empty() {
                        return Ok(Event::Closed);
                    }
                }
            }
        }
    }

    /// What was held back or waited for is forgotten.
    fn reopen(&mut self) -> Result<(), OpenError> {
        self.sent.clear();
        self.held.clear();
        self.free.clear();
        self.link.reopen()
    }

    fn can_return(&self) -> bool {
        self.link.can_return()
    }

    fn baud(&self) -> Option<u32> {
        self.link.baud()
    }

    fn set_baud(&mut self, baud: u32) -> Result<(), OpenError> {
        self.link.set_baud(baud)
    }

    fn line_errors(&self) -> Option<LineErrors> {
        self.link.line_errors()
    }

    fn is_live(&self) -> bool {
        self.link.is_live()
    }
}

impl<L: Link> Link for EchoOff<L> {
    fn send(&mut self, bytes: &[u8]) -> Result<Time, LinkError> {
        let time = self.link.send(bytes)?;
        let baud = self.link.baud().unwrap_or(crate::BAUD);
        let wait = time_of(bytes.len() + EXTRA, Some(baud)) + LATE;
        let wait = i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX);
        if !bytes.is_empty() {
            // Behind the one before it, which is on the wire first.
            self.sent.push_back((bytes.to_vec(), Time(time.0.saturating_add(wait))));
        }
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;

    const LONG: Duration = Duration::from_secs(10);
    const ASK: [u8; 6] = [0xF7, 0x02, 0x03, 0xFF, 0x0A, 0x5C];
    const ANSWER: [u8; 10] = [0xF7, 0x02, 0x07, 0x00, 0x0A, 0x18, 0x27, 0x00, 0x00, 0x4C];

    /// Sends `sent`, and gives back `back` in two parts, cut at each place in turn; what is heard.
    #[track_caller]
    fn heard(sent: &[u8], back: &[u8]) -> (Vec<u8>, Echoes) {
        let mut all = Vec::new();
        for cut in 0..=back.len() {
            let clock = Clock::new();
            let (a, mut b) = memory::pair(clock, Some(230_400));
            let mut a = EchoOff::new(a, clock);
            a.send(sent).unwrap();
            b.send(&back[..cut]).unwrap();
            let mut got = Vec::new();
            let mut buf = [0; 64];
            if let Event::Bytes { n, .. } = a.read(&mut buf, Duration::ZERO).unwrap() {
                got.extend_from_slice(&buf[..n]);
            }
            b.send(&back[cut..]).unwrap();
            drop(b);
            loop {
                match a.read(&mut buf, LONG).unwrap() {
                    Event::Bytes { n, .. } => got.extend_from_slice(&buf[..n]),
                    Event::Closed => break,
                    Event::Idle => panic!("idle"),
                }
            }
            all.push((got, a.echoes()));
        }
        assert!(all.iter().all(|one| *one == all[0]), "the cut matters: {all:?}");
        all.swap_remove(0)
    }

    fn joined(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn an_echo_is_taken_away_and_the_answer_stays() {
        let (got, echoes) = heard(&ASK, &joined(&[&ASK, &ANSWER]));
        assert_eq!((got, echoes), (ANSWER.to_vec(), Echoes { exact: 1, garbled: 0, none: 0 }));
        let (got, echoes) = heard(&ASK, &ASK);
        assert_eq!((got, echoes.exact), (vec![], 1));
    }

    #[test]
    fn a_line_without_echo_loses_nothing() {
        let (got, echoes) = heard(&ASK, &ANSWER);
        assert_eq!((got, echoes), (ANSWER.to_vec(), Echoes { exact: 0, garbled: 0, none: 1 }));
        let (got, echoes) = heard(&ASK, &[]);
        assert_eq!((got, echoes.none), (vec![], 1));
    }

    #[test]
    fn a_garbled_echo_is_taken_away_too() {
        let garbled = Echoes { exact: 0, garbled: 1, none: 0 };
        let mut changed = ASK;
        changed[3] = 0xF0;
        let mut added = ASK.to_vec();
        added.insert(0, 0x00);
        let mut last = ASK;
        last[5] ^= 1;
        for echo in [&changed[..], &ASK[1..], &ASK[..5], &added, &last] {
            let (got, echoes) = heard(&ASK, &joined(&[echo, &ANSWER]));
            assert_eq!((got, echoes), (ANSWER.to_vec(), garbled), "{echo:02x?}");
        }
    }

    #[test]
    fn two_that_are_sent_one_after_the_other_come_back_in_order() {
        let clock = Clock::new();
        let (a, mut b) = memory::pair(clock, Some(230_400));
        let mut a = EchoOff::new(a, clock);
        a.send(&ASK).unwrap();
        a.send(&ANSWER).unwrap();
        b.send(&joined(&[&ASK, &ANSWER, &[1, 2, 3]])).unwrap();
        let mut buf = [0; 64];
        assert!(matches!(a.read(&mut buf, LONG).unwrap(), Event::Bytes { n: 3, .. }));
        assert_eq!(a.echoes().exact, 2);
    }

    #[test]
    fn what_can_be_no_echo_is_told_at_once() {
        let clock = Clock::new();
        let (a, mut b) = memory::pair(clock, Some(1));
        let mut a = EchoOff::new(a, clock);
        // At 1 baud the echo would take a minute.
        a.send(&ASK).unwrap();
        b.send(&ANSWER[2..8]).unwrap();
        let mut buf = [0; 64];
        assert!(matches!(a.read(&mut buf, LONG).unwrap(), Event::Bytes { n: 6, .. }));
    }

    #[test]
    fn an_echo_that_does_not_come_is_given_up_and_the_time_out_holds() {
        let clock = Clock::new();
        let (a, _b) = memory::pair(clock, Some(230_400));
        let mut a = EchoOff::new(a, clock);
        a.send(&ASK).unwrap();
        let mut buf = [0; 64];
        let began = clock.now();
        assert_eq!(a.read(&mut buf, Duration::from_millis(100)).unwrap(), Event::Idle);
        assert!(clock.now().since(began) >= 100 * Time::MILLISECOND);
        assert_eq!(a.echoes().none, 1);
        assert_eq!(a.read(&mut buf, Duration::ZERO).unwrap(), Event::Idle);
    }

    #[test]
    fn a_long_message_is_recognised() {
        let long: Vec<u8> = (0..2000_u32).map(|i| (i * 7 % 256) as u8).collect();
        assert_eq!(judge(&long, &long, false), Verdict::Echo(2000));
        let mut changed = long.clone();
        changed[100] ^= 0x55;
        assert_eq!(judge(&long, &changed, true), Verdict::Echo(2000));
        assert_eq!(judge(&long, &changed[..50], false), Verdict::Wait);
    }
}

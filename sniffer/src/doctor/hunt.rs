//! Looking for the speed of a bus: which one to listen at next, for how long, and when it is found.
//!
//! At the wrong speed a UART reads bytes all the same, only other ones. Frames have a CRC, so the
//! right speed is the one at which frames come out. Noise has frames too, if seldom: a given byte
//! begins one by chance once in 65,536 times (F7, and a CRC that fits; the other 1 % is LEN). So one
//! frame proves nothing, and neither does the same one again and again, since wrongly read polling
//! repeats itself.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use k485_proto::deframer::{Deframer, Span};
use k485_proto::dialect::Dialect;
use k485_proto::direction;
use k485_proto::frame::Frame;

/// The speeds that are tried, the likeliest first. 230,400 is in the printers' configuration;
/// 115,200 and 460,800 are in some; 125,000 and its multiples are CAN's.
pub const BAUDS: [u32; 12] = [
    230_400, 115_200, 460_800, 250_000, 500_000, 921_600, 1_000_000, 57_600, 38_400, 19_200, 9_600,
    125_000,
];
/// How long a speed is listened to: a little more than the period of the idle host's polls (1.1 s).
pub const DWELL: Duration = Duration::from_millis(1200);
/// How many different frames are told apart at a speed.
const DISTINCT: usize = 256;
/// A frame begins at a byte of noise by chance once in so many times.
const ONE_IN: f64 = 65_536.0;
/// The speed is sure when as many frames are less likely than this by chance.
const SURE: f64 = 1e-6;
/// It is likely below this.
const LIKELY: f64 = 1e-2;
/// How often in a row a speed is listened to while nothing is heard, or hardly anything but frames.
const PATIENCE: u32 = 3;

/// What to do next: listen at this speed for this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// The speed in baud.
    pub baud: u32,
    /// How long, unless [`BaudHunt::is_sure`] before.
    pub time: Duration,
}

/// What was heard at one speed.
#[derive(Debug, Clone, Default)]
pub struct Score {
    deframer: Deframer,
    distinct: HashSet<Vec<u8>>,
    /// Bytes.
    pub bytes: u64,
    /// Frames of a known device and function.
    pub frames: u64,
    /// The bytes of those.
    pub frame_bytes: u64,
}

/// A speed that was found, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Found {
    /// The speed in baud.
    pub baud: u32,
    /// Whether no more listening is needed.
    pub sure: bool,
    /// Frames of known devices and functions with a good CRC.
    pub frames: u64,
    /// How many of them differ.
    pub distinct: usize,
    /// The share of the bytes that are in frames, in per cent.
    pub share_percent: f64,
    /// How likely so many different frames are at most in as much noise, 0 to 1.
    pub chance: f64,
    /// The most frames at any other speed.
    pub next_frames: u64,
}

impl Score {
    fn push(&mut self, bytes: &[u8], dialect: &Dialect) {
        self.bytes += bytes.len() as u64;
        let mut rest = bytes;
        while let Some(span) = self.deframer.pull(&mut rest) {
            let Span::Frame { frame, .. } = span else { continue };
            if is_known(&frame, dialect) {
                self.frames += 1;
                self.frame_bytes += frame.raw().len() as u64;
                if self.distinct.len() < DISTINCT && !self.distinct.contains(frame.raw()) {
                    self.distinct.insert(frame.raw().to_vec());
                }
            }
        }
    }

    /// How many different frames there were, up to 256.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.distinct.len()
    }

    /// The share of the bytes that are in frames, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.bytes == 0 { 0.0 } else { self.frame_bytes as f64 / self.bytes as f64 }
    }

    /// How likely so many different frames are, at most, in as much noise.
    #[must_use]
    pub fn chance(&self) -> f64 {
        // For Poisson's distribution P(X >= k) <= m^k / k!.
        let mean = self.bytes as f64 / ONE_IN;
        let bound = (1..=self.distinct.len()).fold(1.0, |p, k| p * mean / k as f64);
        // With more frames expected by chance than there are, they say nothing.
        if mean >= self.distinct.len() as f64 { 1.0 } else { bound.min(1.0) }
    }

    fn is_sure(&self) -> bool {
        self.frames >= 3 && (self.chance() < SURE || self.share() >= 0.9)
    }

    fn is_likely(&self) -> bool {
        self.frames >= 2 && (self.chance() < LIKELY && (self.distinct() > 1 || self.share() >= 0.5))
    }
}

/// Whether a frame is one that the dialect knows: chance hits seldom are.
fn is_known(frame: &Frame<'_>, dialect: &Dialect) -> bool {
    !direction::is_implausible(frame, dialect) && dialect.find(frame.addr(), frame.func()).is_some()
}

/// The search. It is told what was heard and says what to do; time is the caller's business.
///
/// ```
/// use std::time::Duration;
/// use k485_proto::dialect::K2;
/// use k485_sniffer::doctor::hunt::BaudHunt;
///
/// let mut hunt = BaudHunt::new(230_400, Duration::from_millis(1200), &K2);
/// while let Some(next) = hunt.next_try() {
///     // Listen at `next.baud` for `next.time`, or until `hunt.is_sure()`:
///     let poll = [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c];
///     hunt.heard(next.baud, &poll.repeat(3));
/// }
/// assert_eq!(hunt.verdict().unwrap().baud, 230_400);
/// ```
#[derive(Debug, Clone)]
pub struct BaudHunt {
    dialect: &'static Dialect,
    dwell: Duration,
    order: Vec<u32>,
    /// Where in the order the present try is.
    at: usize,
    rounds: u32,
    /// How often in a row it was tried; 0 before the first time.
    tries: u32,
    scores: BTreeMap<u32, Score>,
}

impl BaudHunt {
    /// A search that begins at the speed that is expected, in baud, and stays `dwell` at each.
    #[must_use]
    pub fn new(expected: u32, dwell: Duration, dialect: &'static Dialect) -> BaudHunt {
        let others = BAUDS.into_iter().filter(|baud| *baud != expected);
        BaudHunt {
            dialect,
            dwell,
            order: std::iter::once(expected).chain(others).collect(),
            at: 0,
            rounds: 0,
            tries: 0,
            scores: BTreeMap::new(),
        }
    }

    /// Where to listen next; `None` once the speed is sure. It never ends by itself without: the
    /// caller decides when to give up.
    pub fn next_try(&mut self) -> Option<Try> {
        if self.is_sure() {
            return None;
        }
        // What is silent at one speed is so at all others: there may just be a pause. And where
        // most of what is heard is frames, a few more make it sure.
        let silent = self.scores.values().all(|score| score.bytes == 0);
        let here = self.order.get(self.at).and_then(|baud| self.scores.get(baud));
        let hopeful = here.is_some_and(|score| score.frames > 0 && score.share() >= 0.5);
        let stay = hopeful || (silent && self.rounds == 0 && self.at == 0);
        if self.tries > 0 && !(stay && self.tries < PATIENCE) {
            self.at += 1;
            self.tries = 0;
        }
        self.tries += 1;
        if self.at >= self.order.len() {
            self.rounds = self.rounds.saturating_add(1);
            self.at = 0;
            // Where frames were seen it is worth looking first.
            let scores = &self.scores;
            let frames = |baud: &u32| scores.get(baud).map_or(0, |score| score.frames);
            self.order.sort_by_key(|baud| std::cmp::Reverse(frames(baud)));
        }
        let baud = self.order[self.at];
        let score = self.scores.entry(baud).or_default();
        // The end of the last try is not the beginning of this one.
        score.deframer = Deframer::new();
        let again = score.frames > 0;
        Some(Try { baud, time: if again { self.dwell * 2 } else { self.dwell } })
    }

    /// Takes bytes that were heard at a speed. Once a speed is sure nothing more is counted.
    pub fn heard(&mut self, baud: u32, bytes: &[u8]) {
        if self.is_sure() {
            return;
        }
        self.scores.entry(baud).or_default().push(bytes, self.dialect);
    }

    /// Takes a speed out of the search: the port does not run at it.
    pub fn cannot(&mut self, baud: u32) {
        let place = self.order.iter().position(|other| *other == baud);
        // One has to be left to try.
        if let Some(place) = place.filter(|_| self.order.len() > 1) {
            self.order.remove(place);
            // The one behind it has taken its place, and comes next.
            match self.at.checked_sub(1) {
                Some(before) if place <= self.at => (self.at, self.tries) = (before, PATIENCE),
                None => self.tries = 0,
                _ => {}
            }
        }
    }

    /// Whether the speed is found beyond doubt.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.scores.values().any(Score::is_sure)
    }

    /// How often all speeds were tried.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// What was heard at each speed that was tried.
    pub fn scores(&self) -> impl Iterator<Item = (u32, &Score)> {
        self.scores.iter().map(|(baud, score)| (*baud, score))
    }

    /// The speed, where there is one that is sure or likely so far.
    #[must_use]
    pub fn verdict(&self) -> Option<Found> {
        let rank = |score: &Score| (score.is_sure(), score.distinct(), score.frames);
        let (baud, best) = self.scores().max_by_key(|(_, score)| rank(score))?;
        let others = self.scores().filter(|(other, _)| *other != baud);
        let next_frames = others.map(|(_, score)| score.frames).max().unwrap_or(0);
        let ahead = best.frames > 3 * next_frames;
        if !(best.is_sure() || best.is_likely() && ahead) {
            return None;
        }
        Some(Found {
            baud,
            sure: best.is_sure(),
            frames: best.frames,
            distinct: best.distinct(),
            share_percent: 100.0 * best.share(),
            chance: best.chance(),
            next_frames,
        })
    }
}

/// `8 frames, 5 of them different, in 97 % of the bytes; by chance less than once in 10^9`.
impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (frames, distinct, share) = (self.frames, self.distinct, self.share_percent);
        write!(f, "{frames} good frames, {distinct} different ones, in {share:.0} % of the bytes")?;
        match self.chance.log10() {
            // Rounded to the safe side; beyond some point nobody counts.
            magnitude if magnitude < -1.0 => {
                let digits = (-magnitude).floor().min(12.0);
                write!(f, "; noise does that less than once in 10^{digits} times")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;

//! Payloads in time, in bounded memory.
//!
//! A poll answers the same for hours, so what is kept is a *run*: one payload, how often it came
//! in a row, from when to when. A run belongs to one device and one request; the same reply to the
//! same question extends it. Beyond the caps a random part of the runs is kept (a reservoir, seeded,
//! so that the same input keeps the same runs) while lengths and byte values are counted on.

use std::collections::BTreeMap;

use k485_proto::record::Time;

/// How many runs a side keeps.
pub const RUNS: usize = 4_096;
/// How many bytes of payload (requests with replies) a side keeps.
pub const BYTES: usize = 1 << 18;
/// How many questions (device and request) have a run open at once.
const OPEN: usize = 64;
/// How many different bytes at different places are counted exactly. Beyond that a side counts none:
/// such payloads are hardly codes.
const CELLS: usize = 8_192;
/// How many different commands are counted between two reads.
const COMMANDS: usize = 256;
/// How many commands before one change are kept.
const BEFORE: usize = 16;

/// When something was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The exchange's number in the input.
    pub seq: u64,
    /// The time, where the capture tells it.
    pub time: Option<Time>,
}

/// A command in short: its function and the first bytes of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Command {
    /// The FUNC byte.
    pub func: u8,
    data: [u8; 4],
    len: u8,
}

impl Command {
    /// The command of a request.
    #[must_use]
    pub fn new(func: u8, data: &[u8]) -> Self {
        let mut kept = [0; 4];
        let len = data.len().min(4);
        kept[..len].copy_from_slice(&data[..len]);
        // At most 4.
        Command { func, data: kept, len: len as u8 }
    }

    /// The first bytes of its data, at most four.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data[..usize::from(self.len)]
    }
}

/// A payload as it comes in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload<'a> {
    pub(crate) input: u32,
    pub(crate) addr: u8,
    pub(crate) status: u8,
    /// The DATA of the request that it answers, where that was seen.
    pub(crate) asked: Option<&'a [u8]>,
    pub(crate) data: &'a [u8],
}

/// The same payload of one device to the same request, some times in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which input it came from: the same address is another device there.
    pub input: u32,
    /// The device.
    pub addr: u8,
    /// The STATUS.
    pub status: u8,
    /// The DATA of the request, for a reply whose request was seen.
    pub asked: Option<Box<[u8]>>,
    /// The DATA.
    pub data: Box<[u8]>,
    /// The first of the row.
    pub first: Stamp,
    /// The last of the row.
    pub last: Stamp,
    /// How many.
    pub count: u64,
    /// What else was sent to the device between the read before and the first of these; `None` for
    /// a device's first read.
    pub before: Option<Vec<Command>>,
}

impl Run {
    fn size(&self) -> usize {
        self.data.len() + self.asked.as_ref().map_or(0, |asked| asked.len())
    }

    /// The device, in its input.
    #[must_use]
    pub fn device(&self) -> (u32, u8) {
        (self.input, self.addr)
    }

    /// Question by question, each in the order of time.
    pub(crate) fn order(&self) -> impl Ord + '_ {
        (self.device(), &self.asked, self.first.seq)
    }

    fn repeats(&self, payload: &Payload<'_>) -> bool {
        self.status == payload.status && *self.data == *payload.data
    }
}

/// A question: a device (input and address) and the request's data.
type Question = (u32, u8, Option<Box<[u8]>>);

/// The payloads of one direction of one function.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// Payloads in all.
    pub(crate) count: u64,
    /// Payloads by length.
    pub(crate) lengths: BTreeMap<u8, u64>,
    /// Exact counts by length, column and byte; empty for good once there are too many.
    values: BTreeMap<(u8, u8, u8), u64>,
    uncounted: bool,
    open: BTreeMap<Question, Run>,
    closed: Vec<Run>,
    bytes: usize,
    /// Runs that ended so far.
    ended: u64,
    random: u64,
    /// Pairs of a read and the next of the same question, and how many of them had a command
    /// between.
    pub(crate) intervals: u64,
    pub(crate) between: BTreeMap<Command, u64>,
}

impl Side {
    /// Takes a payload. `recent` is what else was sent to the device, the latest first.
    pub(crate) fn push(
        &mut self,
        payload: Payload<'_>,
        stamp: Stamp,
        recent: impl Iterator<Item = (u64, Command)>,
    ) {
        self.count += 1;
        // LEN is one byte, so is the length of the data.
        let length = u8::try_from(payload.data.len()).unwrap_or(u8::MAX);
        *self.lengths.entry(length).or_default() += 1;
        self.tally(length, payload.data);
        let question = (payload.input, payload.addr, payload.asked.map(Box::from));
        let previous = self.open.get(&question).map(|run| run.last.seq);
        let before = previous.map(|seq| self.commands_since(seq, recent));
        if let Some(run) = self.open.get_mut(&question) {
            if run.repeats(&payload) {
                run.count += 1;
                run.last = stamp;
                return;
            }
        } else if self.open.len() == OPEN {
            let oldest = self.open.iter().min_by_key(|(_, run)| run.last.seq);
            if let Some(oldest) = oldest.map(|(question, _)| question.clone())
                && let Some(run) = self.open.remove(&oldest)
            {
                self.close(run);
            }
        }
        let run = Run {
            input: payload.input,
            addr: payload.addr,
            status: payload.status,
            asked: question.2.clone(),
            data: payload.data.into(),
            first: stamp,
            last: stamp,
            count: 1,
            before,
        };
        if let Some(ended) = self.open.insert(question, run) {
            self.close(ended);
        }
    }

    fn tally(&mut self, length: u8, data: &[u8]) {
        if self.uncounted {
            return;
        }
        for (column, byte) in (0..=u8::MAX).zip(data) {
            *self.values.entry((length, column, *byte)).or_default() += 1;
        }
        if self.values.len() > CELLS {
            self.values.clear();
            self.uncounted = true;
        }
    }

    /// The different commands after the exchange `seq`, and counts them.
    fn commands_since(
        &mut self,
        seq: u64,
        recent: impl Iterator<Item = (u64, Command)>,
    ) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        for (_, command) in recent.take_while(|(at, _)| *at > seq) {
            if commands.len() < BEFORE && !commands.contains(&command) {
                commands.push(command);
            }
        }
        self.intervals += 1;
        for command in &commands {
            if self.between.len() < COMMANDS || self.between.contains_key(command) {
                *self.between.entry(*command).or_default() += 1;
            }
        }
        commands
    }

    /// Puts a run that ended into the reservoir.
    fn close(&mut self, run: Run) {
        self.ended += 1;
        self.bytes += run.size();
        if self.closed.len() < RUNS && !self.is_full() {
            self.closed.push(run);
            return;
        }
        // The run comes in with the chance of the kept part, in the place of any other.
        let kept = self.closed.len().max(1) as u64;
        let place = self.next_random() % self.ended.max(kept);
        match usize::try_from(place).ok().and_then(|place| self.closed.get_mut(place)) {
            Some(old) => {
                self.bytes -= old.size();
                *old = run;
            }
            None => self.bytes -= run.size(),
        }
        while self.is_full() {
            let place = self.next_random() % self.closed.len() as u64;
            let dropped = self.closed.swap_remove(usize::try_from(place).unwrap_or(0));
            self.bytes -= dropped.size();
        }
    }

    fn is_full(&self) -> bool {
        self.bytes > BYTES && !self.closed.is_empty()
    }

    /// SplitMix64.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The runs that were kept, question by question, each in the order of time.
    pub(crate) fn runs(&self) -> Vec<&Run> {
        let mut runs: Vec<&Run> = self.closed.iter().chain(self.open.values()).collect();
        runs.sort_by(|a, b| a.order().cmp(&b.order()));
        runs
    }

    /// Whether runs were left out.
    pub(crate) fn is_thinned(&self) -> bool {
        self.ended > self.closed.len() as u64
    }

    /// Exact counts of a column's values over all payloads of a length, where they were counted.
    pub(crate) fn exact(&self, length: usize, column: usize) -> Option<BTreeMap<u8, u64>> {
        let (length, column) = (u8::try_from(length).ok()?, u8::try_from(column).ok()?);
        let cells = self.values.range((length, column, 0)..=(length, column, u8::MAX));
        let counts: BTreeMap<u8, u64> = cells.map(|((.., byte), n)| (*byte, *n)).collect();
        (!counts.is_empty()).then_some(counts)
    }
}

/// Whether two runs answer the same question of the same device.
pub(crate) fn same_question(a: &Run, b: &Run) -> bool {
    a.device() == b.device() && a.asked == b.asked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seq: u64) -> Stamp {
        Stamp { seq, time: None }
    }

    fn payload(data: &[u8]) -> Payload<'_> {
        Payload { input: 0, addr: 1, status: 0, asked: None, data }
    }

    #[test]
    fn repeats_make_one_run() {
        let mut side = Side::default();
        for (seq, byte) in [(1, 5), (2, 5), (3, 9), (4, 5)] {
            side.push(payload(&[byte]), stamp(seq), std::iter::empty());
        }
        let runs = side.runs();
        let counts: Vec<(u8, u64)> = runs.iter().map(|run| (run.data[0], run.count)).collect();
        assert_eq!(counts, [(5, 2), (9, 1), (5, 1)]);
        assert_eq!(side.exact(1, 0), Some(BTreeMap::from([(5, 3), (9, 1)])));
        assert_eq!((side.count, side.is_thinned()), (4, false));
    }

    #[test]
    fn memory_is_bounded_and_counts_stay_exact() {
        let mut side = Side::default();
        for seq in 0..20_000_u64 {
            let mut data = [0; 200];
            data[..8].copy_from_slice(&seq.to_le_bytes());
            side.push(payload(&data), stamp(seq), std::iter::empty());
        }
        let kept: usize = side.runs().iter().map(|run| run.size()).sum();
        assert!(kept <= BYTES + 200, "{kept}");
        assert!(side.is_thinned());
        assert_eq!(side.exact(200, 199), Some(BTreeMap::from([(0, 20_000)])));
        // The part that is kept comes from the whole input, not from one end.
        let late = side.runs().iter().filter(|run| run.first.seq >= 10_000).count();
        let share = late as f64 / side.runs().len() as f64;
        assert!((0.35..0.65).contains(&share), "{share}");
    }

    #[test]
    fn commands_between_reads_are_counted() {
        let mut side = Side::default();
        let set = Command::new(4, &[1, 0, 0, 0, 9]);
        assert_eq!(set.data(), [1, 0, 0, 0]);
        side.push(payload(&[0]), stamp(1), std::iter::empty());
        side.push(payload(&[0]), stamp(2), std::iter::empty());
        side.push(payload(&[2]), stamp(4), [(3, set), (1, Command::new(8, &[]))].into_iter());
        assert_eq!((side.intervals, side.between.get(&set)), (2, Some(&1)));
        assert_eq!(side.runs()[1].before, Some(vec![set]));
    }
}

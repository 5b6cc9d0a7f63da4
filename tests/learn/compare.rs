//! What a world answered against what was recorded, by function.

use std::collections::BTreeMap;
use std::fmt;

use k485_proto::frame::{Frame, Hex};
use k485_proto::record::Time;
use k485_sniffer::replay::Recorded;

use super::play::Pair;

/// How far a reading of 0A may be off: degrees and percent.
const READINGS: (i16, i16) = (1, 2);
/// How far an odometer may be off after what it turned, in mm: the buffer, the hub's beginning, and
/// a share of the way, since the host's latencies are not the bus's.
const WHEEL: (f64, f64) = (45.0, 0.1);

/// What came of one function.
#[derive(Default)]
struct Row {
    same: usize,
    all: usize,
    /// Answers that the first half does not determine.
    open: usize,
}

/// What came of all.
#[derive(Default)]
pub(crate) struct Tally {
    rows: BTreeMap<(u8, u8), Row>,
    differences: Vec<String>,
}

impl Tally {
    /// How many are the same, of how many that are determined.
    pub(crate) fn determined(&self) -> (usize, usize) {
        let sum = |of: fn(&Row) -> usize| self.rows.values().map(of).sum();
        (sum(|row| row.same), sum(|row| row.all))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut functions: BTreeMap<u8, (usize, usize, usize)> = BTreeMap::new();
        for ((_, func), row) in &self.rows {
            let sum = functions.entry(*func).or_default();
            *sum = (sum.0 + row.same, sum.1 + row.all, sum.2 + row.open);
        }
        for (func, (same, all, open)) in functions {
            write!(f, "  {func:02X}: {same} of {all}")?;
            if open > 0 {
                write!(f, ", {open} not determined")?;
            }
            writeln!(f)?;
        }
        self.differences.iter().try_for_each(|line| writeln!(f, "  differs: {line}"))
    }
}

/// Compares all pairs; `known` says which functions of which devices the first half showed.
pub(crate) fn compare(pairs: &[Pair], known: &BTreeMap<(u8, u8), usize>) -> Tally {
    let mut tally = Tally::default();
    // Odometers, recorded and live, by box.
    let mut wheels: BTreeMap<u8, (f64, f64)> = BTreeMap::new();
    for pair in pairs {
        let request = pair.step.frame();
        let (addr, func) = (request.addr().0, request.func());
        let row = tally.rows.entry((addr, func)).or_default();
        if matches!(pair.step.recorded, Recorded::NoneExpected | Recorded::Unknown) {
            row.open += 1;
            continue;
        }
        // A motor that the first half never asked may be there or not.
        let motor = (0x80..=0x88).contains(&addr);
        if motor && !known.keys().any(|(known, _)| *known == addr) {
            row.open += 1;
            continue;
        }
        // What a device is, such as its version, is not known where the first half never asked.
        let told_before = |func: u8| known.contains_key(&(addr, func));
        let identity = matches!(func, 0xa2 | 0xa3) && (told_before(0xa2) || told_before(0xa3));
        if matches!(func, 0xa2 | 0xa3 | 0x14 | 0x15) && !identity && !told_before(func) {
            row.open += 1;
            continue;
        }
        row.all += 1;
        match difference(pair, &mut wheels) {
            None => row.same += 1,
            Some(why) => {
                let s = pair.time.0 as f64 / Time::SECOND as f64;
                tally.differences.push(format!("{s:.3}s {} {why}", Hex(request.raw())));
            }
        }
    }
    tally
}

/// What differs in an answer, if anything that counts.
fn difference(pair: &Pair, wheels: &mut BTreeMap<u8, (f64, f64)>) -> Option<String> {
    let live = pair.reply.as_deref();
    let recorded = match &pair.step.recorded {
        Recorded::Reply(bytes) => Some(bytes.as_ref()),
        _ => None,
    };
    let (Some(live), Some(recorded)) = (live, recorded) else {
        let show = |bytes: Option<&[u8]>| bytes.map_or("silence".to_owned(), |b| Hex(b).to_string());
        return (live.is_some() != recorded.is_some())
            .then(|| format!("recorded {}, here {}", show(recorded), show(live)));
    };
    let request = pair.step.frame();
    let told = || format!("recorded {}, here {}", Hex(recorded), Hex(live));
    let (Ok(a), Ok(b)) = (Frame::from_bytes(recorded), Frame::from_bytes(live)) else {
        return Some(told());
    };
    if a.status() != b.status() || a.data().len() != b.data().len() {
        return Some(told());
    }
    let stage = request.data().get(1).copied();
    match (request.func(), stage) {
        (0x0a, _) if a.status().0 != 0x30 => {
            let off = |n: usize| {
                (i16::from(a.data()[n] as i8) - i16::from(b.data()[n] as i8)).abs()
            };
            let fits = off(0) <= READINGS.0 && off(1) <= READINGS.1 && a.data()[2..] == b.data()[2..];
            (!fits).then(told)
        }
        (0x0e, _) | (0x10, Some(5)) if a.data().len() == 4 => {
            let mm = |frame: &Frame<'_>| {
                let bytes = <[u8; 4]>::try_from(frame.data()).unwrap_or_default();
                f64::from(f32::from_be_bytes(bytes))
            };
            let now = (mm(&a), mm(&b));
            let before = wheels.insert(request.addr().0, now)?;
            let (recorded, live) = (now.0 - before.0, now.1 - before.1);
            let most = WHEEL.0 + recorded.abs() * WHEEL.1;
            let fits = (recorded - live).abs() <= most;
            (!fits).then(|| format!("recorded {recorded:+.1} mm, here {live:+.1} mm"))
        }
        _ => (a.raw() != b.raw()).then(told),
    }
}

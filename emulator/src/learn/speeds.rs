//! How long answers take.

use std::collections::BTreeMap;

use k485_proto::record::Time;

/// A byte's time at the bus's own speed, in nanoseconds.
const BYTE: i64 = 10 * Time::SECOND / 230_400;
/// The most that is kept of each function.
const KEPT: usize = 4_096;

/// Latencies by function, those of the wire and those of traced calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    wire: BTreeMap<u8, Vec<i64>>,
    calls: BTreeMap<u8, Vec<i64>>,
}

/// Functions that a device answers at once.
const AT_ONCE: [u8; 9] = [0xa2, 0xa3, 0x04, 0x05, 0x08, 0x0a, 0x0e, 0x0f, 0x14];

impl Latencies {
    /// Adds one: to a reply's last byte, of so many.
    pub(crate) fn add(&mut self, func: u8, ns: i64, wire: bool, bytes: usize) {
        let of = if wire { &mut self.wire } else { &mut self.calls };
        let kept = of.entry(func).or_default();
        if kept.len() < KEPT {
            let own = if wire { bytes as i64 * BYTE } else { 0 };
            kept.push((ns - own).max(0));
        }
    }

    /// From a request to the first byte of its reply, by function, as seen on the wire.
    pub(crate) fn turnarounds(&self) -> BTreeMap<u8, i64> {
        let at_once = self.wire.iter().filter(|(func, _)| AT_ONCE.contains(func));
        at_once.map(|(func, kept)| (*func, median(kept))).collect()
    }

    /// The medians of traced calls, by function.
    pub(crate) fn calls(&self) -> BTreeMap<u8, i64> {
        self.calls.iter().map(|(func, kept)| (*func, median(kept))).collect()
    }
}

/// The middle one; 0 of none.
pub(crate) fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

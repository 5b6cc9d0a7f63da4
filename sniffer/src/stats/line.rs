//! How busy a bus is: the bytes that its wires carried in a time.

use k485_proto::record::{Origin, Record, Time};

/// Bits on the wire for each byte: a start bit, 8 data bits, a stop bit.
const BITS: f64 = 10.0;
/// A record may be told so much behind later ones (it waited for more bytes) without being taken
/// for the beginning of another timeline.
const SLACK: i64 = Time::SECOND;

/// The bytes of one bus over time. It knows the load only where every byte was seen on the wire,
/// with its time: neither bare frames nor traced calls, which hide transmissions.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    /// Bytes were on the wire that no record has, or nobody knows when.
    hidden: bool,
    bytes: u64,
    nanos: i64,
    /// The most bytes in a whole second.
    peak: Option<u64>,
    stretch: Option<Stretch>,
}

/// A stretch of one clock.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    first: Time,
    last: Time,
    /// The second since the first record, and its bytes.
    second: i64,
    in_second: u64,
}

impl Line {
    /// Takes a record's bytes, which were on the wire before its time.
    pub(super) fn add(&mut self, record: &Record) {
        let (Origin::Wire, None, Some(time)) = (record.origin, record.call, record.time) else {
            self.hidden = true;
            return;
        };
        if self.stretch.is_some_and(|stretch| stretch.last.since(time) > SLACK) {
            self.cut();
        }
        let Some(stretch) = &mut self.stretch else {
            // Its own bytes came before the stretch begins.
            self.stretch = Some(Stretch { first: time, last: time, second: 0, in_second: 0 });
            return;
        };
        let size = record.bytes.len() as u64;
        self.bytes += size;
        stretch.last = stretch.last.max(time);
        let second = time.since(stretch.first) / Time::SECOND;
        if second > stretch.second {
            self.peak = self.peak.max(Some(stretch.in_second));
            (stretch.second, stretch.in_second) = (second, 0);
        }
        stretch.in_second += size;
    }

    /// Ends the stretch: the next record begins another timeline.
    pub(super) fn cut(&mut self) {
        if let Some(stretch) = self.stretch.take() {
            self.nanos = self.nanos.saturating_add(stretch.last.since(stretch.first));
            // A capture of less than a second has no busiest second.
            if stretch.second > 0 {
                self.peak = self.peak.max(Some(stretch.in_second));
            }
        }
    }

    /// The load in per cent of what the wires can carry, over all stretches that are cut.
    pub(super) fn load_percent(&self, baud: u32) -> Option<f64> {
        (self.nanos > 0).then(|| self.percent(self.bytes, self.nanos, baud)).flatten()
    }

    /// The load of the busiest second; seconds are counted from the first record.
    pub(super) fn peak_percent(&self, baud: u32) -> Option<f64> {
        self.percent(self.peak?, Time::SECOND, baud)
    }

    fn percent(&self, bytes: u64, nanos: i64, baud: u32) -> Option<f64> {
        let seconds = nanos as f64 / Time::SECOND as f64;
        let percent = 100.0 * bytes as f64 * BITS / f64::from(baud) / seconds;
        (!self.hidden && percent.is_finite()).then_some(percent)
    }
}

//! What the figures are told as: one value, which serializes to the JSON of `docs/questions.md`.

use std::cmp::Reverse;
use std::sync::Arc;

use k485_proto::record::Time;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The version of the JSON, in it as `v`.
pub const VERSION: u32 = 1;

/// The figures of one or several captures. `None` is what the source cannot tell.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `stats`.
    pub r#type: &'static str,
    /// [`VERSION`].
    pub v: u32,
    /// The earliest time of any record.
    #[serde(rename = "first_time", serialize_with = "time")]
    pub first: Option<Time>,
    /// The latest time of any record.
    #[serde(rename = "last_time", serialize_with = "time")]
    pub last: Option<Time>,
    /// From the first to the last record of each capture, summed, in nanoseconds.
    #[serde(rename = "duration_s", serialize_with = "seconds")]
    pub duration_ns: Option<i64>,
    /// The baud rate that the load is computed for.
    pub baud: u32,
    /// Whether there is more than one bus.
    #[serde(skip)]
    pub several_buses: bool,
    /// Sums over everything.
    pub totals: Totals,
    /// The buses, in the order in which they were seen first.
    pub buses: Vec<Bus>,
    /// A row for each device and function.
    pub functions: Vec<Function>,
    /// What is beyond the bound on rows.
    pub other: Option<Function>,
    /// Addresses that were asked, and from which nothing was heard.
    pub never_answered: Vec<NeverAnswered>,
    /// Addresses that are probably damaged.
    pub implausible: Vec<Implausible>,
}

/// Sums over everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Frames.
    pub frames: u64,
    /// Frames to a device.
    pub requests: u64,
    /// Frames from a device.
    pub responses: u64,
    /// Frames whose direction is not known.
    pub unknown_direction: u64,
    /// Frames whose address is probably damaged.
    pub implausible: u64,
    /// Bytes of frames, as the source gives them.
    pub frame_bytes: u64,
    /// Exchanges, complete or not.
    pub exchanges: u64,
    /// Traced calls that returned nothing and whose beginning is not in the trace: of these neither
    /// the device nor the function is known.
    pub returns_without_call: u64,
    /// Stretches of noise.
    pub noise_places: u64,
    /// Bytes of noise.
    pub noise_bytes: u64,
    /// Places where bytes are missing.
    pub gaps: u64,
    /// How long nothing was heard in them, in nanoseconds, as far as that is known.
    #[serde(rename = "gap_s", serialize_with = "seconds")]
    pub gap_ns: Option<i64>,
    /// How many bytes were lost in them, as far as they were counted.
    pub lost_bytes: Option<u64>,
    /// Requests that were left out of the periods, since there were too many different ones.
    pub requests_not_followed: u64,
}

/// One bus.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bus {
    /// Its name; empty where the source names none.
    #[serde(rename = "bus")]
    pub name: Arc<str>,
    /// Frames.
    pub frames: u64,
    /// Places where bytes are missing.
    pub gaps: u64,
    /// How much of the time its wires were in use.
    pub load_percent: Option<f64>,
    /// The same of the busiest second.
    pub peak_load_percent: Option<f64>,
    /// Noise, by reason.
    pub noise: Vec<Noise>,
}

/// Noise of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Noise {
    /// The reason's name.
    pub reason: &'static str,
    /// Stretches.
    pub places: u64,
    /// Bytes.
    pub bytes: u64,
}

/// One function of one device.
#[derive(Debug, Clone, Serialize)]
pub struct Function {
    /// The bus.
    pub bus: Arc<str>,
    /// The ADDR byte; `None` in the row for all others.
    pub addr: Option<u8>,
    /// The device's name.
    pub device: String,
    /// The FUNC byte; `None` in the row for all others.
    pub func: Option<u8>,
    /// The function's name, where it is declared.
    pub function: Option<&'static str>,
    /// Whether the host calls it again and again while nothing happens (A1, A2, A3, 0A of boxes).
    pub polled: bool,
    /// Exchanges: the sum of the next five.
    pub exchanges: u64,
    /// The reply came in time.
    pub answered: u64,
    /// It did not.
    pub timeouts: u64,
    /// Nobody answers such a request.
    pub no_reply_expected: u64,
    /// A reply whose request is not in the capture.
    pub request_not_seen: u64,
    /// The capture ended before.
    pub unfinished: u64,
    /// Replies after the time-out (those exchanges are among the time-outs).
    pub late: u64,
    /// Replies that nobody asked for.
    pub unsolicited: u64,
    /// Frames whose direction is not known, which are in no exchange.
    pub unknown_direction: u64,
    /// Replies whose STATUS is not OK.
    pub errors: u64,
    /// The same by STATUS.
    pub statuses: Vec<StatusCount>,
    /// How often a request was sent again; `None` where the source hides that.
    pub retries: Option<u64>,
    /// From a request's last transmission to its reply.
    pub latency: Option<Latency>,
    /// From a request to the next one with the same data.
    pub period: Option<Period>,
}

/// Replies of one STATUS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusCount {
    /// The STATUS byte.
    pub status: u8,
    /// Its name.
    pub name: String,
    /// Replies.
    pub count: u64,
}

/// How latencies are spread, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// `wire`; `call`: with queueing and retries; `mixed`: captures of both kinds were counted.
    pub source: &'static str,
    /// How many there are.
    pub count: u64,
    /// The least.
    #[serde(rename = "min_ms", serialize_with = "milliseconds")]
    pub min_ns: i64,
    /// The median.
    #[serde(rename = "median_ms", serialize_with = "milliseconds")]
    pub median_ns: i64,
    /// 95 of 100 are not above it.
    #[serde(rename = "p95_ms", serialize_with = "milliseconds")]
    pub p95_ns: i64,
    /// The most.
    #[serde(rename = "max_ms", serialize_with = "milliseconds")]
    pub max_ns: i64,
}

/// How the distances between like requests are spread, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Period {
    /// How many distances there are.
    pub count: u64,
    /// One of ten is not above it.
    #[serde(rename = "p10_s", serialize_with = "some_seconds")]
    pub p10_ns: i64,
    /// The median.
    #[serde(rename = "median_s", serialize_with = "some_seconds")]
    pub median_ns: i64,
    /// Nine of ten are not above it.
    #[serde(rename = "p90_s", serialize_with = "some_seconds")]
    pub p90_ns: i64,
    /// Whether this is polling: five distances or more, `p10` at least half of the median and `p90`
    /// at most half as much again.
    pub steady: bool,
}

/// An address from which nothing was heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NeverAnswered {
    /// The bus.
    pub bus: Arc<str>,
    /// The ADDR byte.
    pub addr: u8,
    /// The device's name.
    pub device: String,
    /// Requests that a reply was awaited to, retries not counted.
    pub asked: u64,
}

/// An address that is probably damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Implausible {
    /// The bus.
    pub bus: Arc<str>,
    /// The ADDR byte.
    pub addr: u8,
    /// Frames with it.
    pub frames: u64,
}

/// An order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The most exchanges first.
    Count,
    /// By bus, address and function.
    Name,
    /// The largest median first, unknown ones last.
    Latency,
    /// The most replies that are not OK, and time-outs, first.
    Errors,
}

impl Report {
    /// Puts the rows in an order; equal ones by bus, address and function.
    pub fn sort(&mut self, order: Order) {
        let bus_at = |bus: &Arc<str>| self.buses.iter().position(|known| known.name == *bus);
        self.functions.sort_by_cached_key(|row| {
            let figure = match order {
                Order::Count => row.exchanges.saturating_add(row.unknown_direction),
                Order::Name => 0,
                Order::Latency => row.latency.as_ref().map_or(0, |latency| {
                    u64::try_from(latency.median_ns).unwrap_or(0).saturating_add(1)
                }),
                Order::Errors => row.errors.saturating_add(row.timeouts),
            };
            (Reverse(figure), bus_at(&row.bus), row.addr, row.func)
        });
    }
}

/// A number's own decimal text, so that no float rounds it: `places` digits behind the point.
pub(crate) fn decimal(number: i64, places: u32) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let (size, unit) = (number.unsigned_abs(), 10_u64.pow(places));
    format!("{sign}{}.{:0width$}", size / unit, size % unit, width = places as usize)
}

fn raw<S: Serializer>(text: String, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

/// Decimal seconds with nine digits, or null.
pub(crate) fn time<S: Serializer>(time: &Option<Time>, to: S) -> Result<S::Ok, S::Error> {
    seconds(&time.map(|time| time.0), to)
}

fn seconds<S: Serializer>(nanos: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match nanos {
        Some(nanos) => some_seconds(nanos, serializer),
        None => serializer.serialize_none(),
    }
}

pub(crate) fn some_seconds<S: Serializer>(nanos: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    raw(decimal(*nanos, 9), serializer)
}

pub(crate) fn milliseconds<S: Serializer>(nanos: &i64, to: S) -> Result<S::Ok, S::Error> {
    raw(decimal(*nanos, 6), to)
}

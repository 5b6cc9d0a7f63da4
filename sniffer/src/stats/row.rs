//! The figures of one function of one device.

use std::collections::BTreeMap;
use std::sync::Arc;

use k485_proto::exchange::{Exchange, LatencySource, Observed, Outcome};
use k485_proto::message::{addressing, boxes};
use k485_proto::status::Status;

use super::report::{Function, Latency, Period, StatusCount};
use super::spread::Spread;

/// How many distances a period needs at least.
const STEADY_COUNT: u64 = 5;

/// Which row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) bus: u16,
    pub(crate) addr: u8,
    pub(crate) func: u8,
}

impl Key {
    /// The row of a frame on the bus with this number (below 65,536).
    pub(crate) fn of(bus: usize, subject: &Observed) -> Key {
        let frame = subject.frame();
        Key {
            bus: u16::try_from(bus).unwrap_or(u16::MAX),
            addr: frame.addr().0,
            func: frame.func(),
        }
    }
}

/// Whether a frame is of a function that the host calls again and again while nothing happens:
/// A1, A2, A3 on any address, 0A of boxes (captures).
pub(crate) fn is_polled(subject: &Observed) -> bool {
    let polls = [
        &addressing::get_slave_info::FUNCTION,
        &addressing::online_check::FUNCTION,
        &addressing::get_addr_table::FUNCTION,
        &boxes::get_box_state::FUNCTION,
    ];
    let frame = subject.frame();
    subject.dialect.find(frame.addr(), frame.func()).is_some_and(|found| polls.contains(&found))
}

/// The figures of one function of one device, or of everything beyond the bound.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    device: String,
    function: Option<&'static str>,
    polled: bool,
    answered: u64,
    timeouts: u64,
    no_reply_expected: u64,
    request_not_seen: u64,
    unfinished: u64,
    late: u64,
    unsolicited: u64,
    unknown_direction: u64,
    errors: u64,
    /// Replies by STATUS, without those that are OK.
    statuses: BTreeMap<u8, (String, u64)>,
    retries: u64,
    /// Whether the source hides retries, as traced calls do.
    hidden_retries: bool,
    latency: Spread,
    by_wire: bool,
    by_call: bool,
    period: Spread,
}

impl Row {
    pub(crate) fn new(subject: &Observed) -> Row {
        let frame = subject.frame();
        Row {
            device: subject.dialect.device(frame.addr()).into_owned(),
            function: subject.dialect.find(frame.addr(), frame.func()).map(|found| found.name),
            polled: is_polled(subject),
            ..Row::default()
        }
    }

    pub(crate) fn push(&mut self, exchange: &Exchange) {
        let late = exchange.outcome == Outcome::Unsolicited && exchange.request.is_some();
        *match exchange.outcome {
            Outcome::Answered => &mut self.answered,
            Outcome::Timeout => &mut self.timeouts,
            Outcome::NoReplyExpected => &mut self.no_reply_expected,
            Outcome::Unsolicited if late => &mut self.late,
            Outcome::Unsolicited => &mut self.unsolicited,
            Outcome::RequestNotSeen => &mut self.request_not_seen,
            Outcome::Unfinished => &mut self.unfinished,
        } += 1;
        // What a late reply's request needed was counted when it timed out.
        if exchange.request.is_some() && !late {
            self.hidden_retries |= exchange.attempts.is_none();
            self.retries += u64::from(exchange.attempts.unwrap_or(1).saturating_sub(1));
        }
        if let Some(response) = &exchange.response {
            self.reply(response);
        }
        if let (Outcome::Answered, Some(latency)) = (exchange.outcome, exchange.latency_ns) {
            self.latency.add(latency);
            self.by_wire |= exchange.latency_source == Some(LatencySource::Wire);
            self.by_call |= exchange.latency_source == Some(LatencySource::Call);
        }
    }

    fn reply(&mut self, response: &Observed) {
        let status = response.frame().status();
        if status == Status::OK {
            return;
        }
        self.errors += 1;
        let name = || (response.dialect.status_name(status).into_owned(), 0);
        self.statuses.entry(status.0).or_insert_with(name).1 += 1;
    }

    /// A frame that belongs to no exchange.
    pub(crate) fn lone(&mut self) {
        self.unknown_direction += 1;
    }

    /// The same was asked so many nanoseconds after the last time.
    pub(crate) fn period(&mut self, nanos: i64) {
        self.period.add(nanos);
    }

    /// Exchanges, replies that nobody waited for, and frames that belong to none.
    pub(crate) fn count(&self) -> u64 {
        self.exchanges() + self.late + self.unsolicited + self.unknown_direction
    }

    /// Exchanges.
    pub(crate) fn exchanges(&self) -> u64 {
        self.answered
            + self.timeouts
            + self.no_reply_expected
            + self.request_not_seen
            + self.unfinished
    }

    /// The row of a report; without a key it is the one for all others.
    pub(crate) fn report(&self, bus: Arc<str>, key: Option<&Key>) -> Function {
        let statuses = self.statuses.iter().map(|(status, (name, count))| StatusCount {
            status: *status,
            name: name.clone(),
            count: *count,
        });
        Function {
            bus,
            addr: key.map(|key| key.addr),
            device: self.device.clone(),
            func: key.map(|key| key.func),
            function: self.function,
            polled: self.polled,
            exchanges: self.exchanges(),
            answered: self.answered,
            timeouts: self.timeouts,
            no_reply_expected: self.no_reply_expected,
            request_not_seen: self.request_not_seen,
            unfinished: self.unfinished,
            late: self.late,
            unsolicited: self.unsolicited,
            unknown_direction: self.unknown_direction,
            errors: self.errors,
            statuses: statuses.collect(),
            retries: (!self.hidden_retries).then_some(self.retries),
            latency: self.latency_report(),
            period: self.period_report(),
        }
    }

    fn latency_report(&self) -> Option<Latency> {
        let latency = &self.latency;
        Some(Latency {
            source: match (self.by_wire, self.by_call) {
                (true, false) => "wire",
                (false, true) => "call",
                _ => "mixed",
            },
            count: latency.count(),
            min_ns: latency.min()?,
            median_ns: latency.median()?,
            p95_ns: latency.percentile(95)?,
            max_ns: latency.max()?,
        })
    }

    fn period_report(&self) -> Option<Period> {
        let period = &self.period;
        let (p10, median, p90) = (period.percentile(10)?, period.median()?, period.percentile(90)?);
        // Nine of ten are no more than half as long again as the median, and no less than half of
        // it.
        let close = p10 >= median / 2 && p90 <= median.saturating_add(median / 2);
        Some(Period {
            count: period.count(),
            p10_ns: p10,
            median_ns: median,
            p90_ns: p90,
            steady: period.count() >= STEADY_COUNT && median > 0 && close,
        })
    }
}

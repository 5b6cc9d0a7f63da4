//! `--since` and `--until`: which part of a capture's time is wanted.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;
use k485_proto::exchange::Seen;
use k485_proto::record::Time;

use crate::length;

/// Before this (the year 2000) a time counts from an origin that nobody told.
const EPOCH: i64 = 946_684_800 * Time::SECOND;
/// A day, in nanoseconds.
const DAY: i64 = 86_400 * Time::SECOND;
/// A moment, as a person says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// So many nanoseconds behind the capture's first time.
    After(i64),
    /// A time of the capture's first day, in local time.
    Clock(civil::Time),
    /// A day and a time of it, in local time.
    Local(civil::DateTime),
    /// A time with its offset from UTC, or seconds on the capture's own clock.
    At(Time),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(nanos) = length::nanos(text) {
            return Ok(Moment::After(nanos));
        }
        if let Some(nanos) = k485_trace::decimal::scaled(text, 9) {
            return Ok(Moment::At(Time(nanos)));
        }
        if let Ok(stamp) = text.parse::<Timestamp>() {
            return match i64::try_from(stamp.as_nanosecond()) {
                Ok(nanos) => Ok(Moment::At(Time(nanos))),
                Err(_) => Err("no capture is from that year".to_owned()),
            };
        }
        // jiff takes the time out of a longer text as well.
        if text.contains(':')
            && !text.contains('-')
            && let Ok(time) = text.parse()
        {
            return Ok(Moment::Clock(time));
        }
        match text.parse() {
            Ok(local) if text.contains('-') => Ok(Moment::Local(local)),
            _ => Err("write a time from the capture's start (10s, 1m30s), a time of its day \
                      (18:55:50), a day and time (2026-01-01T18:55:50, with Z or +01:00 for \
                      another zone than yours), or Unix seconds (1767293742.5)"
                .to_owned()),
        }
    }
}

/// The wanted part of one capture; its bounds are known when its first time is.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    since: Option<Moment>,
    until: Option<Moment>,
    /// The capture's first and last time so far.
    span: Option<(Time, Time)>,
    from: Option<Time>,
    to: Option<Time>,
    /// What had no time and so was left out.
    untimed: u64,
    shown: u64,
}

impl Window {
    pub(crate) fn new(since: Option<Moment>, until: Option<Moment>) -> Self {
        Window { since, until, span: None, from: None, to: None, untimed: 0, shown: 0 }
    }

    /// Takes note of a record's time. Says what is odd about the bounds, once.
    pub(crate) fn pass(&mut self, time: Option<Time>) -> Option<String> {
        let now = time?;
        if let Some((first, last)) = self.span {
            self.span = Some((first.min(now), last.max(now)));
            return None;
        }
        self.span = Some((now, now));
        self.from = self.since.map(|moment| moment.at(now));
        self.to = self.until.map(|moment| match (self.since, moment) {
            // From 23:50 to 00:10 goes over midnight.
            (Some(Moment::Clock(since)), Moment::Clock(until)) if until < since => {
                Time(moment.at(now).0.saturating_add(DAY))
            }
            _ => moment.at(now),
        });
        let odd = |moment: Option<Moment>| match moment {
            Some(Moment::At(Time(nanos))) => nanos < EPOCH && now.0 >= EPOCH,
            _ => false,
        };
        (odd(self.since) || odd(self.until)).then(|| {
            "a plain number is Unix seconds, and this one is from before the year 2000: for \
             seconds from the capture's start write 10s"
                .to_owned()
        })
    }

    /// Whether something is in the window; what has no time is in none.
    pub(crate) fn holds(&mut self, seen: &Seen) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let time = match seen {
            Seen::Frame(frame) | Seen::Lone(frame) => frame.record.time,
            Seen::Noise(record) | Seen::Gap(record) => record.time,
            Seen::Exchange(exchange) => exchange.time,
        };
        let Some(time) = time else {
            self.untimed += 1;
            return false;
        };
        let inside =
            self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to);
        self.shown += u64::from(inside);
        inside
    }

    /// What to say when the capture is over: that something had no time, or that nothing was in
    /// the window.
    pub(crate) fn verdict(&self) -> Option<String> {
        if self.untimed > 0 {
            let all =
                if self.span.is_none() { "it has no times" } else { "part of it has no time" };
            return Some(format!("{all}; --since and --until leave out what has none"));
        }
        let (first, last) = self.span.filter(|_| self.shown == 0)?;
        let is_used = self.since.is_some() || self.until.is_some();
        is_used.then(|| {
            let (first, last) = (local(first), local(last));
            format!("nothing is between --since and --until: it goes from {first} to {last}")
        })
    }
}

impl Moment {
    /// The time that is meant in a capture which begins at `first`.
    fn at(self, first: Time) -> Time {
        let zone = TimeZone::system();
        let local = |time: civil::DateTime| {
            let zoned = time.to_zoned(zone.clone()).ok();
            zoned.and_then(|zoned| i64::try_from(zoned.timestamp().as_nanosecond()).ok())
        };
        match self {
            Moment::At(time) => time,
            Moment::After(nanos) => Time(first.0.saturating_add(nanos)),
            // jiff's times lie within ±10000 years, 64 bits of nanoseconds within ±292.
            Moment::Local(time) => Time(local(time).unwrap_or(i64::MAX)),
            Moment::Clock(time) => {
                let day = Timestamp::from_nanosecond(i128::from(first.0)).ok();
                let day = day.map(|stamp| stamp.to_zoned(zone.clone()).date());
                Time(day.and_then(|day| local(day.to_datetime(time))).unwrap_or(i64::MAX))
            }
        }
    }
}

/// A time as the wall clock shows it; as seconds where the clock's origin is not known.
fn local(time: Time) -> String {
    match Timestamp::from_nanosecond(i128::from(time.0)) {
        Ok(stamp) if time.0 >= EPOCH => {
            stamp.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
        }
        _ => time.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        text.parse().unwrap()
    }

    #[test]
    fn spellings() {
        for (text, expected) in [
            ("10s", Moment::After(10 * Time::SECOND)),
            ("1m30s", Moment::After(90 * Time::SECOND)),
            ("1.5h", Moment::After(5_400 * Time::SECOND)),
            ("250ms", Moment::After(250 * Time::MILLISECOND)),
            ("0s", Moment::After(0)),
            ("1767293742.5", Moment::At(Time(1_767_293_742_500_000_000))),
            ("12", Moment::At(Time(12 * Time::SECOND))),
            ("2026-01-01T18:55:42.5Z", Moment::At(Time(1_767_293_742_500_000_000))),
            ("2026-01-01T19:55:42.5+01:00", Moment::At(Time(1_767_293_742_500_000_000))),
            ("18:55", Moment::Clock(civil::time(18, 55, 0, 0))),
            ("18:55:42.25", Moment::Clock(civil::time(18, 55, 42, 250_000_000))),
            ("2026-01-01T18:55:42", Moment::Local(civil::datetime(2026, 1, 1, 18, 55, 42, 0))),
            ("2026-01-01 18:55:42", Moment::Local(civil::datetime(2026, 1, 1, 18, 55, 42, 0))),
            ("2026-01-01", Moment::Local(civil::datetime(2026, 1, 1, 0, 0, 0, 0))),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "s", "10", "10 s", "1s30", "25:00", "noon", "1x", "-", ".", "1..2s"] {
            let parsed = text.parse::<Moment>();
            assert!(text == "10" || parsed.is_err(), "{text}: {parsed:?}");
        }
    }

    #[test]
    fn the_bounds_are_the_captures() {
        let first = Time(1_767_293_742 * Time::SECOND);
        assert_eq!(moment("1m").at(first).since(first), 60 * Time::SECOND);
        assert_eq!(moment("5").at(first), Time(5 * Time::SECOND));
        let mut window = Window::new(Some(moment("23:50")), Some(moment("00:10")));
        assert_eq!(window.pass(Some(first)), None);
        let bounds = window.from.zip(window.to).map(|(from, to)| to.since(from));
        assert_eq!(bounds, Some(20 * 60 * Time::SECOND));
        let mut window = Window::new(None, Some(moment("5")));
        assert!(window.pass(Some(first)).is_some_and(|said| said.contains("write 10s")));
        assert_eq!(window.pass(Some(first)), None);
        assert_eq!(window.to, Some(Time(5 * Time::SECOND)));
    }
}

//! Times as the tools of others write them.
//!
//! | text | is |
//! | --- | --- |
//! | `2026-05-20T01:38:45.1Z`, `2026/05/20 01:38:45,1`, `20.05.2026 01:38:45` | a date and a time of day, with an offset from UTC or without: then it is taken for UTC |
//! | `01:38:45.1` | a time of day; from midnight on |
//! | `1779241125.5`, `0.002` | seconds |
//! | `1779241125500` | milliseconds, micro- or nanoseconds since 1970, by its size |
//!
//! `/` and `-` may stand for the points of a date. Of a day and a month that could be either the
//! day comes first.

use jiff::civil::{Date, date};
use k485_proto::record::Time;

use crate::format::seconds;

/// A day in nanoseconds.
const DAY: i64 = 24 * 60 * 60 * Time::SECOND;

/// Reads times; those of a day go on behind midnight.
#[derive(Debug, Default, Clone)]
pub(super) struct Clock {
    /// The last time of day, and the days before it.
    last: Option<(i64, i64)>,
}

impl Clock {
    /// The time that a text is.
    pub(super) fn read(&mut self, text: &str) -> Option<Time> {
        let text = text.trim();
        match parse(text)? {
            Moment::At(time) => Some(time),
            Moment::OfDay(nanos) => {
                let days = match self.last {
                    // Back by more than half a day is the next day.
                    Some((last, days)) if last - nanos > DAY / 2 => days.saturating_add(1),
                    Some((_, days)) => days,
                    None => 0,
                };
                self.last = Some((nanos, days));
                Some(Time(days.saturating_mul(DAY).saturating_add(nanos)))
            }
        }
    }

    /// Whether a text could be one of these, and is not just a number that could be anything.
    pub(super) fn is_time(text: &str) -> bool {
        let text = text.trim();
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        (!is_number || (13..=19).contains(&text.len())) && parse(text).is_some()
    }
}

enum Moment {
    At(Time),
    /// Nanoseconds since midnight.
    OfDay(i64),
}

fn parse(text: &str) -> Option<Moment> {
    // A time is short; what is longer is something else.
    if text.len() > 40 || !text.is_ascii() {
        return None;
    }
    if !text.contains(':') {
        return number(text).map(Moment::At);
    }
    let (text, offset) = zone(text)?;
    match text.find(['T', ' ']) {
        None => of_day(text).map(Moment::OfDay),
        Some(at) => {
            let day = calendar(&text[..at])?;
            let nanos = of_day(text[at + 1..].trim_start())?;
            let since = i64::from(days(day));
            let nanos = since.checked_mul(DAY)?.checked_add(nanos)?.checked_sub(offset)?;
            Some(Moment::At(Time(nanos)))
        }
    }
}

/// Seconds, or a whole number of parts of a second that is too large for them.
fn number(text: &str) -> Option<Time> {
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit());
    match (is_whole, text.len()) {
        (true, 13) => seconds::parse(&format!("{text}e-3")),
        (true, 16) => seconds::parse(&format!("{text}e-6")),
        (true, 19) => seconds::parse(&format!("{text}e-9")),
        _ => seconds::parse(text),
    }
}

/// What is before an offset from UTC, and the offset in nanoseconds; without one it is 0.
fn zone(text: &str) -> Option<(&str, i64)> {
    if let Some(rest) = text.strip_suffix(['Z', 'z']) {
        return Some((rest.trim_end(), 0));
    }
    // Behind the time: a date has `-` too.
    let colon = text.find(':')?;
    let Some(at) = text[colon..].find(['+', '-']).map(|at| at + colon) else {
        return Some((text, 0));
    };
    let sign = if text.as_bytes()[at] == b'-' { -1 } else { 1 };
    let digits: String = text[at + 1..].chars().filter(|char| *char != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (digits.parse::<i64>().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse::<i64>().ok()?),
        _ => return None,
    };
    let seconds = (hours * 60 + minutes) * 60;
    Some((text[..at].trim_end(), sign * seconds * Time::SECOND))
}

/// `01:38:45`, with a fraction behind a point or a comma.
fn of_day(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let mut part = || parts.next().filter(|part| part.len() <= 2 && is_digits(part));
    let (hours, minutes): (i64, i64) = (part()?.parse().ok()?, part()?.parse().ok()?);
    let rest = parts.next()?.replace(',', ".");
    let whole = rest.split('.').next().filter(|whole| whole.len() == 2)?;
    if !is_digits(whole) || hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = seconds::parse(&rest).filter(|time| (0..=60 * Time::SECOND).contains(&time.0))?;
    Some((hours * 60 + minutes) * 60 * Time::SECOND + seconds.0)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `2026-05-20`, `20.05.2026`, `05/20/2026`.
fn calendar(text: &str) -> Option<Date> {
    let mut parts = text.split(['-', '/', '.']);
    let mut part = || parts.next().filter(|part| is_digits(part) && part.len() <= 4);
    let (first, second, third) = (part()?, part()?, part()?);
    if parts.next().is_some() {
        return None;
    }
    let number = |text: &str| text.parse::<i16>().ok();
    let (year, month, day) = match (first.len(), third.len()) {
        (4, _) => (number(first)?, number(second)?, number(third)?),
        (_, 4) if number(second)? > 12 => (number(third)?, number(first)?, number(second)?),
        (_, 4) => (number(third)?, number(second)?, number(first)?),
        _ => return None,
    };
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// The days since 1970.
fn days(day: Date) -> i32 {
    (day - date(1970, 1, 1)).get_days()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-05-20 at midnight.
    const MAY: i64 = 1_779_235_200;

    fn nanos(text: &str) -> Option<i64> {
        Clock::default().read(text).map(|time| time.0)
    }

    #[test]
    fn what_tools_write() {
        let at = MAY * Time::SECOND + 5_925_125_000_000;
        for text in [
            "2026-05-20T01:38:45.125",
            "2026-05-20T01:38:45.125Z",
            "2026-05-20T03:38:45.125+02:00",
            "2026-05-19 20:08:45.125 -0530",
            " 2026/05/20 01:38:45,125 ",
            "20.05.2026 01:38:45.125",
            "05/20/2026 1:38:45.125",
            "1779241125.125",
            "1779241125125",
            "1779241125125000",
            "1779241125125000000",
        ] {
            assert_eq!(nanos(text), Some(at), "{text}");
        }
        assert_eq!(nanos("01:38:45.125"), Some(5_925_125_000_000));
        assert_eq!(nanos("0.002"), Some(2_000_000));
        assert_eq!(nanos("04/05/2026 00:00:00"), nanos("2026-05-04T00:00:00"));
        for text in [
            "",
            "now",
            "1:2",
            "25:00:00",
            "12:60:00",
            "12:00:61",
            "2026-13-01 00:00:00",
            "2026-02-30T00:00:00",
            "12:00:00+1",
            "1.2.3",
            "f7",
            "12:34",
            "2026-05-20",
        ] {
            assert_eq!(nanos(text), None, "{text}");
        }
        assert!(Clock::is_time("0.5") && Clock::is_time("1779241125125"));
        assert!(!Clock::is_time("17") && !Clock::is_time("1779241125"));
    }

    #[test]
    fn a_time_of_day_goes_on_behind_midnight() {
        let mut clock = Clock::default();
        let mut read = |text| clock.read(text).unwrap().0 / Time::SECOND;
        assert_eq!(
            [read("23:59:59.9"), read("00:00:00.1"), read("00:00:01.0")],
            [86_399, 86_400, 86_401]
        );
        // Lines of two threads in the wrong order are no new day.
        assert_eq!(read("00:00:00.5"), 86_400);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[-0-9:/. TZ+,e]{0,30}|\\PC{0,20}") {
            nanos(&text);
            Clock::is_time(&text);
        }

        #[test]
        fn dates_are_read_back(nanos in -2_000_000_000_000_000_000i64..4_000_000_000_000_000_000) {
            let text = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap().to_string();
            prop_assert_eq!(super::tests::nanos(&text), Some(nanos), "{}", text);
        }
    }
}

//! The time that a line of a log begins with.
//!
//! | form | its time |
//! | --- | --- |
//! | `2025-01-01 12:34:56.120`, `2025-01-01T12:34:56,120Z`, `25.11.2026 12:34:56`, `2026/11/25 …` | that moment; without a zone, UTC |
//! | `12:34:56`, `[12:34:56.120]`, `12:34:56.123:` | as long after midnight of 1970-01-01 UTC; one that is much earlier than the last is of the next day |
//! | `0.002345`, `[  123.456789]`, `I (12345)` | as long after 0; the last in milliseconds |

use k485_proto::record::Time;

/// A time as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    moment: Moment,
    /// How much later it may have been, in nanoseconds: what its last digit counts.
    pub(super) step: i64,
    /// Where in the line it ends, with what belongs to it.
    pub(super) end: usize,
    /// Whether it cannot be bytes: there is a date, a fraction of a second or a bracket.
    pub(super) is_clear: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Nanoseconds since some beginning.
    Whole(i64),
    /// Nanoseconds since midnight.
    OfDay(i64),
}

const DAY: i64 = 86_400 * Time::SECOND;

/// The days that a clock without a date has seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Days {
    last: Option<i64>,
    count: i64,
}

impl Days {
    /// The time that a stamp means.
    pub(super) fn time(&mut self, stamp: &Stamp) -> Time {
        match stamp.moment {
            Moment::Whole(time) => Time(time),
            Moment::OfDay(now) => {
                // Lines may be out of order; a clock that goes back by half a day went round.
                if self.last.is_some_and(|last| last - now > DAY / 2) {
                    self.count = self.count.saturating_add(1);
                }
                self.last = Some(now);
                Time(self.count.saturating_mul(DAY).saturating_add(now))
            }
        }
    }
}

/// The time that begins at `start`, if there is one.
pub(super) fn parse(text: &[u8], start: usize) -> Option<Stamp> {
    let mut cursor = Cursor { text, at: start };
    let bracket = match cursor.peek() {
        Some(b'[') => Some(b']'),
        Some(b'(') => Some(b')'),
        _ => None,
    };
    if bracket.is_some() {
        cursor.at += 1;
        cursor.space();
    }
    let (moment, step, mut is_clear) = cursor
        .uptime()
        .or_else(|| cursor.date_and_clock())
        .or_else(|| {
            cursor.clock().map(|(nanos, step)| (Moment::OfDay(nanos), step, step < Time::SECOND))
        })
        .or_else(|| cursor.seconds())?;
    if let Some(bracket) = bracket {
        cursor.space();
        cursor.take(bracket)?;
        is_clear = true;
    }
    // Not the beginning of something longer.
    let is_end = match cursor.peek() {
        None => true,
        Some(b':') => !cursor.text.get(cursor.at + 1).is_some_and(u8::is_ascii_alphanumeric),
        Some(byte) => {
            byte.is_ascii_whitespace() || b",;|>[]-=".contains(&byte) || bracket.is_some()
        }
    };
    is_end.then_some(Stamp { moment, step, end: cursor.at, is_clear })
}

/// Whether a line's bytes, read as such, would be those of this time: a clock alone is one only
/// where what follows is not written in threes as well.
pub(super) fn is_time(text: &[u8], stamp: &Stamp) -> bool {
    let rest = text[stamp.end..].trim_ascii();
    let word = rest.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let is_alike = word.len() == 8 && word[2] == b':' && word[5] == b':';
    !rest.is_empty() && (stamp.is_clear || !is_alike)
}

struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.any(&[byte])
    }

    fn any(&mut self, bytes: &[u8]) -> Option<()> {
        self.peek().filter(|byte| bytes.contains(byte))?;
        self.at += 1;
        Some(())
    }

    fn space(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// Digits: how many there must be, and the number's bounds.
    fn number(&mut self, digits: std::ops::RangeInclusive<usize>, most: i64) -> Option<i64> {
        let rest = &self.text[self.at..];
        let size = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = rest[..size].iter().try_fold(0i64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
        })?;
        if !digits.contains(&size) || value > most {
            return None;
        }
        self.at += size;
        Some(value)
    }

    /// What follows a point or a comma, to nanoseconds, and what its last digit counts.
    fn fraction(&mut self, points: &[u8]) -> Option<(i64, i64)> {
        let is_digit = |at: usize| self.text.get(at).is_some_and(u8::is_ascii_digit);
        if !self.peek().is_some_and(|byte| points.contains(&byte)) || !is_digit(self.at + 1) {
            return None;
        }
        self.at += 1;
        let rest = &self.text[self.at..];
        let size = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (mut nanos, mut step) = (0, Time::SECOND);
        for digit in &rest[..size.min(9)] {
            step /= 10;
            nanos += i64::from(digit - b'0') * step;
        }
        self.at += size;
        Some((nanos, step))
    }

    /// Runs a rule; where it fails, nothing was read.
    fn rule<T>(&mut self, rule: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let start = self.at;
        let value = rule(self);
        if value.is_none() {
            self.at = start;
        }
        value
    }

    /// `12:34:56.120`: nanoseconds since midnight.
    fn clock(&mut self) -> Option<(i64, i64)> {
        self.rule(|cursor| {
            let hours = cursor.number(1..=2, 23)?;
            cursor.take(b':')?;
            let minutes = cursor.number(2..=2, 59)?;
            cursor.take(b':')?;
            let seconds = cursor.number(2..=2, 60)?;
            let (nanos, step) = cursor.fraction(b".,").unwrap_or((0, Time::SECOND));
            let whole = (hours * 60 + minutes) * 60 + seconds;
            Some((whole * Time::SECOND + nanos, step))
        })
    }

    fn date_and_clock(&mut self) -> Option<(Moment, i64, bool)> {
        self.rule(|cursor| {
            let day = cursor.date()?;
            cursor.any(b"T _,")?;
            cursor.space();
            let (nanos, step) = cursor.clock()?;
            let offset = cursor.zone().unwrap_or(0);
            let midnight = jiff::tz::TimeZone::UTC
                .to_timestamp(day.to_datetime(jiff::civil::Time::midnight()))
                .ok()?;
            let seconds = midnight.as_second().checked_sub(offset)?;
            let moment = seconds.checked_mul(Time::SECOND)?.checked_add(nanos)?;
            Some((Moment::Whole(moment), step, true))
        })
    }

    /// `2026-11-25`, `2026/11/25`, `2026.11.25`, `25.11.2026`. Day and month with strokes and the
    /// year last are ambiguous.
    fn date(&mut self) -> Option<jiff::civil::Date> {
        let year_first = |cursor: &mut Self| {
            let year = cursor.number(4..=4, 9999)?;
            let between = cursor.peek()?;
            cursor.any(b"-/.")?;
            let month = cursor.number(1..=2, 12)?;
            cursor.take(between)?;
            Some((year, month, cursor.number(1..=2, 31)?))
        };
        let year_last = |cursor: &mut Self| {
            let day = cursor.number(1..=2, 31)?;
            cursor.take(b'.')?;
            let month = cursor.number(1..=2, 12)?;
            cursor.take(b'.')?;
            Some((cursor.number(4..=4, 9999)?, month, day))
        };
        let (year, month, day) = self.rule(year_first).or_else(|| self.rule(year_last))?;
        let narrow = |value: i64| i8::try_from(value).ok();
        jiff::civil::Date::new(i16::try_from(year).ok()?, narrow(month)?, narrow(day)?).ok()
    }

    /// `Z` or `+01:00`, in seconds ahead of UTC.
    fn zone(&mut self) -> Option<i64> {
        self.rule(|cursor| {
            if cursor.any(b"Zz").is_some() {
                return Some(0);
            }
            let sign = if cursor.peek() == Some(b'-') { -1 } else { 1 };
            cursor.any(b"+-")?;
            let hours = cursor.number(2..=2, 23).map(|hours| (hours, ()));
            let (hours, minutes) = match hours {
                Some((hours, ())) => {
                    let minutes = cursor.rule(|cursor| {
                        cursor.take(b':')?;
                        cursor.number(2..=2, 59)
                    });
                    (hours, minutes.unwrap_or(0))
                }
                None => {
                    let both = cursor.number(4..=4, 2359)?;
                    (both / 100, both % 100)
                }
            };
            Some(sign * (hours * 60 + minutes) * 60)
        })
    }

    /// `I (12345)`, as ESP-IDF writes it: a level and milliseconds.
    fn uptime(&mut self) -> Option<(Moment, i64, bool)> {
        self.rule(|cursor| {
            cursor.any(b"EWIDV")?;
            cursor.take(b' ')?;
            cursor.take(b'(')?;
            let millis = cursor.number(1..=12, i64::MAX)?;
            cursor.take(b')')?;
            Some((Moment::Whole(millis * Time::MILLISECOND), Time::MILLISECOND, true))
        })
    }

    /// Seconds with a point.
    fn seconds(&mut self) -> Option<(Moment, i64, bool)> {
        self.rule(|cursor| {
            let seconds = cursor.number(1..=10, i64::MAX)?;
            let (nanos, step) = cursor.fraction(b".")?;
            // An address or a version.
            if cursor.peek() == Some(b'.') {
                return None;
            }
            let moment = seconds.checked_mul(Time::SECOND)?.checked_add(nanos)?;
            let _ = cursor.take(b's');
            Some((Moment::Whole(moment), step, true))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The time in nanoseconds, what its last digit counts, and what follows.
    fn read(text: &str) -> Option<(i64, i64, &str)> {
        let stamp = parse(text.as_bytes(), 0)?;
        Some((Days::default().time(&stamp).0, stamp.step, &text[stamp.end..]))
    }

    #[test]
    fn every_form() {
        let noon = (12 * 3600 + 34 * 60 + 56) * Time::SECOND;
        let (second, milli) = (Time::SECOND, Time::MILLISECOND);
        let date = 1_735_689_600 * second;
        for (text, expected) in [
            ("12:34:56 f7", (noon, second, " f7")),
            ("12:34:56.123: f7", (noon + 123 * milli, milli, ": f7")),
            ("[12:34:56.120] TX", (noon + 120 * milli, milli, " TX")),
            ("[12:34:56][D]", (noon, second, "[D]")),
            ("2025-01-01 12:34:56,120 - x", (date + noon + 120 * milli, milli, " - x")),
            ("2025-01-01T12:34:56.120Z x", (date + noon + 120 * milli, milli, " x")),
            ("2025-01-01T14:34:56+02:00 x", (date + noon, second, " x")),
            ("2025-01-01T07:04:56-0530 x", (date + noon, second, " x")),
            ("01.01.2025 12:34:56.120 [TX]", (date + noon + 120 * milli, milli, " [TX]")),
            ("[2025/01/01 12:34:56] f7", (date + noon, second, " f7")),
            ("0.000123  F7", (123_000, 1000, "  F7")),
            ("[  123.456789] cfs", (123_456_789_000, 1000, " cfs")),
            ("I (12345) cfs", (12_345 * milli, milli, " cfs")),
            ("1.5s f7", (1_500_000_000, 100 * milli, " f7")),
            ("1.000000,0xF7", (second, 1000, ",0xF7")),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in [
            "12:34:56:78 f7",
            "24:00:00 x",
            "12:60:00 x",
            "12:34 f7",
            "25.13.2026 12:34:56 x",
            "192.168.1.1 x",
            "1 f7",
            "f7 01",
            "",
            "[12:34:56 f7",
            "2025-01-01",
            "25/11/2026 12:34:56",
            "12:34:567 x",
            "1.5x f7",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_clock_goes_round() {
        let mut days = Days::default();
        let mut at = |text: &str| days.time(&parse(text.as_bytes(), 0).unwrap()).0;
        let (before, after, again) = (at("23:59:59.9 x"), at("00:00:00.1 x"), at("00:00:00.0 x"));
        assert_eq!(after - before, 200 * Time::MILLISECOND);
        assert_eq!(again - after, -100 * Time::MILLISECOND);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[\\[(]? ?[0-9]{0,20}[-/.:]?[0-9]{0,4}[-/.:]?[0-9]{0,5}[T ]?[0-9:.,]{0,30}[Z+-]?[0-9:]{0,5}") {
            parse(text.as_bytes(), 0);
        }

        #[test]
        fn moments_are_exact(nanos in 0i64..4_000_000_000_000_000_000) {
            let time = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap();
            let text = format!("{time:.9} f7");
            prop_assert_eq!(read(&text), Some((nanos, 1, " f7")));
        }
    }
}

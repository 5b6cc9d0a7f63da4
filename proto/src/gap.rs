//! Places of a capture where bytes are missing.

use core::fmt;

/// A stretch of which bytes are missing, or may be: what follows it does not go on where what came
/// before it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// How long nothing could be heard, in nanoseconds; `None` where nobody knows.
    pub ns: Option<i64>,
    /// How many bytes were lost; `None` where nobody counted them.
    pub bytes: Option<u64>,
}

/// Why bytes are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The port was away: unplugged, or closed at its other end.
    Unplugged,
    /// The connection was away by which a traced program tells what it does: the bus may well have
    /// gone on.
    Disconnected,
    /// The UART or its driver lost bytes, as the driver's counters tell.
    Overrun,
    /// The program that captured could not keep up.
    Dropped,
}

impl GapReason {
    /// Every reason.
    pub const ALL: [GapReason; 4] =
        [GapReason::Unplugged, GapReason::Disconnected, GapReason::Overrun, GapReason::Dropped];

    /// The reason as JSON, filters and notes name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GapReason::Unplugged => "unplugged",
            GapReason::Disconnected => "disconnected",
            GapReason::Overrun => "overrun",
            GapReason::Dropped => "dropped",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<GapReason> {
        GapReason::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// For people, as `the port was away for 3.2 s`; the length of time is rounded.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reason, self.bytes) {
            (GapReason::Unplugged, None) => f.write_str("the port was away")?,
            (GapReason::Unplugged, Some(bytes)) => {
                write!(f, "{} lost, the port was away", Counted(bytes))?;
            }
            (GapReason::Disconnected, None) => {
                f.write_str("the connection to the tracer was away")?
            }
            (GapReason::Disconnected, Some(bytes)) => {
                write!(f, "{} lost, the connection to the tracer was away", Counted(bytes))?;
            }
            (GapReason::Overrun, None) => f.write_str("the port lost bytes")?,
            (GapReason::Overrun, Some(bytes)) => write!(f, "the port lost {}", Counted(bytes))?,
            (GapReason::Dropped, None) => {
                f.write_str("bytes were dropped, k485 could not keep up")?;
            }
            (GapReason::Dropped, Some(bytes)) => {
                write!(f, "{} dropped, k485 could not keep up", Counted(bytes))?;
            }
        }
        self.ns.map_or(Ok(()), |ns| write!(f, " for {}", Length(ns)))
    }
}

/// `1 byte`, `12 bytes`.
struct Counted(u64);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} byte{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// A length of time, in nanoseconds, as `850 us`, `3.2 s`, `12 min 5 s`.
struct Length(i64);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let tenths = |unit: u64| (nanos / unit, nanos % unit / (unit / 10));
        f.write_str(sign)?;
        match nanos / 1_000_000_000 {
            0 if nanos < 1_000_000 => write!(f, "{} us", nanos / 1_000),
            0 => {
                let (whole, tenth) = tenths(1_000_000);
                write!(f, "{whole}.{tenth} ms")
            }
            1..=59 => {
                let (whole, tenth) = tenths(1_000_000_000);
                write!(f, "{whole}.{tenth} s")
            }
            seconds @ 60..=3_599 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            seconds => write!(f, "{} h {} min", seconds / 3_600, seconds / 60 % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn words() {
        let gap = |reason, ns, bytes| Gap { reason, ns, bytes }.to_string();
        assert_eq!(
            gap(GapReason::Unplugged, Some(3_200_000_000), None),
            "the port was away for 3.2 s"
        );
        assert_eq!(
            gap(GapReason::Disconnected, Some(3_200_000_000), None),
            "the connection to the tracer was away for 3.2 s"
        );
        assert_eq!(gap(GapReason::Overrun, None, Some(1)), "the port lost 1 byte");
        assert_eq!(gap(GapReason::Overrun, None, None), "the port lost bytes");
        assert_eq!(
            gap(GapReason::Dropped, Some(1_550_000), Some(12)),
            "12 bytes dropped, k485 could not keep up for 1.5 ms"
        );
    }

    #[test]
    fn lengths() {
        for (ns, text) in [
            (0, "0 us"),
            (999_999, "999 us"),
            (999_999_999, "999.9 ms"),
            (59_999_999_999, "59.9 s"),
            (725 * 1_000_000_000, "12 min 5 s"),
            (90_061 * 1_000_000_000, "25 h 1 min"),
            (-2_000_000, "-2.0 ms"),
            (i64::MIN, "-2562047 h 47 min"),
        ] {
            assert_eq!(Length(ns).to_string(), text);
        }
    }

    #[test]
    fn names() {
        for reason in GapReason::ALL {
            assert_eq!(GapReason::find(reason.name()), Some(reason));
        }
        assert_eq!(GapReason::find("Overrun"), None);
    }
}

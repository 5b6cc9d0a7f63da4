//! What a text beside a span's bytes says of them: the comment of a packet, the end of a log line.
//!
//! Parts, with `; ` between them:
//!
//! | part | means |
//! | --- | --- |
//! | `noise: REASON` | the bytes are noise, for the reason in the words of [`NoiseReason`] |
//! | `gap: REASON`, `gap: REASON, N ns, N bytes` | bytes are missing here; how long nothing was heard and how many were lost, each as far as it is known |
//! | `bare` | the frame was given without head and CRC; `bare: head and CRC were added` where the bytes have them |
//! | `dir inferred` | the direction beside the bytes was worked out from what went before, not told |
//! | `no time` | the time beside the bytes means nothing |
//! | `time SECONDS` | the time, where the place for it cannot hold it |
//! | `call ID`, `call ID, timeout N ms, took N ns` | the traced call, each as far as it is known |
//! | `no reply` | the traced call returned without a reply: there are no bytes |

use std::fmt;

use k485_proto::deframer::NoiseReason;
use k485_proto::record::{Call, Gap, GapReason, Time};

use crate::format::seconds;

/// What is between two parts.
const BETWEEN: &str = "; ";

/// What a note says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Note {
    /// The bytes are noise.
    pub(super) noise: Option<NoiseReason>,
    /// Bytes are missing.
    pub(super) gap: Option<Gap>,
    /// The frame was given bare.
    pub(super) bare: Option<Bare>,
    /// The direction is inferred.
    pub(super) inferred: bool,
    /// What is said of the time: `Some(None)` that there is none.
    pub(super) time: Option<Option<Time>>,
    /// The traced call.
    pub(super) call: Option<Call>,
    /// The call returned without a reply.
    pub(super) no_reply: bool,
}

/// How a bare frame's bytes are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bare {
    /// As they are.
    Kept,
    /// With head and CRC added.
    Completed,
}

impl Note {
    /// Takes up one part; false where it is none of these.
    fn part(&mut self, part: &str) -> bool {
        match part {
            "bare" => self.bare = Some(Bare::Kept),
            "bare: head and CRC were added" => self.bare = Some(Bare::Completed),
            "dir inferred" => self.inferred = true,
            "no time" => self.time = Some(None),
            "no reply" => self.no_reply = true,
            _ => {
                if let Some(reason) = part.strip_prefix("noise: ").and_then(reason) {
                    self.noise = Some(reason);
                } else if let Some(gap) = part.strip_prefix("gap: ").and_then(gap) {
                    self.gap = Some(gap);
                } else if let Some(time) = part.strip_prefix("time ").and_then(seconds::parse) {
                    self.time = Some(Some(time));
                } else if let Some(call) = part.strip_prefix("call ").and_then(call) {
                    self.call = Some(call);
                } else {
                    return false;
                }
            }
        }
        true
    }

    /// Reads a text; the first part that is not of this grammar, if there is one, is passed over
    /// like all others of its kind, and given.
    pub(super) fn parse(text: &str) -> (Note, Option<&str>) {
        let mut note = Note::default();
        let mut unknown = None;
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            if !note.part(part) {
                unknown = unknown.or(Some(part));
            }
        }
        (note, unknown)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        let mut part = |part: fmt::Arguments<'_>| {
            f.write_str(std::mem::replace(&mut between, BETWEEN))?;
            f.write_fmt(part)
        };
        if let Some(reason) = self.noise {
            part(format_args!("noise: {reason}"))?;
        }
        if let Some(Gap { reason, ns, bytes }) = self.gap {
            let ns = ns.map_or(String::new(), |ns| format!(", {ns} ns"));
            let bytes = bytes.map_or(String::new(), |bytes| format!(", {bytes} bytes"));
            part(format_args!("gap: {}{ns}{bytes}", reason.name()))?;
        }
        match self.bare {
            Some(Bare::Kept) => part(format_args!("bare"))?,
            Some(Bare::Completed) => part(format_args!("bare: head and CRC were added"))?,
            None => {}
        }
        if self.inferred {
            part(format_args!("dir inferred"))?;
        }
        match self.time {
            Some(Some(time)) => part(format_args!("time {time}"))?,
            Some(None) => part(format_args!("no time"))?,
            None => {}
        }
        if self.no_reply {
            part(format_args!("no reply"))?;
        }
        if let Some(Call { id, timeout_ms, duration_ns }) = self.call {
            let timeout = timeout_ms.map_or(String::new(), |ms| format!(", timeout {ms} ms"));
            let took = duration_ns.map_or(String::new(), |ns| format!(", took {ns} ns"));
            part(format_args!("call {id}{timeout}{took}"))?;
        }
        Ok(())
    }
}

/// A call behind the word `call`.
fn call(text: &str) -> Option<Call> {
    let mut parts = text.split(", ");
    let mut call = Call { id: parts.next()?.parse().ok()?, timeout_ms: None, duration_ns: None };
    for part in parts {
        if let Some(ms) = within(part, "timeout ", " ms") {
            call.timeout_ms = Some(ms.parse().ok()?);
        } else {
            call.duration_ns = Some(within(part, "took ", " ns")?.parse().ok()?);
        }
    }
    Some(call)
}

/// A gap behind the word `gap`.
fn gap(text: &str) -> Option<Gap> {
    let mut parts = text.split(", ");
    let mut gap = Gap { reason: GapReason::find(parts.next()?)?, ns: None, bytes: None };
    for part in parts {
        if let Some(ns) = part.strip_suffix(" ns") {
            gap.ns = Some(ns.parse().ok()?);
        } else {
            gap.bytes = Some(part.strip_suffix(" bytes")?.parse().ok()?);
        }
    }
    Some(gap)
}

/// The reason for noise in the words in which it prints itself.
pub(super) fn reason(text: &str) -> Option<NoiseReason> {
    if text == NoiseReason::Garbage.to_string() {
        return Some(NoiseReason::Garbage);
    }
    let found = if let Some(len) = within(text, "bad length: LEN ", ", the least is 3") {
        NoiseReason::BadLength { len: len.parse().ok()? }
    } else if let Some(rest) = text.strip_prefix("bad CRC: expected ") {
        let (expected, received) = rest.split_once(", received ")?;
        let byte = |text| u8::from_str_radix(text, 16).ok();
        NoiseReason::BadCrc { expected: byte(expected)?, received: byte(received)? }
    } else {
        let (have, need) = within(text, "truncated: ", " bytes")?.split_once(" of ")?;
        NoiseReason::Truncated { need: need.parse().ok()?, have: have.parse().ok()? }
    };
    // Only what it prints: no `+5`, no leading zero.
    (found.to_string() == text).then_some(found)
}

fn within<'t>(text: &'t str, before: &str, behind: &str) -> Option<&'t str> {
    text.strip_prefix(before)?.strip_suffix(behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::option::of;
    use proptest::prelude::*;

    fn reasons() -> impl Strategy<Value = NoiseReason> {
        prop_oneof![
            Just(NoiseReason::Garbage),
            any::<u8>().prop_map(|len| NoiseReason::BadLength { len }),
            any::<(u8, u8)>()
                .prop_map(|(expected, received)| NoiseReason::BadCrc { expected, received }),
            any::<(u16, u16)>().prop_map(|(need, have)| NoiseReason::Truncated { need, have }),
        ]
    }

    fn calls() -> impl Strategy<Value = Call> {
        any::<(u64, Option<u32>, Option<i64>)>().prop_map(|(id, timeout_ms, duration_ns)| Call {
            id,
            timeout_ms,
            duration_ns,
        })
    }

    fn gaps() -> impl Strategy<Value = Gap> {
        let reason = proptest::sample::select(&GapReason::ALL[..]);
        (reason, any::<(Option<i64>, Option<u64>)>()).prop_map(|(reason, (ns, bytes))| Gap {
            reason,
            ns,
            bytes,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            noise in of(reasons()),
            gap in of(gaps()),
            bare in of(prop_oneof![Just(Bare::Kept), Just(Bare::Completed)]),
            inferred: bool,
            time in of(of(any::<i64>().prop_map(Time))),
            call in of(calls()),
            no_reply: bool,
        ) {
            let note = Note { noise, gap, bare, inferred, time, call, no_reply };
            let text = note.to_string();
            prop_assert_eq!(Note::parse(&text), (note, None));
        }

        #[test]
        fn nothing_panics(text in "((noise: |gap: |overrun|ns|call |time |bad|took|timeout|[0-9 ;,:a-z])){0,30}") {
            Note::parse(&text);
        }
    }

    #[test]
    fn other_words_are_passed_over() {
        let (note, unknown) = Note::parse("seen by hand; bare; noise: a hum");
        assert_eq!(note, Note { bare: Some(Bare::Kept), ..Note::default() });
        assert_eq!(unknown, Some("seen by hand"));
        assert_eq!(reason("truncated: +1 of 3 bytes"), None);
    }
}

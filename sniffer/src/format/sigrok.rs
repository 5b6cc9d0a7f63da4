//! The annotations of sigrok's `uart` decoder: what `sigrok-cli -P uart:… -A uart` prints, and what
//! PulseView exports.
//!
//! ```text
//! uart-1: F7
//! 210-290 uart-1: F7
//! 210-290 uart-1: rx-data: "F7"
//! 210-290 UART: RX data: F7
//! ```
//!
//! An annotation's class, where the line has it, tells what it is: `RX data` and `TX data` are
//! bytes, with the side of the decoder as the direction. Without a class two hex digits are a byte;
//! bits, start and stop bits have other texts. `Frame error` and `Parity error` are about the byte
//! before: it is noise, and no frame goes on behind it.
//!
//! The numbers are samples. Their time is known only where a line before them tells the rate, as
//! `samplerate: 24 MHz`, which whoever exports can put there.
//!
//! Source: what sigrok-cli 0.7.2 with libsigrokdecode 0.5.3 prints.

use std::io::BufRead;

use k485_proto::record::Time;

use crate::capture::{Format, Likelihood, Reading};
use crate::format::by_line::{self, Feed, Grammar, Heard, probe};
use crate::format::lines::Line;
use crate::format::sides::Way;
use crate::format::{hex_bytes, shown};

/// The format `sigrok`.
#[derive(Debug, Clone, Copy)]
pub struct Sigrok;

impl Format for Sigrok {
    fn name(&self) -> &'static str {
        "sigrok"
    }

    /// Sure where a frame is in it.
    fn detect(&self, head: &[u8]) -> Likelihood {
        let mut grammar = Annotations::default();
        // A line that is no annotation ends the matter: nothing else is in such a file.
        let probe = probe(head, &mut grammar);
        match (grammar.bytes, probe) {
            (1.., probe) if probe.bad * 4 > probe.lines => Likelihood::No,
            (1.., probe) if probe.frames > 0 => Likelihood::Sure,
            (1.., _) => Likelihood::Maybe,
            _ => Likelihood::No,
        }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        by_line::read(name, input, Annotations::default())
    }
}

/// A line.
struct Annotation<'t> {
    /// The sample behind the last one.
    end: Option<u64>,
    decoder: &'t str,
    class: Option<&'t str>,
    text: &'t str,
}

impl<'t> Annotation<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let (end, rest) = match line.split_once(' ').map(|(first, rest)| (samples(first), rest)) {
            Some((Some(end), rest)) => (Some(end), rest),
            _ => (None, line),
        };
        let (decoder, rest) = rest.split_once(": ")?;
        // `uart-1`, or a name of the user's next to the numbers.
        let is_numbered = decoder.rsplit_once('-').is_some_and(|(_, number)| is_number(number));
        if end.is_none() && !is_numbered {
            return None;
        }
        let (class, text) = match rest.split_once(": ") {
            Some((class, text)) => (Some(class), text),
            None => (None, rest),
        };
        // Of several texts, each in quotes, the first is the longest.
        let text = match text.trim().strip_prefix('"') {
            Some(quoted) => quoted.split('"').next().unwrap_or_default(),
            None => text.trim(),
        };
        Some(Annotation { end, decoder: decoder.trim(), class, text })
    }
}

/// The end of `210-290`.
fn samples(word: &str) -> Option<u64> {
    let (start, end) = word.split_once('-')?;
    if is_number(start) { end.parse().ok().filter(|_| is_number(end)) } else { None }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What an annotation is.
enum Kind {
    Byte(Option<Way>),
    /// Something about the byte before, which was not received properly.
    Error(Option<Way>),
    Other,
}

fn kind(class: Option<&str>, text: &str) -> Kind {
    let Some(class) = class else {
        let is_hex = text.len() == 2 && hex_bytes(text).is_some();
        return match text {
            "Frame error" | "Parity error" => Kind::Error(None),
            "Start bit" | "Stop bit" | "Parity bit" | "Parity OK" | "Break condition" | "0"
            | "1" => Kind::Other,
            _ if is_hex => Kind::Byte(None),
            // Packets are bytes again.
            _ if text.len() > 3 && text.split(' ').all(|word| word.len() == 2) => Kind::Other,
            // It has to be a byte in another radix, or what is told about.
            _ => Kind::Byte(None),
        };
    };
    let class = class.to_ascii_lowercase().replace(' ', "-");
    let (side, what) = class.split_once('-').unwrap_or(("", &class));
    let way = match side {
        "rx" => Some(Way::IN),
        "tx" => Some(Way::OUT),
        _ => None,
    };
    match what {
        "data" => Kind::Byte(way),
        "warnings" | "warning" if text.ends_with("error") => Kind::Error(way),
        "parity-err" | "parity-error-bits" => Kind::Error(way),
        _ => Kind::Other,
    }
}

/// A byte whose fate the next line may tell.
struct Waiting {
    time: Option<Time>,
    bus: String,
    way: Option<Way>,
    offset: u64,
    byte: u8,
}

#[derive(Default)]
struct Annotations {
    /// Samples a second.
    rate: Option<u64>,
    /// Whether it was told that there is none.
    is_told: bool,
    waiting: Option<Waiting>,
    bytes: u64,
}

impl Annotations {
    fn give(&mut self, is_spoiled: bool, feed: &mut Feed) {
        let Some(waiting) = self.waiting.take() else { return };
        let Waiting { time, bus, way, offset, byte } = waiting;
        let heard = Heard { time, bus: &bus, way, offset, bytes: &[byte] };
        if is_spoiled { feed.spoiled(&heard) } else { feed.wire(&heard) }
    }

    fn time(&mut self, end: Option<u64>, number: u64, feed: &mut Feed) -> Option<Time> {
        let end = end?;
        let Some(rate) = self.rate else {
            if !self.is_told {
                self.is_told = true;
                feed.complain(
                    number,
                    "sample numbers without a rate give no times: put a line as \
                     `samplerate: 24 MHz` before them",
                );
            }
            return None;
        };
        let nanos = i128::from(end) * i128::from(Time::SECOND) / i128::from(rate);
        i64::try_from(nanos).ok().map(Time)
    }
}

impl Grammar for Annotations {
    fn line(&mut self, line: &Line<'_>, text: &str, feed: &mut Feed) -> Result<(), String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        if let Some(rate) = rate(text) {
            self.rate = Some(rate?);
            return Ok(());
        }
        let annotation = Annotation::parse(text)
            .ok_or("expected an annotation as `uart-1: F7` or `210-290 UART: RX data: F7`")?;
        match kind(annotation.class, annotation.text) {
            Kind::Byte(way) => {
                self.give(false, feed);
                let byte = match hex_bytes(annotation.text).as_deref() {
                    Some([byte]) => *byte,
                    _ => {
                        let shown = shown(annotation.text);
                        return Err(format!("`{shown}` is no byte: decode with format=hex"));
                    }
                };
                self.bytes += 1;
                let time = self.time(annotation.end, line.number, feed);
                let bus = annotation.decoder.to_owned();
                self.waiting = Some(Waiting { time, bus, way, offset: line.offset, byte });
            }
            Kind::Error(way) => {
                let is_its = self.waiting.as_ref().is_some_and(|waiting| {
                    waiting.bus == annotation.decoder && (way.is_none() || waiting.way == way)
                });
                if is_its {
                    self.give(true, feed);
                }
            }
            Kind::Other => {}
        }
        Ok(())
    }

    fn end(&mut self, feed: &mut Feed) -> Result<(), String> {
        self.give(false, feed);
        Ok(())
    }
}

/// The samples a second that `samplerate: 24 MHz` says; `None` for a line that is about something
/// else.
fn rate(line: &str) -> Option<Result<u64, String>> {
    let line = line.trim_start_matches(['#', ';', ' ']).to_ascii_lowercase();
    let rest = line.strip_prefix("samplerate")?.trim_start_matches([':', '=', ' ']);
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    let unit = match rest[end..].trim() {
        "" | "hz" => Some(1),
        "k" | "khz" => Some(1_000),
        "m" | "mhz" => Some(1_000_000),
        "g" | "ghz" => Some(1_000_000_000),
        _ => None,
    };
    let rate =
        rest[..end].parse().ok().zip(unit).and_then(|(n, unit): (u64, u64)| n.checked_mul(unit));
    Some(
        rate.filter(|rate| *rate > 0).ok_or_else(|| {
            format!("`{}` is no sample rate: expected one as `24 MHz`", shown(rest))
        }),
    )
}

#[cfg(test)]
mod tests;

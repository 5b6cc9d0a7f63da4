//! A transcript as what the vendor's host did: its requests, its pauses, and what it was answered.

use std::collections::VecDeque;
use std::error::Error;

use k485_proto::dialect::K2;
use k485_proto::frame::Frame;
use k485_proto::host::policy;
use k485_proto::record::Time;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Its line in the file.
    pub number: usize,
    /// From the end of the exchange before it, in ns.
    pub gap: i64,
    /// From this request to the end of its exchange, in ns.
    pub waited: i64,
    pub request: Vec<u8>,
    /// What the throw-away device answered. Its payload means nothing, but that there is one does.
    pub reply: Option<Vec<u8>>,
}

impl Line {
    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame::from_bytes(&self.request).expect("checked when it was read")
    }

    /// A stage of EXTRUDE_PROCESS.
    pub(crate) fn stage(&self) -> Option<u8> {
        let frame = self.frame();
        match (frame.addr().0, frame.func(), frame.data()) {
            (1..=4, 0x10, [_, stage, ..]) => Some(*stage),
            _ => None,
        }
    }

    /// Whether it sets print mode.
    pub(crate) fn is_print(&self) -> bool {
        let frame = self.frame();
        frame.func() == 0x04 && matches!(frame.data(), [slot, 0] if *slot != 0)
    }

    /// The answer's first byte.
    pub(crate) fn answered(&self) -> Option<u8> {
        let reply = self.reply.as_deref()?;
        Frame::from_bytes(reply).ok()?.data().first().copied()
    }
}

/// Reads a transcript. Frames that the host could not have sent are errors.
pub(crate) fn read(text: &str) -> Result<VecDeque<Line>, Box<dyn Error>> {
    let mut lines: VecDeque<Line> = VecDeque::new();
    // When the exchange before has ended.
    let mut end = None::<i64>;
    for (number, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        let (Some(time), Some(dir), Some(hex)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let (Some(time), "H>" | "S<") = (nanos(time), dir) else { continue };
        let bytes = k485_proto::message::kind::hex_bytes(hex)?;
        if dir == "S<" {
            if let Some(line) = lines.back_mut().filter(|line| line.reply.is_none()) {
                line.reply = Some(bytes);
                let sent = end.unwrap_or(time) - line.waited;
                line.waited = time - sent;
                end = Some(time);
            }
            continue;
        }
        let frame = Frame::from_bytes(&bytes)?;
        let timeout = i64::from(policy(&frame, &K2).timeout_ms) * Time::MILLISECOND;
        // Nobody answered: the host has waited for its time-out, or the transcript was cut there.
        let gap = end.map_or(0, |end| (time - end).max(0));
        let waited = if frame.addr().is_broadcast() { 0 } else { timeout.min(Time::SECOND) };
        end = Some(time + waited);
        lines.push_back(Line { number: number + 1, gap, waited, request: bytes, reply: None });
    }
    Ok(lines)
}

fn nanos(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.')?;
    Some(
        whole.parse::<i64>().ok()? * Time::SECOND
            + format!("{part:0<9}").get(..9)?.parse::<i64>().ok()?,
    )
}

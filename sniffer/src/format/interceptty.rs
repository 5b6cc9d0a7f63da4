//! The text of `interceptty`, a program that sits between a program and its serial port: one byte
//! a line, `< 0xf7 (M-w)` from the host, `>` and a tab before the number from the device.
//!
//! No times; the direction of every byte is known, and each direction is deframed separately. A
//! change of direction does not cut a frame short: the two may interleave. A record's offset is
//! that of the line of its first byte. Records come in the order in which they are complete, so
//! noise, which ends when the next frame of its direction begins, may come after a later reply.
//!
//! Source: a capture of a box with its host by that program.

use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;

use k485_proto::record::Direction;

use crate::capture::{Format, Likelihood, Reading, broken_off, skipped};
use crate::format::hex_digit;
use crate::format::lines::{Lines, Next, complete_lines};
use crate::format::steps::{Ready, Source, Steps};
use crate::format::write::{CaptureWriter, Item, Loss, Losses};
use crate::framer::{Chunk, Framer, Place};

/// Longer lines are complained about; the program's own have less than 20 bytes.
const LINE_LIMIT: usize = 1024;

/// The format `interceptty`.
#[derive(Debug, Clone, Copy)]
pub struct Interceptty;

impl Format for Interceptty {
    fn name(&self) -> &'static str {
        "interceptty"
    }

    fn detect(&self, head: &[u8]) -> Likelihood {
        let (mut good, mut bad) = (0, 0);
        for line in complete_lines(head).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
            match parse(line) {
                Some(_) => good += 1,
                None => bad += 1,
            }
        }
        match (good, bad) {
            (0, _) => Likelihood::No,
            _ if bad * 4 <= good => Likelihood::Sure,
            _ if bad <= good => Likelihood::Maybe,
            _ => Likelihood::No,
        }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        Box::new(Steps::new(Reader {
            name: name.to_owned(),
            lines: Lines::new(input, LINE_LIMIT, |_| None),
            framer: Framer::new("".into()),
        }))
    }
}

/// The direction and the byte of a line; what follows the number is the byte as a character.
fn parse(line: &[u8]) -> Option<(Direction, u8)> {
    let (dir, rest) = match line {
        [b'<', rest @ ..] => (Direction::Request, rest),
        [b'>', rest @ ..] => (Direction::Response, rest),
        _ => return None,
    };
    match rest.trim_ascii_start() {
        [b'0', b'x' | b'X', high, low, after @ ..]
            if after.first().is_none_or(u8::is_ascii_whitespace) =>
        {
            Some((dir, hex_digit(*high)? << 4 | hex_digit(*low)?))
        }
        _ => None,
    }
}

struct Reader {
    name: String,
    lines: Lines,
    framer: Framer,
}

impl Source for Reader {
    fn step(&mut self, ready: &mut Ready) -> ControlFlow<()> {
        let line = match self.lines.next() {
            Ok(Next::Line(line)) => line,
            Ok(Next::TooLong { number }) => {
                let what = format!("longer than {LINE_LIMIT} bytes; the line was skipped");
                ready.push_back(Err(skipped(format!("{}:{number}", self.name), what)));
                return ControlFlow::Continue(());
            }
            Ok(Next::End) => {
                self.framer.idle(|record| ready.push_back(Ok(record)));
                return ControlFlow::Break(());
            }
            Err(error) => {
                self.framer.idle(|record| ready.push_back(Ok(record)));
                let position = self.lines.position();
                ready.push_back(Err(broken_off(&self.name, position, &error)));
                return ControlFlow::Break(());
            }
        };
        let text = line.text.trim_ascii();
        if let Some((dir, byte)) = parse(text) {
            let place = Place::Line(line.offset);
            let chunk = Chunk { time: None, dir: Some(dir), place, bytes: &[byte] };
            self.framer.push(chunk, |record| ready.push_back(Ok(record)));
        } else if !text.is_empty() {
            let what = "expected `< 0xNN` or `> 0xNN`; the line was skipped";
            ready.push_back(Err(skipped(format!("{}:{}", self.name, line.number), what)));
        }
        ControlFlow::Continue(())
    }
}

/// Writes the text, each byte with the name that the program gives it. A span without a direction
/// has no place in it and is left out; a bare frame gets its head and CRC.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    losses: Losses,
}

impl<W: Write> Writer<W> {
    /// A writer of lines.
    pub fn new(out: W) -> Self {
        Writer { out, losses: Losses::default() }
    }
}

impl<W: Write> CaptureWriter for Writer<W> {
    fn write(&mut self, item: &Item) -> io::Result<()> {
        let sign = match item.dir().0 {
            Some(Direction::Request) => "< ",
            Some(Direction::Response) => "> \t",
            None => {
                self.losses.add(item, &[Loss::Undirected, Loss::Gap]);
                return Ok(());
            }
        };
        use Loss::{Bare, Bus, Call, Cut, Inferred, NoReply, Time};
        self.losses.add(item, &[Time, Bus, Inferred, Bare, Call, NoReply, Cut]);
        let line = |byte: &u8| format!("{sign}{byte:#04x} ({})\n", byte_name(*byte));
        let lines: String = item.wire().iter().map(line).collect();
        self.out.write_all(lines.as_bytes())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

/// The names of the control characters.
const CONTROLS: [&str; 32] = [
    "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "TAB", "LF", "VT", "FF", "CR",
    "SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC",
    "FS", "GS", "RS", "US",
];

/// A byte as a character, as the program writes it: `M-` for the highest bit.
fn byte_name(byte: u8) -> String {
    match byte {
        0..0x20 => format!("[{}]", CONTROLS[usize::from(byte)]),
        0x20..0x7f => char::from(byte).to_string(),
        0x7f => "[DEL]".to_owned(),
        0x80..0xa0 => format!("M-^{}", char::from(byte - 0x40)),
        0xa0..0xff => format!("M-{}", char::from(byte - 0x80)),
        0xff => "M-^?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_proto::deframer::NoiseReason;
    use k485_proto::record::{Complaint, Record, Verdict};
    use proptest::prelude::*;
    use std::io::Cursor;

    fn read(text: impl Into<Vec<u8>>) -> Vec<Result<Record, Complaint>> {
        Interceptty.read("tap.txt", Box::new(Cursor::new(text.into()))).collect()
    }

    fn write(bytes: &[(Direction, u8)]) -> String {
        let line = |(dir, byte): &(Direction, u8)| match dir {
            Direction::Request => format!("< {byte:#04x} (x)\n"),
            Direction::Response => format!("> \t{byte:#04x} (x)\r\n"),
        };
        bytes.iter().map(line).collect()
    }

    #[test]
    fn a_direction_change_does_not_cut_a_frame() {
        let text = "< 0xf7 (M-w)\n< 0x01 ([SOH])\n> \t0xf7 (M-w)\n< 0x03\n< 0xFF (M-^?)\n\
                    < 0x0a ([NL])\n\n< 0x5c (\\)\n> \t0x01 ([SOH])\n";
        let got: Vec<_> = read(text).into_iter().map(Result::unwrap).collect();
        let seen: Vec<_> = got.iter().map(|r| (r.offset, r.dir, r.verdict)).collect();
        assert_eq!(
            seen,
            [
                (0, Some(Direction::Request), Verdict::Frame),
                (
                    28,
                    Some(Direction::Response),
                    Verdict::Noise(NoiseReason::Truncated { need: 3, have: 2 })
                ),
            ]
        );
        assert_eq!(got[0].bytes, [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c]);
        assert_eq!(got[0].time, None);
    }

    #[test]
    fn broken_lines_are_complained_about_and_skipped() {
        let long = "x".repeat(LINE_LIMIT + 1);
        let text = format!("< 0xf7\n<0x0g (?)\n{long}\n= 0x00\n< 0x000\n");
        let got = read(text);
        let places: Vec<_> = got.iter().filter_map(|item| item.as_ref().err()).collect();
        let places: Vec<_> = places.iter().map(|complaint| complaint.to_string()).collect();
        assert_eq!(
            places,
            [
                "tap.txt:2: expected `< 0xNN` or `> 0xNN`; the line was skipped",
                "tap.txt:3: longer than 1024 bytes; the line was skipped",
                "tap.txt:4: expected `< 0xNN` or `> 0xNN`; the line was skipped",
                "tap.txt:5: expected `< 0xNN` or `> 0xNN`; the line was skipped",
            ]
        );
        assert_eq!(got.last().unwrap().as_ref().unwrap().bytes, [0xf7]);
    }

    #[test]
    fn detection() {
        assert_eq!(Interceptty.detect(b"< 0xf7 (M-w)\n> \t0x01 ([SOH])\n> \t0"), Likelihood::Sure);
        assert_eq!(Interceptty.detect(b"< 0xf7"), Likelihood::Sure);
        assert_eq!(Interceptty.detect(b"opened\n< 0xf7\n< 0x01\n"), Likelihood::Maybe);
        assert_eq!(Interceptty.detect(b"f7 01 03\n"), Likelihood::No);
        assert_eq!(Interceptty.detect(b"> quoted\n< 0xf7\n> 0x1\n"), Likelihood::No);
    }

    fn directed() -> impl Strategy<Value = (Direction, u8)> {
        let dir = prop_oneof![Just(Direction::Request), Just(Direction::Response)];
        (dir, prop_oneof![Just(0xf7), 0u8..8, any::<u8>()])
    }

    proptest! {
        #[test]
        fn no_byte_of_either_direction_is_lost(
            bytes in proptest::collection::vec(directed(), 0..400),
        ) {
            let records: Vec<_> = read(write(&bytes)).into_iter().map(Result::unwrap).collect();
            for dir in [Direction::Request, Direction::Response] {
                let sent = bytes.iter().filter(|(way, _)| *way == dir).map(|(_, byte)| *byte);
                let got = records.iter().filter(|record| record.dir == Some(dir));
                let got: Vec<u8> = got.flat_map(|record| record.bytes.clone()).collect();
                prop_assert_eq!(got, sent.collect::<Vec<_>>());
            }
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            Interceptty.detect(&bytes);
            read(bytes);
        }

        #[test]
        fn nothing_that_is_almost_right_panics(text in "([<> \t0x][0-9a-f \n(]{0,6}){0,40}") {
            Interceptty.detect(text.as_bytes());
            read(text);
        }
    }
}

//! Writing hex text.

use std::io::{self, Write};

use k485_proto::record::{Origin, Verdict};

use super::Text;
use crate::format::lines::Line;
use crate::format::note::{Bare, Note};
use crate::format::steps::Ready;
use crate::format::write::{CaptureWriter, Item, Loss, Losses};

/// No piece of so few bytes is a bare frame.
const SHORT: usize = 3;

/// Writes hex text, one span a line: `(TIME) F7 01 03 FF 0A 5C`, with the time where there is one;
/// what is no whole frame of the wire says so in a comment.
///
/// Every line is read back as the reader will, so that nothing else is understood by it: noise that
/// could pass for a bare frame comes in lines of three bytes, and a bare frame where the reader
/// would not see one (behind a frame that is cut short) gets its head and CRC.
pub struct Writer<W> {
    out: W,
    losses: Losses,
    /// What the reader knows.
    text: Text,
    ready: Ready,
}

impl<W: Write> Writer<W> {
    /// A writer of lines.
    pub fn new(out: W) -> Self {
        Writer { out, losses: Losses::default(), text: Text::new(""), ready: Ready::new() }
    }

    fn line(&mut self, time: &str, bytes: &[u8], comment: &Note) -> io::Result<()> {
        let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let mut line = format!("{time}{}", pairs.join(" "));
        if *comment != Note::default() {
            line.push_str(&format!(" # {comment}"));
        }
        let text = line.as_bytes();
        let read = Line { number: 0, offset: 0, before: 0, is_piece: false, text };
        self.text.line(read, None, &mut self.ready);
        self.ready.clear();
        line.push('\n');
        self.out.write_all(line.as_bytes())
    }
}

impl<W: Write> CaptureWriter for Writer<W> {
    fn write(&mut self, item: &Item) -> io::Result<()> {
        use Loss::{Bus, Call, Cut, Direction, Gap, NoReply};
        self.losses.add(item, &[Bus, Direction, Call, NoReply, Gap, Cut]);
        let record = item.record();
        if matches!(record.verdict, Verdict::NoReply | Verdict::Gap(_)) {
            return Ok(());
        }
        let time = record.time.map_or(String::new(), |time| format!("({time}) "));
        self.text.silence(record.time.map(|time| (time, 0)), &mut self.ready);
        let mut note = Note { call: None, inferred: false, ..item.note(Bare::Kept) };
        let is_bare = self.text.is_bare(&record.bytes);
        if record.origin == Origin::Bare && is_bare {
            return self.line(&time, &record.bytes, &note);
        }
        if record.origin == Origin::Bare {
            self.losses.add(item, &[Loss::Bare]);
            note.bare = Some(Bare::Completed);
        }
        let bytes = item.wire();
        if is_bare {
            let comments = std::iter::once(note).chain(std::iter::repeat(Note::default()));
            return bytes
                .chunks(SHORT)
                .zip(comments)
                .try_for_each(|(piece, comment)| self.line(&time, piece, &comment));
        }
        self.line(&time, bytes, &note)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

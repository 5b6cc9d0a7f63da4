//! Raw: the bytes of the wire as they are, and nothing else.
//!
//! No times and no directions. A record's offset is its place in the file. Nothing tells of a
//! silence, so a candidate with a damaged LEN holds the bytes behind it until there are enough of
//! them, or the file ends; none is lost.

use std::io::{self, BufRead, ErrorKind, Write};
use std::ops::ControlFlow;

use crate::capture::{Format, Likelihood, Reading, broken_off, is_wire};
use crate::format::steps::{Ready, Source, Steps};
use crate::format::write::{CaptureWriter, Item, Loss, Losses};
use crate::framer::{Chunk, Framer, Place};

/// How much is read at once, in bytes.
const PIECE: usize = 64 * 1024;

/// The format `raw`.
#[derive(Debug, Clone, Copy)]
pub struct Raw;

impl Format for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    /// Never sure: any other binary format may carry frames too. Text is not claimed.
    fn detect(&self, head: &[u8]) -> Likelihood {
        if is_wire(head) { Likelihood::Maybe } else { Likelihood::No }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        Box::new(Steps::new(Reader {
            name: name.to_owned(),
            input,
            piece: vec![0; PIECE],
            offset: 0,
            framer: Framer::new("".into()),
        }))
    }
}

struct Reader {
    name: String,
    input: Box<dyn BufRead + Send>,
    piece: Vec<u8>,
    offset: u64,
    framer: Framer,
}

impl Source for Reader {
    fn step(&mut self, ready: &mut Ready) -> ControlFlow<()> {
        let read = self.input.read(&mut self.piece);
        match read {
            Ok(size) if size > 0 => {
                let place = Place::Stream(self.offset);
                let chunk = Chunk { time: None, dir: None, place, bytes: &self.piece[..size] };
                self.framer.push(chunk, |record| ready.push_back(Ok(record)));
                self.offset += size as u64;
                return ControlFlow::Continue(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                return ControlFlow::Continue(());
            }
            _ => self.framer.idle(|record| ready.push_back(Ok(record))),
        }
        if let Err(error) = read {
            ready.push_back(Err(broken_off(&self.name, self.offset, &error)));
        }
        ControlFlow::Break(())
    }
}

/// Writes the bytes of the wire; a bare frame gets its head and CRC.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    losses: Losses,
}

impl<W: Write> Writer<W> {
    /// A writer of bytes.
    pub fn new(out: W) -> Self {
        Writer { out, losses: Losses::default() }
    }
}

impl<W: Write> CaptureWriter for Writer<W> {
    fn write(&mut self, item: &Item) -> io::Result<()> {
        use Loss::{Bare, Bus, Call, Cut, Direction, Gap, NoReply, Time};
        self.losses.add(item, &[Time, Bus, Direction, Bare, Call, NoReply, Gap, Cut]);
        self.out.write_all(item.wire())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_proto::deframer::NoiseReason;
    use k485_proto::record::{Complaint, Record, Verdict};
    use proptest::prelude::*;
    use std::io::{BufReader, Cursor, Read};

    fn read(bytes: impl Into<Vec<u8>>) -> Vec<Result<Record, Complaint>> {
        Raw.read("wire.bin", Box::new(Cursor::new(bytes.into()))).collect()
    }

    #[test]
    fn frames_and_noise_with_their_places() {
        let bytes = b"\x55\xf7\x01\x03\xff\x0a\x5c\xf7\x01\x03".to_vec();
        let got = read(bytes).into_iter().map(Result::unwrap).map(|r| (r.offset, r.verdict));
        assert_eq!(
            got.collect::<Vec<_>>(),
            [
                (0, Verdict::Noise(NoiseReason::Garbage)),
                (1, Verdict::Frame),
                (7, Verdict::Noise(NoiseReason::Truncated { need: 6, have: 3 })),
            ]
        );
    }

    /// Gives some bytes, then fails.
    struct Broken(Cursor<Vec<u8>>);

    impl Read for Broken {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buf)? {
                0 => Err(io::Error::other("cable pulled")),
                size => Ok(size),
            }
        }
    }

    #[test]
    fn an_input_that_breaks_off_gives_what_there_was_and_says_so() {
        let input = BufReader::new(Broken(Cursor::new(vec![0xf7, 0x01])));
        let got: Vec<_> = Raw.read("wire.bin", Box::new(input)).collect();
        assert_eq!(got.len(), 2);
        assert_eq!(got[0].as_ref().unwrap().bytes, [0xf7, 0x01]);
        assert_eq!(
            got[1],
            Err(Complaint {
                place: "wire.bin at byte 2".to_owned(),
                what: "cannot read on: cable pulled".to_owned(),
                fatal: true,
            })
        );
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let records: Vec<_> = read(bytes.clone()).into_iter().map(Result::unwrap).collect();
            let mut offset = 0;
            for record in &records {
                prop_assert_eq!(record.offset, offset);
                offset += record.bytes.len() as u64;
            }
            let got: Vec<u8> = records.into_iter().flat_map(|record| record.bytes).collect();
            prop_assert_eq!(got, bytes);
        }
    }
}

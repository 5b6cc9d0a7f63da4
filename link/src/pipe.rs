//! A stream that another program writes: stdin, a pipe, a file that is read as it is.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use k485_proto::record::Time;

use crate::clock::Clock;
use crate::error::LinkError;
use crate::link::{Event, Hear};

/// Bytes of one read.
const CHUNK: usize = 16 * 1024;
/// How many reads may be ahead of whoever hears.
const AHEAD: usize = 4;
/// The longest single wait; the channel's clock has an end.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Any reader, heard. Its writer waits for us, so it is not live: nothing is lost when it is read
/// late.
///
/// A thread reads it, so that waiting has an end whatever the reader is. The thread is at most 64
/// KiB ahead; it ends with the stream, or at the first bytes that come after the value is dropped.
#[derive(Debug)]
pub struct Pipe {
    name: String,
    chunks: Receiver<io::Result<(Vec<u8>, Time)>>,
    /// What came and did not fit in the last read, from the place on.
    rest: (Vec<u8>, usize, Time),
}

impl Pipe {
    /// Hears a reader; `name` is its name for people.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub fn new(
        name: impl Into<String>,
        reader: impl Read + Send + 'static,
        clock: Clock,
    ) -> io::Result<Pipe> {
        let (sender, chunks) = sync_channel(AHEAD);
        thread::Builder::new()
            .name("k485 pipe".to_owned())
            .spawn(move || pump(reader, &sender, clock))?;
        Ok(Pipe { name: name.into(), chunks, rest: (Vec::new(), 0, Time(0)) })
    }

    /// Hears standard input.
    ///
    /// # Errors
    ///
    /// As [`Pipe::new`].
    pub fn stdin(clock: Clock) -> io::Result<Pipe> {
        Pipe::new("stdin", io::stdin(), clock)
    }
}

fn pump(mut reader: impl Read, sender: &SyncSender<io::Result<(Vec<u8>, Time)>>, clock: Clock) {
    let mut buf = vec![0; CHUNK];
    loop {
        let chunk = match reader.read(&mut buf) {
            Ok(0) => return,
            Ok(n) => Ok((buf[..n].to_vec(), clock.now())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let over = chunk.is_err();
        if sender.send(chunk).is_err() || over {
            return;
        }
    }
}

impl Hear for Pipe {
    fn name(&self) -> &str {
        &self.name
    }

    /// [`Event::Closed`] is the end of the stream.
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> Result<Event, LinkError> {
        if buf.is_empty() {
            return Err(LinkError::EmptyBuffer { name: self.name.clone() });
        }
        if self.rest.1 == self.rest.0.len() {
            match self.chunks.recv_timeout(timeout.min(LONGEST_WAIT)) {
                Ok(Ok((bytes, time))) => self.rest = (bytes, 0, time),
                Ok(Err(source)) => {
                    return Err(LinkError::Read { name: self.name.clone(), source });
                }
                Err(RecvTimeoutError::Timeout) => return Ok(Event::Idle),
                Err(RecvTimeoutError::Disconnected) => return Ok(Event::Closed),
            }
        }
        let (bytes, from, time) = &mut self.rest;
        let n = buf.len().min(bytes.len() - *from);
        buf[..n].copy_from_slice(&bytes[*from..*from + n]);
        *from += n;
        Ok(Event::Bytes { n, time: *time })
    }

    fn is_live(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn a_pipe_is_heard_to_its_end() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut pipe = Pipe::new("pipe", reader, Clock::new()).unwrap();
        let mut buf = [0; 4];
        assert!(!pipe.is_live());
        assert_eq!(pipe.read(&mut buf, Duration::from_millis(1)).unwrap(), Event::Idle);
        writer.write_all(&[1, 2, 3, 4, 5, 6]).unwrap();
        let mut heard = Vec::new();
        while heard.len() < 6 {
            match pipe.read(&mut buf, LONG).unwrap() {
                Event::Bytes { n, .. } => heard.extend_from_slice(&buf[..n]),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard, [1, 2, 3, 4, 5, 6]);
        drop(writer);
        assert_eq!(pipe.read(&mut buf, LONG).unwrap(), Event::Closed);
        assert_eq!(pipe.read(&mut buf, LONG).unwrap(), Event::Closed);
        assert!(pipe.reopen().is_err());
        assert!(matches!(pipe.read(&mut [], LONG), Err(LinkError::EmptyBuffer { .. })));
    }

    #[test]
    fn a_reader_that_fails_is_an_error_and_then_the_end() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no luck"))
            }
        }
        let mut pipe = Pipe::new("pipe", Fails, Clock::new()).unwrap();
        let error = pipe.read(&mut [0; 4], LONG).unwrap_err();
        assert_eq!(error.to_string(), "pipe: cannot read: no luck");
        assert_eq!(pipe.read(&mut [0; 4], LONG).unwrap(), Event::Closed);
    }
}

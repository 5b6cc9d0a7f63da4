//! What a traced program read and wrote, as `strace` prints it.
//!
//! ```text
//! 12:34:56.731751 write(3, "\xf7\x01\x03\xff\x0a\x5c", 6) = 6
//! ```
//!
//! Read are `read`, `write` and their kin (`pread64`, `readv`, `recvfrom`, …), also where another
//! thread interrupted them (`<unfinished …>`); all other lines are passed over. Strings may have any
//! of strace's escapes (none, `-x`, `-xx`), times those of `-t`, `-tt`, `-ttt` and `-r`, in front
//! the process, behind the file's name (`-y`) and how long it took (`-T`): a read's bytes are there
//! when it returns.
//!
//! Which file descriptor is a bus is told by the bytes: one on which a frame began with a call's
//! bytes and ended with a call's; what came before that is left out, since it may have been another
//! file's, and so is what follows a `close`, until there is such a frame again. The name of its file
//! is the bus's, else `fd` and its number. What is written goes to a device where the traced program
//! is the host, which the frames tell.
//!
//! strace cuts strings to 32 bytes unless it is run with `-s`; where bytes are missing on a bus,
//! that is told.
//!
//! Source: strace 6.1.

use std::collections::VecDeque;
use std::io::BufRead;

use k485_proto::deframer::{Span, spans};
use k485_proto::frame::HEAD;
use k485_proto::record::Time;

use crate::capture::{Format, Likelihood, Reading};
use crate::format::by_line::{self, Feed, Grammar, Heard, probe};
use crate::format::lines::Line;
use crate::format::sides::Way;

use call::{Call, Event};

mod call;

/// How many bytes of a file descriptor are kept until it is known to be a bus.
const HELD: usize = 1024;

/// How many file descriptors are kept, and how many calls that are not finished; beyond that the
/// oldest is forgotten.
const FILES: usize = 64;

/// The format `strace`.
#[derive(Debug, Clone, Copy)]
pub struct Strace;

impl Format for Strace {
    fn name(&self) -> &'static str {
        "strace"
    }

    /// Sure where most lines are calls; the bus may be opened long behind the head.
    fn detect(&self, head: &[u8]) -> Likelihood {
        let mut calls = Calls::default();
        let probe = probe(head, &mut calls);
        match (calls.count, probe) {
            (1.., probe) if probe.bad * 4 <= probe.lines => Likelihood::Sure,
            _ => Likelihood::No,
        }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        by_line::read(name, input, Calls::default())
    }
}

/// Bytes that one call passed.
struct Passed {
    way: Way,
    time: Option<Time>,
    offset: u64,
    number: u64,
    bytes: Vec<u8>,
    /// How many more it passed that strace does not show.
    missing: u64,
}

/// A file descriptor.
struct File {
    key: String,
    /// The bus's name, once it is one.
    bus: Option<String>,
    held: VecDeque<Passed>,
}

#[derive(Default)]
struct Calls {
    clock: call::Times,
    /// How many lines were calls.
    count: u64,
    files: VecDeque<File>,
    /// Calls that another thread's interrupted, by the process's word.
    unfinished: VecDeque<(String, Call)>,
}

impl Calls {
    fn file(&mut self, key: &str) -> &mut File {
        let known = self.files.iter().position(|file| file.key == key);
        let file = known.and_then(|at| self.files.remove(at)).unwrap_or_else(|| File {
            key: key.to_owned(),
            bus: None,
            held: VecDeque::new(),
        });
        if self.files.len() == FILES {
            self.files.pop_front();
        }
        self.files.push_back(file);
        let last = self.files.len() - 1;
        &mut self.files[last]
    }

    fn pass(&mut self, call: Call, line: &Line<'_>, feed: &mut Feed) {
        let Some((way, bytes, missing)) = call.passed() else { return };
        let passed = Passed {
            way,
            time: call.time(way),
            offset: line.offset,
            number: line.number,
            bytes,
            missing,
        };
        let file = self.file(&call.file);
        file.held.push_back(passed);
        if file.bus.is_none()
            && let Some(first) = file.frame()
        {
            // What was before may be another file's: not every trace has the calls that close one.
            file.held.drain(..first);
            file.bus = Some(call::bus_name(&file.key));
        }
        if file.bus.is_some() {
            file.give(feed);
        } else {
            file.forget();
        }
    }
}

impl File {
    /// Where among what is held the bytes begin that are whole frames up to the end.
    fn frame(&self) -> Option<usize> {
        let way = self.held.back()?.way;
        let mut bytes: Vec<u8> = Vec::new();
        for (at, passed) in self.held.iter().enumerate().rev().filter(|(_, p)| p.way == way) {
            bytes.splice(0..0, passed.bytes.iter().copied());
            let mut all = spans(&bytes);
            if bytes.first() == Some(&HEAD)
                && passed.missing == 0
                && all.all(|span| matches!(span, Span::Frame { .. }))
            {
                return Some(at);
            }
            if passed.missing > 0 || bytes.len() >= HELD {
                return None;
            }
        }
        None
    }

    fn give(&mut self, feed: &mut Feed) {
        let File { bus, held, .. } = self;
        for passed in held.drain(..) {
            let Passed { way, time, offset, number, bytes, missing } = passed;
            let bus = bus.as_deref().unwrap_or_default();
            feed.wire(&Heard { time, bus, way: Some(way), offset, bytes: &bytes });
            if missing > 0 {
                feed.idle();
                let what = format!("strace left out {missing} bytes: run it with -s 4096");
                feed.complain(number, what);
            }
        }
    }

    /// Forgets what is too old.
    fn forget(&mut self) {
        let size =
            |file: &File| file.held.iter().map(|passed| passed.bytes.len().max(8)).sum::<usize>();
        while size(self) > HELD {
            self.held.pop_front();
        }
    }
}

impl Grammar for Calls {
    fn line(&mut self, line: &Line<'_>, text: &str, feed: &mut Feed) -> Result<(), String> {
        if text.trim().is_empty() {
            return Ok(());
        }
        let (process, time, rest) = self.clock.prefix(text);
        match call::parse(rest, time) {
            Some(Event::Call(call)) => {
                self.count += 1;
                self.pass(call, line, feed);
            }
            Some(Event::Unfinished(call)) => {
                self.count += 1;
                self.unfinished.retain(|(other, _)| other != process);
                if self.unfinished.len() == FILES {
                    self.unfinished.pop_front();
                }
                self.unfinished.push_back((process.to_owned(), call));
            }
            Some(Event::Resumed(rest)) => {
                self.count += 1;
                let known = self.unfinished.iter().position(|(other, _)| other == process);
                let call = known.and_then(|at| self.unfinished.remove(at));
                let whole = call.and_then(|(_, call)| call.resume(rest, time));
                if let Some(call) = whole {
                    self.pass(call, line, feed);
                }
            }
            Some(Event::Close(file)) => {
                self.count += 1;
                if let Some(at) = self.files.iter().position(|known| known.key == file) {
                    self.files.remove(at);
                    feed.idle();
                }
            }
            Some(Event::Other) => self.count += 1,
            Some(Event::Remark) => {}
            None => return Err("expected a call as `read(3, \"\\xf7\", 1) = 1`".to_owned()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

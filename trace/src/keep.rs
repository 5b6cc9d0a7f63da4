//! A running tracer's lines, kept in files while they come: one for each object, and one for all.
//!
//! - Whole lines are handed to the kernel, at the latest [`HAND_OVER`] after they came, if
//!   [`tick`](Keeper::tick) is called that often.
//! - Nothing that exists is overwritten.
//! - Where the disk is full, the file is cut back to its last whole line and what waits is kept, and
//!   tried again every second: [`Keeper::is_stuck`] says that nothing more should be given to it
//!   until then. A tracer counts what it cannot hand over meanwhile.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use k485_proto::record::Time;

use crate::files::{ALL, END, SYSTEM};

/// The longest that a line waits to be handed to the kernel.
pub const HAND_OVER: i64 = 200 * Time::MILLISECOND;
/// So many objects have files of their own; those beyond share one.
pub const MAX_OBJECTS: usize = 250;

/// So many bytes are handed over at once, however new they are.
const BATCH: usize = 64 << 10;
/// How long a full disk is let alone.
const RETRY: i64 = Time::SECOND;
/// The longest object in a file's name, in bytes.
const LONGEST: usize = 100;
/// How many names are tried for files that do not exist.
const TRIES: u32 = 1_000;
/// What the file of objects beyond [`MAX_OBJECTS`] has in the place of one.
const OTHERS: &str = "_others";

/// What to keep, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder; it is made where it is missing.
    pub folder: PathBuf,
    /// Whether each object has a file of its own.
    pub objects: bool,
    /// Whether there is a file with all lines in their order.
    pub all: bool,
    /// A part of a file has at most so many bytes, unless a single line has more.
    pub size: Option<u64>,
    /// A new part of a file begins when it is so old, in nanoseconds.
    pub every: Option<i64>,
}

/// Why nothing can be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The folder cannot be made.
    #[error("{}: cannot make this folder: {error}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The first file cannot be made.
    #[error("{}: cannot begin this file: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeepEvent {
    /// Nothing can be written. Told once, until it goes on.
    #[error("{}: cannot write: {error}; reading waits until there is room", path.display())]
    Stuck {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: String,
    },
    /// It can be written again.
    #[error("writing goes on; nothing that was read is lost")]
    GoesOn,
}

/// What it came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The files, in the order in which they were begun.
    pub files: Vec<PathBuf>,
    /// Lines in them; a line in two files counts twice.
    pub lines: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Lines that could not be written to the end, counted like the others.
    pub lost: u64,
}

/// Keeps lines in files.
#[derive(Debug)]
pub struct Keeper {
    options: Options,
    stamp: String,
    outs: BTreeMap<String, Out>,
    now: Time,
    /// Since when nothing can be written, and when it is tried again.
    stuck: Option<Time>,
    events: Vec<KeepEvent>,
    summary: Summary,
}

/// A file that is written, or the parts of it.
#[derive(Debug)]
struct Out {
    /// What stands for the object in its name.
    name: String,
    part: u32,
    file: Option<(PathBuf, File)>,
    opened: Time,
    /// Bytes in the file.
    size: u64,
    /// Whole lines that are not in the file yet.
    waiting: Vec<u8>,
    since: Option<Time>,
}

impl Keeper {
    /// Begins to keep. `stamps` gives times for the files' names, `YYYYmmdd_HHMMSS`: the first one
    /// that no file has yet is taken.
    ///
    /// # Errors
    /// Where it cannot begin.
    pub fn create(
        options: Options,
        now: Time,
        stamps: impl IntoIterator<Item = String>,
    ) -> Result<Keeper, KeepError> {
        let folder = &options.folder;
        fs::create_dir_all(folder)
            .map_err(|error| KeepError::Folder { path: folder.clone(), error })?;
        let first = if options.all { ALL } else { SYSTEM };
        let mut keeper = Keeper {
            options,
            stamp: String::new(),
            outs: BTreeMap::new(),
            now,
            stuck: None,
            events: Vec::new(),
            summary: Summary::default(),
        };
        let mut failed = KeepError::Folder {
            path: keeper.options.folder.clone(),
            error: ErrorKind::AlreadyExists.into(),
        };
        for stamp in stamps {
            // Another capture that began in the same second may have files of any of our names.
            if is_taken(&keeper.options.folder, &stamp) {
                continue;
            }
            keeper.stamp = stamp;
            let mut out = Out::new(first, now);
            match out.open(&keeper.options.folder, &keeper.stamp, now) {
                Ok(path) => {
                    keeper.summary.files.push(path);
                    keeper.outs.insert(first.to_owned(), out);
                    return Ok(keeper);
                }
                Err((path, error)) if error.kind() == ErrorKind::AlreadyExists => {
                    failed = KeepError::File { path, error };
                }
                Err((path, error)) => return Err(KeepError::File { path, error }),
            }
        }
        Err(failed)
    }

    /// The time in the files' names.
    #[must_use]
    pub fn stamp(&self) -> &str {
        &self.stamp
    }

    /// Takes a line, without its end: for the file of its object, or of those without one.
    pub fn write(&mut self, line: &str, object: Option<&str>, now: Time) {
        self.now = now;
        if self.options.all {
            self.put(ALL.to_owned(), line);
        }
        if self.options.objects {
            let name = object.filter(|object| !object.is_empty()).map(file_name);
            self.put(name.unwrap_or_else(|| SYSTEM.to_owned()), line);
        }
        if !self.is_stuck() {
            self.tick(now);
        }
    }

    /// Takes a line that every file has: where the client was not connected.
    pub fn write_everywhere(&mut self, line: &str, now: Time) {
        self.now = now;
        if self.options.objects {
            self.put(SYSTEM.to_owned(), line);
        }
        let others = self.outs.keys().filter(|name| *name != SYSTEM).cloned();
        for name in others.collect::<Vec<_>>() {
            self.put(name, line);
        }
        self.tick(now);
    }

    fn put(&mut self, name: String, line: &str) {
        // Names that differ in case only are one file, as some file systems have it.
        let mut key = name.to_ascii_lowercase();
        let mut name = name;
        if !self.outs.contains_key(&key) && self.outs.len() > MAX_OBJECTS + 1 {
            (key, name) = (OTHERS.to_owned(), OTHERS.to_owned());
        }
        let out = self.outs.entry(key).or_insert_with(|| Out::new(&name, self.now));
        out.waiting.extend_from_slice(line.as_bytes());
        out.waiting.push(b'\n');
        out.since = out.since.or(Some(self.now));
    }

    /// Tells the time: does what is due by now. Call it at least every [`HAND_OVER`].
    pub fn tick(&mut self, now: Time) {
        self.now = now;
        if let Some(tried) = self.stuck
            && now >= tried
            && now.since(tried) < RETRY
        {
            return;
        }
        let is_due = |out: &Out| {
            let is_old =
                out.since.is_some_and(|since| now < since || now.since(since) >= HAND_OVER);
            is_old || out.waiting.len() >= BATCH
        };
        let due = self.outs.iter().filter(|(_, out)| self.stuck.is_some() || is_due(out));
        let due: Vec<String> = due.map(|(key, _)| key.clone()).collect();
        self.hand_over(&due);
    }

    /// Whether nothing more should be given to it now.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// What a person should know and was not told yet, one thing a call.
    pub fn event(&mut self) -> Option<KeepEvent> {
        (!self.events.is_empty()).then(|| self.events.remove(0))
    }

    /// What it came to so far.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Ends: hands over what waits; what cannot be written is lost.
    pub fn finish(&mut self, now: Time) -> &Summary {
        self.now = now;
        let all: Vec<String> = self.outs.keys().cloned().collect();
        self.hand_over(&all);
        for out in self.outs.values_mut() {
            self.summary.lost += lines(&out.waiting);
            out.waiting.clear();
        }
        &self.summary
    }

    fn hand_over(&mut self, keys: &[String]) {
        let mut failure = None;
        for key in keys {
            let Some(out) = self.outs.get_mut(key) else { continue };
            if let Err((path, error)) =
                out.hand_over(&self.options, &self.stamp, self.now, &mut self.summary)
            {
                failure.get_or_insert((path, error));
            }
        }
        match failure {
            Some((path, error)) => {
                if self.stuck.is_none() {
                    self.events.push(KeepEvent::Stuck { path, error: error.to_string() });
                }
                self.stuck = Some(self.now);
            }
            None if self.stuck.is_some() && !keys.is_empty() => {
                self.stuck = None;
                self.events.push(KeepEvent::GoesOn);
            }
            None => {}
        }
    }
}

/// What lines wait is handed over even where the caller gave up.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.finish(self.now);
    }
}

impl Out {
    fn new(name: &str, now: Time) -> Out {
        Out {
            name: name.to_owned(),
            part: 0,
            file: None,
            opened: now,
            size: 0,
            waiting: Vec::new(),
            since: None,
        }
    }

    /// Begins the next part.
    fn open(
        &mut self,
        folder: &Path,
        stamp: &str,
        now: Time,
    ) -> Result<PathBuf, (PathBuf, io::Error)> {
        let mut tries = 0;
        loop {
            let part = self.part + 1;
            let part = if part > 1 { format!("_{part:05}") } else { String::new() };
            let path = folder.join(format!("{}_{stamp}{part}{END}", self.name));
            tries += 1;
            // Everything goes to the end, so that nothing is overwritten whatever others do.
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => {
                    self.part += 1;
                    self.file = Some((path.clone(), file));
                    (self.size, self.opened) = (0, now);
                    return Ok(path);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists && tries < TRIES => {
                    // The first name is the caller's business.
                    if self.name == ALL || self.name == SYSTEM {
                        return Err((path, error));
                    }
                    self.part += 1;
                }
                Err(error) => return Err((path, error)),
            }
        }
    }

    /// Hands what waits to the kernel. Where it does not take all, the file is cut back to its last
    /// whole line, and the rest waits on.
    fn hand_over(
        &mut self,
        options: &Options,
        stamp: &str,
        now: Time,
        summary: &mut Summary,
    ) -> Result<(), (PathBuf, io::Error)> {
        while !self.waiting.is_empty() {
            if self.is_over(options, now) {
                self.file = None;
            }
            if self.file.is_none() {
                let path = self.open(&options.folder, stamp, now)?;
                summary.files.push(path);
            }
            let Some((path, file)) = &mut self.file else { return Ok(()) };
            let part = match options.size {
                Some(size) => whole_lines(&self.waiting, size.saturating_sub(self.size)),
                None => self.waiting.len(),
            };
            let (written, error) = write(file, &self.waiting[..part]);
            let whole = memchr::memrchr(b'\n', &self.waiting[..written]).map_or(0, |at| at + 1);
            if whole < written
                && let Err(uncut) = file.set_len(self.size + whole as u64)
            {
                let path = path.clone();
                // Half a line stays at its end; what follows goes to the next part.
                self.file = None;
                return Err((path, uncut));
            }
            summary.lines += lines(&self.waiting[..whole]);
            summary.bytes += whole as u64;
            self.size += whole as u64;
            self.waiting.drain(..whole);
            if let Some(error) = error {
                return Err((path.clone(), error));
            }
        }
        self.since = None;
        Ok(())
    }

    fn is_over(&self, options: &Options, now: Time) -> bool {
        let next = memchr::memchr(b'\n', &self.waiting).map_or(0, |at| at as u64 + 1);
        let is_full = options.size.is_some_and(|size| self.size + next > size);
        let is_old = options.every.is_some_and(|every| now.since(self.opened) >= every);
        self.size > 0 && (is_full || is_old)
    }
}

/// How many bytes of whole lines fit into `room`; the first line in any case.
fn whole_lines(waiting: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(waiting.len());
    let first = || memchr::memchr(b'\n', waiting).unwrap_or(waiting.len() - 1);
    memchr::memrchr(b'\n', &waiting[..room]).unwrap_or_else(first) + 1
}

fn lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// How many bytes were written, and why not all.
fn write(file: &mut File, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut done = 0;
    while done < bytes.len() {
        match file.write(&bytes[done..]) {
            Ok(0) => return (done, Some(ErrorKind::WriteZero.into())),
            Ok(size) => done += size,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (done, Some(error)),
        }
    }
    (done, None)
}

/// Whether a file of the folder has this time in its name.
fn is_taken(folder: &Path, stamp: &str) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        crate::files::Name::of(&path).is_some_and(|name| name.stamp == stamp)
    })
}

/// What stands for an object in a file's name: letters, digits, `.`, `-` and `_`.
fn file_name(object: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    let name: String = object.chars().map(safe).take(LONGEST).collect();
    // Names that begin with these are hidden, or are not those of objects.
    if name.starts_with(['_', '.', '-']) { format!("object{name}") } else { name }
}

#[cfg(test)]
mod tests;

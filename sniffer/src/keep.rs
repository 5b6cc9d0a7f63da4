//! A live capture, kept in files while it is watched.
//!
//! A [`Keeper`] is given [`Item`]s and the time, and holds to this:
//!
//! - Whole records are handed to the kernel, in one call a batch, at the latest [`HAND_OVER`] after
//!   they came, if [`tick`](Keeper::tick) is called that often. A program that is killed leaves a
//!   file that can be read to its end; the last moment is missing.
//! - Nothing that exists is overwritten, and nothing is deleted but the oldest files of this run's
//!   own ring.
//! - Where the disk is full, or a file cannot be written, the file is cut back to its last whole
//!   record, that is told once as a [`KeepEvent`], and the rest goes on without it. With a ring, the
//!   oldest file makes room first.
//! - With `sync`, what is written is asked to be on the disk once a second, on a thread of its own:
//!   a slow disk does not keep the caller waiting.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use k485_proto::record::Time;
use rustix::process::Signal;

use crate::format::compressed::Packing;
use crate::format::pcapng;
use crate::format::write::Item;
use crate::format::written::Written;
use disk::Guard;
use file::Open;
use name::Own;
use sync::{Done, Syncer};

pub use report::{KeepError, KeepEvent, Stop, StopReason, Summary};

mod disk;
mod file;
mod name;
mod report;
mod sync;

/// The longest that a record waits to be handed to the kernel.
pub const HAND_OVER: i64 = 200 * Time::MILLISECOND;
/// So many bytes are handed over at once, however new they are.
const BATCH: usize = 64 << 10;
/// How often the disk is asked for its free bytes, and to have what was written.
const CHECK: i64 = Time::SECOND;

/// When a new file begins, with the first record from then on; never where both are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rotation {
    /// When the file has so many bytes.
    pub size: Option<u64>,
    /// When the file is so old, in nanoseconds.
    pub every: Option<i64>,
}

impl Rotation {
    fn is_never(self) -> bool {
        self == Rotation::default()
    }
}

/// What to keep, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The file. Where files rotate, each has a number and a time before this name's end.
    pub path: PathBuf,
    /// The format; `None` for what the name's end says, and pcapng where that says nothing.
    pub format: Option<Written>,
    /// When a new file begins.
    pub rotation: Rotation,
    /// How many files there are at most, the newest ones; `None` for all.
    pub ring: Option<usize>,
    /// How many bytes to leave free on the disk; 0 for a disk that may be filled.
    pub min_free: u64,
    /// Whether what was written is asked to be on the disk once a second.
    pub sync: bool,
    /// What a packet file says beside the records.
    pub about: pcapng::Options,
}

/// Keeps a live capture.
pub struct Keeper {
    options: Options,
    format: Written,
    /// `None` after a rotation until the next record, and when nothing more is written.
    open: Option<Open>,
    /// The files that are complete, for a ring.
    own: VecDeque<Own>,
    number: u32,
    now: Time,
    guard: Guard,
    syncer: Option<Syncer>,
    synced: Option<Time>,
    events: VecDeque<KeepEvent>,
    summary: Summary,
    has_ended: bool,
}

impl Keeper {
    /// Begins a capture: its first file is there when this returns, with what its format begins
    /// with.
    ///
    /// # Errors
    /// Where it cannot begin; nothing is left behind then.
    pub fn create(options: Options, now: Time) -> Result<Keeper, KeepError> {
        let path = &options.path;
        if Packing::of_name(path).is_some() {
            return Err(KeepError::Packed { path: path.clone() });
        }
        if options.ring.is_some() && options.rotation.is_never() {
            return Err(KeepError::RingWithoutRotation);
        }
        let format = options.format.or_else(|| Written::of_name(path)).unwrap_or(Written::Pcapng);
        survive_size_limits();
        let syncer = options.sync.then(Syncer::new).transpose();
        let syncer = syncer.map_err(|error| KeepError::Create { path: path.clone(), error })?;
        let mut keeper = Keeper {
            format,
            open: None,
            own: VecDeque::new(),
            number: 0,
            now,
            guard: Guard::new(options.min_free),
            syncer,
            synced: None,
            events: VecDeque::new(),
            summary: Summary::default(),
            has_ended: false,
            options,
        };
        keeper.open()?;
        Ok(keeper)
    }

    /// The format that is written.
    #[must_use]
    pub fn format(&self) -> Written {
        self.format
    }

    /// The file that is written now; `None` between two, and after the end.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(Open::path)
    }

    /// Takes a record. It never fails: what happened is among the [events](Self::event).
    pub fn write(&mut self, item: &Item, now: Time) {
        self.now = now;
        if self.has_ended || self.summary.stop.is_some() {
            self.summary.missed += 1;
            return;
        }
        self.rotate();
        if self.open.is_none() && self.summary.stop.is_none() {
            let path = self.options.path.clone();
            match self.open() {
                Ok(()) => {}
                Err(KeepError::Full { path, free, min_free }) => {
                    self.stop(path, item.record().time, StopReason::Full { free, min_free });
                }
                Err(KeepError::Create { path, error }) => {
                    self.stop(path, item.record().time, failed(&error));
                }
                Err(error) => {
                    self.stop(path, item.record().time, failed(&io::Error::other(error)));
                }
            }
        }
        let Some(open) = &mut self.open else {
            self.summary.missed += 1;
            return;
        };
        if let Err(error) = open.put(item, now) {
            self.summary.missed += 1;
            self.fail(&error);
        }
        self.tick(now);
    }

    /// Tells the time: does what is due by now. Call it at least every [`HAND_OVER`].
    pub fn tick(&mut self, now: Time) {
        self.now = now;
        self.hear_syncer();
        self.rotate();
        let Some(open) = &self.open else { return };
        let is_due = open.since.is_some_and(|since| is_over(since, now, HAND_OVER));
        if is_due || open.waiting() >= BATCH {
            self.hand_over();
        }
        self.sync();
    }

    /// Ends the capture: everything is handed over and, with `sync`, on the disk.
    pub fn finish(&mut self, now: Time) -> &Summary {
        self.now = now;
        if !self.has_ended {
            self.close();
            self.has_ended = true;
            for done in self.syncer.as_mut().map(Syncer::finish).unwrap_or_default() {
                self.done(done);
            }
        }
        &self.summary
    }

    /// What came to pass and was not told yet, one a call.
    pub fn event(&mut self) -> Option<KeepEvent> {
        self.events.pop_front()
    }

    /// What it came to so far: only what was handed over is counted.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Begins the next file.
    fn open(&mut self) -> Result<(), KeepError> {
        while self.options.ring.is_some_and(|ring| self.own.len() >= ring.max(1)) {
            self.remove_oldest();
        }
        let (path, file) = loop {
            match self.create_file() {
                Ok(created) => break created,
                Err((_, error)) if is_full(&error) && self.make_room() => {}
                Err((path, error)) if error.kind() == ErrorKind::AlreadyExists => {
                    return Err(KeepError::Exists { path });
                }
                Err((path, error)) => return Err(KeepError::Create { path, error }),
            }
        };
        let begun = Own::new(path.clone(), &file).and_then(|own| {
            let about = self.options.about.clone();
            let format = self.format;
            Open::begin(own, file, self.now, |batch| format.writer(batch, about))
        });
        let mut open = begun.map_err(|error| KeepError::Create { path: path.clone(), error })?;
        if let Some(free) = self.guard.shortage(&open, self.now)
            && !self.make_room()
        {
            let min_free = self.guard.min_free;
            abandon(&open);
            return Err(KeepError::Full { path, free, min_free });
        }
        loop {
            let handed = open.hand_over();
            self.summary.bytes += handed.bytes;
            match handed.error {
                None => break,
                Some(error) if is_full(&error) && self.make_room() => {}
                Some(error) => {
                    abandon(&open);
                    return Err(KeepError::Create { path, error });
                }
            }
        }
        self.summary.files += 1;
        if let Some(syncer) = &mut self.syncer {
            syncer.name(&path);
        }
        self.open = Some(open);
        Ok(())
    }

    fn create_file(&mut self) -> Result<(PathBuf, File), (PathBuf, io::Error)> {
        let path = &self.options.path;
        if self.options.rotation.is_never() {
            return name::create(path)
                .map(|file| (path.clone(), file))
                .map_err(|e| (path.clone(), e));
        }
        name::create_numbered(path, &mut self.number, self.now)
    }

    /// Ends the file if its time or its size is over; the next record begins another.
    fn rotate(&mut self) {
        let Rotation { size, every } = self.options.rotation;
        let is_over = self.open.as_ref().is_some_and(|open| {
            let is_full = size.is_some_and(|size| open.size() >= size);
            let is_old = every.is_some_and(|every| self.now.since(open.opened) >= every);
            // A silent bus makes no empty files.
            open.records > 0 && (is_full || is_old)
        });
        if is_over {
            self.close();
        }
    }

    /// Ends the file that is open.
    fn close(&mut self) {
        let Some(open) = &mut self.open else { return };
        if let Err(error) = open.end() {
            self.fail(&error);
            return;
        }
        self.hand_over();
        if let Some(open) = self.open.take() {
            self.leave(open);
        }
    }

    /// What is left to do with a file that nothing more is written to.
    fn leave(&mut self, open: Open) {
        if let Some(syncer) = &mut self.syncer {
            syncer.data(open.path(), &open.file);
        }
        self.summary.losses.merge(open.losses());
        if self.options.ring.is_some() {
            self.own.push_back(open.own);
        }
    }

    /// Hands over what waits.
    fn hand_over(&mut self) {
        while let Some(open) = &self.open {
            if let Some(free) = self.guard.shortage(open, self.now)
                && !self.make_room()
            {
                let reason = StopReason::Full { free, min_free: self.guard.min_free };
                self.stop_here(reason);
                return;
            }
            let Some(open) = &mut self.open else { return };
            let handed = open.hand_over();
            self.summary.records += handed.records;
            self.summary.bytes += handed.bytes;
            self.guard.wrote(handed.bytes);
            let Some(error) = handed.error else { return };
            if !(is_full(&error) && self.make_room()) {
                self.fail(&error);
                return;
            }
        }
    }

    /// Deletes the oldest file of the ring since the disk is full; false where there is none but the
    /// one that is written.
    fn make_room(&mut self) -> bool {
        let oldest = self.own.front().map(|own| own.path.clone());
        let is_removed = self.remove_oldest();
        if is_removed && let Some(path) = oldest.clone() {
            self.events.push_back(KeepEvent::Removed { path });
        }
        oldest.is_some()
    }

    /// Deletes the oldest file of the ring, and tells whether it did.
    fn remove_oldest(&mut self) -> bool {
        let Some(own) = self.own.pop_front() else { return false };
        let result = own.remove();
        let is_removed = matches!(result, Ok(true));
        self.summary.deleted += u64::from(is_removed);
        if let Err(error) = result {
            let error = error.to_string();
            self.events.push_back(KeepEvent::NotRemoved { path: own.path, error });
        }
        is_removed
    }

    fn fail(&mut self, error: &io::Error) {
        self.stop_here(failed(error));
    }

    /// Stops with the file that is open.
    fn stop_here(&mut self, reason: StopReason) {
        let Some(open) = self.open.take() else { return };
        let (missing, since) = open.missing();
        self.summary.missed += missing;
        let path = open.path().to_owned();
        self.leave(open);
        self.stop(path, since, reason);
    }

    fn stop(&mut self, path: PathBuf, since: Option<Time>, reason: StopReason) {
        let stop = Stop { path, since: since.unwrap_or(self.now), reason };
        self.events.push_back(KeepEvent::Stopped(stop.clone()));
        self.summary.stop = Some(stop);
    }

    /// Asks for what was written to be on the disk, if that is due and nothing is asked already.
    fn sync(&mut self) {
        let (Some(syncer), Some(open)) = (&mut self.syncer, &mut self.open) else { return };
        let is_due = self.synced.is_none_or(|synced| is_over(synced, self.now, CHECK));
        if open.is_dirty && is_due && !syncer.is_busy() {
            syncer.data(open.own.path.as_path(), &open.file);
            open.is_dirty = false;
            self.synced = Some(self.now);
        }
    }

    fn hear_syncer(&mut self) {
        while let Some(done) = self.syncer.as_mut().and_then(Syncer::poll) {
            self.done(done);
        }
    }

    fn done(&mut self, Done { path, result }: Done) {
        let Err(error) = result else { return };
        if !self.summary.unsynced {
            let error = error.to_string();
            self.events.push_back(KeepEvent::NotSynced { path, error });
        }
        self.summary.unsynced = true;
    }
}

/// What waits is handed over even where the caller gave up.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.finish(self.now);
    }
}

/// Whether so long has passed; also where the clock went back, so that nothing waits for ever.
fn is_over(since: Time, now: Time, length: i64) -> bool {
    now < since || now.since(since) >= length
}

/// Whether deleting a file may help.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn failed(error: &io::Error) -> StopReason {
    StopReason::Failed { kind: error.kind(), error: error.to_string() }
}

/// Takes back a file in which nothing is.
fn abandon(open: &Open) {
    // It is this run's own, and empty; where it cannot be deleted it harms nobody.
    let _ = open.own.remove();
}

/// A file that reaches a limit of its size (`ulimit -f`) is an error like others, and does not kill
/// the program.
pub fn survive_size_limits() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Where it cannot be done, only such a limit kills.
        let unread = Arc::new(AtomicBool::new(false));
        let _ = signal_hook::flag::register(Signal::XFSZ.as_raw(), unread);
    });
}

#[cfg(test)]
mod tests;

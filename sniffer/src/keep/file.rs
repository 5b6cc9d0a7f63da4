//! One file of a live capture: whole records are gathered, and handed to the kernel together.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k485_proto::record::Time;

use super::name::Own;
use crate::format::write::{CaptureWriter, Item, Losses};

/// What a capture writer writes to, until it is handed over.
#[derive(Debug, Clone, Default)]
pub(super) struct Batch(Arc<Mutex<Vec<u8>>>);

impl Batch {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Batch {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a record ends in the batch, and its time.
struct End {
    at: usize,
    time: Time,
}

/// What was handed over.
#[derive(Debug, Default)]
pub(super) struct Handed {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Why not everything was.
    pub(super) error: Option<io::Error>,
}

/// A file that is being written.
pub(super) struct Open {
    pub(super) own: Own,
    pub(super) file: Arc<File>,
    pub(super) opened: Time,
    writer: Box<dyn CaptureWriter + Send>,
    batch: Batch,
    ends: Vec<End>,
    /// When the oldest record of the batch was put there.
    pub(super) since: Option<Time>,
    /// The bytes in the file.
    size: u64,
    /// Records in the file and in the batch.
    pub(super) records: u64,
    /// Whether something was written since it was last asked to be on the disk.
    pub(super) is_dirty: bool,
    /// Whether the file ends in the middle of something, which cannot be cut off.
    is_broken: bool,
}

impl Open {
    /// A new file, with its header in the batch.
    pub(super) fn begin(
        own: Own,
        file: File,
        opened: Time,
        writer: impl FnOnce(Batch) -> Box<dyn CaptureWriter + Send>,
    ) -> io::Result<Open> {
        let batch = Batch::default();
        let mut writer = writer(batch.clone());
        writer.begin()?;
        Ok(Open {
            own,
            file: Arc::new(file),
            opened,
            writer,
            batch,
            ends: Vec::new(),
            since: None,
            size: 0,
            records: 0,
            is_dirty: false,
            is_broken: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.own.path
    }

    /// Takes a record into the batch.
    pub(super) fn put(&mut self, item: &Item, now: Time) -> io::Result<()> {
        let before = self.waiting();
        self.writer.write(item)?;
        let at = self.waiting();
        // What the format has no place for is among the losses.
        if at > before {
            self.ends.push(End { at, time: item.record().time.unwrap_or(now) });
            self.since = self.since.or(Some(now));
            self.records += 1;
        }
        Ok(())
    }

    /// The bytes in the batch.
    pub(super) fn waiting(&self) -> usize {
        self.batch.bytes().len()
    }

    /// The bytes of the file and of the batch.
    pub(super) fn size(&self) -> u64 {
        self.size + self.waiting() as u64
    }

    /// The records in the batch: how many, and the first one's time.
    pub(super) fn missing(&self) -> (u64, Option<Time>) {
        (self.ends.len() as u64, self.ends.first().map(|end| end.time))
    }

    /// Hands the batch to the kernel, in one call where that takes it whole. Where it does not, the
    /// file is cut back to its last whole record, and what is behind it stays in the batch.
    pub(super) fn hand_over(&mut self) -> Handed {
        if self.is_broken {
            let error = Some(io::Error::other("the file ends in the middle of a record"));
            return Handed { error, ..Handed::default() };
        }
        let mut bytes = self.batch.bytes();
        if bytes.is_empty() {
            return Handed::default();
        }
        let (written, mut error) = write_all(&self.file, &bytes);
        let mut whole = written;
        let mut records = self.ends.len();
        if let Some(failed) = &mut error {
            records = self.ends.partition_point(|end| end.at <= written);
            whole = self.ends[..records].last().map_or(0, |end| end.at);
            if whole < written
                && let Err(uncut) = self.file.set_len(self.size + whole as u64)
            {
                self.is_broken = true;
                let what = format!("{failed}; half a record stays at its end: {uncut}");
                *failed = io::Error::new(failed.kind(), what);
            }
        }
        bytes.drain(..whole);
        drop(bytes);
        self.ends.drain(..records);
        self.ends.iter_mut().for_each(|end| end.at -= whole);
        if self.ends.is_empty() {
            self.since = None;
        }
        self.size += whole as u64;
        self.is_dirty |= whole > 0;
        Handed { records: records as u64, bytes: whole as u64, error }
    }

    /// Puts the capture's end into the batch.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.writer.finish()
    }

    /// What the format could not hold.
    pub(super) fn losses(&self) -> &Losses {
        self.writer.losses()
    }
}

/// How many bytes were written, and why not all.
fn write_all(mut file: &File, bytes: &[u8]) -> (usize, Option<io::Error>) {
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

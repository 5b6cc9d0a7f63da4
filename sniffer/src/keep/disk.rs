//! The free bytes of the disk.

use k485_proto::record::Time;

use super::file::Open;
use super::{CHECK, is_over};

/// It is asked for its free bytes after so many written ones, however soon that is.
const MUCH: u64 = 1 << 20;

/// Watches that enough is left free.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) min_free: u64,
    /// When the disk was asked last, and how many bytes were written since.
    checked: Option<Time>,
    written: u64,
}

impl Guard {
    pub(super) fn new(min_free: u64) -> Guard {
        Guard { min_free, checked: None, written: 0 }
    }

    /// The free bytes, if they are too few for what waits to be written. Asks once a second.
    pub(super) fn shortage(&mut self, open: &Open, now: Time) -> Option<u64> {
        let is_due = self.checked.is_none_or(|checked| is_over(checked, now, CHECK));
        if self.min_free == 0 || !(is_due || self.written >= MUCH) {
            return None;
        }
        (self.checked, self.written) = (Some(now), 0);
        // A file system that does not tell is not watched.
        let disk = rustix::fs::fstatvfs(&open.file).ok()?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let needed = self.min_free.saturating_add(open.waiting() as u64);
        (free < needed).then_some(free)
    }

    pub(super) fn wrote(&mut self, bytes: u64) {
        self.written += bytes;
    }
}

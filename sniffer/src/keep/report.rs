//! What a live capture has to tell: why it cannot begin, what happens to it, what it came to.

use std::fmt;
use std::io;
use std::path::PathBuf;

use k485_proto::record::Time;

use crate::format::write::Losses;

/// Why a live capture cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The name asks for a packed file.
    #[error(
        "{}: a live capture is not written packed, since a killed program would leave a broken \
         stream: leave the name's last end away, and pack it with k485 convert afterwards",
        path.display()
    )]
    Packed {
        /// The name.
        path: PathBuf,
    },
    /// There is a file of this name.
    #[error("cannot create {} (a capture is never overwritten: choose a new name)", path.display())]
    Exists {
        /// The name.
        path: PathBuf,
    },
    /// The file cannot be created, or not be written.
    #[error("cannot create {}: {error}", path.display())]
    Create {
        /// The name.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The disk is too full to begin.
    #[error(
        "cannot create {}: {} is free on that disk, and {} is to be left free",
        path.display(), Bytes(*free), Bytes(*min_free)
    )]
    Full {
        /// The name.
        path: PathBuf,
        /// How many bytes are free.
        free: u64,
        /// How many are to be left free.
        min_free: u64,
    },
    /// A ring without a rotation would have one file that grows for ever.
    #[error("to keep only the newest files, say when a new one begins: by size or by time")]
    RingWithoutRotation,
}

/// What happens to a live capture; each is told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepEvent {
    /// Nothing more is written.
    Stopped(Stop),
    /// The ring's oldest file was deleted before its time, since the disk is full.
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// The ring's oldest file could not be deleted, and stays.
    NotRemoved {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: String,
    },
    /// What was written may not be on the disk.
    NotSynced {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: String,
    },
}

/// Where a live capture stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The file that was written.
    pub path: PathBuf,
    /// The time of the first record that is not kept, or that at which it stopped.
    pub since: Time,
    /// Why.
    pub reason: StopReason,
}

/// Why a live capture stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// Less is free than was to be left free.
    Full {
        /// How many bytes are free.
        free: u64,
        /// How many are to be left free.
        min_free: u64,
    },
    /// It could not be written.
    Failed {
        /// What kind of failure.
        kind: io::ErrorKind,
        /// What the system says.
        error: String,
    },
}

impl fmt::Display for KeepEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeepEvent::Stopped(stop) => write!(f, "{stop}"),
            KeepEvent::Removed { path } => {
                write!(f, "{}: deleted, the disk is full", path.display())
            }
            KeepEvent::NotRemoved { path, error } => {
                write!(f, "{}: cannot be deleted: {error}", path.display())
            }
            KeepEvent::NotSynced { path, error } => {
                write!(f, "{}: perhaps not all is on the disk: {error}", path.display())
            }
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: the capture stops here: ", self.path.display())?;
        match &self.reason {
            StopReason::Full { free, min_free } => {
                let (free, min_free) = (Bytes(*free), Bytes(*min_free));
                write!(f, "{free} is free on the disk, and {min_free} is to be left free")
            }
            StopReason::Failed { kind: io::ErrorKind::FileTooLarge, error } => {
                write!(f, "{error} (begin a new file before that size)")
            }
            StopReason::Failed { error, .. } => f.write_str(error),
        }
    }
}

/// What a live capture came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records in all files, also in those that were deleted.
    pub records: u64,
    /// Bytes in all files, also in those that were deleted.
    pub bytes: u64,
    /// Files.
    pub files: u64,
    /// How many of them were deleted.
    pub deleted: u64,
    /// Records that are in no file, since writing had stopped.
    pub missed: u64,
    /// What the format could not hold.
    pub losses: Losses,
    /// Where it stopped, if it did.
    pub stop: Option<Stop>,
    /// Whether something may not be on the disk.
    pub unsynced: bool,
}

impl Summary {
    /// Whether everything that was given was written.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stop.is_none() && self.missed == 0 && !self.unsynced
    }
}

/// `12 records, 3456 bytes in 2 files`, and whether something is missing.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let Summary { records, bytes, files, deleted, .. } = self;
        write!(
            f,
            "{records} record{}, {bytes} byte{} in {files} file{}",
            plural(*records),
            plural(*bytes),
            plural(*files)
        )?;
        if *deleted > 0 {
            write!(f, " ({deleted} of them deleted again)")?;
        }
        if let Some(Stop { since, .. }) = &self.stop {
            let missed = self.missed;
            let plural = plural(missed);
            write!(f, "; incomplete: {missed} record{plural} from {} on not kept", Moment(*since))?;
        } else if self.unsynced {
            f.write_str("; perhaps not all of it is on the disk")?;
        }
        Ok(())
    }
}

/// A time in UTC, or in seconds where the clock has no year.
struct Moment(Time);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0.0)) {
            Ok(stamp) => write!(f, "{stamp:.3}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

/// A size, in the largest unit of 1024 that it has one of.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
        let unit = (0..units.len()).rev().find(|unit| self.0 >> (10 * unit) > 0).unwrap_or(0);
        let tenth = if unit == 0 { 0 } else { (self.0 >> (10 * unit - 10)) % 1024 * 10 / 1024 };
        match (unit, tenth) {
            (0, _) | (_, 0) => write!(f, "{} {}", self.0 >> (10 * unit), units[unit]),
            (_, tenth) => write!(f, "{}.{tenth} {}", self.0 >> (10 * unit), units[unit]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1_023, "1023 bytes"),
            (1_024, "1 KiB"),
            (100 << 20, "100 MiB"),
            ((5 << 30) + (512 << 20), "5.5 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn what_a_capture_came_to() {
        let mut summary = Summary { records: 1, bytes: 90, files: 1, ..Summary::default() };
        assert_eq!(summary.to_string(), "1 record, 90 bytes in 1 file");
        assert!(summary.is_complete());
        let reason = StopReason::Full { free: 1 << 20, min_free: 1 << 30 };
        let stop = Stop { path: "a.log".into(), since: Time(1_767_293_742_500_000_000), reason };
        assert_eq!(
            stop.to_string(),
            "a.log: the capture stops here: 1 MiB is free on the disk, and 1 GiB is to be left free"
        );
        (summary.stop, summary.missed) = (Some(stop), 7);
        assert_eq!(
            summary.to_string(),
            "1 record, 90 bytes in 1 file; incomplete: 7 records from 2026-01-01T18:55:42.500Z on \
             not kept"
        );
        assert!(!summary.is_complete());
    }
}

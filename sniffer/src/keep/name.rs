//! The names of the files of a live capture, and which of them it may delete.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use k485_proto::record::Time;

/// How many numbers are tried for a name that does not exist.
const TRIES: u32 = 1000;

/// `NAME_00001_20261124T234131Z.END`, in the order of time as in that of names.
fn numbered(path: &Path, number: u32, time: Time) -> PathBuf {
    let stamp = jiff::Timestamp::from_nanosecond(i128::from(time.0)).ok();
    let stamp = stamp.map(|stamp| stamp.strftime("%Y%m%dT%H%M%SZ").to_string());
    let mut name = OsString::from(path.file_stem().unwrap_or_default());
    name.push(format!("_{number:05}_{}", stamp.unwrap_or_default()));
    if let Some(end) = path.extension() {
        name.push(".");
        name.push(end);
    }
    path.with_file_name(name)
}

/// Creates a file that did not exist. Everything that is written to it goes to its end.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).open(path)
}

/// Creates the next numbered file, and counts on; a number whose name is taken is left out.
pub(super) fn create_numbered(
    path: &Path,
    number: &mut u32,
    time: Time,
) -> Result<(PathBuf, File), (PathBuf, io::Error)> {
    let mut tries = 0;
    loop {
        *number = number.saturating_add(1);
        tries += 1;
        let name = numbered(path, *number, time);
        match create(&name) {
            Ok(file) => return Ok((name, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => {}
            Err(error) => return Err((name, error)),
        }
    }
}

/// A file that this run has written: only what still is that file is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) path: PathBuf,
    device: u64,
    inode: u64,
}

impl Own {
    pub(super) fn new(path: PathBuf, file: &File) -> io::Result<Own> {
        let meta = file.metadata()?;
        Ok(Own { path, device: meta.dev(), inode: meta.ino() })
    }

    /// Deletes the file; false where it is not there any more, or another one is.
    pub(super) fn remove(&self) -> io::Result<bool> {
        let meta = match fs::symlink_metadata(&self.path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if (meta.dev(), meta.ino()) != (self.device, self.inode) {
            return Ok(false);
        }
        fs::remove_file(&self.path).map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_number_and_a_time() {
        let time = Time(1_795_563_691_999_999_999);
        for (path, name) in [
            ("x/bus.pcapng", "x/bus_00007_20261124T234131Z.pcapng"),
            ("bus", "bus_00007_20261124T234131Z"),
            ("a.b.log", "a.b_00007_20261124T234131Z.log"),
        ] {
            assert_eq!(numbered(Path::new(path), 7, time), Path::new(name));
        }
    }
}

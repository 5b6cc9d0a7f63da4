//! Where running emulators leave what others find them by.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// What the name of a note begins with; the process's number follows.
const NOTE: &str = "k485-control-";
/// The largest note.
const LARGEST: u64 = 4096;

/// A folder that is the user's alone.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)
        && folder.is_dir()
    {
        return Ok(folder);
    }
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("k485-{user}"));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => return Ok(folder),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| folder.display().to_string()),
    }
    // Anybody can make folders in /tmp, links too.
    let meta = fs::symlink_metadata(&folder).with_context(|| folder.display().to_string())?;
    if !meta.is_dir() || meta.uid() != user || meta.mode() & 0o077 != 0 {
        bail!(
            "{}: is not a folder of yours alone; remove it, or set XDG_RUNTIME_DIR",
            folder.display()
        );
    }
    Ok(folder)
}

/// Where a face is, and what it wants to be told; for programs of the same user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Found {
    /// Its URL.
    pub(crate) url: String,
    /// Its token.
    pub(crate) token: String,
}

/// A file that tells it, which nobody else can read. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Note(PathBuf);

impl Note {
    /// Leaves one.
    pub(crate) fn leave(found: &Found) -> anyhow::Result<Note> {
        let path = folder()?.join(format!("{NOTE}{}.json", std::process::id()));
        // Of an earlier process with this number, which had no time to remove it.
        let _ = fs::remove_file(&path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.with_context(|| path.display().to_string())?;
        let note = Note(path);
        let text = serde_json::to_string(found)?;
        writeln!(file, "{text}").with_context(|| note.0.display().to_string())?;
        Ok(note)
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What the running ones left. A note of a process that is gone is removed.
pub(crate) fn found() -> anyhow::Result<Vec<Found>> {
    let folder = folder()?;
    let mut all = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let Some(process) = process_of(&path) else { continue };
        match test_kill_process(process) {
            Err(rustix::io::Errno::SRCH) => drop(fs::remove_file(&path)),
            _ => all.extend(read(&path)),
        }
    }
    Ok(all)
}

/// Whose note it is, by its name.
fn process_of(path: &Path) -> Option<Pid> {
    let name = path.file_name()?.to_str()?;
    let number = name.strip_prefix(NOTE)?.strip_suffix(".json")?;
    Pid::from_raw(number.parse().ok()?)
}

/// A note that can be read; one that is just being written or removed cannot.
fn read(path: &Path) -> Option<Found> {
    let file = fs::File::open(path).ok()?;
    let text = io::read_to_string(io::Read::take(file, LARGEST)).ok()?;
    serde_json::from_str(&text).ok()
}

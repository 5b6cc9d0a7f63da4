//! Which traces to read: files, folders, stdin; and reading them, a session after the other.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use k485_sniffer::capture::{self, Format, Likelihood};
use k485_sniffer::format::compressed::Packing;
use k485_sniffer::format::json::Json;
use k485_sniffer::format::jsonl::Jsonl;
use k485_trace::files::{self, LateFile, Session};
use k485_trace::{Event, EventReader, MergedEvents, looks_like_trace};

use crate::complaints::{Complaints, say};
use crate::input::printable;

/// How deep folders are looked into.
const DEPTH: usize = 8;
/// How much of a file is looked at to tell what it is.
const HEAD: u64 = 64 << 10;

/// Which traces to read.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FilesArg {
    /// Traces, or folders with them; `-` is stdin
    #[arg(value_name = "FILE|DIR", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Fail at the first place that cannot be read, instead of skipping it
    #[arg(long)]
    strict: bool,
}

/// One file that is read.
type Input = Box<dyn BufRead + Send>;

impl FilesArg {
    /// What is there, a session at a time, the earliest first.
    pub(crate) fn sessions(&self) -> anyhow::Result<Vec<Session>> {
        Ok(files::sessions(files::chosen(found(&self.files)?)))
    }

    /// Gives all events to `each`, with the number of their space: ids of one space are those of
    /// one tracer. Before each session `begin` is told which. Gives how many places were skipped.
    pub(crate) fn read<S>(
        &self,
        state: &mut S,
        mut begin: impl FnMut(&mut S, &Session) -> anyhow::Result<()>,
        mut each: impl FnMut(&mut S, usize, &Event<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        let sessions = self.sessions()?;
        let mut complaints = Complaints::new(self.strict);
        let mut events = 0_u64;
        for session in &sessions {
            begin(state, session)?;
            let readers = session.files.iter().map(|path| open(path));
            let readers = readers.collect::<anyhow::Result<Vec<_>>>()?;
            for item in MergedEvents::new(readers) {
                match item {
                    Ok((source, event)) => {
                        events += 1;
                        let space = if session.stamp.is_some() { 0 } else { source };
                        each(state, space, &event)?;
                    }
                    Err(complaint) => complaints.tell(&complaint, say)?,
                }
            }
        }
        let skipped = complaints.finish(say);
        if events == 0 {
            bail!("no event found{}", if skipped > 0 { ", see above" } else { "" });
        }
        Ok(skipped)
    }
}

/// The files that some paths mean: those named, and in folders those that are traces.
pub(crate) fn found(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            files.push(path.clone());
            continue;
        }
        let context = || path.display().to_string();
        if fs::metadata(path).with_context(context)?.is_dir() {
            let before = files.len();
            folder(path, DEPTH, &mut files).with_context(context)?;
            if files.len() == before {
                bail!("{}: no trace (*.jsonl) in this folder", path.display());
            }
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// The traces in a folder and in its folders. Hidden files, and links to folders, are left out.
fn folder(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push((entry.path(), entry.file_type()?.is_dir()));
        }
    }
    entries.sort();
    for (path, is_folder) in entries {
        if is_folder && depth > 0 {
            folder(&path, depth - 1, files)?;
        } else if !is_folder && is_jsonl(&path) && is_trace(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_jsonl(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("jsonl"))
}

/// Whether a file begins as a trace does, or holds nothing yet. What cannot be read is told when it
/// is read.
fn is_trace(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return true };
    let mut head = Vec::new();
    if file.take(HEAD).read_to_end(&mut head).is_err() || head.is_empty() {
        return true;
    }
    // Lines of captures are JSON with a type, too: k485's own, and those of others.
    let is_capture = |format: &dyn Format| format.detect(&head) == Likelihood::Sure;
    looks_like_trace(&head) && !is_capture(&Jsonl) && !is_capture(&Json)
}

/// Opens one file; a packed one is unpacked.
pub(crate) fn open(path: &Path) -> anyhow::Result<EventReader<Input>> {
    if path == Path::new("-") {
        let input = capture::unpacked(Box::new(io::stdin())).context("stdin")?;
        return Ok(EventReader::new("stdin", Box::new(BufReader::new(input))));
    }
    let name = printable(path);
    let mut file = File::open(path).with_context(|| name.clone())?;
    let mut head = Vec::new();
    file.by_ref().take(16).read_to_end(&mut head).with_context(|| name.clone())?;
    if Packing::of_head(&head).is_none() {
        return Ok(EventReader::new(name, Box::new(LateFile::new(path))));
    }
    let file = File::open(path).with_context(|| name.clone())?;
    let input = capture::unpacked(Box::new(file)).with_context(|| name.clone())?;
    Ok(EventReader::new(name, Box::new(BufReader::new(input))))
}

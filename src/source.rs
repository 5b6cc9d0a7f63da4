//! Which inputs a command line names: files, stdin, patterns of names, folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use k485_trace::files::chosen;

use crate::formats::From;

/// How deep folders are looked into.
const DEPTH: usize = 8;

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The file, the trace's folder, or `-`.
    pub(crate) path: PathBuf,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What an input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Standard input.
    Stdin,
    /// A file that was named.
    File,
    /// A file that was found in a folder or by a pattern: it may be no capture.
    Found,
    /// A folder of traces, with its `*.jsonl` files.
    Traces(Vec<PathBuf>),
}

impl Source {
    /// Its bytes; `None` where nobody knows before they are read.
    pub(crate) fn size(&self) -> Option<u64> {
        let size = |path: &PathBuf| fs::metadata(path).ok().filter(fs::Metadata::is_file);
        match &self.kind {
            Kind::Stdin => None,
            Kind::File | Kind::Found => size(&self.path).map(|meta| meta.len()),
            Kind::Traces(files) => files.iter().map(|path| size(path).map(|m| m.len())).sum(),
        }
    }
}

/// The inputs of some arguments, in the order of the arguments, those of one argument by name.
pub(crate) fn sources(paths: &[PathBuf], from: Option<From>) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            sources.push(Source { path: path.clone(), kind: Kind::Stdin });
        } else if path.exists() {
            add(path, from, &mut sources)?;
        } else {
            // The shell expands a pattern, unless it is quoted or matches nothing.
            let found = pattern(path)?;
            let before = sources.len();
            for path in &found {
                add(path, from, &mut sources)?;
            }
            for source in sources[before..].iter_mut().filter(|s| s.kind == Kind::File) {
                source.kind = Kind::Found;
            }
            if found.is_empty() {
                // Says what is wrong with the path itself.
                fs::metadata(path).with_context(|| path.display().to_string())?;
            }
        }
    }
    Ok(sources)
}

/// The paths that a pattern matches, by name; none for a path that is no pattern.
fn pattern(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let Some(text) = path.to_str().filter(|text| text.contains(['*', '?', '['])) else {
        return Ok(Vec::new());
    };
    let paths = glob::glob(text).with_context(|| format!("{text}: no file, and no pattern"))?;
    let paths = paths.collect::<Result<Vec<PathBuf>, _>>().with_context(|| text.to_owned())?;
    if paths.is_empty() {
        bail!("{text}: no file has such a name");
    }
    Ok(paths)
}

/// A path that exists.
fn add(path: &Path, from: Option<From>, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    let context = || path.display().to_string();
    if !fs::metadata(path).with_context(context)?.is_dir() {
        sources.push(Source { path: path.to_owned(), kind: Kind::File });
        return Ok(());
    }
    let before = sources.len();
    folder(path, from, DEPTH, sources).with_context(context)?;
    if sources.len() == before {
        bail!("{}: no file in this folder", path.display());
    }
    Ok(())
}

/// A folder: a trace if it has `*.jsonl` files, else every file in it and in its folders, by name.
/// Hidden files, and links to folders, are left out.
fn folder(
    path: &Path,
    from: Option<From>,
    depth: usize,
    sources: &mut Vec<Source>,
) -> anyhow::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push((entry.path(), entry.file_type()?.is_dir()));
        }
    }
    entries.sort();
    if matches!(from, None | Some(From::Trace)) {
        let is_jsonl =
            |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("jsonl"));
        let traces = entries.iter().filter(|(path, _)| is_jsonl(path) && path.is_file());
        let traces: Vec<PathBuf> = traces.map(|(path, _)| path.clone()).collect();
        if !traces.is_empty() {
            // Which of them tell the same twice only their names say.
            let kind = Kind::Traces(chosen(traces));
            sources.push(Source { path: path.to_owned(), kind });
            return Ok(());
        }
    }
    for (path, is_folder) in entries {
        if is_folder && depth > 0 {
            folder(&path, from, depth - 1, sources)?;
        } else if path.is_file() {
            sources.push(Source { path, kind: Kind::Found });
        }
    }
    Ok(())
}

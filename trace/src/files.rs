//! Files of captures: their names, which of them belong together, and which of those to read.
//!
//! A client writes a file an object, `<object>_<YYYYmmdd_HHMMSS>.jsonl`, and what belongs to none to
//! `_system_<…>.jsonl`. k485's own client writes all events in their order to `_all_<…>.jsonl` as
//! well, and where files are rotated it goes on in `<object>_<…>_00002.jsonl`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// What the file of all events has in the place of an object.
pub const ALL: &str = "_all";
/// What the file of events without an object has in the place of one.
pub const SYSTEM: &str = "_system";
/// How the names end.
pub const END: &str = ".jsonl";

/// How much is read from a file at a time, in bytes.
const BUFFER: usize = 64 * 1024;

/// What a file's name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// The object, as it is in the name.
    pub object: &'a str,
    /// When the client began: `YYYYmmdd_HHMMSS`.
    pub stamp: &'a str,
    /// Which of the rotated files, from 1.
    pub part: u32,
}

impl<'a> Name<'a> {
    /// Reads a file's name; `None` for one that no client of a tracer wrote.
    #[must_use]
    pub fn of(path: &'a Path) -> Option<Name<'a>> {
        let stem = path.file_name()?.to_str()?.strip_suffix(END)?;
        let digits =
            |text: &str, size| text.len() == size && text.bytes().all(|b| b.is_ascii_digit());
        let (stem, part) = match stem.rsplit_once('_') {
            // Rotated files have five digits, times six.
            Some((stem, part)) if digits(part, 5) => (stem, part.parse().ok()?),
            _ => (stem, 1),
        };
        let (before, time) = stem.rsplit_once('_')?;
        let (object, date) = before.rsplit_once('_')?;
        if !(digits(time, 6) && digits(date, 8) && !object.is_empty()) {
            return None;
        }
        let stamp = stem.get(object.len() + 1..)?;
        Some(Name { object, stamp, part })
    }
}

/// Files that are read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// When the client began, where the names tell it: then ids are those of one tracer.
    pub stamp: Option<String>,
    /// The files, by name.
    pub files: Vec<PathBuf>,
}

/// Leaves out the files of single objects where there is one with all events: they tell the same.
#[must_use]
pub fn chosen(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    let key = |path: &Path| {
        let name = Name::of(path)?;
        Some((name.object == ALL, path.parent()?.to_owned(), name.stamp.to_owned()))
    };
    let whole: BTreeSet<(PathBuf, String)> = files
        .iter()
        .filter_map(|path| key(path))
        .filter_map(|(is_all, folder, stamp)| is_all.then_some((folder, stamp)))
        .collect();
    files.retain(|path| {
        key(path).is_none_or(|(is_all, folder, stamp)| is_all || !whole.contains(&(folder, stamp)))
    });
    files
}

/// Puts files together that one run of a client wrote, the earliest run first; those of a folder
/// whose names tell nothing are one session as well.
#[must_use]
pub fn sessions(files: impl IntoIterator<Item = PathBuf>) -> Vec<Session> {
    let mut sessions: BTreeMap<(Option<String>, PathBuf), Vec<PathBuf>> = BTreeMap::new();
    for path in files {
        let stamp = Name::of(&path).map(|name| name.stamp.to_owned());
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        sessions.entry((stamp, folder)).or_default().push(path);
    }
    let session = |((stamp, _), mut files): ((Option<String>, _), Vec<PathBuf>)| {
        files.sort();
        Session { stamp, files }
    };
    sessions.into_iter().map(session).collect()
}

/// A file that is opened when it is read, and closed at its end: a capture may have more of them
/// than a program may have open.
#[derive(Debug)]
pub struct LateFile {
    path: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    Unread,
    Open(BufReader<File>),
    Over,
}

impl LateFile {
    /// A file that is not opened yet.
    pub fn new(path: impl Into<PathBuf>) -> LateFile {
        LateFile { path: path.into(), state: State::Unread }
    }
}

impl BufRead for LateFile {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if matches!(self.state, State::Unread) {
            let file = File::open(&self.path)?;
            self.state = State::Open(BufReader::with_capacity(BUFFER, file));
        }
        let is_over = match &mut self.state {
            State::Open(file) => file.fill_buf()?.is_empty(),
            State::Unread | State::Over => true,
        };
        if is_over {
            self.state = State::Over;
        }
        match &self.state {
            State::Open(file) => Ok(file.buffer()),
            State::Unread | State::Over => Ok(&[]),
        }
    }

    fn consume(&mut self, amount: usize) {
        if let State::Open(file) = &mut self.state {
            file.consume(amount);
        }
    }
}

impl Read for LateFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut there = self.fill_buf()?;
        let read = there.read(buf)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<(String, String, u32)> {
        let path = PathBuf::from(text);
        Name::of(&path).map(|name| (name.object.into(), name.stamp.into(), name.part))
    }

    #[test]
    fn names_tell_the_object_the_time_and_the_part() {
        let told = |object: &str, part| Some((object.into(), "20251230_143022".into(), part));
        assert_eq!(name("x/box_20251230_143022.jsonl"), told("box", 1));
        assert_eq!(
            name("serial_485_serial485_20251230_143022.jsonl"),
            told("serial_485_serial485", 1)
        );
        assert_eq!(name("_all_20251230_143022_00012.jsonl"), told(ALL, 12));
        for other in [
            "box.jsonl",
            "box_20251230_143022.json",
            "_20251230_143022.jsonl",
            "box_2025123_143022.jsonl",
            "box_20251230_143022_12.jsonl",
            "20251230_143022.jsonl",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn one_telling_of_each_session_is_read() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let files = paths(&[
            "a/_all_20260101_000000.jsonl",
            "a/_all_20260101_000000_00002.jsonl",
            "a/box_20260101_000000.jsonl",
            "a/box_20260102_000000.jsonl",
            "b/box_20260101_000000.jsonl",
            "a/notes.jsonl",
        ]);
        let chosen = chosen(files);
        let expected = [
            "a/_all_20260101_000000.jsonl",
            "a/_all_20260101_000000_00002.jsonl",
            "a/box_20260102_000000.jsonl",
            "b/box_20260101_000000.jsonl",
            "a/notes.jsonl",
        ];
        assert_eq!(chosen, paths(&expected));
        let told: Vec<_> = sessions(chosen)
            .into_iter()
            .map(|session| (session.stamp, session.files.len()))
            .collect();
        let stamp = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                (None, 1),
                (stamp("20260101_000000"), 2),
                (stamp("20260101_000000"), 1),
                (stamp("20260102_000000"), 1),
            ]
        );
    }

    #[test]
    fn a_late_file_is_read_whole() {
        let folder = std::env::temp_dir().join(format!("k485-late-{}", std::process::id()));
        std::fs::write(&folder, "one\ntwo\n").unwrap();
        let mut file = LateFile::new(&folder);
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), file.fill_buf().unwrap().len()), ("one\ntwo\n", 0));
        std::fs::remove_file(&folder).unwrap();
        assert!(LateFile::new(&folder).fill_buf().is_err());
    }
}

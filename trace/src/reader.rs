//! Trace files, and folders of them, as events or as bus records.
//!
//! The tracer's client writes one file an object, so a trace is mostly a folder. Its files are read
//! side by side and merged by the time of their events; where times are equal, the file that comes
//! first by name goes first. A line without a time keeps its place behind the line before it.
//!
//! A line that is no event is a [`Complaint`] and is skipped. An error of the input is a fatal one,
//! and ends the reading of all files: what is left would look whole and would not be.
//!
//! Memory: a line, at most [`MAX_LINE`] bytes, and an event a file.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use k485_proto::record::{Complaint, Record, Time};

use crate::bus::{BusRecords, Counts};
use crate::event::Event;
use crate::files::{self, LateFile, Name};
use crate::lines::{Lines, Step};
use crate::merge::Merge;

/// The longest line that is read, in bytes. The longest one seen has 40 kB.
pub const MAX_LINE: usize = 1 << 20;

/// The events of one file, in the order of the file.
#[derive(Debug)]
pub struct EventReader<R> {
    name: String,
    lines: Lines<R>,
    ended: bool,
}

impl<R: BufRead> EventReader<R> {
    /// Reads `input`; `name` is what complaints call it.
    pub fn new(name: impl Into<String>, input: R) -> Self {
        EventReader { name: name.into(), lines: Lines::new(input, MAX_LINE), ended: false }
    }

    /// The name that complaints use.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The input, for reading what it holds in another way.
    pub fn into_input(self) -> R {
        self.lines.into_input()
    }

    /// The next event, borrowed from the line; `None` at the end. The iterator gives the same
    /// events as copies.
    pub fn next_event(&mut self) -> Option<Result<Event<'_>, Complaint>> {
        if self.ended {
            return None;
        }
        loop {
            match self.lines.advance() {
                Ok(Step::Line) if self.lines.bytes().iter().all(u8::is_ascii_whitespace) => {}
                Ok(Step::Line) => break,
                Ok(Step::TooLong(size)) => {
                    return Some(Err(self.complaint(format!(
                        "a line of {size} bytes, the most is {MAX_LINE}; skipped"
                    ))));
                }
                Ok(Step::End) => {
                    self.ended = true;
                    return None;
                }
                Err(error) => {
                    self.ended = true;
                    let what = format!("cannot be read: {error}");
                    return Some(Err(Complaint { fatal: true, ..self.complaint(what) }));
                }
            }
        }
        if let Some(line) = quote_constants(self.lines.bytes()) {
            self.lines.replace(line);
        }
        let parsed = match str::from_utf8(self.lines.bytes()) {
            Ok(text) => Event::parse(text, self.lines.number(), self.lines.offset())
                .map_err(|error| error.to_string()),
            Err(error) => Err(format!("no UTF-8 from byte {} on", error.valid_up_to() + 1)),
        };
        Some(parsed.map_err(|what| {
            self.complaint(if self.lines.ended() {
                format!("{what}; skipped")
            } else {
                format!("the last line is torn: {what}")
            })
        }))
    }

    fn complaint(&self, what: String) -> Complaint {
        let place = format!("{}:{}", self.name, self.lines.number());
        Complaint { place, what, fatal: false }
    }
}

impl<R: BufRead> Iterator for EventReader<R> {
    type Item = Result<Event<'static>, Complaint>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_event()?.map(Event::into_owned))
    }
}

/// Python writes floats that are no number as `NaN`, `Infinity` and `-Infinity`, which is no JSON:
/// gives the line with them as texts, `None` if there are none.
pub(crate) fn quote_constants(line: &[u8]) -> Option<Vec<u8>> {
    let candidate = |at| line[at..].starts_with(b"NaN") || line[at..].starts_with(b"Infinity");
    if !memchr::memchr2_iter(b'N', b'I', line).any(candidate) {
        return None;
    }
    let mut out = Vec::with_capacity(line.len() + 16);
    let mut rest = line;
    let mut quoted = false;
    while let [byte, after @ ..] = rest {
        let word = [&b"-Infinity"[..], b"Infinity", b"NaN"]
            .into_iter()
            .find(|word| !quoted && rest.starts_with(word));
        if let Some(word) = word {
            out.extend([b"\"", word, b"\""].concat());
            rest = &rest[word.len()..];
            continue;
        }
        out.push(*byte);
        rest = after;
        match (byte, after) {
            (b'"', _) => quoted = !quoted,
            (b'\\', [escaped, after @ ..]) if quoted => {
                out.push(*escaped);
                rest = after;
            }
            _ => {}
        }
    }
    Some(out)
}

/// The events of a file, or of the parts of a rotated one, with the times to merge by.
#[derive(Debug)]
struct Timed<R> {
    reader: EventReader<R>,
    /// The parts that come behind it.
    parts: VecDeque<EventReader<R>>,
    last: Time,
    /// Which events are wanted; the others are not copied.
    wanted: fn(&Event<'_>) -> bool,
}

impl<R: BufRead> Iterator for Timed<R> {
    type Item = (Time, Result<Event<'static>, Complaint>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.reader.next_event() {
                Some(Ok(event)) => {
                    self.last = event.time.unwrap_or(self.last);
                    if (self.wanted)(&event) {
                        return Some((self.last, Ok(event.into_owned())));
                    }
                }
                Some(Err(complaint)) => return Some((self.last, Err(complaint))),
                None => self.reader = self.parts.pop_front()?,
            }
        }
    }
}

/// Whether a file goes on where another one, or a part behind it, was rotated.
fn is_next_part(first: &str, next: &str) -> bool {
    let (first, next) = (Path::new(first), Path::new(next));
    match (Name::of(first), Name::of(next)) {
        (Some(one), Some(other)) => {
            (first.parent(), one.object, one.stamp) == (next.parent(), other.object, other.stamp)
                && one.part < other.part
        }
        _ => false,
    }
}

/// The events of several files, merged by time, each with the number of its source: a file, or the
/// parts of one that was rotated, where they follow one another.
#[derive(Debug)]
pub struct MergedEvents<R: BufRead> {
    merge: Merge<Timed<R>, Result<Event<'static>, Complaint>>,
    ended: bool,
}

impl<R: BufRead> MergedEvents<R> {
    /// Merges all events of `files`, which are numbered from 0.
    pub fn new(files: impl IntoIterator<Item = EventReader<R>>) -> Self {
        Self::only(files, |_| true)
    }

    /// Merges those events of `files` that `wanted` wants; the others are not copied.
    pub fn only(
        files: impl IntoIterator<Item = EventReader<R>>,
        wanted: fn(&Event<'_>) -> bool,
    ) -> Self {
        let mut sources: Vec<Timed<R>> = Vec::new();
        for reader in files {
            match sources.last_mut() {
                Some(last) if is_next_part(&last.reader.name, &reader.name) => {
                    last.parts.push_back(reader);
                }
                _ => sources.push(Timed {
                    reader,
                    parts: VecDeque::new(),
                    last: Time(i64::MIN),
                    wanted,
                }),
            }
        }
        MergedEvents { merge: Merge::new(sources), ended: false }
    }

    /// The name of the file that a source's events come from just now.
    #[must_use]
    pub fn name(&self, source: usize) -> &str {
        self.merge.source(source).map_or("", |source| &source.reader.name)
    }
}

impl MergedEvents<LateFile> {
    /// Opens a trace file, or all `*.jsonl` files of a folder.
    ///
    /// # Errors
    /// A fatal complaint, when a file cannot be opened or the folder has none.
    pub fn open(path: &Path) -> Result<Self, Complaint> {
        Ok(Self::new(open(path)?))
    }
}

impl<R: BufRead> Iterator for MergedEvents<R> {
    type Item = Result<(usize, Event<'static>), Complaint>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let (source, item) = self.merge.next()?;
        self.ended = item.as_ref().is_err_and(|complaint| complaint.fatal);
        Some(item.map(|event| (source, event)))
    }
}

/// The bus records of a trace: see [`crate::bus`].
///
/// ```
/// use k485_trace::TraceReader;
///
/// let trace = concat!(
///     r#"{"type": "call", "id": 5, "time": 1.5, "object": "serial_485 serial485", "#,
///     r#""method": "cmd_send_data_with_response", "args": "{'_bytes': '0103ff0a'}, 3600"}"#,
/// );
/// let mut reader = TraceReader::new("example", trace.as_bytes());
/// let request = reader.next().unwrap().unwrap();
/// assert_eq!(request.bytes, [0x01, 0x03, 0xff, 0x0a]);
/// assert_eq!(request.call.unwrap().timeout_ms, Some(3_600_000));
/// assert!(reader.next().is_none());
/// ```
#[derive(Debug)]
pub struct TraceReader<R: BufRead> {
    events: MergedEvents<R>,
    bus: BusRecords,
    out: VecDeque<Result<Record, Complaint>>,
}

impl<R: BufRead> TraceReader<R> {
    /// Reads one file; `name` is what complaints call it.
    pub fn new(name: impl Into<String>, input: R) -> Self {
        Self::merged([EventReader::new(name, input)])
    }

    /// Reads several files of one trace, merged by time.
    pub fn merged(files: impl IntoIterator<Item = EventReader<R>>) -> Self {
        TraceReader {
            events: MergedEvents::only(files, BusRecords::concerns),
            bus: BusRecords::new(),
            out: VecDeque::new(),
        }
    }

    /// What was read so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.bus.counts()
    }

    /// How many calls still wait for their return.
    #[must_use]
    pub fn open_calls(&self) -> usize {
        self.bus.open()
    }
}

impl TraceReader<LateFile> {
    /// Opens a trace file, or all `*.jsonl` files of a folder.
    ///
    /// # Errors
    /// A fatal complaint, when a file cannot be opened or the folder has none.
    pub fn open(path: &Path) -> Result<Self, Complaint> {
        Ok(Self::merged(open(path)?))
    }
}

impl<R: BufRead> Iterator for TraceReader<R> {
    type Item = Result<Record, Complaint>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.out.pop_front() {
                return Some(item);
            }
            match self.events.next() {
                Some(Ok((source, event))) => {
                    self.bus.take(source, self.events.name(source), &event, &mut self.out);
                }
                Some(Err(complaint)) => return Some(Err(complaint)),
                None => {
                    self.bus.finish(&mut self.out);
                    return self.out.pop_front();
                }
            }
        }
    }
}

fn open(path: &Path) -> Result<Vec<EventReader<LateFile>>, Complaint> {
    let fatal =
        |path: &Path, what| Complaint { place: path.display().to_string(), what, fatal: true };
    let failed = |path: &Path, error: io::Error| fatal(path, format!("cannot be opened: {error}"));
    let files = if path.is_dir() {
        files::chosen(folder(path).map_err(|error| failed(path, error))?)
    } else {
        vec![path.to_path_buf()]
    };
    if files.is_empty() {
        return Err(fatal(path, "no *.jsonl file in this folder".into()));
    }
    files
        .iter()
        .map(|path| {
            // It is opened late, but what cannot be opened is told early.
            File::open(path).map_err(|error| failed(path, error))?;
            Ok(EventReader::new(path.display().to_string(), LateFile::new(path)))
        })
        .collect()
}

/// The `*.jsonl` files of a folder, by name.
fn folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let ours = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("jsonl"));
        if ours && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;
    use std::io::BufReader;

    fn complaints(text: &[u8]) -> Vec<String> {
        let reader = EventReader::new("t", text);
        reader.filter_map(|item| item.err().map(|complaint| complaint.to_string())).collect()
    }

    #[test]
    fn what_is_no_event_is_told_and_skipped() {
        let mut text = Vec::new();
        text.extend_from_slice(b"\xef\xbb\xbf{\"type\": \"a\"}\r\n \r\n{\"type\"}\n[1]\n\xff\n");
        text.extend_from_slice(&vec![b' '; MAX_LINE + 1]);
        text.extend_from_slice(b"\n{\"type\": \"b\"}\n{\"type\": \"c");
        assert_eq!(
            complaints(&text),
            [
                "t:3: no JSON at column 8: expected `:`; skipped",
                "t:4: no JSON object: an event begins with '{'; skipped",
                "t:5: no UTF-8 from byte 1 on; skipped",
                "t:6: a line of 1048577 bytes, the most is 1048576; skipped",
                "t:8: the last line is torn: no JSON at column 11: EOF while parsing a string",
            ]
        );
        let events: Vec<_> = EventReader::new("t", &text[..]).flatten().collect();
        let seen: Vec<_> = events.iter().map(|event| (event.line, event.offset)).collect();
        assert_eq!(seen, [(1, 0), (7, 36 + MAX_LINE as u64 + 2)]);
        // A last line that lacks nothing but its newline is one.
        assert_eq!(complaints(b"{\"type\": \"c\"}"), [""; 0]);
    }

    #[test]
    fn an_input_error_is_fatal_and_the_last_thing() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("unplugged"))
            }
        }
        let files: [Box<dyn BufRead>; 2] = [
            Box::new(BufReader::new(io::Read::chain(&b"{\"type\": \"a\"}\n"[..], Broken))),
            Box::new(&b"{\"type\": \"b\", \"time\": 9}\n"[..]),
        ];
        let readers = files.into_iter().map(|file| EventReader::new("t", file));
        let mut merged = MergedEvents::new(readers);
        assert!(merged.next().unwrap().is_ok());
        let fatal = merged.next().unwrap().unwrap_err();
        assert_eq!(
            (fatal.to_string().as_str(), fatal.fatal),
            ("t:2: cannot be read: unplugged", true)
        );
        assert!(merged.next().is_none());
    }

    #[test]
    fn floats_that_are_no_numbers_are_taken_as_texts() {
        let line = br#"{"type":"return","id":1,"result":[NaN,-Infinity,Infinity,"a\"NaN"]}"#;
        let event = EventReader::new("t", &line[..]).next().unwrap().unwrap();
        let Kind::Return { result, .. } = event.kind else { panic!() };
        assert_eq!(result, r#"["NaN","-Infinity","Infinity","a\"NaN"]"#);
        assert_eq!(quote_constants(b"nan"), None);
    }

    #[test]
    fn files_are_merged_by_time_and_lines_without_time_stay_in_place() {
        let event = |name: &str, time: &str| format!("{{\"type\": \"{name}\"{time}}}\n");
        let one = event("a", "") + &event("b", ", \"time\": 2") + &event("c", "");
        let two = event("d", ", \"time\": 1") + &event("e", ", \"time\": 2");
        let files = [&one, &two].map(|text| EventReader::new("t", text.as_bytes()));
        let seen: Vec<_> = MergedEvents::new(files)
            .map(|item| match item.unwrap() {
                (source, Event { kind: Kind::Other(name), .. }) => (source, name.into_owned()),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [(0, "a"), (1, "d"), (0, "b"), (0, "c"), (1, "e")];
        assert_eq!(seen, expected.map(|(source, name)| (source, name.to_owned())));
    }

    #[test]
    fn the_parts_of_a_rotated_file_are_one_source() {
        let line = |kind: &str, time: u32| format!("{{\"type\":\"{kind}\",\"time\":{time}}}\n");
        let (one, two, other) = (line("a", 1) + &line("b", 5), line("c", 2), line("d", 4));
        let files = [
            ("x/box_20260101_000000.jsonl", &one),
            ("x/box_20260101_000000_00002.jsonl", &two),
            ("x/rack_20260101_000000.jsonl", &other),
        ];
        let readers = files.map(|(name, text)| EventReader::new(name, text.as_bytes()));
        let mut merged = MergedEvents::new(readers);
        let mut seen = Vec::new();
        while let Some(item) = merged.next() {
            let (source, event) = item.unwrap();
            let Kind::Other(kind) = event.kind else { panic!() };
            seen.push((source, kind.into_owned(), merged.name(source).len(), event.line));
        }
        let seen: Vec<_> = seen.iter().map(|it| (it.0, it.1.as_str(), it.2, it.3)).collect();
        assert_eq!(seen, [(0, "a", 27, 1), (1, "d", 28, 1), (0, "b", 27, 2), (0, "c", 33, 1)]);
    }

    #[test]
    fn a_path_that_cannot_be_opened() {
        let complaint = TraceReader::open(Path::new("no/such.jsonl")).unwrap_err();
        assert_eq!(complaint.place, "no/such.jsonl");
        assert!(complaint.fatal && complaint.what.starts_with("cannot be opened: "));
    }
}

//! One line of strace.

use k485_proto::record::Time;

use crate::format::clock::Clock;
use crate::format::seconds;
use crate::format::sides::Way;

/// What a line is.
pub(super) enum Event<'t> {
    /// A call that passes bytes.
    Call(Call),
    /// The beginning of one, which another thread's call interrupted.
    Unfinished(Call),
    /// The end of a call, without its name.
    Resumed(&'t str),
    /// This file descriptor was closed.
    Close(&'t str),
    /// A call of another kind, whole or not.
    Other,
    /// What is no call: a signal, an exit, a dump of `-e read=`.
    Remark,
}

/// A call that passes bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// What it was given as a file descriptor: `3`, `3</dev/ttyUSB0>`.
    pub(super) file: String,
    way: Way,
    /// The arguments behind the descriptor.
    rest: String,
    /// What it returned, behind `= `.
    result: Option<String>,
    /// When it began.
    begun: Option<Time>,
    /// When the line that ends it was written, where it is another one.
    resumed: Option<Time>,
}

/// More of a call than this is not kept, should a line be so long.
const KEPT: usize = 1 << 16;

impl Call {
    /// Which way it passed bytes, which, and how many that the line does not have. `None` where it
    /// passed none.
    pub(super) fn passed(&self) -> Option<(Way, Vec<u8>, u64)> {
        let result = self.result.as_deref()?;
        let digits = result.find(|char: char| !char.is_ascii_digit()).unwrap_or(result.len());
        let count: u64 = result[..digits].parse().ok().filter(|count| *count > 0)?;
        let mut bytes = strings(&self.rest)?;
        bytes.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        let missing = count - bytes.len() as u64;
        Some((self.way, bytes, missing))
    }

    /// When its bytes passed: of a read when it returned.
    pub(super) fn time(&self, way: Way) -> Option<Time> {
        if way == Way::OUT {
            return self.begun;
        }
        let took = self.result.as_deref().and_then(|result| {
            let (_, took) = result.rsplit_once('<')?;
            seconds::parse(took.strip_suffix('>')?)
        });
        match (self.resumed, self.begun, took) {
            (Some(time), ..) => Some(time),
            (None, Some(begun), Some(took)) => Some(Time(begun.0.saturating_add(took.0))),
            (None, begun, _) => begun,
        }
    }

    /// The whole call, whose end another line has.
    pub(super) fn resume(mut self, rest: &str, time: Option<Time>) -> Option<Call> {
        let (arguments, result) = ends(rest)?;
        self.rest.push_str(arguments);
        (self.rest.len() <= KEPT).then_some(Call {
            result: Some(result.to_owned()),
            resumed: time,
            ..self
        })
    }
}

/// The name of the bus that a file descriptor is: that of its file, without a device's numbers.
pub(super) fn bus_name(file: &str) -> String {
    match file.split_once('<') {
        Some((_, name)) => {
            // `/dev/ttyUSB0<char 188:0>` with -yy.
            name.split(['<', '>']).next().unwrap_or_default().to_owned()
        }
        None => format!("fd{file}"),
    }
}

/// Which way a call of that name passes bytes.
fn way(name: &str) -> Option<Way> {
    match name {
        "read" | "pread" | "pread64" | "readv" | "preadv" | "preadv2" | "recv" | "recvfrom" => {
            Some(Way::IN)
        }
        "write" | "pwrite" | "pwrite64" | "writev" | "pwritev" | "pwritev2" | "send" | "sendto" => {
            Some(Way::OUT)
        }
        _ => None,
    }
}

/// Reads a line behind its process and time; `None` for one that is not strace's.
pub(super) fn parse(line: &str, time: Option<Time>) -> Option<Event<'_>> {
    if let Some(rest) = line.strip_prefix("<... ") {
        let (_, rest) = rest.split_once(" resumed>")?;
        return Some(Event::Resumed(rest));
    }
    if ["+++ ", "--- ", "strace: ", " | "].iter().any(|remark| line.starts_with(remark)) {
        return Some(Event::Remark);
    }
    let (name, rest) = line.split_once('(')?;
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if !is_name(name) {
        return None;
    }
    let unfinished = rest.trim_end().strip_suffix("<unfinished ...>");
    let (arguments, result) = match unfinished {
        Some(arguments) => (arguments, None),
        None => ends(rest).map(|(arguments, result)| (arguments, Some(result)))?,
    };
    let Some(way) = way(name) else {
        return Some(if name == "close" { Event::Close(arguments) } else { Event::Other });
    };
    let (file, rest) = descriptor(arguments)?;
    let call = Call {
        file: file.to_owned(),
        way,
        rest: rest.get(..KEPT).unwrap_or(rest).to_owned(),
        result: result.map(str::to_owned),
        begun: time,
        resumed: None,
    };
    Some(if unfinished.is_some() { Event::Unfinished(call) } else { Event::Call(call) })
}

/// The arguments and the result of `…) = …`; the last such place, since a string may have one too.
fn ends(rest: &str) -> Option<(&str, &str)> {
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let result = result.trim();
    result
        .starts_with(|first: char| first.is_ascii_digit() || "-?".contains(first))
        .then_some(())?;
    Some((arguments.trim_end().strip_suffix(')')?, result))
}

/// The first argument, `3` or `3</dev/ttyUSB0>`, and the others.
fn descriptor(arguments: &str) -> Option<(&str, &str)> {
    let digits = arguments.find(|char: char| !char.is_ascii_digit()).unwrap_or(arguments.len());
    if digits == 0 || digits > 10 {
        return None;
    }
    let end = match arguments[digits..].strip_prefix('<') {
        Some(name) => digits + 1 + name.find(">, ")? + 1,
        None => digits,
    };
    (end < 300).then_some(())?;
    Some((&arguments[..end], &arguments[end..]))
}

/// The bytes of the strings among a call's arguments; several are those of `readv`.
fn strings(arguments: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = arguments;
    while let Some(start) = rest.find('"') {
        rest = unescape(&rest[start + 1..], &mut bytes)?;
    }
    Some(bytes)
}

/// Appends what a string is, up to its closing quote; what follows that.
fn unescape<'t>(text: &'t str, bytes: &mut Vec<u8>) -> Option<&'t str> {
    let mut at = 0;
    let all = text.as_bytes();
    loop {
        let byte = *all.get(at)?;
        at += 1;
        match byte {
            b'"' => return text.get(at..),
            b'\\' => {
                let escaped = *all.get(at)?;
                at += 1;
                bytes.push(match escaped {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'v' => 11,
                    b'f' => 12,
                    b'x' => {
                        let digits = text.get(at..at + 2)?;
                        at += 2;
                        u8::from_str_radix(digits, 16).ok()?
                    }
                    b'0'..=b'7' => {
                        let mut value = u32::from(escaped - b'0');
                        for _ in 0..2 {
                            let Some(digit @ b'0'..=b'7') = all.get(at) else { break };
                            value = value * 8 + u32::from(digit - b'0');
                            at += 1;
                        }
                        u8::try_from(value).ok()?
                    }
                    other => other,
                });
            }
            byte => bytes.push(byte),
        }
    }
}

/// Reads what is before a call.
#[derive(Debug, Default)]
pub(super) struct Times {
    clock: Clock,
    /// The sum of the times that `-r` tells, each from the line before.
    sum: i64,
}

impl Times {
    /// The process, the time and the call.
    pub(super) fn prefix<'t>(&mut self, line: &'t str) -> (&'t str, Option<Time>, &'t str) {
        // A dump's lines begin with a space and a bar.
        if line.starts_with(" | ") {
            return ("", None, line);
        }
        let mut rest = line.trim_start();
        let mut process = "";
        if let Some((pid, behind)) =
            rest.strip_prefix("[pid ").and_then(|rest| rest.split_once("] "))
        {
            (process, rest) = (pid.trim(), behind.trim_start());
        } else if let Some((pid, behind)) = rest.split_once(' ')
            && pid.bytes().all(|byte| byte.is_ascii_digit())
        {
            (process, rest) = (pid, behind.trim_start());
        }
        let Some((word, behind)) = rest.split_once(' ') else { return (process, None, rest) };
        let is_time =
            word.starts_with(|first: char| first.is_ascii_digit()) && word.contains([':', '.']);
        if !is_time {
            return (process, None, rest);
        }
        let mut behind = behind.trim_start();
        // With a time of day the relative one is in brackets.
        if let Some(relative) = behind.strip_prefix("(+") {
            behind = relative.split_once(") ").map_or(behind, |(_, behind)| behind);
        }
        let time = match word.split_once('.') {
            // A time since 1970 has ten digits; what is short is relative.
            Some((whole, _)) if whole.len() < 9 && !whole.contains(':') => {
                self.sum = self.sum.saturating_add(seconds::parse(word).map_or(0, |time| time.0));
                Some(Time(self.sum))
            }
            _ => self.clock.read(word),
        };
        (process, time, behind)
    }
}

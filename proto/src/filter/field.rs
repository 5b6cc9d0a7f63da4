//! The names that a filter may use: built-in fields, flags, and the fields of the dialect's payloads.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::error::Problem;
use crate::dialect::Dialect;
use crate::exchange::Outcome;
use crate::message::Field;
use crate::status::STATUSES;

/// Declares names and the enum that they stand for.
macro_rules! names {
    ($($(#[doc = $doc:literal])+ $Type:ident { $($Variant:ident $name:literal,)+ })+) => {
        $($(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $Type { $($Variant,)+ }

        impl $Type {
            const ALL: &'static [($Type, &'static str)] = &[$(($Type::$Variant, $name),)+];

            pub(super) fn name(self) -> &'static str {
                match self { $($Type::$Variant => $name,)+ }
            }

            pub(super) fn find(name: &str) -> Option<$Type> {
                $Type::ALL.iter().find(|(_, own)| *own == name).map(|(found, _)| *found)
            }
        })+
    };
}

names! {
    /// A field that is no payload's.
    Builtin {
        Addr "addr",
        Class "class",
        Func "func",
        Status "status",
        Dir "dir",
        DirSource "dir_source",
        Form "form",
        Len "len",
        Data "data",
        Raw "raw",
        Offset "offset",
        Time "time",
        Bus "bus",
        Outcome "outcome",
        Latency "latency",
        Attempts "attempts",
        Reason "reason",
        Size "size",
    }
    /// A word that is a condition by itself.
    Flag {
        Noise "noise",
        Gap "gap",
        Frame "frame",
        Exchange "exchange",
        Request "request",
        Response "response",
        Bare "bare",
        Implausible "implausible",
        Misfit "misfit",
        Unknown "unknown",
        Retry "retry",
        Late "late",
    }
}

/// What stands before a payload field whose name is also a built-in one's.
const PREFIX: &str = "field.";
/// The parts of a tag's record.
const TAG_PARTS: [&str; 5] = ["material", "colour", "length", "serial", "raw"];
/// The parts of a reply with several tags.
const TAGS_PARTS: [&str; 5] = ["A", "B", "C", "D", "rest"];

/// A field by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Builtin(Builtin),
    /// A payload's field, and the names of its parts down to the one that is meant.
    Payload(Vec<String>),
}

impl Name {
    /// The field of a name.
    pub(super) fn find(text: &str, dialect: &'static Dialect) -> Result<Name, Problem> {
        if let Some(builtin) = Builtin::find(text) {
            return Ok(Name::Builtin(builtin));
        }
        let path = text.strip_prefix(PREFIX).unwrap_or(text);
        let mut parts = path.split('.');
        let field = parts.next().unwrap_or_default();
        let parts: Vec<&str> = parts.collect();
        let mut declared = declared(dialect, field).peekable();
        if declared.peek().is_none() {
            return Err(unknown(text, dialect));
        }
        // Every declaration of the name may be meant.
        let wrong = declared.map(|field| wrong_part(field, &parts)).reduce(Option::and).flatten();
        match wrong {
            None => Ok(Name::Payload(path.split('.').map(str::to_owned).collect())),
            Some(advice) => Err(Problem::Field { name: text.to_owned(), advice }),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Builtin(builtin) => f.write_str(builtin.name()),
            Name::Payload(path) => {
                let path = path.join(".");
                let prefix = if Builtin::find(&path).is_some() { PREFIX } else { "" };
                write!(f, "{prefix}{path}")
            }
        }
    }
}

/// Every declaration of a payload field.
pub(super) fn declared(
    dialect: &'static Dialect,
    name: &str,
) -> impl Iterator<Item = &'static Field> {
    let forms =
        dialect.all_functions().flat_map(|function| function.request.iter().chain(function.reply));
    forms.flat_map(|form| form.fields).filter(move |field| field.name == name)
}

/// What is wrong with the parts behind a field's name; `None` if nothing is.
fn wrong_part(field: &Field, parts: &[&str]) -> Option<String> {
    let levels: &[&[&str]] = match field.kind.name {
        "tags" => &[&TAGS_PARTS, &TAG_PARTS],
        "tag" => &[&TAG_PARTS],
        _ => &[],
    };
    let wrong = parts.iter().enumerate().find_map(|(level, part)| match levels.get(level) {
        Some(known) => (!known.contains(part)).then_some((part, *known)),
        None => Some((part, &[][..])),
    });
    let (part, known) = wrong?;
    Some(match known {
        [] => format!("{part} is part of nothing that has parts"),
        known => format!("its parts are {}, not {part}", known.join(", ")),
    })
}

/// Names of other places that stand for a field here.
const SYNONYMS: [(&str, &str); 14] = [
    ("address", "addr"),
    ("device", "addr"),
    ("dev", "addr"),
    ("function", "func"),
    ("fn", "func"),
    ("status_name", "status"),
    ("direction", "dir"),
    ("latency_ms", "latency"),
    ("latency_us", "latency"),
    ("delay", "latency"),
    ("retries", "attempts"),
    ("payload", "data"),
    ("bytes", "raw"),
    ("timestamp", "time"),
];

/// The problem of a name that no field has.
fn unknown(name: &str, dialect: &'static Dialect) -> Problem {
    let word = name.strip_prefix(PREFIX).unwrap_or(name);
    let first = word.split('.').next().unwrap_or_default();
    let synonym = SYNONYMS.iter().find(|(other, _)| other.eq_ignore_ascii_case(first));
    let near = || nearest(first, field_names(dialect));
    let advice = match synonym.map(|(_, own)| *own).or_else(near) {
        Some(near) => format!("did you mean {near}?"),
        None => "they are listed in docs/filter.md, and by k485 explain FUNCTION".to_owned(),
    };
    Problem::Field { name: name.to_owned(), advice }
}

fn field_names(dialect: &'static Dialect) -> impl Iterator<Item = &'static str> {
    let forms =
        dialect.all_functions().flat_map(|function| function.request.iter().chain(function.reply));
    let payload = forms.flat_map(|form| form.fields).map(|field| field.name);
    Builtin::ALL.iter().map(|(_, name)| *name).chain(payload)
}

/// The problem of a word that stands alone and is no flag.
pub(super) fn lone_word(word: &str, dialect: &'static Dialect) -> Problem {
    let problem = |advice: String| Problem::Flag { word: word.to_owned(), advice };
    let meant = |condition: String| problem(format!("write {condition}"));
    if let Some(outcome) = OUTCOMES.iter().find(|outcome| outcome.name().eq_ignore_ascii_case(word))
    {
        return meant(format!("outcome=={}", outcome.name()));
    }
    let class = dialect.classes().find(|class| class.name().eq_ignore_ascii_case(word));
    if dialect.address(word).is_ok() || class.is_some() {
        return meant(format!("addr=={word}"));
    }
    if function_names(dialect).any(|name| name.eq_ignore_ascii_case(word)) {
        return meant(format!("func=={word}"));
    }
    if status_names(dialect).any(|name| name.eq_ignore_ascii_case(word)) {
        return meant(format!("status=={word}"));
    }
    if let Ok(name) = Name::find(word, dialect) {
        return problem(format!("compare it, as in {name}==…"));
    }
    let flags = Flag::ALL.iter().map(|(_, name)| *name);
    match nearest(word, flags.clone().chain(field_names(dialect))) {
        Some(near) => problem(format!("did you mean {near}?")),
        None => {
            let flags: Vec<&str> = flags.collect();
            problem(format!("the words that do are {}", flags.join(", ")))
        }
    }
}

/// Every outcome.
pub(super) const OUTCOMES: [Outcome; 6] = [
    Outcome::Answered,
    Outcome::Timeout,
    Outcome::NoReplyExpected,
    Outcome::Unsolicited,
    Outcome::RequestNotSeen,
    Outcome::Unfinished,
];

pub(super) fn function_names(dialect: &'static Dialect) -> impl Iterator<Item = &'static str> {
    dialect.all_functions().map(|function| function.name)
}

pub(super) fn status_names(dialect: &'static Dialect) -> impl Iterator<Item = &'static str> {
    let own = dialect.chain().flat_map(|dialect| dialect.statuses);
    own.chain(STATUSES).filter_map(|info| info.name)
}

/// The name that is the fewest changes away, if that is few for its length; in any case.
pub(super) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let word = word.to_ascii_lowercase();
    let most = (word.len() / 3).max(1);
    // A name that is longer or shorter by more than that needs no closer look.
    let near = names.filter(|name| name.len().abs_diff(word.len()) <= most);
    let changes = |name: &str| distance(word.as_bytes(), name.to_ascii_lowercase().as_bytes());
    let near = near.map(|name| (changes(name), name)).filter(|(changes, _)| *changes <= most);
    near.min_by_key(|(changes, _)| *changes).map(|(_, name)| name)
}

/// How many bytes are to be put in, taken out or replaced to make one of the other; two neighbours
/// that changed places count as one change.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, byte) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, other) in b.iter().enumerate() {
            let mut least =
                (last[j] + usize::from(byte != other)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *other && b[j - 1] == *byte {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = core::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted() {
        for (a, b, changes) in [
            ("", "", 0),
            ("addr", "addr", 0),
            ("adr", "addr", 1),
            ("adrd", "addr", 1),
            ("latncy", "latency", 1),
            ("abc", "", 3),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), changes, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("ADR", ["func", "addr"].into_iter()), Some("addr"));
        assert_eq!(nearest("colour", ["func", "addr"].into_iter()), None);
    }
}

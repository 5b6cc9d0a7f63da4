//! Values out of parsed TOML, with an error at its place for each that is not what it should be.
//!
//! For files that are read strictly, such as dialects and scenes: an unknown key is an error with
//! the nearest right one, all errors are told, and each has its line and column.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::{Range, RangeInclusive};

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

/// What is wrong with a text in TOML, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {what}{}", did_you_mean(nearest.as_deref()))]
pub struct TomlError {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// The right word that is the nearest to the wrong one.
    pub nearest: Option<String>,
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|word| format!("; did you mean {word}?")).unwrap_or_default()
}

/// A place: bytes of the text.
pub type At = Range<usize>;

/// More errors than anyone reads.
const MOST: usize = 500;

/// The errors of one text.
#[derive(Debug)]
pub struct Errors<'t> {
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    found: Vec<(At, String, Option<String>)>,
}

impl<'t> Errors<'t> {
    /// No errors yet.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = core::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Errors { text, lines, found: Vec::new() }
    }

    /// Adds an error.
    pub fn add(&mut self, at: At, what: impl Into<String>) {
        self.push(at, what.into(), None);
    }

    /// Adds an error about `word`, which is none of `right`: the nearest of them is told, or all
    /// where none is near.
    pub fn add_unknown(&mut self, at: At, what: String, word: &str, right: &[&str]) {
        match nearest(word, right) {
            Some(near) => self.push(at, what, Some(near.to_string())),
            None if right.is_empty() => self.push(at, what, None),
            None => self.push(at, format!("{what}; there are: {}", right.join(", ")), None),
        }
    }

    fn push(&mut self, at: At, what: String, nearest: Option<String>) {
        if self.found.len() < MOST {
            self.found.push((at, what, nearest));
        }
    }

    /// Line and character of a place, from 1.
    fn place(&self, at: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let start = self.lines[line - 1];
        let before = self.text.get(start..at.min(self.text.len())).unwrap_or("");
        (line, before.chars().count() + 1)
    }

    /// The line of a place.
    #[must_use]
    pub fn line(&self, at: &At) -> usize {
        self.place(at.start).0
    }

    /// Whether there is none so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Goes on only without an error; else gives all of them in the order of the text.
    ///
    /// # Errors
    /// All errors so far, which are forgotten.
    pub fn none_yet(&mut self) -> Result<(), Vec<TomlError>> {
        if self.found.is_empty() {
            return Ok(());
        }
        let mut found = core::mem::take(&mut self.found);
        found.sort_by_key(|(at, ..)| at.start);
        let errors = found.into_iter().map(|(at, what, nearest)| {
            let (line, column) = self.place(at.start);
            TomlError { line, column, what, nearest }
        });
        Err(errors.collect())
    }
}

/// The word that a mistyped one was probably meant to be.
fn nearest<'w>(word: &str, right: &[&'w str]) -> Option<&'w str> {
    let word = word.to_lowercase();
    let likeness = |other: &str| strsim::jaro_winkler(&word, &other.to_lowercase());
    let near = right.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(near) > 0.8).then_some(*near)
}

/// A table whose keys are checked.
#[derive(Debug, Clone)]
pub struct Section<'t> {
    table: &'t DeTable<'t>,
    /// Where it begins.
    pub at: At,
}

impl<'t> Section<'t> {
    /// The table, with an error for each key that it may not have.
    pub fn new(
        table: &'t DeTable<'t>,
        at: At,
        keys: &[&str],
        errors: &mut Errors<'_>,
    ) -> Self {
        for key in table.keys() {
            let word: &str = key.get_ref();
            if !keys.contains(&word) {
                errors.add_unknown(key.span(), format!("unknown key {word:?}"), word, keys);
            }
        }
        Section { table, at }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.get(key)
    }

    /// The tables of a list of tables.
    pub fn sections(
        &self,
        key: &str,
        keys: &[&str],
        errors: &mut Errors<'_>,
    ) -> Option<Vec<Section<'t>>> {
        let value = self.get(key)?;
        let Some(list) = value.get_ref().as_array() else {
            errors.add(value.span(), format!("{key} is a list of tables: write [[{key}]]"));
            return None;
        };
        let mut sections = Vec::new();
        for item in list {
            match item.get_ref().as_table() {
                Some(table) => sections.push(Section::new(table, item.span(), keys, errors)),
                None => errors.add(item.span(), format!("{key} holds tables, not {}", kind(item))),
            }
        }
        Some(sections)
    }

    /// A text, on one line.
    pub fn text(&self, key: &str, errors: &mut Errors<'_>) -> Option<Spanned<&'t str>> {
        let value = self.get(key)?;
        text_of(key, value, errors).map(|text| Spanned::new(value.span(), text))
    }

    /// A whole number in a range.
    pub fn number(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
        errors: &mut Errors<'_>,
    ) -> Option<Spanned<u32>> {
        let value = self.get(key)?;
        number_of(key, value, range, errors).map(|n| Spanned::new(value.span(), n))
    }

    /// A value that must be there.
    pub fn required<T>(
        &self,
        key: &str,
        value: Option<T>,
        errors: &mut Errors<'_>,
    ) -> Option<T> {
        // A value that is there and wrong has its error already.
        if self.get(key).is_none() {
            errors.add(self.at.clone(), format!("{key} is missing"));
        }
        value
    }
}

/// A text on one line; `what` names it.
pub fn text_of<'t>(
    what: &str,
    value: &'t Spanned<DeValue<'t>>,
    errors: &mut Errors<'_>,
) -> Option<&'t str> {
    let Some(text) = value.get_ref().as_str() else {
        errors.add(value.span(), format!("{what} is a text in quotes, not {}", kind(value)));
        return None;
    };
    if text.chars().any(char::is_control) {
        errors.add(value.span(), format!("{what} is one line, without control characters"));
        return None;
    }
    Some(text)
}

/// A whole number in a range; `what` names it.
pub fn number_of(
    what: &str,
    value: &Spanned<DeValue<'_>>,
    range: RangeInclusive<u32>,
    errors: &mut Errors<'_>,
) -> Option<u32> {
    let integer = value.get_ref().as_integer();
    let number = integer.and_then(|i| i64::from_str_radix(i.as_str(), i.radix()).ok());
    let number = number.and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n));
    if number.is_none() {
        let (least, most) = (range.start(), range.end());
        errors.add(
            value.span(),
            format!("{what} is a whole number from {least} to {most} (hex as 0x..)"),
        );
    }
    number
}

/// What a value is, for a message.
#[must_use]
pub fn kind(value: &Spanned<DeValue<'_>>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

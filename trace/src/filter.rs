//! Conditions over calls: `object==box && duration>50ms`, `raised`, `method~flush || result==null`.
//!
//! The grammar is that of `docs/filter.md`, without sets; fields and flags are those of a call:
//!
//! | field | value |
//! |---|---|
//! | `object`, `class`, `method` | a name; `*` in it stands for anything |
//! | `args`, `result` | the text of the trace; `*` as well |
//! | `error`, `exc_type` | of a call that raised |
//! | `duration`, `self` | a time with its unit: `50ms`, `1.5s` |
//! | `id`, `depth`, `tid`, `gid` | a number |
//!
//! | flag | a call that |
//! |---|---|
//! | `raised` | raised an exception |
//! | `open` | has no end in the trace |
//! | `orphan` | has no beginning in the trace |
//!
//! A comparison with a field that a call does not have is false, `!=` and `!~` too.

use k485_proto::filter::{FilterError, MAX_DEPTH, MAX_LENGTH, Problem};

use crate::decimal::scaled;
use crate::tree::{End, Node};

/// A condition over calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Condition);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Or(Vec<Condition>),
    And(Vec<Condition>),
    Not(Box<Condition>),
    Flag(Flag),
    Text(TextField, Op, String),
    Number(NumberField, Op, i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    Raised,
    Open,
    Orphan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextField {
    Object,
    Class,
    Method,
    Args,
    Result,
    Error,
    ExcType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NumberField {
    Duration,
    Own,
    Id,
    Depth,
    Tid,
    Gid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Has,
    HasNot,
}

/// The longer ones first: the first that fits is taken.
const OPS: [(&str, Op); 8] = [
    ("==", Op::Eq),
    ("!=", Op::Ne),
    ("<=", Op::Le),
    (">=", Op::Ge),
    ("!~", Op::HasNot),
    ("<", Op::Lt),
    (">", Op::Gt),
    ("~", Op::Has),
];

const TEXTS: [(&str, TextField); 7] = [
    ("object", TextField::Object),
    ("class", TextField::Class),
    ("method", TextField::Method),
    ("args", TextField::Args),
    ("result", TextField::Result),
    ("error", TextField::Error),
    ("exc_type", TextField::ExcType),
];

const NUMBERS: [(&str, NumberField); 6] = [
    ("duration", NumberField::Duration),
    ("self", NumberField::Own),
    ("id", NumberField::Id),
    ("depth", NumberField::Depth),
    ("tid", NumberField::Tid),
    ("gid", NumberField::Gid),
];

const FLAGS: [(&str, Flag); 3] =
    [("raised", Flag::Raised), ("open", Flag::Open), ("orphan", Flag::Orphan)];

/// The units of a time, in nanoseconds.
const UNITS: [(&str, i32); 4] = [("ns", 0), ("us", 3), ("ms", 6), ("s", 9)];

const FIELDS: &str = "there are object, class, method, args, result, error, exc_type, duration, \
                      self, id, depth, tid, gid, and the words raised, open, orphan";

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// What is wrong first, with its column.
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        let parsed = if text.len() > MAX_LENGTH {
            Err((0, Problem::TooLong { length: text.len() }))
        } else {
            let mut parser = Parser { text, at: 0 };
            parser.whole().map(Filter)
        };
        parsed.map_err(|(at, problem)| FilterError {
            column: text.get(..at).unwrap_or(text).chars().count() + 1,
            text: text.chars().take(MAX_LENGTH).collect(),
            problem,
        })
    }

    /// A filter for one object: a name, in which `*` stands for anything.
    #[must_use]
    pub fn object(name: &str) -> Filter {
        Filter(Condition::Text(TextField::Object, Op::Eq, name.to_owned()))
    }

    /// A filter for calls that take at least so long, in nanoseconds.
    #[must_use]
    pub fn at_least(duration: i64) -> Filter {
        Filter(Condition::Number(NumberField::Duration, Op::Ge, duration))
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Filter) -> Filter {
        Filter(Condition::And(vec![self.0, other.0]))
    }

    /// Whether it can be known only when a call is over.
    #[must_use]
    pub fn asks_for_the_end(&self) -> bool {
        self.0.asks_for_the_end()
    }

    /// Whether it holds for a call.
    #[must_use]
    pub fn matches(&self, node: &Node) -> bool {
        self.0.matches(node)
    }
}

impl Condition {
    fn asks_for_the_end(&self) -> bool {
        match self {
            Condition::Or(parts) | Condition::And(parts) => {
                parts.iter().any(Condition::asks_for_the_end)
            }
            Condition::Not(part) => part.asks_for_the_end(),
            Condition::Flag(_) => true,
            Condition::Text(field, ..) => {
                matches!(field, TextField::Result | TextField::Error | TextField::ExcType)
            }
            Condition::Number(field, ..) => {
                matches!(field, NumberField::Duration | NumberField::Own)
            }
        }
    }

    fn matches(&self, node: &Node) -> bool {
        match self {
            Condition::Or(parts) => parts.iter().any(|part| part.matches(node)),
            Condition::And(parts) => parts.iter().all(|part| part.matches(node)),
            Condition::Not(part) => !part.matches(node),
            Condition::Flag(Flag::Raised) => node.end.is_raised(),
            Condition::Flag(Flag::Open) => node.end == End::NotSeen,
            Condition::Flag(Flag::Orphan) => node.args.is_none(),
            Condition::Text(field, op, value) => field
                .of(node)
                .is_some_and(|mut texts| texts.any(|text| compare_text(text, *op, value))),
            Condition::Number(field, op, value) => {
                field.of(node).is_some_and(|number| compare(number, *op, *value))
            }
        }
    }
}

impl TextField {
    /// The texts of a call; the comparison holds if it does for any of them.
    fn of(self, node: &Node) -> Option<Box<dyn Iterator<Item = &str> + '_>> {
        let one = |text| -> Option<Box<dyn Iterator<Item = &str> + '_>> {
            Some(Box::new(std::iter::once(text)))
        };
        match (self, &node.end) {
            (TextField::Object, _) => {
                let also = node.also.iter().map(String::as_str);
                Some(Box::new(std::iter::once(&*node.site.object).chain(also)))
            }
            (TextField::Class, _) => one(&node.site.class),
            (TextField::Method, _) => one(&node.site.method),
            (TextField::Args, _) => node.args.as_ref().and_then(|args| one(args.text.as_str())),
            (TextField::Result, End::Returned(result)) => one(result),
            (TextField::Error, End::Raised { error, .. }) => one(error),
            (TextField::ExcType, End::Raised { exc_type, .. }) => one(exc_type),
            _ => None,
        }
    }
}

impl NumberField {
    fn of(self, node: &Node) -> Option<i64> {
        let number = |number: Option<u64>| number.and_then(|number| i64::try_from(number).ok());
        match self {
            NumberField::Duration => node.duration,
            NumberField::Own => node.own,
            NumberField::Id => number(Some(node.id)),
            NumberField::Depth => i64::try_from(node.depth).ok(),
            NumberField::Tid => number(node.context.tid),
            NumberField::Gid => number(node.context.gid),
        }
    }
}

fn compare(number: i64, op: Op, value: i64) -> bool {
    match op {
        Op::Eq => number == value,
        Op::Ne => number != value,
        Op::Lt => number < value,
        Op::Le => number <= value,
        Op::Gt => number > value,
        Op::Ge => number >= value,
        // No number is searched: the parser refuses it.
        Op::Has | Op::HasNot => false,
    }
}

fn compare_text(text: &str, op: Op, value: &str) -> bool {
    match op {
        Op::Eq => fits(text, value),
        Op::Ne => !fits(text, value),
        Op::Has => contains(text, value),
        Op::HasNot => !contains(text, value),
        Op::Lt | Op::Le | Op::Gt | Op::Ge => false,
    }
}

/// Whether a text is what a pattern says, in which `*` stands for anything.
fn fits(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// In either case of ASCII letters.
fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

type Wrong = (usize, Problem);

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        &self.text[self.at..]
    }

    fn pass(&mut self, mark: &str) -> bool {
        let is = self.rest().starts_with(mark);
        self.at += if is { mark.len() } else { 0 };
        is
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let is_word = |c: char| c.is_alphanumeric() || "_.+-:/*#".contains(c);
        &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())]
    }

    fn pass_word(&mut self, word: &str) -> bool {
        let is = self.word().eq_ignore_ascii_case(word);
        self.at += if is { word.len() } else { 0 };
        is
    }

    fn expected(&mut self, expected: &'static str) -> Wrong {
        let found = match (self.word(), self.rest().chars().next()) {
            (_, None) => "the end".to_owned(),
            ("", Some(c)) => c.to_string(),
            (word, _) => word.to_owned(),
        };
        (self.at, Problem::Expected { expected, found })
    }

    fn whole(&mut self) -> Result<Condition, Wrong> {
        let whole = self.or(0)?;
        if self.rest().is_empty() { Ok(whole) } else { Err(self.expected("&&, || or the end")) }
    }

    fn or(&mut self, depth: usize) -> Result<Condition, Wrong> {
        let first = self.and(depth)?;
        let mut parts = vec![first];
        while self.pass("||") || self.pass_word("or") {
            parts.push(self.and(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Or(parts) })
    }

    fn and(&mut self, depth: usize) -> Result<Condition, Wrong> {
        let first = self.unary(depth)?;
        let mut parts = vec![first];
        while self.pass("&&") || self.pass_word("and") {
            parts.push(self.unary(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::And(parts) })
    }

    fn unary(&mut self, depth: usize) -> Result<Condition, Wrong> {
        let mut turned = false;
        while self.pass("!") || self.pass_word("not") {
            turned = !turned;
        }
        let part = self.primary(depth)?;
        Ok(if turned { Condition::Not(Box::new(part)) } else { part })
    }

    fn primary(&mut self, depth: usize) -> Result<Condition, Wrong> {
        self.rest();
        let column = self.at;
        if self.pass("(") {
            if depth >= MAX_DEPTH {
                return Err((column, Problem::TooDeep));
            }
            let inner = self.or(depth + 1)?;
            return if self.pass(")") { Ok(inner) } else { Err(self.expected("&&, || or )")) };
        }
        let word = self.word();
        if word.is_empty() {
            return Err(self.expected("a field, a word such as raised, or ("));
        }
        self.at += word.len();
        let rest = self.rest();
        let Some((mark, op)) = OPS.into_iter().find(|(mark, _)| rest.starts_with(mark)) else {
            return flag(word).ok_or_else(|| {
                (column, Problem::Flag { word: word.to_owned(), advice: FIELDS.to_owned() })
            });
        };
        let op_at = self.at;
        self.at += mark.len();
        self.compare(word, column, (mark, op, op_at))
    }

    fn compare(
        &mut self,
        word: &str,
        column: usize,
        (mark, op, op_at): (&'static str, Op, usize),
    ) -> Result<Condition, Wrong> {
        self.rest();
        let value_at = self.at;
        let value = self.value()?;
        let operator = |advice: &str| {
            let (field, advice) = (word.to_owned(), advice.to_owned());
            Err((op_at, Problem::Operator { field, op: mark, advice }))
        };
        if let Some((_, field)) = TEXTS.into_iter().find(|(name, _)| *name == word) {
            if matches!(op, Op::Lt | Op::Le | Op::Gt | Op::Ge) {
                return operator("it is a text; write == != ~ or !~");
            }
            return Ok(Condition::Text(field, op, value));
        }
        let Some((_, field)) = NUMBERS.into_iter().find(|(name, _)| *name == word) else {
            let (name, advice) = (word.to_owned(), FIELDS.to_owned());
            return Err((column, Problem::Field { name, advice }));
        };
        if matches!(op, Op::Has | Op::HasNot) {
            return operator("it is a number; write == != < <= > or >=");
        }
        let is_time = matches!(field, NumberField::Duration | NumberField::Own);
        let number = if is_time { time(&value) } else { value.parse().ok() };
        let advice =
            if is_time { "write a time with its unit: 50ms, 1.5s" } else { "write a whole number" };
        let Some(number) = number else {
            let (field, advice) = (word.to_owned(), advice.to_owned());
            return Err((value_at, Problem::Value { field, value, advice }));
        };
        Ok(Condition::Number(field, op, number))
    }

    fn value(&mut self) -> Result<String, Wrong> {
        let Some(quoted) = self.rest().strip_prefix('"') else {
            let word = self.word();
            if word.is_empty() {
                return Err(self.expected("a value (one with other characters in quotes)"));
            }
            self.at += word.len();
            return Ok(word.to_owned());
        };
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 2;
                    return Ok(value);
                }
                '\\' => match chars.next() {
                    Some((_, c @ ('"' | '\\'))) => value.push(c),
                    _ => return Err((self.at + at + 1, Problem::Escape)),
                },
                c => value.push(c),
            }
        }
        Err((self.at, Problem::OpenQuote))
    }
}

fn flag(word: &str) -> Option<Condition> {
    FLAGS.into_iter().find(|(name, _)| *name == word).map(|(_, flag)| Condition::Flag(flag))
}

/// `50ms` in nanoseconds.
fn time(text: &str) -> Option<i64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(end);
    let (_, shift) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    scaled(number, shift)
}

#[cfg(test)]
mod tests;

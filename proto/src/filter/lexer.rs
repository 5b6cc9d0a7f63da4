//! A filter's text as tokens.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Op;
use super::error::Problem;
use crate::message::value::{escape_ascii, unescape_ascii};

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Where it begins, in characters from 1.
    pub(super) column: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    And,
    Or,
    Not,
    Open,
    Close,
    OpenSet,
    CloseSet,
    Comma,
    Op(Op),
    /// Letters, digits and what numbers, slots and paths are made of.
    Word(String),
    /// A text in quotes, in the form of [`escape_ascii`].
    Quoted(String),
    End,
}

impl Kind {
    /// As a message shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Kind::And => "&&".to_owned(),
            Kind::Or => "||".to_owned(),
            Kind::Not => "!".to_owned(),
            Kind::Open => "(".to_owned(),
            Kind::Close => ")".to_owned(),
            Kind::OpenSet => "{".to_owned(),
            Kind::CloseSet => "}".to_owned(),
            Kind::Comma => ",".to_owned(),
            Kind::Op(op) => op.text().to_owned(),
            Kind::Word(word) => word.clone(),
            Kind::Quoted(text) => format!("\"{text}\""),
            Kind::End => "the end".to_owned(),
        }
    }
}

/// Whether a character may be in a word.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.+-:/".contains(c)
}

/// The marks that stand for one token each. `!=` and `!~` are operators and found before.
const MARKS: [(&str, Kind); 8] = [
    ("&&", Kind::And),
    ("||", Kind::Or),
    ("!", Kind::Not),
    ("(", Kind::Open),
    (")", Kind::Close),
    ("{", Kind::OpenSet),
    ("}", Kind::CloseSet),
    (",", Kind::Comma),
];

/// All tokens, the last of which is `End`; or what is wrong at which column.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, (usize, Problem)> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut column = 1;
    loop {
        let trimmed = rest.trim_start();
        column += rest[..rest.len() - trimmed.len()].chars().count();
        rest = trimmed;
        let (kind, size) = token(rest).map_err(|(at, problem)| (column + at, problem))?;
        let ended = kind == Kind::End;
        tokens.push(Token { kind, column });
        if ended {
            return Ok(tokens);
        }
        column += rest[..size].chars().count();
        rest = &rest[size..];
    }
}

/// The token at the front and its bytes; or what is wrong so many characters from there.
fn token(rest: &str) -> Result<(Kind, usize), (usize, Problem)> {
    let Some(first) = rest.chars().next() else {
        return Ok((Kind::End, 0));
    };
    if let Some((text, op)) = Op::ALL.into_iter().find(|(text, _)| rest.starts_with(text)) {
        return Ok((Kind::Op(op), text.len()));
    }
    if let Some((text, kind)) = MARKS.into_iter().find(|(text, _)| rest.starts_with(text)) {
        return Ok((kind, text.len()));
    }
    if first == '"' {
        return quoted(rest);
    }
    let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    if word > 0 {
        return Ok((Kind::Word(rest[..word].to_string()), word));
    }
    let advice = match first {
        '=' => "means nothing alone: write == for equal, ~ for contains",
        '&' => "means nothing alone: write && for and",
        '|' => "means nothing alone: write || for or",
        '\'' | '\u{201c}' | '\u{201d}' => "is no quote here: write \"…\"",
        _ => "means nothing here: put a value that has it in quotes",
    };
    Err((0, Problem::Character { found: first, advice }))
}

/// A text in quotes.
fn quoted(rest: &str) -> Result<(Kind, usize), (usize, Problem)> {
    let mut inside = String::new();
    let mut escapes = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escapes => {
                return match unescape_ascii(&inside) {
                    Ok(bytes) => Ok((Kind::Quoted(escape_ascii(&bytes)), at + 1)),
                    // The escapes `\"` before it are two characters in the filter.
                    Err(wrong) => Err((column_of(rest, &inside, wrong), Problem::Escape)),
                };
            }
            '"' => {
                inside.pop();
                inside.push('"');
                escapes = false;
            }
            _ => {
                inside.push(c);
                escapes = c == '\\' && !escapes;
            }
        }
    }
    Err((0, Problem::OpenQuote))
}

/// How many characters behind the opening quote's own place a byte of the text inside stands.
fn column_of(rest: &str, inside: &str, wrong: usize) -> usize {
    let before = inside[..wrong].chars().count();
    // `inside` has lost the backslash of each `\"`.
    let mut kept = 0;
    let mut chars = rest.chars().skip(1).peekable();
    let mut at = 1;
    while kept < before {
        at += match chars.next() {
            Some('\\') if chars.next_if_eq(&'"').is_some() => 2,
            Some(_) => 1,
            None => break,
        };
        kept += 1;
    }
    at
}

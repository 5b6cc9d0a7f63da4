//! What is wrong with a filter, and where.

use alloc::string::String;
use core::fmt;

/// Columns that are shown of a filter which is too long for a line.
const SHOWN: usize = 72;

/// A text that is no filter.
///
/// `Display` says what is wrong, and shows the text with a caret under the column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// The filter's text.
    pub text: String,
    /// Where it is wrong, in characters from 1; one behind the last for its end.
    pub column: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no condition.
    #[error("the filter is empty: write a condition such as addr==box1, or a word such as noise")]
    Empty,
    /// Longer than [`MAX_LENGTH`](super::MAX_LENGTH).
    #[error("the filter is too long: {length} bytes, the most is {}", super::MAX_LENGTH)]
    TooLong {
        /// Its bytes.
        length: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("parentheses and ! are nested deeper than {}", super::MAX_DEPTH)]
    TooDeep,
    /// A character that means nothing here.
    #[error("{found:?} {advice}")]
    Character {
        /// The character.
        found: char,
        /// What to write instead.
        advice: &'static str,
    },
    /// A text in quotes that does not end.
    #[error("the text that begins here has no closing \"")]
    OpenQuote,
    /// A backslash in quotes that is none of the known escapes.
    #[error("no such escape: write \\\" for a quote, \\\\ for a backslash, \\x1b for a byte")]
    Escape,
    /// Something else was expected.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What.
        expected: &'static str,
        /// What was there.
        found: String,
    },
    /// A name that is no field.
    #[error("no field is named {name}; {advice}")]
    Field {
        /// The name.
        name: String,
        /// The nearest right name, or where the names are listed.
        advice: String,
    },
    /// A word that means nothing alone.
    #[error("{word} alone means nothing; {advice}")]
    Flag {
        /// The word.
        word: String,
        /// What was probably meant.
        advice: String,
    },
    /// A field that cannot be compared like this.
    #[error("{field}{op} makes no sense: {advice}")]
    Operator {
        /// The field.
        field: String,
        /// The operator.
        op: &'static str,
        /// What makes sense.
        advice: String,
    },
    /// A value that the field can never have.
    #[error("{field} cannot be {value:?}: {advice}")]
    Value {
        /// The field.
        field: String,
        /// The value.
        value: String,
        /// What it can be.
        advice: String,
    },
}

impl core::error::Error for FilterError {}

/// The problem with its column, the filter, and a caret under the place.
impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "column {}: {}", self.column, self.problem)?;
        // The place stays in sight in a long filter.
        let skipped = self.column.saturating_sub(SHOWN);
        let shown = self.text.chars().skip(skipped).take(SHOWN + SHOWN / 4);
        let dots = if skipped > 0 { "…" } else { "" };
        let line: String = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = self.column - 1 - skipped.min(self.column - 1) + dots.chars().count();
        write!(f, "  {dots}{line}\n  {:before$}^", "")
    }
}

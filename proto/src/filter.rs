//! The one filter language: conditions over frames, noise, gaps and exchanges.
//!
//! `addr==box1 && func==GET_BOX_STATE && latency>50ms`, `status!=OK`, `noise`, `slot==T1A`,
//! `data~"c5..42"`. The grammar, every field and every flag are in `docs/filter.md`; the rules that
//! decide what a condition means are these:
//!
//! - A **frame field** (`addr`, `func`, a field of the payload) of an exchange is the request's or
//!   the reply's: a comparison is true if it holds for any of the frames that have the field.
//! - A comparison with an **absent** field is false, `!=` and `!~` too. `!(…)` turns the result
//!   round, so `!(status==OK)` is true where there is no status at all.
//! - `status` is what a reply reports. A request's STATUS byte marks it as a request (or says
//!   nothing), so a request has no `status`.
//! - Numbers are decimal, hex is written `0x`. Where that is probably not what was meant the filter
//!   has a [`Hint`].
//! - Names are checked against the dialect when the filter is read: a wrong one is a
//!   [`FilterError`] that points at its column.
//!
//! Reading never panics and never recurses deeper than [`MAX_DEPTH`]. Matching decodes a frame at
//! most once, and only if the filter asks for what is in its payload.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::dialect::Dialect;
use crate::exchange::{Exchange, Observed, Seen};
use crate::frame::Frame;
use crate::record::Record;

mod check;
mod error;
mod evaluate;
mod field;
mod lexer;
mod number;
mod operand;
mod parser;

pub use error::{FilterError, Problem};
use evaluate::View;
use field::{Builtin, Flag, Name};
use operand::Test;

/// The longest filter, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// How deep parentheses and `!` may nest.
pub const MAX_DEPTH: usize = 64;

/// A filter, ready to be matched.
///
/// ```
/// use k485_proto::dialect::K2;
/// use k485_proto::filter::Filter;
///
/// let filter = Filter::parse("addr in {box1, box2} and not status==OK", &K2).unwrap();
/// assert_eq!(filter.to_string(), "(addr==box1 || addr==box2) && !(status==OK)");
/// let error = Filter::parse("adr==box1", &K2).unwrap_err();
/// assert_eq!(error.column, 1);
/// ```
#[derive(Debug, Clone)]
pub struct Filter {
    dialect: &'static Dialect,
    root: Node,
    hints: Vec<Hint>,
}

/// Something that is legal and probably not what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Where it stands, in characters from 1.
    pub column: usize,
    /// What to think of.
    pub text: String,
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// At least two, none of which is an `Or`.
    Or(Vec<Node>),
    /// At least two, none of which is an `And`.
    And(Vec<Node>),
    Not(Box<Node>),
    Flag(Flag),
    Compare(Compare),
}

/// A field against a value.
#[derive(Debug, Clone, PartialEq)]
struct Compare {
    name: Name,
    op: Op,
    /// The value as it was written, in the form of [`escape_ascii`](crate::message::value).
    value: String,
    /// The value as it is compared.
    test: Test,
}

/// How a field is compared.
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

impl Op {
    const ALL: [(&'static str, Op); 8] = [
        // The longer ones first: the lexer takes the first that fits.
        ("==", Op::Eq),
        ("!=", Op::Ne),
        ("<=", Op::Le),
        (">=", Op::Ge),
        ("!~", Op::HasNot),
        ("<", Op::Lt),
        (">", Op::Gt),
        ("~", Op::Has),
    ];

    fn text(self) -> &'static str {
        Op::ALL.iter().find(|(_, op)| *op == self).map_or("", |(text, _)| text)
    }

    /// Whether it asks which of two values is the larger.
    fn is_order(self) -> bool {
        matches!(self, Op::Lt | Op::Le | Op::Gt | Op::Ge)
    }

    /// Whether it asks what a value holds.
    fn is_search(self) -> bool {
        matches!(self, Op::Has | Op::HasNot)
    }
}

impl Filter {
    /// Reads a filter whose names are those of the dialect.
    ///
    /// # Errors
    /// What is wrong first, with its column.
    pub fn parse(text: &str, dialect: &'static Dialect) -> Result<Filter, FilterError> {
        let (root, hints) = parser::parse(text, dialect)?;
        Ok(Filter { dialect, root, hints })
    }

    /// What is legal in it and probably not meant so.
    #[must_use]
    pub fn hints(&self) -> &[Hint] {
        &self.hints
    }

    /// Whether it asks for what only an exchange has (`outcome`, `latency`, `attempts`, …), so that
    /// single frames may never match.
    #[must_use]
    pub fn asks_for_exchanges(&self) -> bool {
        self.root.any(&|node| match node {
            Node::Flag(flag) => matches!(flag, Flag::Exchange | Flag::Retry | Flag::Late),
            Node::Compare(compare) => matches!(
                compare.name,
                Name::Builtin(Builtin::Outcome | Builtin::Latency | Builtin::Attempts)
            ),
            _ => false,
        })
    }

    /// Whether it asks for a time, which not every capture has.
    #[must_use]
    pub fn asks_for_times(&self) -> bool {
        self.root.any(&|node| match node {
            Node::Compare(compare) => {
                matches!(compare.name, Name::Builtin(Builtin::Time | Builtin::Latency))
            }
            _ => false,
        })
    }

    /// Whether it holds for what was seen.
    #[must_use]
    pub fn matches(&self, seen: &Seen) -> bool {
        match seen {
            Seen::Frame(observed) | Seen::Lone(observed) => self.matches_frame(observed),
            Seen::Noise(record) => self.matches_noise(record),
            Seen::Gap(record) => self.matches_gap(record),
            Seen::Exchange(exchange) => self.matches_exchange(exchange),
        }
    }

    /// Whether it holds for an exchange.
    #[must_use]
    pub fn matches_exchange(&self, exchange: &Exchange) -> bool {
        self.root.holds(&View::exchange(exchange))
    }

    /// Whether it holds for a frame.
    #[must_use]
    pub fn matches_frame(&self, observed: &Observed) -> bool {
        self.root.holds(&View::frame(observed))
    }

    /// Whether it holds for a record of noise.
    #[must_use]
    pub fn matches_noise(&self, record: &Record) -> bool {
        self.root.holds(&View::noise(record))
    }

    /// Whether it holds for a record of a gap.
    #[must_use]
    pub fn matches_gap(&self, record: &Record) -> bool {
        self.root.holds(&View::gap(record))
    }

    /// Whether it holds for a request that nobody recorded: it has neither time, bus nor offset,
    /// and is read in the filter's dialect.
    #[must_use]
    pub fn matches_request(&self, request: &Frame<'_>) -> bool {
        self.root.holds(&View::request(request, self.dialect))
    }
}

/// Filters are equal if they ask for the same; hints, which have columns, are left out.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        (self.dialect, &self.root) == (other.dialect, &other.root)
    }
}

impl Node {
    /// Whether some condition in it is such.
    fn any(&self, is: &dyn Fn(&Node) -> bool) -> bool {
        match self {
            Node::Or(nodes) | Node::And(nodes) => nodes.iter().any(|node| node.any(is)),
            Node::Not(node) => node.any(is),
            leaf => is(leaf),
        }
    }

    fn holds(&self, view: &View<'_>) -> bool {
        match self {
            Node::Or(nodes) => nodes.iter().any(|node| node.holds(view)),
            Node::And(nodes) => nodes.iter().all(|node| node.holds(view)),
            Node::Not(node) => !node.holds(view),
            Node::Flag(flag) => view.flag(*flag),
            Node::Compare(compare) => view.compare(compare),
        }
    }
}

/// The canonical form: `&&`, `||` and `!`, sets written out, no parentheses but the needed ones.
/// Read again it is the same filter, where it has not outgrown [`MAX_LENGTH`].
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Or(nodes) => joined(f, nodes, " || ", |_| false),
            Node::And(nodes) => joined(f, nodes, " && ", |node| matches!(node, Node::Or(_))),
            Node::Not(node) if matches!(**node, Node::Not(_) | Node::Flag(_)) => {
                write!(f, "!{node}")
            }
            Node::Not(node) => write!(f, "!({node})"),
            Node::Flag(flag) => f.write_str(flag.name()),
            Node::Compare(compare) => write!(f, "{compare}"),
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    nodes: &[Node],
    between: &str,
    is_weaker: fn(&Node) -> bool,
) -> fmt::Result {
    for (i, node) in nodes.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { between })?;
        match is_weaker(node) {
            true => write!(f, "({node})")?,
            false => write!(f, "{node}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Compare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.op.text())?;
        if !self.value.is_empty() && self.value.chars().all(lexer::is_word) {
            return f.write_str(&self.value);
        }
        write!(f, "\"{}\"", self.value.replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests;

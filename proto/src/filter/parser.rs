//! A filter's tokens as conditions: recursive descent, as deep as parentheses go.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::check;
use super::error::{FilterError, Problem};
use super::field::{Flag, Name, lone_word};
use super::lexer::{self, Kind, Token};
use super::{Compare, Hint, MAX_DEPTH, MAX_LENGTH, Node, Op};
use crate::dialect::Dialect;

/// What is wrong, and at which column.
type Wrong = (usize, Problem);

/// Reads a whole filter.
pub(super) fn parse(
    text: &str,
    dialect: &'static Dialect,
) -> Result<(Node, Vec<Hint>), FilterError> {
    let result = if text.len() > MAX_LENGTH {
        Err((1, Problem::TooLong { length: text.len() }))
    } else {
        lexer::tokens(text).and_then(|tokens| {
            let mut parser = Parser { dialect, tokens, at: 0, hints: Vec::new() };
            Ok((parser.whole()?, parser.hints))
        })
    };
    result.map_err(|(column, problem)| {
        // A text that is too long is not repeated.
        let text = text.chars().take(MAX_LENGTH).collect();
        FilterError { text, column, problem }
    })
}

struct Parser {
    dialect: &'static Dialect,
    /// Ends in `End`, which is never passed.
    tokens: Vec<Token>,
    at: usize,
    hints: Vec<Hint>,
}

impl Parser {
    fn kind(&self) -> &Kind {
        &self.tokens[self.at].kind
    }

    fn column(&self) -> usize {
        self.tokens[self.at].column
    }

    /// Passes a token of this kind, if it is the next one.
    fn pass(&mut self, kind: &Kind) -> bool {
        let is = self.kind() == kind;
        self.at += usize::from(is && *kind != Kind::End);
        is
    }

    /// Passes a word that is written like this, in either case.
    fn pass_word(&mut self, word: &str) -> bool {
        let is = matches!(self.kind(), Kind::Word(own) if own.eq_ignore_ascii_case(word));
        self.at += usize::from(is);
        is
    }

    fn expected(&self, expected: &'static str) -> Wrong {
        (self.column(), Problem::Expected { expected, found: self.kind().shown() })
    }

    fn whole(&mut self) -> Result<Node, Wrong> {
        if self.pass(&Kind::End) {
            return Err((1, Problem::Empty));
        }
        let node = self.or(0)?;
        if self.pass(&Kind::End) { Ok(node) } else { Err(self.expected("&&, || or the end")) }
    }

    fn or(&mut self, depth: usize) -> Result<Node, Wrong> {
        let mut nodes = Vec::from([self.and(depth)?]);
        while self.pass(&Kind::Or) || self.pass_word("or") {
            nodes.push(self.and(depth)?);
        }
        Ok(any_of(nodes))
    }

    fn and(&mut self, depth: usize) -> Result<Node, Wrong> {
        let mut nodes = Vec::new();
        loop {
            match self.unary(depth)? {
                Node::And(inner) => nodes.extend(inner),
                node => nodes.push(node),
            }
            if !(self.pass(&Kind::And) || self.pass_word("and")) {
                return Ok(single(nodes, Node::And));
            }
        }
    }

    fn unary(&mut self, depth: usize) -> Result<Node, Wrong> {
        let column = self.column();
        let mut marks = 0;
        while self.pass(&Kind::Not) || self.pass_word("not") {
            marks += 1;
        }
        let node = self.primary(depth)?;
        if marks == 0 {
            return Ok(node);
        }
        // What is turned round is written in parentheses, so it counts as them.
        if matches!(node, Node::Compare(_)) {
            deeper(depth, column)?;
        }
        Ok(match node {
            node if marks % 2 == 0 => node,
            Node::Not(node) => *node,
            node => Node::Not(Box::new(node)),
        })
    }

    fn primary(&mut self, depth: usize) -> Result<Node, Wrong> {
        let column = self.column();
        if self.pass(&Kind::Open) {
            let node = self.or(deeper(depth, column)?)?;
            return if self.pass(&Kind::Close) {
                Ok(node)
            } else {
                Err(self.expected("&&, || or )"))
            };
        }
        let Kind::Word(word) = self.kind().clone() else {
            return Err(self.expected("a field, a word such as noise, or ("));
        };
        self.at += 1;
        match self.kind().clone() {
            Kind::Op(op) => self.compare(&word, column, op),
            Kind::Word(next) if next.eq_ignore_ascii_case("in") => {
                deeper(depth, column)?;
                self.set(&word, column)
            }
            _ => match Flag::find(&word) {
                Some(flag) => Ok(Node::Flag(flag)),
                None => Err((column, lone_word(&word, self.dialect))),
            },
        }
    }

    /// A comparison, from its operator on.
    fn compare(&mut self, field: &str, column: usize, op: Op) -> Result<Node, Wrong> {
        let name = Name::find(field, self.dialect).map_err(|problem| (column, problem))?;
        let op_column = self.column();
        self.at += 1;
        self.value(&name, op, op_column)
    }

    /// A set, from its `in` on: the same as its values with `==` and `||`.
    fn set(&mut self, field: &str, column: usize) -> Result<Node, Wrong> {
        let name = Name::find(field, self.dialect).map_err(|problem| (column, problem))?;
        self.at += 1;
        if !self.pass(&Kind::OpenSet) {
            return Err(self.expected("{, as in addr in {box1, box2}"));
        }
        let mut nodes = Vec::new();
        loop {
            nodes.push(self.value(&name, Op::Eq, column)?);
            if self.pass(&Kind::CloseSet) {
                return Ok(any_of(nodes));
            }
            if !self.pass(&Kind::Comma) {
                return Err(self.expected(", or }"));
            }
        }
    }

    /// A value that a field is compared with.
    fn value(&mut self, name: &Name, op: Op, op_column: usize) -> Result<Node, Wrong> {
        let column = self.column();
        let value: String = match self.kind() {
            Kind::Word(text) | Kind::Quoted(text) => text.clone(),
            _ => return Err(self.expected("a value (one with other characters in quotes)")),
        };
        self.at += 1;
        let checked = check::value(name, op, &value, self.dialect);
        let checked = checked.map_err(|problem| match problem {
            Problem::Operator { .. } => (op_column, problem),
            _ => (column, problem),
        })?;
        self.hints.extend(checked.hint.map(|text| Hint { column, text }));
        Ok(Node::Compare(Compare { name: name.clone(), op, value, test: checked.test }))
    }
}

/// One level further down.
fn deeper(depth: usize, column: usize) -> Result<usize, Wrong> {
    if depth < MAX_DEPTH { Ok(depth + 1) } else { Err((column, Problem::TooDeep)) }
}

/// The alternatives as one condition.
fn any_of(nodes: Vec<Node>) -> Node {
    let mut flat = Vec::with_capacity(nodes.len());
    for node in nodes {
        match node {
            Node::Or(inner) => flat.extend(inner),
            node => flat.push(node),
        }
    }
    single(flat, Node::Or)
}

/// One node as itself, several as what `join` makes of them.
fn single(mut nodes: Vec<Node>, join: fn(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(node) if nodes.is_empty() => node,
        Some(node) => {
            nodes.push(node);
            join(nodes)
        }
        // No list is empty here; no alternative never holds.
        None => join(nodes),
    }
}

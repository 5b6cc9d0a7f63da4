//! Two exchanges that belong together, thing by thing.

use k485_proto::dialect::Dialect;
use k485_proto::exchange::{Exchange, Observed, Outcome};
use k485_proto::frame::Frame;
use k485_proto::message::Message;
use serde::Serialize;

use super::{Item, Options};
use crate::fields::{Shown, flat};

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// `outcome`, `status`, `attempts`, `latency`, `data`, or the name of a field.
    pub name: String,
    /// In the first capture; `None` where it lacks.
    pub a: Option<Shown>,
    /// In the second capture; `None` where it lacks.
    pub b: Option<Shown>,
    /// How much more the second one is, for numbers; of a latency in milliseconds.
    pub delta: Option<f64>,
}

/// What differs between two items that belong together.
pub(super) fn compare(a: &Item, b: &Item, options: &Options) -> Vec<Change> {
    let mut changes = Vec::new();
    if let (Item::Exchange(a), Item::Exchange(b)) = (a, b) {
        ending(a, b, options, &mut changes);
    }
    if let (Some(a), Some(b)) = (a.reply(), b.reply()) {
        // Most replies are the same to the last byte, in reply to the same.
        if a.frame() != b.frame() || a.dir != b.dir {
            replies(&Said::of(a), &Said::of(b), &mut changes);
        }
    }
    changes.retain(|change| !options.ignores(&change.name));
    changes
}

/// Notes one thing, if it differs.
pub(crate) fn note(name: &str, a: Option<Shown>, b: Option<Shown>, changes: &mut Vec<Change>) {
    let same = match (&a, &b) {
        (Some(a), Some(b)) => a.same(b),
        (a, b) => a.is_none() && b.is_none(),
    };
    if same {
        return;
    }
    let number = |shown: &Option<Shown>| shown.as_ref().and_then(Shown::number);
    let delta = number(&a).zip(number(&b)).map(|(a, b)| b - a).filter(|delta| delta.is_finite());
    changes.push(Change { name: name.to_owned(), a, b, delta });
}

fn ending(a: &Exchange, b: &Exchange, options: &Options, changes: &mut Vec<Change>) {
    let outcome = |exchange: &Exchange| Some(Shown::Text(exchange.outcome.name().to_owned()));
    note("outcome", outcome(a), outcome(b), changes);
    // What a source hides does not differ.
    if let (Some(a), Some(b)) = (a.attempts, b.attempts) {
        note("attempts", Some(Shown::Count(a)), Some(Shown::Count(b)), changes);
    }
    let answered = |exchange: &Exchange| exchange.outcome == Outcome::Answered;
    if let (Some(la), Some(lb)) = (a.latency_ns, b.latency_ns)
        && answered(a)
        && answered(b)
        && la.abs_diff(lb) > options.latency_ns.unsigned_abs()
    {
        note("latency", Some(Shown::Nanos(la)), Some(Shown::Nanos(lb)), changes);
    }
}

/// A reply that is compared, with what it says.
pub(crate) struct Said<'a> {
    /// The frame.
    pub(crate) frame: Frame<'a>,
    /// What it says.
    pub(crate) message: Message<'a>,
    /// Whose names its STATUS is told in.
    pub(crate) dialect: &'static Dialect,
}

impl<'a> Said<'a> {
    fn of(reply: &'a Observed) -> Said<'a> {
        Said { frame: reply.frame(), message: reply.message(), dialect: reply.dialect }
    }
}

/// Differences of two replies: STATUS, and what they say.
pub(crate) fn replies(a: &Said<'_>, b: &Said<'_>, changes: &mut Vec<Change>) {
    let status = |reply: &Said<'_>| {
        Shown::Text(reply.dialect.status_name(reply.frame.status()).into_owned())
    };
    note("status", Some(status(a)), Some(status(b)), changes);
    let (mine, mut theirs) = (flat(&a.message), flat(&b.message));
    for (name, value) in mine {
        let at = theirs.iter().position(|(other, _)| *other == name);
        let other = at.map(|at| theirs.remove(at).1);
        note(&name, Some(value), other, changes);
    }
    for (name, value) in theirs {
        note(&name, None, Some(value), changes);
    }
}

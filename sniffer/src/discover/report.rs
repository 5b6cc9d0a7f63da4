//! What was found: plain data, which the text, the JSON and the dialect stub are written from.

use std::collections::BTreeMap;

use k485_proto::message::Kind;
use serde::{Serialize, Serializer};

pub use super::column::{Field, Shown};
pub use super::relate::{Change, Correlation, Place};

use super::column;
use super::forms::{self, FormStatus};
use super::relate::{self, Series};
use super::run::{Run, Side};
use super::{Family, Group, Key};

/// How much stands behind a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Fewer than four payloads, or none that differ: what is said is a guess.
    TooFew,
    /// It fits, and so does something else.
    Weak,
    /// It fits clearly better than what else was tried.
    Fair,
    /// It would take a coincidence to be something else.
    Strong,
}

impl Confidence {
    /// In one or two words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Confidence::TooFew => "too few",
            Confidence::Weak => "weak",
            Confidence::Fair => "fair",
            Confidence::Strong => "strong",
        }
    }
}

/// Everything that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Exchanges in the input.
    pub exchanges: u64,
    /// Exchanges of functions beyond the limit, which were not kept.
    pub left_out: u64,
    /// One entry a function.
    pub functions: Vec<Function>,
    /// Fields that move together, the closest first.
    pub correlations: Vec<Correlation>,
}

/// One function.
#[derive(Debug, Clone, Serialize)]
pub struct Function {
    /// Whose.
    #[serde(serialize_with = "family")]
    pub family: Family,
    /// The FUNC byte.
    pub func: u8,
    /// Exchanges by device address.
    pub devices: BTreeMap<u8, u64>,
    /// Requests that nobody answered in time.
    pub timeouts: u64,
    /// Replies by STATUS.
    pub statuses: BTreeMap<u8, u64>,
    /// Its requests.
    pub requests: Payloads,
    /// Its replies.
    pub replies: Payloads,
}

/// The payloads of one direction.
#[derive(Debug, Clone, Serialize)]
pub struct Payloads {
    /// How many.
    pub count: u64,
    /// How many different ones in a row were looked at.
    pub runs: usize,
    /// Whether there were more runs than are kept: then values are those of a random part.
    pub thinned: bool,
    /// The most common STATUS.
    pub status: Option<u8>,
    /// Payloads by length.
    pub lengths: BTreeMap<u8, u64>,
    /// Which byte of the request chooses the form; `None` where nothing does.
    pub selector: Option<usize>,
    /// The layouts.
    pub forms: Vec<Form>,
}

/// A layout.
#[derive(Debug, Clone, Serialize)]
pub struct Form {
    /// The values of the selector that choose it; empty: all.
    pub when: Vec<u8>,
    /// The STATUS that it goes with; `None` for any.
    pub status: Option<u8>,
    /// How many payloads.
    pub count: u64,
    /// Their least and most length.
    pub length: (usize, usize),
    /// Its fields.
    pub fields: Vec<Field>,
    /// What its fields changed after.
    pub changes: Vec<Change>,
}

fn family<S: Serializer>(family: &Family, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(family)
}

pub(super) fn kind_name<S: Serializer>(
    kind: &&'static Kind,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name)
}

impl Payloads {
    /// The layout of a payload: of a reply under its STATUS and its request's data, of a request
    /// with its own data as `asked`.
    #[must_use]
    pub fn form(&self, status: u8, asked: Option<&[u8]>, length: usize) -> Option<&Form> {
        let value = self.selector.and_then(|at| asked?.get(at).copied());
        let fits = |form: &&Form| {
            let chosen =
                form.when.is_empty() || value.is_none_or(|value| form.when.contains(&value));
            chosen && (form.length.0..=form.length.1).contains(&length)
        };
        let mut exact = self.forms.iter().filter(|form| form.status == Some(status));
        let mut any = self.forms.iter().filter(|form| form.status.is_none());
        exact.find(fits).or_else(|| any.find(fits))
    }
}

impl Report {
    /// The report as JSON, with line breaks.
    ///
    /// # Errors
    /// Those of `serde_json`; none is known to come of this data.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    pub(super) fn of(groups: &BTreeMap<Key, Group>, exchanges: u64, left_out: u64) -> Self {
        let mut series = Vec::new();
        let functions =
            groups.iter().map(|(key, group)| function(*key, group, &mut series)).collect();
        let correlations = relate::correlations(&series);
        Report { exchanges, left_out, functions, correlations }
    }
}

fn function(key: Key, group: &Group, series: &mut Vec<Series>) -> Function {
    Function {
        family: key.family,
        func: key.func,
        devices: group.devices.clone(),
        timeouts: group.timeouts,
        statuses: group.statuses.clone(),
        requests: payloads(key, &group.requests, true, series),
        replies: payloads(key, &group.replies, false, series),
    }
}

fn payloads(key: Key, side: &Side, request: bool, series: &mut Vec<Series>) -> Payloads {
    let runs = side.runs();
    let found = forms::divide(&runs, request);
    let single = |length: usize| {
        let mut same =
            found.forms.iter().filter(|form| form.runs.iter().any(|r| r.data.len() == length));
        same.next().is_some() && same.next().is_none()
    };
    let mut out = Vec::new();
    for (at, form) in found.forms.iter().enumerate() {
        let widths = form.runs.iter().map(|run| run.data.len());
        let length = (widths.clone().min().unwrap_or(0), widths.max().unwrap_or(0));
        // Where the form has its length for itself, the exact counts are its own.
        let exact = (length.0 == length.1 && single(length.0)).then_some(side);
        let fields: Vec<Field> = form
            .layout
            .spans
            .iter()
            .map(|span| column::field(span, &form.runs, exact, side.is_thinned()))
            .collect();
        for field in &fields {
            series.extend(relate::series(key, request, at, field, &form.runs));
        }
        let changes = if request || side.is_thinned() {
            Vec::new()
        } else {
            fields.iter().flat_map(|field| relate::changes(field, &form.runs, side)).collect()
        };
        let status = match form.status {
            FormStatus::Ok if request => form.runs.first().map(|run| run.status),
            FormStatus::Ok => Some(0),
            FormStatus::Is(status) => Some(status),
            FormStatus::Any => None,
        };
        let count = form.runs.iter().map(|run| run.count).sum();
        let when = form.when.clone();
        out.push(Form {
            when,
            status: status.filter(|_| !request),
            count,
            length,
            fields,
            changes,
        });
    }
    Payloads {
        count: side.count,
        runs: runs.len(),
        thinned: side.is_thinned(),
        status: most_common(&runs),
        lengths: side.lengths.clone(),
        selector: found.selector,
        forms: out,
    }
}

fn most_common(runs: &[&Run]) -> Option<u8> {
    let mut counts: BTreeMap<u8, u64> = BTreeMap::new();
    for run in runs {
        *counts.entry(run.status).or_default() += run.count;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(status, _)| status)
}

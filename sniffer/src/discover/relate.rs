//! What moves together, and what changes after what.

use std::collections::BTreeMap;

use k485_proto::message::Kind;
use serde::Serialize;

use super::Key;
use super::column::{Field, bytes_of, number, pearson};
use super::run::{Command, Run, Side, same_question};

/// How many points of a field are used at most.
const POINTS: usize = 512;
/// The least points of a correlation, and the least different values of each field.
const LEAST: (usize, usize) = (8, 4);
/// The least rank correlation that is told.
const CLOSE: f64 = 0.7;
/// How many correlations are told, and how many fields are compared.
const MOST: usize = 40;
const FIELDS: usize = 128;
/// How much likelier than usual a command must be before a change.
const LIFT: f64 = 2.0;
/// How many commands are told for a field.
const COMMANDS: usize = 3;

/// Where a field is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The family of devices.
    pub family: String,
    /// The FUNC byte.
    pub func: u8,
    /// Whether it is a request's.
    pub request: bool,
    /// Which of the forms.
    pub form: usize,
    /// Its first byte.
    pub offset: usize,
}

/// Two fields that move together.
#[derive(Debug, Clone, Serialize)]
pub struct Correlation {
    /// One.
    pub a: Place,
    /// The other.
    pub b: Place,
    /// Spearman's rank correlation, -1 to 1.
    pub rho: f64,
    /// Over how many pairs: each value of the one that changed with the latest of the other, of
    /// the same device.
    pub points: usize,
}

/// A command before which a field tends to stay and after which it tends to change.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The field's first byte.
    pub offset: usize,
    /// The command's function.
    pub func: u8,
    /// The first bytes of its data.
    pub data: Vec<u8>,
    /// How many changes it went before.
    pub hits: u64,
    /// How often the field changed.
    pub changes: u64,
    /// In how many of the gaps between two reads it was sent.
    pub sent: u64,
    /// How many gaps there were.
    pub gaps: u64,
    /// How much more often it is sent before a change than in any gap.
    pub lift: f64,
    /// The most common change after it, from and to, in hex.
    pub example: (String, String),
}

/// The numbers of a field in time.
pub(super) struct Series {
    place: Place,
    /// By device and exchange.
    points: Vec<((u32, u8), u64, f64)>,
}

/// The series of a field, if it has enough different numbers.
pub(super) fn series(
    key: Key,
    request: bool,
    form: usize,
    field: &Field,
    runs: &[&Run],
) -> Option<Series> {
    if field.distinct < LEAST.1 {
        return None;
    }
    let step = runs.len().div_ceil(POINTS).max(1);
    let value = |run: &Run| number(field.kind, bytes_of(run, field.offset, field.width));
    let mut points: Vec<((u32, u8), u64, f64)> = runs
        .iter()
        .step_by(step)
        .filter_map(|run| Some((run.device(), run.first.seq, value(run)?)))
        .collect();
    points.sort_by_key(|(device, seq, _)| (*device, *seq));
    let family = key.family.to_string();
    let place = Place { family, func: key.func, request, form, offset: field.offset };
    (points.len() >= LEAST.0).then_some(Series { place, points })
}

/// The pairs of fields that move together.
pub(super) fn correlations(series: &[Series]) -> Vec<Correlation> {
    let mut found = Vec::new();
    let series = &series[..series.len().min(FIELDS)];
    for (at, a) in series.iter().enumerate() {
        for b in &series[at + 1..] {
            let pairs = aligned(a, b);
            let rho = spearman(&pairs);
            if pairs.len() >= LEAST.0 && rho.abs() >= CLOSE {
                let (a, b) = (a.place.clone(), b.place.clone());
                found.push(Correlation { a, b, rho, points: pairs.len() });
            }
        }
    }
    let weight = |c: &Correlation| c.rho.abs() * (c.points as f64).ln();
    found.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    found.truncate(MOST);
    found
}

/// Each value of the rarer one with the latest of the other, of the same device.
fn aligned(a: &Series, b: &Series) -> Vec<(f64, f64)> {
    let (few, many) = if a.points.len() <= b.points.len() { (a, b) } else { (b, a) };
    let pairs = few.points.iter().filter_map(|(device, seq, x)| {
        let behind = many.points.partition_point(|(d, s, _)| (*d, *s) <= (*device, *seq));
        let (other, _, y) = many.points.get(behind.checked_sub(1)?)?;
        (other == device).then_some((*x, *y))
    });
    pairs.collect()
}

/// Ranks, the middle one for equal values.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = |at: &&usize| values[**at] == values[order[start]];
        let end = start + order[start..].iter().take_while(same).count().max(1);
        for at in &order[start..end] {
            ranks[*at] = (start + end - 1) as f64 / 2.0;
        }
        start = end;
    }
    ranks
}

/// Spearman's rank correlation; 0 where one side hardly changes.
fn spearman(pairs: &[(f64, f64)]) -> f64 {
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let different = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        sorted.len()
    };
    if different(&x).min(different(&y)) < LEAST.1 {
        return 0.0;
    }
    let points: Vec<(f64, f64)> = ranks(&x).into_iter().zip(ranks(&y)).collect();
    pearson(&points)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A value and the next.
type Step = (Vec<u8>, Vec<u8>);

/// Which commands a field changes after.
pub(super) fn changes(field: &Field, runs: &[&Run], side: &Side) -> Vec<Change> {
    let kind: &'static Kind = field.kind;
    if field.distinct < 2 || kind.name == "uniid" {
        return Vec::new();
    }
    let of = |run: &Run| bytes_of(run, field.offset, field.width).to_vec();
    let mut changes = 0;
    let mut after: BTreeMap<&Command, BTreeMap<Step, u64>> = BTreeMap::new();
    for pair in runs.windows(2) {
        let (from, to) = (of(pair[0]), of(pair[1]));
        let Some(before) = &pair[1].before else { continue };
        if from == to || !same_question(pair[0], pair[1]) {
            continue;
        }
        changes += 1;
        for command in before {
            *after.entry(command).or_default().entry((from.clone(), to.clone())).or_default() += 1;
        }
    }
    let mut found: Vec<Change> = after
        .into_iter()
        .filter_map(|(command, examples)| {
            let hits: u64 = examples.values().sum();
            let sent = side.between.get(command).copied().unwrap_or(hits).max(hits);
            let usual = sent as f64 / side.intervals.max(1) as f64;
            let lift = hits as f64 / changes as f64 / usual;
            let ((from, to), _) = examples.iter().max_by_key(|(_, count)| **count)?;
            let example = (hex(from), hex(to));
            let (func, data) = (command.func, command.data().to_vec());
            let (offset, gaps) = (field.offset, side.intervals);
            let change = Change { offset, func, data, hits, changes, sent, gaps, lift, example };
            (lift >= LIFT).then_some(change)
        })
        .collect();
    // Those that explain most come first; of these, those that are sent the least for nothing.
    found.sort_by_key(|change| (std::cmp::Reverse(change.hits), change.sent));
    found.truncate(COMMANDS);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_correlation() {
        let pairs: Vec<(f64, f64)> = (0..10).map(|n| (f64::from(n), f64::from(n * n))).collect();
        assert!((spearman(&pairs) - 1.0).abs() < 1e-12);
        // Textbook: one swap among five, 1 - 6*2/(5*24).
        let swapped = [(1.0, 1.0), (2.0, 2.0), (3.0, 4.0), (4.0, 3.0), (5.0, 5.0)];
        assert!((spearman(&swapped) - 0.9).abs() < 1e-12);
        assert_eq!(ranks(&[5.0, 1.0, 5.0]), [1.5, 0.0, 1.5]);
        assert_eq!(spearman(&[(1.0, 1.0), (1.0, 2.0)]), 0.0);
    }
}

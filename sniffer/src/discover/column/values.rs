//! Values of a field: as numbers, as texts, in a histogram.

use std::collections::BTreeMap;

use k485_proto::message::{Context, Kind, Value};
use serde::Serialize;

/// How many columns a histogram has at most.
const BUCKETS: usize = 16;

/// A value with how often it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The value as the kind reads it; a byte in hex.
    pub value: String,
    /// How often.
    pub count: u64,
}

/// A value as a number; `None` for kinds that are none, and for what is no number.
pub(crate) fn number(kind: &'static Kind, bytes: &[u8]) -> Option<f64> {
    match (kind.decode)(bytes, &Context::default())? {
        Value::Int(n) => Some(n as f64),
        Value::Float(x) => x.is_finite().then_some(f64::from(x)),
        Value::Bits { raw, .. } => Some(f64::from(raw)),
        Value::Slots { set, .. } => Some(f64::from(set.0)),
        _ => None,
    }
}

fn text(kind: &'static Kind, bytes: &[u8]) -> String {
    let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match (kind.decode)(bytes, &Context::default()) {
        Some(Value::Int(n)) if bytes.len() > 1 || kind.name == "i8" => n.to_string(),
        Some(Value::Float(x)) => x.to_string(),
        Some(Value::Text(text)) => text,
        _ => hex(),
    }
}

/// The most common values, the most common first.
pub(super) fn shown(
    kind: &'static Kind,
    counts: &BTreeMap<Vec<u8>, u64>,
    most: usize,
) -> Vec<Shown> {
    let mut order: Vec<(&Vec<u8>, u64)> = counts.iter().map(|(v, count)| (v, *count)).collect();
    order.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    order.truncate(most);
    order.into_iter().map(|(value, count)| Shown { value: text(kind, value), count }).collect()
}

/// Least and most.
pub(super) fn range(numbers: &[(f64, u64)]) -> Option<(f64, f64)> {
    let values = numbers.iter().map(|(x, _)| *x);
    values.clone().reduce(f64::min).zip(values.reduce(f64::max))
}

/// How the numbers spread; empty for fewer than two different ones. Few whole numbers have a bucket
/// each, from the least to the most; else buckets are of one width.
pub(super) fn histogram(numbers: &[(f64, u64)], whole: bool) -> Vec<u64> {
    let Some((least, most)) = range(numbers).filter(|(least, most)| least < most) else {
        return Vec::new();
    };
    if whole && numbers.len() <= BUCKETS {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        return sorted.into_iter().map(|(_, count)| count).collect();
    }
    let mut buckets = vec![0; BUCKETS];
    for (x, count) in numbers {
        let share = (x - least) / (most - least);
        // Between 0 and 1.
        let at = (share * BUCKETS as f64) as usize;
        buckets[at.min(BUCKETS - 1)] += count;
    }
    buckets
}

/// Pearson's correlation; 0 where one side does not change.
pub(crate) fn pearson(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (sx, sy) = points.iter().fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x, sy + y));
    let (mx, my) = (sx / n, sy / n);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in points {
        xy += (x - mx) * (y - my);
        xx += (x - mx) * (x - mx);
        yy += (y - my) * (y - my);
    }
    if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}

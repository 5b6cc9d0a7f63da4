//! What the bytes of a field do: its kind in the end, its values, and the reasons.

use std::collections::BTreeMap;

use k485_proto::message::kind::{self, Kind};
use serde::Serialize;

use super::cost;
use super::report::{Confidence, kind_name};
use super::run::{Run, Side, same_question};
use super::segment::Span;

mod sums;
mod values;

pub use values::Shown;
pub(super) use values::{number, pearson};

/// How many of a field's values are shown.
const SHOWN: usize = 16;
/// How much likelier a mask must be than a code, before it is called one.
const MASK_ODDS: f64 = 2.0;

/// A field with what is known of it.
#[derive(Debug, Clone, Serialize)]
pub struct Field {
    /// Its first byte in the payload.
    pub offset: usize,
    /// Its bytes; `None` for all that is left.
    pub width: Option<usize>,
    /// How it is read.
    #[serde(serialize_with = "kind_name")]
    pub kind: &'static Kind,
    /// How much stands behind the kind.
    pub confidence: Confidence,
    /// What its values do, in a word or two.
    pub role: &'static str,
    /// How many payloads.
    pub count: u64,
    /// How many different values.
    pub distinct: usize,
    /// Least and most, for numbers.
    pub range: Option<(f64, f64)>,
    /// Its most common values with their counts.
    pub values: Vec<Shown>,
    /// How its numbers spread from the least to the most.
    pub histogram: Vec<u64>,
    /// Why, in sentences without a full stop.
    pub evidence: Vec<String>,
}

/// The bytes of a field in a payload.
pub(super) fn bytes_of(run: &Run, offset: usize, width: Option<usize>) -> &[u8] {
    let end = width.map_or(run.data.len(), |width| offset + width);
    run.data.get(offset..end).unwrap_or_default()
}

/// A stretch of payloads with the same value of a field, in answers to one question.
struct Stretch<'a> {
    run: &'a Run,
    value: &'a [u8],
    count: u64,
    /// Whether a stretch of the same question lies before it.
    follows: bool,
}

fn stretches<'a>(runs: &[&'a Run], offset: usize, width: Option<usize>) -> Vec<Stretch<'a>> {
    let mut all: Vec<Stretch> = Vec::new();
    for run in runs {
        let value = bytes_of(run, offset, width);
        let follows = all.last().is_some_and(|last| same_question(last.run, run));
        match all.last_mut() {
            Some(last) if follows && last.value == value => last.count += run.count,
            _ => all.push(Stretch { run, value, count: run.count, follows }),
        }
    }
    all
}

/// The field of a span. `exact`: the side, where its counts by length are this form's own.
pub(super) fn field(span: &Span, runs: &[&Run], exact: Option<&Side>, thinned: bool) -> Field {
    let (offset, width) = (span.start, span.width);
    let stretches = stretches(runs, offset, width);
    let counted = counts(span, runs, exact);
    let distinct = counted.len();
    let count: u64 = counted.values().sum();
    let mut evidence = Vec::new();
    let kind = if span.kind == &kind::U8 {
        one_byte(runs, &stretches, offset, &counted, &mut evidence)
    } else {
        span.kind
    };
    let role = role(kind, &stretches, &counted, thinned, &mut evidence);
    related(span, runs, distinct, &mut evidence);
    if span.gain > 0.0 && span.width != Some(1) {
        evidence.push(format!("saves {:.0} bits over single bytes", span.gain));
    }
    let odds = mask_odds(&bytes(&counted));
    let confidence = match role {
        "random" => Confidence::Weak,
        _ => confidence(span, kind, count, distinct, odds),
    };
    let numbers: Vec<(f64, u64)> =
        counted.iter().filter_map(|(value, count)| Some((number(kind, value)?, *count))).collect();
    Field {
        offset,
        width,
        kind,
        confidence,
        role,
        count,
        distinct,
        range: values::range(&numbers),
        values: values::shown(kind, &counted, SHOWN),
        histogram: values::histogram(&numbers, !kind.name.starts_with('f')),
        evidence,
    }
}

/// How often each value came.
fn counts(span: &Span, runs: &[&Run], exact: Option<&Side>) -> BTreeMap<Vec<u8>, u64> {
    if let (Some(1), Some(side), Some(run)) = (span.width, exact, runs.first())
        && let Some(column) = side.exact(run.data.len(), span.start)
    {
        return column.into_iter().map(|(value, count)| (vec![value], count)).collect();
    }
    let mut counts = BTreeMap::new();
    for run in runs {
        let value = bytes_of(run, span.start, span.width).to_vec();
        *counts.entry(value).or_default() += run.count;
    }
    counts
}

/// The first byte of each value.
fn bytes(counts: &BTreeMap<Vec<u8>, u64>) -> Vec<u8> {
    counts.keys().filter_map(|value| value.first().copied()).collect()
}

/// What a single byte is: an address, a mask, a signed number, or a plain byte.
fn one_byte(
    runs: &[&Run],
    stretches: &[Stretch<'_>],
    offset: usize,
    counts: &BTreeMap<Vec<u8>, u64>,
    evidence: &mut Vec<String>,
) -> &'static Kind {
    let values = bytes(counts);
    let own = runs.iter().all(|run| run.data.get(offset) == Some(&run.addr));
    if own && values.len() > 1 {
        evidence.push("the device's own address".into());
        return &kind::ADDRESS;
    }
    let odds = mask_odds(&values);
    if odds > MASK_ODDS {
        let union = values.iter().fold(0, |all, value| all | value);
        evidence.push(format!("bits of {union:02x}; {odds:.0} times likelier a mask than a code"));
        return if union <= 0x0f { &kind::SLOTS } else { &kind::BITS8 };
    }
    // A counter that wraps round passes zero too.
    if is_signed(&values) && counter(&kind::U8, stretches).is_none() {
        evidence.push("below and above zero when read with a sign".into());
        return &kind::I8;
    }
    &kind::U8
}

/// How much likelier values are under "bits that are set" than under "small numbers". Under the
/// first none, one and all bits are usual; under the second the smaller the likelier.
fn mask_odds(values: &[u8]) -> f64 {
    if values.iter().all(|value| *value == 0) {
        return 0.0;
    }
    let lower = values.iter().all(|value| *value <= 0x0f);
    let (width, every) = if lower { (4.0, 0x0f) } else { (8.0, 0xff) };
    let mask = |value: u8| match value.count_ones() {
        0 => 0.3,
        // FF is "none" more often than eight bits at once.
        _ if value == every => {
            if lower {
                0.08
            } else {
                0.004
            }
        }
        1 => 0.4 / width,
        _ => 0.2 / 250.0,
    };
    let mut odds = 3.0_f64 / 7.0;
    for value in values {
        let code = (-cost::new_byte(*value)).exp2();
        odds *= mask(*value) / code;
    }
    odds
}

/// Whether the values lie round zero when read with a sign, and at both ends without one.
fn is_signed(values: &[u8]) -> bool {
    let negative: Vec<u8> = values.iter().copied().filter(|value| *value >= 0x80).collect();
    let positive = values.iter().copied().filter(|value| *value < 0x80);
    let most = positive.clone().max();
    let least = negative.iter().min();
    // FF alone is more often "none" than -1.
    negative.len() >= 2
        && most.zip(least).is_some_and(|(most, least)| {
            u32::from(most) + 256 - u32::from(*least) < 128 && negative.contains(&0xff)
        })
}

/// What the values do.
fn role(
    kind: &'static Kind,
    stretches: &[Stretch<'_>],
    counts: &BTreeMap<Vec<u8>, u64>,
    thinned: bool,
    evidence: &mut Vec<String>,
) -> &'static str {
    let count: u64 = counts.values().sum();
    if counts.len() < 2 {
        return "constant";
    }
    if !thinned && let Some(times) = one_shots(stretches, counts) {
        let few = if times < 3 { ": too few to be sure" } else { "" };
        evidence.push(format!("leaves its rest value for one read only, {times}x{few}"));
        return "one-shot";
    }
    if is_per_device(stretches) {
        evidence.push("constant for each device, different between devices".into());
        return if kind == &kind::UNIID { "identity" } else { "per device" };
    }
    if !thinned && let Some(step) = counter(kind, stretches) {
        if is_clock(kind, stretches) {
            evidence.push("grows as time does".into());
            return "clock";
        }
        evidence.push(step);
        return "counter";
    }
    let column: Vec<u8> = stretches.iter().filter_map(|s| s.value.first().copied()).collect();
    if kind == &kind::U8 && cost::looks_random(&column) {
        evidence.push("looks random: a part of a wider value, a check sum, or noise".into());
        return "random";
    }
    match kind.name {
        "slots" | "bits8" => "mask",
        "text" | "ascii3" => "text",
        "u8" if counts.len() <= 16 && count >= 2 * counts.len() as u64 => "code",
        _ if number(kind, &[0; 4]).is_some() || number(kind, &[0]).is_some() => "number",
        _ => "varies",
    }
}

/// How often a value other than the usual one came for a single read, if it never stayed longer.
fn one_shots(stretches: &[Stretch<'_>], counts: &BTreeMap<Vec<u8>, u64>) -> Option<usize> {
    let count: u64 = counts.values().sum();
    let (rest, usual) = counts.iter().max_by_key(|(_, count)| **count)?;
    if *usual * 4 < count * 3 {
        return None;
    }
    let mut shots = 0;
    for (at, stretch) in stretches.iter().enumerate() {
        if stretch.value == *rest {
            continue;
        }
        let from = stretch.follows && stretches[at - 1].value == *rest;
        let back = stretches.get(at + 1).is_some_and(|next| next.follows && next.value == *rest);
        if stretch.count > 1 || !from || !back {
            return None;
        }
        shots += 1;
    }
    (shots > 0).then_some(shots)
}

/// Whether each device has one value in its replies, read more than once on average, and there are
/// several devices and values.
fn is_per_device(stretches: &[Stretch<'_>]) -> bool {
    let mut own: BTreeMap<(u32, u8), &[u8]> = BTreeMap::new();
    let stays = stretches.iter().all(|s| *own.entry(s.run.device()).or_insert(s.value) == s.value);
    let mut values: Vec<&[u8]> = own.values().copied().collect();
    values.sort_unstable();
    values.dedup();
    let reads: u64 = stretches.iter().map(|stretch| stretch.count).sum();
    // What a request says is the host's choice.
    let told = stretches.iter().any(|stretch| stretch.run.asked.is_some());
    stays && told && values.len() >= 2 && reads >= 2 * own.len() as u64
}

/// Whether the value only grows (a byte: wraps round), by what step.
fn counter(kind: &'static Kind, stretches: &[Stretch<'_>]) -> Option<String> {
    let whole = ["u8", "u16le", "u16be", "u32le", "u32be"].contains(&kind.name);
    let mut steps: BTreeMap<u64, u64> = BTreeMap::new();
    let mut turns = 0;
    for pair in stretches.windows(2).filter(|pair| pair[1].follows) {
        let (from, to) = (number(kind, pair[0].value)?, number(kind, pair[1].value)?);
        let span = (8.0 * pair[0].value.len() as f64).exp2();
        let mut step = to - from;
        if step < 0.0 {
            turns += 1;
            step += span;
        }
        if step > span / 4.0 {
            return None;
        }
        *steps.entry(step as u64).or_default() += 1;
    }
    let all: u64 = steps.values().sum();
    let (step, times) = steps.iter().max_by_key(|(_, times)| **times)?;
    // A code that goes 0, 1, 2 is no counter.
    (whole && all >= 6 && turns * 4 <= all)
        .then(|| format!("only grows ({all} steps, {times} of them by {step})"))
}

/// Whether the counter is in proportion to the time that passed, on the first device.
fn is_clock(kind: &'static Kind, stretches: &[Stretch<'_>]) -> bool {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut last = 0.0;
    for stretch in stretches.iter().filter(|s| s.run.device() == stretches[0].run.device()) {
        let (Some(time), Some(value)) = (stretch.run.first.time, number(kind, stretch.value))
        else {
            return false;
        };
        let turn = (8.0 * stretch.value.len() as f64).exp2();
        let all = points.last().map_or(value, |(_, all)| all + (value - last).rem_euclid(turn));
        points.push((time.0 as f64 / 1e9, all));
        last = value;
    }
    points.len() >= 8 && values::pearson(&points) > 0.9995
}

/// What the field has to do with the request, and with the other bytes of the payload.
fn related(span: &Span, runs: &[&Run], distinct: usize, evidence: &mut Vec<String>) {
    let width = span.width.unwrap_or(0);
    if distinct >= 2 && width > 0 {
        let least = runs.iter().map(|run| run.asked.as_ref().map_or(0, |a| a.len())).min();
        for at in 0..least.unwrap_or(0).saturating_sub(width - 1) {
            let echo = |run: &&Run| {
                let asked = run.asked.as_ref().and_then(|asked| asked.get(at..at + width));
                asked == Some(bytes_of(run, span.start, span.width))
            };
            if runs.iter().all(echo) {
                evidence.push(format!("repeats the request from byte {at} on"));
                break;
            }
        }
    }
    if width == 1
        && let Some(sum) = sums::find(runs, span.start)
    {
        evidence.push(sum);
    }
}

/// How much stands behind a kind. `odds`: those of a mask.
fn confidence(
    span: &Span,
    kind: &'static Kind,
    count: u64,
    distinct: usize,
    odds: f64,
) -> Confidence {
    let mask = kind == &kind::SLOTS || kind == &kind::BITS8;
    let wide = span.width != Some(1);
    match span.gain {
        _ if count < 4 => Confidence::TooFew,
        gain if wide && gain >= 20.0 && distinct >= 2 && count >= 8 => Confidence::Strong,
        gain if wide && gain >= 6.0 => Confidence::Fair,
        _ if wide => Confidence::Weak,
        // A byte that never changes may be half of something.
        _ if distinct < 2 => Confidence::Weak,
        _ if mask && odds < 20.0 => Confidence::Fair,
        _ if mask || kind == &kind::ADDRESS => Confidence::Strong,
        _ if distinct >= 4 && count >= 16 => Confidence::Strong,
        _ => Confidence::Fair,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_codes() {
        for values in
            [&[0, 1, 8][..], &[1, 2, 4, 8], &[0x0f], &[0, 1, 15], &[0, 8], &[0, 0x10, 0x40]]
        {
            assert!(mask_odds(values) > MASK_ODDS, "{values:?} {}", mask_odds(values));
        }
        for values in [
            &[0, 1][..],
            &[0, 2],
            &[1, 2],
            &[0, 4, 5, 6, 7],
            &[0, 1, 2, 3],
            &[0, 3],
            &[0xfe],
            &[0x17],
            &[0],
        ] {
            assert!(mask_odds(values) <= MASK_ODDS, "{values:?} {}", mask_odds(values));
        }
    }

    #[test]
    fn signs() {
        assert!(is_signed(&[0xfe, 0xff, 0, 1]));
        assert!(!is_signed(&[0xff, 0, 1]));
        assert!(!is_signed(&[10, 200]));
    }
}

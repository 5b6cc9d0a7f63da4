//! Models of flush lengths, each judged by pairs that it was not given.

use std::collections::{BTreeMap, BTreeSet};

use k485_proto::material::{Colour, volume_to_length};
use k485_proto::slot::Slot;

use super::plan::Pair;
use super::volume::{LEAST_LENGTH, volume};

/// What is to be explained: a pair, with the mean of its lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// From what to what.
    pub pair: Pair,
    /// The colours, where both are known.
    pub colours: Option<(Colour, Colour)>,
    /// The length in mm.
    pub length: f64,
}

/// A way to explain lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// The host's volume from the colours, as filament, times one factor; 70 mm at least.
    Colours,
    /// A part of what is loaded before and a part of what is loaded then.
    Sum,
    /// One length for each slot that is loaded.
    Next,
    /// One length for all.
    Mean,
}

/// A model as it was fitted, and how well it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Which one.
    pub model: Model,
    /// How many points it was given.
    pub points: usize,
    /// The factor of [`Model::Colours`], the length of [`Model::Mean`].
    pub factor: Option<f64>,
    /// The error over the points it was given.
    pub own: Option<Errors>,
    /// The error over points that were held out: each pair is foretold by a fit to all the others.
    pub held_out: Option<Errors>,
}

/// Errors in mm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Errors {
    /// How many points could be foretold.
    pub points: usize,
    /// The mean of the absolute errors.
    pub mean: f64,
    /// The largest absolute error.
    pub most: f64,
}

impl Model {
    /// All of them.
    pub const ALL: [Model; 4] = [Model::Colours, Model::Sum, Model::Next, Model::Mean];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Model::Colours => "colours",
            Model::Sum => "sum",
            Model::Next => "next",
            Model::Mean => "mean",
        }
    }

    /// Fits it, and judges it.
    #[must_use]
    pub fn fit(self, points: &[Point]) -> Fitted {
        let usable: Vec<Point> = match self {
            Model::Colours => {
                points.iter().filter(|point| point.colours.is_some()).cloned().collect()
            }
            _ => points.to_vec(),
        };
        let all = Fit::new(self, &usable);
        let own = errors(usable.iter().map(|point| (point.length, all.tell(point))));
        // A pair is held out with all its points: another colour in a slot is another point.
        let pairs: BTreeSet<Pair> = usable.iter().map(|point| point.pair).collect();
        let held_out = errors(pairs.into_iter().flat_map(|pair| {
            let (held, others): (Vec<Point>, Vec<Point>) =
                usable.iter().cloned().partition(|point| point.pair == pair);
            let fit = Fit::new(self, &others);
            held.into_iter().map(move |point| (point.length, fit.tell(&point)))
        }));
        let factor = match all {
            Fit::Colours(factor) | Fit::Mean(factor) => factor,
            _ => None,
        };
        Fitted { model: self, points: usable.len(), factor, own, held_out }
    }
}

/// The model with the least mean error over held-out pairs; of equal ones the first, which are those
/// that say more. `None` where none could foretell `least` of them.
#[must_use]
pub fn best(fitted: &[Fitted], least: usize) -> Option<&Fitted> {
    let judged = fitted.iter().filter_map(|fitted| {
        fitted.held_out.filter(|errors| errors.points >= least).map(|errors| (fitted, errors.mean))
    });
    judged.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(fitted, _)| fitted)
}

fn errors(pairs: impl Iterator<Item = (f64, Option<f64>)>) -> Option<Errors> {
    let off: Vec<f64> = pairs.filter_map(|(length, told)| Some((length - told?).abs())).collect();
    if off.is_empty() {
        return None;
    }
    let most = off.iter().copied().fold(0.0, f64::max);
    Some(Errors { points: off.len(), mean: off.iter().sum::<f64>() / off.len() as f64, most })
}

/// A model with its numbers.
enum Fit {
    Colours(Option<f64>),
    Mean(Option<f64>),
    Next(BTreeMap<Slot, f64>),
    Sum(Parts),
}

impl Fit {
    fn new(model: Model, points: &[Point]) -> Fit {
        match model {
            Model::Colours => Fit::Colours(factor(points)),
            Model::Mean => Fit::Mean(mean(points.iter().map(|point| point.length))),
            Model::Next => {
                let mut all: BTreeMap<Slot, Vec<f64>> = BTreeMap::new();
                for point in points {
                    all.entry(point.pair.next).or_default().push(point.length);
                }
                let mean = |lengths: &Vec<f64>| mean(lengths.iter().copied()).unwrap_or_default();
                Fit::Next(all.iter().map(|(slot, lengths)| (*slot, mean(lengths))).collect())
            }
            Model::Sum => Fit::Sum(Parts::of(points)),
        }
    }

    /// What it foretells; `None` where it has nothing to go by.
    fn tell(&self, point: &Point) -> Option<f64> {
        match self {
            Fit::Colours(factor) => {
                let (from, to) = point.colours?;
                Some(scaled((*factor)?, from, to))
            }
            Fit::Mean(length) => *length,
            Fit::Next(all) => all.get(&point.pair.next).copied(),
            Fit::Sum(parts) => parts.tell(point.pair),
        }
    }
}

fn mean(lengths: impl Iterator<Item = f64>) -> Option<f64> {
    let mut mean = Mean::default();
    lengths.for_each(|length| mean.add(length));
    (mean.count > 0).then(|| mean.get())
}

/// The host's length between two colours with a factor on the volume.
fn scaled(factor: f64, from: Colour, to: Colour) -> f64 {
    (factor * volume_to_length(volume(from, to).into())).max(LEAST_LENGTH)
}

/// The factor with the least squares. A point at the least length says only that the factor is not
/// larger; so those above it are fitted.
fn factor(points: &[Point]) -> Option<f64> {
    if points.is_empty() {
        return None;
    }
    let (mut both, mut square) = (0.0, 0.0);
    for point in points.iter().filter(|point| point.length > LEAST_LENGTH) {
        let (from, to) = point.colours?;
        let length = volume_to_length(volume(from, to).into());
        both += length * point.length;
        square += length * length;
    }
    // With none above it, the host's own function.
    Some(if square > 0.0 { both / square } else { 1.0 })
}

/// How many sides there are before a change: sixteen slots, and nothing.
const PREVS: usize = 17;
/// How many there are after it.
const NEXTS: usize = 16;

/// The places of a pair's sides in tables.
fn places(pair: Pair) -> (usize, usize) {
    // There are four boxes; a number that is none must not panic.
    let slot = |slot: Slot| usize::from(slot.device.clamp(1, 4) - 1) * 4 + slot.letter.index();
    (pair.prev.map_or(0, |prev| slot(prev) + 1), slot(pair.next))
}

/// A part for each side.
struct Parts {
    prev: [f64; PREVS],
    next: [f64; NEXTS],
    /// Which group a side is of, those before first; parts of two groups do not go together, and
    /// a side that was in no point is in a group of its own.
    group: [usize; PREVS + NEXTS],
}

impl Parts {
    /// Least squares, by turns: each side's part is the mean of what the other side leaves. That
    /// comes as near as one likes; it ends where a turn changes nothing that could be measured.
    fn of(points: &[Point]) -> Parts {
        const TURNS: usize = 1_000;
        const NEAR: f64 = 1e-9;
        let mut parts = Parts {
            prev: [0.0; PREVS],
            next: [0.0; NEXTS],
            group: std::array::from_fn(|side| side),
        };
        for point in points {
            let (prev, next) = places(point.pair);
            let (one, other) = (parts.group[prev], parts.group[PREVS + next]);
            parts.group.iter_mut().filter(|group| **group == other).for_each(|group| *group = one);
        }
        for _ in 0..TURNS {
            let mut means = [Mean::default(); NEXTS];
            for point in points {
                let (prev, next) = places(point.pair);
                means[next].add(point.length - parts.prev[prev]);
            }
            parts.next = means.map(Mean::get);
            let mut means = [Mean::default(); PREVS];
            for point in points {
                let (prev, next) = places(point.pair);
                means[prev].add(point.length - parts.next[next]);
            }
            let before = std::mem::replace(&mut parts.prev, means.map(Mean::get));
            if before.iter().zip(&parts.prev).all(|(a, b)| (a - b).abs() < NEAR) {
                break;
            }
        }
        parts
    }

    fn tell(&self, pair: Pair) -> Option<f64> {
        let (prev, next) = places(pair);
        (self.group[prev] == self.group[PREVS + next]).then(|| self.prev[prev] + self.next[next])
    }
}

/// A mean in the making.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// Zero where there was nothing.
    fn get(self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / f64::from(self.count) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flush::plan::{Wanted, pairs};

    fn slots(count: usize) -> Vec<Slot> {
        Slot::all().take(count).collect()
    }

    fn near(got: Option<f64>, expected: f64) -> bool {
        got.is_some_and(|got| (got - expected).abs() < 0.01)
    }

    #[test]
    fn lengths_that_are_sums_are_found_to_be() {
        let part = |slot: Slot| f64::from(slot.device) * 10.0 + slot.letter.index() as f64;
        let points: Vec<Point> = pairs(&slots(5), Wanted::All)
            .into_iter()
            .map(|pair| {
                let length = 90.0 + pair.prev.map_or(0.0, part) + 2.0 * part(pair.next);
                Point { pair, colours: None, length }
            })
            .collect();
        let fitted = Model::ALL.map(|model| model.fit(&points));
        assert_eq!(best(&fitted, 3).map(|fitted| fitted.model), Some(Model::Sum));
        let sum = &fitted[1];
        assert!(near(sum.held_out.map(|errors| errors.most), 0.0), "{sum:?}");
        assert_eq!(sum.held_out.map(|errors| errors.points), Some(25));
        assert_eq!((fitted[0].points, fitted[0].own), (0, None));
        assert!(fitted[3].held_out.is_some_and(|errors| errors.mean > 1.0));
    }

    #[test]
    fn a_pair_is_not_foretold_from_itself() {
        // Two loads that have nothing in common: no sum tells one by the other.
        let point = |pair: Pair, length| Point { pair, colours: None, length };
        let [a, b, c, d] = slots(4).try_into().unwrap();
        let points = [
            point(Pair { prev: Some(a), next: b }, 100.0),
            point(Pair { prev: Some(c), next: d }, 200.0),
        ];
        let sum = Model::Sum.fit(&points);
        assert_eq!((sum.own.map(|errors| errors.most), sum.held_out), (Some(0.0), None));
        let mean = Model::Mean.fit(&points);
        assert_eq!(mean.factor, Some(150.0));
        assert_eq!(mean.held_out, Some(Errors { points: 2, mean: 100.0, most: 100.0 }));
        assert_eq!(best(&[sum, mean], 3), None);
    }

    proptest! {
        #[test]
        fn a_factor_on_the_hosts_volumes_is_found(
            factor in 0.5..3.0,
            colours in prop::collection::vec(any::<[u8; 3]>(), 4),
        ) {
            let slots = slots(colours.len());
            let colour = |slot: Slot| {
                Colour::from(colours[slots.iter().position(|s| *s == slot).unwrap()])
            };
            let points: Vec<Point> = pairs(&slots, Wanted::Changes)
                .into_iter()
                .map(|pair| {
                    let (from, to) = (colour(pair.prev.unwrap()), colour(pair.next));
                    let length = scaled(factor, from, to);
                    Point { pair, colours: Some((from, to)), length }
                })
                .collect();
            let fitted = Model::Colours.fit(&points);
            let above = points.iter().filter(|point| point.length > LEAST_LENGTH).count();
            if above > 1 {
                prop_assert!(near(fitted.factor, factor), "{fitted:?}");
                prop_assert!(near(fitted.held_out.map(|errors| errors.most), 0.0), "{fitted:?}");
            }
        }
    }
}

//! How numbers are spread: their count, ends, sum and quantiles, in bounded memory.

use hdrhistogram::Histogram;

/// How many numbers are kept as they are. Beyond that they are counted in buckets.
const FEW: usize = 512;
/// The quantiles' significant decimal digits where buckets are counted.
const DIGITS: u8 = 3;

/// Non-negative numbers, in nanoseconds.
///
/// Up to 512 of them give exact quantiles; beyond that quantiles are exact to three significant
/// digits. Everything else is always exact. A negative number (a clock that went back) counts as
/// zero, except in the least.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spread {
    count: u64,
    min: i64,
    max: i64,
    total: i128,
    few: Vec<i64>,
    many: Option<Box<Histogram<u32>>>,
}

impl Spread {
    /// Takes a number.
    pub(crate) fn add(&mut self, number: i64) {
        self.min = if self.count == 0 { number } else { self.min.min(number) };
        self.max = if self.count == 0 { number } else { self.max.max(number) };
        self.count += 1;
        self.total += i128::from(number);
        if self.many.is_none() && self.few.len() >= FEW {
            self.many = Histogram::new(DIGITS).ok().map(Box::new);
            for number in std::mem::take(&mut self.few) {
                self.record(number);
            }
        }
        if self.many.is_some() {
            self.record(number);
        } else {
            self.few.push(number);
        }
    }

    fn record(&mut self, number: i64) {
        let Some(many) = &mut self.many else { return };
        // It grows by itself; a number that it could not grow to is put at its end.
        let number = u64::try_from(number).unwrap_or(0);
        if many.record(number).is_err() {
            many.saturating_record(number);
        }
    }

    /// The least; `None` where there is no number.
    #[must_use]
    pub(crate) fn min(&self) -> Option<i64> {
        (self.count > 0).then_some(self.min)
    }

    /// The most; `None` where there is no number.
    #[must_use]
    pub(crate) fn max(&self) -> Option<i64> {
        (self.count > 0).then_some(self.max)
    }

    /// All together.
    #[must_use]
    pub(crate) fn total(&self) -> i64 {
        i64::try_from(self.total).unwrap_or(if self.total < 0 { i64::MIN } else { i64::MAX })
    }

    /// The mean; `None` where there is no number.
    #[must_use]
    pub(crate) fn mean(&self) -> Option<i64> {
        let count = i128::from(self.count);
        (count > 0).then(|| i64::try_from(self.total / count).unwrap_or(i64::MAX))
    }

    /// The least of the numbers which `percent` per cent of them do not exceed (the nearest rank,
    /// so with few numbers it is one of them); `None` where there is no number.
    #[must_use]
    pub(crate) fn percentile(&self, percent: u8) -> Option<i64> {
        let (min, max) = (self.min()?, self.max()?);
        let rank = self.count.saturating_mul(percent.min(100).into()).div_ceil(100).max(1);
        let value = match &self.many {
            None => {
                let mut sorted = self.few.clone();
                sorted.sort_unstable();
                *sorted.get(usize::try_from(rank - 1).ok()?)?
            }
            Some(many) => {
                // Half a rank lower, so that no rounding leads to the next one.
                let value = many.value_at_quantile((rank as f64 - 0.5) / self.count as f64);
                i64::try_from(value).unwrap_or(i64::MAX)
            }
        };
        Some(value.clamp(min, max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_are_exact_and_none_is_unknown() {
        let mut spread = Spread::default();
        assert_eq!((spread.min(), spread.mean(), spread.percentile(50)), (None, None, None));
        [5, -7, 30, 20, 10].into_iter().for_each(|number| spread.add(number));
        assert_eq!((spread.min(), spread.max(), spread.total()), (Some(-7), Some(30), 58));
        assert_eq!((spread.percentile(50), spread.percentile(95)), (Some(10), Some(30)));
        assert_eq!((spread.mean(), spread.count), (Some(11), 5));
    }

    proptest! {
        #[test]
        fn percentiles_have_three_digits(
            numbers in proptest::collection::vec(2_000i64..100_000_000_000, 1..2000),
            percent in 0u8..=100,
        ) {
            let mut spread = Spread::default();
            numbers.iter().for_each(|number| spread.add(*number));
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            let rank = (numbers.len() * usize::from(percent)).div_ceil(100).max(1);
            let (expected, got) = (sorted[rank - 1], spread.percentile(percent).unwrap());
            let slack = if numbers.len() <= FEW { 0 } else { expected / 1000 + 1 };
            prop_assert!((got - expected).abs() <= slack, "{got}, expected {expected}");
        }
    }
}

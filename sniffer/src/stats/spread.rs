//! How numbers are spread: their count, ends and quantiles, in bounded memory.

use hdrhistogram::Histogram;

/// How many numbers are kept as they are. Beyond that they are counted in buckets.
const FEW: usize = 512;
/// The lowest number that a bucket tells from zero: a microsecond, in nanoseconds.
const LOWEST: u64 = 1_000;
/// The quantiles' significant decimal digits where buckets are counted.
const DIGITS: u8 = 3;

/// Non-negative numbers, in nanoseconds.
///
/// Up to 512 of them give exact quantiles; beyond that quantiles are exact to three significant
/// digits. Count, least and most are always exact. A negative number (a clock that went back)
/// counts as zero, except in the least.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    count: u64,
    min: i64,
    max: i64,
    kept: Kept,
}

#[derive(Debug, Clone)]
enum Kept {
    Few(Vec<i64>),
    Many(Box<Histogram<u32>>),
}

impl Default for Kept {
    fn default() -> Self {
        Kept::Few(Vec::new())
    }
}

impl Spread {
    /// Takes a number.
    pub fn add(&mut self, number: i64) {
        self.min = if self.count == 0 { number } else { self.min.min(number) };
        self.max = if self.count == 0 { number } else { self.max.max(number) };
        self.count += 1;
        match &mut self.kept {
            Kept::Few(few) if few.len() < FEW => few.push(number),
            Kept::Few(few) => match buckets() {
                Some(mut many) => {
                    few.iter().for_each(|number| record(&mut many, *number));
                    record(&mut many, number);
                    self.kept = Kept::Many(Box::new(many));
                }
                // The bounds are constant and good, see the test.
                None => few.push(number),
            },
            Kept::Many(many) => record(many, number),
        }
    }

    /// How many numbers there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The least; `None` where there is no number.
    #[must_use]
    pub fn min(&self) -> Option<i64> {
        (self.count > 0).then_some(self.min)
    }

    /// The most; `None` where there is no number.
    #[must_use]
    pub fn max(&self) -> Option<i64> {
        (self.count > 0).then_some(self.max)
    }

    /// The least of the numbers which `percent` per cent of them do not exceed (the nearest rank,
    /// so with few numbers it is one of them); `None` where there is no number.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Option<i64> {
        let (min, max) = (self.min()?, self.max()?);
        let rank = (self.count.saturating_mul(percent.min(100).into())).div_ceil(100).max(1);
        let value = match &self.kept {
            Kept::Few(few) => {
                let mut sorted = few.clone();
                let at = usize::try_from(rank - 1).ok().filter(|at| *at < sorted.len())?;
                *sorted.select_nth_unstable(at).1
            }
            Kept::Many(many) => {
                // Half a rank lower, so that no rounding leads to the next one.
                let value = many.value_at_quantile((rank as f64 - 0.5) / self.count as f64);
                i64::try_from(value).unwrap_or(i64::MAX)
            }
        };
        Some(value.clamp(min, max))
    }

    /// The median: the 50th percentile.
    #[must_use]
    pub fn median(&self) -> Option<i64> {
        self.percentile(50)
    }
}

fn buckets() -> Option<Histogram<u32>> {
    let mut buckets = Histogram::new_with_bounds(LOWEST, 2 * LOWEST, DIGITS).ok()?;
    buckets.auto(true);
    Some(buckets)
}

fn record(buckets: &mut Histogram<u32>, number: i64) {
    let number = u64::try_from(number).unwrap_or(0);
    // It grows by itself; a number that it could not grow to is put at its end.
    if buckets.record(number).is_err() {
        buckets.saturating_record(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(numbers: &[i64]) -> Spread {
        let mut spread = Spread::default();
        numbers.iter().for_each(|number| spread.add(*number));
        spread
    }

    /// The nearest rank, in the plainest way.
    fn plain(numbers: &[i64], percent: usize) -> i64 {
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable();
        sorted[(numbers.len() * percent).div_ceil(100).max(1) - 1]
    }

    #[test]
    fn nothing_is_unknown() {
        let none = Spread::default();
        assert_eq!((none.count(), none.min(), none.max(), none.median()), (0, None, None, None));
    }

    #[test]
    fn few_numbers_are_exact() {
        let spread = of(&[5, -7, 30, 20, 10]);
        assert_eq!((spread.count(), spread.min(), spread.max()), (5, Some(-7), Some(30)));
        assert_eq!(spread.median(), Some(10));
        assert_eq!((spread.percentile(0), spread.percentile(100)), (Some(-7), Some(30)));
        assert_eq!(spread.percentile(95), Some(30));
        assert_eq!(of(&[1, 2, 3, 4]).median(), Some(2));
    }

    #[test]
    fn ends_are_exact_and_memory_is_bounded_whatever_comes() {
        let mut spread = of(&[i64::MIN, i64::MAX]);
        (0..100_000).for_each(|number| spread.add(number * 1_234_567));
        assert_eq!((spread.min(), spread.max()), (Some(i64::MIN), Some(i64::MAX)));
        assert_eq!(spread.count(), 100_002);
        let Kept::Many(many) = &spread.kept else { panic!("buckets") };
        assert!(many.distinct_values() < 70_000, "{}", many.distinct_values());
    }

    proptest! {
        #[test]
        fn percentiles_have_three_digits(
            numbers in proptest::collection::vec(2_000i64..100_000_000_000, 1..3000),
            percent in 0u8..=100,
        ) {
            let expected = plain(&numbers, usize::from(percent));
            let got = of(&numbers).percentile(percent).unwrap();
            let slack = if numbers.len() <= FEW { 0 } else { expected / 1000 + 512 };
            prop_assert!((got - expected).abs() <= slack, "{got}, expected {expected}");
        }
    }
}

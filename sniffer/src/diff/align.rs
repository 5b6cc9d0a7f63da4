//! The alignment of two windows of exchanges by their keys.

use std::collections::HashMap;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::{Side, WINDOW};

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// One of each side, which belong together.
    Both,
    /// One that only this side has.
    Only(Side),
}

/// The next steps through two windows: through all of it if this is the `last` window, else as far
/// as what comes later will hardly change it. There is at least one, if not both are empty.
pub(super) fn align(a: &[Vec<u8>], b: &[Vec<u8>], last: bool) -> Vec<Step> {
    // The shortest script, without the short cuts of the plain Myers: a window is small.
    let (a, b) = numbers(a, b);
    let steps: Vec<Step> = capture_diff_slices(Algorithm::RawMyers, &a, &b)
        .iter()
        .flat_map(|op| {
            let (old, new, both) = match *op {
                DiffOp::Equal { len, .. } => (0, 0, len),
                DiffOp::Delete { old_len, .. } => (old_len, 0, 0),
                DiffOp::Insert { new_len, .. } => (0, new_len, 0),
                DiffOp::Replace { old_len, new_len, .. } => (old_len, new_len, 0),
            };
            let only = |side, count| std::iter::repeat_n(Step::Only(side), count);
            only(Side::A, old)
                .chain(only(Side::B, new))
                .chain(std::iter::repeat_n(Step::Both, both))
        })
        .collect();
    if last {
        return steps;
    }
    let end = certain(&steps);
    steps.into_iter().take(end).collect()
}

/// The same number for the same key, so that comparing is quick.
fn numbers(a: &[Vec<u8>], b: &[Vec<u8>]) -> (Vec<usize>, Vec<usize>) {
    let mut known: HashMap<&[u8], usize> = HashMap::new();
    let mut number = |key| {
        let next = known.len();
        *known.entry(key).or_insert(next)
    };
    let a = a.iter().map(|key| number(&**key)).collect();
    (a, b.iter().map(|key| number(&**key)).collect())
}

/// How many of the first steps hold whatever comes behind the windows: up to the last pair in the
/// first halves. Behind a place where one side has more than the other, the right partners of its
/// last exchanges lie outside of the windows, and wrong ones may be found instead.
fn certain(steps: &[Step]) -> usize {
    let (mut at_a, mut at_b) = (0, 0);
    let (mut early, mut any, mut half) = (0, 0, 0);
    for (i, step) in steps.iter().enumerate() {
        let far = at_a.max(at_b);
        if *step == Step::Both {
            any = i + 1;
            if far < WINDOW / 2 {
                early = i + 1;
            }
        }
        at_a += usize::from(*step != Step::Only(Side::B));
        at_b += usize::from(*step != Step::Only(Side::A));
        if far < WINDOW / 2 {
            half = i + 1;
        }
    }
    // Too little in common: each round has to go a good piece forward.
    [early, any, half].into_iter().find(|end| *end >= WINDOW / 4).unwrap_or(steps.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(text: &str) -> Vec<Vec<u8>> {
        text.bytes().map(|byte| vec![byte]).collect()
    }

    fn shown(steps: &[Step]) -> String {
        let sign = |step: &Step| match step {
            Step::Both => '=',
            Step::Only(Side::A) => '-',
            Step::Only(Side::B) => '+',
        };
        steps.iter().map(sign).collect()
    }

    #[test]
    fn what_is_missing_and_what_is_new() {
        for (a, b, expected) in [
            ("", "", ""),
            ("abc", "abc", "==="),
            ("abc", "ac", "=-="),
            ("ac", "abc", "=+="),
            ("abc", "axc", "=-+="),
            ("aaaa", "aaa", "===-"),
            ("", "ab", "++"),
        ] {
            assert_eq!(shown(&align(&keys(a), &keys(b), true)), expected, "{a} {b}");
        }
    }

    #[test]
    fn a_window_that_is_not_the_last_ends_before_its_end() {
        let same: Vec<Vec<u8>> = (0..WINDOW as u32).map(|n| n.to_be_bytes().into()).collect();
        assert_eq!(align(&same, &same, false), vec![Step::Both; WINDOW / 2]);
        let other: Vec<Vec<u8>> = (0..WINDOW as u32).map(|n| (!n).to_be_bytes().into()).collect();
        let steps = align(&same, &other, false);
        assert!(!steps.contains(&Step::Both) && steps.len() >= WINDOW / 4, "{}", steps.len());
    }

    proptest! {
        #[test]
        fn every_key_is_in_one_step_and_pairs_are_equal(
            a in proptest::collection::vec(0u8..5, 0..60),
            b in proptest::collection::vec(0u8..5, 0..60),
        ) {
            let keys = |bytes: &[u8]| bytes.iter().map(|byte| vec![*byte]).collect::<Vec<_>>();
            let (mut at_a, mut at_b) = (a.iter(), b.iter());
            for step in align(&keys(&a), &keys(&b), true) {
                let one = (step != Step::Only(Side::B)).then(|| at_a.next());
                let other = (step != Step::Only(Side::A)).then(|| at_b.next());
                prop_assert!(one.flatten().is_some() || other.flatten().is_some());
                prop_assert!(step != Step::Both || one == other);
            }
            prop_assert_eq!((at_a.next(), at_b.next()), (None, None));
        }
    }
}

//! Which changes of filament to make, in which order.
//!
//! All changes between `n` slots are `n(n-1)` pairs; walked as a circuit through all of them, each
//! change begins where the one before ended, and none is made twice.

use std::fmt;

use k485_proto::slot::Slot;

/// A flush that is wanted: from what is loaded to what shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// What is loaded before; `None` where nothing is.
    pub prev: Option<Slot>,
    /// What is loaded then.
    pub next: Slot,
}

/// `none > T1A`, `T1A > T2B`.
impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prev {
            Some(prev) => f.pad(&format!("{prev} > {}", self.next)),
            None => f.pad(&format!("none > {}", self.next)),
        }
    }
}

/// Which flushes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// First loads and changes.
    All,
    /// Loads into an empty printer.
    FirstLoads,
    /// Changes from one slot to another.
    Changes,
}

/// The wanted flushes between these slots, in the order in which they are best made. A slot that is
/// given twice counts once.
#[must_use]
pub fn pairs(slots: &[Slot], wanted: Wanted) -> Vec<Pair> {
    let mut once: Vec<Slot> = Vec::new();
    for slot in slots {
        if !once.contains(slot) {
            once.push(*slot);
        }
    }
    let mut pairs = Vec::new();
    if wanted != Wanted::Changes {
        // The last one loaded is where the circuit begins.
        pairs.extend(once.iter().rev().map(|next| Pair { prev: None, next: *next }));
    }
    if wanted != Wanted::FirstLoads {
        pairs.extend(
            circuit(once.len())
                .windows(2)
                .map(|step| Pair { prev: Some(once[step[0]]), next: once[step[1]] }),
        );
    }
    pairs
}

/// A way from 0 over every ordered pair of `count` places exactly once, back to 0 (Hierholzer).
fn circuit(count: usize) -> Vec<usize> {
    if count < 2 {
        return Vec::new();
    }
    let mut open: Vec<Vec<usize>> =
        (0..count).map(|from| (0..count).rev().filter(|to| *to != from).collect()).collect();
    let mut way = vec![0];
    let mut circuit = Vec::with_capacity(count * (count - 1) + 1);
    while let Some(at) = way.last() {
        match open[*at].pop() {
            Some(to) => way.push(to),
            None => circuit.extend(way.pop()),
        }
    }
    circuit.reverse();
    circuit
}

/// What is known to be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loaded {
    /// Nobody knows: at the beginning, and after an error.
    Unknown,
    /// Nothing.
    Nothing,
    /// This slot's filament.
    Slot(Slot),
}

/// One thing that the printer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Pull back what is loaded.
    Unload,
    /// Load this slot, instead of what is loaded; the flush is that of the pair, where it is known
    /// from what.
    Load {
        /// What to load.
        slot: Slot,
        /// The flush that comes of it.
        pair: Option<Pair>,
    },
}

impl Step {
    /// What is loaded when it is done.
    #[must_use]
    pub fn leaves(self) -> Loaded {
        match self {
            Step::Unload => Loaded::Nothing,
            Step::Load { slot, .. } => Loaded::Slot(slot),
        }
    }
}

/// The steps to the flush `pair`, and it as the last one.
#[must_use]
pub fn steps(loaded: Loaded, pair: Pair) -> Vec<Step> {
    let load =
        |prev: Option<Slot>, slot| Step::Load { slot, pair: Some(Pair { prev, next: slot }) };
    let mut steps = Vec::new();
    match (loaded, pair.prev) {
        (Loaded::Nothing, None) => {}
        (_, None) => steps.push(Step::Unload),
        (Loaded::Slot(slot), Some(prev)) if slot == prev => {}
        (Loaded::Slot(slot), Some(prev)) => steps.push(load(Some(slot), prev)),
        (Loaded::Nothing, Some(prev)) => steps.push(load(None, prev)),
        (Loaded::Unknown, Some(prev)) => steps.extend([Step::Unload, load(None, prev)]),
    }
    steps.push(load(pair.prev, pair.next));
    steps
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn slot(text: &str) -> Slot {
        text.parse().unwrap()
    }

    fn shown(pairs: &[Pair]) -> Vec<String> {
        pairs.iter().map(Pair::to_string).collect()
    }

    #[test]
    fn plans() {
        let slots = ["T1A", "T2B", "T1A"].map(slot);
        let all = ["none > T2B", "none > T1A", "T1A > T2B", "T2B > T1A"];
        assert_eq!(shown(&pairs(&slots, Wanted::All)), all);
        assert_eq!(shown(&pairs(&slots, Wanted::FirstLoads)), all[..2]);
        assert_eq!(shown(&pairs(&slots, Wanted::Changes)), all[2..]);
        assert!(pairs(&slots[..1], Wanted::Changes).is_empty());
    }

    #[test]
    fn the_way_to_a_pair() {
        let (a, b) = (slot("T1A"), slot("T1B"));
        let count = |loaded, prev| steps(loaded, Pair { prev, next: b }).len();
        assert_eq!(count(Loaded::Nothing, None), 1);
        assert_eq!(count(Loaded::Unknown, None), 2);
        assert_eq!(count(Loaded::Slot(a), None), 2);
        assert_eq!(count(Loaded::Slot(a), Some(a)), 1);
        assert_eq!(count(Loaded::Nothing, Some(a)), 2);
        assert_eq!(count(Loaded::Unknown, Some(a)), 3);
        // On the way to T1A > T1B the flush T1B > T1A is made.
        let way = steps(Loaded::Slot(b), Pair { prev: Some(a), next: b });
        let pair = Some(Pair { prev: Some(b), next: a });
        assert_eq!(way[0], Step::Load { slot: a, pair });
    }

    proptest! {
        #[test]
        fn every_change_once_and_each_where_the_last_ended(count in 2_usize..=16) {
            let slots: Vec<Slot> = Slot::all().take(count).collect();
            let pairs = pairs(&slots, Wanted::All);
            prop_assert_eq!(pairs.len(), count + count * (count - 1));
            prop_assert_eq!(pairs.iter().collect::<BTreeSet<_>>().len(), pairs.len());
            let mut loaded = Loaded::Unknown;
            for pair in pairs {
                let steps = steps(loaded, pair);
                // A first load pulls back what is loaded; a change needs nothing before it.
                prop_assert_eq!(steps.len(), if pair.prev.is_some() { 1 } else { 2 });
                loaded = steps.last().unwrap().leaves();
            }
        }
    }
}

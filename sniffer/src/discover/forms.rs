//! Several layouts in one function: which byte of the request, or which STATUS, chooses between
//! them. Again the account with the fewest bits wins: what chooses a layout explains the lengths,
//! and a layout that is told twice is paid for twice.

use std::collections::BTreeMap;

use super::run::Run;
use super::segment::{Layout, layout};

/// How many bytes at the front of a request are tried as selectors.
const SELECTORS: usize = 4;
/// How many values a selector may have.
const VALUES: usize = 24;
/// What naming a selector costs, and each of its values.
const SELECTOR_BITS: f64 = 8.0;
const VALUE_BITS: f64 = 2.0;
/// How much cheaper two layouts must be than one, for payloads of one length.
const SPLIT_BITS: f64 = 24.0;

/// Payloads of one layout.
pub(super) struct Form<'a> {
    /// The values of the selector that choose it; empty where nothing chooses.
    pub(super) when: Vec<u8>,
    /// What STATUS it goes with.
    pub(super) status: FormStatus,
    pub(super) runs: Vec<&'a Run>,
    pub(super) layout: Layout,
}

/// The STATUS of a form's payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FormStatus {
    /// 00, or all that was seen.
    Ok,
    /// Several, with the same layout.
    Any,
    /// This one.
    Is(u8),
}

/// The forms of a side.
pub(super) struct Forms<'a> {
    /// Which byte of the request (of a request: its own) chooses the form.
    pub(super) selector: Option<usize>,
    pub(super) forms: Vec<Form<'a>>,
}

/// The byte of a run that a selector looks at.
fn chooser(run: &Run, own: bool, at: usize) -> Option<u8> {
    let asked = if own { Some(&run.data) } else { run.asked.as_ref() };
    asked?.get(at).copied()
}

/// Divides the payloads of a side. `own`: they are requests, which choose their own form.
pub(super) fn divide<'a>(runs: &[&'a Run], own: bool) -> Forms<'a> {
    let regular = |run: &&'a Run| own || run.status == 0;
    let (mut main, errors): (Vec<&Run>, Vec<&Run>) = runs.iter().copied().partition(regular);
    let only_errors = main.is_empty();
    if only_errors {
        main = errors.clone();
    }
    let mut best = account(&main, own, None);
    for at in 0..SELECTORS {
        if let Some(other) = selected(&main, own, at)
            && other.bits < best.bits
        {
            best = other;
        }
    }
    let mut found = best.into_forms();
    if only_errors {
        for form in &mut found.forms {
            form.status = FormStatus::Any;
        }
    } else {
        add_errors(&mut found, &errors);
    }
    found
}

/// Payloads under another STATUS than 00: of a form's layout, or of one of their own. An empty one
/// is told by its STATUS alone.
fn add_errors<'a>(found: &mut Forms<'a>, errors: &[&'a Run]) {
    let mut by_status: BTreeMap<(u8, usize, Option<usize>), Vec<&Run>> = BTreeMap::new();
    for run in errors.iter().filter(|run| !run.data.is_empty()) {
        let value = found.selector.and_then(|at| chooser(run, false, at));
        let home = found.forms.iter().position(|form| {
            (form.when.is_empty() || value.is_some_and(|value| form.when.contains(&value)))
                && form.runs.iter().any(|other| other.data.len() == run.data.len())
        });
        by_status.entry((run.status, run.data.len(), home)).or_default().push(run);
    }
    for ((status, _, home), runs) in by_status {
        let alone = layout(&runs);
        if let Some(form) = home.and_then(|home| found.forms.get_mut(home)) {
            let together: Vec<&Run> = form.runs.iter().chain(&runs).copied().collect();
            let both = layout(&together);
            if both.bits <= form.layout.bits + alone.bits + SPLIT_BITS {
                form.runs = together;
                form.layout = both;
                form.status = FormStatus::Any;
                continue;
            }
        }
        let form = Form { when: Vec::new(), status: FormStatus::Is(status), runs, layout: alone };
        found.forms.push(form);
    }
}

/// A division with its cost.
struct Account<'a> {
    selector: Option<usize>,
    leaves: Vec<Leaf<'a>>,
    bits: f64,
}

/// Payloads of one layout, of one length or up to the end.
struct Leaf<'a> {
    values: Vec<u8>,
    runs: Vec<&'a Run>,
    layout: Layout,
}

impl<'a> Account<'a> {
    fn into_forms(self) -> Forms<'a> {
        let forms = self.leaves.into_iter().map(|leaf| Form {
            when: leaf.values,
            status: FormStatus::Ok,
            runs: leaf.runs,
            layout: leaf.layout,
        });
        Forms { selector: self.selector, forms: forms.collect() }
    }
}

/// The bits that lengths take when nothing explains them.
fn length_bits(lengths: impl Iterator<Item = usize>) -> f64 {
    let mut seen: BTreeMap<usize, f64> = BTreeMap::new();
    let mut all = 0.0;
    let mut bits = 0.0;
    for length in lengths {
        let known = seen.entry(length).or_insert(0.0);
        bits -= ((*known + 1.0 / 32.0) / (all + 1.0)).log2();
        *known += 1.0;
        all += 1.0;
    }
    // The first is told in any case.
    if seen.len() < 2 { 0.0 } else { bits }
}

/// The division by length alone, or all lengths in one layout that takes what is left.
fn account<'a>(runs: &[&'a Run], own: bool, value: Option<u8>) -> Account<'a> {
    let mut by_length: BTreeMap<usize, Vec<&Run>> = BTreeMap::new();
    for run in runs {
        by_length.entry(run.data.len()).or_default().push(run);
    }
    let values: Vec<u8> = value.into_iter().collect();
    let lengths = by_length.len();
    let leaves: Vec<Leaf> = by_length
        .into_values()
        .map(|runs| Leaf { values: values.clone(), layout: layout(&runs), runs })
        .collect();
    // A sender chooses the length of a request, as it does any field; a reply's begs a reason.
    let unexplained = if own { 0.0 } else { length_bits(runs.iter().map(|run| run.data.len())) };
    let apart = leaves.iter().map(|leaf| leaf.layout.bits).sum::<f64>() + unexplained;
    if lengths > 1 {
        let whole = layout(runs);
        if whole.bits < apart {
            let bits = whole.bits;
            let leaf = Leaf { values, layout: whole, runs: runs.to_vec() };
            return Account { selector: None, leaves: vec![leaf], bits };
        }
    }
    Account { selector: None, leaves, bits: apart }
}

/// The division by the value of a request's byte. `None` where that byte is not in every request,
/// or has one value, or too many.
fn selected<'a>(runs: &[&'a Run], own: bool, at: usize) -> Option<Account<'a>> {
    let mut by_value: BTreeMap<u8, Vec<&Run>> = BTreeMap::new();
    for run in runs {
        by_value.entry(chooser(run, own, at)?).or_default().push(run);
        if by_value.len() > VALUES {
            return None;
        }
    }
    if by_value.len() < 2 {
        return None;
    }
    let mut bits = SELECTOR_BITS + VALUE_BITS * by_value.len() as f64;
    let mut leaves: Vec<Leaf> = Vec::new();
    for (value, runs) in by_value {
        let part = account(&runs, own, Some(value));
        let unexplained = part.bits - part.leaves.iter().map(|leaf| leaf.layout.bits).sum::<f64>();
        bits += unexplained;
        for leaf in part.leaves {
            join(&mut leaves, leaf);
        }
    }
    bits += leaves.iter().map(|leaf| leaf.layout.bits).sum::<f64>();
    // Every value ends in one layout: nothing was chosen.
    (leaves.len() > 1).then_some(Account { selector: Some(at), leaves, bits })
}

/// Adds payloads to the leaf whose layout they share, or as a leaf of their own.
fn join<'a>(leaves: &mut Vec<Leaf<'a>>, leaf: Leaf<'a>) {
    let length = |runs: &[&Run]| {
        let first = runs.first().map(|run| run.data.len());
        first.filter(|first| runs.iter().all(|run| run.data.len() == *first))
    };
    for old in leaves.iter_mut() {
        if length(&old.runs).is_none() || length(&old.runs) != length(&leaf.runs) {
            continue;
        }
        let mut together: Vec<&Run> = old.runs.iter().chain(&leaf.runs).copied().collect();
        together.sort_by(|a, b| a.order().cmp(&b.order()));
        let both = layout(&together);
        let apart = old.layout.bits + leaf.layout.bits;
        if old.layout.is_like(&leaf.layout) || both.bits <= apart + SPLIT_BITS {
            old.runs = together;
            old.layout = both;
            old.values.extend(&leaf.values);
            return;
        }
    }
    leaves.push(leaf);
}

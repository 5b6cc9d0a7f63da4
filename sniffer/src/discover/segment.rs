//! The division of a payload into fields that tells it in the fewest bits, found by dynamic
//! programming over the columns.

use std::collections::BTreeMap;

use k485_proto::message::Kind;
use k485_proto::message::kind;

use super::cost;
use super::run::Run;

/// How many runs the cost of a layout is taken over; of more, evenly spread ones.
const ROWS: usize = 256;
/// How many columns an identity has.
const IDENTITY: usize = 12;
/// How many identities at most may share an address.
const IDENTITIES: usize = 8;
/// The least characters of a text.
const TEXT: usize = 4;
/// The least columns of zeros at the end that are told as one field.
const PADDING: usize = 4;

/// A field of a layout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Its first column.
    pub(super) start: usize,
    /// Its columns; `None` for all that is left.
    pub(super) width: Option<usize>,
    /// How it is read.
    pub(super) kind: &'static Kind,
    /// How many bits it saves over its columns as single bytes.
    pub(super) gain: f64,
}

/// A layout with its cost.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    pub(super) spans: Vec<Span>,
    pub(super) bits: f64,
}

impl Layout {
    /// Whether both divide a payload in the same way.
    pub(super) fn is_like(&self, other: &Layout) -> bool {
        self.spans.len() == other.spans.len()
            && self
                .spans
                .iter()
                .zip(&other.spans)
                .all(|(a, b)| (a.start, a.width, a.kind) == (b.start, b.width, b.kind))
    }
}

/// The best layout of payloads.
pub(super) fn layout(runs: &[&Run]) -> Layout {
    let step = runs.len().div_ceil(ROWS).max(1);
    let rows: Vec<&Run> = runs.iter().step_by(step).copied().collect();
    let widths = rows.iter().map(|row| row.data.len());
    let (Some(least), Some(most)) = (widths.clone().min(), widths.max()) else {
        return Layout::default();
    };
    let table = Table { rows, least, most };
    table.best()
}

struct Table<'a> {
    rows: Vec<&'a Run>,
    least: usize,
    most: usize,
}

impl Table<'_> {
    fn column(&self, at: usize) -> Vec<u8> {
        self.rows.iter().map(|row| row.data[at]).collect()
    }

    /// Each row's bytes from `at` on.
    fn tails(&self, at: usize) -> impl Iterator<Item = &[u8]> + Clone {
        self.rows.iter().map(move |row| &row.data[at..])
    }

    fn windows<const N: usize>(&self, at: usize) -> impl Iterator<Item = [u8; N]> {
        self.rows.iter().map(move |row| {
            let mut window = [0; N];
            window.copy_from_slice(&row.data[at..at + N]);
            window
        })
    }

    fn best(&self) -> Layout {
        let least = self.least;
        let columns: Vec<Vec<u8>> = (0..least).map(|at| self.column(at)).collect();
        let bytes: Vec<f64> =
            columns.iter().map(|values| cost::BYTE_FIELD + cost::byte(values)).collect();
        // The best division of the columns before each, with its last field.
        let mut best: Vec<(f64, Option<Span>)> = vec![(f64::INFINITY, None); least + 1];
        best[0].0 = 0.0;
        for start in 0..least {
            let so_far = best[start].0;
            let mut offer = |kind: &'static Kind, width: usize, bits: f64| {
                let alone: f64 = bytes[start..start + width].iter().sum();
                let span = Span { start, width: Some(width), kind, gain: alone - bits };
                let total = so_far + bits;
                if total < best[start + width].0 {
                    best[start + width] = (total, Some(span));
                }
            };
            offer(&kind::U8, 1, bytes[start]);
            if start + 2 <= least {
                self.shorts(start, &mut offer);
            }
            if start + 3 <= least && self.is_text(start, start + 3) {
                let texts = self.rows.iter().map(|row| &row.data[start..start + 3]);
                offer(&kind::ASCII3, 3, cost::BLOCK_FIELD + cost::texts(texts));
            }
            if start + 4 <= least {
                self.words(start, &mut offer);
            }
            if start + IDENTITY <= least && self.is_identity(start) {
                let identities = self.rows.iter().map(|row| &row.data[start..start + IDENTITY]);
                offer(&kind::UNIID, IDENTITY, cost::BLOCK_FIELD + cost::identities(identities));
            }
        }
        self.end(&best, &bytes)
    }

    fn shorts(&self, start: usize, offer: &mut impl FnMut(&'static Kind, usize, f64)) {
        let of = |order: fn([u8; 2]) -> u16| {
            let values: Vec<u64> = self.windows(start).map(|w| order(w).into()).collect();
            cost::SHORT_FIELD + cost::number(&values, 16)
        };
        offer(&kind::U16_LE, 2, of(u16::from_le_bytes));
        offer(&kind::U16_BE, 2, of(u16::from_be_bytes));
    }

    fn words(&self, start: usize, offer: &mut impl FnMut(&'static Kind, usize, f64)) {
        let of =
            |order: fn([u8; 4]) -> u32| -> Vec<u32> { self.windows(start).map(order).collect() };
        let number = |words: &[u32]| {
            let values: Vec<u64> = words.iter().map(|word| u64::from(*word)).collect();
            cost::WORD_FIELD + cost::number(&values, 32)
        };
        let float = |words: &[u32]| {
            let values: Vec<f32> = words.iter().map(|word| f32::from_bits(*word)).collect();
            cost::WORD_FIELD + cost::float(&values)
        };
        let (le, be) = (of(u32::from_le_bytes), of(u32::from_be_bytes));
        offer(&kind::U32_LE, 4, number(&le));
        offer(&kind::U32_BE, 4, number(&be));
        offer(&kind::F32_LE, 4, float(&le));
        offer(&kind::F32_BE, 4, float(&be));
    }

    /// Whether every row has letters and digits only.
    fn is_text(&self, start: usize, end: usize) -> bool {
        self.rows.iter().all(|row| row.data[start..end].iter().all(u8::is_ascii_alphanumeric))
    }

    /// Whether the columns are as different as an identity's, and stay with their device, or are
    /// few (who has no address yet speaks from the one that all such devices share).
    fn is_identity(&self, start: usize) -> bool {
        let mut own = BTreeMap::new();
        let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
        let mut stays = true;
        for row in &self.rows {
            let bytes = &row.data[start..start + IDENTITY];
            stays &= *own.entry(row.device()).or_insert(bytes) == bytes;
            *counts.entry(bytes).or_default() += row.count;
        }
        let few =
            counts.len() <= IDENTITIES && counts.values().sum::<u64>() >= 2 * counts.len() as u64;
        (stays || few)
            && counts.keys().all(|bytes| {
                let mut different = bytes.to_vec();
                different.sort_unstable();
                different.dedup();
                different.len() >= IDENTITY / 2 && !bytes.iter().all(u8::is_ascii_graphic)
            })
    }

    /// The whole layout: fields to the last column, or up to one that takes all that is left.
    fn end(&self, best: &[(f64, Option<Span>)], bytes: &[f64]) -> Layout {
        let mut end: Option<(f64, usize, Option<Span>)> = None;
        if self.least == self.most {
            end = Some((best[self.least].0, self.least, None));
        }
        for (start, (so_far, _)) in best.iter().enumerate() {
            if start == self.most {
                continue;
            }
            let alone: f64 = bytes[start..].iter().sum();
            for (kind, bits) in [(&kind::TEXT, self.text(start)), (&kind::REST, self.rest(start))] {
                let Some(bits) = bits else { continue };
                let total = so_far + bits;
                if end.as_ref().is_none_or(|(least, ..)| total < *least) {
                    let span = Span { start, width: None, kind, gain: alone - bits };
                    end = Some((total, start, Some(span)));
                }
            }
        }
        let Some((bits, mut at, last)) = end else { return Layout::default() };
        let mut spans: Vec<Span> = last.into_iter().collect();
        while let Some((_, Some(span))) = best.get(at) {
            spans.push(*span);
            at = span.start;
        }
        spans.reverse();
        Layout { spans, bits }
    }

    /// A text from here to the end.
    fn text(&self, start: usize) -> Option<f64> {
        let mut tails = self.tails(start);
        let printable =
            tails.clone().all(|text| text.iter().all(|b| b.is_ascii_graphic() || *b == b' '));
        let long = tails.any(|text| text.len() >= TEXT);
        (printable && long).then(|| cost::BLOCK_FIELD + cost::texts(self.tails(start)))
    }

    /// Bytes from here to the end: where lengths differ, or nothing but zeros is left.
    fn rest(&self, start: usize) -> Option<f64> {
        let zeros = self.most - start >= PADDING
            && self.tails(start).all(|tail| tail.iter().all(|byte| *byte == 0));
        (zeros || self.least < self.most)
            .then(|| cost::BLOCK_FIELD + 4.0 + cost::blobs(self.tails(start)))
    }
}

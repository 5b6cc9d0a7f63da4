//! Several sources in one order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use k485_proto::record::Time;

/// Merges sources by the time of their next item; where times are equal, the earlier source goes
/// first. It holds one item a source. A source whose time goes back keeps its own order.
#[derive(Debug)]
pub(crate) struct Merge<I: Iterator<Item = (Time, T)>, T> {
    sources: Vec<I>,
    heads: Vec<Option<T>>,
    order: BinaryHeap<Reverse<(Time, usize)>>,
    /// The sources whose next item is not fetched yet: at first all, then the one given last.
    due: std::ops::Range<usize>,
}

impl<I: Iterator<Item = (Time, T)>, T> Merge<I, T> {
    pub(crate) fn new(sources: Vec<I>) -> Self {
        let heads = sources.iter().map(|_| None).collect();
        let due = 0..sources.len();
        Merge { sources, heads, order: BinaryHeap::new(), due }
    }

    /// A source by its number.
    pub(crate) fn source(&self, number: usize) -> Option<&I> {
        self.sources.get(number)
    }
}

impl<I: Iterator<Item = (Time, T)>, T> Iterator for Merge<I, T> {
    type Item = (usize, T);

    fn next(&mut self) -> Option<(usize, T)> {
        for source in std::mem::take(&mut self.due) {
            if let Some((time, item)) = self.sources[source].next() {
                self.heads[source] = Some(item);
                self.order.push(Reverse((time, source)));
            }
        }
        let Reverse((_, source)) = self.order.pop()?;
        self.due = source..source + 1;
        self.heads[source].take().map(|item| (source, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_time_then_by_source_and_each_source_in_its_own_order() {
        let sources = [&[(2, 'a'), (5, 'b'), (1, 'c')][..], &[], &[(2, 'd'), (3, 'e'), (5, 'f')]]
            .map(|items| items.iter().map(|(time, item)| (Time(*time), *item)))
            .into_iter()
            .collect();
        let merged: Vec<(usize, char)> = Merge::new(sources).collect();
        assert_eq!(merged, [(0, 'a'), (2, 'd'), (2, 'e'), (0, 'b'), (0, 'c'), (2, 'f')]);
    }
}

//! Calls in figures: for each method how often, how long, how many exceptions.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::spread::Spread;
use crate::tree::{End, Judge, Node};

/// How many methods are counted apart; those beyond are counted together.
pub const MAX_METHODS: usize = 10_000;

/// Which method of which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    object: String,
    method: String,
}

/// What is counted of a method.
#[derive(Debug, Clone, Default)]
struct Counted {
    class: String,
    calls: u64,
    raised: u64,
    open: u64,
    orphans: u64,
    duration: Spread,
    own: i64,
}

/// Counts calls that are over. As a [`Judge`] it wants none of them in a tree.
#[derive(Debug, Default)]
pub struct Stats {
    methods: BTreeMap<Key, Counted>,
    others: Counted,
    /// How many methods are among the others, at most: one may be counted several times.
    beyond: u64,
}

/// The figures of a method. Times are in milliseconds; `null` where no call tells one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The object's label; empty for all methods beyond [`MAX_METHODS`].
    pub object: String,
    /// The object's class.
    pub class: String,
    /// The method.
    pub method: String,
    /// Calls, whatever came of them.
    pub calls: u64,
    /// Those that raised an exception.
    pub raised: u64,
    /// Those without an end in the trace.
    pub open: u64,
    /// Those without a beginning in the trace.
    pub orphans: u64,
    /// What all of them took.
    pub total_ms: f64,
    /// The same without the calls within them.
    pub self_ms: f64,
    /// What the shortest took.
    pub min_ms: Option<f64>,
    /// What they took on average.
    pub mean_ms: Option<f64>,
    /// What half of them did not exceed.
    pub p50_ms: Option<f64>,
    /// What 95 of 100 did not exceed.
    pub p95_ms: Option<f64>,
    /// What the longest took.
    pub max_ms: Option<f64>,
}

/// Which rows come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The most calls.
    Calls,
    /// The most time of its own.
    Own,
    /// The most time.
    Total,
    /// The longest call.
    Most,
    /// The most exceptions.
    Raised,
    /// By object and method.
    Name,
}

impl Judge for Stats {
    fn wants(&mut self, node: &Node) -> bool {
        self.push(node);
        false
    }
}

impl Stats {
    /// Counts a call that is over.
    pub fn push(&mut self, node: &Node) {
        let site = &node.site;
        let key = Key { object: site.object.to_string(), method: site.method.to_string() };
        let is_full = self.methods.len() >= MAX_METHODS && !self.methods.contains_key(&key);
        let counted = if is_full {
            self.beyond += 1;
            &mut self.others
        } else {
            self.methods.entry(key).or_default()
        };
        if counted.class.is_empty() && !is_full {
            counted.class = site.class.to_string();
        }
        counted.calls += 1;
        counted.raised += u64::from(node.end.is_raised());
        counted.open += u64::from(node.end == End::NotSeen);
        counted.orphans += u64::from(node.args.is_none());
        if let Some(duration) = node.duration {
            counted.duration.add(duration);
        }
        // A call whose beginning was not seen: nor was what is within it.
        counted.own = counted.own.saturating_add(node.own.unwrap_or(0));
    }

    /// The figures.
    #[must_use]
    pub fn rows(&self, order: Order) -> Vec<Row> {
        let mut rows: Vec<Row> = self
            .methods
            .iter()
            .map(|(key, counted)| counted.row(key.object.clone(), key.method.clone()))
            .collect();
        if self.beyond > 0 {
            rows.push(self.others.row(String::new(), "(others)".to_owned()));
        }
        let most = |row: &Row| row.max_ms.unwrap_or(0.0);
        match order {
            Order::Calls => rows.sort_by_key(|row| std::cmp::Reverse(row.calls)),
            Order::Own => rows.sort_by(|a, b| b.self_ms.total_cmp(&a.self_ms)),
            Order::Total => rows.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms)),
            Order::Most => rows.sort_by(|a, b| most(b).total_cmp(&most(a))),
            Order::Raised => rows.sort_by_key(|row| std::cmp::Reverse(row.raised)),
            Order::Name => {}
        }
        rows
    }
}

impl Counted {
    fn row(&self, object: String, method: String) -> Row {
        let millis = |nanos: i64| nanos as f64 / 1e6;
        let duration = &self.duration;
        Row {
            object,
            class: self.class.clone(),
            method,
            calls: self.calls,
            raised: self.raised,
            open: self.open,
            orphans: self.orphans,
            total_ms: millis(duration.total()),
            self_ms: millis(self.own),
            min_ms: duration.min().map(millis),
            mean_ms: duration.mean().map(millis),
            p50_ms: duration.percentile(50).map(millis),
            p95_ms: duration.percentile(95).map(millis),
            max_ms: duration.max().map(millis),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::EventReader;
    use crate::tree::{Options, Tree};

    #[test]
    fn calls_are_counted_with_their_own_time() {
        let event = |kind: &str, id: u32, method: &str, millis: u32| {
            format!(
                "{{\"type\":\"{kind}\",\"id\":{id},\"time\":{id},\"object\":\"box\",\"class\":\"B\",\
                 \"method\":\"{method}\",\"duration_ms\":{millis},\"gid\":1,\"parent\":{}}}\n",
                id / 10
            )
        };
        let text = event("call", 1, "outer", 0)
            + &event("call", 11, "inner", 0)
            + &event("return", 11, "inner", 30)
            + &event("call", 12, "inner", 0)
            + &event("error", 12, "inner", 50)
            + &event("return", 1, "outer", 100)
            + &event("call", 2, "outer", 0)
            + &event("return", 90, "lost", 7);
        let mut stats = Stats::default();
        let mut tree = Tree::new(Options::default());
        for item in EventReader::new("t", text.as_bytes()) {
            tree.take(0, &item.unwrap(), &mut stats);
            assert!(tree.pull().is_none());
        }
        tree.finish(&mut stats);
        assert!(tree.pull().is_none());
        let told: Vec<_> = stats
            .rows(Order::Own)
            .into_iter()
            .map(|row| {
                let counts = [row.calls, row.raised, row.open, row.orphans];
                (row.method, counts, row.total_ms, row.self_ms, row.p50_ms)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("inner".to_owned(), [2, 1, 0, 0], 80.0, 80.0, Some(30.0)),
                ("outer".to_owned(), [2, 0, 1, 0], 100.0, 20.0, Some(100.0)),
                ("lost".to_owned(), [1, 0, 0, 1], 7.0, 0.0, Some(7.0)),
            ]
        );
        let first = |order| stats.rows(order).remove(0).method;
        assert_eq!([Order::Total, Order::Name].map(first), ["outer", "inner"]);
        assert_eq!([Order::Raised, Order::Most].map(first), ["inner", "outer"]);
    }

    #[test]
    fn methods_beyond_the_limit_are_counted_together() {
        let mut stats = Stats::default();
        let mut tree = Tree::new(Options::default());
        for n in 0..MAX_METHODS + 5 {
            let line = format!("{{\"type\":\"return\",\"id\":{},\"method\":\"m{n}\"}}", 2 * n);
            let event = crate::Event::parse(&line, 1, 0).unwrap();
            tree.take(0, &event, &mut stats);
        }
        let rows = stats.rows(Order::Name);
        assert_eq!(rows.len(), MAX_METHODS + 1);
        assert_eq!((rows[MAX_METHODS].calls, &*rows[MAX_METHODS].method), (5, "(others)"));
    }
}

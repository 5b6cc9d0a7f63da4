//! The iterator that every reader of this crate is: one step of reading gives any number of items.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use k485_proto::record::{Complaint, Record};

/// The items that wait to be taken.
pub(super) type Ready = VecDeque<Result<Record, Complaint>>;

/// A reader.
pub(super) trait Source {
    /// Reads a bounded piece and appends what comes of it to `ready`; breaks at the end, when all
    /// that was left has been appended.
    fn step(&mut self, ready: &mut Ready) -> ControlFlow<()>;
}

/// Takes a source's items one by one.
pub(super) struct Steps<S> {
    /// `None` once it has ended.
    source: Option<S>,
    ready: Ready,
}

impl<S: Source> Steps<S> {
    pub(super) fn new(source: S) -> Self {
        Steps { source: Some(source), ready: Ready::new() }
    }
}

impl<S: Source> Iterator for Steps<S> {
    type Item = Result<Record, Complaint>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            if self.source.as_mut()?.step(&mut self.ready).is_break() {
                self.source = None;
            }
        }
        self.ready.pop_front()
    }
}

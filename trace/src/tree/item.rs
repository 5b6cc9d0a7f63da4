//! What a tree is made with, and what comes out of it.

use k485_proto::record::Time;

use super::{Child, Node};

/// How a tree is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// So many alike calls in a row are folded to one [`Run`](super::Run); below 2 nothing is folded.
    pub fold: usize,
    /// How many bytes may be held, about.
    pub most: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { fold: 3, most: 128 << 20 }
    }
}

/// What is not within a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A call, a frame, or a run of calls.
    Child(Child),
    /// A session of the tracer begins.
    Connected {
        /// When.
        time: Option<Time>,
        /// The tracer's greeting.
        message: String,
    },
    /// The tracer had no room for so many events.
    Dropped {
        /// When it was told.
        time: Option<Time>,
        /// How many.
        count: u64,
    },
    /// An event of which the tracer could tell no more than its place.
    Lost {
        /// When.
        time: Option<Time>,
        /// Why.
        reason: String,
    },
    /// A person marked this moment.
    Mark {
        /// When.
        time: Option<Time>,
        /// What the mark is called.
        name: String,
    },
    /// The client was not connected.
    Gap {
        /// When the last event before it was written.
        from: Option<Time>,
        /// When the stream went on.
        to: Option<Time>,
        /// Why.
        reason: String,
    },
}

/// What an event was to the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A call begins.
    Begin {
        /// Its number.
        number: u64,
        /// How many calls are around it.
        depth: usize,
    },
    /// A call ends.
    End {
        /// Its number.
        number: u64,
        /// How many calls are around it.
        depth: usize,
    },
    /// A call ends that was not seen to begin.
    Orphan,
    /// A frame: [`Tree::frames`](super::Tree::frames) has what it tells.
    Frame {
        /// The number of the open call that it is within.
        parent: Option<u64>,
        /// How many calls are around it.
        depth: usize,
    },
    /// An attribute was read.
    Attr {
        /// The number of the open call that it was read within.
        parent: Option<u64>,
        /// How many calls are around it.
        depth: usize,
    },
    /// The second telling of something that was told before.
    Again,
    /// Something else.
    Other,
}

/// Who is told of each call when it is over; what it says is whether the call is wanted in the
/// tree. A call that is not is kept nevertheless if one within it is.
pub trait Judge {
    /// Looks at a call that is over.
    fn wants(&mut self, node: &Node) -> bool;
}

impl<F: FnMut(&Node) -> bool> Judge for F {
    fn wants(&mut self, node: &Node) -> bool {
        self(node)
    }
}

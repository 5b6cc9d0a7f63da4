//! Calls with what happened within them, and runs of alike ones folded to one.

use std::hash::{DefaultHasher, Hash, Hasher};

use k485_proto::record::{Direction, Record, Time, Verdict};

use crate::event::{Context, Site};

/// A call, from its beginning to its end as far as the trace tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its place in the order in which things began.
    pub order: u64,
    /// Its id in the trace; ids restart with the host.
    pub id: u64,
    /// Which method of which object.
    pub site: Site<'static>,
    /// The other labels that the same call was told under: see [`crate::open`].
    pub also: Vec<String>,
    /// The arguments; `None` for a call whose beginning is not in the trace.
    pub args: Option<Args>,
    /// When it began; for a call whose beginning is not in the trace what its end tells.
    pub begin: Option<Time>,
    /// What came of it.
    pub end: End,
    /// How long it took, in nanoseconds.
    pub duration: Option<i64>,
    /// The same without the calls within it.
    pub own: Option<i64>,
    /// Where in the running program it happened.
    pub context: Context,
    /// How many calls are around it.
    pub depth: usize,
    /// How it is known within which call it was.
    pub nesting: Nesting,
    /// What happened within it, in the order of beginning.
    pub children: Vec<Child>,
    /// How often it gave a value, as a generator, or waited, as a coroutine.
    pub yields: u64,
    /// How many calls within it are not among the children: nobody wanted them.
    pub hidden: u64,
    /// How many calls within it are not among the children: there was no room for them.
    pub left_out: u64,
    /// What alike calls agree in, and what it takes in memory with everything in it: known when it
    /// is over.
    pub(super) shape: u64,
    pub(super) weight: usize,
}

/// A call's arguments as the trace tells them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Args {
    /// As one text; bare strings in it are not quoted.
    pub text: String,
    /// As a JSON list, where it is told so.
    pub argv: Option<String>,
    /// The named ones as a JSON object, where they are told so.
    pub kw: Option<String>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It returned this, as JSON text.
    Returned(String),
    /// It raised an exception.
    Raised {
        /// The exception's type; empty where it is not told.
        exc_type: String,
        /// Its text.
        error: String,
        /// The traceback.
        traceback: String,
    },
    /// The trace ends, or the host restarted, before the call did; or its end was lost.
    NotSeen,
}

impl End {
    /// Whether an exception was raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        matches!(self, End::Raised { .. })
    }
}

/// How it is known within which call another one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Nesting {
    /// The tracer told it.
    Told,
    /// By the order of calls and returns: greenlets may have mixed them.
    Inferred,
    /// The call around it was told, but is not in the trace.
    ParentNotSeen,
}

/// What happened within a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Child {
    /// A call.
    Call(Box<Node>),
    /// A frame, or another stretch of bytes, that the call sent or got.
    Frame {
        /// Its place in the order in which things began.
        order: u64,
        /// What it is; its bus is the object's label. Without bytes
        /// ([`NoReply`](Verdict::NoReply)) it says that nobody answered the request of the same
        /// call.
        record: Record,
        /// Whether an event told it. What none told is made of the call's arguments and result, or
        /// says that nobody answered.
        is_told: bool,
    },
    /// An attribute that was read.
    Attr {
        /// Its place in the order in which things began.
        order: u64,
        /// The way to the attribute and its name, joined by a dot.
        name: String,
        /// Its value, as JSON text.
        value: String,
    },
    /// Alike calls in a row.
    Run(Box<Run>),
}

/// Alike calls in a row: the same method, with alike calls within it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The first of them.
    pub first: Node,
    /// How many they are.
    pub count: u64,
    /// How long the shortest took, in nanoseconds; `None` where none tells.
    pub least: Option<i64>,
    /// How long the longest took, in nanoseconds.
    pub most: Option<i64>,
    /// How long all of them took, in nanoseconds.
    pub total: i64,
    /// What they are alike in.
    shape: u64,
}

impl Child {
    /// Its place in the order in which things began.
    #[must_use]
    pub fn order(&self) -> u64 {
        match self {
            Child::Call(node) => node.order,
            Child::Frame { order, .. } | Child::Attr { order, .. } => *order,
            Child::Run(run) => run.first.order,
        }
    }
}

impl Node {
    /// How many calls there are in it, itself among them.
    #[must_use]
    pub fn calls(&self) -> u64 {
        let within = |child: &Child| match child {
            Child::Call(node) => node.calls(),
            Child::Run(run) => run.first.calls().saturating_mul(run.count),
            Child::Frame { .. } | Child::Attr { .. } => 0,
        };
        1 + self.hidden + self.left_out + self.children.iter().map(within).sum::<u64>()
    }

    /// What it takes in memory, about, without its children.
    #[must_use]
    pub(super) fn size(&self) -> usize {
        let args = self.args.as_ref().map_or(0, |args| {
            let option = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            args.text.len() + option(&args.argv) + option(&args.kw)
        });
        let end = match &self.end {
            End::Returned(text) => text.len(),
            End::Raised { exc_type, error, traceback } => {
                exc_type.len() + error.len() + traceback.len()
            }
            End::NotSeen => 0,
        };
        let site = self.site.object.len() + self.site.class.len() + self.site.method.len();
        size_of::<Node>() + args + end + site
    }

    /// It is over: nothing in it changes any more.
    pub(super) fn seal(&mut self) {
        self.weight = self.size() + self.children.iter().map(Child::size).sum::<usize>();
        self.shape = self.shape();
    }

    /// What alike calls agree in: the method, how they ended, and alike things within them.
    fn shape(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.site, &self.also, std::mem::discriminant(&self.end)).hash(&mut hasher);
        (self.args.is_some(), self.nesting, self.hidden > 0).hash(&mut hasher);
        for child in &self.children {
            child.shape().hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl Child {
    pub(super) fn size(&self) -> usize {
        size_of::<Child>()
            + match self {
                Child::Call(node) => node.weight,
                Child::Frame { record, .. } => record.bytes.len(),
                Child::Attr { name, value, .. } => name.len() + value.len(),
                Child::Run(run) => size_of::<Run>() + run.first.weight,
            }
    }

    fn shape(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Child::Call(node) => node.shape.hash(&mut hasher),
            // So often it happened, so often it is alike: a run of three is like a run of five.
            Child::Run(run) => run.shape.hash(&mut hasher),
            Child::Frame { record, .. } => {
                // What was asked, and of a reply that there was one.
                let asked = (record.dir == Some(Direction::Request)).then_some(&record.bytes);
                (record.dir, asked, matches!(record.verdict, Verdict::Frame)).hash(&mut hasher);
            }
            Child::Attr { name, .. } => name.hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// Puts a child behind the others. If it is the last of at least `fold` alike calls in a row, they
/// become one [`Run`]; nothing is folded where `fold` is below 2. Gives the bytes that the children
/// took before and take now, but for those that stayed as they are.
pub(super) fn push(children: &mut Vec<Child>, child: Child, fold: usize) -> (usize, usize) {
    let size = child.size();
    let Child::Call(node) = &child else {
        children.push(child);
        return (0, size);
    };
    let shape = node.shape;
    if let Some(Child::Run(run)) = children.last_mut()
        && run.shape == shape
    {
        run.add(node);
        return (0, 0);
    }
    let alike = |child: &&Child| matches!(child, Child::Call(node) if node.shape == shape);
    let before = match fold {
        ..2 => 0,
        _ => children.iter().rev().take(fold - 1).take_while(alike).count(),
    };
    if fold < 2 || before < fold - 1 {
        children.push(child);
        return (0, size);
    }
    let mut freed = 0;
    let mut run: Option<Box<Run>> = None;
    for other in children.split_off(children.len() - before).into_iter().chain([child]) {
        freed += other.size();
        if let Child::Call(node) = other {
            match &mut run {
                Some(run) => run.add(&node),
                None => run = Some(Box::new(Run::of(*node))),
            }
        }
    }
    let run = run.map(Child::Run);
    let taken = run.as_ref().map_or(0, Child::size);
    children.extend(run);
    (freed - size, taken)
}

impl Run {
    fn of(first: Node) -> Run {
        Run {
            count: 1,
            least: first.duration,
            most: first.duration,
            total: first.duration.unwrap_or(0),
            shape: first.shape,
            first,
        }
    }

    fn add(&mut self, node: &Node) {
        self.count += 1;
        if let Some(duration) = node.duration {
            self.least = Some(self.least.map_or(duration, |least| least.min(duration)));
            self.most = Some(self.most.map_or(duration, |most| most.max(duration)));
            self.total = self.total.saturating_add(duration);
        }
    }
}

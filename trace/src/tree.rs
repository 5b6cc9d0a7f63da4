//! Call trees out of a trace's events.
//!
//! [`Tree`] takes events one by one and gives calls when they are over, each with what happened
//! within it, those that began first first. k485's own tracer tells within which call another one
//! was made; other tracers tell only beginnings and ends, in the order in which they happened, and
//! there the nesting is [inferred](Nesting::Inferred).
//!
//! What traces are like is taken as it is: ends without their calls, calls without their ends, ends
//! in any order, ids that restart, calls told twice under two labels (see [`crate::open`]).
//!
//! The frames of a call of the send function are made of its arguments and its result where the
//! tracer does not tell them as events.
//!
//! Memory is bounded by [`Options::most`], whatever the trace holds: what has no room is counted in
//! the call it belongs to. Calls deeper than [`MAX_DEPTH`] are put beside those at that depth.

mod ends;
mod frames;
mod item;
mod node;
mod outlet;
mod stacks;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use k485_proto::record::{Record, Time};

use frames::{Asked, Sender, own_frames};
pub use item::{Item, Judge, Options, Step};
pub use node::{Args, Child, End, Nesting, Node, Run};
use stacks::{Entry, Stacks};

use crate::bus::SEND;
use crate::event::{Context, Event, Kind, Site};
use crate::open::{Begin, MAX_OPEN, OpenCalls};

/// How deep calls nest in a tree.
pub const MAX_DEPTH: usize = 512;
/// How many things wait for a call that began before them.
const MAX_WAITING: usize = 1 << 16;

/// A call that is not over.
#[derive(Debug)]
struct Open {
    node: Node,
    space: usize,
    parent: Option<u64>,
    /// What the calls within it took.
    within: i64,
    size: usize,
}

#[derive(Debug, Default)]
struct Space {
    /// The numbers of open calls, by their ids.
    numbers: HashMap<u64, u64>,
    stacks: Stacks,
}

/// Builds call trees.
#[derive(Debug, Default)]
pub struct Tree {
    options: Options,
    calls: OpenCalls<()>,
    open: BTreeMap<u64, Open>,
    spaces: HashMap<usize, Space>,
    /// What is not within a call, by its order; `None` for a call that is not over.
    waiting: BTreeMap<u64, Option<Item>>,
    /// The last of alike things, which may be folded with the next.
    tail: Vec<Child>,
    ready: VecDeque<Item>,
    order: u64,
    held: usize,
    left_out: u64,
    /// Requests outside of the send function's own calls, whose reply may come.
    asked: HashMap<Sender, Asked>,
    /// What the frame told that was taken last.
    frames: Vec<Record>,
    /// The place where events were missing last.
    lost: u64,
    last_gap: Option<(Option<Time>, Option<Time>)>,
}

impl Tree {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(options: Options) -> Tree {
        Tree { options, ..Tree::default() }
    }

    /// How many calls are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// A call that is open, as far as it is known.
    #[must_use]
    pub fn node(&self, number: u64) -> Option<&Node> {
        self.open.get(&number).map(|open| &open.node)
    }

    /// How many bytes are held, about.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many calls there was no room for.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes the next event. Ids are those of one `space`: one run of the tracer, in however many
    /// files.
    pub fn take(&mut self, space: usize, event: &Event<'_>, judge: &mut dyn Judge) -> Step {
        self.order += 1;
        match &event.kind {
            Kind::Call { id, site, args, argv, kw } => {
                let args = Args {
                    text: args.to_string(),
                    argv: argv.as_ref().map(ToString::to_string),
                    kw: kw.as_ref().map(ToString::to_string),
                };
                self.begin(space, event, *id, site, args, judge)
            }
            Kind::Return { id, site, result, duration } => {
                let end = End::Returned(result.to_string());
                self.end(space, event, (*id, *duration), site, end, judge)
            }
            Kind::Error { id, site, error, exc_type, traceback, duration } => {
                let end = End::Raised {
                    exc_type: exc_type.to_string(),
                    error: error.to_string(),
                    traceback: traceback.to_string(),
                };
                self.end(space, event, (*id, *duration), site, end, judge)
            }
            Kind::Frame { site, direction, bytes } => {
                self.frame(space, event, site, *direction, bytes)
            }
            Kind::AttrRead { path, attr, value, .. } => {
                let name =
                    if path.is_empty() { attr.to_string() } else { format!("{path}.{attr}") };
                let (order, value) = (self.order, value.to_string());
                let parent = self.around(space, &event.context);
                if parent.is_some() {
                    self.put(parent, Child::Attr { order, name, value });
                }
                Step::Attr { parent, depth: self.depth_within(parent) }
            }
            Kind::Connected { message, schema } => {
                self.restart(space, *schema, judge);
                let message = message.to_string();
                self.tell(Item::Connected { time: event.time, message })
            }
            Kind::Dropped { count } => {
                self.lose();
                self.tell(Item::Dropped { time: event.time, count: *count })
            }
            Kind::Lost { reason } => {
                self.lose();
                self.tell(Item::Lost { time: event.time, reason: reason.to_string() })
            }
            Kind::Yield { id, .. } => {
                let number = self.number_of(space, *id);
                if let Some(open) = number.and_then(|number| self.open.get_mut(&number)) {
                    open.node.yields += 1;
                }
                Step::Other
            }
            Kind::Mark { name } => {
                self.tell(Item::Mark { time: event.time, name: name.to_string() })
            }
            Kind::Gap { from, to, reason } => {
                // Each file of a capture has it.
                if self.last_gap.replace((*from, *to)) == Some((*from, *to)) {
                    return Step::Again;
                }
                self.lose();
                self.tell(Item::Gap { from: *from, to: *to, reason: reason.to_string() })
            }
            Kind::Other(_) => Step::Other,
        }
    }

    /// The trace is over: calls that are open have no end.
    pub fn finish(&mut self, judge: &mut dyn Judge) {
        // The innermost first, so that each is within its parent.
        for number in self.open.keys().rev().copied().collect::<Vec<_>>() {
            self.close(number, judge);
        }
        self.settle(0);
        self.let_go();
    }

    /// What is complete and not within a call; those that began first come first.
    pub fn pull(&mut self) -> Option<Item> {
        self.ready.pop_front()
    }

    fn begin(
        &mut self,
        space: usize,
        event: &Event<'_>,
        id: u64,
        site: &Site<'_>,
        args: Args,
        judge: &mut dyn Judge,
    ) -> Step {
        let given_up = self.calls.given_up();
        let crowded_out = self.calls.crowded_out();
        let begin = self.calls.call(space, event, id, site, &args.text, ());
        if self.calls.given_up() > given_up {
            self.restart_calls(space, judge);
        }
        if self.calls.crowded_out() > crowded_out {
            self.close_lowest(space, judge);
        }
        let number = match begin {
            Begin::Call { number } => number,
            Begin::Again { number } => {
                self.spaces.entry(space).or_default().numbers.insert(id, number);
                if let Some(open) = self.open.get_mut(&number) {
                    open.node.also.push(site.object.to_string());
                }
                return Step::Again;
            }
        };
        let context = event.context;
        let at = self.spaces.entry(space).or_default();
        let (parent, nesting) = if context.is_told() {
            let parent = context.parent.and_then(|parent| at.numbers.get(&parent).copied());
            let lost = parent.is_none() && context.parent.is_some();
            (parent, if lost { Nesting::ParentNotSeen } else { Nesting::Told })
        } else {
            let (sends, object) = (site.method == SEND, hash(&site.object));
            (at.stacks.begin(Entry { number, sends, object }), Nesting::Inferred)
        };
        at.numbers.insert(id, number);
        let mut parent = parent.filter(|parent| self.open.contains_key(parent));
        let mut depth = self.depth_within(parent);
        while depth >= MAX_DEPTH {
            parent = parent.and_then(|parent| self.open.get(&parent)?.parent);
            depth = self.depth_within(parent);
        }
        let node = Node { args: Some(args), depth, nesting, ..self.unknown(event, id, site) };
        if parent.is_none() {
            self.waiting.insert(self.order, None);
        }
        let size = node.size();
        self.held += size;
        self.open.insert(number, Open { node, space, parent, within: 0, size });
        Step::Begin { number, depth }
    }

    /// A call of which nothing is known but one event.
    fn unknown(&self, event: &Event<'_>, id: u64, site: &Site<'_>) -> Node {
        Node {
            order: self.order,
            id,
            site: site.clone().into_owned(),
            also: Vec::new(),
            args: None,
            begin: event.time,
            end: End::NotSeen,
            duration: None,
            own: None,
            context: event.context,
            depth: 0,
            nesting: Nesting::Inferred,
            children: Vec::new(),
            yields: 0,
            hidden: 0,
            left_out: 0,
            shape: 0,
            weight: 0,
        }
    }

    fn depth_within(&self, parent: Option<u64>) -> usize {
        parent.and_then(|parent| self.open.get(&parent)).map_or(0, |open| open.node.depth + 1)
    }

    /// The call is over, in whatever way.
    fn close(&mut self, number: u64, judge: &mut dyn Judge) {
        let Some(Open { mut node, space, parent, within, size, .. }) = self.open.remove(&number)
        else {
            return;
        };
        self.unstack(space, number);
        let held = size + node.children.iter().map(Child::size).sum::<usize>();
        self.held = self.held.saturating_sub(held);
        node.own = node.duration.map(|duration| duration.saturating_sub(within).max(0));
        let is_whole = self.lost < node.order;
        own_frames(&mut node, self.order, is_whole);
        // Several threads may work within one call.
        if !node.children.is_sorted_by_key(Child::order) {
            node.children.sort_by_key(Child::order);
        }
        node.seal();
        let parent = parent.filter(|parent| self.open.contains_key(parent));
        if let Some(around) = parent.and_then(|parent| self.open.get_mut(&parent)) {
            around.within = around.within.saturating_add(node.duration.unwrap_or(0).max(0));
        }
        self.judge(parent, node, judge);
    }

    /// Keeps a call that is wanted, or that is around one that is.
    fn judge(&mut self, parent: Option<u64>, node: Node, judge: &mut dyn Judge) {
        if judge.wants(&node) || has_calls(&node) {
            self.put(parent, Child::Call(Box::new(node)));
            return;
        }
        match parent.and_then(|parent| self.open.get_mut(&parent)) {
            Some(around) => around.node.hidden += node.calls(),
            None => {
                self.waiting.remove(&node.order);
                self.settle(MAX_WAITING);
            }
        }
    }

    /// The open call that something without an end is within.
    fn around(&self, space: usize, context: &Context) -> Option<u64> {
        if context.is_told() {
            return context.parent.and_then(|parent| self.number_of(space, parent));
        }
        self.spaces.get(&space).and_then(|space| space.stacks.top())
    }

    fn number_of(&self, space: usize, id: u64) -> Option<u64> {
        let number = self.spaces.get(&space).and_then(|space| space.numbers.get(&id).copied())?;
        self.open.contains_key(&number).then_some(number)
    }

    /// Events are missing here: a reply may be among them.
    fn lose(&mut self) {
        self.lost = self.order;
        self.asked.clear();
    }

    /// The host of a space began anew.
    fn restart(&mut self, space: usize, schema: Option<u64>, judge: &mut dyn Judge) {
        self.calls.connected(space, schema);
        self.restart_calls(space, judge);
    }

    fn restart_calls(&mut self, space: usize, judge: &mut dyn Judge) {
        let of_it = self.open.iter().rev().filter(|(_, open)| open.space == space);
        for number in of_it.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.close(number, judge);
        }
        self.spaces.remove(&space);
        self.asked.retain(|sender, _| sender.0 != space);
    }

    /// Too many calls are open: the one with the lowest id was given up.
    fn close_lowest(&mut self, space: usize, judge: &mut dyn Judge) {
        let Some(at) = self.spaces.get_mut(&space) else { return };
        if at.numbers.len() < MAX_OPEN {
            return;
        }
        let Some(id) = at.numbers.keys().min().copied() else { return };
        if let Some(number) = at.numbers.remove(&id) {
            self.close(number, judge);
        }
    }
}

/// Whether a call that nobody asked for is around one that is shown.
fn has_calls(node: &Node) -> bool {
    node.children.iter().any(|child| matches!(child, Child::Call(_) | Child::Run(_)))
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

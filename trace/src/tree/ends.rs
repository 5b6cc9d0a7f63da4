//! Ends of calls: of those that are open, and those whose beginning was not seen.

use k485_proto::record::{Call, Time};

use super::frames::reply_frames;
use super::{End, Judge, Nesting, Node, Step, Tree};
use crate::bus::SEND;
use crate::event::{Event, Site};
use crate::open;

impl Tree {
    pub(super) fn end(
        &mut self,
        space: usize,
        event: &Event<'_>,
        (id, duration): (u64, Option<i64>),
        site: &Site<'_>,
        end: End,
        judge: &mut dyn Judge,
    ) -> Step {
        let text = match &end {
            End::Returned(text) => text.as_str(),
            End::Raised { error, .. } => error,
            End::NotSeen => "",
        };
        let found = self.calls.end(space, event, id, site, text);
        if let Some(space) = self.spaces.get_mut(&space)
            && !matches!(found, open::End::Orphan { .. })
        {
            space.numbers.remove(&id);
        }
        match found {
            open::End::Again { .. } => Step::Again,
            open::End::Inner { number, .. } => {
                // Nothing is within it any more; it stands if its outer end does not come.
                self.came_to(number, event, duration, end);
                self.unstack(space, number);
                Step::Again
            }
            open::End::Of { number, .. } => {
                let Some(depth) = self.came_to(number, event, duration, end) else {
                    return Step::Again;
                };
                self.close(number, judge);
                Step::End { number, depth }
            }
            open::End::Orphan { .. } => {
                let begin = event.time.zip(duration);
                let begin = begin.map(|(time, duration)| Time(time.0.saturating_sub(duration)));
                let parent = event.context.parent;
                let parent = parent.and_then(|parent| self.number_of(space, parent));
                let mut node = Node {
                    begin: begin.or(event.time),
                    end,
                    duration,
                    depth: self.depth_within(parent),
                    nesting: Nesting::ParentNotSeen,
                    ..self.unknown(event, id, site)
                };
                if node.site.method == SEND {
                    let object = node.site.object.to_string();
                    let call = Call { id: node.order, timeout_ms: None, duration_ns: duration };
                    reply_frames(&mut node, &object, (event.time, call), self.order, true);
                }
                node.seal();
                self.judge(parent, node, judge);
                Step::Orphan
            }
        }
    }

    /// What came of an open call; gives how deep it is.
    fn came_to(
        &mut self,
        number: u64,
        event: &Event<'_>,
        duration: Option<i64>,
        end: End,
    ) -> Option<usize> {
        let open = self.open.get_mut(&number)?;
        let passed = || {
            let mono = event.context.mono.zip(open.node.context.mono);
            let mono = mono.map(|(to, from)| to.saturating_sub(from));
            mono.or_else(|| Some(event.time?.since(open.node.begin?)))
        };
        open.node.duration = duration.or_else(passed);
        open.node.end = end;
        Some(open.node.depth)
    }

    /// Nothing that comes is within the call: what seemed to be above it is another greenlet's.
    pub(super) fn unstack(&mut self, space: usize, number: u64) {
        let apart = self.spaces.get_mut(&space).and_then(|space| space.stacks.end(number));
        if let Some(other) = apart.and_then(|apart| self.open.get_mut(&apart)) {
            other.parent = None;
            self.waiting.insert(other.node.order, None);
        }
    }
}

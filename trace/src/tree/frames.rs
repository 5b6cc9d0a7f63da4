//! The frames within calls: told as events, or made of what the send function was given and gave
//! back.

use std::collections::BTreeMap;
use std::sync::Arc;

use k485_proto::deframer::spans;
use k485_proto::record::{Call, Direction, Origin, Record, Time, Verdict};

use super::{Child, End, Node, Step, Tree, hash};
use crate::bus::SEND;
use crate::event::{Event, Site};
use crate::open::MAX_OPEN;
use crate::send;

/// Who sends: a space's thread and greenlet, on an object's bus. It waits for the reply before it
/// sends again.
pub(super) type Sender = (usize, Option<u64>, u64, u64);

/// A request that was told, and no reply to it yet.
#[derive(Debug)]
pub(super) struct Asked {
    id: u64,
    time: Option<Time>,
    mono: Option<i64>,
    parent: Option<u64>,
}

impl Tree {
    pub(super) fn frame(
        &mut self,
        space: usize,
        event: &Event<'_>,
        site: &Site<'_>,
        direction: Direction,
        digits: &str,
    ) -> Step {
        let parent = self.around(space, &event.context);
        let depth = self.depth_within(parent);
        self.frames.clear();
        let call = self.call_of(space, event, site, direction, parent);
        for (bytes, origin, verdict) in send::frame(digits, direction).unwrap_or_default() {
            let record = record(&site.object, event.time, direction, call);
            let record = Record { bytes, origin, verdict, offset: event.offset, ..record };
            self.order += 1;
            self.frames.push(record.clone());
            self.put(parent, Child::Frame { order: self.order, record, is_told: true });
        }
        Step::Frame { parent, depth }
    }

    /// What the [frame](Step::Frame) told that was taken last: mostly one frame, and before it that
    /// nobody answered its sender's last one outside of any call. All of it is in the tree as well,
    /// when the calls around it are over.
    #[must_use]
    pub fn frames(&self) -> &[Record] {
        &self.frames
    }

    /// What pairs a frame with its request or its reply: the call of the send function, or else who
    /// sends.
    fn call_of(
        &mut self,
        space: usize,
        event: &Event<'_>,
        site: &Site<'_>,
        direction: Direction,
        parent: Option<u64>,
    ) -> Option<Call> {
        let call = |id| Call { id, timeout_ms: None, duration_ns: None };
        let is_sending =
            |number| self.open.get(&number).is_some_and(|open| open.node.site.method == SEND);
        let passed = |mono: Option<i64>, time: Option<Time>| {
            let passed = event.context.mono.zip(mono).map(|(to, from)| to.saturating_sub(from));
            passed.or_else(|| Some(event.time?.since(time?)))
        };
        if let Some(number) = parent.filter(|number| is_sending(*number)) {
            // When the call is over it takes as long as that.
            let node = self.node(number)?;
            let duration_ns = match direction {
                Direction::Request => None,
                Direction::Response => passed(node.context.mono, node.begin),
            };
            return Some(Call { duration_ns, ..call(node.order) });
        }
        let Some(gid) = event.context.gid else {
            return parent.and_then(|parent| self.node(parent)).map(|node| call(node.order));
        };
        let sender = (space, event.context.tid, gid, hash(&site.object));
        let (id, mono) = (self.order, event.context.mono);
        if direction == Direction::Request {
            if self.asked.len() >= MAX_OPEN {
                self.asked.clear();
            }
            let asked = Asked { id, time: event.time, mono, parent };
            // Of those within a call it is told when that is over.
            if let Some(before) = self.asked.insert(sender, asked)
                && before.parent.is_none()
            {
                let record = record(&site.object, None, Direction::Response, Some(call(before.id)));
                self.frames.push(record.clone());
                self.put(None, Child::Frame { order: self.order, record, is_told: false });
            }
            return Some(call(id));
        }
        let Some(asked) = self.asked.remove(&sender).filter(|asked| asked.parent == parent) else {
            return Some(call(id));
        };
        Some(Call { duration_ns: passed(asked.mono, asked.time), ..call(asked.id) })
    }
}

fn record(object: &str, time: Option<Time>, direction: Direction, call: Option<Call>) -> Record {
    Record {
        time,
        bus: Arc::from(object),
        dir: Some(direction),
        offset: 0,
        bytes: Vec::new(),
        origin: Origin::Wire,
        verdict: Verdict::NoReply,
        call,
    }
}

/// The frames of a call that is over. Those of a call of the send function are made of its arguments
/// and its result where the tracer did not tell them as events. `is_whole` says that no event is
/// missing since it began.
pub(super) fn own_frames(node: &mut Node, order: u64, is_whole: bool) {
    if node.site.method != SEND {
        if is_whole && node.end != End::NotSeen {
            unanswered(node, order);
        }
        return;
    }
    let (mut id, mut asks, mut answers) = (node.order, false, false);
    for child in &mut node.children {
        if let Child::Frame { record, .. } = child {
            match record.dir {
                Some(Direction::Response) => answers = true,
                _ => asks = true,
            }
            if let Some(call) = &mut record.call {
                id = call.id;
                if record.dir == Some(Direction::Response) {
                    call.duration_ns = node.duration;
                }
            }
        }
    }
    let call = Call { id, timeout_ms: None, duration_ns: node.duration };
    let object = node.site.object.to_string();
    if !asks
        && let Some(request) = node.args.as_ref().and_then(|args| send::request(&args.text).ok())
    {
        let call = Call { timeout_ms: request.timeout_ms, ..call };
        let record = record(&object, node.begin, Direction::Request, Some(call));
        let (bytes, origin, verdict) = (request.bytes, request.origin, Verdict::Frame);
        let record = Record { bytes, origin, verdict, ..record };
        node.children.insert(0, Child::Frame { order: node.order, record, is_told: false });
        asks = true;
    }
    if !answers {
        let end = node.begin.zip(node.duration);
        let time = end.map(|(begin, duration)| Time(begin.0.saturating_add(duration)));
        reply_frames(node, &object, (time, call), order, asks);
    }
}

/// Puts that nobody answered behind each request that has no reply: its sender has gone on.
fn unanswered(node: &mut Node, end: u64) {
    let mut open = BTreeMap::new();
    let mut missing = Vec::new();
    for child in &node.children {
        let Child::Frame { order, record, .. } = child else { continue };
        let Some(call) = record.call else { continue };
        let before = open.remove(&call.id);
        if record.dir == Some(Direction::Request) {
            // The place before a frame's is that of its event, in which nothing else is.
            missing.extend(before.map(|bus| (order - 1, call.id, bus)));
            open.insert(call.id, Arc::clone(&record.bus));
        }
    }
    missing.extend(open.into_iter().map(|(id, bus)| (end, id, bus)));
    node.children.extend(missing.into_iter().map(|(order, id, bus)| {
        let call = Call { id, timeout_ms: None, duration_ns: None };
        let record = record(&bus, None, Direction::Response, Some(call));
        Child::Frame { order, record, is_told: false }
    }));
}

/// The reply that a call of the send function returned; and that there was none where its request
/// is there.
pub(super) fn reply_frames(
    node: &mut Node,
    object: &str,
    (time, call): (Option<Time>, Call),
    order: u64,
    asks: bool,
) {
    let reply = match &node.end {
        End::Returned(result) => send::reply(result),
        End::Raised { .. } => Ok(send::Reply::Raised),
        End::NotSeen => return,
    };
    let record = record(object, time, Direction::Response, Some(call));
    match reply {
        Ok(send::Reply::Bytes(bytes)) => node.children.extend(spans(&bytes).map(|span| {
            let Record { bytes, verdict, .. } = Record::of_span(&span);
            let record = Record { bytes, verdict, ..record.clone() };
            Child::Frame { order, record, is_told: false }
        })),
        Ok(send::Reply::Nothing | send::Reply::Raised) if asks => {
            node.children.push(Child::Frame { order, record, is_told: false });
        }
        Ok(_) | Err(_) => {}
    }
}

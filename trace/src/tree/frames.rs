//! The frames within calls: told as events, or made of what the send function was given and gave
//! back.

use std::sync::Arc;

use k485_proto::deframer::spans;
use k485_proto::record::{Call, Direction, Origin, Record, Time, Verdict};

use super::{Child, End, Node, Step, Tree};
use crate::bus::SEND;
use crate::event::{Event, Site};
use crate::send;

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
        let call = parent.map(|number| Call { id: number, timeout_ms: None, duration_ns: None });
        for (bytes, origin, verdict) in send::frame(digits, direction).unwrap_or_default() {
            let record = record(&site.object, event.time, direction, call);
            let record = Record { bytes, origin, verdict, offset: event.offset, ..record };
            self.order += 1;
            self.put(parent, Child::Frame { order: self.order, record });
        }
        Step::Frame { depth }
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

/// The frames of a call that is over: where the tracer did not tell them as events, those of a call
/// of the send function are made of its arguments and its result.
pub(super) fn own_frames(node: &mut Node, order: u64) {
    let call = Call { id: node.order, timeout_ms: None, duration_ns: node.duration };
    let mut told = None;
    for child in &mut node.children {
        if let Child::Frame { record, .. } = child {
            told = record.dir;
            if record.dir == Some(Direction::Response)
                && let Some(call) = &mut record.call
            {
                call.duration_ns = node.duration;
            }
        }
    }
    if node.site.method != SEND {
        return;
    }
    let object = node.site.object.to_string();
    if told.is_none()
        && let Some(request) = node.args.as_ref().and_then(|args| send::request(&args.text).ok())
    {
        let call = Call { timeout_ms: request.timeout_ms, ..call };
        let record = record(&object, node.begin, Direction::Request, Some(call));
        let (bytes, origin, verdict) = (request.bytes, request.origin, Verdict::Frame);
        let record = Record { bytes, origin, verdict, ..record };
        node.children.insert(0, Child::Frame { order: node.order, record });
    }
    let end = node.begin.zip(node.duration);
    let time = end.map(|(begin, duration)| Time(begin.0.saturating_add(duration)));
    let id = node.children.iter().find_map(|child| match child {
        Child::Frame { record, .. } => record.call.map(|call| call.id),
        _ => None,
    });
    let call = Call { id: id.unwrap_or(call.id), ..call };
    match told {
        None => reply_frames(node, &object, (time, call), order),
        // Nobody answered what was told to be sent.
        Some(Direction::Request) if matches!(&node.end, End::Returned(text) if text == "null") => {
            let record = record(&object, time, Direction::Response, Some(call));
            node.children.push(Child::Frame { order, record });
        }
        Some(_) => {}
    }
}

pub(super) fn reply_frames(
    node: &mut Node,
    object: &str,
    (time, call): (Option<Time>, Call),
    order: u64,
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
            Child::Frame { order, record: Record { bytes, verdict, ..record.clone() } }
        })),
        Ok(send::Reply::Nothing | send::Reply::Raised) => {
            node.children.push(Child::Frame { order, record });
        }
        Err(_) => {}
    }
}

//! The frames within calls: told as events, or made of what the send function was given and gave
//! back.

use std::sync::Arc;

use k485_proto::deframer::spans;
use k485_proto::record::{Direction, Origin, Record, Time, Verdict};

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
        for (bytes, origin, verdict) in send::frame(digits, direction).unwrap_or_default() {
            let mut record = record(&site.object, event.time, direction, event.offset);
            (record.bytes, record.origin, record.verdict) = (bytes, origin, verdict);
            self.order += 1;
            self.put(parent, Child::Frame { order: self.order, record });
        }
        Step::Frame { depth }
    }
}

fn record(object: &str, time: Option<Time>, direction: Direction, offset: u64) -> Record {
    Record {
        time,
        bus: Arc::from(object),
        dir: Some(direction),
        offset,
        bytes: Vec::new(),
        origin: Origin::Wire,
        verdict: Verdict::NoReply,
        call: None,
    }
}

/// The frames of a call of the send function, where the tracer did not tell them as events.
pub(super) fn own_frames(node: &mut Node, order: u64) {
    let is_told = |child: &Child| matches!(child, Child::Frame { .. });
    if node.site.method != SEND || node.children.iter().any(is_told) {
        return;
    }
    let object = node.site.object.to_string();
    if let Some(request) = node.args.as_ref().and_then(|args| send::request(&args.text).ok()) {
        let mut record = record(&object, node.begin, Direction::Request, 0);
        (record.bytes, record.origin, record.verdict) =
            (request.bytes, request.origin, Verdict::Frame);
        node.children.insert(0, Child::Frame { order: node.order, record });
    }
    let end = node.begin.zip(node.duration);
    let time = end.map(|(begin, duration)| Time(begin.0.saturating_add(duration)));
    reply_frames(node, &object, time, order);
}

pub(super) fn reply_frames(node: &mut Node, object: &str, time: Option<Time>, order: u64) {
    let End::Returned(result) = &node.end else { return };
    let Ok(send::Reply::Bytes(bytes)) = send::reply(result) else { return };
    for span in spans(&bytes) {
        let Record { bytes, verdict, .. } = Record::of_span(&span);
        let record = Record { bytes, verdict, ..record(object, time, Direction::Response, 0) };
        node.children.push(Child::Frame { order, record });
    }
}

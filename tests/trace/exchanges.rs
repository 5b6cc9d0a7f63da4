//! Frames in trees: which one answers which, as text and as JSON.

use serde_json::{Value, json};

use crate::bench::{SEND, SERIAL, state};
use crate::common::k485_with;

/// Lines as k485's own tracer writes them: times of a millisecond each, greenlets told.
#[derive(Default)]
pub(crate) struct Stream {
    pub(crate) text: String,
    count: u32,
}

impl Stream {
    pub(crate) fn line(&mut self, kind: &str, gid: u32, parent: u32, rest: &str) {
        self.count += 1;
        let (time, mono) = (f64::from(self.count) / 1e3, self.count * 1_000_000);
        self.text += &format!(
            "{{\"type\": \"{kind}\", \"time\": {time:.6}, {rest}, \"mono\": {mono}, \"tid\": 7, \
             \"gid\": {gid}, \"parent\": {parent}, \"seq\": {}}}\n",
            self.count
        );
    }

    pub(crate) fn call(
        &mut self,
        (id, gid, parent): (u32, u32, u32),
        object: &str,
        method: &str,
        args: &str,
    ) {
        let rest = format!(
            "\"id\": {id}, \"object\": \"{object}\", \"class\": \"C\", \"method\": \"{method}\", \
             \"args\": \"{args}\", \"depth\": 0"
        );
        self.line("call", gid, parent, &rest);
    }

    pub(crate) fn end(
        &mut self,
        (id, gid, parent): (u32, u32, u32),
        object: &str,
        method: &str,
        result: &str,
    ) {
        let rest = format!(
            "\"id\": {id}, \"object\": \"{object}\", \"class\": \"C\", \"method\": \"{method}\", \
             \"result\": {result}, \"duration_ms\": 1.0, \"depth\": 0"
        );
        self.line("return", gid, parent, &rest);
    }

    pub(crate) fn frame(&mut self, gid: u32, parent: u32, direction: &str, bytes: &str) {
        let rest = format!(
            "\"object\": \"{SERIAL}\", \"direction\": \"{direction}\", \"bytes\": \"{bytes}\", \
             \"wire\": \"reconstructed\""
        );
        self.line("frame", gid, parent, &rest);
    }

    /// The tree's lines, without times.
    #[track_caller]
    fn text(&self) -> Vec<String> {
        let text = k485_with(["trace", "tree", "-", "--no-fold"], self.text.as_bytes()).clean();
        text.lines().map(|line| line.chars().skip(23).collect()).collect()
    }

    /// The frames of the tree as JSON, in their order: direction, bytes, outcome, text.
    #[track_caller]
    fn leaves(&self) -> Vec<[String; 4]> {
        let args = ["trace", "tree", "-", "--no-fold", "--json"];
        let out = k485_with(args, self.text.as_bytes()).clean();
        let mut leaves = Vec::new();
        for line in out.lines() {
            gather(&serde_json::from_str(line).unwrap(), &mut leaves);
        }
        leaves
    }
}

fn gather(node: &Value, leaves: &mut Vec<[String; 4]>) {
    if node["type"] == "frame" {
        let text = |name: &str| node[name].as_str().unwrap_or_default().to_owned();
        leaves.push(["direction", "bytes", "outcome", "text"].map(text));
    }
    for child in node["children"].as_array().into_iter().flatten() {
        gather(child, leaves);
    }
}

pub(crate) const POLL: &str = "0103ff0a";
pub(crate) const POLLED: &str = "f70107000a19240000e7";
pub(crate) const ABSENT: &str = "0303ff0a";

/// What is told of [`POLL`] and its reply.
fn answered() -> [[String; 4]; 2] {
    [
        ["tx", POLL, "answered", "box1   GET_BOX_STATE"].map(str::to_owned),
        ["rx", POLLED, "answered", &format!("box1   GET_BOX_STATE <- OK {}", state())]
            .map(str::to_owned),
    ]
}

/// And of [`ABSENT`].
fn unanswered() -> [String; 4] {
    ["tx", ABSENT, "timeout", "box3   GET_BOX_STATE -> no reply"].map(str::to_owned)
}

pub(crate) fn bytes(digits: &str) -> String {
    format!("{{\"_bytes\": \"{digits}\"}}")
}

#[test]
fn frames_of_sending_calls_are_worded_with_each_other() {
    let mut stream = Stream::default();
    stream.call((1, 1, 0), "gcode", "cmd_BOX_REPORT", "x");
    stream.call((2, 1, 1), "box", "get_box", "1");
    stream.call((3, 1, 2), SERIAL, SEND, "{'_bytes': '0103ff0a'}, 0.1");
    stream.frame(1, 3, "tx", POLL);
    // Traced deeply, there are calls between the two.
    stream.call((4, 1, 3), SERIAL, "lock", "");
    stream.end((4, 1, 3), SERIAL, "lock", "true");
    stream.frame(1, 3, "rx", POLLED);
    stream.end((3, 1, 2), SERIAL, SEND, &bytes(POLLED));
    stream.end((2, 1, 1), "box", "get_box", "1");
    stream.call((5, 1, 1), "box", "get_box", "3");
    stream.call((6, 1, 5), SERIAL, SEND, "{'_bytes': '0303ff0a'}, 0.1");
    stream.frame(1, 6, "tx", ABSENT);
    stream.end((6, 1, 5), SERIAL, SEND, "null");
    stream.end((5, 1, 1), "box", "get_box", "null");
    stream.end((1, 1, 0), "gcode", "cmd_BOX_REPORT", "null");
    let [asked, reply] = answered();
    assert_eq!(stream.leaves(), [asked, reply, unanswered()]);
    let exchange = format!("│     ├─ box1   GET_BOX_STATE -> OK {}", state());
    assert_eq!(
        stream.text(),
        [
            "gcode.cmd_BOX_REPORT(x) -> null",
            "├─ box.get_box(1) -> 1",
            "│  └─ serial_485 serial485.cmd_send_data_with_response(<0103ff0a>, 0.1) -> \
             <f70107000a19240000e7>",
            &exchange,
            "│     └─ serial_485 serial485.lock() -> true",
            "└─ box.get_box(3) -> null",
            "   └─ serial_485 serial485.cmd_send_data_with_response(<0303ff0a>, 0.1) -> null",
            "      └─ box3   GET_BOX_STATE -> no reply",
        ]
    );

    // The same without a frame that the tracer told: from the arguments and the result.
    let told = |what: &str| {
        let lines = stream.text.lines().filter(|line| !line.contains(what));
        let text: String = lines.map(|line| line.to_owned() + "\n").collect();
        Stream { text, count: 0 }.leaves()
    };
    for what in ["\"frame\"", "\"tx\"", "\"rx\""] {
        assert_eq!(told(what), stream.leaves(), "{what}");
    }
}

#[test]
fn frames_of_calls_around_the_sending_are_paired_by_who_sends() {
    let mut stream = Stream::default();
    stream.call((1, 1, 0), "box", "report", "x");
    stream.frame(1, 1, "tx", ABSENT);
    // Another greenlet's wait for the bus is over before this one's.
    stream.call((2, 2, 0), "box", "poll", "x");
    stream.frame(2, 2, "tx", POLL);
    stream.frame(1, 1, "tx", POLL);
    stream.frame(1, 1, "rx", POLLED);
    stream.frame(1, 1, "tx", ABSENT);
    stream.end((1, 1, 0), "box", "report", "1");
    stream.frame(2, 2, "rx", POLLED);
    stream.end((2, 2, 0), "box", "poll", "1");
    let [asked, reply] = answered();
    assert_eq!(
        stream.leaves(),
        [unanswered(), asked.clone(), reply.clone(), unanswered(), asked, reply]
    );
    let exchange = format!("box1   GET_BOX_STATE -> OK {}", state());
    assert_eq!(
        stream.text(),
        [
            "box.report(x) -> 1",
            "├─ box3   GET_BOX_STATE -> no reply",
            &format!("├─ {exchange}"),
            "└─ box3   GET_BOX_STATE -> no reply",
            "box.poll(x) -> 1",
            &format!("└─ {exchange}"),
        ]
    );
}

#[test]
fn frames_within_no_call_wait_for_their_reply() {
    let mut stream = Stream::default();
    stream.frame(1, 0, "tx", ABSENT);
    stream.frame(1, 0, "tx", POLL);
    stream.call((1, 2, 0), "rack", "speed", "1");
    stream.end((1, 2, 0), "rack", "speed", "360");
    stream.frame(2, 0, "tx", POLL);
    stream.frame(1, 0, "rx", POLLED);
    stream.frame(2, 0, "rx", POLLED);
    stream.frame(1, 0, "tx", POLL);
    let [asked, reply] = answered();
    let open = "box1   GET_BOX_STATE -> no reply before the capture ends or has a gap";
    let unfinished = ["tx", POLL, "unfinished", open].map(str::to_owned);
    let expected =
        [unanswered(), asked.clone(), asked, reply.clone(), reply.clone(), unfinished.clone()];
    assert_eq!(stream.leaves(), expected);
    let exchange = format!("box1   GET_BOX_STATE -> OK {}", state());
    let text = ["box3   GET_BOX_STATE -> no reply", &exchange, "rack.speed(1) -> 360", &exchange];
    assert_eq!(stream.text(), [&text[..], &[open]].concat());
    // The live view shows an exchange when it is complete.
    let view = k485_with(["trace", "view", "-"], stream.text.as_bytes()).clean();
    let seen: Vec<String> = view.lines().map(|line| line.chars().skip(23).collect()).collect();
    assert_eq!(seen, [text[0], text[2], &exchange, &exchange, open]);

    // Events that are missing may have been the reply.
    stream.line("dropped", 0, 0, "\"count\": 1, \"from\": 1, \"to\": 1");
    stream.frame(1, 0, "rx", POLLED);
    let lone = format!("box1   GET_BOX_STATE <- OK {} [request not seen]", state());
    let leaves = stream.leaves();
    assert_eq!(leaves[5], unfinished);
    assert_eq!(leaves[6], ["rx", POLLED, "request_not_seen", &lone].map(str::to_owned));
    let text = stream.text();
    assert_eq!(text[4], open);
    assert!(text[5].starts_with("-- the tracer dropped 1 events"), "{text:?}");
    assert_eq!(text[6], lone);
}

#[test]
fn nothing_is_told_of_frames_that_were_not() {
    let mut stream = Stream::default();
    // No frame can be read in these arguments; and one of which the call is not there.
    stream.call((1, 1, 0), SERIAL, SEND, "None");
    stream.end((1, 1, 0), SERIAL, SEND, "null");
    stream.end((9, 1, 0), SERIAL, SEND, "null");
    assert_eq!(stream.leaves(), [[""; 4]; 0].map(|leaf| leaf.map(str::to_owned)));
    let text = stream.text();
    assert_eq!(text[0], format!("{SERIAL}.{SEND}(None) -> null"));
    assert!(text[1].ends_with("-> null [its beginning is not in the trace]"), "{text:?}");

    // An exception is no reply either, and the call it is in says so.
    let mut stream = Stream::default();
    stream.call((1, 1, 0), SERIAL, SEND, "{'_bytes': '0303ff0a'}, 1");
    stream.frame(1, 1, "tx", ABSENT);
    let rest = json!({"id": 1, "object": SERIAL, "class": "C", "method": SEND, "error": "closed",
                      "traceback": "", "duration_ms": 1.0});
    let rest = rest.to_string();
    stream.line("error", 1, 0, rest.trim_matches(['{', '}']));
    assert_eq!(stream.leaves(), [unanswered()]);
}

//! Calls as JSON, for programs.

use k485_proto::dialect::Dialect;
use k485_proto::record::Time;
use k485_trace::decimal;
use k485_trace::tree::{Child, End, Item, Nesting, Node};
use serde_json::{Map, Value, json};

use super::exchanges::{Exchanges, Leaf};

/// A thing that is not within a call; a frame among those is a [`frame`].
pub(super) fn item(item: &Item, dialect: &'static Dialect) -> Option<Value> {
    Some(match item {
        Item::Child(one) => child(one, dialect)?,
        Item::Connected { time, message } => {
            json!({"type": "connected", "time": seconds(*time), "message": message})
        }
        Item::Dropped { time, count } => {
            json!({"type": "dropped", "time": seconds(*time), "count": count})
        }
        Item::Lost { time, reason } => {
            json!({"type": "lost", "time": seconds(*time), "reason": reason})
        }
        Item::Mark { time, name } => json!({"type": "mark", "time": seconds(*time), "name": name}),
        Item::Gap { from, to, reason } => {
            json!({"type": "gap", "from": seconds(*from), "to": seconds(*to), "reason": reason})
        }
    })
}

fn children(children: &[Child], dialect: &'static Dialect) -> Vec<Value> {
    let mut leaves = Exchanges::among(children, dialect);
    let mut one = |one: &Child| match one {
        Child::Frame { .. } => leaves.pop_front().as_ref().and_then(frame),
        _ => child(one, dialect),
    };
    children.iter().filter_map(&mut one).collect()
}

fn child(child: &Child, dialect: &'static Dialect) -> Option<Value> {
    Some(match child {
        Child::Call(node) => Value::Object(call(node, dialect)),
        Child::Run(run) => {
            let mut first = call(&run.first, dialect);
            first.insert("count".into(), json!(run.count));
            first.insert("min_ms".into(), millis(run.least));
            first.insert("max_ms".into(), millis(run.most));
            first.insert("total_ms".into(), millis(Some(run.total)));
            Value::Object(first)
        }
        // It is told with what answers it.
        Child::Frame { .. } => return None,
        Child::Attr { name, value, .. } => {
            json!({"type": "attr_read", "name": name, "value": parsed(value)})
        }
    })
}

fn call(node: &Node, dialect: &'static Dialect) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            map.insert(name.to_owned(), value);
        }
    };
    put("type", json!("call"));
    put("id", json!(node.id));
    put("time", seconds(node.begin));
    put("object", json!(node.site.object));
    put("class", json!(node.site.class));
    put("method", json!(node.site.method));
    if !node.also.is_empty() {
        put("also", json!(node.also));
    }
    if let Some(args) = &node.args {
        put("args", json!(args.text));
        put("argv", args.argv.as_deref().map_or(Value::Null, parsed));
        put("kw", args.kw.as_deref().map_or(Value::Null, parsed));
    }
    put("duration_ms", millis(node.duration));
    put("self_ms", millis(node.own));
    put("depth", json!(node.depth));
    put("tid", json!(node.context.tid));
    put("gid", json!(node.context.gid));
    put("nesting", json!(nesting(node.nesting)));
    let counts = [("yields", node.yields), ("hidden", node.hidden), ("left_out", node.left_out)];
    for (name, count) in counts {
        if count > 0 {
            put(name, json!(count));
        }
    }
    let outcome = match &node.end {
        End::Returned(_) => "returned",
        End::Raised { .. } => "raised",
        End::NotSeen => "open",
    };
    put("outcome", json!(outcome));
    if let End::Raised { exc_type, error, traceback } = &node.end {
        put("exc_type", json!(exc_type));
        put("error", json!(error));
        put("traceback", json!(traceback));
    }
    let within = children(&node.children, dialect);
    put("children", if within.is_empty() { Value::Null } else { Value::Array(within) });
    if let End::Returned(result) = &node.end {
        // A call may well return null.
        map.insert("result".into(), parsed(result));
    }
    map
}

fn nesting(nesting: Nesting) -> &'static str {
    match nesting {
        Nesting::Told => "told",
        Nesting::Inferred => "inferred",
        Nesting::ParentNotSeen => "parent not seen",
    }
}

/// A frame, worded with what it answers or what answers it. Nothing where nothing was sent.
pub(super) fn frame(leaf: &Leaf) -> Option<Value> {
    let record = leaf.record()?;
    let words: Vec<String> = leaf.words().into_iter().map(|word| word.text).collect();
    let mut frame = json!({
        "type": "frame",
        "time": seconds(record.time),
        "object": &*record.bus,
        "direction": record.dir.map(|dir| if dir.name() == "request" { "tx" } else { "rx" }),
        "bytes": k485_proto::frame::Hex(&record.bytes).to_string(),
        "text": words.join(" "),
    });
    if let Some(outcome) = leaf.outcome() {
        frame["outcome"] = json!(outcome.name());
    }
    Some(frame)
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

fn seconds(time: Option<Time>) -> Value {
    time.map_or(Value::Null, |time| json!(decimal::seconds(time.0)))
}

fn millis(nanos: Option<i64>) -> Value {
    nanos.map_or(Value::Null, |nanos| json!(nanos as f64 / 1e6))
}

//! Trees: what is in them, as text and as JSON, of whole traces and of torn ones.

use serde_json::Value;

use crate::bench::*;
use crate::common::{self, folder, k485, k485_with};

#[test]
fn filters_folding_depth_and_json_of_trees() {
    let trace: String = [
        call(1, 1.0, "box", "outer", "x"),
        (2..6)
            .map(|id| call(id, 1.0, "rack", "inner", "y") + &back(id, 1.0, "rack", "inner", "0"))
            .collect(),
        call(9, 1.0, "rack", "deep", "{'_bytes': 'zz'}"),
        "{\"type\":\"error\",\"id\":9,\"time\":1,\"object\":\"rack\",\"class\":\"C\",\
         \"method\":\"deep\",\"error\":\"Timeout\",\"exc_type\":\"IOError\",\
         \"traceback\":\"Traceback\\n  here\",\"duration_ms\":5}\n"
            .to_owned(),
        back(1, 2.0, "box", "outer", "null"),
    ]
    .concat();
    let tree = |args: &[&str]| {
        let all = [&["trace", "tree", "-"], args].concat();
        let run = k485_with(&all, trace.as_bytes());
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        let line = |line: &str| line.get(23..).unwrap_or("").to_owned();
        run.out.lines().map(line).collect::<Vec<_>>()
    };
    let plain = tree(&[]);
    assert_eq!(plain[0], "box.outer(x) -> null");
    assert!(plain[1].starts_with("├~ rack.inner(y) -> 0 x4 alike"), "{plain:?}");
    assert_eq!(plain[2], "└~ rack.deep({'_bytes': 'zz'}) raised IOError: Timeout");
    assert_eq!(tree(&["--no-fold"]).len(), 6);
    assert_eq!(
        tree(&["--depth", "1"]),
        ["box.outer(x) -> null", "(5 calls within it are not shown)"]
    );
    assert_eq!(tree(&["--filter", "raised"]).len(), 3);
    assert_eq!(
        tree(&["--object", "rac*", "--min-ms", "10"])[2],
        "(1 calls within it are not shown)"
    );
    assert!(tree(&["-v"]).iter().any(|line| line.contains("here")), "the traceback");
    assert!(tree(&["--self-time"])[0].ends_with("(self 0 us)"), "20.5 ms less five times as much");

    let run = k485_with(["trace", "tree", "-", "--json"], trace.as_bytes());
    let json: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&json["method"], &json["result"]), (&"outer".into(), &Value::Null));
    assert_eq!(json["children"][0]["count"], 4);
    assert_eq!(
        (&json["children"][1]["outcome"], &json["nesting"]),
        (&"raised".into(), &"inferred".into())
    );

    let wrong = k485_with(["trace", "tree", "-", "--filter", "objekt==box"], b"");
    let err = wrong.failed(2);
    assert!(err.contains("no field is named objekt") && err.contains('^'), "{err}");
    assert!(k485_with(["trace", "tree", "-"], b"").failed(1).contains("no event found"));
}

#[test]
fn a_torn_trace_is_read_as_far_as_it_goes() {
    let folder = folder();
    let text = tool_change() + "garbage\n" + "{\"type\": \"retu";
    let path = common::file(&folder, "box_20260101_000000.jsonl", text.as_bytes());
    for what in ["tree", "view", "logs", "stats"] {
        let run = k485(["trace", what, &path]);
        assert_eq!(run.code, Some(3), "{what}: {}", run.err);
        assert!(
            run.err.contains("jsonl:5: ") && run.err.contains(":6: the last line is torn"),
            "{}",
            run.err
        );
        assert!(!run.out.is_empty());
    }
    assert!(k485(["trace", "tree", &path, "--strict"]).err.contains("jsonl:5: "));
    let view = k485(["trace", "view", &path, "--json"]);
    assert_eq!(types(&view.out), ["metadata", "call", "call", "return", "return"]);
}

#[test]
fn generators_and_lost_events() {
    let given = |id: u32| {
        format!(
            "{{\"type\": \"yield\", \"id\": {id}, \"time\": 1.1, \"object\": \"box\", \
             \"class\": \"C\", \"method\": \"slots\", \"value\": 1, \"mono\": 1, \"tid\": 7, \
             \"gid\": 1}}\n"
        )
    };
    let trace = [
        call(1, 1.0, "box", "slots", "x"),
        given(1),
        given(1),
        // Whose beginning is not there.
        given(9),
        back(1, 1.2, "box", "slots", "null"),
        "{\"type\": \"lost\", \"time\": 1.3, \"reason\": \"KeyError\", \"seq\": 5}\n".to_owned(),
        call(2, 1.4, "box", "slots", "y"),
        back(2, 1.5, "box", "slots", "null"),
    ]
    .concat();
    let run = |args: &[&str]| k485_with([&["trace"], args].concat(), trace.as_bytes()).clean();
    let text = run(&["tree", "-"]);
    let lines: Vec<&str> = text.lines().map(|line| &line[23..]).collect();
    assert_eq!(
        lines,
        [
            "box.slots(x) -> null [left 2 times]",
            "-- the tracer lost an event: KeyError --",
            "box.slots(y) -> null",
        ]
    );
    let json = run(&["tree", "-", "--json"]);
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["yields"], &lines[2]["yields"]), (&2.into(), &Value::Null));
    assert_eq!((&lines[1]["type"], &lines[1]["reason"]), (&"lost".into(), &"KeyError".into()));
    assert!(run(&["view", "-"]).contains("-- the tracer lost an event: KeyError --"));
}

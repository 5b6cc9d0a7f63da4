//! What comes of a stream: in files, on the screen, in both of its forms.

use std::fs;
use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use crate::bench::*;
use crate::common::{self, folder, k485, project};

#[test]
fn a_stream_of_another_tracer_in_files_and_on_the_screen() {
    let (tracer, folder) = (Tracer::new(), folder());
    let capture = start(&tracer.address(), &folder, &["--count", "6"]);
    let mut stream = tracer.accept();
    let switched = "{\"type\": \"trace_enabled\", \"time\": 1767128271.5, \"object\": \"box\", \
                    \"class\": \"Box\", \"method\": \"m\"}\n";
    let all = [SEED, switched, &tool_change(), "{\"type\": \"gcode_line\", \"object\": \"g/c\"}\n"];
    let all = all.concat();
    // Bytes come as they come.
    for part in all.as_bytes().chunks(70) {
        say(&mut stream, part);
    }
    let (code, out, err) = capture.end();
    assert_eq!(code, Some(0), "{err}");
    // Nothing was ever sent to it: there are hosts that end at the first byte.
    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0);
    let files = files(folder.path());
    assert_eq!(files["_all"], all);
    assert_eq!(files["_system"], [SEED, switched].concat());
    assert_eq!(types(&files["box"]), ["call", "return"]);
    assert_eq!(types(&files["serial_485_serial485"]), ["call", "return"]);
    assert_eq!(types(&files["g_c"]), ["gcode_line"]);
    assert_eq!(files.len(), 5);
    assert_eq!(
        out,
        "20:57:51.310           -- connected: TraceHooks streaming connected --\n\
         20:57:52.000           box.Tn_action(T2A)\n\
         20:57:52.100  20.5 ms    serial_485 serial485.cmd_send_data_with_response(<0103ff0a>, 3600) \
         -> <f70107000a19240000e7>\n\
         20:57:52.100  20.5 ms      box1   GET_BOX_STATE -> OK (WORDS)\n\
         20:57:53.000  20.5 ms  end box.Tn_action -> true\n"
            .replace("(WORDS)", state())
    );
    for said in ["7 events in ", "types: ", "call 2", "objects: box 2", "written: ", "5 files"] {
        assert!(err.contains(said), "{said}: {err}");
    }

    // What was captured is read back by all readers.
    let path = folder.path().to_str().unwrap();
    let tree = k485(["trace", "tree", path]).clean();
    assert!(tree.contains("box.Tn_action(T2A) -> true\n"), "{tree}");
    assert!(tree.contains("└~ serial_485 serial485.cmd_send"), "{tree}");
    assert!(tree.contains("   └─ box1   GET_BOX_STATE"), "{tree}");
    let decoded = k485(["decode", path]).clean();
    assert_eq!(decoded.matches("GET_BOX_STATE").count(), 1, "{decoded}");
    assert_eq!(k485(["trace", "logs", path]).clean().lines().count(), 6);
}

#[test]
fn the_compact_form_is_asked_for_and_gives_the_same_lines() {
    let vector = fs::read_to_string(project("tests/vectors/trace-wire.json")).unwrap();
    let vector: Value = serde_json::from_str(&vector).unwrap();
    let chunks = common::bytes(vector["stream"].as_str().unwrap());
    let expected: Vec<&str> =
        vector["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let (tracer, folder) = (Tracer::new(), folder());
    let count = expected.len().to_string();
    let capture = start(&tracer.address(), &folder, &["--count", &count, "--json"]);
    let mut stream = tracer.accept();
    say(&mut stream, OURS);
    let mut hello = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut hello).unwrap();
    let hello: Value = serde_json::from_str(&hello).unwrap();
    assert_eq!((&hello["k485"], &hello["wire"]), (&"hello".into(), &"binary".into()));
    say(&mut stream, "{\"type\": \"wire\", \"wire\": \"binary\", \"version\": 1}\n");
    for part in chunks.chunks(333) {
        say(&mut stream, part);
    }
    let (code, out, err) = capture.end();
    assert_eq!(code, Some(0), "{err}");
    let all = OURS.to_owned() + &expected.join("\n") + "\n";
    assert_eq!(files(folder.path())["_all"], all);
    assert_eq!(out, all);
}

#[test]
fn lines_that_are_no_events_are_kept_in_one() {
    let (tracer, folder) = (Tracer::new(), folder());
    let capture = start(&tracer.address(), &folder, &["--count", "2", "--quiet"]);
    let mut stream = tracer.accept();
    let odd = "nonsense\n{\"type\": \"call\", \"time\": 2}\n";
    let nan = back(9, 1_767_128_272.0, "box", "m", "NaN");
    say(&mut stream, [SEED, &nan, odd, &call(1, 1_767_128_272.5, "box", "m", "")].concat());
    let (code, out, err) = capture.end();
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert!(err.contains("2 lines that are no events"), "{err}");
    let files = files(folder.path());
    assert_eq!(
        types(&files["_all"]),
        ["connected", "return", "unreadable", "unreadable", "call"],
        "every line is JSON"
    );
    let kept: Value = serde_json::from_str(files["_system"].lines().nth(1).unwrap()).unwrap();
    assert_eq!((&kept["text"], kept["time"].as_f64()), (&"nonsense".into(), Some(1_767_128_272.0)));
}

//! A connection that is lost, stalls, is refused, or asks for a token.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::*;
use crate::common::live::next;
use crate::common::{file, folder, k485};

#[test]
fn a_lost_connection_is_made_anew_and_the_gap_is_marked() {
    let (tracer, folder) = (Tracer::new(), folder());
    let capture = start(&tracer.address(), &folder, &["--plain", "--count", "4"]);
    let mut stream = tracer.accept();
    let seq = |line: String, seq: u32| line.replace("}\n", &format!(", \"seq\": {seq}}}\n"));
    say(&mut stream, OURS);
    say(&mut stream, seq(call(1, 1_767_128_272.0, "box", "Tn_action", "T2A"), 10));
    // Cut in the middle of a line.
    say(&mut stream, "{\"type\": \"call\", \"id\": 2, \"ti");
    drop(stream);
    assert_eq!(
        next(&capture.err).unwrap(),
        "k485: the connection was closed by the other side; connecting anew until Ctrl-C"
    );
    let mut stream = tracer.accept();
    let again = OURS.replace("271.31", "275.5").replace("\"seq\": 10", "\"seq\": 15");
    say(&mut stream, &again);
    say(&mut stream, seq(call(3, 1_767_128_276.0, "rack", "speed", "1"), 15));
    say(&mut stream, seq(back(3, 1_767_128_276.5, "rack", "speed", "360"), 16));
    say(&mut stream, seq(back(1, 1_767_128_277.0, "box", "Tn_action", "true"), 17));
    let (code, out, err) = capture.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.contains("  1 gaps: the connection was lost, in which 4 events were missed"),
        "{err}"
    );
    assert!(out.contains("-- gap: the connection was closed by the other side --"), "{out}");
    let files = files(folder.path());
    assert_eq!(
        types(&files["_all"]),
        ["connected", "call", "gap", "connected", "call", "return", "return"]
    );
    assert_eq!(types(&files["box"]), ["call", "gap", "return"]);
    assert_eq!(types(&files["_system"]), ["connected", "gap", "connected"]);
    assert_eq!(types(&files["rack"]), ["call", "return"]);
    let gap: Value = serde_json::from_str(files["box"].lines().nth(1).unwrap()).unwrap();
    assert_eq!(
        (gap["from"].as_f64(), gap["to"].as_f64(), gap["missed"].as_u64()),
        (Some(1_767_128_272.0), Some(1_767_128_275.5), Some(4))
    );
    assert_eq!(gap["torn"], "{\"type\": \"call\", \"id\": 2, \"ti");

    // A new session's ids begin anew: what was open is not told as what comes then.
    let path = folder.path().to_str().unwrap();
    let tree = k485(["trace", "tree", path]).clean();
    assert!(tree.contains("-- gap until 20:57:55.500: the connection was closed"), "{tree}");
    assert!(tree.contains("box.Tn_action(T2A) ... its end is not in the trace"), "{tree}");
    let logs = k485(["trace", "logs", path, "--json"]).clean();
    let all: Value =
        serde_json::from_str(logs.lines().find(|line| line.contains("/_all_")).unwrap()).unwrap();
    assert_eq!((all["gaps"].as_u64(), all["sessions"].as_u64()), (Some(1), Some(2)));
    assert_eq!((all["events"].as_u64(), all["missing"].as_u64()), (Some(7), Some(0)));
}

#[test]
fn a_gap_is_told_as_one_of_the_connection_by_readers_of_the_bus() {
    let gap = "{\"type\": \"gap\", \"time\": 1767128280.0, \"from\": 1767128273.0, \
               \"to\": 1767128280.0, \"reason\": \"closed\"}\n";
    let folder = folder();
    let path = file(&folder, "a.jsonl", (tool_change() + gap).as_bytes());
    let decoded = k485(["decode", &path]).clean();
    assert!(decoded.contains("gap: the connection to the tracer was away for 7.0 s"), "{decoded}");
    let found = k485(["grep", "gap && reason==disconnected", &path]).clean();
    assert_eq!(found.lines().filter(|line| line.contains("gap: ")).count(), 1, "{found}");
}

#[test]
fn a_stalled_stream_ends_at_once_by_ctrl_c() {
    let (tracer, folder) = (Tracer::new(), folder());
    let capture = start(&tracer.address(), &folder, &[]);
    let mut stream = tracer.accept();
    say(&mut stream, [SEED, &call(1, 1_767_128_272.0, "box", "Tn_action", "T2A")].concat());
    // A call that goes on is shown before it is over.
    let all = || files(folder.path()).get("_all").cloned().unwrap_or_default();
    wait_for("the lines are in the file", || all().lines().count() == 2);
    let begun = Instant::now();
    capture.interrupt();
    let (code, out, err) = capture.end();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(code, Some(0), "{err}");
    assert!(out.ends_with("20:57:52.000           box.Tn_action(T2A)\n"), "{out}");
    assert!(err.contains("  1 calls without an end"), "{err}");
    assert!(!all().contains("gap"), "it was ended, not lost");
    drop(stream);
}

#[test]
fn where_nobody_listens_it_says_how_to_start_the_stream() {
    let tracer = Tracer::new();
    let address = tracer.address();
    drop(tracer);
    let folder = folder();
    let (code, out, err) = start(&address, &folder, &[]).end();
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    for said in ["refuses connections", "TRACE_STREAM_START", "auto_start", "ssh://root@127.0.0.1"]
    {
        assert!(err.contains(said), "{said}: {err}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no empty file is left");

    // With --wait it is waited for.
    let capture = start(&address, &folder, &["--wait", "--count", "1"]);
    assert!(next(&capture.err).unwrap().contains("refuses connections"));
    let tracer = Tracer { listener: TcpListener::bind(&address).unwrap() };
    let mut stream = tracer.accept();
    say(&mut stream, [SEED, &call(1, 1.0, "box", "m", "")].concat());
    let (code, _, err) = capture.end();
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn where_nothing_comes_it_is_said_and_no_file_is_left() {
    let (tracer, folder) = (Tracer::new(), folder());
    let none = || fs::read_dir(folder.path()).unwrap().count() == 0;
    // As one that waits for a token.
    for (more, said) in [(&[][..], "(--token)"), (&["--token", "t"][..], "not even")] {
        let capture = start(&tracer.address(), &folder, &[&["--for", "300ms"], more].concat());
        let stream = tracer.accept();
        let (code, out, err) = capture.end();
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(
            err.starts_with("k485: connected, but nothing came") && err.contains(said),
            "{err}"
        );
        assert!(none() && !err.contains("written"), "{err}");
        drop(stream);
    }
    // Something else answers: what it says is kept.
    let capture = start(&tracer.address(), &folder, &["--for", "2s", "--files", "all"]);
    let mut stream = tracer.accept();
    say(&mut stream, "HTTP/1.1 400 Bad Request\r\n");
    let (code, _, err) = capture.end();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("but not one event came: is it a tracer?"), "{err}");
    assert_eq!(types(&files(folder.path())["_all"]), ["unreadable"]);
    // Nobody is there at all.
    fs::remove_dir_all(folder.path()).unwrap();
    let address = tracer.address();
    drop((tracer, stream));
    let (code, _, err) = start(&address, &folder, &["--wait", "--for", "300ms"]).end();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("no connection came about") && none(), "{err}");
}

#[test]
fn a_token_is_told_and_a_refusal_said() {
    let (tracer, folder) = (Tracer::new(), folder());
    let args = ["--token", "right", "--plain", "--count", "1"];
    let capture = start(&tracer.address(), &folder, &args);
    let mut stream = tracer.accept();
    let mut hello = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut hello).unwrap();
    assert_eq!(hello, "{\"k485\":\"hello\",\"token\":\"right\"}\n");
    say(&mut stream, [OURS, &call(1, 1.0, "box", "m", "")].concat());
    assert_eq!(capture.end().0, Some(0));

    let capture = start(&tracer.address(), &folder, &["--token", "wrong"]);
    let mut stream = tracer.accept();
    say(&mut stream, "{\"type\": \"refused\", \"time\": 1, \"message\": \"the token is wrong\"}\n");
    let (code, _, err) = capture.end();
    assert_eq!((code, err.as_str()), (Some(1), "k485: the tracer refuses: the token is wrong\n"));
}

//! `k485 trace` through the binary: a server that plays the documented stream on a real TCP
//! connection, and what is in the files, on the screen, and in trees made of them.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::live::{LONG, lines, next};
use common::{command, folder, k485, k485_with, project};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// What the tracer of others says first.
const SEED: &str = concat!(
    r#"{"type": "connected", "time": 1767128271.31, "message": "TraceHooks streaming connected", "#,
    r#""active_traces": [["box", "Box", "m"]], "available_objects": ["box"]}"#,
    "\n"
);
/// What k485's own says.
const OURS: &str = concat!(
    r#"{"type": "connected", "time": 1767128271.31, "message": "TraceHooks streaming connected", "#,
    r#""active_traces": [], "available_objects": ["box"], "schema": 1, "wire": {"binary": 1}, "#,
    r#""version": "1", "pid": 7, "token": false, "mono": 5, "seq": 10}"#,
    "\n"
);

/// A call and its return, as the tracer of others writes them.
fn call(id: u32, time: f64, object: &str, method: &str, args: &str) -> String {
    format!(
        "{{\"type\": \"call\", \"id\": {id}, \"time\": {time:.6}, \"object\": \"{object}\", \
         \"class\": \"C\", \"method\": \"{method}\", \"args\": \"{args}\"}}\n"
    )
}

fn back(id: u32, time: f64, object: &str, method: &str, result: &str) -> String {
    format!(
        "{{\"type\": \"return\", \"id\": {id}, \"time\": {time:.6}, \"object\": \"{object}\", \
         \"class\": \"C\", \"method\": \"{method}\", \"result\": {result}, \"duration_ms\": 20.5}}\n"
    )
}

const SERIAL: &str = "serial_485 serial485";
const SEND: &str = "cmd_send_data_with_response";

/// A tool change with one exchange in it.
fn tool_change() -> String {
    call(1, 1_767_128_272.0, "box", "Tn_action", "T2A")
        + &call(2, 1_767_128_272.1, SERIAL, SEND, "{'_bytes': '0103ff0a'}, 3600")
        + &back(2, 1_767_128_272.2, SERIAL, SEND, "{\"_bytes\": \"f70107000a19240000e7\"}")
        + &back(1, 1_767_128_273.0, "box", "Tn_action", "true")
}

/// A tracer: accepts, and is asked what to do with each connection.
struct Tracer {
    listener: TcpListener,
}

impl Tracer {
    fn new() -> Tracer {
        Tracer { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    fn accept(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }
}

fn say(stream: &mut TcpStream, text: impl AsRef<[u8]>) {
    stream.write_all(text.as_ref()).unwrap();
}

/// A running capture.
struct Capture {
    child: Child,
    err: std::sync::mpsc::Receiver<String>,
}

/// Starts a capture into the folder.
#[track_caller]
fn start(target: &str, folder: &TempDir, more: &[&str]) -> Capture {
    let folder = folder.path().to_str().unwrap();
    let args = [&["trace", "capture", target, "-o", folder], more].concat();
    run(command(args))
}

#[track_caller]
fn run(mut command: Command) -> Capture {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let err = lines(child.stderr.take().unwrap());
    let first = next(&err).unwrap();
    assert!(first.starts_with("capturing from "), "{first}");
    Capture { child, err }
}

impl Capture {
    fn interrupt(&self) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }

    /// Exit code, stdout, the rest of stderr.
    fn end(mut self) -> (Option<i32>, String, String) {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let mut err = String::new();
        while let Some(line) = next(&self.err) {
            err = err + &line + "\n";
        }
        (self.child.wait().unwrap().code(), out, err)
    }
}

/// The files of a capture, by what stands for the object in their names. Every line of them is what
/// the schema says.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let (object, end) = name.split_at(name.len() - "_20260101_000000.jsonl".len());
            assert!(end.starts_with('_') && end.ends_with(".jsonl"), "{name}");
            let text = fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                let value: Value = serde_json::from_str(line).unwrap();
                let wrong: Vec<String> =
                    schema().iter_errors(&value).map(|error| error.to_string()).collect();
                assert!(wrong.is_empty(), "{line}: {wrong:?}");
            }
            (object.to_owned(), text)
        })
        .collect()
}

/// What a line of a tracer may be.
fn schema() -> &'static jsonschema::Validator {
    static SCHEMA: std::sync::OnceLock<jsonschema::Validator> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(|| {
        let text = fs::read_to_string(project("docs/trace-events.schema.json")).unwrap();
        jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
    })
}

fn types(text: &str) -> Vec<String> {
    let kind = |line| {
        let value: Value = serde_json::from_str(line).unwrap();
        value["type"].as_str().unwrap().to_owned()
    };
    text.lines().map(kind).collect()
}

#[track_caller]
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

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
         -> <f70107000a19240000e7>\n                           \
         box1   GET_BOX_STATE -> OK (WORDS)\n\
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

/// What k485 says of the box's state in these tests, whatever the words are.
fn state() -> &'static str {
    static STATE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    STATE.get_or_init(|| {
        let frames = "F7 01 03 FF 0A 5C F7 01 07 00 0A 19 24 00 00 E7";
        let line = k485(["decode", "--hex", frames]).clean();
        line.trim().rsplit_once("-> OK ").unwrap().1.to_owned()
    })
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

#[test]
fn files_rotate_and_are_read_as_one() {
    let (tracer, folder) = (Tracer::new(), folder());
    let args = ["--rotate", "1k", "--count", "80", "--quiet"];
    let capture = start(&tracer.address(), &folder, &args);
    let mut stream = tracer.accept();
    say(&mut stream, SEED);
    for id in 1..=40 {
        let time = 1_767_128_272.0 + f64::from(id);
        say(&mut stream, call(id, time, "box", "m", "x") + &back(id, time + 0.5, "box", "m", "1"));
    }
    let (code, _, err) = capture.end();
    assert_eq!(code, Some(0), "{err}");
    let sizes: Vec<u64> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert!(sizes.len() > 15 && sizes.iter().all(|size| *size <= 1024), "{sizes:?}");
    let path = folder.path().to_str().unwrap();
    let tree = k485(["trace", "tree", path]).clean();
    assert_eq!(tree.lines().count(), 2, "{tree}");
    assert!(
        tree.contains("box.m(x) -> 1 x40 alike: 20.5 ms to 20.5 ms, 820.0 ms in all"),
        "{tree}"
    );
    // The same of the files of the object alone.
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("_all") {
            fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(k485(["trace", "tree", path]).clean(), tree);
    let stats = k485(["trace", "stats", path, "--to", "csv"]).clean();
    let expected = "box,C,m,40,0,0,0,820,820,20.5,20.5,20.5,20.5,20.5";
    assert_eq!(stats.lines().nth(1), Some(expected), "{stats}");
}

#[test]
fn a_full_disk_is_told_once_and_lines_stay_whole() {
    let (tracer, folder) = (Tracer::new(), folder());
    let kept = folder.path().join("kept");
    // A limit of the file's size stands for a full disk: the same errors come from the same call.
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -f 8; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_k485")])
        .args(["trace", "capture", &tracer.address(), "--files", "all", "--quiet", "-o"])
        .arg(&kept);
    let capture = run(command);
    let mut stream = tracer.accept();
    say(&mut stream, SEED);
    for id in 1..=100 {
        say(&mut stream, call(id, 1_767_128_272.0, "box", "m", &"x".repeat(50)));
    }
    let said = next(&capture.err).unwrap();
    assert!(said.contains("cannot write") && said.contains("reading waits"), "{said}");
    // It is tried again, and said no more.
    thread::sleep(Duration::from_millis(1_500));
    capture.interrupt();
    let (code, _, err) = capture.end();
    assert_eq!(code, Some(1), "{err}");
    assert!(!err.contains("cannot write"), "{err}");
    assert!(err.contains("lines could not be written and are lost"), "{err}");
    let files = files(&kept);
    let all = &files["_all"];
    assert!(all.ends_with('\n') && all.len() <= 8 * 1024 && all.len() > 4_000, "{}", all.len());
    assert_eq!(types(all)[0], "connected");
}

#[test]
fn a_stream_through_ssh() {
    let (tracer, folder) = (Tracer::new(), folder());
    // An ssh that is no ssh: it goes to the tracer of this test.
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let script = bin.join("ssh");
    let port = tracer.listener.local_addr().unwrap().port();
    let python = format!(
        "#!/usr/bin/env python3\n\
         import os, select, socket, sys\n\
         open({args:?}, 'w').write(' '.join(sys.argv[1:]))\n\
         s = socket.create_connection(('127.0.0.1', {port}))\n\
         while True:\n\
         \x20   ready, _, _ = select.select([s, 0], [], [])\n\
         \x20   if s in ready:\n\
         \x20       data = s.recv(65536)\n\
         \x20       if not data: break\n\
         \x20       os.write(1, data)\n\
         \x20   if 0 in ready:\n\
         \x20       data = os.read(0, 65536)\n\
         \x20       if not data: break\n\
         \x20       s.sendall(data)\n",
        args = folder.path().join("args"),
    );
    fs::write(&script, python).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let kept = folder.path().join("kept");
    let mut ssh = command(["trace", "capture", "ssh://root@k2.local:2222", "--count", "1", "-o"]);
    ssh.arg(&kept).env("PATH", &path);
    let capture = run(ssh);
    let mut stream = tracer.accept();
    say(&mut stream, OURS);
    // The hello comes through.
    let mut hello = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut hello).unwrap();
    assert!(hello.contains("\"wire\":\"binary\""), "{hello}");
    say(&mut stream, call(1, 1_767_128_272.0, "box", "m", "x"));
    let (code, _, err) = capture.end();
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(types(&files(&kept)["_all"]), ["connected", "call"]);
    let args = fs::read_to_string(folder.path().join("args")).unwrap();
    assert!(args.ends_with("-W 127.0.0.1:9876 -p 2222 -- root@k2.local"), "{args}");

    // One that fails has said why itself.
    fs::write(&script, "#!/bin/sh\necho 'open failed: Connection refused' >&2\nexit 255\n")
        .unwrap();
    let mut ssh = command(["trace", "capture", "ssh://root@k2.local", "--files", "none"]);
    ssh.env("PATH", &path);
    let (code, _, err) = run(ssh).end();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.starts_with("open failed: Connection refused\n"), "{err}");
    assert!(
        err.contains("ssh ended before the stream began") && err.contains("auto_start"),
        "{err}"
    );
}

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

/// A printer of a few lines, in which our own tracer runs.
const PRINTER: &str = r#"
import sys
sys.path[:0] = [sys.argv[1] + '/extra', sys.argv[1] + '/extra/tests']
from little_host import Printer

class Serial_485_Wrapper:
    def cmd_send_data_with_response(self, data, timeout):
        return bytes.fromhex('f70107000a19240000e7') if data[0] == 1 else None

class Box:
    def __init__(self, serial):
        self.serial = serial
    def poll(self, number):
        return self.serial.cmd_send_data_with_response(bytes([number, 3, 0xff, 10]), 0.1)
    def Tn_action(self, name):
        return [self.poll(1) is not None, self.poll(2) is not None]
    def fail(self, why):
        raise ValueError(why)

serial = Serial_485_Wrapper()
box = Box(serial)
printer = Printer().start({'serial_485 serial485': serial, 'box': box})
print(printer.run('TRACE_ALL OBJECT=box'), file=sys.stderr)
print(printer.run('TRACE_ALL OBJECT=serial_485_serial485'), file=sys.stderr)
print(printer.hooks.server.address[1], flush=True)
clients = lambda: printer.hooks.server.clients
printer.reactor.run_until(lambda: sorted(c.binary for c in clients()) == [False, True], 60)
for n in range(50):
    box.Tn_action('T%dA' % n)
    try:
        box.fail('no %d' % n)
    except ValueError:
        pass
    printer.reactor.step()
printer.run('TRACE_MARK NAME=done')
printer.reactor.run_until(lambda: not clients(), 60)
"#;

#[test]
fn our_own_tracer_in_both_forms() {
    let folders = [folder(), folder()];
    let mut printer = Command::new("python3")
        .args(["-c", PRINTER])
        .arg(project(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let port = next(&lines(printer.stdout.take().unwrap()));
    let said = lines(printer.stderr.take().unwrap());
    let Some(port) = port else { panic!("{:?}", said.iter().collect::<Vec<_>>()) };
    let address = format!("127.0.0.1:{port}");
    // Of each round a call of the change, two polls, two sends and one that raises; and four frames,
    // less the reply that does not come.
    let count = (50 * (6 * 2 + 3) + 1).to_string();
    let args = ["--count", &count, "--quiet"];
    let binary = start(&address, &folders[0], &args);
    let plain = start(&address, &folders[1], &[&args[..], &["--plain"]].concat());
    for capture in [binary, plain] {
        let (code, _, err) = capture.end();
        assert_eq!(code, Some(0), "{err}");
    }
    assert!(printer.wait().unwrap().success());
    let [binary, plain] =
        [&folders[0], &folders[1]].map(|folder| files(folder.path()).remove("_all").unwrap());
    let events = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(events(&binary), events(&plain));
    let kinds = types(&binary);
    assert_eq!(kinds.iter().filter(|kind| *kind == "frame").count(), 150);

    let path = folders[0].path().to_str().unwrap();
    let tree = k485(["trace", "tree", path, "--no-fold"]).clean();
    let shown: Vec<&str> = tree.lines().skip(1).map(|line| &line[23..]).collect();
    let reply = format!("│     └─ box1   GET_BOX_STATE -> OK {}", state());
    assert_eq!(
        shown[..9],
        [
            "box.Tn_action(\"T0A\") -> [true, false]",
            "├─ box.poll(1) -> <f70107000a19240000e7>",
            "│  └─ serial_485 serial485.cmd_send_data_with_response(<0103ff0a>, 0.1) -> \
             <f70107000a19240000e7>",
            &reply,
            "└─ box.poll(2) -> null",
            "   └─ serial_485 serial485.cmd_send_data_with_response(<0203ff0a>, 0.1) -> null",
            "      └─ box2   GET_BOX_STATE -> no reply",
            "box.fail(\"no 0\") raised ValueError: no 0",
            "box.Tn_action(\"T1A\") -> [true, false]",
        ]
    );
    assert!(tree.contains("-- mark: done --"), "{tree}");
    let stats = k485(["trace", "stats", path, "--json"]).clean();
    let stats: Value = serde_json::from_str(&stats).unwrap();
    let row = |method: &str| {
        let rows = stats["methods"].as_array().unwrap();
        rows.iter().find(|row| row["method"] == method).unwrap().clone()
    };
    assert_eq!(
        (row("poll")["calls"].as_u64(), row("fail")["raised"].as_u64()),
        (Some(100), Some(50))
    );
    // The same frames as records of a capture: those of the calls, told once.
    let decoded = k485(["decode", path]).clean();
    assert_eq!(decoded.matches("GET_BOX_STATE").count(), 100, "{decoded}");
}

//! The documented stream: its lines, a server that plays them, a capture of it and its files.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::live::{LONG, lines, next};
use crate::common::{command, k485, project};

/// What the tracer of others says first.
pub(crate) const SEED: &str = concat!(
    r#"{"type": "connected", "time": 1767128271.31, "message": "TraceHooks streaming connected", "#,
    r#""active_traces": [["box", "Box", "m"]], "available_objects": ["box"]}"#,
    "\n"
);
/// What k485's own says.
pub(crate) const OURS: &str = concat!(
    r#"{"type": "connected", "time": 1767128271.31, "message": "TraceHooks streaming connected", "#,
    r#""active_traces": [], "available_objects": ["box"], "schema": 1, "wire": {"binary": 1}, "#,
    r#""version": "1", "pid": 7, "token": false, "mono": 5, "seq": 10}"#,
    "\n"
);

/// A call and its return, as the tracer of others writes them.
pub(crate) fn call(id: u32, time: f64, object: &str, method: &str, args: &str) -> String {
    format!(
        "{{\"type\": \"call\", \"id\": {id}, \"time\": {time:.6}, \"object\": \"{object}\", \
         \"class\": \"C\", \"method\": \"{method}\", \"args\": \"{args}\"}}\n"
    )
}

pub(crate) fn back(id: u32, time: f64, object: &str, method: &str, result: &str) -> String {
    format!(
        "{{\"type\": \"return\", \"id\": {id}, \"time\": {time:.6}, \"object\": \"{object}\", \
         \"class\": \"C\", \"method\": \"{method}\", \"result\": {result}, \"duration_ms\": 20.5}}\n"
    )
}

pub(crate) const SERIAL: &str = "serial_485 serial485";
pub(crate) const SEND: &str = "cmd_send_data_with_response";

/// A tool change with one exchange in it.
pub(crate) fn tool_change() -> String {
    call(1, 1_767_128_272.0, "box", "Tn_action", "T2A")
        + &call(2, 1_767_128_272.1, SERIAL, SEND, "{'_bytes': '0103ff0a'}, 3600")
        + &back(2, 1_767_128_272.2, SERIAL, SEND, "{\"_bytes\": \"f70107000a19240000e7\"}")
        + &back(1, 1_767_128_273.0, "box", "Tn_action", "true")
}

/// A tracer: accepts, and is asked what to do with each connection.
pub(crate) struct Tracer {
    pub(crate) listener: TcpListener,
}

impl Tracer {
    pub(crate) fn new() -> Tracer {
        Tracer { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub(crate) fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    pub(crate) fn accept(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }
}

pub(crate) fn say(stream: &mut TcpStream, text: impl AsRef<[u8]>) {
    stream.write_all(text.as_ref()).unwrap();
}

/// A running capture.
pub(crate) struct Capture {
    pub(crate) child: Child,
    pub(crate) err: std::sync::mpsc::Receiver<String>,
}

/// Starts a capture into the folder.
#[track_caller]
pub(crate) fn start(target: &str, folder: &TempDir, more: &[&str]) -> Capture {
    let folder = folder.path().to_str().unwrap();
    let args = [&["trace", "capture", target, "-o", folder], more].concat();
    run(command(args))
}

#[track_caller]
pub(crate) fn run(mut command: Command) -> Capture {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let err = lines(child.stderr.take().unwrap());
    let first = next(&err).unwrap();
    assert!(first.starts_with("capturing from "), "{first}");
    Capture { child, err }
}

impl Capture {
    pub(crate) fn interrupt(&self) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }

    /// Exit code, stdout, the rest of stderr.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
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
pub(crate) fn files(folder: &Path) -> BTreeMap<String, String> {
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

pub(crate) fn types(text: &str) -> Vec<String> {
    let kind = |line| {
        let value: Value = serde_json::from_str(line).unwrap();
        value["type"].as_str().unwrap().to_owned()
    };
    text.lines().map(kind).collect()
}

#[track_caller]
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What k485 says of the box's state in these tests, whatever the words are.
pub(crate) fn state() -> &'static str {
    static STATE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    STATE.get_or_init(|| {
        let frames = "F7 01 03 FF 0A 5C F7 01 07 00 0A 19 24 00 00 E7";
        let line = k485(["decode", "--hex", frames]).clean();
        line.trim().rsplit_once("-> OK ").unwrap().1.to_owned()
    })
}

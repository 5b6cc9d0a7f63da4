//! A `k485 emulate --control` that runs, a host at its pseudo-terminal, and its HTTP face.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use k485_link::{Clock, Event, Hear, Link, Options, Serial};
use k485_proto::address::Address;
use k485_proto::frame::Frame;
use k485_proto::status::Status;
use serde_json::{Value, json};

use crate::http::{Answer, LONG, raw};

/// An emulator.
pub(crate) struct Bench {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub(crate) told: Value,
    pub(crate) address: String,
    pub(crate) token: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Bench {
    /// Starts one with two boxes and filament in their slots.
    pub(crate) fn start(args: &[&str]) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        // The folder is the user's alone, as XDG_RUNTIME_DIR is.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let pty = folder.path().join("bus");
        let usual = ["--control", "127.0.0.1:0"];
        let usual = if args.contains(&"--control") { &[][..] } else { &usual };
        let mut child = Command::new(env!("CARGO_BIN_EXE_k485"))
            .args(["emulate", "--seed", "5", "--pty"])
            .arg(pty)
            .args(usual)
            .args(args)
            .env("XDG_RUNTIME_DIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let token = loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended: {said}");
            if let Some((_, token)) = line.split_once("#token=") {
                break token.trim().to_owned();
            }
            said += &line;
        };
        let told: Value = serde_json::from_str(&line).unwrap();
        assert!(!line.contains(&token), "the token is in {line}");
        let url = told["control"]["url"].as_str().unwrap();
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Bench { child, stderr, told, address, token, folder }
    }

    pub(crate) fn pty(&self) -> String {
        self.told["endpoints"][0]["link"].as_str().unwrap().to_owned()
    }

    /// Asks with the token.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let token = format!("Authorization: Bearer {}", self.token);
        self.ask_with(method, path, body, &[&token])
    }

    /// Asks with these headers.
    pub(crate) fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[&str],
    ) -> Answer {
        let first = format!("{method} {path} HTTP/1.1");
        let host = format!("Host: {}", self.address);
        let body = body.map(Value::to_string);
        let length = format!("Content-Length: {}", body.as_deref().unwrap_or_default().len());
        let mut head = vec![first.as_str(), &host];
        head.extend(headers);
        if body.is_some() {
            head.extend(["Content-Type: application/json", &length]);
        }
        raw(&self.address, &head, body.unwrap_or_default().as_bytes())
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, None);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.ask("POST", path, Some(&body));
        assert!((200..300).contains(&answer.status), "{body}: {answer:?}");
        answer.json()
    }

    #[track_caller]
    pub(crate) fn act(&self, hand: Value) -> Value {
        self.post("/api/v1/hands", hand)["state"].take()
    }

    pub(crate) fn state(&self) -> Value {
        self.get("/api/v1/state")
    }

    #[track_caller]
    pub(crate) fn step(&self, ms: u32) -> Value {
        self.post("/api/v1/clock/step", json!({ "ms": ms }))
    }

    /// The bus's time since it began, in seconds.
    pub(crate) fn elapsed(&self) -> f64 {
        self.get("/api/v1/clock")["elapsed"].as_f64().unwrap()
    }

    /// The command line in the same runtime folder.
    pub(crate) fn ctl(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_k485"));
        command.arg("ctl").args(args).env("XDG_RUNTIME_DIR", self.folder.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// Ctrl-C; what it says at the end.
    pub(crate) fn end(mut self) -> String {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        said
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host at the pseudo-terminal.
pub(crate) struct Host(Serial);

impl Host {
    pub(crate) fn open(path: &str) -> Host {
        Host(Serial::open(path, &Options::default(), Clock::new()).unwrap())
    }

    pub(crate) fn send(&mut self, addr: u8, status: u8, func: u8, data: &[u8]) {
        let request = Frame::to_vec(Address(addr), Status(status), func, data).unwrap();
        self.0.send(&request).unwrap();
    }

    /// The bytes that come within `wait`, until there are so many.
    pub(crate) fn read(&mut self, count: usize, wait: Duration) -> Vec<u8> {
        let (mut heard, mut buf, until) = (Vec::new(), [0; 4096], Instant::now() + wait);
        while heard.len() < count && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            let most = buf.len().min(count - heard.len());
            if let Event::Bytes { n, .. } = self.0.read(&mut buf[..most], left).unwrap() {
                heard.extend_from_slice(&buf[..n]);
            }
        }
        heard
    }

    /// A request's reply: STATUS and DATA.
    pub(crate) fn ask(&mut self, addr: u8, status: u8, func: u8, data: &[u8]) -> (u8, Vec<u8>) {
        self.send(addr, status, func, data);
        let head = self.read(3, LONG);
        assert_eq!(head.len(), 3, "no reply to {func:02x} {data:02x?}");
        let rest = self.read(usize::from(head[2]), LONG);
        let frame = [head, rest].concat();
        let frame = Frame::from_bytes(&frame).unwrap();
        assert_eq!(frame.func(), func);
        (frame.status().0, frame.data().to_vec())
    }

    /// Gives the box with this identity (of `devices` on the first line) an address.
    pub(crate) fn assign(&mut self, bench: &Bench, unit: usize) {
        let uniid = bench.told["devices"][unit - 1]["uniid"].as_str().unwrap();
        let mut data = vec![u8::try_from(unit).unwrap()];
        data.extend(k485_proto::message::kind::hex_bytes(uniid).unwrap());
        self.send(0xfe, 0, 0xa0, &data);
        // Said three times.
        assert_eq!(self.read(60, LONG).len(), 60);
    }
}

//! A running `k485 emulate --control`, and a host at its pseudo-terminal.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::live::{LONG, lines, next};
use crate::common::{command, k485};

/// An emulator that ends with its test.
pub(crate) struct Emulator {
    child: Child,
    folder: tempfile::TempDir,
    args: Vec<String>,
    /// What its first line said.
    pub(crate) told: Value,
    /// The page's address, without the token.
    pub(crate) url: String,
    /// The page's address with the token, as it was said.
    page: String,
}

impl Emulator {
    /// Starts it with a scene.
    #[track_caller]
    pub(crate) fn start(scene: &str, args: &[&str]) -> Emulator {
        Emulator::of(scene, args, tempfile::tempdir().expect("a temporary folder"), "127.0.0.1:0")
    }

    /// Starts it with a scene where other machines reach it.
    #[track_caller]
    pub(crate) fn open_to_others(scene: &str) -> Emulator {
        Emulator::of(scene, &[], tempfile::tempdir().expect("a temporary folder"), "0.0.0.0:0")
    }

    /// Starts it with a scene and a token of somebody's own.
    #[track_caller]
    pub(crate) fn with_token(scene: &str, token: &str) -> Emulator {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("token");
        std::fs::write(&path, token).expect("a temporary file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("it is ours");
        Emulator::of(scene, &[], folder, "127.0.0.1:0")
    }

    #[track_caller]
    fn of(scene: &str, args: &[&str], folder: tempfile::TempDir, place: &str) -> Emulator {
        std::fs::write(folder.path().join("scene.toml"), scene).expect("a temporary file");
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (child, told, page) = run(&folder, &args, place);
        let url = told["control"]["url"].as_str().expect("a page").to_owned();
        Emulator { child, folder, args, told, url, page }
    }

    /// Ends it, as Ctrl-C does.
    pub(crate) fn stop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let _ = self.child.wait();
    }

    /// Starts it anew at the same place, with the same token.
    #[track_caller]
    pub(crate) fn again(&mut self) {
        let place = self.place().to_owned();
        (self.child, self.told, self.page) = run(&self.folder, &self.args, &place);
    }

    fn place(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    /// The token.
    pub(crate) fn token(&self) -> String {
        let token = std::fs::read_to_string(self.folder.path().join("token")).expect("a token");
        token.trim().to_owned()
    }

    /// The page's address with the token.
    pub(crate) fn page(&self) -> String {
        self.page.clone()
    }

    /// Where a host finds the bus.
    pub(crate) fn bus(&self) -> PathBuf {
        self.folder.path().join("bus")
    }

    /// Sends a request through the pseudo-terminal, as a host would; what it came to.
    #[track_caller]
    pub(crate) fn send(&self, request: &[&str]) -> String {
        let bus = self.bus();
        let mut args = vec!["send", bus.to_str().expect("UTF-8"), "--transmit"];
        args.extend(["--allow", "clear,setting,motion"]);
        args.extend(request);
        let run = k485(args);
        assert!(matches!(run.code, Some(0 | 4)), "{}{}", run.out, run.err);
        run.out
    }

    /// What the server answers to a GET.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> String {
        http(self.place(), &format!("GET {path}"), "")
    }

    /// The state.
    #[track_caller]
    pub(crate) fn state(&self) -> Value {
        let answer = self.get("/api/v1/state");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        serde_json::from_str(body).expect("JSON")
    }

    /// Waits until a part of the bus's picture is this.
    #[track_caller]
    pub(crate) fn comes_to(&self, what: &str, part: impl Fn(&Value) -> Value, value: &Value) {
        let until = Instant::now() + LONG;
        loop {
            let state = self.state();
            let now = part(&state["bus"]);
            if now == *value {
                return;
            }
            assert!(Instant::now() < until, "{what}: {now} is not {value}: {}", state["bus"]);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn run(folder: &tempfile::TempDir, args: &[String], place: &str) -> (Child, Value, String) {
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let mut child = command(["emulate", &path("scene.toml"), "--pty", &path("bus")])
        .args(args)
        .args(["--token-file", &path("token"), "--control", place])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("k485 runs");
    let out = lines(child.stdout.take().expect("piped"));
    let said = lines(child.stderr.take().expect("piped"));
    let Some(told) = next(&out) else { panic!("it ended: {:?}", said.iter().collect::<Vec<_>>()) };
    let page = loop {
        let line = next(&said).expect("it says where the page is");
        if let Some((_, page)) = line.split_once("page and control: ") {
            break page.to_owned();
        }
    };
    // A pipe that nobody reads would end it.
    std::thread::spawn(move || said.iter().for_each(drop));
    (child, serde_json::from_str(&told).expect("JSON"), page)
}

/// One request over HTTP, the whole answer.
#[track_caller]
pub(crate) fn http(place: &str, what: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(place).expect("somebody listens");
    let request = format!("{what} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n{head}\r\n");
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

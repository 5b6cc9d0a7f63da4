//! Chromium without a window, driven over its DevTools protocol as a person would: real clicks, real
//! keys, and what the page complains of.

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::common::live::{LONG, lines, next};

/// The names under which it is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// A running Chromium with one page. It ends with its test.
pub(crate) struct Browser {
    child: Child,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    number: u64,
    /// What is run before a page's own scripts.
    script: Option<Value>,
    /// What the page complained of: errors of scripts, refusals of its policy.
    complaints: Vec<String>,
    _folder: tempfile::TempDir,
}

/// Where Chromium is.
fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places =
        std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    places
        .find(|place| place.is_file())
        .expect("the page is tested in Chromium; install `chromium` (./test does)")
}

impl Browser {
    /// Starts it, at a size of 1400 x 900.
    #[track_caller]
    pub(crate) fn start() -> Browser {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(chromium());
        // Root has no sandbox; what is shown here is our own.
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ]);
        command.args(["--hide-scrollbars", "--no-first-run", "--disable-background-networking"]);
        command.args(["--remote-debugging-port=0", "about:blank"]);
        command.arg(format!("--user-data-dir={}", folder.path().display()));
        command.env("DBUS_SESSION_BUS_ADDRESS", "disabled:").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("Chromium starts");
        let said = lines(child.stderr.take().expect("piped"));
        let url = loop {
            let line = next(&said).expect("Chromium tells where it listens");
            if let Some(url) = line.strip_prefix("DevTools listening on ") {
                break url.to_owned();
            }
        };
        // Its pipe must not fill.
        std::thread::spawn(move || said.iter().for_each(drop));
        let (socket, _) = tungstenite::connect(url).expect("DevTools answers");
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(LONG)).expect("a time-out");
        }
        let (session, script, complaints) = (None, None, Vec::new());
        let mut browser =
            Browser { child, socket, session, number: 0, script, complaints, _folder: folder };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.size(1400, 900);
        browser
    }

    /// Calls a method of the protocol.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let mut call = json!({ "id": self.number, "method": method, "params": params });
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(call.to_string())).expect("DevTools listens");
        loop {
            let message = self.socket.read().expect("DevTools answers");
            let Message::Text(text) = message else { continue };
            let said: Value = serde_json::from_str(&text).expect("DevTools says JSON");
            if said["id"] == self.number {
                assert!(said["error"].is_null(), "{method}: {}", said["error"]);
                return said["result"].clone();
            }
            self.note(&said);
        }
    }

    fn note(&mut self, said: &Value) {
        let params = &said["params"];
        match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.complaints.push(params.to_string()),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                self.complaints.push(params["entry"].to_string());
            }
            _ => {}
        }
    }

    /// What the page complained of since the last call.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        self.js("0");
        std::mem::take(&mut self.complaints)
    }

    /// Goes to an address, anew even if it is there.
    #[track_caller]
    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": "about:blank" }));
        self.call("Page.navigate", json!({ "url": url }));
    }

    /// Runs a script in every page that is opened, before its own; `None` for no script any more.
    pub(crate) fn before(&mut self, script: Option<&str>) {
        if let Some(old) = self.script.take() {
            let which = json!({ "identifier": old });
            self.call("Page.removeScriptToEvaluateOnNewDocument", which);
        }
        if let Some(source) = script {
            let source = json!({ "source": source });
            let said = self.call("Page.addScriptToEvaluateOnNewDocument", source);
            self.script = Some(said["identifier"].clone());
        }
    }

    /// The value of an expression, or what its promise comes to.
    #[track_caller]
    pub(crate) fn js(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true,
        });
        let said = self.call("Runtime.evaluate", params);
        assert!(said["exceptionDetails"].is_null(), "{expression}: {said}");
        said["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn wait(&mut self, expression: &str) {
        let expression = format!("Boolean({expression})");
        let until = Instant::now() + LONG;
        while self.js(&expression) != true {
            if Instant::now() > until {
                let page = self.js("document.body.innerText");
                panic!(
                    "it never came to this: {expression}\n{}",
                    page.as_str().unwrap_or_default()
                );
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Waits until an expression with `await` in it is true.
    #[track_caller]
    pub(crate) fn wait_async(&mut self, expression: &str) {
        let until = Instant::now() + LONG;
        while self.js(&format!("(async () => Boolean({expression}))()")) != true {
            assert!(Instant::now() < until, "it never came to this: {expression}");
            sleep(Duration::from_millis(20));
        }
    }

    /// Waits until an element shows a text.
    #[track_caller]
    pub(crate) fn sees(&mut self, selector: &str, text: &str) {
        let all = format!("[...document.querySelectorAll({})]", json!(selector));
        self.wait(&format!("{all}.some((one) => one.innerText.includes({}))", json!(text)));
    }

    /// Clicks in the middle of an element, once there is one that can be clicked.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let find = format!(
            "(() => {{ const one = document.querySelector({}); one?.scrollIntoView({{ block: 'nearest' }}); \
             const at = one?.getBoundingClientRect(); if (!at?.width) return null; \
             const [x, y] = [at.x + at.width / 2, at.y + at.height / 2]; \
             return one.contains(document.elementFromPoint(x, y)) ? [x, y] : null; }})()",
            json!(selector)
        );
        self.wait(&format!("{find} !== null"));
        let at = self.js(&find);
        for kind in ["mousePressed", "mouseReleased"] {
            let button = json!({
                "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", button);
        }
    }

    /// Presses a key: `a`, `Enter`, `ArrowDown`.
    pub(crate) fn key(&mut self, key: &str) {
        let text = match key {
            "Enter" => Some("\r"),
            key if key.chars().count() == 1 => Some(key),
            _ => None,
        };
        let mut down = json!({ "type": "keyDown", "key": key });
        if let Some(text) = text {
            down["text"] = json!(text);
        }
        // What Chromium itself does with a key it knows by its number.
        let number = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            _ => 0,
        };
        down["windowsVirtualKeyCode"] = json!(number);
        self.call("Input.dispatchKeyEvent", down);
        let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": number });
        self.call("Input.dispatchKeyEvent", up);
    }

    /// Writes where the focus is.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Sets the window's size.
    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Sets what the system is said to prefer.
    pub(crate) fn dark(&mut self, on: bool) {
        let value = if on { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": value });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    /// Keeps a picture of what is shown, for people to look at.
    pub(crate) fn picture(&mut self, name: &str) -> PathBuf {
        let said = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{name}.png"));
        let bytes = base64(said["data"].as_str().unwrap_or_default());
        std::fs::write(&path, bytes).expect("the folder for tests can be written");
        path
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its helpers are of its group.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

fn base64(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for char in text.bytes() {
        let value = match char {
            b'A'..=b'Z' => char - b'A',
            b'a'..=b'z' => char - b'a' + 26,
            b'0'..=b'9' => char - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

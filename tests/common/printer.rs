//! A printer's API as its documents describe it: Moonraker's JSON-RPC over a WebSocket, and
//! Klipper's API socket. Behind both is a small printer with boxes.

// Two test files use it, each a part.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use serde_json::{Value, json};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::http::StatusCode;
use tungstenite::{Message, WebSocket};

/// The printer behind the API.
pub(crate) struct Model {
    /// Every script that was run.
    pub(crate) scripts: Vec<String>,
    /// `ready`, `shutdown`, …, and what is said about it.
    pub(crate) state: (String, String),
    /// What `print_stats` says.
    pub(crate) printing: String,
    /// How many questions for the state are answered with a machine at work, from now on.
    pub(crate) busy: u32,
    /// What is loaded.
    pub(crate) loaded: Option<String>,
    /// What comes of the scripts that hold these words, each once.
    pub(crate) next: VecDeque<(&'static str, Fate)>,
    /// The key that Moonraker asks for.
    pub(crate) key: Option<&'static str>,
    /// Commands that it knows beside its own.
    pub(crate) known: Vec<&'static str>,
    /// Objects that it has not.
    pub(crate) without: Vec<&'static str>,
}

/// What comes of a script.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    /// It fails with this error.
    Error(&'static str),
    /// It is shut down, and says this.
    Shutdown(&'static str),
    /// Klipper is gone: the socket is closed, Moonraker tells it.
    Gone,
    /// No answer.
    Silent,
    /// It is done and says this.
    Says(&'static str),
    /// It is done, but printed no line before its answer; this one comes after it.
    Late(&'static str),
}

/// A printer at one of the APIs.
#[derive(Clone)]
pub(crate) struct Printer {
    model: Arc<Mutex<Model>>,
}

impl Printer {
    pub(crate) fn new() -> Printer {
        let model = Model {
            scripts: Vec::new(),
            state: ("ready".into(), "Printer is ready".into()),
            printing: "standby".into(),
            busy: 0,
            loaded: None,
            next: VecDeque::new(),
            key: None,
            known: Vec::new(),
            without: Vec::new(),
        };
        Printer { model: Arc::new(Mutex::new(model)) }
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().expect("no test panics with it")
    }

    /// Moonraker's face, at a port of this machine.
    pub(crate) fn moonraker(&self) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let printer = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let printer = printer.clone();
                thread::spawn(move || printer.web(stream));
            }
        });
        address
    }

    /// Klipper's own face, at a path.
    pub(crate) fn socket(&self, path: &Path) {
        let listener = UnixListener::bind(path).expect("a socket");
        let printer = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let printer = printer.clone();
                thread::spawn(move || printer.plain(stream));
            }
        });
    }

    fn web(&self, stream: TcpStream) {
        let key = self.model().key;
        let mut trusted = false;
        // The type is tungstenite's.
        #[allow(clippy::result_large_err)]
        let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            let refuse = |status| {
                let mut response = ErrorResponse::new(None);
                *response.status_mut() = status;
                Err(response)
            };
            if request.uri().path() != "/websocket" {
                return refuse(StatusCode::NOT_FOUND);
            }
            let given = request.headers().get("X-Api-Key").and_then(|given| given.to_str().ok());
            // As Moonraker does, which says so only when it is asked for something.
            trusted = key.is_none_or(|key| given == Some(key));
            Ok(response)
        };
        let Ok(mut web) = tungstenite::accept_hdr(stream, check) else { return };
        while let Ok(message) = web.read() {
            let Message::Text(text) = message else { continue };
            let request: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(request["jsonrpc"], "2.0");
            let id = &request["id"];
            // As Moonraker does all the time.
            notify(&mut web, "notify_proc_stat_update", json!([{ "cpu_temp": 40.0 }]));
            let answer = if trusted {
                self.answer(&request, "printer.", &mut |line| {
                    notify(&mut web, "notify_gcode_response", json!([line]));
                })
            } else {
                Answer::Error(-32602, "Unauthorized".into())
            };
            let (answer, late) = match answer {
                Answer::Result(result) => {
                    (json!({ "jsonrpc": "2.0", "result": result, "id": id }), None)
                }
                Answer::Error(code, text) => {
                    let error = json!({ "code": code, "message": text });
                    (json!({ "jsonrpc": "2.0", "error": error, "id": id }), None)
                }
                Answer::Late(line) => {
                    (json!({ "jsonrpc": "2.0", "result": "ok", "id": id }), Some(line))
                }
                Answer::Gone => {
                    notify(&mut web, "notify_klippy_disconnected", json!([]));
                    continue;
                }
                Answer::Silent => continue,
            };
            if web.send(Message::text(answer.to_string())).is_err() {
                return;
            }
            if let Some(line) = late {
                notify(&mut web, "notify_gcode_response", json!([line]));
            }
        }
    }

    fn plain(&self, mut stream: UnixStream) {
        let mut heard = Vec::new();
        let mut template: Option<Value> = None;
        loop {
            let mut bytes = [0; 4096];
            match stream.read(&mut bytes) {
                Ok(n @ 1..) => heard.extend_from_slice(&bytes[..n]),
                _ => return,
            }
            while let Some(end) = heard.iter().position(|byte| *byte == 3) {
                let message: Vec<u8> = heard.drain(..=end).collect();
                let request: Value = serde_json::from_slice(&message[..end]).expect("JSON");
                if request["method"] == "gcode/subscribe_output" {
                    template = Some(request["params"]["response_template"].clone());
                    say(&mut stream, json!({ "id": request["id"], "result": {} }));
                    continue;
                }
                let output = |stream: &mut UnixStream, line: &str| {
                    if let Some(template) = &template {
                        let mut message = template.clone();
                        message["params"] = json!({ "response": line });
                        say(stream, message);
                    }
                };
                let answer = self.answer(&request, "", &mut |line| output(&mut stream, line));
                let id = &request["id"];
                match answer {
                    Answer::Result(result) => {
                        say(&mut stream, json!({ "id": id, "result": result }));
                    }
                    Answer::Error(_, text) => {
                        let error = json!({ "error": "WebRequestError", "message": text });
                        say(&mut stream, json!({ "id": id, "error": error }));
                    }
                    Answer::Late(line) => {
                        say(&mut stream, json!({ "id": id, "result": {} }));
                        output(&mut stream, line);
                    }
                    Answer::Gone => return,
                    Answer::Silent => {}
                }
            }
        }
    }

    fn answer(&self, request: &Value, prefix: &str, output: &mut dyn FnMut(&str)) -> Answer {
        let method = request["method"].as_str().expect("a method").to_owned();
        let method = method.strip_prefix(prefix).expect("a method of this face").replace('.', "/");
        let mut model = self.model();
        match method.as_str() {
            "info" => {
                Answer::Result(json!({ "state": model.state.0, "state_message": model.state.1 }))
            }
            "objects/query" => model.query(&request["params"]["objects"]),
            "gcode/script" => {
                let script = request["params"]["script"].as_str().expect("a script").to_owned();
                model.script(&script, output)
            }
            _ => Answer::Error(404, "Method not found".into()),
        }
    }
}

enum Answer {
    Result(Value),
    Error(i64, String),
    Late(&'static str),
    Gone,
    Silent,
}

impl Model {
    fn query(&mut self, wanted: &Value) -> Answer {
        let working = self.busy > 0;
        self.busy = self.busy.saturating_sub(1);
        let all = json!({
            "print_stats": { "state": self.printing, "filename": "benchy.gcode" },
            "idle_timeout": { "state": if working { "Printing" } else { "Ready" } },
            "webhooks": { "state": self.state.0, "state_message": self.state.1 },
            "box": { "state": "connect", "T1": {
                "color_value": ["0ffffff", "0ff1e1e", "0000000", "-1"],
                "material_type": ["101001", "011002", "0P1002", "-1"],
            } },
        });
        let wanted = wanted.as_object().expect("objects").keys();
        let wanted = wanted.filter(|name| !self.without.contains(&name.as_str()));
        let status: serde_json::Map<String, Value> =
            wanted.filter_map(|name| Some((name.clone(), all.get(name)?.clone()))).collect();
        Answer::Result(json!({ "eventtime": 1.0, "status": status }))
    }

    fn script(&mut self, script: &str, output: &mut dyn FnMut(&str)) -> Answer {
        self.scripts.push(script.to_owned());
        if self.state.0 != "ready" {
            let text = self.state.1.clone();
            output(&format!("!! {text}"));
            return Answer::Error(400, text);
        }
        if let Some(at) = self.next.iter().position(|(word, _)| script.contains(word)) {
            match self.next.remove(at).expect("it is there").1 {
                Fate::Error(text) => {
                    output(&format!("!! {text}"));
                    self.loaded = None;
                    return Answer::Error(400, text.into());
                }
                Fate::Shutdown(text) => {
                    self.state = ("shutdown".into(), text.into());
                    output(&format!("!! {text}"));
                    return Answer::Error(400, text.into());
                }
                Fate::Says(text) => {
                    output(text);
                    return Answer::Result(json!("ok"));
                }
                Fate::Gone => return Answer::Gone,
                Fate::Silent => return Answer::Silent,
                Fate::Late(line) => return Answer::Late(line),
            }
        }
        for line in script.lines() {
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            match name.to_ascii_uppercase().as_str() {
                "TN_ACTION" => {
                    let tool = rest.strip_prefix("tool=").expect("a tool");
                    self.loaded = Some(tool.to_owned());
                    output(&format!("// loaded {tool}"));
                }
                "UNLOAD_FILAMENT" => self.loaded = None,
                "TURN_OFF_HEATERS" => {}
                "M117" => output("// echo\n// two lines"),
                known if self.known.contains(&known) => output(&format!("// {known} done")),
                _ => output(&format!("// Unknown command:\"{name}\"")),
            }
        }
        Answer::Result(json!("ok"))
    }
}

fn notify(web: &mut WebSocket<TcpStream>, method: &str, params: Value) {
    let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
    // Whoever asked may be gone.
    let _ = web.send(Message::text(message.to_string()));
}

fn say(stream: &mut UnixStream, message: Value) {
    let mut bytes = message.to_string().into_bytes();
    bytes.push(3);
    let _ = stream.write_all(&bytes);
}

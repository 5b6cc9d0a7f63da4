//! A printer's API: Klipper as Moonraker (JSON-RPC over a WebSocket) or its own API socket (JSON
//! ended by 03) shows it. Both are one client here: commands of G-code with what they print, and
//! the state of objects.

mod args;
mod error;
mod place;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) use args::PrinterArgs;
pub(crate) use error::PrinterError;
pub(crate) use place::Place;
use wire::Wire;

/// How long a connection and a question that runs no command may take.
pub(crate) const SHORT: Duration = Duration::from_secs(10);
/// What a command printed may come after its answer: two tasks of Moonraker carry them. So long
/// it has to be quiet.
const AFTER: Duration = Duration::from_millis(250);
/// How often a wait looks whether it should stop.
const SLICE: Duration = Duration::from_millis(100);

/// A connection to a printer.
pub(crate) struct Printer {
    wire: Wire,
    place: Place,
    stop: Arc<AtomicBool>,
    id: u64,
    subscribed: bool,
}

/// What Klipper says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// `ready`, `startup`, `shutdown` or `error`.
    pub(crate) name: String,
    /// What it says to a person; several lines.
    pub(crate) message: String,
}

/// What became of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// The commands that the printer does not know. The API calls that a success.
    pub(crate) unknown: Vec<String>,
    /// How long it took to the answer.
    pub(crate) took: Duration,
}

impl Printer {
    /// Connects. `key` is Moonraker's API key, for those it does not trust by their address; a
    /// true `stop` ends every wait.
    pub(crate) fn open(
        place: &Place,
        key: Option<&str>,
        stop: Arc<AtomicBool>,
    ) -> Result<Printer, PrinterError> {
        let wire = Wire::open(place, key)?;
        Ok(Printer { wire, place: place.clone(), stop, id: 0, subscribed: false })
    }

    /// Where it is.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether Klipper is ready, and if not, why.
    pub(crate) fn state(&mut self) -> Result<State, PrinterError> {
        let info = self.ask(self.method("info", "printer.info"), json!({}), SHORT, &mut |_| ())?;
        let text = |name: &str| info[name].as_str().unwrap_or_default().trim().to_owned();
        Ok(State { name: text("state"), message: text("state_message") })
    }

    /// The state of these objects, each with all its fields. An object that there is not is left
    /// out.
    pub(crate) fn objects(&mut self, names: &[&str]) -> Result<Value, PrinterError> {
        let wanted: serde_json::Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        let method = self.method("objects/query", "printer.objects.query");
        let mut answer = self.ask(method, json!({ "objects": wanted }), SHORT, &mut |_| ())?;
        Ok(answer["status"].take())
    }

    /// Runs a command (or several, a line each) and waits until it is done; what the printer
    /// prints meanwhile is given to `output`, a line each.
    pub(crate) fn gcode(
        &mut self,
        script: &str,
        timeout: Option<Duration>,
        output: &mut dyn FnMut(&str),
    ) -> Result<Done, PrinterError> {
        self.subscribe()?;
        // What came before this command is not of it.
        while self.wire.receive(Instant::now())?.is_some() {}
        let mut done = Done::default();
        let mut lines = |text: &str| {
            for line in text.lines() {
                done.unknown.extend(unknown(line));
                output(line);
            }
        };
        let timeout = timeout.unwrap_or(Duration::MAX);
        let method = self.method("gcode/script", "printer.gcode.script");
        let began = Instant::now();
        let result = self.ask(method, json!({ "script": script }), timeout, &mut lines);
        let took = began.elapsed();
        if matches!(result, Ok(_) | Err(PrinterError::Api { .. })) {
            self.drain(&mut lines)?;
        }
        result?;
        done.took = took;
        Ok(done)
    }

    /// What is printed is told by itself at Moonraker, at the socket on demand.
    fn subscribe(&mut self) -> Result<(), PrinterError> {
        if !self.subscribed && matches!(self.place, Place::Socket(_)) {
            let params = json!({ "response_template": { "method": OUTPUT } });
            self.ask("gcode/subscribe_output", params, SHORT, &mut |_| ())?;
        }
        self.subscribed = true;
        Ok(())
    }

    /// The method's name at the socket, or at Moonraker.
    fn method(&self, socket: &'static str, moonraker: &'static str) -> &'static str {
        if matches!(self.place, Place::Socket(_)) { socket } else { moonraker }
    }

    fn drain(&mut self, output: &mut dyn FnMut(&str)) -> Result<(), PrinterError> {
        let mut until = Instant::now() + AFTER;
        while let Some(message) = self.wire.receive(until)? {
            if let Some(text) = printed(&message) {
                output(text);
                until = Instant::now() + AFTER;
            }
        }
        Ok(())
    }

    /// Asks, and waits for the answer; what is printed meanwhile is given to `output`.
    fn ask(
        &mut self,
        method: &str,
        params: Value,
        timeout: Duration,
        output: &mut dyn FnMut(&str),
    ) -> Result<Value, PrinterError> {
        self.id += 1;
        let request = json!({
            "jsonrpc": "2.0", "id": self.id, "method": method, "params": params
        });
        self.wire.send(&request.to_string())?;
        let began = Instant::now();
        loop {
            if self.stop.load(Ordering::SeqCst) {
                return Err(PrinterError::Stopped);
            }
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(PrinterError::Timeout { place: self.place.to_string(), timeout });
            }
            let Some(message) = self.wire.receive(Instant::now() + left.min(SLICE))? else {
                continue;
            };
            if let Some(text) = printed(&message) {
                output(text);
            } else if message["id"] == json!(self.id) {
                return match answer(message) {
                    Err(PrinterError::Api { message, .. }) if message == "Unauthorized" => {
                        Err(PrinterError::Untrusted { place: self.place.to_string() })
                    }
                    result => result,
                };
            } else if message["method"] == "notify_klippy_disconnected" {
                return Err(PrinterError::Gone { place: self.place.to_string() });
            }
        }
    }
}

/// What the socket is asked to call the lines that are printed.
const OUTPUT: &str = "k485_output";

/// The text of a message about what was printed.
fn printed(message: &Value) -> Option<&str> {
    match message["method"].as_str()? {
        OUTPUT => message["params"]["response"].as_str(),
        "notify_gcode_response" => message["params"][0].as_str(),
        _ => None,
    }
}

/// The result, or what the API says is wrong.
fn answer(mut message: Value) -> Result<Value, PrinterError> {
    let error = message["error"].take();
    if error.is_null() {
        return Ok(message["result"].take());
    }
    let text = error["message"].as_str().or(error.as_str());
    let text = text.map_or_else(|| error.to_string(), |text| embedded(text).to_owned());
    let code = error["code"].as_i64();
    Err(PrinterError::Api { message: text.trim().to_owned(), code })
}

/// Moonraker gives Klipper's own error as Python shows it: `{'error': 'WebRequestError',
/// 'message': 'Must home axis first'}`. What is meant is the message.
fn embedded(text: &str) -> &str {
    let inner = text.strip_prefix("{'error': '").and_then(|rest| rest.split_once("'message': "));
    let Some((_, rest)) = inner else { return text };
    let rest = rest.trim_end().trim_end_matches('}');
    let quote = |c: char| matches!(c, '\'' | '"');
    rest.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)).unwrap_or(text)
}

/// The command that a line says is not known: `// Unknown command:"FOO"`.
fn unknown(line: &str) -> Option<String> {
    let rest = line.trim_start_matches(['/', '!', ' ']).strip_prefix("Unknown command:")?;
    Some(rest.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_are_not_known() {
        assert_eq!(unknown("// Unknown command:\"FOO\""), Some("FOO".to_owned()));
        assert_eq!(unknown("echo: Unknown command:\"FOO\""), None);
    }

    #[test]
    fn errors_of_both_apis() {
        let socket = json!({"id": 1, "error": {"error": "WebRequestError", "message": "no\n"}});
        let moonraker = json!({"id": 1, "error": {"code": 400, "message":
            "{'error': 'WebRequestError', 'message': 'Must home axis first'}"}});
        let strange = json!({"id": 1, "error": [1]});
        let texts = [socket, moonraker, strange].map(|message| match answer(message) {
            Err(PrinterError::Api { message, code }) => (message, code),
            other => panic!("{other:?}"),
        });
        let expected = [("no", None), ("Must home axis first", Some(400)), ("[1]", None)];
        assert_eq!(texts, expected.map(|(text, code)| (text.to_owned(), code)));
    }
}

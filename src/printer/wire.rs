//! The two ways that messages go: a WebSocket, and a socket with messages ended by 03.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::{HeaderValue, StatusCode};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{HandshakeError, Message, WebSocket};

use super::{Place, PrinterError, SHORT};

/// The longest message that is taken, in bytes. A K2's whole state is below 100 kB.
const LONGEST: usize = 16 << 20;
/// What ends a message at Klipper's socket.
const END: u8 = 0x03;

/// A connection that carries messages.
pub(super) struct Wire {
    name: String,
    way: Way,
}

enum Way {
    Web(Box<WebSocket<TcpStream>>),
    Socket { stream: UnixStream, heard: Vec<u8> },
}

impl Wire {
    pub(super) fn open(place: &Place, key: Option<&str>) -> Result<Wire, PrinterError> {
        let name = place.to_string();
        let way = match place {
            Place::Moonraker { host, port } => web(&name, host, *port, key)?,
            Place::Socket(path) => socket(&name, path)?,
        };
        Ok(Wire { name, way })
    }

    pub(super) fn send(&mut self, message: &str) -> Result<(), PrinterError> {
        let sent = match &mut self.way {
            Way::Web(web) => web.send(Message::text(message)).map_err(|error| error.to_string()),
            Way::Socket { stream, .. } => {
                let bytes = [message.as_bytes(), &[END]].concat();
                stream.write_all(&bytes).map_err(|error| error.to_string())
            }
        };
        sent.map_err(|what| PrinterError::Closed { place: self.name.clone(), what })
    }

    /// The next message; `None` if there is none by then.
    pub(super) fn receive(&mut self, until: Instant) -> Result<Option<Value>, PrinterError> {
        loop {
            // Zero would be for ever.
            let left = until.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            let text = match &mut self.way {
                Way::Web(web) => from_web(web, left),
                Way::Socket { stream, heard } => from_socket(stream, heard, left),
            };
            match text {
                Ok(Heard::Text(text)) => return self.read(&text).map(Some),
                Ok(Heard::Nothing) if Instant::now() < until => {}
                Ok(Heard::Nothing) => return Ok(None),
                Err(what) => return Err(PrinterError::Closed { place: self.name.clone(), what }),
            }
        }
    }

    fn read(&self, text: &[u8]) -> Result<Value, PrinterError> {
        match serde_json::from_slice::<Value>(text) {
            Ok(message) if message.is_object() => Ok(message),
            _ => Err(PrinterError::Nonsense {
                place: self.name.clone(),
                what: format!(
                    "what came is no JSON object: {:.60?}",
                    String::from_utf8_lossy(text)
                ),
            }),
        }
    }
}

/// What came.
enum Heard {
    Text(Vec<u8>),
    /// Nothing, or what is no message.
    Nothing,
}

/// Whether an error only says that nothing came.
fn is_quiet(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

fn from_web(web: &mut WebSocket<TcpStream>, left: Duration) -> Result<Heard, String> {
    web.get_ref().set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
    match web.read() {
        Ok(Message::Text(text)) => Ok(Heard::Text(text.as_bytes().to_vec())),
        // Pings are answered below.
        Ok(_) => Ok(Heard::Nothing),
        Err(tungstenite::Error::Io(error)) if is_quiet(&error) => Ok(Heard::Nothing),
        Err(error) => Err(error.to_string()),
    }
}

fn from_socket(
    stream: &mut UnixStream,
    heard: &mut Vec<u8>,
    left: Duration,
) -> Result<Heard, String> {
    if let Some(end) = heard.iter().position(|byte| *byte == END) {
        let mut message: Vec<u8> = heard.drain(..=end).collect();
        message.pop();
        return Ok(Heard::Text(message));
    }
    if heard.len() > LONGEST {
        return Err(format!("a message of more than {LONGEST} bytes"));
    }
    stream.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
    let mut bytes = [0; 16 * 1024];
    match stream.read(&mut bytes) {
        Ok(0) => Err("Klipper closed it; was it stopped?".to_owned()),
        Ok(n) => {
            heard.extend_from_slice(&bytes[..n]);
            Ok(Heard::Nothing)
        }
        Err(error) if is_quiet(&error) => Ok(Heard::Nothing),
        Err(error) => Err(error.to_string()),
    }
}

fn web(name: &str, host: &str, port: u16, key: Option<&str>) -> Result<Way, PrinterError> {
    let unreachable =
        |what: String, hint| PrinterError::Unreachable { place: name.to_owned(), what, hint };
    let stream = connect(host, port).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                ". Is Moonraker there? Its port is 7125; HOST:PORT tells another"
            }
            _ => "",
        };
        unreachable(format!("cannot connect: {error}"), hint)
    })?;
    let timeouts = stream.set_read_timeout(Some(SHORT)).and(stream.set_write_timeout(Some(SHORT)));
    timeouts.map_err(|error| unreachable(error.to_string(), ""))?;
    let mut request = format!("ws://{name}/websocket")
        .into_client_request()
        .map_err(|error| unreachable(error.to_string(), ""))?;
    if let Some(key) = key {
        let value = HeaderValue::from_str(key)
            .map_err(|_| unreachable("the API key holds a character that none has".into(), ""))?;
        request.headers_mut().insert("X-Api-Key", value);
    }
    let config =
        WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    match tungstenite::client::client_with_config(request, stream, Some(config)) {
        Ok((web, _)) => Ok(Way::Web(Box::new(web))),
        Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
            let status = answer.status();
            if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                return Err(PrinterError::Untrusted { place: name.to_owned() });
            }
            Err(unreachable(format!("no WebSocket: HTTP {status}"), STRANGER))
        }
        Err(HandshakeError::Interrupted(_)) => {
            Err(unreachable("connected, but nobody answers".to_owned(), STRANGER))
        }
        Err(HandshakeError::Failure(error)) => {
            Err(unreachable(format!("no WebSocket: {error}"), STRANGER))
        }
    }
}

/// What may be wrong where something else listens.
const STRANGER: &str =
    ". Is that Moonraker? Its port is 7125; 9876 is the stream of `k485 trace capture`";

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = None;
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, SHORT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("the name has no address")))
}

fn socket(name: &str, path: &Path) -> Result<Way, PrinterError> {
    let opened = UnixStream::connect(path).and_then(|stream| {
        stream.set_write_timeout(Some(SHORT))?;
        Ok(stream)
    });
    match opened {
        Ok(stream) => Ok(Way::Socket { stream, heard: Vec::new() }),
        Err(error) => Err(PrinterError::Unreachable {
            place: name.to_owned(),
            what: format!("cannot connect: {error}"),
            hint: ". Klipper makes it where it is started with -a PATH",
        }),
    }
}

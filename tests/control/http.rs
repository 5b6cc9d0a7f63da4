//! HTTP and WebSocket by hand, so that a test can say what no client would.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Generous: the machine may be busy with other things.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The status and the code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let json = self.json();
        assert!(!json["error"].as_str().unwrap().is_empty(), "{self:?}");
        (self.status, json["code"].as_str().unwrap().to_owned())
    }
}

/// Sends these very lines and this body; what comes back.
pub(crate) fn raw(address: &str, head: &[&str], body: &[u8]) -> Answer {
    let mut stream = connect(address);
    let head = head.join("\r\n") + "\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    // A server that has refused already hears no more.
    let _ = stream.write_all(body);
    read(stream)
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// A WebSocket.
pub(crate) struct Socket {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Socket {
    /// Opens it; the refusal where there is none.
    pub(crate) fn open(address: &str, query: &str, more: &[&str]) -> Result<Socket, Answer> {
        let mut stream = connect(address);
        let get = format!("GET /api/v1/events{query} HTTP/1.1");
        let host = format!("Host: {address}");
        let fixed = [
            get.as_str(),
            &host,
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        let head = [&fixed[..], more].concat().join("\r\n") + "\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let (mut heard, mut buf) = (Vec::new(), [0; 4096]);
        let end = loop {
            if let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            let n = stream.read(&mut buf).unwrap();
            assert!(n > 0, "it hung up: {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&buf[..n]);
        };
        let head = String::from_utf8_lossy(&heard[..end]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 101") {
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            while heard.len() < end + 4 + length {
                let n = stream.read(&mut buf).unwrap();
                heard.extend_from_slice(&buf[..n]);
            }
            let body = String::from_utf8_lossy(&heard[end + 4..]).into_owned();
            return Err(Answer { status, head, body });
        }
        heard.drain(..end + 4);
        Ok(Socket { stream, heard })
    }

    /// The next message.
    pub(crate) fn next(&mut self) -> Value {
        loop {
            let (code, payload) = self.frame();
            match code {
                1 => return serde_json::from_slice(&payload).unwrap(),
                // Pings.
                9 | 10 => {}
                _ => panic!("frame {code}: {}", String::from_utf8_lossy(&payload)),
            }
        }
    }

    /// The next message of this type.
    pub(crate) fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next();
            if message["type"] == kind {
                return message;
            }
        }
    }

    fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.take(2);
        let length = match head[1] {
            126 => self.take(2).iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            127 => self.take(8).iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            short => usize::from(short),
        };
        (head[0] & 0x0f, self.take(length))
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let mut buf = [0; 16 * 1024];
        while self.heard.len() < count {
            let n = self.stream.read(&mut buf).expect("something comes in time");
            assert!(n > 0, "it hung up");
            self.heard.extend_from_slice(&buf[..n]);
        }
        self.heard.drain(..count).collect()
    }
}

//! The vectors as they lie in the files.

use std::error::Error;
use std::path::Path;

use serde_json::Value;

/// A state, a request in it, and what the firmware answered.
pub(crate) struct Vector {
    pub(crate) state: Value,
    /// Bytes, and the gaps between them in ms.
    pub(crate) request: Vec<Part>,
    /// What was answered within the time that was waited; one after the other in `framing`.
    pub(crate) replies: Vec<Vec<u8>>,
    /// After how many ms.
    pub(crate) ms: Option<i64>,
    /// What a 0A right behind it was answered with, where one was sent.
    pub(crate) after: Option<Vec<u8>>,
    pub(crate) asked_after: bool,
    pub(crate) note: String,
}

/// A part of a request.
pub(crate) enum Part {
    Bytes(Vec<u8>),
    Gap(i64),
}

impl Vector {
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.request[..] {
            [Part::Bytes(bytes)] => bytes,
            _ => &[],
        }
    }

    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        self.state[key].as_f64()
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.state[key].as_str().unwrap_or_default()
    }
}

pub(crate) fn hex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(k485_proto::message::kind::hex_bytes(text)?)
}

pub(crate) fn show(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The vectors of a file.
pub(crate) fn read(folder: &Path, name: &str) -> Result<Vec<Vector>, Box<dyn Error>> {
    let text = std::fs::read_to_string(folder.join(name))?;
    let file: Value = serde_json::from_str(&text)?;
    let vectors = file["vectors"].as_array().ok_or("no vectors")?;
    vectors.iter().map(vector).collect()
}

fn vector(value: &Value) -> Result<Vector, Box<dyn Error>> {
    let part = |part: &Value| -> Result<Part, Box<dyn Error>> {
        Ok(match part.as_i64() {
            Some(gap) => Part::Gap(gap),
            None => Part::Bytes(hex(part.as_str().ok_or("no request")?)?),
        })
    };
    let request = match value["request"].as_array() {
        Some(parts) => parts.iter().map(part).collect::<Result<_, _>>()?,
        None => vec![part(&value["request"])?],
    };
    let texts: Vec<&str> = match &value["reply"] {
        Value::Array(replies) => replies.iter().filter_map(Value::as_str).collect(),
        reply => reply.as_str().into_iter().collect(),
    };
    let after = value.get("0A_after");
    Ok(Vector {
        state: value["state"].clone(),
        request,
        replies: texts.into_iter().map(hex).collect::<Result<_, _>>()?,
        ms: value["ms"].as_i64(),
        after: after.and_then(Value::as_str).map(hex).transpose()?,
        asked_after: after.is_some(),
        note: value["note"].as_str().unwrap_or_default().to_owned(),
    })
}

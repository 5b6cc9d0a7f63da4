//! A collection of distinct frames, each with its direction and what it means in words.

use std::path::Path;

use k485_proto::dialect::K2;
use k485_proto::direction::{self, Source};
use k485_proto::frame::Frame;
use k485_proto::message::{Message, Value};
use k485_proto::record::Direction;

use crate::common::bytes;
use crate::{Directions, Outcome, ensure, frame, json};

/// One entry: the frame, its direction, the note.
struct Entry {
    raw: Vec<u8>,
    dir: Direction,
    note: String,
    status: u8,
}

fn entries(folder: &Path) -> Result<Vec<Entry>, Box<dyn std::error::Error>> {
    let all = json(&folder.join("frames.json"))?;
    let entry = |entry: &serde_json::Value| -> Result<Entry, Box<dyn std::error::Error>> {
        let text = |key: &str| entry[key].as_str().ok_or_else(|| format!("no {key} in {entry}"));
        let dir = match text("dir")? {
            "request" => Direction::Request,
            "response" => Direction::Response,
            other => return Err(other.into()),
        };
        let status = u8::from_str_radix(text("status")?.trim_start_matches("0x"), 16)?;
        Ok(Entry { raw: bytes(text("hex")?), dir, note: text("note")?.to_owned(), status })
    };
    let entries: Vec<Entry> =
        all.as_array().ok_or("no list")?.iter().map(entry).collect::<Result<_, _>>()?;
    ensure!(entries.len() == 276, "{} frames", entries.len());
    Ok(entries)
}

pub(crate) fn directions(folder: &Path) -> Outcome {
    let mut directions = Directions::default();
    let mut unknown = Vec::new();
    let mut expected = 0;
    for entry in entries(folder)? {
        let frame = Frame::from_bytes(&entry.raw)?;
        ensure!(!direction::is_implausible(&frame, &K2), "{frame:?}");
        let (found, source) = direction::alone(&frame, &K2);
        directions.add(&frame, found, entry.dir, &entry.note);
        expected += usize::from(source == Source::Inferred);
        if found.is_none() {
            unknown.push(format!("{frame:?}"));
        }
    }
    ensure!(directions.wrong.is_empty() && directions.excused.is_empty(), "{directions}");
    // The motors' echoes and queries.
    ensure!(directions.unknown <= 12, "{directions}: {unknown:?}");
    // The boxes' sensors, which look like the selector in the request.
    ensure!(expected <= 16, "{expected} of them inferred");
    Ok(format!("{directions}, {expected} of them inferred"))
}

/// The word or number behind `label` in a note.
fn noted<'a>(note: &'a str, label: &str) -> Option<&'a str> {
    let words = note.split('|').next()?.split_once(label)?.1;
    words.split_whitespace().next().map(|word| word.trim_end_matches(','))
}

/// A field as the notes write it.
fn shown(message: &Message<'_>, name: &str) -> Option<String> {
    Some(match message.get(name)? {
        Value::Float(x) => format!("{x:.3}"),
        Value::Int(n) => n.to_string(),
        Value::Code { raw, .. } => raw.to_string(),
        Value::Bits { raw, .. } => format!("0x{raw:02x}"),
        other => other.to_string(),
    })
}

/// What a note calls a value, and what the field is called.
const NAMES: [(&str, &str); 10] = [
    (" temp ", "temperature"),
    (" humidity ", "humidity"),
    (" event ", "ran"),
    (" state ", "state"),
    (" odometer ", "odometer"),
    (" uniid ", "uniid"),
    (" dev_type ", "device_type"),
    (" mode ", "program"),
    (" version ", "version"),
    (" serial ", "serial"),
];

pub(crate) fn values(folder: &Path) -> Outcome {
    let (mut values, mut names) = (0, 0);
    for entry in entries(folder)? {
        let raw = frame(&entry.raw, &entry.note)?;
        let note = entry.note.as_str();
        ensure!(raw.status().0 == entry.status, "{raw:?}: STATUS");
        let asked = note.split("| reply to ").nth(1);
        let asked = asked.and_then(|rest| rest.split_whitespace().next());
        let asked = asked.map(|bare| Frame::from_bare(&bytes(bare))).transpose()?;
        let asked = asked.as_ref().map(|bytes| Frame::from_bytes(bytes)).transpose()?;
        let message = K2.decode(&raw, Some(entry.dir), asked.as_ref());

        let name = note.trim_start_matches("motor ").split_whitespace().next();
        let ours = message.function.map(|function| function.name);
        ensure!(ours == name, "{raw:?}: {ours:?}, noted {name:?}");
        names += 1;
        // Two requests in the collection are too short or too long on purpose.
        if raw.status().0 == 0xff && message.misfit.is_some() {
            ensure!(
                ["f70103ff0f47", "f70106ff11010000d5"]
                    .contains(&crate::common::hex(&entry.raw).as_str()),
                "{raw:?}: {:?}",
                message.misfit
            );
        } else {
            ensure!(message.misfit.is_none(), "{raw:?} to {asked:?}: {:?}", message.misfit);
        }
        for (label, field) in NAMES {
            let Some(noted) = noted(note, label) else { continue };
            // The notes have a version without its dots.
            let ours = shown(&message, field)
                .map(|text| if field == "version" { text.replace('.', "") } else { text });
            ensure!(ours.as_deref() == Some(noted), "{raw:?}: {field} {ours:?}, noted {noted}");
            values += 1;
        }
        if let Some(status) = noted(note, " STATUS ") {
            ensure!(status == format!("0x{:02x}", raw.status().0), "{raw:?}: {status}");
            values += 1;
        }
    }
    ensure!(values >= 196, "only {values} values compared");
    Ok(format!("{names} names and {values} values"))
}

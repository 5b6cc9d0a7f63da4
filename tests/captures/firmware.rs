//! What the box firmware answers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use k485_proto::address::{Address, Class};
use k485_proto::deframer::{Noise, NoiseReason, Span, spans};
use k485_proto::dialect::K2;
use k485_proto::direction;
use k485_proto::frame::Frame;
use k485_proto::message::addressing;
use k485_proto::record::{Direction, Record};
use k485_proto::status::Status;
use serde_json::Value;

use crate::common::bytes;
use crate::{Directions, Outcome, ensure, exchanges, json, observed, seen};

/// A request and its replies.
struct Vector {
    place: String,
    request: Vec<u8>,
    replies: Vec<Vec<u8>>,
}

/// All pairs of whole frames.
fn vectors(folder: &Path) -> Result<Vec<Vector>, Box<dyn std::error::Error>> {
    let mut all = Vec::new();
    let mut files: Vec<_> = fs::read_dir(folder.join("vectors/box_firmware"))?
        .map(|file| file.map(|file| file.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    for path in files {
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let content = json(&path)?;
        for (i, vector) in content["vectors"].as_array().ok_or("no vectors")?.iter().enumerate() {
            // Those of framing are made of pieces.
            let Some(request) = vector["request"].as_str() else { continue };
            let more = vector["more_replies"].as_array().into_iter().flatten();
            let replies = [&vector["reply"]].into_iter().chain(more).filter_map(Value::as_str);
            all.push(Vector {
                place: format!("{file}[{i}]"),
                request: bytes(request),
                replies: replies.map(bytes).collect(),
            });
        }
    }
    Ok(all)
}

pub(crate) fn requests(folder: &Path) -> Outcome {
    let (mut whole, mut known, mut broken) = (0, 0, 0);
    let mut accepted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for vector in vectors(folder)? {
        let Ok(request) = Frame::from_bytes(&vector.request) else {
            broken += 1;
            continue;
        };
        whole += 1;
        let message = K2.decode(&request, Some(Direction::Request), None);
        let Some(function) = message.function else { continue };
        known += 1;
        let fine = vector.replies.first().and_then(|reply| Frame::from_bytes(reply).ok());
        let fine = fine.is_some_and(|reply| reply.status() == Status::OK);
        if let (true, Some(misfit)) = (fine, message.misfit) {
            let what = format!("{} {misfit}", function.name);
            accepted.entry(what).or_default().push(format!("{} {request:?}", vector.place));
        }
    }
    let mut report = format!("{whole} requests, {known} of known functions, {broken} no frames");
    for (what, places) in &accepted {
        report += &format!("\n    answered OK: {what}: {} such as {}", places.len(), places[0]);
        // The firmware does not check the LEN of address management.
        let managed = addressing::FUNCTIONS.iter().any(|function| what.starts_with(function.name));
        ensure!(managed, "{report}");
    }
    ensure!(whole > 9_000 && known > 6_000, "{report}");
    Ok(report)
}

pub(crate) fn replies(folder: &Path) -> Outcome {
    let mut replies = 0;
    let mut misfits: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for vector in vectors(folder)? {
        let Ok(request) = Frame::from_bytes(&vector.request) else { continue };
        for reply in &vector.replies {
            let Ok(reply) = Frame::from_bytes(reply) else {
                let what = "no frame".to_owned();
                misfits.entry(what).or_default().push(vector.place.clone());
                continue;
            };
            replies += 1;
            let message = K2.decode(&reply, Some(Direction::Response), Some(&request));
            let name = message.function.map_or("unknown", |function| function.name);
            if let Some(misfit) = message.misfit {
                let what = format!("{name} STATUS {:02X} {misfit}", reply.status().0);
                let place = format!("{} {request:?} {reply:?}", vector.place);
                misfits.entry(what).or_default().push(place);
            }
        }
    }
    let mut report = format!("{replies} replies");
    for (what, places) in &misfits {
        report += &format!("\n    {what}: {} such as {}", places.len(), places[0]);
    }
    // One reply is not to its request: the late answer to the second of two glued polls.
    let all: Vec<&String> = misfits.values().flatten().collect();
    ensure!(all.len() == 1 && all[0].starts_with("motion[38]"), "{report}");
    ensure!(replies > 8_000, "{report}");
    Ok(report)
}

/// Directions of requests as the vendor's host sends them, of others, and of all replies: what the
/// frame alone makes certain, and what the sequence of a request and its answers makes of those
/// requests that are not the vendor's.
pub(crate) fn directions(folder: &Path) -> Outcome {
    let (mut requests, mut others, mut replies) =
        (Directions::default(), Directions::default(), Directions::default());
    let mut paired = Directions::default();
    for vector in vectors(folder)? {
        if let Ok(request) = Frame::from_bytes(&vector.request) {
            // The firmware does not look at a request's STATUS, so others were tried.
            let message = K2.decode(&request, Some(Direction::Request), None);
            let vendors = message.function.is_some_and(|f| f.request_status == request.status())
                && request.addr().class() != Some(Class::Motor);
            let to = if vendors { &mut requests } else { &mut others };
            let found = direction::certain(&request, &K2);
            to.add(&request, found, Direction::Request, &vector.place);
            if !vendors {
                let frames = [&vector.request].into_iter().chain(&vector.replies);
                let seen = seen(frames.map(|bytes| Record::of_span(&whole(bytes))));
                let first = observed(&seen).next().ok_or("nothing seen")?;
                paired.add(&request, first.dir, Direction::Request, &vector.place);
            }
        }
        for reply in &vector.replies {
            let Ok(reply) = Frame::from_bytes(reply) else { continue };
            // The firmware takes any address that it is given, also everyone's.
            if !reply.addr().is_broadcast() {
                let found = direction::certain(&reply, &K2);
                replies.add(&reply, found, Direction::Response, &vector.place);
            }
        }
    }
    let report = format!(
        "requests: {requests}\n  replies: {replies}\n  requests that the vendor's host would not \
         send so: {}\n  the same with their answers: {}",
        others.in_short(),
        paired.in_short()
    );
    for found in [&requests, &replies, &others] {
        ensure!(found.wrong.is_empty() && found.excused.is_empty(), "{report}");
    }
    Ok(report)
}

/// A0 is answered three times back to back, from the new address: one is the answer, two are too
/// many. A1 is answered once.
pub(crate) fn address_management(folder: &Path) -> Outcome {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for vector in vectors(folder)? {
        let Ok(request) = Frame::from_bytes(&vector.request) else { continue };
        if !(0xa0..=0xa3).contains(&request.func()) || vector.replies.is_empty() {
            continue;
        }
        // Only as the vendor's host asks.
        let message = K2.decode(&request, Some(Direction::Request), None);
        let is_box = |addr: Address| matches!(addr.class(), Some(Class::Box | Class::Addressing));
        let given = if request.func() == 0xa0 { request.data().first() } else { None };
        let odd_address =
            !is_box(request.addr()) || given.is_some_and(|addr| !(1..=4).contains(addr));
        if request.status() != Status::OK || message.misfit.is_some() || odd_address {
            continue;
        }
        let frames = [&vector.request].into_iter().chain(&vector.replies);
        let records = frames.map(|bytes| Record::of_span(&whole(bytes)));
        let seen = seen(records);
        let all: Vec<&str> = exchanges(&seen).map(|exchange| exchange.outcome.name()).collect();
        ensure!(all[0] == "answered", "{}: {all:?}", vector.place);
        ensure!(all[1..].iter().all(|o| *o == "unsolicited"), "{}: {all:?}", vector.place);
        for exchange in exchanges(&seen) {
            let Some(response) = &exchange.response else { return Err("no response".into()) };
            let message = response.message();
            ensure!(message.misfit.is_none(), "{}: {message:?}", vector.place);
            ensure!(!response.implausible, "{}: {:?}", vector.place, response.frame());
            if request.func() == 0xa0 {
                let address = Address(request.data()[0]);
                ensure!(response.frame().addr() == address, "{}", vector.place);
            }
        }
        *counts.entry(format!("{:02X} x{}", request.func(), all.len())).or_default() += 1;
    }
    ensure!(counts.contains_key("A0 x3") && counts.contains_key("A1 x1"), "{counts:?}");
    Ok(format!("{counts:?}"))
}

/// The span of one whole frame (or of noise, which is then told as such).
fn whole(bytes: &[u8]) -> Span<'_> {
    let mut all = spans(bytes);
    all.next().unwrap_or(Span::Noise(Noise { offset: 0, bytes, reason: NoiseReason::Garbage }))
}

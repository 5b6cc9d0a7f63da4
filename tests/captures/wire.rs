//! Recordings: of a wire, and of the calls of a printer's host.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use k485_proto::exchange::{LatencySource, Outcome as End};
use k485_proto::record::{Direction, Record, Verdict};
use k485_sniffer::capture;
use k485_sniffer::format::ALL;
use k485_sniffer::framer::{Chunk, Framer, Place};
use k485_trace::TraceReader;
use serde_json::Value;

use crate::{Directions, Outcome, ensure, exchanges, observed, outcomes, seen};

fn records(path: &Path, format: &str) -> Result<Vec<Record>, Box<dyn std::error::Error>> {
    let file = Box::new(fs::File::open(path)?);
    let (found, records) = capture::open(ALL, &path.display().to_string(), file)?;
    ensure!(found.name() == format, "taken for {}", found.name());
    Ok(records.collect::<Result<_, _>>()?)
}

fn dump_records(folder: &Path) -> Result<Vec<Record>, Box<dyn std::error::Error>> {
    records(&folder.join("captures/wire/interceptty-filament-change.txt"), "interceptty")
}

/// A dump of both directions of a wire.
pub(crate) fn dump(folder: &Path) -> Outcome {
    let records = dump_records(folder)?;
    let noise = records.iter().filter(|record| record.verdict != Verdict::Frame).count();
    ensure!((records.len(), noise) == (545, 0), "{} records, {noise} noise", records.len());
    let seen = seen(records);
    for observed in observed(&seen) {
        let message = observed.message();
        ensure!(message.function.is_some(), "{:?} is not known", observed.frame());
        ensure!(message.misfit.is_none(), "{:?}: {:?}", observed.frame(), message.misfit);
    }
    let outcomes = outcomes(&seen);
    ensure!(!outcomes.contains_key("unsolicited"), "{outcomes:?}");
    ensure!(!outcomes.contains_key("request_not_seen"), "{outcomes:?}");
    Ok(format!("{outcomes:?}"))
}

/// The same bytes as one stream, as an adapter on the two wires hears them.
pub(crate) fn dump_without_directions(folder: &Path) -> Outcome {
    let records = dump_records(folder)?;
    let mut framer = Framer::new(Arc::from(""));
    let mut stream = Vec::new();
    let mut offset = 0;
    for record in &records {
        let place = Place::Stream(offset);
        let chunk = Chunk { time: None, dir: None, place, bytes: &record.bytes };
        framer.push(chunk, |record| stream.push(record));
        offset += record.bytes.len() as u64;
    }
    framer.idle(|record| stream.push(record));
    ensure!(stream.len() == records.len(), "{} records", stream.len());
    let told = seen(records);
    let worked_out = seen(stream);
    let mut directions = Directions::default();
    for (told, found) in observed(&told).zip(observed(&worked_out)) {
        ensure!(told.frame() == found.frame(), "{:?}, {:?}", told.frame(), found.frame());
        let Some(dir) = told.dir else { return Err("no direction in the dump".into()) };
        directions.add(&found.frame(), found.dir, dir, "");
    }
    ensure!(directions.wrong.is_empty(), "{directions}");
    ensure!(outcomes(&told) == outcomes(&worked_out), "{:?}", outcomes(&worked_out));
    // All of them are boxes, whose frames leave no doubt.
    ensure!(directions.right == 545, "{directions}");
    Ok(directions.to_string())
}

/// Another printer, one stream of bytes.
pub(crate) fn other_printer(folder: &Path) -> Outcome {
    let records = records(&folder.join("captures/wire/hi-buffer-test.bin"), "raw")?;
    let noise = records.iter().filter(|record| record.verdict != Verdict::Frame).count();
    ensure!((records.len(), noise) == (331, 0), "{} records, {noise} noise", records.len());
    let seen = seen(records);
    let unknown = observed(&seen).filter(|observed| observed.dir.is_none()).count();
    let misfits: Vec<String> = observed(&seen)
        .filter_map(|o| o.message().misfit.map(|misfit| format!("{:?}: {misfit}", o.frame())))
        .collect();
    Ok(format!("{:?}, {unknown} of unknown direction, misfits: {misfits:?}", outcomes(&seen)))
}

/// A send call as the trace's text has it, read without any of our readers.
#[derive(Debug, Default)]
struct Sent {
    call: bool,
    /// `Some(None)` is a null.
    reply: Option<Option<String>>,
}

/// The send calls of a folder, file by file.
fn sent(folder: &Path) -> Result<Vec<Sent>, Box<dyn std::error::Error>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let mut of_file: HashMap<u64, Sent> = HashMap::new();
        for line in fs::read_to_string(entry?.path())?.lines() {
            let event: Value = serde_json::from_str(line)?;
            let is_span = event["type"] == "call" || event["type"] == "return";
            if event["method"] != "cmd_send_data_with_response" || !is_span {
                continue;
            }
            let sent = of_file.entry(event["id"].as_u64().ok_or("no id")?).or_default();
            if event["type"] == "call" {
                sent.call = true;
            } else {
                let bytes = event["result"]["_bytes"].as_str();
                ensure!(bytes.is_some() || event["result"].is_null(), "{event}");
                sent.reply = Some(bytes.map(str::to_owned));
            }
        }
        all.extend(of_file.into_values());
    }
    Ok(all)
}

pub(crate) fn traces(folder: &Path) -> Outcome {
    let mut report = Vec::new();
    for name in ["printer-20251230_215751", "printer-20251230_222859", "printer-20260101_105436"] {
        let folder = folder.join("captures").join(name);
        let reader = TraceReader::open(&folder)?;
        let seen = seen(reader.collect::<Result<Vec<Record>, _>>()?);
        let of = |end: End| exchanges(&seen).filter(|exchange| exchange.outcome == end).count();

        let sent = sent(&folder)?;
        let like = |call: bool, reply: fn(&Option<Option<String>>) -> bool| {
            sent.iter().filter(|sent| sent.call == call && reply(&sent.reply)).count()
        };
        let answered = like(true, |reply| matches!(reply, Some(Some(_))));
        let silent = like(true, |reply| matches!(reply, Some(None)));
        let open = like(true, Option::is_none);
        let orphans = like(false, Option::is_some);
        ensure!(of(End::Answered) == answered, "{name}: {} of {answered}", of(End::Answered));
        ensure!(of(End::Timeout) == silent, "{name}: {} of {silent}", of(End::Timeout));
        ensure!(of(End::Unfinished) == open, "{name}: {} of {open}", of(End::Unfinished));
        let not_seen = of(End::RequestNotSeen);
        ensure!(not_seen == orphans, "{name}: {not_seen} of {orphans}");
        ensure!(exchanges(&seen).count() == sent.len(), "{name}: not one exchange a call");

        // Each reply is the one of its own call, whatever overlaps.
        for exchange in exchanges(&seen) {
            ensure!(exchange.attempts.is_none(), "{exchange:?}");
            ensure!(exchange.latency_source == Some(LatencySource::Call), "{exchange:?}");
            let (Some(request), Some(response)) = (&exchange.request, &exchange.response) else {
                continue;
            };
            let (asked, told) = (request.frame(), response.frame());
            ensure!(request.dir == Some(Direction::Request), "{asked:?}");
            ensure!(asked.func() == told.func(), "{asked:?} {told:?}");
            let call = |record: &Record| record.call.map(|call| call.id);
            ensure!(call(&request.record) == call(&response.record), "{asked:?} {told:?}");
            for message in [request.message(), response.message()] {
                ensure!(message.misfit.is_none(), "{asked:?} {told:?}: {:?}", message.misfit);
                ensure!(message.function.is_some(), "{asked:?}");
            }
        }
        report.push(format!("{name}: {:?}", outcomes(&seen)));
    }
    Ok(report.join("; "))
}

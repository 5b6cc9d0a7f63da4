//! How much of the declared layouts `discover` finds by itself, with the declarations hidden: over
//! the captures in the folder that `K485_CAPTURES` names; without it the tests report as ignored.
//!
//! The discovery looks at bytes alone, so that hiding needs no more than asking it about functions
//! that are declared. (The pairing does know the declarations; it only matters for captures that
//! tell no direction.)
//!
//! The score, in shares of declared fields that occur in the captures:
//!
//! - a *boundary* is found when a field of the layout begins and ends where the declared one does,
//!   over the payloads of the declared form (each different payload counts once);
//! - a *type* is found when that field's kind reads the same: flags (`slots`, `bits8`, `bits32le`)
//!   as flags, text kinds as text, `uniid` as `uniid`, `bytes` kinds as bytes, `u8` and `i8` as
//!   either while no value has the upper bit, every other number exactly;
//! - the total is the mean of both. *Precision* is the share of found fields that have the
//!   boundaries of a declared one.

// The score by form is what a person runs this for.
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use k485_proto::address::{Address, Class};
use k485_proto::exchange::{Observed, Pairer, Seen};
use k485_proto::frame::{Frame, Hex};
use k485_proto::message::kind::hex_bytes;
use k485_proto::message::{Kind, Width};
use k485_proto::record::{Direction, Origin, Record, Time, Verdict};
use k485_proto::status::Status;
use k485_sniffer::capture;
use k485_sniffer::discover::report::{Payloads, Report};
use k485_sniffer::discover::{Discovery, Family};
use k485_sniffer::format::ALL;
use k485_trace::reader::TraceReader;
use libtest_mimic::{Arguments, Failed, Trial};

type Outcome = Result<(), Failed>;
type Test = fn(&Path) -> Outcome;

fn main() {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os("K485_CAPTURES").map(PathBuf::from);
    let tests: [(&str, Test); 2] =
        [("real_captures", real_captures), ("transcripts_and_firmware", transcripts_and_firmware)];
    let trials = tests.map(|(name, test)| match folder.clone() {
        Some(folder) => Trial::test(name, move || test(&folder)),
        None => Trial::test(format!("{name} (ignored: K485_CAPTURES is unset)"), || Ok(()))
            .with_ignored_flag(true),
    });
    let always = Trial::test("the_command_on_a_made_up_capture", made_up_capture);
    libtest_mimic::run(&arguments, trials.into_iter().chain([always]).collect()).exit();
}

/// Requests 05 to a function that no table has, and what two boxes answer: a state, a falling float.
fn made_up_frames() -> Result<String, Failed> {
    let mut text = String::new();
    for n in 0..40_u8 {
        let addr = Address(1 + n % 2);
        let odometer = -12.5 - f32::from(n) * 7.31 - f32::from(n % 3);
        let reply = [&[n / 15 % 2 * 2][..], &odometer.to_be_bytes()].concat();
        for (status, data) in [(0xff, &[0x05][..]), (0x00, &reply)] {
            let frame = Frame::to_vec(addr, Status(status), 0x77, data)?;
            text += &format!("{}\n", Hex(&frame));
        }
    }
    Ok(text)
}

fn made_up_capture() -> Outcome {
    let run = |more: &[&str]| -> Result<String, Failed> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_k485"));
        command.args(["discover", "-"]).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        child.stdin.take().ok_or("no stdin")?.write_all(made_up_frames()?.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    let equal = |got: &str, expected: &str| {
        if got == expected { Ok(()) } else { Err(format!("got:\n{got}\nexpected:\n{expected}")) }
    };
    let text = run(&[])?;
    let (report, stub) = text.split_once("\n---").ok_or("no stub in the text")?;
    equal(report, REPORT)?;
    let stub = stub.split_once("---\n\n").map_or("", |(_, stub)| stub);
    equal(stub, STUB)?;
    equal(&run(&["--to", "toml"])?, STUB)?;
    let json: serde_json::Value = serde_json::from_str(&run(&["--to", "json"])?)?;
    let fields = &json["functions"][0]["replies"]["forms"][0]["fields"];
    equal(&fields[1]["kind"].to_string(), "\"f32be\"")?;
    let known = run(&["--func", "0a"]);
    equal(
        &known.err().map(|e| e.message().unwrap_or("").to_owned()).unwrap_or_default(),
        "k485: 40 exchanges, and none of that device and function\n",
    )?;
    Ok(())
}

const REPORT: &str = "\
40 exchanges, 1 functions

box 77 (unknown)  box1 box2
  40 requests, 40 replies
  request: 1 bytes, 40x
    @0      u8       constant  [weak]  05 x40
  reply: 5 bytes, 40x
    @0      u8       code      [fair]  0 to 2  █▅  00 x25, 02 x15
    @1-4    f32be    number    [strong]  -297.59 to -12.5  ▆▆▃▆▃▃▆▃▆▃▃▆▃▆▃▆  -12.5, -20.81, -29.119999, -34.43, … 40 different
            saves 98 bits over single bytes
";

const STUB: &str = r#"# What k485 discover made of 40 exchanges. Every layout is a guess from the
# bytes: replace the names, and check the kinds, above all where few were seen.
name = "discovered"
title = "discovered, from captures"
base = "k2"

[[function]]
class = "box"
code = 0x77
name = "FUNC_77"
doc = "Unknown; seen in 40 requests and 40 replies."
request_status = "request"

[[function.request]]
form = "Ask"
fields = [
  { name = "byte0", kind = "u8", evidence = "inferred" }, # constant, weak
]

[[function.reply]]
form = "Reply"
fields = [
  { name = "byte0", kind = "u8", evidence = "inferred", values = { 0x00 = "value_00", 0x02 = "value_02" } }, # code, fair
  { name = "float1", kind = "f32be", evidence = "inferred" }, # number, strong
]
"#;

/// What was seen, told to a discovery and kept.
#[derive(Default)]
struct Corpus {
    discovery: Discovery,
    frames: Vec<Arc<Observed>>,
}

impl Corpus {
    fn read(&mut self, records: impl Iterator<Item = Record>) {
        self.discovery.begin();
        let mut pairer = Pairer::new();
        for record in records {
            pairer.push(record);
            self.pull(&mut pairer);
        }
        pairer.finish();
        self.pull(&mut pairer);
    }

    fn pull(&mut self, pairer: &mut Pairer) {
        while let Some(seen) = pairer.pull() {
            self.discovery.see(&seen);
            if let Seen::Exchange(exchange) = seen {
                self.frames.extend(exchange.request);
                self.frames.extend(exchange.response);
            }
        }
    }
}

fn real_captures(folder: &Path) -> Outcome {
    let captures = folder.join("captures");
    let mut corpus = Corpus::default();
    let mut traces: Vec<PathBuf> =
        fs::read_dir(&captures)?.map(|entry| Ok(entry?.path())).collect::<Result<_, Failed>>()?;
    traces.sort();
    for path in traces.iter().filter(|path| path.is_dir() && !path.ends_with("wire")) {
        let reader = TraceReader::open(path).map_err(|complaint| complaint.to_string())?;
        corpus.read(reader.filter_map(Result::ok));
    }
    for name in ["interceptty-filament-change.txt", "hi-buffer-test.bin"] {
        let path = captures.join("wire").join(name);
        let (_, reading) = capture::open(ALL, name, Box::new(File::open(path)?))?;
        corpus.read(reading.filter_map(Result::ok));
    }
    Score::of(&corpus).demand("real captures", 0.86, 0.86)
}

fn record(wire: &[u8], dir: Direction, time: Option<Time>) -> Record {
    Record {
        time,
        bus: Arc::from(""),
        dir: Some(dir),
        offset: 0,
        bytes: wire.to_vec(),
        origin: Origin::Wire,
        verdict: Verdict::Frame,
        call: None,
    }
}

fn transcripts_and_firmware(folder: &Path) -> Outcome {
    let mut corpus = Corpus::default();
    let mut files: Vec<PathBuf> = Vec::new();
    for sub in ["transcripts", "vectors/box_firmware"] {
        for entry in fs::read_dir(folder.join(sub))? {
            files.push(entry?.path());
        }
    }
    files.sort();
    for path in files {
        let text = fs::read_to_string(&path)?;
        let records = match path.extension().and_then(|ext| ext.to_str()) {
            Some("txt") => transcript(&text),
            Some("json") => vectors(&serde_json::from_str(&text)?),
            _ => continue,
        };
        corpus.read(records.into_iter());
    }
    Score::of(&corpus).demand("transcripts and firmware", 0.68, 0.49)
}

/// `time direction frame` a line.
fn transcript(text: &str) -> Vec<Record> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let time = (words.next()?.parse::<f64>().ok()? * 1e9) as i64;
        let dir = match words.next()? {
            "H>" => Direction::Request,
            "S<" => Direction::Response,
            _ => return None,
        };
        Some(record(&hex_bytes(words.next()?).ok()?, dir, Some(Time(time))))
    };
    text.lines().filter_map(line).collect()
}

/// Requests with the replies of a box's firmware.
fn vectors(file: &serde_json::Value) -> Vec<Record> {
    let mut records = Vec::new();
    for vector in file["vectors"].as_array().into_iter().flatten() {
        let bytes = |key: &str| vector[key].as_str().and_then(|hex| hex_bytes(hex).ok());
        let (Some(request), Some(reply)) = (bytes("request"), bytes("reply")) else { continue };
        records.push(record(&request, Direction::Request, None));
        if !reply.is_empty() {
            records.push(record(&reply, Direction::Response, None));
        }
    }
    records
}

/// A field's place in a payload and its kind.
type Place = (usize, usize, &'static Kind);

/// One declared form: which of its fields were found.
#[derive(Default)]
struct FormScore {
    payloads: BTreeSet<Vec<u8>>,
    fields: f64,
    boundaries: f64,
    types: f64,
    found: f64,
    right: f64,
    missed: BTreeSet<String>,
}

#[derive(Default)]
struct Score {
    forms: BTreeMap<String, FormScore>,
}

impl Score {
    fn of(corpus: &Corpus) -> Score {
        let report = corpus.discovery.report();
        let mut score = Score::default();
        for observed in &corpus.frames {
            score.add(&report, observed);
        }
        score
    }

    /// Compares one payload's division with the declared one; the same payload once.
    fn add(&mut self, report: &Report, observed: &Observed) {
        let (message, frame) = (observed.message(), observed.frame());
        let (Some(function), Some(form)) = (message.function, message.form) else { return };
        if message.misfit.is_some() || frame.data().is_empty() {
            return;
        }
        let asked = observed.request.as_deref().map(Observed::frame);
        let request = observed.dir == Some(Direction::Request);
        let side = if request { "request" } else { "reply" };
        let subject = asked.as_ref().unwrap_or(&frame);
        let Some(payloads) = payloads(report, observed, subject.addr().0, frame.func(), request)
        else {
            return;
        };
        let name = format!("{} {side} {form}", function.name);
        let entry = self.forms.entry(name).or_default();
        if !entry.payloads.insert(frame.data().to_vec()) {
            return;
        }
        let chosen = if request { Some(frame.data()) } else { asked.as_ref().map(|a| a.data()) };
        let length = frame.data().len();
        let form = payloads.form(frame.status().0, chosen, length);
        let found: Vec<Place> = form
            .into_iter()
            .flat_map(|form| &form.fields)
            .map(|f| (f.offset, f.width.map_or(length, |width| f.offset + width), f.kind))
            .collect();
        let mut declared: Vec<Place> = Vec::new();
        for value in &message.fields {
            let start = declared.last().map_or(0, |(_, end, _)| *end);
            let end = match value.field.kind.width {
                Width::Fixed(width) => start + width,
                Width::Rest => length,
            };
            declared.push((start, end, value.field.kind));
        }
        declared.retain(|(start, end, _)| start < end);
        for (start, end, kind) in &declared {
            entry.fields += 1.0;
            let same = found.iter().find(|(s, e, _)| (s, e) == (start, end));
            let bytes = &frame.data()[*start..*end];
            entry.boundaries += f64::from(u8::from(same.is_some()));
            match same {
                Some((_, _, other)) if is_same(kind, other, bytes) => entry.types += 1.0,
                other => {
                    let other = other.map_or("-", |(_, _, kind)| kind.name);
                    entry.missed.insert(format!("{start}:{}->{other}", kind.name));
                }
            }
        }
        let ends: Vec<(usize, usize)> = declared.iter().map(|(s, e, _)| (*s, *e)).collect();
        entry.found += found.len() as f64;
        entry.right += found.iter().filter(|(s, e, _)| ends.contains(&(*s, *e))).count() as f64;
    }

    /// Prints the score by form and in total, and fails below the least boundary and type shares.
    fn demand(&self, what: &str, boundaries: f64, types: f64) -> Outcome {
        let mut all = [0.0; 4];
        println!("{what}: form, payloads, fields, boundaries, types, precision; what was missed");
        for (name, form) in &self.forms {
            // Each form counts by its fields, however many payloads there are.
            let n = form.payloads.len() as f64;
            let (fields, found) = (form.fields / n, form.found / n);
            println!(
                "{name:48} {n:4} {fields:5.1} {:4.0}% {:4.0}% {:4.0}%  {}",
                100.0 * form.boundaries / form.fields,
                100.0 * form.types / form.fields,
                100.0 * form.right / form.found.max(1.0),
                form.missed.iter().take(6).cloned().collect::<Vec<_>>().join(" ")
            );
            all[0] += fields;
            all[1] += form.boundaries / n;
            all[2] += form.types / n;
            all[3] += if found > 0.0 { fields * form.right / form.found } else { 0.0 };
        }
        let [fields, found, typed, right] = all;
        let (found, typed, right) = (found / fields, typed / fields, right / fields);
        println!(
            "{what}: {fields:.1} fields, boundaries {:.1}%, types {:.1}%, both {:.1}%, precision {:.1}%",
            100.0 * found,
            100.0 * typed,
            50.0 * (found + typed),
            100.0 * right
        );
        if found < boundaries || typed < types {
            return Err(format!(
                "boundaries {found:.3} (least {boundaries}), types {typed:.3} (least {types})"
            )
            .into());
        }
        Ok(())
    }
}

fn payloads<'r>(
    report: &'r Report,
    observed: &Observed,
    addr: u8,
    func: u8,
    request: bool,
) -> Option<&'r Payloads> {
    let class: Option<Class> = observed.dialect.class(Address(addr));
    let family = class.map_or(Family::Address(addr), Family::Class);
    let function = report.functions.iter().find(|f| (f.family, f.func) == (family, func))?;
    Some(if request { &function.requests } else { &function.replies })
}

/// Whether both kinds read these bytes the same.
fn is_same(declared: &Kind, found: &Kind, bytes: &[u8]) -> bool {
    let class = |kind: &Kind| match kind.name {
        "slots" | "bits8" | "bits32le" => "flags",
        "text" | "ascii3" | "tag" | "tags" => "text",
        "bytes" | "bytes2" | "version2" | "version4" => "bytes",
        "u8" | "i8" if bytes.iter().all(|byte| *byte < 0x80) => "byte",
        name => match name {
            "u8" => "u8",
            "i8" => "i8",
            "u16le" => "u16le",
            "u16be" => "u16be",
            "u32le" => "u32le",
            "u32be" => "u32be",
            "f32le" => "f32le",
            "f32be" => "f32be",
            "uniid" => "uniid",
            "address" => "address",
            _ => "other",
        },
    };
    class(declared) == class(found) && class(declared) != "other"
}

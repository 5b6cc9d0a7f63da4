//! `k485 convert` through the binary: round trips, refusals, and what tshark reads in our pcapng.
//! Over real captures where `K485_CAPTURES` names their folder; without it those report as ignored.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::{Compression, write::GzEncoder};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use tempfile::TempDir;

type Outcome = Result<(), Failed>;
type Test = fn() -> Outcome;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/captures/sample-load.hex");

/// Everything that is hard to hold: buses without and with odd names, directions told, inferred and
/// unknown, no time, a time before 1970, bare frames, calls, noise of every kind.
const NASTY: &str = "\
(1700000000.000000001) bus0 > f70103ff0a5c
(1700000000.000001501) %20odd%0aname > f70103ff0a5c
(1700000000.000001502) bus0 < f70107000a19240000e7
(-) bus0 5500 ; noise: garbage: no frame head
(1700000000.9) bus0 < f7010400080bdd ; noise: bad CRC: expected c1, received dd
(1700000000.9) bus0 f70102 ; noise: bad length: LEN 2, the least is 3
(1700000000.95) bus0 < f70107 ; noise: truncated: 3 of 10 bytes
(-1.5) b\u{fc}s > 0103ff0a ; bare; call 7, timeout 100 ms
(1700000001) b\u{fc}s < f70107000a19240000e7 ; call 7, timeout 100 ms, took 15500001 ns
(-) b\u{fc}s > 0103ff0a ; bare
(1700000002) - f781040011011d
(1700000002.5) - f781040011011d
(1700000002.6) - f781040011011d
";

fn main() {
    let arguments = Arguments::from_args();
    let tests: [(&str, Test); 11] = [
        ("formats_that_keep_all_give_the_same_decoding", same_decoding),
        ("what_is_not_kept_is_told_once", losses),
        ("tshark_agrees_on_the_sample", || tshark_agrees(&fs::read_to_string(SAMPLE)?, "hex")),
        ("tshark_agrees_on_a_nasty_capture", || tshark_agrees(NASTY, "log")),
        ("nothing_is_overwritten_unasked", overwriting),
        ("strict_makes_the_first_complaint_an_error", strict),
        ("inputs_are_merged_by_time", merging),
        ("what_is_cut_off_is_kept_up_to_there", cut_off),
        ("pipes", pipes),
        ("a_part_in_a_dialect", a_part_in_a_dialect),
        ("wrong_command_lines", wrong_command_lines),
    ];
    let mut trials: Vec<_> = tests.map(|(name, test)| Trial::test(name, test)).into();
    let folder = std::env::var_os("K485_CAPTURES").map(PathBuf::from);
    trials.push(match folder {
        Some(folder) => Trial::test("every_capture", move || every_capture(&folder)),
        None => {
            Trial::test("every_capture (K485_CAPTURES is unset)", || Ok(())).with_ignored_flag(true)
        }
    });
    libtest_mimic::run(&arguments, trials).exit();
}

fn k485<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<Output, Failed> {
    Ok(Command::new(env!("CARGO_BIN_EXE_k485")).args(args).stdin(Stdio::null()).output()?)
}

/// Runs it, and fails where its exit code is another.
fn exits<'a>(code: i32, args: impl IntoIterator<Item = &'a str>) -> Result<Output, Failed> {
    let args: Vec<_> = args.into_iter().collect();
    let output = k485(args.iter().copied())?;
    if output.status.code() == Some(code) {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{args:?}: {}, expected {code}: {said}", output.status).into())
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Outcome {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what}:\n{got:?}\nexpected\n{expected:?}").into())
}

fn text(bytes: Vec<u8>) -> Result<String, Failed> {
    Ok(String::from_utf8(bytes)?)
}

/// A folder with files in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Result<Self, Failed> {
        Ok(Folder(TempDir::new()?))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<String, Failed> {
        fs::write(self.path(name), content)?;
        Ok(self.path(name))
    }
}

/// The lines that `decode` gives, without what belongs to the file and not to the capture: offsets,
/// and whether a direction that needs no inference stands there.
fn decoded(path: &str, more: &[&str]) -> Result<Vec<Value>, Failed> {
    let args = ["decode", path, "--to", "json"].into_iter().chain(more.iter().copied());
    let lines = text(exits(0, args)?.stdout)?;
    let mut values = Vec::new();
    for line in lines.lines() {
        let mut value: Value = serde_json::from_str(line)?;
        forget(&mut value);
        values.push(value);
    }
    Ok(values)
}

fn forget(value: &mut Value) {
    let Some(object) = value.as_object_mut() else { return };
    object.remove("offset");
    if object.get("dir_source") == Some(&Value::from("given")) {
        object.insert("dir_source".to_owned(), Value::from("certain"));
    }
    object.values_mut().for_each(forget);
}

fn same(path: &str, other: &str, more: &[&str]) -> Outcome {
    let (expected, got) = (decoded(path, more)?, decoded(other, more)?);
    equal(&format!("{other}: lines"), got.len(), expected.len())?;
    for (got, expected) in got.iter().zip(&expected) {
        equal(other, got, expected)?;
    }
    Ok(())
}

fn same_decoding() -> Outcome {
    let folder = Folder::new()?;
    let nasty = folder.write("nasty.log", NASTY)?;
    for (input, ends) in [
        (SAMPLE, &["hex", "log", "jsonl", "pcapng", "log.gz", "pcapng.zst", "hex.zst"][..]),
        (&nasty, &["log", "pcapng", "log.gz", "pcapng.zst"]),
    ] {
        for end in ends {
            let path = folder.path(&format!("out.{end}"));
            let output = exits(0, ["convert", "--force", input, &path])?;
            equal(&format!("{end}: stderr"), text(output.stderr)?, String::new())?;
            same(input, &path, &["--frames"])?;
            same(input, &path, &[])?;
        }
    }
    // A second time, from packets to packets, nothing changes at all.
    let (first, second) = (folder.path("1.pcapng"), folder.path("2.pcapng"));
    exits(0, ["convert", &nasty, &first])?;
    exits(0, ["convert", &first, &second])?;
    equal("packets of packets", fs::read(second)?, fs::read(first)?)
}

fn losses() -> Outcome {
    let folder = Folder::new()?;
    let nasty = folder.write("nasty.log", NASTY)?;
    for (end, told) in [
        (
            "raw",
            "k485: raw cannot hold everything; not kept: 11 times, 10 bus names, 8 directions, \
             2 marks that a frame was given bare (head and CRC were added), 2 links to the traced \
             call, 1 ends of frames that were cut short (what follows may be read as the rest)\n",
        ),
        ("jsonl", "k485: jsonl cannot hold everything; not kept: 2 links to the traced call\n"),
    ] {
        let output = exits(0, ["convert", &nasty, &folder.path(&format!("out.{end}"))])?;
        equal(end, text(output.stderr)?, told.to_owned())?;
    }
    Ok(())
}

/// The fields of a packet that tshark tells.
const FIELDS: [&str; 7] = [
    "frame.time_epoch",
    "frame.packet_flags_direction",
    "frame.packet_flags_crc_error",
    "frame.comment",
    "frame.interface_name",
    "frame.cap_len",
    "data.data",
];

fn tshark(path: &str) -> Result<Vec<Vec<String>>, Failed> {
    let mut command = Command::new("tshark");
    command.args(["-r", path, "-T", "fields", "-E", "separator=|"]);
    command.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let output = command.output().map_err(|error| {
        format!("tshark: {error}. This test needs the real one: run ./test, which installs it")
    })?;
    if !output.status.success() {
        return Err(format!("tshark: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let lines = text(output.stdout)?;
    Ok(lines.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect())
}

/// Count, times, directions, CRC flags, comments, buses and bytes, against our own JSON.
fn tshark_agrees(capture: &str, end: &str) -> Outcome {
    let folder = Folder::new()?;
    let input = folder.write(&format!("in.{end}"), capture)?;
    let path = folder.path("out.pcapng");
    exits(0, ["convert", &input, &path])?;
    let lines = text(exits(0, ["decode", "--frames", "--to", "json", &input])?.stdout)?;
    let packets = tshark(&path)?;
    equal("packets", packets.len(), lines.lines().count())?;
    for (line, packet) in lines.lines().zip(&packets) {
        let value: Value = serde_json::from_str(line)?;
        // As it is written: a float would round it.
        let time = line.split("\"time\":").nth(1).and_then(|rest| rest.split(',').next());
        let time = time.filter(|time| *time != "null" && !time.starts_with('-'));
        let is_noise = value["type"] == "noise";
        let flags = match value["dir"].as_str() {
            Some("request") => 2,
            Some("response") => 1,
            _ => 0,
        };
        let hex = value[if is_noise { "bytes" } else { "raw" }].as_str().unwrap_or_default();
        let [got_time, got_dir, got_crc, comment, bus, size, data] = &packet[..] else {
            return Err(format!("tshark's fields: {packet:?}").into());
        };
        equal(line, got_time.as_str(), time.unwrap_or("0.000000000"))?;
        let got_dir = u32::from_str_radix(got_dir.trim_start_matches("0x"), 16).unwrap_or(0);
        equal(line, got_dir, flags)?;
        equal(line, got_crc == "1", value["reason"] == "bad_crc")?;
        // tshark escapes what is no printable character, and names what has no name.
        let expected = value["bus"].as_str().unwrap_or_default().replace('\n', "\\n");
        equal(line, bus.as_str(), if expected.is_empty() { "unknown" } else { &expected })?;
        let bare = value["bare"] == true;
        let data = if bare { data.get(2..data.len() - 2).unwrap_or_default() } else { data };
        equal(line, data, hex)?;
        equal(line, size.parse::<usize>()?, hex.len() / 2 + if bare { 2 } else { 0 })?;
        let noise = value["detail"].as_str().map(|detail| format!("noise: {detail}"));
        equal(line, comment.starts_with("noise: "), is_noise)?;
        equal(line, comment.contains(&noise.unwrap_or_default()), true)?;
        equal(line, comment.contains("bare: head and CRC were added"), bare)?;
        equal(line, comment.contains("dir inferred"), value["dir_source"] == "inferred")?;
        equal(line, comment.contains("time"), time.is_none() || comment.contains("timeout"))?;
    }
    Ok(())
}

fn overwriting() -> Outcome {
    let folder = Folder::new()?;
    let path = folder.write("out.log", "precious\n")?;
    let said = text(exits(1, ["convert", SAMPLE, &path])?.stderr)?;
    let expected =
        format!("k485: {path} exists: choose a new name, or add --force to overwrite it\n");
    equal("stderr", said, expected)?;
    equal("the file", fs::read_to_string(&path)?, "precious\n".to_owned())?;
    exits(0, ["convert", "--force", SAMPLE, &path])?;
    let before = fs::read(&path)?;
    let said = text(exits(1, ["convert", "--force", &path, &path])?.stderr)?;
    equal("stderr", said, format!("k485: {path} is both input and output\n"))?;
    equal("the file", fs::read(&path)?, before)?;
    // Nothing to read leaves nothing behind.
    let empty = folder.write("empty.log", "# nothing\n")?;
    exits(1, ["convert", "--from", "log", &empty, &folder.path("new.log")])?;
    equal("an empty output", Path::new(&folder.path("new.log")).exists(), false)
}

fn strict() -> Outcome {
    let folder = Folder::new()?;
    let broken = NASTY.replacen("(1700000000.000001501)", "(soon)", 1);
    let input = folder.write("in.log", broken)?;
    let complaint =
        format!("k485: {input}:2: `soon` is no time in seconds; the line was skipped\n");
    let out = folder.path("out.log");
    let lax = exits(3, ["convert", &input, &out])?;
    equal("lax", text(lax.stderr)?, complaint.clone())?;
    equal("lines", fs::read_to_string(&out)?.lines().count(), NASTY.lines().count() - 1)?;
    let strict = exits(1, ["convert", "--strict", "--force", &input, &out])?;
    equal("strict", text(strict.stderr)?, complaint.clone())?;
    equal("kept", fs::read_to_string(&out)?.lines().count(), 1)?;
    let strict = exits(1, ["decode", "--strict", &input])?;
    equal("decode", text(strict.stderr)?, complaint)?;
    exits(3, ["decode", &input])?;
    Ok(())
}

fn merging() -> Outcome {
    let folder = Folder::new()?;
    let line = |time: &str, bus: &str| format!("({time}.000000000) {bus} > f70103ff0a5c\n");
    let a = folder.write("a.log", [line("1", "a"), line("3", "a")].concat())?;
    let b = folder.write("b.log", [line("1", "b"), line("2", "b"), line("4", "b")].concat())?;
    let out = exits(0, ["convert", &a, &b, "-", "--to", "log"])?;
    let expected = [("1", "a"), ("1", "b"), ("2", "b"), ("3", "a"), ("4", "b")];
    let expected: String = expected.map(|(time, bus)| line(time, bus)).concat();
    equal("merged", text(out.stdout)?, expected)?;
    // Without times, one after the other, and that is told.
    let hex = folder.write("c.hex", "f70103ff0a5c\n")?;
    let out = exits(0, ["convert", &b, &hex, &a, "-", "--to", "log"])?;
    let buses: Vec<_> = text(out.stdout)?
        .lines()
        .map(|line| line.split(' ').nth(1).unwrap_or_default().to_owned())
        .collect();
    equal("one after the other", buses, ["b", "b", "b", "-", "a", "a"].map(str::to_owned).into())?;
    let told = "k485: not every input has times: written one after the other\n";
    equal("stderr", text(out.stderr)?, told.to_owned())
}

fn cut_off() -> Outcome {
    let folder = Folder::new()?;
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    let log = text(exits(0, ["convert", SAMPLE, "-", "--to", "log"])?.stdout)?;
    packer.write_all(log.as_bytes())?;
    let packed = packer.finish()?;
    let half = packed.len() / 2;
    let input = folder.write("in.log.gz", &packed[..half])?;
    let out = folder.path("out.log.zst");
    let said = text(exits(1, ["convert", &input, &out])?.stderr)?;
    let tail = format!("the gzip data is cut off: the file ends at byte {half}\n");
    equal(&said, said.starts_with(&format!("k485: {input} at byte ")), true)?;
    equal(&said, said.ends_with(&tail), true)?;
    // What was read is there and is whole.
    let kept = text(exits(0, ["convert", &out, "-", "--to", "log"])?.stdout)?;
    equal("some lines", kept.lines().count() > 50, true)?;
    equal("the beginning", log.starts_with(&kept), true)
}

fn pipes() -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_k485"))
        .args(["convert", "-", "-", "--to", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(b"f7 01 03 ff 0a 5c\n")?;
    child.stdin.take().ok_or("no stdin")?.write_all(&packer.finish()?)?;
    let output = child.wait_with_output()?;
    let line: Value = serde_json::from_slice(&output.stdout)?;
    equal("raw", line["raw"].as_str(), Some("f70103ff0a5c"))
}

/// Only what a filter holds for is written, in the names of the dialect.
fn a_part_in_a_dialect() -> Outcome {
    let out = exits(0, ["convert", "-F", "addr==box2 && func==0x10", SAMPLE, "-", "--to", "log"])?;
    let lines = text(out.stdout)?;
    let count = lines.lines().filter(|line| line.contains(" f702")).count();
    equal("frames of box 2", (lines.lines().count(), count > 10), (count, true))?;
    equal(
        "other functions",
        lines.lines().any(|line| !line.contains("ff10") && line.contains(" > ")),
        false,
    )?;
    let said = text(exits(1, ["convert", "-F", "addr==rack", SAMPLE, "-", "--to", "log"])?.stderr)?;
    equal(&said, said.contains("the filter holds for nothing"), true)?;

    let folder = Folder::new()?;
    let hex = folder.write("node.hex", b"f74103ff0a5c\n")?;
    for (dialect, device) in [("k2", "0x41"), ("hi", "node41")] {
        let out = exits(0, ["convert", "--dialect", dialect, &hex, "-", "--to", "jsonl"])?;
        let line: serde_json::Value = serde_json::from_slice(&out.stdout)?;
        equal(dialect, line["device"].as_str(), Some(device))?;
    }
    Ok(())
}

fn wrong_command_lines() -> Outcome {
    let folder = Folder::new()?;
    let said = text(exits(2, ["convert", SAMPLE, &folder.path("out.txt")])?.stderr)?;
    equal(&said, said.contains("names no format: add --to"), true)?;
    exits(2, ["convert", SAMPLE])?;
    exits(2, ["convert", SAMPLE, "-"])?;
    exits(2, ["convert", SAMPLE, "out.log", "--to", "pcap"])?;
    exits(1, ["convert", &folder.path("none.hex"), &folder.path("out.log")])?;
    equal("no output", Path::new(&folder.path("out.log")).exists(), false)
}

/// Every conversion of every real capture, and back where the format can hold it.
fn every_capture(root: &Path) -> Outcome {
    let folder = Folder::new()?;
    let mut inputs = Vec::new();
    for entry in fs::read_dir(root.join("captures"))? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let is_trace = entry.file_name() != "wire";
        for file in fs::read_dir(entry.path())? {
            let path = file?.path();
            // Of a trace, the file of the bus; the others have no frames.
            let is_bus = path.file_name().is_some_and(|n| n.to_string_lossy().contains("485"));
            if !is_trace || is_bus {
                inputs.push((path.display().to_string(), is_trace));
            }
        }
    }
    equal("captures", inputs.iter().filter(|(_, is_trace)| *is_trace).count() > 0, true)?;
    for (input, is_trace) in &inputs {
        for end in ["log", "log.zst", "pcapng", "jsonl", "jsonl.gz", "hex", "raw", "interceptty"] {
            let path = folder.path(&format!("out.{end}"));
            exits(0, ["convert", "--force", input, &path])?;
            match end {
                "log" | "log.zst" => {
                    same(input, &path, &[])?;
                    same(input, &path, &["--frames"])?;
                }
                "pcapng" | "jsonl" | "jsonl.gz" => same(input, &path, &["--frames"])?,
                _ => {}
            }
            if !is_trace && end == "pcapng" {
                same(input, &path, &[])?;
            }
            let whole = |path: &str| -> Result<Vec<String>, Failed> {
                let raw = folder.path("whole.raw");
                exits(0, ["convert", "--force", path, &raw])?;
                let frames = decoded(&raw, &["--frames"])?;
                Ok(frames.iter().map(|line| line["raw"].to_string()).collect())
            };
            // The frames' bytes, in any format. interceptty has only those with a direction.
            if end != "interceptty" {
                equal(&path, whole(&path)?, whole(input)?)?;
            }
        }
    }
    Ok(())
}

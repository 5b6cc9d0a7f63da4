//! Captures of other tools through the binary: told by content, read from a file and a pipe, named
//! with `--from`, complained about with their lines.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

const ASK: &str = "f70103ff0a5c";
const REPLY: &str = "f70107000a19240000e7";

/// Runs it on an input.
fn k485(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_k485"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have refused its command line already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Pairs of digits with a space between.
fn spaced(hex: &str) -> String {
    let pairs = hex.as_bytes().chunks(2).map(text);
    pairs.collect::<Vec<_>>().join(" ")
}

/// Names, and texts that say the same: a poll at one second, its reply 10 ms later.
fn captures() -> Vec<(&'static str, String)> {
    let (ask, reply) = (spaced(ASK), spaced(REPLY));
    let bytes = || {
        let of = |hex: &str, start: u32| -> Vec<(u32, String)> {
            let pairs = hex.as_bytes().chunks(2).map(|pair| text(pair).to_owned());
            (start..).zip(pairs).collect()
        };
        [of(ASK, 1_000_000 - 5), of(REPLY, 1_010_000 - 9)].concat()
    };
    let at = |micros: u32| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let lines = |line: &dyn Fn(u32, &str) -> String| -> String {
        bytes().iter().map(|(micros, byte)| line(*micros, byte)).collect()
    };
    let octal = |hex: &str| -> String {
        let byte = |pair| format!("\\{:03o}", u8::from_str_radix(text(pair), 16).unwrap());
        hex.as_bytes().chunks(2).map(byte).collect()
    };
    vec![
        (
            "saleae",
            "name,type,start_time,duration,\"data\",\"error\"\n".to_owned()
                + &lines(&|micros, byte| format!("\"UART\",\"data\",{},0,0x{byte},\n", at(micros))),
        ),
        (
            "sigrok",
            "samplerate: 1 MHz\n".to_owned()
                + &lines(&|micros, byte| format!("9-{micros} uart-1: {byte}\n")),
        ),
        (
            "socat",
            format!(
                "> 1970/01/01 00:00:01.000000000  length=6 from=0 to=5\n {ask}\n\
                 < 1970/01/01 00:00:01.000010000  length=10 from=0 to=9\n {reply}\n"
            ),
        ),
        (
            "strace",
            format!(
                "00:00:01.000000 write(3, \"{}\", 6) = 6\n00:00:01.010000 read(3, \"{}\", 64) = 10\n",
                octal(ASK),
                octal(REPLY)
            ),
        ),
        (
            "json",
            format!(
                "{{\"type\": \"session_start\", \"port\": \"/dev/ttyUSB0\"}}\n\
                 {{\"type\": \"frame\", \"timestamp\": 1.0, \"raw_hex\": \"{ASK}\"}}\n\
                 {{\"type\": \"frame\", \"timestamp\": 1.01, \"raw_hex\": \"{REPLY}\"}}\n"
            ),
        ),
        (
            "monitor",
            format!(
                "01.01.1970 00:00:01.000 [TX] - {ask}\n01.01.1970 00:00:01.010 [RX] - {reply}\n"
            ),
        ),
        ("table", format!("time,dir,hex\n1.000,tx,{ask}\n1.010,rx,{reply}\n")),
    ]
}

/// The lines of a log without the bus's name.
fn log(output: &Output) -> Vec<String> {
    let without_bus = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        [&words[..1], &words[2..]].concat().join(" ")
    };
    text(&output.stdout).lines().map(without_bus).collect()
}

#[test]
fn every_tool_is_told_by_content_and_can_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let expected = [format!("(1.000000000) > {ASK}"), format!("(1.010000000) < {REPLY}")];
    for (name, capture) in captures() {
        // The name says nothing.
        let path = folder.path().join("capture.trace");
        fs::write(&path, &capture).unwrap();
        let path = path.to_str().unwrap();
        let windows = capture.replace('\n', "\r\n");
        let marked = format!("\u{feff}{windows}");
        for (args, input) in [
            (&["convert", path, "-", "--to", "log"][..], ""),
            (&["convert", "-", "-", "--to", "log"], &*capture),
            (&["convert", "-", "-", "--to", "log", "--from", name], &windows),
            (&["convert", "-", "-", "--to", "log"], &marked),
        ] {
            let output = k485(args, input.as_bytes());
            assert_eq!(text(&output.stderr), "", "{name} {args:?}");
            assert_eq!(output.status.code(), Some(0), "{name} {args:?}");
            assert_eq!(log(&output), expected, "{name} {args:?}");
        }
    }
}

#[test]
fn a_broken_line_is_told_with_its_number_and_the_rest_is_read() {
    for (name, mut capture) in captures() {
        let line = capture.lines().count() + 1;
        capture.push_str(match name {
            "json" => "{\"raw_hex\"",
            "table" => "1.02,tx,f7zz",
            "saleae" => "\"UART\",\"data\",soon,0,0xF7,",
            "monitor" => "g7",
            "socat" => "> 1970/01/01 00:00:01.000010000  length=2 from=0 to=1\nno",
            _ => "no",
        });
        let output = k485(&["convert", "-", "-", "--to", "log"], capture.as_bytes());
        assert_eq!(output.status.code(), Some(3), "{name}");
        assert_eq!(log(&output).len(), 2, "{name}");
        let line = if name == "socat" { line + 1 } else { line };
        let place = format!("k485: stdin:{line}: ");
        assert!(text(&output.stderr).starts_with(&place), "{name}: {}", text(&output.stderr));
    }
}

#[test]
fn utf_16_is_refused_with_a_hint() {
    let capture = &captures()[6].1;
    for mark in ["", "\u{feff}"] {
        let wide: Vec<u8> =
            format!("{mark}{capture}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        for args in [&["decode", "-"][..], &["decode", "-", "--from", "table"]] {
            let output = k485(args, &wide);
            assert_eq!(output.status.code(), Some(1));
            let said = text(&output.stderr);
            assert!(said.contains("UTF-16") && said.contains("iconv"), "{said}");
        }
    }
}

#[test]
fn lines_of_a_trace_stay_a_trace() {
    let trace = "{\"type\": \"call\", \"id\": 5, \"time\": 1.5, \"object\": \"serial_485 serial485\", \
                 \"method\": \"cmd_send_data_with_response\", \"args\": \"{'_bytes': '0103ff0a'}, 3600\"}\n";
    let output = k485(&["convert", "-", "-", "--to", "log"], trace.as_bytes());
    assert!(text(&output.stdout).contains("0103ff0a ; bare; call "), "{output:?}");
}

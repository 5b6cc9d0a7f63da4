//! `k485 decode` as a newcomer uses it: right, wrong, and by accident. The other commands are in
//! `words.rs`.

mod common;

use std::fs;
use std::io::Read;
use std::process::Stdio;

use common::{bytes, command, file, folder, k485, k485_with, project, sample, sample_lines};
use serde_json::Value;

/// A poll of box 2, and its reply: 24 C, 39 %.
const PAIR: &str = "F7 02 03 FF 0A 5C\nF7 02 07 00 0A 18 27 00 00 4C\n";
const PAIR_SHOWN: &str =
    "box2   GET_BOX_STATE -> OK temperature=24 C humidity=39 % ran=none state=idle\n";

/// What is shown behind the column of times and latencies.
fn shown(out: &str) -> String {
    out.lines().map(|line| line.get(24..).unwrap_or(line).to_owned() + "\n").collect()
}

#[test]
fn a_file() {
    let out = k485(["decode".into(), sample()]).clean();
    let lines: Vec<&str> = out.lines().collect();
    // The day, 124 exchanges, two stretches of noise.
    assert_eq!(lines.len(), 1 + 124 + 2);
    assert_eq!(lines[0], "-- 2026-01-01 (UTC+00:00) --");
    assert_eq!(
        lines[9],
        "18:55:42.426     2.5 ms box1   GET_ADDR_TABLE -> OK device_type=box program=app \
         uniid=4b3438350153414d504c4501"
    );
    assert_eq!(out.matches("noise: ").count(), 2);
    assert_eq!(out.matches("[sent 2 times]").count(), 2, "the two requests that were sent again");
    assert!(!out.contains("data=") && !out.contains("payload"), "everything in it is known");
}

#[test]
fn stdin() {
    let from_file = k485(["decode".into(), sample()]).clean();
    let text = fs::read(sample()).unwrap();
    assert_eq!(k485_with(["decode", "-"], &text).clean(), from_file);
}

#[test]
fn frames_on_the_command_line() {
    for hex in [
        "F7 02 03 FF 0A 5C F7 02 07 00 0A 18 27 00 00 4C",
        "f70203ff0a5cf70207000a182700004c",
        "0xF7, 0x2, 0x3, 0xFF, 0xA, 0x5C, 0xF7, 0x2, 0x7, 0x0, 0xA, 0x18, 0x27, 0x0, 0x0, 0x4C",
        r"\xf7\x02\x03\xff\x0a\x5c\xf7\x02\x07\x00\x0a\x18\x27\x00\x00\x4c",
    ] {
        assert_eq!(shown(&k485(["decode", "--hex", hex]).clean()), PAIR_SHOWN, "{hex}");
    }
    // A frame as a host's call carries it is read, and marked.
    let bare = k485(["decode", "--hex", "0203ff0a f70207000a182700004c"]).clean();
    assert_eq!(shown(&bare), PAIR_SHOWN.replace(" ->", " [bare] ->"));
    let err = k485(["decode", "--hex", "f7 zz"]);
    assert!(err.err.contains("--hex:1:4: `zz` is no hex"), "{}", err.err);
}

#[test]
fn into_a_file() {
    let folder = folder();
    let (input, output) = (file(&folder, "in.hex", PAIR.as_bytes()), folder.path().join("out.txt"));
    let output = output.to_str().unwrap();
    assert_eq!(k485(["decode", &input, "-o", output]).clean(), "");
    assert_eq!(shown(&fs::read_to_string(output).unwrap()), PAIR_SHOWN);

    // Its own input is not lost, by whatever name it goes.
    let roundabout = folder.path().join("./x/../in.hex");
    fs::create_dir(folder.path().join("x")).unwrap();
    for output in [input.as_str(), roundabout.to_str().unwrap()] {
        let err = k485(["decode", &input, "-o", output]).failed(1);
        assert_eq!(err, format!("k485: {input} is both input and output\n"));
    }
    assert_eq!(fs::read_to_string(&input).unwrap(), PAIR);

    let nowhere = folder.path().join("no/such/out.txt");
    let err = k485(["decode", &input, "-o", nowhere.to_str().unwrap()]).failed(1);
    assert!(err.starts_with("k485: cannot write ") && err.contains("No such file"), "{err}");
}

#[test]
fn what_is_no_capture() {
    let folder = folder();
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    let err = k485(["decode", &missing]).failed(1);
    assert_eq!(err, format!("k485: {missing}: No such file or directory (os error 2)\n"));

    let empty = file(&folder, "empty", b"");
    let err = k485(["decode", &empty]).failed(1);
    assert_eq!(err, format!("k485: {empty}: the input is empty: there is nothing to read\n"));
    let err = k485(["decode", "-"]).failed(1);
    assert_eq!(err, "k485: stdin: the input is empty: there is nothing to read\n");

    let prose = file(&folder, "README.md", b"# A tool\n\nIt decodes the bus.\n");
    let err = k485(["decode", &prose]).failed(1);
    assert!(err.contains("README.md: text in no known capture format"), "{err}");
    // Told that it is hex all the same, it says where it is not.
    let err = k485(["decode", "--from", "hex", &prose]).failed(1);
    assert!(err.contains("README.md:3:1: `It` is no hex"), "{err}");

    let utf16 = file(&folder, "utf16.hex", b"\xff\xfeF\x007\x00 \x000\x001\x00");
    assert!(k485(["decode", &utf16]).failed(1).contains("iconv -f UTF-16"));

    assert_eq!(k485(["decode"]).code, Some(2));
    assert_eq!(k485(["decode", "--frames", "--exchanges", &empty]).code, Some(2));
    assert_eq!(k485(["decode", "--from", "pdf", &empty]).code, Some(2));
}

#[test]
fn folders() {
    let folder = folder();
    let path = folder.path().to_str().unwrap();
    let err = k485(["decode", path]).failed(1);
    assert_eq!(err, format!("k485: {path}: no file in this folder\n"));
    let err = k485(["decode", "--from", "hex", path]).failed(1);
    assert_eq!(err, format!("k485: {path}: no file in this folder\n"));

    // Two files of a trace are one capture, in the order of time.
    let send = "\"object\": \"serial_485 serial485\", \"class\": \"Serial_485_Wrapper\", \
                \"method\": \"cmd_send_data_with_response\"";
    let pair = |id: u32, second: u32, request: &str, result: &str| {
        format!(
            "{{\"type\": \"call\", \"id\": {id}, \"time\": 17672937{second}.25, {send}, \
             \"args\": \"{{'_bytes': '{request}'}}, 2\"}}\n\
             {{\"type\": \"return\", \"id\": {id}, \"time\": 17672937{second}.2625, {send}, \
             \"result\": {result}, \"duration_ms\": 12.25}}\n"
        )
    };
    let state = r#"{"_bytes": "f70207000a182700004c"}"#;
    file(
        &folder,
        "a.jsonl",
        (pair(1, 42, "0203ff0a", state) + &pair(2, 46, "0403ff05", "null")).as_bytes(),
    );
    let buffer = r#"{"_bytes": "f7010400050217"}"#;
    file(&folder, "b.jsonl", pair(1, 44, "0103ff05", buffer).as_bytes());
    assert_eq!(
        k485(["decode", path]).clean(),
        "-- 2026-01-01 (UTC+00:00) --\n\
         18:55:42.250    12.2 ms box2   GET_BOX_STATE -> OK temperature=24 C humidity=39 % \
         ran=none state=idle\n\
         18:55:44.250    12.2 ms box1   GET_BUFFER_STATE -> OK buffer=empty\n\
         18:55:46.250    12.2 ms box4   GET_BUFFER_STATE -> no reply\n"
    );
}

#[test]
fn binary_in_the_wrong_format() {
    let folder = folder();
    let wire: Vec<u8> = sample_lines().concat();
    let raw = file(&folder, "bus.bin", &wire);
    let out = k485(["decode", &raw]).clean();
    assert_eq!(out.matches("-> OK").count(), 97, "as many replies as with the times");
    // As hex it is nonsense, which is said once and not a line at a time.
    let err = k485(["decode", "--from", "hex", &raw]).failed(1);
    assert_eq!(err, format!("k485: {raw}: is binary, not hex text (--from raw reads bytes)\n"));
}

#[test]
fn a_truncated_line() {
    let folder = folder();
    // The last frame was cut in the middle of a byte.
    let cut = file(&folder, "cut.hex", PAIR.repeat(4).as_bytes().strip_suffix(b"C\n").unwrap());
    let run = k485(["decode", &cut]);
    assert_eq!(run.code, Some(3), "{}", run.err);
    assert!(
        run.err.starts_with(&format!("k485: {cut}:8:28: `4` has an odd number")),
        "{}",
        run.err
    );
    assert_eq!(run.out.matches("-> OK").count(), 3, "what came before is not lost");
    assert_eq!(run.out.matches("no reply before the capture ends").count(), 1);
    assert!(run.out.contains("truncated: 9 of 10 bytes f70207000a18270000"), "{}", run.out);

    // A whole byte is missing: that is the capture's news, not a complaint about its text.
    let cut = file(&folder, "cut2.hex", PAIR.strip_suffix(" 4C\n").unwrap().as_bytes());
    let out = k485(["decode", &cut]).clean();
    assert!(out.contains("truncated: 9 of 10 bytes f70207000a18270000"), "{out}");
}

#[test]
fn broken_utf8() {
    let folder = folder();
    let mut text = PAIR.repeat(4).into_bytes();
    text.extend_from_slice(b"F7 0\xff 03\n");
    text.extend_from_slice(PAIR.as_bytes());
    let path = file(&folder, "broken.hex", &text);
    let run = k485(["decode", &path]);
    assert_eq!(run.code, Some(3));
    assert!(run.err.starts_with(&format!("k485: {path}:9:4: ")), "{}", run.err);
    // The lone F7 before it does not cost the frames behind it.
    assert_eq!(run.out.matches("-> OK").count(), 5, "{}", run.out);
}

#[test]
fn several_files() {
    let folder = folder();
    let (a, b) = (file(&folder, "a.hex", PAIR.as_bytes()), file(&folder, "b.hex", PAIR.as_bytes()));
    let out = k485(["decode", &a, &b]).clean();
    let line = format!("{:24}{PAIR_SHOWN}", "@0");
    assert_eq!(out, format!("== {a} ==\n{line}== {b} ==\n{line}"));
    // In JSON no line but those of the schema.
    let out = k485(["decode", "--to", "json", &a, &b]).clean();
    assert_eq!(out.lines().filter(|line| line.starts_with(r#"{"type":"exchange","#)).count(), 2);
    assert_eq!(out.lines().count(), 2);
    // A request at the end of one is not answered at the beginning of the next.
    let (request, reply) = PAIR.split_once('\n').unwrap();
    let (a, b) = (file(&folder, "c", request.as_bytes()), file(&folder, "d", reply.as_bytes()));
    let out = k485(["decode", &a, &b]).clean();
    assert!(out.contains("-> no reply before the capture ends"), "{out}");
    assert!(out.contains("[request not seen]"), "{out}");
}

#[test]
fn json_lines() {
    let lines = |args: &[&str]| -> Vec<Value> {
        let out = k485(["decode", "--to", "json", sample().to_str().unwrap()].iter().chain(args));
        out.clean().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let of = |lines: &[Value], kind: &str| lines.iter().filter(|v| v["type"] == kind).count();
    let exchanges = lines(&[]);
    assert_eq!((of(&exchanges, "exchange"), of(&exchanges, "noise")), (124, 2));
    assert_eq!(exchanges.len(), 126);
    let frames = lines(&["--frames"]);
    assert_eq!((of(&frames, "frame"), of(&frames, "noise")), (223, 2));
    assert_eq!(frames.len(), 225);

    // All bytes of the capture, in its order.
    let raw = |v: &Value| bytes(v["raw"].as_str().or(v["bytes"].as_str()).unwrap());
    assert_eq!(frames.iter().flat_map(raw).collect::<Vec<u8>>(), sample_lines().concat());
}

#[test]
fn more_and_more_words() {
    let folder = folder();
    let path = file(&folder, "a.hex", PAIR.as_bytes());
    let summary = "2 frames, 1 exchange (1 answered), noise: 0 bytes in 0 places\n";
    let [request, reply] = [
        "                        > request (certain), address 02, LEN 3, STATUS FF, FUNC 0A layout Ask\n",
        "                        < response (certain), address 02, LEN 7, STATUS 00, FUNC 0A layout State\n",
    ];
    let [request_bytes, reply_bytes] = [
        "                          F7 02 03 FF 0A | 5C\n",
        "                          F7 02 07 00 0A | 18 27 00 00 | 4C\n",
    ];
    let exchange = format!("{:24}{PAIR_SHOWN}", "@0");
    let asked = "@0           > box2   GET_BOX_STATE\n";
    let answered = "@18          < box2   GET_BOX_STATE OK temperature=24 C humidity=39 % ran=none \
                    state=idle\n";
    for (args, expected) in [
        (&["-v"][..], format!("{exchange}{request}{reply}")),
        (&["-vv"], format!("{exchange}{request}{request_bytes}{reply}{reply_bytes}")),
        (&["--frames", "-v"], format!("{asked}{request}{answered}{reply}")),
        (
            &["--frames", "-vv"],
            format!("{asked}{request}{request_bytes}{answered}{reply}{reply_bytes}"),
        ),
    ] {
        let run = k485(["decode", &path].iter().chain(args));
        assert_eq!(run.code, Some(0));
        assert_eq!(run.out, expected, "{args:?}");
        assert_eq!(run.err, summary, "{args:?}");
    }
    assert_eq!(k485(["decode", &path, "--frames"]).clean(), format!("{asked}{answered}"));
}

#[test]
fn colour() {
    let path = project("captures/sample-load.hex");
    let path = path.to_str().unwrap();
    let plain = k485(["decode", path]).clean();
    assert!(!plain.contains('\x1b'), "auto is none in a pipe");
    assert_eq!(k485(["decode", "--color", "never", path]).clean(), plain);
    let colored = k485(["decode", "--color", "always", path]).clean();
    assert!(colored.contains("\x1b[32mOK\x1b[0m"));
    // Nothing but the escapes is added.
    let mut stripped = String::new();
    for part in colored.split('\x1b') {
        stripped += if stripped.is_empty() { part } else { part.split_once('m').unwrap().1 };
    }
    // The first thing in it is an escape already.
    assert_eq!(stripped.trim_start_matches("[2m"), plain);
}

#[test]
fn a_pipe_closed_early() {
    let folder = folder();
    // Far more than a pipe holds.
    let path = file(&folder, "long.hex", PAIR.repeat(20_000).as_bytes());
    for to in ["text", "json"] {
        let mut child = command(["decode", "--to", to, path.as_str()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        // Here the reader is gone.
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{to}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{to}");
    }
}

#[test]
fn help() {
    let help = k485(["--help"]).clean();
    for word in ["decode", "sniff", "encode", "explain", "unzip", "zip", "Examples:", "Exit codes:"]
    {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
    for command in ["decode", "sniff", "encode", "explain", "unzip", "zip"] {
        let help = k485([command, "--help"]).clean();
        assert!(help.contains("\nExample"), "{command} --help has no example:\n{help}");
        // An example must be one of this command, and not a line that a terminal breaks.
        let (_, examples) = help.split_once("\nExample").unwrap();
        assert!(examples.contains(&format!("\n  k485 {command} ")), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
    assert_eq!(k485::<&str>([]).code, Some(2));
    assert!(k485(["--version"]).clean().starts_with("k485 "));
}

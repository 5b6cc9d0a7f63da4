//! `k485 grep`, `-F`, `--since` and `--until` through the binary, on the sample capture.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run left behind.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the binary in UTC, from the project's folder.
fn k485(args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_k485"))
        .args(args)
        .env("TZ", "UTC")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .expect("k485 runs");
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        err: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

const SAMPLE: &str = "captures/sample-load.hex";

/// A run's lines without the one that tells the date.
fn lines(run: &Run) -> Vec<&str> {
    run.out.lines().filter(|line| !line.starts_with("-- ")).collect()
}

#[test]
fn what_is_found_is_shown_and_the_exit_code_tells() {
    let run = k485(&["grep", "noise || retry", SAMPLE]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let found = lines(&run);
    assert_eq!(found.len(), 4, "{}", run.out);
    assert!(found[0].contains("noise: 3 bytes at 5383"));
    assert!(found[3].ends_with("-> OK [sent 2 times]"));
    let run = k485(&["grep", "status!=OK", SAMPLE]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(1), "", ""));
    for args in [["grep", "adr==box1", SAMPLE], ["grep", "noise", "no such file"]] {
        let run = k485(&args);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{}", run.err);
    }
    let run = k485(&["decode", "-F", "adr==box1", SAMPLE]);
    assert_eq!(run.code, Some(2));
    let said = "k485: the filter: column 1: no field is named adr; did you mean addr?\n  \
                adr==box1\n  ^\n";
    assert_eq!(run.err, said);
}

#[test]
fn nothing_found_in_a_capture_with_gaps_is_code_3() {
    let run = k485(&["grep", "noise", "--hex", "f7 01 03 ff 0a 5c zz"]);
    assert_eq!((run.code, run.out.as_str()), (Some(3), ""), "{}", run.err);
    let run = k485(&["grep", "request", "--hex", "f7 01 03 ff 0a 5c zz"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
}

#[test]
fn what_a_filter_finds_and_what_its_opposite_finds_is_everything() {
    let count = |args: &[&str]| -> usize {
        let run = k485(&[&["grep", "-c"], args, &[SAMPLE]].concat());
        run.out.trim().parse().unwrap_or_else(|_| panic!("{}", run.err))
    };
    let all = lines(&k485(&["decode", SAMPLE])).len();
    for text in ["addr==box2", "latency>3ms", "state==idle", "noise"] {
        let found = count(&[text]);
        assert!(found > 0 && found < all, "{text}: {found}");
        assert_eq!(found + count(&["--invert", text]), all, "{text}");
        assert_eq!(found, lines(&k485(&["decode", "-F", text, SAMPLE])).len(), "{text}");
    }
    assert_eq!(count(&["exchange || noise"]), all);
    assert_eq!(count(&["--frames", "noise"]), count(&["noise"]));
    assert_eq!(count(&["-m", "3", "addr==box2"]), 3);
}

#[test]
fn context_is_marked_and_gaps_are_shown() {
    let run = k485(&["grep", "-C", "1", "noise", SAMPLE]);
    let marks: String = run.out.lines().map(|line| &line[..2]).collect();
    // The date, three lines, a gap, three lines.
    assert_eq!(marks, "--  *   --  *   ", "{}", run.out);
    let after = k485(&["grep", "-A", "2", "-m", "1", "noise", SAMPLE]);
    let marks: String = after.out.lines().map(|line| &line[..2]).collect();
    assert_eq!(marks, "--*     ", "{}", after.out);
    // What is between two finds is shown once.
    let near = k485(&["grep", "-B", "100", "retry", SAMPLE]);
    let before: Vec<&str> = near.out.lines().filter(|line| line.starts_with("  ")).collect();
    let mut once = before.clone();
    once.dedup();
    assert_eq!(before, once);
    assert_eq!(near.out.lines().filter(|line| *line == "--").count(), 0, "{}", near.out);
}

#[test]
fn hints_go_to_stderr() {
    let run = k485(&["grep", "-c", "func==10", SAMPLE]);
    assert_eq!(run.code, Some(0));
    assert!(run.err.contains("10 is decimal, which is 0x0A (GET_BOX_STATE)"), "{}", run.err);
    let run = k485(&["grep", "--frames", "outcome==timeout", SAMPLE]);
    assert!(run.err.contains("frames alone have no outcome"), "{}", run.err);
}

#[test]
fn folders_and_patterns() {
    let dir = tempfile::tempdir().unwrap();
    let sample = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(SAMPLE)).unwrap();
    fs::create_dir(dir.path().join("deep")).unwrap();
    fs::write(dir.path().join("b.hex"), &sample).unwrap();
    fs::write(dir.path().join("deep/a.hex"), b"f7 01 03 ff 0a 5c\n").unwrap();
    fs::write(dir.path().join("notes.txt"), b"Nothing to see here.\n").unwrap();
    fs::write(dir.path().join(".hidden"), b"f7 01 03 ff 0a 5c\n").unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let run = k485(&["grep", "-c", "noise", &path("")]);
    let (b, a) = (path("b.hex"), path("deep/a.hex"));
    assert_eq!(run.out, format!("{b}:2\n{a}:0\n"));
    assert!(
        run.err.contains("left out, as they are no captures:")
            && run.err.contains("notes.txt (1 in all)"),
        "{}",
        run.err
    );
    let run = k485(&["grep", "-l", "noise", &path("*")]);
    assert_eq!(run.out, format!("{b}\n"), "{}", run.err);
    let run = k485(&["grep", "-l", "request", &path("*/?.hex"), &b]);
    assert_eq!(run.out, format!("{a}\n{b}\n"), "{}", run.err);
    let run = k485(&["grep", "noise", &path("*.none")]);
    assert!(run.code == Some(2) && run.err.contains("no file has such a name"), "{}", run.err);
    // What is named and is no capture is an error, and the others are searched all the same.
    let run = k485(&["grep", "-c", "noise", &b, &path("notes.txt"), &a]);
    assert_eq!((run.code, run.out), (Some(2), format!("{b}:2\n{a}:0\n")), "{}", run.err);
    assert!(run.err.contains("1 of 3 inputs failed"), "{}", run.err);
    // An input that is found in a folder is no output either.
    let run = k485(&["decode", "-o", &b, &path("")]);
    assert!(run.code == Some(1) && run.err.contains("both input and output"), "{}", run.err);
    assert_eq!(fs::read(&b).unwrap(), sample);
    // Traces are told by their files' names and merged.
    let call = r#"{"type": "call", "id": 5, "time": 1.5, "object": "serial_485 serial485", "method": "cmd_send_data_with_response", "args": "{'_bytes': '0103ff0a'}, 3600"}"#;
    fs::write(dir.path().join("deep/x.jsonl"), call).unwrap();
    let run = k485(&["grep", "-l", "func==GET_BOX_STATE", &path("")]);
    assert_eq!(run.out, format!("{b}\n{}\n", path("deep")), "{}", run.err);
}

#[test]
fn a_part_of_the_time() {
    let shown = |args: &[&str]| -> String {
        let run = k485(&[&["decode", SAMPLE], args].concat());
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        lines(&run).iter().map(|line| &line[..12]).collect::<Vec<_>>().join(" ")
    };
    // The sample begins at 18:55:42.004.
    let second = "18:55:48.441 18:55:48.835 18:55:48.938";
    assert_eq!(shown(&["--since", "18:55:48", "--until", "18:55:49"]), second);
    assert_eq!(shown(&["--since", "6s", "--until", "7s"]), second);
    assert_eq!(shown(&["--since", "0m6s", "--until", "6900ms"]), "18:55:48.441 18:55:48.835");
    assert_eq!(shown(&["--since", "2026-01-01T19:55:48+01:00", "--until", "1767293749"]), second);
    assert_eq!(shown(&["--since", "2026-01-01 18:55:48", "--until", "18:55:48.5"]), "18:55:48.441");
    let first = "18:55:42.004 18:55:42.057";
    assert_eq!(shown(&["--until", "0.1s"]), first);
    // What is said where nothing is left, or a time is missing.
    let said = |args: &[&str]| {
        let run = k485(args);
        assert_eq!((run.code, lines(&run).len()), (Some(0), 0), "{}", run.out);
        run.err
    };
    let err = said(&["decode", SAMPLE, "--since", "10m"]);
    assert!(err.contains("it goes from 2026-01-01 18:55:42.004 to 2026-01-01 18:56:28"), "{err}");
    let err = said(&["decode", "--until", "10", SAMPLE]);
    assert!(err.contains("write 10s"), "{err}");
    let err = said(&["decode", "--since", "1s", "--hex", "f7 01 03 ff 0a 5c"]);
    assert_eq!(err.matches("it has no times").count(), 1, "{err}");
    let run = k485(&["decode", SAMPLE, "--since", "noon"]);
    assert!(run.code == Some(2) && run.err.contains("18:55:50"), "{}", run.err);
}

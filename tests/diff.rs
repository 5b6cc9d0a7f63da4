//! `k485 diff` through the binary: on the sample capture and changed copies of it, and on real
//! captures in the folder that `K485_CAPTURES` names (without it those tests report as ignored).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

type Test = fn() -> Result<(), Failed>;

const SAMPLE: &str = "captures/sample-load.hex";
/// The first reading of the wheel: asked, answered with 50.48 mm.
const READING: &str = "F7 02 07 00 0E 42 49 EF 1A 8C";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tests: [(&str, Test); 6] = [
        ("the_same_does_not_differ", the_same_does_not_differ),
        ("a_changed_byte_is_a_changed_field", a_changed_byte_is_a_changed_field),
        ("a_missing_exchange", a_missing_exchange),
        ("a_later_reply", a_later_reply),
        ("polls", polls),
        ("trouble", trouble),
    ];
    let mut trials: Vec<Trial> =
        tests.into_iter().map(|(name, test)| Trial::test(name, test)).collect();
    let name = "real_captures_do_not_differ_from_themselves";
    trials.push(match std::env::var_os("K485_CAPTURES").map(PathBuf::from) {
        Some(root) => Trial::test(name, move || real_captures(&root.join("captures"))),
        None => {
            Trial::test(name, || Ok(())).with_ignored_flag(true).with_kind("K485_CAPTURES unset")
        }
    });
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn k485(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_k485"))
        .args(args)
        .env("TZ", "UTC")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("k485 runs")
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Result<(), Failed> {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what}: {got:?}, expected {expected:?}").into())
}

/// The exit code and the text of a comparison of the sample with a changed copy.
fn changed(args: &[&str], change: fn(String) -> String) -> Result<(Option<i32>, String), Failed> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("changed.hex");
    let (before, now) = (fs::read_to_string(SAMPLE)?, change(fs::read_to_string(SAMPLE)?));
    if before == now {
        return Err("nothing was changed".into());
    }
    fs::write(&path, now)?;
    let path = path.display().to_string();
    let output = k485(&[&["diff", SAMPLE, &path], args].concat());
    Ok((output.status.code(), String::from_utf8(output.stdout)?))
}

/// The lines that are differences.
fn differences(text: &str) -> Vec<&str> {
    let body = text.lines().skip(2).take_while(|line| !line.is_empty());
    body.collect()
}

fn without_line(text: &str, part: &str) -> String {
    let lines = text.lines().filter(|line| !line.contains(part));
    lines.map(|line| format!("{line}\n")).collect()
}

fn the_same_does_not_differ() -> Result<(), Failed> {
    for polls in ["count", "align", "skip"] {
        let output = k485(&["diff", "--latency", "0", "--polls", polls, SAMPLE, SAMPLE]);
        equal("exit code", output.status.code(), Some(0))?;
        equal("text", String::from_utf8(output.stdout)?, String::new())?;
    }
    let output = k485(&["diff", "--to", "json", SAMPLE, SAMPLE]);
    let line: Value = serde_json::from_slice(&output.stdout)?;
    equal("type", &line["type"], &json!("summary"))?;
    equal("differs", &line["differs"], &json!(false))?;
    // 124 exchanges, of which 71 are polls.
    let rows = line["functions"].as_array().ok_or("functions")?;
    equal("pairs", rows.iter().filter_map(|row| row["pairs"].as_u64()).sum::<u64>(), 53)
}

fn a_changed_byte_is_a_changed_field() -> Result<(), Failed> {
    // 100.0 mm in place of 50.48 mm.
    let change = |text: String| text.replace(READING, "F7 02 07 00 0E 42 C8 00 00 2A");
    let (code, text) = changed(&[], change)?;
    equal("exit code", code, Some(1))?;
    let expected = "! 18:56:23.635 | 18:56:23.635  box2   MEASURING_WHEEL action=read: \
                    odometer 50.48 -> 100.00";
    equal("differences", differences(&text), vec![expected])?;
    let (code, text) = changed(&["--ignore", "odometer"], change)?;
    equal("ignored", (code, &*text), (Some(0), ""))?;
    let (_, text) = changed(&["--to", "json"], change)?;
    let line: Value = serde_json::from_str(text.lines().next().unwrap_or_default())?;
    equal("type", &line["type"], &json!("changed"))?;
    equal("name", &line["changes"][0]["name"], &json!("odometer"))?;
    equal("b", &line["changes"][0]["b"], &json!(100.0))?;
    equal("reply", &line["b"]["reply"], &json!("f70207000e42c800002a"))?;
    // Only the summary.
    let (code, text) = changed(&["--summary"], change)?;
    equal("exit code", code, Some(1))?;
    equal("no line for it", text.contains('!'), false)?;
    let row = "  box2    0E MEASURING_WHEEL  odometer      1           +49.52";
    equal("summary", text.lines().any(|line| line == row), true)
}

fn a_missing_exchange() -> Result<(), Failed> {
    let (code, text) = changed(&[], |text| {
        let text = without_line(&text, ") F7 01 03 FF 14 06");
        without_line(&text, ") F7 01 19 00 14 ")
    })?;
    equal("exit code", code, Some(1))?;
    let lines = differences(&text);
    equal("differences", lines.len(), 1)?;
    equal("line", lines[0].starts_with("- 18:55:43.5"), true)?;
    equal("line", lines[0].contains("  box1   GET_VERSION_SN -> OK version=1.1.3 "), true)?;
    // Its answer alone.
    let (_, text) = changed(&[], |text| without_line(&text, READING))?;
    let expected = "! 18:56:23.635 | 18:56:23.635  box2   MEASURING_WHEEL action=read: \
                    outcome answered -> timeout";
    equal("differences", differences(&text), vec![expected])
}

fn a_later_reply() -> Result<(), Failed> {
    // 100 ms and more behind its request.
    let change = |text: String| {
        let lines = text.lines().map(|line| match line.contains(READING) {
            true => format!("(1767293783.800000000) {READING}\n"),
            false => format!("{line}\n"),
        });
        lines.collect()
    };
    let (code, text) = changed(&[], change)?;
    equal("exit code", code, Some(1))?;
    let lines = differences(&text);
    equal("differences", lines.len(), 1)?;
    equal("line", lines[0].ends_with(" ms -> 164.9 ms"), true)?;
    equal("line", lines[0].contains("MEASURING_WHEEL action=read: latency "), true)?;
    let (code, text) = changed(&["--latency", "200"], change)?;
    equal("within", (code, &*text), (Some(0), ""))?;
    let (code, _) = changed(&["--ignore", "latency"], change)?;
    equal("ignored", code, Some(0))
}

fn polls() -> Result<(), Failed> {
    // The last answer of box 3 to 0A is lost.
    let change = |text: String| {
        let last = text.lines().rfind(|line| line.contains(" F7 03 07 00 0A "));
        let last = last.unwrap_or_default().to_owned();
        without_line(&text, &last)
    };
    let (code, text) = changed(&[], change)?;
    equal("exit code", code, Some(1))?;
    equal("told one by one", text.contains('!'), false)?;
    equal("told in figures", text.contains("\nPolls that differ "), true)?;
    equal("whose", text.contains("  box3    0A GET_BOX_STATE  11"), true)?;
    let (code, text) = changed(&["--polls", "align"], change)?;
    equal("exit code", code, Some(1))?;
    equal("differences", differences(&text).len(), 1)?;
    equal("skipped", changed(&["--polls", "skip"], change)?.0, Some(0))
}

fn trouble() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let odd = folder.path().join("odd.hex");
    fs::write(&odd, fs::read_to_string(SAMPLE)? + "this is no hex\n")?;
    let odd = odd.display().to_string();
    for args in [
        &["diff", SAMPLE][..],
        &["diff", SAMPLE, "no-such-file"],
        &["diff", "no-such-file", SAMPLE],
        &["diff", SAMPLE, SAMPLE, SAMPLE],
        &["diff", "-", "-"],
        &["diff", &odd, &odd],
        &["diff", SAMPLE, &odd, "-o", &odd],
        &["diff", SAMPLE, SAMPLE, "--polls", "x"],
    ] {
        let output = k485(args);
        equal(&args.join(" "), output.status.code(), Some(2))?;
        equal("a word on stderr", output.stderr.is_empty(), false)?;
    }
    Ok(())
}

fn real_captures(folder: &Path) -> Result<(), Failed> {
    for name in [
        "wire/interceptty-filament-change.txt",
        "wire/hi-buffer-test.bin",
        "printer-20251230_215751",
        "printer-20260101_105436",
    ] {
        let path = folder.join(name).display().to_string();
        let output = k485(&["diff", "--polls", "align", "--latency", "0", &path, &path]);
        equal(name, output.status.code(), Some(0))?;
        equal(name, String::from_utf8(output.stdout)?, String::new())?;
    }
    // Two printers' sessions differ, and nothing is skipped on the way.
    let path = |name: &str| folder.join(name).display().to_string();
    let (a, b) = (path("printer-20251230_222859"), path("printer-20260101_105436"));
    let output = k485(&["diff", "--to", "json", &a, &b]);
    equal("exit code", output.status.code(), Some(1))?;
    let last = String::from_utf8(output.stdout)?;
    let summary: Value = serde_json::from_str(last.lines().next_back().unwrap_or_default())?;
    equal(
        "requests",
        (&summary["a"]["requests"], &summary["b"]["requests"]),
        (&json!(983), &json!(41)),
    )
}

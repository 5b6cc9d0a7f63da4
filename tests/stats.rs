//! `k485 stats` through the binary: on the sample capture, and on real captures in the folder that
//! `K485_CAPTURES` names (without it those tests report as ignored).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

type Test = fn() -> Result<(), Failed>;
type CaptureTest = fn(&Path) -> Result<(), Failed>;

const SAMPLE: &str = "captures/sample-load.hex";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tests: [(&str, Test); 6] = [
        ("the_sample_in_figures", the_sample_in_figures),
        ("the_sample_in_text", the_sample_in_text),
        ("captures_are_counted_together", captures_are_counted_together),
        ("what_is_unknown_is_said", what_is_unknown_is_said),
        ("skipped_places_and_wrong_words", skipped_places_and_wrong_words),
        ("orders", orders),
    ];
    let real: [(&str, CaptureTest); 3] = [
        ("a_tapped_filament_change", a_tapped_filament_change),
        ("a_trace_of_four_boxes", a_trace_of_four_boxes),
        ("a_clean_load_and_unload", a_clean_load_and_unload),
    ];
    let folder = std::env::var_os("K485_CAPTURES").map(|root| PathBuf::from(root).join("captures"));
    let mut trials: Vec<Trial> =
        tests.into_iter().map(|(name, test)| Trial::test(name, test)).collect();
    trials.extend(real.into_iter().map(|(name, test)| match folder.clone() {
        Some(folder) => Trial::test(name, move || test(&folder)),
        None => {
            Trial::test(name, || Ok(())).with_ignored_flag(true).with_kind("K485_CAPTURES unset")
        }
    }));
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

fn text(args: &[&str]) -> Result<String, Failed> {
    let output = k485(args);
    equal("exit code", output.status.code(), Some(0))?;
    Ok(String::from_utf8(output.stdout)?)
}

fn figures(args: &[&str]) -> Result<Value, Failed> {
    let all = [&["stats", "--to", "json"], args].concat();
    Ok(serde_json::from_str(&text(&all)?)?)
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Result<(), Failed> {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what}: {got:?}, expected {expected:?}").into())
}

/// The row of an address and function.
fn row(report: &Value, addr: u8, func: u8) -> &Value {
    let rows = report["functions"].as_array().expect("functions");
    let is = |row: &&Value| (&row["addr"], &row["func"]) == (&json!(addr), &json!(func));
    rows.iter().find(is).unwrap_or(&Value::Null)
}

fn near(what: &str, got: &Value, expected: f64, slack: f64) -> Result<(), Failed> {
    match got.as_f64() {
        Some(got) if (got - expected).abs() <= slack => Ok(()),
        _ => Err(format!("{what}: {got}, expected about {expected}").into()),
    }
}

/// Against a count of the sample's lines, which hold a frame or noise each.
fn the_sample_in_figures() -> Result<(), Failed> {
    let report = figures(&[SAMPLE])?;
    equal("version", &report["v"], &json!(1))?;
    let sample = fs::read_to_string(SAMPLE)?;
    let lines: Vec<Vec<u8>> = sample
        .lines()
        .filter(|line| line.starts_with('('))
        .map(|line| {
            let bytes = line.split_whitespace().skip(1);
            bytes.map(|byte| u8::from_str_radix(byte, 16).map_err(Failed::from)).collect()
        })
        .collect::<Result<_, _>>()?;
    // Three stray bytes, and a reply with a wrong CRC.
    equal("records", lines.len() - 2, 223)?;
    let bytes: usize = lines.iter().map(Vec::len).sum();
    let totals = &report["totals"];
    equal("frames", &totals["frames"], &json!(223))?;
    equal("bytes", &totals["frame_bytes"], &json!(bytes - 10))?;
    equal("noise", &totals["noise_bytes"], &json!(10))?;
    equal("exchanges", &totals["exchanges"], &json!(124))?;
    let noise = json!([
        { "reason": "bad_crc", "places": 1, "bytes": 7 },
        { "reason": "garbage", "places": 1, "bytes": 3 },
    ]);
    equal("noise", &report["buses"][0]["noise"], &noise)?;
    let silent = json!([
        { "bus": "", "addr": 4, "device": "box4", "asked": 10 },
        { "bus": "", "addr": 254, "device": "unassigned", "asked": 16 },
    ]);
    equal("never answered", &report["never_answered"], &silent)?;
    // By hand: 24 lines of box 1 with 0A, 8 of box 4 with A2, 15 of box 2 with A2.
    for (addr, func, exchanges, answered, timeouts, retries) in [
        (1, 0x0a, 12, 12, 0, 0),
        (4, 0xa2, 8, 0, 8, 0),
        (2, 0xa2, 8, 7, 1, 0),
        (4, 0xa3, 2, 0, 2, 0),
    ] {
        let row = row(&report, addr, func);
        let what = format!("{addr:02x} {func:02x}");
        equal(&what, &row["exchanges"], &json!(exchanges))?;
        equal(&what, &row["answered"], &json!(answered))?;
        equal(&what, &row["timeouts"], &json!(timeouts))?;
        equal(&what, &row["retries"], &json!(retries))?;
    }
    // The request that box 3 missed, and the reply of box 1 that was damaged.
    equal("retry", &row(&report, 3, 0x0f)["retries"], &json!(1))?;
    equal("retry", &row(&report, 1, 0x08)["retries"], &json!(1))?;
    // The only exchange of box 1 with 14.
    let latency = &row(&report, 1, 0x14)["latency"];
    equal("latency", &latency["source"], &json!("wire"))?;
    let times: Vec<f64> = sample
        .lines()
        .filter(|line| line.contains(" F7 01 ") && line.split_whitespace().nth(5) == Some("14"))
        .map(|line| line[11..line.find(')').unwrap_or(11)].parse().map_err(Failed::from))
        .collect::<Result<_, _>>()?;
    near("latency", &latency["median_ms"], (times[1] - times[0]) * 1e3, 1e-3)?;
    // 2162 bytes but the first frame's 19, in 46.64 s.
    let seconds = report["duration_s"].as_f64().unwrap_or(0.0);
    let load = (bytes - 19) as f64 * 1000.0 / 230_400.0 / seconds;
    near("load", &report["buses"][0]["load_percent"], load, 1e-6)?;
    let half = figures(&["--baud", "115200", SAMPLE])?;
    near("load", &half["buses"][0]["load_percent"], 2.0 * load, 1e-6)
}

fn the_sample_in_text() -> Result<(), Failed> {
    let text = text(&["stats", SAMPLE])?;
    let wide = text.lines().find(|line| line.chars().count() > 100);
    equal("a line of more than 100 columns", wide, None)?;
    for line in [
        "223 frames (126 requests, 97 responses, 0 of unknown direction), 2152 bytes",
        "duration: 46.64 s, 2026-01-01 18:55:42.004 to 2026-01-01 18:56:28.647",
        "  unassigned  FE          16",
        "  bad crc       1      7",
    ] {
        equal(line, text.lines().any(|other| other == line), true)?;
    }
    Ok(())
}

fn captures_are_counted_together() -> Result<(), Failed> {
    let (one, two) = (figures(&[SAMPLE])?, figures(&[SAMPLE, SAMPLE])?);
    let double = |value: &Value| json!(value.as_u64().map(|n| 2 * n));
    for name in ["frames", "requests", "exchanges", "noise_bytes"] {
        equal(name, &two["totals"][name], &double(&one["totals"][name]))?;
    }
    near("duration", &two["duration_s"], 2.0 * one["duration_s"].as_f64().unwrap_or(0.0), 1e-6)?;
    let (a, b) = (row(&one, 1, 0x0a), row(&two, 1, 0x0a));
    equal("periods", &b["period"]["count"], &double(&a["period"]["count"]))?;
    equal("load", &two["buses"][0]["load_percent"], &one["buses"][0]["load_percent"])
}

fn what_is_unknown_is_said() -> Result<(), Failed> {
    let hex = ["--hex", "F7 01 03 FF 0A 5C F7 01 07 00 0A 19 24 00 00 E7"];
    let report = figures(&hex)?;
    let row = row(&report, 1, 0x0a);
    equal("answered", &row["answered"], &json!(1))?;
    for unknown in [&row["latency"], &row["period"], &report["duration_s"], &report["first_time"]] {
        equal("unknown", unknown, &Value::Null)?;
    }
    equal("load", &report["buses"][0]["load_percent"], &Value::Null)?;
    let text = text(&["stats", hex[0], hex[1]])?;
    equal("duration", text.contains("duration: unknown\n"), true)?;
    equal("load", text.contains("       2  unknown           unknown\n"), true)
}

fn skipped_places_and_wrong_words() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("odd.hex");
    fs::write(&path, fs::read_to_string(SAMPLE)? + "this is no hex\n")?;
    let path = path.display().to_string();
    equal("skipped", k485(&["stats", &path]).status.code(), Some(3))?;
    for args in
        [&["stats"][..], &["stats", SAMPLE, "--baud", "0"], &["stats", SAMPLE, "--sort", "x"]]
    {
        equal("exit code", k485(args).status.code(), Some(2))?;
    }
    equal("no file", k485(&["stats", "no-such-file"]).status.code(), Some(1))?;
    equal("own input", k485(&["stats", &path, "-o", &path]).status.code(), Some(1))
}

fn orders() -> Result<(), Failed> {
    let first = |by: &str| {
        let report = figures(&["--sort", by, SAMPLE])?;
        let row = &report["functions"][0];
        Ok::<_, Failed>((row["addr"].clone(), row["func"].clone()))
    };
    equal("count", first("count")?, (json!(1), json!(0x0a)))?;
    equal("name", first("name")?, (json!(1), json!(0x04)))?;
    equal("latency", first("latency")?, (json!(2), json!(0x10)))?;
    equal("errors", first("errors")?, (json!(4), json!(0xa2)))
}

fn a_tapped_filament_change(folder: &Path) -> Result<(), Failed> {
    let path = folder.join("wire/interceptty-filament-change.txt").display().to_string();
    let report = figures(&[&path])?;
    let counts = [
        (1, 0xa2, 120, 120),
        (254, 0xa1, 119, 0),
        (1, 0x0a, 69, 69),
        (1, 0x10, 7, 7),
        (2, 0xa3, 2, 0),
        (3, 0xa3, 2, 0),
        (4, 0xa3, 2, 0),
        (1, 0x04, 3, 3),
    ];
    for (addr, func, exchanges, answered) in counts {
        let row = row(&report, addr, func);
        let got = (&row["exchanges"], &row["answered"]);
        equal(&format!("{addr:02x} {func:02x}"), got, (&json!(exchanges), &json!(answered)))?;
    }
    equal("frames", &report["totals"]["frames"], &json!(545))?;
    equal("noise", &report["totals"]["noise_bytes"], &json!(0))?;
    equal("duration", &report["duration_s"], &Value::Null)
}

/// Against a count of the trace's own events.
fn a_trace_of_four_boxes(folder: &Path) -> Result<(), Failed> {
    let report = figures(&[&folder.join("printer-20251230_222859").display().to_string()])?;
    equal("calls", &report["totals"]["requests"], &json!(983))?;
    for (addr, func, count, period, median, most) in [
        (1, 0xa2, 187, 1.091_827, 19.348_860, 4_210.434_198),
        (2, 0xa2, 187, 1.089_205, 19.312_382, 58.070_421),
        (1, 0x0a, 50, 4.101_027, 16.875_267, 35.113_096),
        (3, 0x0a, 51, 4.103_441, 17.145_872, 4_090.745_926),
    ] {
        let row = row(&report, addr, func);
        let what = format!("{addr:02x} {func:02x}");
        equal(&what, &row["exchanges"], &json!(count))?;
        equal(&what, &row["retries"], &Value::Null)?;
        equal(&what, &row["period"]["steady"], &json!(true))?;
        near(&what, &row["period"]["median_s"], period, 1e-5)?;
        equal(&what, &row["latency"]["source"], &json!("call"))?;
        // Box 2 missed five of them.
        if (addr, func) != (2, 0xa2) {
            near(&what, &row["latency"]["median_ms"], median, 1e-5)?;
        }
        near(&what, &row["latency"]["max_ms"], most, 1e-5)?;
    }
    equal("missed", &row(&report, 2, 0xa2)["timeouts"], &json!(5))?;
    equal("load", &report["buses"][0]["load_percent"], &Value::Null)
}

fn a_clean_load_and_unload(folder: &Path) -> Result<(), Failed> {
    let report = figures(&[&folder.join("printer-20260101_105436").display().to_string()])?;
    equal("calls", &report["totals"]["requests"], &json!(41))?;
    equal("returns", &report["totals"]["returns_without_call"], &json!(9))?;
    let retract = row(&report, 2, 0x11);
    equal("retracts", &retract["answered"], &json!(5))?;
    near("the last one", &retract["latency"]["max_ms"], 12_486.0, 1.0)?;
    near("the third", &retract["latency"]["median_ms"], 465.0, 1.0)
}

//! `k485 flush` through the binary: collecting at a stand-in of a printer's API, analysing traces.

mod common;
#[path = "common/printer.rs"]
mod printer;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use common::live::{lines, next};
use common::{Run, command, file, folder, k485};
use printer::{Fate, Printer};
use serde_json::Value;

/// A printer, and a folder for what `collect` keeps.
struct Bench {
    printer: Printer,
    place: String,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let printer = Printer::new();
        let place = printer.moonraker().to_string();
        Bench { printer, place, folder: folder() }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state.jsonl")
    }

    fn collect(&self, args: &[&str]) -> Run {
        let state = self.state();
        let all = [&["flush", "collect", &self.place, "--state", state.to_str().unwrap()], args];
        k485(all.concat())
    }

    /// What the printer was told since the last look.
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.printer.model().scripts)
    }
}

const TWO: [&str; 3] = ["--tools", "T1A", "T1B"];
/// All that there is to do for two slots.
const ALL: [&str; 7] = [
    "UNLOAD_FILAMENT",
    "Tn_action tool=T1B",
    "UNLOAD_FILAMENT",
    "Tn_action tool=T1A",
    "Tn_action tool=T1B",
    "Tn_action tool=T1A",
    "TURN_OFF_HEATERS",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&TWO[..], more].concat()
}

#[test]
fn a_plan_is_shown_and_nothing_sent() {
    // Nobody is there, and nobody is asked.
    let out = k485(["flush", "collect", "no.such.host", "--dry-run", "--tools", "T1A,T2B"]).clean();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "no.such.host:7125: 4 flushes, 6 commands, about 9 min");
    assert_eq!(lines[2], "    2  Tn_action tool=T2B  none > T2B");
    assert_eq!(lines[6], "    6  Tn_action tool=T1A  T2B > T1A");
    assert_eq!(lines[7], "       TURN_OFF_HEATERS");
    // All slots of a box, where none is named: 4 first loads, 12 changes.
    let out = k485(["flush", "collect", "k2", "--dry-run"]).clean();
    assert!(out.starts_with("k2:7125: 16 flushes, 20 commands, "), "{out}");
    let bench = Bench::new();
    let run = bench.collect(&TWO);
    assert_eq!(run.code, Some(6));
    assert!(run.err.contains("nothing was sent. Add --yes"), "{}", run.err);
    assert!(bench.told().is_empty() && !bench.state().exists());
}

#[test]
fn slots_are_those_of_boxes() {
    for wrong in ["T0A", "T5A", "A"] {
        let err = k485(["flush", "collect", "k2", "--dry-run", "--tools", wrong]).failed(2);
        assert!(err.contains("T1A to T4D"), "{err}");
    }
    let one = ["flush", "collect", "k2", "--dry-run", "--changes-only", "--tools", "T1A"];
    assert!(k485(one).failed(1).contains("two slots"));
}

#[test]
fn everything_is_done_in_order_once_it_is_idle() {
    let bench = Bench::new();
    bench.printer.model().busy = 2;
    let run = bench.collect(&with(&["--yes"]));
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(bench.told(), ALL);
    assert!(run.err.contains("4 flushes done, 0 failed"), "{}", run.err);
    // Once more, and there is nothing left.
    let run = bench.collect(&with(&["--yes"]));
    assert_eq!((run.code, bench.told().len()), (Some(0), 0));
    assert!(run.err.contains("4 of 4 are done already"), "{}", run.err);
    // What was kept is a trace.
    let state = bench.state();
    let trace = fs::read_to_string(&state).unwrap();
    let events: Vec<Value> =
        trace.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((count("flush_plan"), count("call"), count("return")), (1, 7, 7));
    assert!(events.iter().any(|event| event["output"][0] == "// loaded T1B"));
}

#[test]
fn parts_of_it() {
    let bench = Bench::new();
    bench.collect(&with(&["--yes", "--first-load-only", "--keep-hot"]));
    assert_eq!(bench.told(), ALL[..4]);
    bench.collect(&with(&["--yes", "--changes-only", "--mark", "--load", "LOAD T={tool}"]));
    let told = bench.told();
    // T1A is loaded first, as nobody knows what is; that flush is done already and no pair.
    assert_eq!(told[..3], ["UNLOAD_FILAMENT", "TRACE_MARK NAME=flush_none_T1A", "LOAD T=T1A"]);
    let run = bench.collect(&with(&["--yes", "--load", "LOAD"]));
    assert_eq!((run.code, run.err.contains("{tool} is not in it")), (Some(2), true));
}

#[test]
fn never_while_it_prints() {
    let bench = Bench::new();
    for state in ["printing", "paused"] {
        bench.printer.model().printing = state.to_owned();
        let run = bench.collect(&with(&["--yes"]));
        assert_eq!(run.code, Some(6));
        assert!(run.err.contains(&format!("the printer is {state} (benchy.gcode)")), "{}", run.err);
        assert!(bench.told().is_empty());
    }
}

#[test]
fn what_the_printer_does_not_tell_is_said() {
    let bench = Bench::new();
    bench.printer.model().without = vec!["print_stats", "idle_timeout"];
    let run = bench.collect(&with(&["--yes", "--first-load-only"]));
    assert_eq!(run.code, Some(0), "{}", run.err);
    for said in ["it has no print_stats", "it has no idle_timeout"] {
        assert_eq!(run.err.matches(said).count(), 1, "{}", run.err);
    }
}

#[test]
fn not_before_it_is_idle() {
    let bench = Bench::new();
    bench.printer.model().busy = u32::MAX;
    let run = bench.collect(&with(&["--yes", "--idle", "300ms"]));
    assert_eq!(run.code, Some(5));
    assert!(run.err.contains("not idle within 0.3 s"), "{}", run.err);
    assert!(bench.told().is_empty());
}

#[test]
fn it_stops_at_an_error_and_goes_on_later() {
    let bench = Bench::new();
    bench.printer.model().next.push_back(("tool=T1A", Fate::Error("key835 blocked")));
    let run = bench.collect(&with(&["--yes"]));
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("Tn_action tool=T1A: key835 blocked"), "{}", run.err);
    assert!(run.err.contains("the heaters are off"), "{}", run.err);
    assert_eq!(bench.told(), [&ALL[..4], &ALL[6..]].concat());
    // The last line is torn, as after a power failure.
    let state = bench.state();
    let text = fs::read_to_string(&state).unwrap();
    fs::write(&state, text + "{\"type\": \"cal").unwrap();
    let run = bench.collect(&with(&["--yes"]));
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("1 of 4 are done already"), "{}", run.err);
    assert_eq!(bench.told(), [&ALL[..1], &ALL[3..]].concat());
}

#[test]
fn it_goes_on_after_an_error_where_it_should() {
    let bench = Bench::new();
    bench.printer.model().next.push_back(("tool=T1B", Fate::Error("key835 blocked")));
    let run = bench.collect(&with(&["--yes", "--on-error", "skip", "--first-load-only"]));
    assert_eq!(run.code, Some(3), "{}", run.err);
    assert!(run.err.contains("failed: none > T1B: key835 blocked"), "{}", run.err);
    assert!(run.err.contains("1 flush done, 1 failed"), "{}", run.err);
    // What is loaded is not known then: it is unloaded first.
    assert_eq!(bench.told(), [&ALL[..4], &ALL[6..]].concat());
}

#[test]
fn what_failed_may_be_made_up_for_on_the_way() {
    let bench = Bench::new();
    bench.printer.model().next.push_back(("tool=T1A", Fate::Error("key835 blocked")));
    let run = bench.collect(&with(&["--yes", "--on-error", "skip"]));
    assert_eq!(run.code, Some(0), "{}", run.err);
    // T1A > T1B asks for T1A, and nothing is loaded: that is the first load that had failed.
    let told = bench.told();
    assert_eq!(told[3..6], ["Tn_action tool=T1A", "UNLOAD_FILAMENT", "Tn_action tool=T1A"]);
    let said = "failed at first, made up for since: none > T1A: key835 blocked\n\
                4 flushes done, 0 failed, 1 of those done at a second attempt\n";
    assert!(run.err.ends_with(said), "{}", run.err);
}

#[test]
fn three_errors_in_a_row_are_enough() {
    let bench = Bench::new();
    for _ in 0..9 {
        bench.printer.model().next.push_back(("tool=", Fate::Error("key831 time-out")));
    }
    let run = bench.collect(&with(&["--yes", "--on-error", "skip"]));
    assert_eq!(run.code, Some(1), "{}", run.err);
    let loads = bench.told().iter().filter(|script| script.starts_with("Tn_action")).count();
    assert_eq!(loads, 3);
}

#[test]
fn a_shut_down_or_lost_printer_ends_it() {
    for fate in [Fate::Shutdown("MCU shutdown"), Fate::Gone, Fate::Silent] {
        let bench = Bench::new();
        bench.printer.model().next.push_back(("tool=T1B", fate.clone()));
        let more = ["--yes", "--on-error", "skip", "--timeout", "500ms"];
        let run = bench.collect(&with(&more));
        let code = if fate == Fate::Silent { 5 } else { 1 };
        assert_eq!(run.code, Some(code), "{fate:?}: {}", run.err);
        assert!(run.err.contains("the heaters were left as they are"), "{}", run.err);
        let why = run.err.lines().find(|line| line.starts_with("k485: ")).unwrap();
        assert_eq!(why.matches(&bench.place).count(), 1, "{why}");
        // Nothing more was told.
        assert_eq!(bench.told(), ALL[..2]);
    }
}

#[test]
fn commands_that_the_printer_has_not() {
    let bench = Bench::new();
    let run = bench.collect(&with(&["--yes", "--unload", "QUIT", "--on-error", "skip"]));
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("does not know QUIT. --load and --unload"), "{}", run.err);
    assert_eq!(bench.told(), ["QUIT", "TURN_OFF_HEATERS"]);
}

#[test]
fn states_of_other_printers_and_other_files() {
    let bench = Bench::new();
    bench.collect(&with(&["--yes", "--first-load-only"]));
    let state = bench.state();
    let state = state.to_str().unwrap();
    let other = ["flush", "collect", "k2", "--dry-run", "--state"];
    let err = k485(other.into_iter().chain([state])).failed(1);
    assert!(err.contains("of another printer") && err.contains("--state"), "{err}");
    fs::write(state, "[mcu]\n").unwrap();
    assert!(k485(other.into_iter().chain([state])).failed(1).contains("no state of"));
}

#[test]
fn ctrl_c_ends_a_wait() {
    let bench = Bench::new();
    bench.printer.model().next.push_back(("tool=T1B", Fate::Silent));
    let state = bench.state();
    let mut child = command(["flush", "collect", &bench.place, "--yes", "--tools", "T1A", "T1B"])
        .args(["--state", state.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let err = lines(child.stderr.take().unwrap());
    while !next(&err).expect("it is still there").contains("tool=T1B") {}
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let rest: Vec<String> = std::iter::from_fn(|| next(&err)).collect();
    assert!(rest.concat().contains("it goes on with"), "{rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    // A later run does not think it done.
    let run = bench.collect(&with(&["--dry-run"]));
    assert!(run.out.contains("none > T1B"), "{}", run.out);
}

/// A trace in which the host tells so many millimetres from slot to slot.
fn trace(lengths: &[(&str, &str, f64)]) -> String {
    let mut text = String::new();
    let mut id = 0;
    for (prev, next, length) in lengths {
        let time = 1_767_293_742 + id * 100;
        let mut line = |kind: &str, id: i32, at: f64, method: &str, rest: &str| {
            text += &format!(
                "{{\"type\": \"{kind}\", \"id\": {id}, \"time\": {}, \"object\": \"box\", \
                 \"class\": \"Box\", \"method\": \"{method}\", {rest}}}\n",
                f64::from(time) + at
            );
        };
        let args = format!("\"args\": \"{prev}, {next}\"");
        line("call", id, 0.0, "Tn_action", &format!("\"args\": \"{next}\""));
        line("call", id + 1, 50.0, "material_change_flush", &args);
        line("call", id + 2, 50.1, "get_flush_len", &args);
        line("return", id + 2, 50.2, "get_flush_len", &format!("\"result\": {length}"));
        let flush = "\"result\": true, \"duration_ms\": 20000";
        line("return", id + 1, 70.2, "material_change_flush", flush);
        line("return", id, 90.0, "Tn_action", "\"result\": true, \"duration_ms\": 90000");
        id += 3;
    }
    text
}

/// Lengths of the host's function with a factor of 1.5: white, red, black.
fn lengths() -> Vec<(&'static str, &'static str, f64)> {
    let length = |mm3: f64| (mm3 / 2.4 * 1.5).max(70.0);
    vec![
        ("T1A", "T1B", length(262.0)),
        ("T1B", "T1A", length(586.0)),
        ("T1A", "T1C", length(80.0)),
        ("T1C", "T1A", length(560.0)),
        ("T1B", "T1C", length(90.0)),
        ("T1C", "T1B", length(408.0)),
    ]
}

const SPOOLS: [&str; 6] =
    ["--spool", "T1A=ffffff", "--spool", "T1B=ff0000:101001", "--spool", "T1C=#000000"];

#[test]
fn a_trace_gives_a_table_and_the_model_behind_it() {
    let folder = folder();
    let path = file(&folder, "box.jsonl", trace(&lengths()).as_bytes());
    let out = k485(["flush", "analyze", &path].iter().chain(&SPOOLS)).clean();
    let has = |words: &str| {
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(out.lines().any(|text| line(text).contains(words)), "no {words:?} in\n{out}");
    };
    has("T1A T1B 1 163.75 109.17 ffffff > ff0000 101001 20.00 90.00");
    has("T1B 366.2 - 70.0");
    // The slots stand above their numbers.
    let matrix = out.lines().skip_while(|line| !line.starts_with("Lengths in mm")).skip(1);
    let ends = |line: &str| {
        let mut ends: Vec<usize> =
            line.match_indices(' ').map(|(at, _)| at).chain([line.len()]).collect();
        ends.retain(|end| *end > 0 && line.as_bytes()[end - 1] != b' ');
        ends
    };
    let matrix: Vec<Vec<usize>> = matrix.take(4).map(ends).collect();
    assert!(matrix[1..].iter().all(|row| row[1..] == matrix[0]), "{out}");
    // The colours foretell what they were not given; a sum of parts does not.
    has("colours 6 1.500 0.00 0.00 6 0.00 0.00 the best");
    let json = k485(["flush", "analyze", "--to", "json", &path].iter().chain(&SPOOLS)).clean();
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["best"], "colours");
    let models = report["models"].as_array().unwrap();
    let held_out = |model: &Value| model["held_out"]["mean_mm"].as_f64();
    assert!(held_out(&models[0]).is_some_and(|mean| mean < 0.01), "{json}");
    assert!(models[1..].iter().all(|model| held_out(model).is_some_and(|mean| mean > 5.0)));
    // Without the colours it is said what is missing.
    let out = k485(["flush", "analyze", &path]).clean();
    assert!(out.contains("of 6 of 6 pairs not both colours are known"), "{out}");
}

#[test]
fn colours_come_from_the_state_of_collect() {
    let bench = Bench::new();
    bench.collect(&with(&["--yes", "--first-load-only"]));
    let path = file(&bench.folder, "box.jsonl", trace(&[("T1A", "T1B", 100.0)]).as_bytes());
    let json =
        k485(["flush", "analyze", "--to", "json", &path, bench.state().to_str().unwrap()]).clean();
    let report: Value = serde_json::from_str(&json).unwrap();
    let row = &report["pairs"][0];
    assert_eq!((&row["prev_colour"], &row["next_colour"]), (&"0ffffff".into(), &"0ff1e1e".into()));
    assert_eq!(
        (&row["prev_material"], &row["next_material"]),
        (&"101001".into(), &"011002".into())
    );
    assert_eq!(row["host_mm"], 96.25);
    assert_eq!(report["spools"].as_array().unwrap().len(), 3);
    // One pair is no ground for a model.
    assert_eq!(report["best"], Value::Null);
}

#[test]
fn what_is_no_trace_or_has_no_flush() {
    let folder = folder();
    let other = file(&folder, "x.txt", b"hello\n");
    assert!(k485(["flush", "analyze", &other]).failed(1).contains("no trace"));
    let empty = file(&folder, "y.jsonl", b"{\"type\": \"connected\", \"time\": 1}\n");
    let err = k485(["flush", "analyze", &empty]).failed(1);
    assert!(err.contains("no call of get_flush_len") && err.contains("trace on"), "{err}");
    let torn = trace(&lengths()) + "{\"type\": \"call\", \"id\"";
    let torn = file(&folder, "z.jsonl", torn.as_bytes());
    let run = k485(["flush", "analyze", &torn]);
    assert_eq!((run.code, run.err.contains("torn")), (Some(3), true), "{}", run.err);
    for wrong in ["T1A", "T0A=ffffff", "T1A=fffff", "T1A=ffffff:x"] {
        k485(["flush", "analyze", &torn, "--spool", wrong]).failed(2);
    }
}

#[test]
fn lengths_from_two_colours() {
    let out = k485(["flush", "length", "000000", "#ffffff"]).clean();
    let expected = "volume  560 mm3 = 233.33 mm of filament\nlength  233.33 mm\n\
                    pieces  90.00 + 70.00 + 73.33 mm\n";
    assert_eq!(out, expected);
    let out = k485(["flush", "length", "ffffff", "000000"]).clean();
    assert!(out.contains("length  70.00 mm, the least that is flushed"), "{out}");
    let out = k485(["flush", "length", "000000", "ffffff", "--to", "json"]).clean();
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&all["volume_mm3"], &all["from"]), (&560.into(), &"0000000".into()));
    k485(["flush", "length", "000000", "white"]).failed(2);
}

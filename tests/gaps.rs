//! Places where bytes are missing, through every command that reads captures.

mod common;

use common::{file, folder, k485, project};
use serde_json::Value;
use std::process::Command;

/// A poll whose reply is in the gap, and one after it.
const LOG: &str = "\
(1767293742.000000000) bus0 f70103ff0a5c
(1767293742.003000000) bus0 f70107000a19240000e7
(1767293743.000000000) bus0 f70103ff0a5c
(1767293746.200000000) bus0 - ; gap: unplugged, 3199000000 ns
(1767293747.000000000) bus0 f70103ff0a5c
(1767293747.003000000) bus0 f70107000a19240000e7
(1767293747.500000000) bus0 - ; gap: overrun, 12 bytes
";

#[test]
fn a_gap_is_shown_filtered_and_counted() {
    let folder = folder();
    let path = file(&folder, "a.log", LOG.as_bytes());
    let shown = k485(["decode", &path]).clean();
    assert!(shown.contains("gap: the port was away for 3.1 s\n"), "{shown}");
    assert!(shown.contains("gap: the port lost 12 bytes\n"), "{shown}");
    assert_eq!(shown.matches("-> no reply before the capture ends or has a gap").count(), 1);
    assert_eq!(shown.matches("-> OK").count(), 2, "{shown}");
    assert_eq!(k485(["grep", "-c", "gap", &path]).clean(), "2\n");
    assert_eq!(k485(["grep", "-c", "gap && reason==overrun", &path]).clean(), "1\n");
    assert_eq!(k485(["grep", "-c", "--frames", "noise", &path]).out, "0\n");
    let part = k485(["decode", "-F", "gap", "--since", "5s", &path]).clean();
    assert_eq!(part.matches("gap: ").count(), 1, "{part}");

    let report: Value =
        serde_json::from_str(&k485(["stats", "--to", "json", &path]).clean()).unwrap();
    let totals = &report["totals"];
    assert_eq!((&totals["gaps"], &totals["lost_bytes"]), (&2.into(), &12.into()));
    assert_eq!((&totals["gap_s"], &report["buses"][0]["gaps"]), (&3.199.into(), &2.into()));
    let text = k485(["stats", &path]).clean();
    assert!(text.contains("gaps: 2 (3.20 s, 12 bytes lost)\n"), "{text}");
    // Gaps are no difference by themselves.
    assert_eq!(k485(["diff", &path, &path]).code, Some(0));
}

#[test]
fn a_gap_as_json_is_what_the_schema_says() {
    let folder = folder();
    let path = file(&folder, "a.log", LOG.as_bytes());
    let schema = std::fs::read_to_string(project("docs/jsonl.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    for unit in ["--exchanges", "--frames"] {
        let out = k485(["decode", "--to", "json", unit, &path]).clean();
        let lines: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let gaps: Vec<_> = lines.iter().filter(|line| line["type"] == "gap").collect();
        assert_eq!(gaps.len(), 2);
        for gap in &gaps {
            assert!(validator.is_valid(gap), "{gap}");
            for key in gap.as_object().unwrap().keys() {
                let mut bad = (*gap).clone();
                bad.as_object_mut().unwrap().remove(key);
                assert!(!validator.is_valid(&bad), "{key} may be missing");
            }
        }
        assert_eq!(gaps[0]["reason"], "unplugged");
        assert_eq!(gaps[0]["duration_ms"], 3199.0);
        assert_eq!(gaps[1]["lost_bytes"], 12);
    }
}

#[test]
fn what_can_hold_a_gap_gives_it_back() {
    let folder = folder();
    let path = file(&folder, "a.log", LOG.as_bytes());
    let name = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for middle in ["a.pcapng", "a.jsonl"] {
        k485(["convert", &path, &name(middle)]).clean();
        let again = name(&format!("{middle}.log"));
        k485(["convert", &name(middle), &again]).clean();
        let (a, b) = (k485(["decode", &path]).clean(), k485(["decode", &again]).clean());
        assert_eq!(a, b, "{middle}");
    }
    for (other, losses) in [("a.hex", "5 bus names, "), ("a.raw", "5 times, 5 bus names, ")] {
        let run = k485(["convert", &path, &name(other)]);
        assert_eq!(run.code, Some(0));
        assert!(run.err.contains("2 gaps (places where bytes are missing)"), "{}", run.err);
        // What else a gap has is lost with it.
        assert!(run.err.contains(losses), "{}", run.err);
    }
}

#[test]
fn tshark_shows_gaps() {
    let folder = folder();
    let path = file(&folder, "a.log", LOG.as_bytes());
    let packets = folder.path().join("a.pcapng");
    k485(["convert", &path, packets.to_str().unwrap()]).clean();
    let fields = ["-T", "fields", "-e", "frame.len", "-e", "frame.comment"];
    let run = Command::new("tshark").arg("-r").arg(&packets).args(fields).output();
    let run = run.expect("tshark: this test needs the real one: run ./test, which installs it");
    let out = String::from_utf8(run.stdout).unwrap();
    let err = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success() && !err.contains("damaged"), "{err}");
    let gaps: Vec<&str> = out.lines().filter(|line| line.contains("gap: ")).collect();
    assert_eq!(gaps, ["0\tgap: unplugged, 3199000000 ns", "0\tgap: overrun, 12 bytes"], "{out}");
    assert_eq!(out.lines().count(), 7);
}

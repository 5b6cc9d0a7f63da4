//! `k485 ctl`.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bench::{Bench, Host};

#[track_caller]
fn done(bench: &Bench, args: &[&str]) -> String {
    let (code, out, err) = bench.ctl(args);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
    out
}

#[test]
fn every_command_does_what_it_says() {
    let bench = Bench::start(&[]);
    let state = || -> Value { serde_json::from_str(&done(&bench, &["state", "--json"])).unwrap() };
    let slot = |n: usize| state()["bus"]["boxes"][0]["slots"][n].clone();
    for args in [
        &["insert", "T1D", "PETG", "00ff00", "--length", "5000", "--remain", "7"][..],
        &["jam", "T1A"],
        &["jam", "T1B", "--at", "700"],
        &["slip", "1"],
        &["block", "1", "hub"],
        &["sensor", "T1C", "hub", "on"],
        &["toolhead", "on"],
        &["buffer", "full"],
        &["climate", "1", "-5", "30"],
        &["unplug", "2"],
        &["extrude", "-3"],
        &["extruder", "2.5"],
        &["cut"],
        &["reset", "1"],
        &["hand", "{\"do\":\"motor\",\"address\":129,\"errors\":1}"],
    ] {
        assert_eq!(done(&bench, args), "", "{args:?}");
    }
    let now = state();
    let one = &now["bus"]["boxes"][0];
    assert_eq!(one["slots"][3]["spool"]["remain"], 7);
    assert_eq!(one["slots"][3]["spool"]["colour"], "00ff00");
    assert_eq!(
        (one["slots"][0]["jammed"].as_bool(), one["slots"][1]["jam_at"].as_f64()),
        (Some(true), Some(700.0))
    );
    assert_eq!((one["slips"].as_bool(), one["blocked"][0].as_str()), (Some(true), Some("hub")));
    assert_eq!(one["slots"][2]["forced"][0], "hub");
    assert_eq!(one["climate"][0], -5);
    assert_eq!(now["bus"]["boxes"][1]["plugged"], false);
    assert_eq!(
        (now["bus"]["buffer"]["held"].as_bool(), now["bus"]["extruder"].as_f64()),
        (Some(true), Some(2.5))
    );
    let text = done(&bench, &["state"]);
    assert!(text.contains("T1A") && text.contains("JAMMED"), "{text}");
    assert!(text.contains("box 2     unplugged") && text.contains("hub slips"), "{text}");
    done(&bench, &["pull-out", "T1D"]);
    assert_eq!(slot(3)["spool"], Value::Null);
    done(&bench, &["place", "T1D", "400", "ABS"]);
    done(&bench, &["break", "T1D", "200"]);
    assert_eq!(slot(3)["filament"].as_array().unwrap().len(), 2);
    done(&bench, &["clear", "T1D"]);
    done(&bench, &["run-out", "T1C", "12"]);
    assert_eq!(slot(2)["spool"]["left"], 12.0);
    done(&bench, &["unjam", "T1A"]);
    assert_eq!(slot(0)["jammed"], false);
    done(&bench, &["toolhead", "truth"]);
    done(&bench, &["buffer", "free"]);
    done(&bench, &["plug", "2"]);
    done(&bench, &["climate", "1"]);
    assert_eq!(state()["bus"]["boxes"][0]["climate"], Value::Null);
}

#[test]
fn faults_scene_time_and_exchanges() {
    let bench = Bench::start(&[]);
    assert_eq!(done(&bench, &["fault", "add", "drop p=0"]), "1\n");
    assert_eq!(done(&bench, &["fault", "add", "echo p=0"]), "2\n");
    assert_eq!(done(&bench, &["fault", "remove", "1"]), "");
    assert_eq!(done(&bench, &["fault", "list"]), "2  struck 0 of 0  echo p=0\n");
    done(&bench, &["fault", "clear"]);
    assert_eq!(done(&bench, &["fault", "list"]), "");
    let scene = bench.folder.path().join("one.toml");
    std::fs::write(&scene, "[[box]]\nA = { material = 'ABS' }\n").unwrap();
    done(&bench, &["scene", scene.to_str().unwrap()]);
    assert_eq!(bench.state()["bus"]["boxes"].as_array().unwrap().len(), 1);
    done(&bench, &["scene"]);
    assert!(done(&bench, &["clock", "pause"]).ends_with("s, paused\n"));
    let before = bench.elapsed();
    done(&bench, &["clock", "step", "5s"]);
    assert!((bench.elapsed() - before - 5.0).abs() < 1e-6);
    assert!(done(&bench, &["clock", "speed", "10"]).contains("paused"));
    assert!(done(&bench, &["clock", "go"]).contains("goes at 10x"));
    done(&bench, &["clock", "speed", "1"]);
    let mut host = Host::open(&bench.pty());
    host.assign(&bench, 1);
    host.ask(1, 0xff, 0x05, &[]);
    host.ask(1, 0xff, 0x14, &[]);
    let lines = done(&bench, &["exchanges", "-F", "func==0x05"]);
    assert!(lines.contains("GET_BUFFER_STATE") && lines.lines().count() == 1, "{lines}");
    let json = done(&bench, &["exchanges", "-n", "1", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["request"]["func"], 0x14);
}

#[test]
fn what_is_wrong_is_said() {
    let bench = Bench::start(&[]);
    let failed = |args: &[&str]| {
        let (code, out, err) = bench.ctl(args);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        err
    };
    assert!(failed(&["unplug", "3"]).contains("there is no box 3: this bus has 2"));
    assert!(failed(&["fault", "add", "dropp"]).contains("did you mean drop?"));
    assert!(failed(&["fault", "remove", "9"]).contains("there is no fault 9"));
    assert!(failed(&["hand", "{\"do\":\"cutt\"}"]).contains("`cut`"));
    assert!(failed(&["hand", "{"]).contains("the hand is no JSON"));
    assert!(failed(&["exchanges", "-F", "adr"]).contains("the filter"));
    assert!(failed(&["--url", "http://127.0.0.1:1/", "state"]).contains("nobody answers there"));
    assert!(failed(&["--url", "127.0.0.1:1", "state"]).contains("write the page's URL"));
    assert_eq!(bench.ctl(&["jam", "T9A"]).0, Some(2));
    // By its URL, with the token in it, in a file, or known from the one that runs.
    let url = format!("http://{}/", bench.address);
    done(&bench, &["--url", &url, "cut"]);
    done(&bench, &["--url", &format!("{url}#token={}", bench.token), "cut"]);
    let folder = tempfile::tempdir().unwrap();
    let other = |url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_k485"));
        command.args(["ctl", "--url", url, "cut"]).env("XDG_RUNTIME_DIR", folder.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = other(&url);
    assert_eq!(code, Some(1));
    assert!(said.contains("the token is missing or wrong"), "{said}");
    assert_eq!(other(&format!("{url}#token={}", bench.token)).0, Some(0));
    // Without any that runs.
    let mut command = Command::new(env!("CARGO_BIN_EXE_k485"));
    command.args(["ctl", "cut"]).env("XDG_RUNTIME_DIR", folder.path()).stdin(Stdio::null());
    let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(said.contains("no emulator of yours runs with --control"), "{said}");
}

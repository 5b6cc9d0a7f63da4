//! What can be asked for and done.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::{Bench, Host};
use crate::http::LONG;

const SCENE: &str = "title = 'Another one'\n[[box]]\nA = { material = 'ABS', colour = '00ff00' }\n";

#[test]
fn the_state_is_told_and_hands_change_it() {
    let bench = Bench::start(&[]);
    let state = bench.state();
    assert_eq!((&state["kind"], &state["read_only"]), (&json!("emulator"), &json!(false)));
    assert_eq!(state["clock"]["virtual"], false);
    let one = &state["bus"]["boxes"][0];
    assert_eq!((&one["version"], &one["state"]), (&json!("1.1.3"), &json!("idle")));
    let slot = &one["slots"][0];
    assert_eq!(slot["spool"]["material"], "PLA");
    assert_eq!(slot["spool"]["colour"], "e72f1d");
    assert_eq!((&slot["inlet"], &slot["jammed"]), (&json!(true), &json!(false)));
    assert!(one["geometry"]["extruder"].as_f64() > one["geometry"]["hub"].as_f64());

    let state = bench.act(json!({ "do": "jam", "slot": "T1A" }));
    assert_eq!(state["bus"]["boxes"][0]["slots"][0]["jammed"], true);
    let spool = json!({ "material": "PETG", "colour": "00ff00" });
    let state = bench.act(json!({ "do": "insert", "slot": "T1D", "spool": spool }));
    assert_eq!(state["bus"]["boxes"][0]["slots"][3]["spool"]["material"], "PETG");
    let state = bench.act(json!({ "do": "unplug", "box": 2 }));
    assert_eq!(state["bus"]["boxes"][1]["plugged"], false);
    let state = bench.act(json!({ "do": "toolhead", "shows": "on" }));
    assert_eq!(
        (&state["bus"]["toolhead"], &state["bus"]["toolhead_forced"]),
        (&json!(true), &json!(true))
    );
    // What cannot be done is told in the words of whoever knows.
    let wrong = bench.ask("POST", "/api/v1/hands", Some(&json!({ "do": "plug", "box": 3 })));
    assert_eq!(wrong.refusal(), (422, "unprocessable".to_owned()));
    assert_eq!(wrong.json()["error"], "there is no box 3: this bus has 2");
}

#[test]
fn the_bus_sees_what_is_done() {
    let bench = Bench::start(&["--virtual"]);
    let mut host = Host::open(&bench.pty());
    host.assign(&bench, 1);
    // To the hub's sensor, by a feeder whose filament holds fast: EXTRUDE_ERR1 after 7 s of it.
    bench.act(json!({ "do": "jam", "slot": "T1A" }));
    assert_eq!(host.ask(1, 0xff, 0x10, &[1, 0, 0]).0, 0x05);
    let state = bench.state();
    let trouble = &state["bus"]["boxes"][0]["trouble"];
    assert_eq!(trouble["name"], "EXTRUDE_ERR1");
    assert_eq!(trouble["keys"][0]["key"], "key835");
    assert!(trouble["meaning"].as_str().unwrap().contains("hub sensor"));
    bench.act(json!({ "do": "unjam", "slot": "T1A" }));
    // The error is latched until the box is told to be idle.
    assert_eq!(host.ask(1, 0xff, 0x04, &[0, 1]).0, 0);
    assert_eq!(host.ask(1, 0xff, 0x10, &[1, 0, 0]).0, 0);
}

#[test]
fn faults_come_and_go_while_it_runs() {
    let bench = Bench::start(&["--fault", "delay 1ms p=0"]);
    let mut host = Host::open(&bench.pty());
    host.assign(&bench, 1);
    let faults = bench.get("/api/v1/faults");
    assert_eq!(faults["faults"][0]["rule"], "delay 1ms p=0");
    let id = bench.post("/api/v1/faults", json!({ "rule": "drop if func==0x05 dir=response" }));
    let id = id["id"].as_u64().unwrap();
    host.send(1, 0xff, 0x05, &[]);
    let until = Instant::now() + LONG;
    // The reply is lost, and that is counted.
    loop {
        let faults = bench.get("/api/v1/faults");
        let mut all = faults["faults"].as_array().unwrap().iter();
        if all.any(|fault| fault["id"] == id && fault["struck"] == 1) {
            break;
        }
        assert!(Instant::now() < until, "{faults}");
    }
    assert!(host.read(1, Duration::from_millis(50)).is_empty());
    let path = format!("/api/v1/faults/{id}");
    assert_eq!(bench.ask("DELETE", &path, None).status, 204);
    assert_eq!(bench.ask("DELETE", &path, None).refusal(), (404, "not_found".to_owned()));
    assert_eq!(host.ask(1, 0xff, 0x05, &[]).0, 0);
    assert_eq!(bench.ask("DELETE", "/api/v1/faults", None).status, 204);
    assert_eq!(bench.get("/api/v1/faults")["faults"], json!([]));
    let wrong = bench.ask("POST", "/api/v1/faults", Some(&json!({ "rule": "dropp" })));
    assert_eq!(wrong.json()["error"], "no kind of fault is named \"dropp\"; did you mean drop?");
    // A device that a rule made silent speaks again when the rule is gone.
    let id = bench.post("/api/v1/faults", json!({ "rule": "offline 1h if func==0x05 times=1" }));
    host.send(1, 0xff, 0x05, &[]);
    assert!(host.read(1, Duration::from_millis(100)).is_empty());
    assert_eq!(bench.ask("DELETE", &format!("/api/v1/faults/{}", id["id"]), None).status, 204);
    assert_eq!(host.ask(1, 0xff, 0x05, &[]).0, 0);
}

#[test]
fn a_scene_is_loaded_while_clients_stay() {
    let bench = Bench::start(&[]);
    let mut host = Host::open(&bench.pty());
    host.assign(&bench, 1);
    assert_eq!(host.ask(1, 0xff, 0x05, &[]).0, 0);
    let state = bench.post("/api/v1/scene", json!({ "toml": SCENE }))["state"].take();
    assert_eq!(state["scene"], json!({ "name": null, "title": "Another one" }));
    assert_eq!(state["bus"]["boxes"].as_array().unwrap().len(), 1);
    assert_eq!(state["bus"]["boxes"][0]["slots"][0]["spool"]["material"], "ABS");
    // The same client finds another box, which has no address yet.
    let (status, who) = host.ask(0xfe, 0, 0xa1, &[0xfe, 0xfe]);
    assert_eq!((status, who.len()), (0, 14));
    assert_eq!(who[2..], uniid(&state)[..]);
    // What is wrong with a scene is told, all of it, and nothing has changed.
    let text = "[[box]]\nsmell = 1\n[bus]\nbaud = 'x'\n";
    let wrong = bench.ask("POST", "/api/v1/scene", Some(&json!({ "toml": text })));
    assert_eq!(wrong.refusal().0, 422);
    let said = wrong.json()["error"].as_str().unwrap().to_owned();
    assert!(said.contains("2:1: unknown key \"smell\"") && said.contains("4:8: baud"), "{said}");
    let other = json!({ "toml": "[bus]\nbaud = 115200\n" });
    let wrong = bench.ask("POST", "/api/v1/scene", Some(&other));
    assert!(wrong.json()["error"].as_str().unwrap().contains("115200"), "{wrong:?}");
    assert_eq!(bench.state()["scene"]["title"], "Another one");
    // And back to what it began with.
    let state = bench.post("/api/v1/scene", json!({}))["state"].take();
    assert_eq!(state["bus"]["boxes"].as_array().unwrap().len(), 2);
    host.assign(&bench, 1);
    assert_eq!(host.ask(1, 0xff, 0x05, &[]).0, 0);
}

fn uniid(state: &Value) -> Vec<u8> {
    let text = state["bus"]["boxes"][0]["uniid"].as_str().unwrap();
    k485_proto::message::kind::hex_bytes(text).unwrap()
}

#[test]
fn what_the_bus_carries_can_be_asked_for() {
    let bench = Bench::start(&[]);
    let mut host = Host::open(&bench.pty());
    host.assign(&bench, 1);
    for _ in 0..10 {
        host.ask(1, 0xff, 0x05, &[]);
    }
    // What was answered before the question is in the answer.
    let page = bench.get("/api/v1/exchanges?filter=func%3D%3D0x05");
    let all = page["exchanges"].as_array().unwrap();
    assert_eq!((all.len(), &page["missed"]), (10, &json!(0)), "{page}");
    let last = &all[9];
    assert_eq!((&last["type"], &last["outcome"]), (&json!("exchange"), &json!("answered")));
    assert_eq!(last["request"]["function"], "GET_BUFFER_STATE");
    assert!(last["text"].as_str().unwrap().starts_with("box1   GET_BUFFER_STATE"), "{last}");
    assert_eq!(last["mark"], "good");
    let next = page["next"].as_u64().unwrap();
    assert!(next >= last["seq"].as_u64().unwrap());
    let two = bench.get("/api/v1/exchanges?limit=2");
    assert_eq!(two["exchanges"].as_array().unwrap().len(), 2);
    assert_eq!(two["exchanges"][1]["seq"], last["seq"]);
    let part = bench.get("/api/v1/exchanges?after=0&limit=3");
    assert_eq!(part["exchanges"].as_array().unwrap().len(), 3);
    assert_eq!(part["next"], part["exchanges"][2]["seq"]);
    // Waiting for the next one.
    let path = format!("/api/v1/exchanges?after={next}&wait=30");
    let waited = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| bench.get(&path));
        host.ask(1, 0xff, 0x05, &[]);
        waiting.join().unwrap()
    });
    assert_eq!(waited["exchanges"].as_array().unwrap().len(), 1);
    for wrong in ["limit=0", "limit=1001", "wait=31", "filter=adr", "after=9007199254740993"] {
        let answer = bench.ask("GET", &format!("/api/v1/exchanges?{wrong}"), None);
        assert_eq!(answer.refusal(), (422, "unprocessable".to_owned()), "{wrong}");
    }
    for wrong in ["limit=x", "after=-1", "wait=", "unknown=1"] {
        let answer = bench.ask("GET", &format!("/api/v1/exchanges?{wrong}"), None);
        assert_eq!(answer.refusal(), (400, "malformed".to_owned()), "{wrong}");
    }
}

#[test]
fn the_document_describes_itself() {
    let bench = Bench::start(&[]);
    let document = bench.get("/api/v1/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let hands = document["components"]["schemas"]["Hand"]["oneOf"].as_array().unwrap();
    assert!(hands.iter().any(|hand| hand["title"] == "jam"));
    let schema = jsonschema::validator_for(&document["components"]["schemas"]["Hand"]).unwrap();
    assert!(schema.is_valid(&json!({ "do": "jam", "slot": "T1A", "at": 700.0 })));
    assert!(!schema.is_valid(&json!({ "do": "jam", "at": 700.0 })));
    for path in document["paths"].as_object().unwrap().keys().filter(|path| !path.contains('{')) {
        assert_ne!(bench.ask("GET", path, None).status, 404, "{path}");
    }
    // The page's files are there too.
    let page = bench.ask_with("GET", "/", None, &[]);
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html"), "{}", page.head);
    bench.end();
}

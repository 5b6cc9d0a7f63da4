//! The bus's time: paused, stepped, faster, and on to the next answer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::{Bench, Host};
use crate::http::LONG;

/// The slot's filament as far as it reaches, in mm from the inlet.
fn tip(state: &Value, slot: usize) -> f64 {
    state["bus"]["boxes"][0]["slots"][slot]["filament"][0][1].as_f64().unwrap()
}

#[test]
fn paused_nothing_moves_and_a_step_moves_exactly() {
    let bench = Bench::start(&[]);
    bench.post("/api/v1/clock", json!({ "paused": true }));
    let spool = json!({ "material": "PLA" });
    bench.act(json!({ "do": "place", "slot": "T1A", "tip": 1500.0, "spool": spool }));
    bench.act(json!({ "do": "extruder", "speed": 5.0 }));
    let before = bench.state();
    assert_eq!(before["clock"]["paused"], true);
    let mut host = Host::open(&bench.pty());
    host.send(0xfe, 0, 0xa1, &[0xfe, 0xfe]);
    assert!(host.read(1, Duration::from_millis(200)).is_empty());
    let after = bench.state();
    assert_eq!((&before["bus"], &before["clock"]), (&after["bus"], &after["clock"]));
    // 5 mm/s for 1.2 s.
    bench.step(1200);
    let stepped = bench.state();
    assert!((tip(&stepped, 0) - tip(&after, 0)).abs() < 1e-6 || tip(&stepped, 0) > tip(&after, 0));
    let beyond = |state: &Value| state["bus"]["beyond"].as_f64().unwrap();
    assert!((beyond(&stepped) - beyond(&after) - 6.0).abs() < 1e-6, "{stepped}");
    let elapsed = |state: &Value| state["clock"]["elapsed"].as_f64().unwrap();
    assert!((elapsed(&stepped) - elapsed(&after) - 1.2).abs() < 1e-6);
    // What was asked while it stood still was on its way, and both boxes have introduced
    // themselves in that time or will.
    bench.step(2000);
    assert_eq!(host.read(20, LONG).len(), 20);
    // It goes on by itself again.
    bench.act(json!({ "do": "extruder", "speed": 0.0 }));
    let still = bench.elapsed();
    bench.post("/api/v1/clock", json!({ "paused": false, "speed": 50.0 }));
    let until = Instant::now() + LONG;
    while bench.elapsed() < still + 5.0 {
        assert!(Instant::now() < until, "it does not go on");
    }
    for wrong in [json!({ "speed": 0 }), json!({ "speed": 1001 }), json!({ "speed": null })] {
        assert_eq!(bench.ask("POST", "/api/v1/clock", Some(&wrong)).refusal().0, 422, "{wrong}");
    }
    for wrong in [json!({ "ms": -1 }), json!({ "ms": 3_600_001 }), json!({}), json!({ "s": 1 })] {
        let answer = bench.ask("POST", "/api/v1/clock/step", Some(&wrong));
        assert_eq!(answer.refusal().0, 422, "{wrong}");
    }
}

#[test]
fn who_says_much_while_it_stands_still_waits_and_fills_no_memory() {
    let bench = Bench::start(&["--tcp", "127.0.0.1:0"]);
    bench.post("/api/v1/clock", json!({ "paused": true }));
    let address = bench.told["endpoints"][1]["address"].as_str().unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_nonblocking(true).unwrap();
    // Until nobody takes any more: the sockets' buffers, and what waits for the wire.
    let (mut said, mut idle) = (0_usize, 0);
    while idle < 20 {
        match std::io::Write::write(&mut stream, &[0x55; 65_536]) {
            Ok(n) => (said, idle) = (said + n, 0),
            Err(_) => {
                idle += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        assert!(said < 64 << 20, "it takes everything");
    }
    assert_eq!(bench.ask("GET", "/api/v1/state", None).status, 200);
    bench.post("/api/v1/clock", json!({ "paused": false, "speed": 1000.0 }));
    drop(stream);
    bench.end();
}

/// A load as a host runs it, its pauses taken as steps. Returns the statuses.
fn load(bench: &Bench, host: &mut Host) -> Vec<u8> {
    let mut statuses = vec![host.ask(1, 0xff, 0x10, &[1, 0, 0]).0];
    statuses.push(host.ask(1, 0xff, 0x10, &[1, 4, 0]).0);
    for _ in 0..100 {
        bench.step(300);
        statuses.push(host.ask(1, 0xff, 0x10, &[1, 5, 0]).0);
        if bench.state()["bus"]["toolhead"] == true {
            break;
        }
    }
    statuses.push(host.ask(1, 0xff, 0x10, &[1, 6, 0]).0);
    statuses
}

#[test]
fn a_load_takes_no_time_where_time_is_virtual() {
    let bench = Bench::start(&["--virtual", "--auto"]);
    let clock = bench.get("/api/v1/clock");
    assert_eq!((&clock["virtual"], &clock["paused"]), (&json!(true), &json!(true)));
    let mut host = Host::open(&bench.pty());
    host.assign(&bench, 1);
    let (began, elapsed) = (Instant::now(), bench.elapsed());
    let statuses = load(&bench, &mut host);
    assert!(statuses.iter().all(|status| *status == 0), "{statuses:02x?}");
    // The print draws filament for a while, and an unload follows.
    host.ask(1, 0xff, 0x04, &[1, 0]);
    bench.step(10_000);
    host.ask(1, 0xff, 0x04, &[0, 1]);
    assert_eq!(host.ask(1, 0xff, 0x11, &[1, 0]).0, 0);
    let (took, passed) = (began.elapsed(), bench.elapsed() - elapsed);
    assert!(passed > 15.0, "{passed} s");
    assert!(took.as_secs_f64() < passed / 3.0, "{passed} s took {took:?}");
    // Nobody is there to answer: no time passes.
    let before = bench.elapsed();
    host.send(3, 0xff, 0x0a, &[]);
    host.ask(1, 0xff, 0x05, &[]);
    assert!(bench.elapsed() - before < 0.1, "{}", bench.elapsed() - before);
    bench.end();
}

#[test]
fn the_same_requests_give_the_same_times() {
    let run = || {
        let bench = Bench::start(&["--virtual", "--auto"]);
        let mut host = Host::open(&bench.pty());
        host.assign(&bench, 1);
        let statuses = load(&bench, &mut host);
        let page = bench.get("/api/v1/exchanges?after=0&limit=1000");
        let latency = |one: &Value| one["latency_ms"].clone();
        let all: Vec<Value> = page["exchanges"].as_array().unwrap().iter().map(latency).collect();
        (statuses, all, format!("{:.6}", bench.elapsed()))
    };
    assert_eq!(run(), run());
}

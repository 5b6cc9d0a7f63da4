//! The stream of events.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::{Bench, Host};
use crate::http::Socket;

#[test]
fn what_happens_is_told_as_it_happens() {
    let bench = Bench::start(&[]);
    let mut host = Host::open(&bench.pty());
    host.assign(&bench, 1);
    let mut socket = Socket::open(&bench.address, "", &[]).ok().unwrap();
    let hello = socket.next();
    assert_eq!((&hello["type"], &hello["kind"]), (&json!("hello"), &json!("emulator")));
    assert_eq!(socket.next()["type"], "state");
    host.ask(1, 0xff, 0x05, &[]);
    let exchange = socket.next_of("exchange");
    assert_eq!(exchange["request"]["function"], "GET_BUFFER_STATE");
    // A hand's work is told, too.
    bench.act(json!({ "do": "jam", "slot": "T1B" }));
    loop {
        let state = socket.next_of("state");
        if state["state"]["bus"]["boxes"][0]["slots"][1]["jammed"] == true {
            break;
        }
    }
    // Another one begins earlier, and wants some of it only.
    let mut all = Socket::open(&bench.address, "?after=0", &[]).ok().unwrap();
    assert_eq!(all.next_of("exchange")["seq"], 1);
    let query = "?after=0&filter=func%3D%3D0x05";
    let mut some = Socket::open(&bench.address, query, &[]).ok().unwrap();
    assert_eq!(some.next_of("exchange")["seq"], exchange["seq"]);
    let wrong = Socket::open(&bench.address, "?filter=adr", &[]).err().unwrap();
    assert_eq!(wrong.refusal().0, 422);
}

#[test]
fn other_pages_get_no_stream() {
    let bench = Bench::start(&[]);
    for origin in ["http://evil.example", "null", "http://localhost:1"] {
        let origin = format!("Origin: {origin}");
        let answer = Socket::open(&bench.address, "", &[&origin]).err().unwrap();
        assert_eq!(answer.refusal(), (403, "place".to_owned()), "{origin}");
    }
    let own = format!("Origin: http://{}", bench.address);
    assert!(Socket::open(&bench.address, "", &[&own]).is_ok());
    let plain = bench.ask("GET", "/api/v1/events", None);
    assert_eq!(plain.refusal(), (400, "malformed".to_owned()));
}

#[test]
fn who_reads_too_slowly_is_told_and_slows_nobody() {
    // Without wire times, so that there is more of it than the socket holds.
    let bench = Bench::start(&["--fast"]);
    let mut host = Host::open(&bench.pty());
    host.assign(&bench, 1);
    let mut slow = Socket::open(&bench.address, "", &[]).ok().unwrap();
    slow.next_of("state");
    // What it does not read fills the socket (some megabytes at most), then the ring.
    let poll = |host: &mut Host, count: usize| {
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..count {
            let began = Instant::now();
            host.ask(1, 0xff, 0x05, &[]);
            times.push(began.elapsed());
        }
        times.sort_unstable();
        times[count / 2]
    };
    let calm = poll(&mut host, 500);
    let busy = poll(&mut host, 25_000);
    // Generous: whoever waited for the socket would be slower by orders of magnitude.
    assert!(busy < calm * 10 + Duration::from_millis(5), "{calm:?}, then {busy:?}");
    let told = slow.next_of("lagged");
    assert!(told["missed"].as_u64().unwrap() > 0, "{told}");
    // It goes on with what is kept.
    let next = slow.next_of("exchange");
    assert_eq!(next["request"]["function"], "GET_BUFFER_STATE");
}

//! Long logs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::Browser;
use crate::common::live::LONG;
use crate::face::Emulator;

/// So many exchanges, and as many as the page keeps.
const MANY: usize = 50_000;
/// So many before the page is waited for, so that it misses none.
const AT_ONCE: usize = 2_000;
/// How many rows there may be, however many exchanges: those in sight, and some to spare.
const ROWS: i64 = 120;
/// Far longer than a page that is not slow takes for anything, on a loaded machine.
const QUICK: Duration = Duration::from_secs(3);

#[test]
fn fifty_thousand_exchanges_do_not_slow_it() {
    let scene = "[[box]]\naddress = 1\nA = {}\n";
    let emulator = Emulator::start(scene, &["--fast", "--tcp", "127.0.0.1:0"]);
    let endpoints = emulator.told["endpoints"].as_array().expect("a list");
    let address = endpoints.iter().find_map(|one| one["address"].as_str()).expect("a TCP endpoint");
    let mut page = Browser::start();
    page.open(&emulator.page());
    page.sees(".slot", "T1A");
    let mut host = TcpStream::connect(address).expect("it listens");
    host.set_read_timeout(Some(LONG)).expect("a time-out");
    let elements = |page: &mut Browser| page.js("document.querySelectorAll('*').length");
    let mut few = Value::Null;
    let mut asked = 0;
    while asked < MANY {
        for _ in 0..AT_ONCE {
            ask(&mut host);
        }
        asked += AT_ONCE;
        let until = format!("(await import('/js/log.js')).received() >= {}", asked.min(MANY));
        page.wait_async(&until);
        if few.is_null() {
            few = elements(&mut page);
        }
    }
    page.sees("#log .count", "50,000");
    // What is on the page does not grow with the log.
    let rows = page.js("document.querySelectorAll('.entry').length");
    assert!(rows.as_i64().is_some_and(|rows| rows > 0 && rows <= ROWS), "{rows} rows");
    assert_eq!(elements(&mut page), few);
    // Nor does what it takes to draw, to scroll, to choose.
    let quick = |page: &mut Browser, what: &str, does: &str, until: &str| {
        let start = Instant::now();
        page.js(does);
        page.wait(until);
        assert!(start.elapsed() < QUICK, "{what} took {:?}", start.elapsed());
    };
    let frames = "new Promise((done) => { let n = 0; const next = () => (++n === 20 ? done(n) : requestAnimationFrame(next)); next(); })";
    quick(&mut page, "20 frames", frames, "true");
    let scroll = "document.querySelector('.rows').scrollTop = 600000";
    quick(
        &mut page,
        "scrolling",
        scroll,
        "[...document.querySelectorAll('.entry')].some((one) => one.ariaPosInSet === '25001')",
    );
    page.key("g");
    let start = Instant::now();
    page.key("Home");
    page.sees(".details", "ONLINE_CHECK");
    page.wait("document.querySelector('.entry[aria-selected=true]')?.ariaPosInSet === '1'");
    assert!(start.elapsed() < QUICK, "the first one took {:?}", start.elapsed());
    page.picture("long-log");
    // While more comes it stays where it is, and what is new is counted.
    (0..200).for_each(|_| ask(&mut host));
    page.sees("#log .latest", "new");
    assert_eq!(page.complaints(), [""; 0]);
}

/// ONLINE_CHECK of box 1, and its answer.
fn ask(host: &mut TcpStream) {
    host.write_all(&[0xf7, 0x01, 0x03, 0x00, 0xa2, 0xda]).expect("it listens");
    let mut reply = [0; 20];
    host.read_exact(&mut reply).expect("it answers");
    assert_eq!(reply[..5], [0xf7, 0x01, 0x11, 0x00, 0xa2]);
}

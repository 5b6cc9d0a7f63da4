//! The page of a bus that is only listened to.

use std::process::{Child, Stdio};

use crate::browser::Browser;
use crate::common::command;
use crate::common::live::{lines, next};
use crate::face::{Emulator, http};

/// A `k485 sniff --page`. It ends with its test.
struct Sniff(Child);

impl Sniff {
    /// Starts it; where its page is.
    #[track_caller]
    fn start(port: &str) -> (Sniff, String) {
        let mut child = command(["sniff", port, "--page", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("k485 runs");
        let said = lines(child.stderr.take().expect("piped"));
        let sniff = Sniff(child);
        loop {
            let line = next(&said).expect("it says where the page is");
            if let Some((_, url)) = line.split_once("page: ") {
                let url = url.to_owned();
                // A pipe that nobody reads would end it.
                std::thread::spawn(move || said.iter().for_each(drop));
                return (sniff, url);
            }
        }
    }
}

impl Drop for Sniff {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_bus_that_is_listened_to_is_shown_and_not_touched() {
    let scene = "[[box]]\naddress = 1\nA = { material = \"PLA\", colour = \"e72f1d\" }\n";
    let second = tempfile::tempdir().expect("a temporary folder");
    let ear = second.path().join("ear");
    let ear = ear.to_str().expect("UTF-8");
    let emulator = Emulator::start(scene, &["--pty", ear]);
    let (_sniff, url) = Sniff::start(ear);
    let mut page = Browser::start();
    page.open(&url);
    page.sees("#title", "read only");
    page.sees(".empty", "No boxes");
    // What to do if it stays empty.
    page.sees("#log .empty", "Nothing was heard on this bus yet");
    page.sees("#log .empty", &format!("listens at {ear}"));
    page.sees("#log .empty", &format!("k485 doctor {ear}"));
    page.picture("read-only-empty");
    emulator.send(&["box1", "GET_RFID", "slots=all"]);
    page.sees(".slot", "PLA");
    emulator.send(&["box1", "EXTRUDE_PROCESS", "slot=A", "stage=to_hub", "param=0"]);
    page.sees(".entry", "EXTRUDE_PROCESS");
    page.wait("document.querySelector('.slot .flags span:nth-child(2)[data-on=true]')");
    page.wait("document.querySelector('.path .fil:not([display])')");
    // Nothing to change it with: neither on the page nor behind it.
    page.key("j");
    page.key("x");
    assert_eq!(page.js("getComputedStyle(document.querySelector('#side')).display"), "none");
    assert_eq!(page.js("document.querySelector('#toasts').childElementCount"), 0);
    let place = url.trim_start_matches("http://").split('/').next().expect("a place");
    let token = url.split_once("token=").map(|(_, token)| token).unwrap_or_default();
    let head = format!(
        "Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    );
    let answer = http(place, "POST /api/v1/hands", &format!("{head}\r\n{{}}"));
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    page.picture("read-only");
    assert_eq!(page.complaints(), [""; 0]);
}

/// What nobody asked for is neither on nor off, on the path, in the cards and for screen readers.
#[test]
fn a_sensor_that_nobody_asked_for_is_told_from_one_that_is_off() {
    let scene = "[[box]]\naddress = 1\nA = { material = \"PLA\", colour = \"e72f1d\" }\n";
    let second = tempfile::tempdir().expect("a temporary folder");
    let ear = second.path().join("ear");
    let ear = ear.to_str().expect("UTF-8");
    let emulator = Emulator::start(scene, &["--pty", ear]);
    let (_sniff, url) = Sniff::start(ear);
    let mut page = Browser::start();
    page.open(&url);
    page.sees("#title", "read only");
    emulator.send(&["box1", "GET_VERSION_SN"]);
    page.wait("document.querySelectorAll('.slot').length === 4");
    let unknown =
        |what: &str| format!("document.querySelectorAll('{what}[data-unknown=true]').length");
    page.wait(&format!("{} === 8", unknown(".slot .flags span")));
    // The slots' and the toolhead's.
    page.wait(&format!("{} === 9", unknown(".path .sensor")));
    page.sees(".slot", "not told");
    page.sees(".legend", "not told yet: nobody has asked");
    let label = "document.querySelector('.slot').ariaLabel";
    assert_eq!(
        page.js(label),
        "Slot T1A, not told yet, inlet sensor not told yet, hub sensor not told yet"
    );
    let about = "document.querySelector('.path desc').textContent";
    assert_eq!(page.js(about), "toolhead sensor: not told yet");
    // Asked for, the inlets are on and off, and look otherwise than those that are not known.
    emulator.send(&["box1", "GET_FILAMENT_SENSOR_STATE", "sensors=inlet"]);
    page.wait("document.querySelector('.slot .flags [data-on=true]')");
    page.wait(&format!("{} === 4", unknown(".slot .flags span")));
    page.wait(&format!("{} === 5", unknown(".path .sensor")));
    page.sees(".slot", "empty");
    let look = "(one) => { const it = getComputedStyle(one); \
                return [it.borderTopStyle, it.backgroundColor, one.textContent].join(); }";
    let looks = format!(
        "new Set(['[data-on=true]', ':not([data-on], [data-unknown])', '[data-unknown=true]']\
         .map((one) => document.querySelector(`.flags span${{one}} > i`)).map({look})).size"
    );
    assert_eq!(page.js(&looks), 3);
    for (width, dark) in [(1400, false), (1400, true), (390, false), (390, true)] {
        page.size(width, 900);
        page.dark(dark);
        page.wait(&format!("{} === 5", unknown(".path .sensor")));
        page.picture(&format!("unknown-{width}{}", if dark { "-dark" } else { "" }));
    }
    // Once the hubs are known too there is nothing left to explain but the toolhead.
    emulator.send(&["box1", "GET_FILAMENT_SENSOR_STATE", "sensors=hub"]);
    page.wait(&format!("{} === 1", unknown(".path .sensor")));
    assert_eq!(page.complaints(), [""; 0]);
}

#[test]
fn the_help_of_a_read_only_page_tells_no_key_that_does_nothing_there() {
    let second = tempfile::tempdir().expect("a temporary folder");
    let ear = second.path().join("ear");
    let ear = ear.to_str().expect("UTF-8");
    let emulator = Emulator::start("[[box]]\naddress = 1\n", &["--pty", ear]);
    let (_sniff, url) = Sniff::start(ear);
    let mut page = Browser::start();
    page.open(&url);
    page.sees("#title", "read only");
    emulator.send(&["box1", "GET_VERSION_SN"]);
    page.sees(".box", "Box 1");
    page.key("?");
    page.sees("dialog[open]", "to the filter");
    page.sees("dialog[open]", "nothing here changes it");
    let keys =
        "[...document.querySelectorAll('#keys kbd')].map((one) => one.textContent).join(' ')";
    assert_eq!(page.js(keys), "/ g f Esc ↑ ↓ t ?");
    page.picture("read-only-help");
    page.key("?");
    page.wait("!document.querySelector('dialog[open]')");
    assert_eq!(page.complaints(), [""; 0]);
}

//! The page of a bus that is only listened to.

use std::process::{Child, Stdio};

use crate::browser::Browser;
use crate::common::command;
use crate::common::live::{lines, next};
use crate::face::{Emulator, http};

/// It ends with its test.
struct Sniff(Child);

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
    let mut child = command(["sniff", ear, "--page", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("k485 runs");
    let said = lines(child.stderr.take().expect("piped"));
    let _sniff = Sniff(child);
    let url = loop {
        let line = next(&said).expect("it says where the page is");
        if let Some((_, url)) = line.split_once("page: ") {
            break url.to_owned();
        }
    };
    let mut page = Browser::start();
    page.open(&url);
    page.sees("#title", "read only");
    page.sees(".empty", "No boxes");
    emulator.send(&["box1", "GET_RFID", "slots=all"]);
    page.sees(".slot", "PLA");
    emulator.send(&["box1", "EXTRUDE_PROCESS", "slot=A", "stage=to_hub", "param=0"]);
    page.sees(".entry", "EXTRUDE_PROCESS");
    page.wait("document.querySelector('.slot .flags span:nth-child(2)[data-on=true]')");
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

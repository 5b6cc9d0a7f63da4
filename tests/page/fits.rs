//! Windows of all sizes, light and dark, in every state that the page can be in.

use serde_json::json;

use crate::browser::Browser;
use crate::face::Emulator;

/// Four boxes, all kinds of spools, long texts.
const CROWD: &str = r#"
title = "Four boxes, with a title that is longer than a narrow window has room for"

[[box]]
address = 1
A = { material = "PLA", colour = "ffffff" }
B = { material = "PETG", colour = "000000", remain = 3 }
C = { tag = "unreadable" }
D = { material = "PLA-CF", colour = "26eeee", length = 0.5 }

[[box]]
serial = "WWWWWWWWWWWWWWWWWWW"
A = { material = "WWWWWW", colour = "7a3cff" }

[[box]]

[[box]]
A = {}

[[motor]]
address = 0x81
"#;

/// What lies outside of the window, or of what is to hold it.
const OUTSIDE: &str = "[...document.querySelectorAll('body *')].filter((one) => {
  const at = one.getBoundingClientRect();
  const seen = at.width > 1 && at.height > 1 && getComputedStyle(one).visibility !== 'hidden';
  return seen && !one.closest('.vh, .skip, .entry, svg, dialog') && (at.right > innerWidth + 1 || at.left < -1);
}).map((one) => one.outerHTML.slice(0, 120))";

fn fits(page: &mut Browser, width: u32, name: &str) {
    // What is too wide makes a small window's page wider.
    assert_eq!(page.js("innerWidth"), width, "{name}");
    assert_eq!(page.js(OUTSIDE), json!([]), "{name}");
    assert_eq!(page.js("document.documentElement.scrollWidth <= innerWidth"), true, "{name}");
    page.picture(name);
    assert_eq!(page.complaints(), [""; 0], "{name}");
}

#[test]
fn a_crowded_bus_fits_windows_of_all_sizes() {
    let emulator = Emulator::start(CROWD, &["--chaos", "3", "--seed", "4"]);
    let mut page = Browser::start();
    for (width, height, dark) in [
        (1400, 900, false),
        (1400, 900, true),
        (768, 1024, false),
        (390, 844, true),
        (320, 640, false),
    ] {
        page.size(width, height);
        page.dark(dark);
        page.open(&emulator.page());
        page.sees(".slot", "WWWWWW");
        for slot in ["T1A", "T4A"] {
            page.click(&format!("button.slot[aria-label^='Slot {slot}']"));
        }
        page.key("j");
        page.sees(".slot", "jam");
        page.wait("!document.querySelector('.toast')");
        let name = format!("{width}{}", if dark { "-dark" } else { "" });
        fits(&mut page, width, &format!("{name}-crowd"));
        if width <= 900 {
            page.click("#views [data-view=side]");
        }
        for tab in ["box", "printer", "devices", "faults", "scene", "slot"] {
            page.click(&format!("#tab-{tab}"));
            fits(&mut page, width, &format!("{name}-{tab}"));
        }
        if width <= 900 {
            page.click("#views [data-view=log]");
            fits(&mut page, width, &format!("{name}-log"));
        }
        page.key("u");
    }
}

#[test]
fn without_boxes_or_answers_it_says_so() {
    let emulator = Emulator::start("title = \"Nothing\"\n", &[]);
    let mut page = Browser::start();
    for (width, dark) in [(1400, false), (390, true)] {
        page.size(width, 844);
        page.dark(dark);
        page.open(&emulator.page());
        page.sees(".empty", "No boxes");
        fits(&mut page, width, &format!("{width}-empty"));
        // Before anything is told, it is loading; when nothing can be, it says why.
        page.before(Some("WebSocket = class { close() {} };"));
        page.open(&emulator.page());
        page.wait("document.querySelector('.skeleton') && document.querySelector('#side').inert");
        fits(&mut page, width, &format!("{width}-loading"));
        page.before(Some(
            "WebSocket = class { constructor() { setTimeout(() => this.onclose(), 50); } close() {} };
             const real = fetch;
             fetch = (url, ...rest) => (url.startsWith('api/') ? Promise.reject() : real(url, ...rest));",
        ));
        page.open(&emulator.page());
        page.sees("#banner", "connection to k485 is lost");
        fits(&mut page, width, &format!("{width}-lost"));
        page.before(None);
    }
}

//! The live page in Chromium, against the binary: what a click does shows on the bus, a long log does
//! not slow it, what comes from a wire stays text, keys do what buttons do, and it fits its window.
//!
//! Pictures of it are left as `page-*.png` in cargo's folder for tests, to be looked at.

mod browser;
#[path = "../common/mod.rs"]
mod common;
mod face;
mod fits;
mod log;
mod real;
mod sight;
mod token;

use serde_json::json;

use browser::Browser;
use face::Emulator;

/// A box that gives up early, with an address.
const BOX: &str = r#"
title = "A box"

[[box]]
address = 1
A = { material = "PLA", colour = "e72f1d" }
B = { material = "PETG", colour = "2850e0" }

[box.timings]
to_hub = 1500
"#;

#[test]
fn a_click_that_jams_a_slot_shows_on_the_bus() {
    let emulator = Emulator::start(BOX, &[]);
    let mut page = Browser::start();
    page.open(&emulator.page());
    page.sees(".slot", "PLA");
    page.click("button.slot[aria-label^='Slot T1A']");
    page.click("#panel-slot button.danger");
    page.sees(".slot", "jam");
    // The filament stands still, so the box gives up and tells the host why.
    let told = emulator.send(&["box1", "EXTRUDE_PROCESS", "slot=A", "stage=to_hub", "param=0"]);
    assert!(told.contains("EXTRUDE_ERR1"), "{told}");
    page.sees(".latched", "0x05 EXTRUDE_ERR1");
    page.sees(".latched", "key835");
    page.sees(".entry", "EXTRUDE_ERR1");
    // Freed, it works.
    page.key("u");
    page.wait("!document.querySelector('.slot .mark:not([hidden])')");
    emulator.send(&["box1", "SET_BOX_MODE", "slot=none", "mode=idle"]);
    let told = emulator.send(&["box1", "EXTRUDE_PROCESS", "slot=A", "stage=to_hub", "param=0"]);
    assert!(told.contains("-> OK"), "{told}");
    page.wait("!document.querySelector('.latched:not([hidden])')");
    page.wait("document.querySelector('.slot [data-on=true]:nth-child(2)')");
    assert_eq!(page.complaints(), [""; 0]);
}

#[test]
fn every_control_does_what_it_says() {
    let scene = format!("{BOX}\n[[motor]]\naddress = 0x81\n\n[[belt]]\naddress = 0x21\n\n[rack]\n");
    let emulator = Emulator::start(&scene, &[]);
    let mut page = Browser::start();
    page.open(&emulator.page());
    page.sees(".slot", "PLA");
    let at = |pointer: &'static str| {
        move |state: &serde_json::Value| state.pointer(pointer).cloned().unwrap_or_default()
    };
    // A tab, a button by its words there, and what the bus is then.
    let controls: [(&str, &str, &str, serde_json::Value); 24] = [
        ("slot", "Insert", "/boxes/0/slots/2/spool/material", json!("PLA")),
        ("slot", "Jam", "/boxes/0/slots/2/jammed", json!(true)),
        ("slot", "Unjam", "/boxes/0/slots/2/jammed", json!(false)),
        ("slot", "Put tip", "/boxes/0/slots/2/filament/0/1", json!(800.0)),
        ("slot", "On", "/boxes/0/slots/2/forced/0", json!("inlet")),
        ("slot", "Truth", "/boxes/0/slots/2/forced", json!([])),
        ("slot", "Run out", "/boxes/0/slots/2/spool/left", json!(0.0)),
        ("slot", "Pull out", "/boxes/0/slots/2/spool", json!(null)),
        ("slot", "Clear", "/boxes/0/slots/2/filament", json!([])),
        ("box", "Hub slips", "/boxes/0/slips", json!(true)),
        ("box", "Hub blocked", "/boxes/0/blocked", json!(["hub"])),
        ("box", "Wheel blocked", "/boxes/0/blocked/1", json!("wheel")),
        ("box", "No answer", "/boxes/0/climate", json!(null)),
        ("box", "Set", "/boxes/0/climate", json!([25, 30])),
        ("box", "Unplug", "/boxes/0/plugged", json!(false)),
        ("box", "Plug in", "/boxes/0/plugged", json!(true)),
        ("box", "Reset", "/boxes/0/address", json!(254)),
        ("printer", "Keep turning", "/extruder", json!(5.0)),
        ("printer", "Stop", "/extruder", json!(0.0)),
        ("printer", "On", "/toolhead", json!(true)),
        ("printer", "Full", "/buffer/held", json!(true)),
        ("printer", "Free", "/buffer/held", json!(false)),
        ("devices", "Put on", "/devices/2/kind", json!("rack")),
        ("printer", "Cut", "/stub", json!(null)),
    ];
    let offered = "[...document.querySelectorAll('#materials option')].map((one) => one.value)";
    let materials: Vec<&str> = k485_emulator::SpoolSpec::materials().collect();
    assert_eq!(page.js(offered), json!(materials));
    // Time stands still, so that what was done stays as it is.
    page.click("#clock button");
    page.sees("#clock button", "Go on");
    page.key("c");
    for (tab, words, pointer, value) in controls {
        page.click(&format!("#tab-{tab}"));
        let find = format!(
            "(() => {{ const one = [...document.querySelectorAll('#panel-{tab} button')].find((one) => \
             one.firstChild.data === {}); one?.scrollIntoView({{ block: 'center' }}); \
             one?.setAttribute('data-next', ''); return one; }})()",
            json!(words)
        );
        page.wait(&find);
        page.click("[data-next]");
        page.js("document.querySelector('[data-next]')?.removeAttribute('data-next')");
        emulator.comes_to(&format!("{words} in {tab}"), at(pointer), &value);
    }
    // A motor's error by its box, a fault by its rule.
    page.click("#tab-devices");
    page.click("#panel-devices .checks input");
    emulator.comes_to("the first error", at("/devices/0/errors"), &json!(1));
    page.click("#tab-faults");
    page.click("#panel-faults form input");
    page.write("drop if fnc==0x10");
    page.key("Enter");
    page.sees("#panel-faults .wrong", "func");
    page.js("document.querySelector('#panel-faults form input').select()");
    page.write("drop if func==0x10 p=0.5");
    page.key("Enter");
    page.sees("#panel-faults .rules", "drop if func==0x10 p=0.5");
    page.click("#panel-faults .rules button");
    page.wait("!document.querySelector('#panel-faults .rules li')");
    // A scene: wrong, then right.
    page.click("#tab-scene");
    page.click("#panel-scene textarea");
    page.write("[[box]]\nadress = 1\n");
    page.click("#panel-scene button.primary");
    page.sees("#panel-scene .wrong", "adress");
    page.js("document.querySelector('#panel-scene textarea').select()");
    page.write("title = \"Another\"\n[[box]]\n[[box]]\n[[box]]\n");
    page.click("#panel-scene button.primary");
    page.wait("document.querySelectorAll('article.box').length === 3");
    page.sees("#title", "Another");
    // The clock, which a new scene leaves as it is.
    let elapsed = || emulator.state()["clock"]["elapsed"].as_f64().unwrap();
    let before = elapsed();
    page.js("document.activeElement.blur()");
    page.key(".");
    emulator.comes_to("one step", |_| json!(elapsed() > before), &json!(true));
    assert!((elapsed() - before - 1.0).abs() < 1e-6, "{} after {before}", elapsed());
    page.click("#clock button");
    emulator.comes_to("going on", |_| json!(elapsed() > before + 1.0), &json!(true));
    let refused: Vec<String> =
        page.complaints().into_iter().filter(|one| !one.contains("422")).collect();
    assert_eq!(refused, [""; 0]);
}

#[test]
fn keys_do_what_buttons_do() {
    let emulator = Emulator::start(BOX, &[]);
    let mut page = Browser::start();
    page.open(&emulator.page());
    page.sees(".slot", "PLA");
    emulator.send(&["box1", "GET_BUFFER_STATE"]);
    emulator.send(&["box1", "GET_VERSION_SN"]);
    let jammed = |letter: usize| {
        move |state: &serde_json::Value| state["boxes"][0]["slots"][letter]["jammed"].clone()
    };
    page.key("b");
    page.key("j");
    emulator.comes_to("j", jammed(1), &json!(true));
    page.wait("document.querySelector('.slot .mark:not([hidden])')");
    page.key("j");
    emulator.comes_to("j again", jammed(1), &json!(false));
    page.key("?");
    page.sees("dialog[open]", "chooses a slot");
    page.key("Escape");
    page.wait("!document.querySelector('dialog[open]')");
    // The key that opened it closes it.
    for open in [true, false] {
        page.key("?");
        page.wait(&format!("document.querySelector('#keys').open === {open}"));
    }
    // A filter that is none, then one.
    page.key("/");
    page.write("func==GET_VERSION_SM");
    page.key("Enter");
    page.sees("#log .wrong", "did you mean GET_VERSION_SN?");
    page.js("document.activeElement.select()");
    page.write("func==GET_VERSION_SN");
    page.key("Enter");
    page.wait("document.querySelectorAll('.entry:not([hidden])').length === 1");
    page.sees(".entry", "GET_VERSION_SN");
    // Keys of a field are letters, not shortcuts.
    page.write("j");
    assert_eq!(page.js("document.activeElement.value"), "func==GET_VERSION_SNj");
    page.key("Escape");
    page.key("g");
    page.key("ArrowUp");
    page.sees(".details", "GET_VERSION_SN");
    page.sees(".details", "serial");
    page.key("Escape");
    page.wait("!document.querySelector('.details')");
    // From the start every stop of Tab is something with a name.
    page.js("document.activeElement.blur()");
    for _ in 0..25 {
        page.key("Tab");
        let named = "(() => { const one = document.activeElement; return one === document.body || Boolean(\
                     one.ariaLabel || one.innerText?.trim() || one.labels?.length || one.title); })()";
        assert_eq!(page.js(named), true, "{}", page.js("document.activeElement.outerHTML"));
    }
    let refused: Vec<String> =
        page.complaints().into_iter().filter(|one| !one.contains("422")).collect();
    assert_eq!(refused, [""; 0]);
}

/// What a scene, a tag, a serial number or a reply holds is text, whatever it looks like.
#[test]
fn what_comes_from_elsewhere_stays_text() {
    let evil = "<img src=x onerror=alert(1)>";
    // 40 characters, as a tag has.
    let tag = "<script>document.title='owned'</script>A";
    let scene = format!(
        "title = \"{evil}\"\n[[box]]\naddress = 1\nserial = \"<b onclick=x>\"\nA = {{ tag = \"{tag}\" }}\n\
         B = {{ material = \"<s>ab<\" }}\n"
    );
    let emulator = Emulator::start(&scene, &[]);
    let mut page = Browser::start();
    page.open(&emulator.page());
    page.sees("#title", evil);
    page.sees(".facts", "<b onclick=x>");
    page.sees(".slot .material", "<s>ab<");
    emulator.send(&["box1", "GET_RFID", "slots=all"]);
    emulator.send(&["box1", "GET_VERSION_SN"]);
    page.sees(".entry", "<b onclick=x>");
    page.key("g");
    page.key("End");
    page.sees(".details", "<b onclick=x>");
    page.key("ArrowUp");
    page.sees(".details", "<script>");
    let grown = "document.querySelectorAll('script').length === 2 && !document.querySelector('img, b[onclick], s')";
    assert_eq!(page.js(grown), true, "{}", page.js("document.body.innerHTML"));
    assert_ne!(page.js("document.title"), "owned");
    assert_eq!(page.complaints(), [""; 0]);
}

#[test]
fn it_connects_again_after_a_restart() {
    let mut emulator = Emulator::start(BOX, &[]);
    let mut page = Browser::start();
    page.open(&emulator.page());
    page.sees("#link", "live");
    emulator.send(&["box1", "GET_BUFFER_STATE"]);
    page.sees(".entry", "GET_BUFFER_STATE");
    emulator.stop();
    page.sees("#link", "connection lost");
    page.sees("#banner", "connects again by itself");
    page.picture("lost");
    emulator.again();
    page.sees("#link", "live");
    page.wait("document.querySelector('#banner').hidden");
    // Another run: what the first one carried is not its.
    page.wait("document.querySelectorAll('.entry:not([hidden])').length === 0");
    page.key("a");
    page.key("j");
    page.sees(".slot", "jam");
    emulator.send(&["box1", "GET_VERSION_SN"]);
    page.sees(".entry", "GET_VERSION_SN");
}

//! The token: whichever one k485 takes, in the address and where the page asks for it.

use serde_json::{Value, json};

use crate::BOX;
use crate::browser::Browser;
use crate::face::Emulator;

/// As `openssl rand -base64` gives them, and with all that an address or a protocol has no room for.
const TOKENS: [&str; 3] =
    ["ab+c/d=efghi,jklmnop", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "aaaa%41%zz%+&token=#x"];

fn jammed(state: &Value) -> Value {
    state["boxes"][0]["slots"][0]["jammed"].clone()
}

#[test]
fn every_token_that_is_taken_works_on_the_page() {
    let mut page = Browser::start();
    for token in TOKENS {
        let emulator = Emulator::with_token(BOX, token);
        assert_eq!(emulator.token(), token);
        page.open(&emulator.page());
        page.sees("#link", "live");
        page.sees(".slot", "PLA");
        assert_eq!(page.js("location.href"), emulator.url.as_str(), "{token}");
        page.key("j");
        emulator.comes_to(token, jammed, &json!(true));
        // The tab has kept it.
        page.open(&emulator.url);
        page.sees("#link", "live");
        page.sees(".slot", "jam");
        page.key("j");
        emulator.comes_to(token, jammed, &json!(false));
        // Given by hand: as the file has it, as the address has it, as the whole address.
        let part = emulator.page();
        let part = part.split_once("token=").expect("a token").1.to_owned();
        for (n, given) in [token, &part, &emulator.page()].into_iter().enumerate() {
            page.js("sessionStorage.clear()");
            page.open(&emulator.url);
            page.sees(".slot", "PLA");
            page.key("j");
            page.sees("dialog[open]", "needs the token");
            page.write(given);
            page.key("Enter");
            emulator.comes_to(given, jammed, &json!(n % 2 == 0));
            page.wait("!document.querySelector('dialog[open]')");
        }
        // Before this k485 ends, which the page would complain of.
        page.open("about:blank");
        let refused = |one: &String| !one.contains("401");
        let complaints: Vec<String> = page.complaints().into_iter().filter(refused).collect();
        assert_eq!(complaints, [""; 0], "{token}");
    }
}

/// As earlier ones said it.
#[test]
fn a_token_that_is_in_the_address_as_it_is_works() {
    let token = TOKENS[0];
    let emulator = Emulator::with_token(BOX, token);
    let mut page = Browser::start();
    page.open(&format!("{}#token={token}", emulator.url));
    page.sees("#link", "live");
    page.sees(".slot", "PLA");
    page.key("j");
    emulator.comes_to(token, jammed, &json!(true));
    assert_eq!(page.complaints(), [""; 0]);
}

#[test]
fn without_the_token_it_looks_asks_for_it_and_does_what_was_clicked() {
    let mut emulator = Emulator::start(BOX, &[]);
    let mut page = Browser::start();
    page.open(&emulator.url);
    page.sees(".slot", "PLA");
    page.click("#panel-slot button.danger");
    page.sees("dialog[open]", "needs the token");
    page.wait("document.querySelector('#token-wrong').hidden");
    // What is wrong is told there and then, and nothing was done.
    for wrong in ["not the token", "nicht das Wort: höchstens fast, 你"] {
        page.write(wrong);
        page.key("Enter");
        page.sees("dialog[open] [role=alert]", "not the one of the running k485");
        // It is selected, for the next one to replace it.
        page.wait(
            "(() => { const one = document.activeElement; return one.id === 'token-field' && \
             one.value && one.selectionEnd - one.selectionStart === one.value.length; })()",
        );
        assert_eq!(jammed(&emulator.state()["bus"]), json!(false));
    }
    page.picture("token-wrong");
    page.write(&emulator.token());
    page.key("Enter");
    emulator.comes_to("the click", jammed, &json!(true));
    page.sees(".toast", "T1A: jammed");
    page.wait("!document.querySelector('dialog[open]')");
    page.sees(".slot", "jam");
    page.key("j");
    emulator.comes_to("the next one", jammed, &json!(false));
    // It is not in the address, where others would see it.
    page.open(&emulator.page());
    page.sees(".slot", "PLA");
    assert_eq!(page.js("location.href"), emulator.url.as_str());
    // Not given, nothing is done, and nothing is said; asked again, it is asked for again.
    page.js("sessionStorage.clear()");
    page.open(&emulator.url);
    page.sees(".slot", "PLA");
    for _ in 0..2 {
        page.key("j");
        page.sees("dialog[open]", "needs the token");
        page.key("Escape");
        page.wait("!document.querySelector('dialog[open]')");
    }
    // A fault's rule is kept until it can be added.
    page.click("#tab-faults");
    page.click("#panel-faults form input");
    page.write("drop p=0.5");
    page.key("Enter");
    page.sees("dialog[open]", "needs the token");
    emulator.stop();
    page.write("whatever it is, nobody is there");
    page.key("Enter");
    page.sees("dialog[open] [role=alert]", "k485 does not answer");
    emulator.again();
    page.write(&emulator.token());
    page.key("Enter");
    page.sees("#panel-faults .rules", "drop p=0.5");
    assert_eq!(jammed(&emulator.state()["bus"]), json!(false));
}

#[test]
fn where_looking_needs_the_token_it_is_asked_for() {
    let emulator = Emulator::open_to_others(BOX);
    let mut page = Browser::start();
    page.open(&emulator.url);
    page.sees("#banner", "shows nothing without its token");
    page.click("#banner button");
    page.sees("dialog[open]", "needs the token");
    page.write("not the token at all");
    page.key("Enter");
    page.sees("dialog[open] [role=alert]", "not the one of the running k485");
    page.write(&emulator.token());
    page.key("Enter");
    page.sees("#link", "live");
    page.sees(".slot", "PLA");
    page.wait("document.querySelector('#banner').hidden");
}

#[test]
fn a_stream_that_the_browser_does_not_open_is_told() {
    let emulator = Emulator::start(BOX, &[]);
    let mut page = Browser::start();
    page.before(Some(
        "WebSocket = class { constructor() { throw new SyntaxError('no such protocol'); } };",
    ));
    page.open(&emulator.page());
    page.sees(
        "#banner",
        "There is no live stream: the browser refuses to open it (no such protocol)",
    );
    // What can be asked for is there all the same.
    page.sees(".slot", "PLA");
    assert_eq!(page.complaints(), [""; 0]);
}

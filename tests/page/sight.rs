//! What must be in sight, and be found: boxes, errors, messages, the focus, names.

use serde_json::{Value, json};

use crate::BOX;
use crate::browser::Browser;
use crate::face::Emulator;

/// Whether the middle and the edges of an element are what is seen there.
const IN_SIGHT: &str = "(one) => { const at = one.getBoundingClientRect(); \
  const xs = [at.left + 4, (at.left + at.right) / 2, at.right - 4]; \
  const ys = [at.top + 4, (at.top + at.bottom) / 2, at.bottom - 4]; \
  return at.height > 8 && xs.every((x) => ys.every((y) => one.contains(document.elementFromPoint(x, y)))); }";

/// Four boxes that give up early.
fn four() -> String {
    let one = |n: u32| {
        format!(
            "[[box]]\naddress = {n}\nA = {{ material = \"PLA\", colour = \"e72f1d\" }}\n\
             [box.timings]\nto_hub = 1500\n"
        )
    };
    (1..=4).map(one).collect()
}

fn seen(selector: &str) -> String {
    format!(
        "(() => {{ const all = [...document.querySelectorAll({})]; \
         return all.length > 0 && all.every({IN_SIGHT}); }})()",
        json!(selector)
    )
}

#[test]
fn four_boxes_and_their_errors_are_in_sight_or_told() {
    let emulator = Emulator::start(&four(), &[]);
    let mut page = Browser::start();
    page.open(&emulator.page());
    page.wait("document.querySelectorAll('article.box').length === 4");
    page.wait(&seen("article.box"));
    page.wait("document.querySelector('#unseen').hidden");
    page.picture("four");
    // An error of the last one, which its card has no room for, is told in full below the boxes.
    let fail = |unit: u32, page: &mut Browser| {
        page.js("document.activeElement.blur()");
        page.key(&unit.to_string());
        page.key("a");
        page.key("j");
        emulator.comes_to(
            "the jam",
            |bus| bus["boxes"][unit as usize - 1]["slots"][0]["jammed"].clone(),
            &json!(true),
        );
        let (unit, slot) = (format!("box{unit}"), "slot=A");
        let told = emulator.send(&[&unit, "EXTRUDE_PROCESS", slot, "stage=to_hub", "param=0"]);
        assert!(told.contains("EXTRUDE_ERR1"), "{told}");
    };
    fail(4, &mut page);
    let told = |unit: u32| {
        let card = format!("article[aria-label='Box {unit}'] .latched");
        let below = "#unseen .error p";
        format!(
            "{} || [...document.querySelectorAll('{below}')].some((one) => ({IN_SIGHT})(one) && \
             ['Box {unit}: 0x05 EXTRUDE_ERR1', 'key835'].every((word) => one.innerText.includes(word)))",
            seen(&card)
        )
    };
    page.wait(&told(4));
    page.wait("!document.querySelector('.toast')");
    page.picture("four-error");
    fail(1, &mut page);
    page.wait(&format!("({}) && ({})", told(1), told(4)));
    // Whatever is out of sight is named, and found by its name.
    page.wait("!document.querySelector('.toast')");
    for (width, height, dark) in
        [(1400, 900, true), (1400, 640, false), (390, 844, true), (390, 844, false)]
    {
        page.size(width, height);
        page.dark(dark);
        page.wait(&format!("({}) && ({})", told(1), told(4)));
        page.picture(&format!("four-errors-{width}-{height}{}", if dark { "-dark" } else { "" }));
    }
    page.size(1400, 640);
    page.sees("#unseen .more", "Box");
    page.click("#unseen .more");
    page.wait("!document.querySelector('#unseen .more')");
    page.wait(&seen("article[aria-label='Box 4'] .slots"));
    // Free again, nothing is told.
    page.size(1400, 900);
    for unit in ["box1", "box4"] {
        emulator.send(&[unit, "SET_BOX_MODE", "slot=none", "mode=idle"]);
        emulator.send(&[unit, "GET_BOX_STATE"]);
    }
    for key in ["1", "u", "4", "u"] {
        page.key(key);
    }
    page.wait("!document.querySelector('#unseen .error')");
    assert_eq!(page.complaints(), [""; 0]);
}

#[test]
fn messages_hide_nothing_that_is_wrong_and_go_when_they_are_no_longer_true() {
    let mut emulator = Emulator::start(BOX, &[]);
    let mut page = Browser::start();
    page.open(&emulator.page());
    page.sees(".slot", "PLA");
    // Four different ones, as many as there are at once.
    for what in ["jam", "pull_out", "unjam", "run_out"] {
        let does = format!(
            "import('/js/toast.js').then(({{ say }}) => say({} + ' was not done, for a reason that takes two lines, \
             as reasons do', 'bad'))",
            json!(what)
        );
        page.js(&does);
    }
    page.wait("document.querySelectorAll('.toast').length === 4");
    page.key("/");
    page.write("func==GET_VERSION_SM");
    page.key("Enter");
    page.sees("#log .wrong", "did you mean GET_VERSION_SN?");
    page.wait(&seen("#log .wrong"));
    page.wait(&seen("#log .filter input"));
    page.picture("toasts");
    page.size(390, 844);
    page.wait(&seen("#log .wrong"));
    page.wait(&seen("#log .filter input"));
    page.picture("toasts-390");
    page.size(1400, 900);
    page.js("document.querySelectorAll('.toast button').forEach((one) => one.click())");
    page.key("Escape");
    // The same again is one message. Once k485 answers it is not said any more.
    emulator.stop();
    page.sees("#link", "connection lost");
    for _ in 0..3 {
        page.key("j");
    }
    page.sees(".toast", "k485 does not answer");
    page.sees(".toast small", "×3");
    assert_eq!(page.js("document.querySelectorAll('.toast').length"), 1);
    page.picture("toast-lost");
    emulator.again();
    // Both at one look: it went with the connection, not with its time.
    page.wait("document.querySelector('#link').innerText === 'live'");
    assert_eq!(page.js("document.querySelectorAll('.toast').length"), 0);
}

#[test]
fn the_focus_stays_among_the_faults() {
    let faults = ["--fault", "drop p=0.01", "--fault", "delay 5ms", "--fault", "drop p=0.02"];
    let emulator = Emulator::start(BOX, &faults);
    let mut page = Browser::start();
    page.open(&emulator.page());
    page.sees(".slot", "PLA");
    page.click("#tab-faults");
    page.wait("document.querySelectorAll('#panel-faults .rules li').length === 3");
    let focus = |page: &mut Browser, what: &str| {
        page.wait(&format!("document.activeElement.ariaLabel === {}", json!(what)));
    };
    page.js("document.querySelector('[aria-label=\"Remove delay 5ms\"]').focus()");
    // What they struck changes, and the list with it; the focus stays.
    let struck = "document.querySelectorAll('#panel-faults .rules span')[1].innerText";
    let before: Value = page.js(struck);
    emulator.send(&["box1", "GET_VERSION_SN"]);
    page.wait(&format!("{struck} !== {before}"));
    focus(&mut page, "Remove delay 5ms");
    page.key("Enter");
    focus(&mut page, "Remove drop p=0.02");
    page.key("Enter");
    focus(&mut page, "Remove drop p=0.01");
    page.key("Enter");
    focus(&mut page, "Rule");
    // All at once, too.
    page.write("drop p=0.03");
    page.key("Enter");
    page.sees("#panel-faults .rules", "drop p=0.03");
    page.js("[...document.querySelectorAll('#panel-faults button')].find((one) => one.innerText === 'Remove all').focus()");
    page.key("Enter");
    focus(&mut page, "Rule");
    assert_eq!(page.complaints(), [""; 0]);
}

/// Buttons that say the same do the same, or are told apart by their names.
#[test]
fn no_two_buttons_have_one_name() {
    let emulator = Emulator::start(&four(), &["--fault", "drop p=0.01"]);
    let mut page = Browser::start();
    page.open(&emulator.page());
    page.sees(".slot", "PLA");
    for tab in ["slot", "box", "printer", "devices", "faults", "scene"] {
        page.click(&format!("#tab-{tab}"));
        let names = "(() => { const all = [...document.querySelectorAll('button:not([role])')].filter((one) => one.checkVisibility()); \
                     const name = (one) => one.ariaLabel ?? one.firstChild.data; \
                     const inSlots = (one) => one.closest('.slot-pick'); \
                     const names = all.filter((one) => !inSlots(one)).map(name); \
                     return names.filter((one, n) => names.indexOf(one) !== n); })()";
        assert_eq!(page.js(names), json!([]), "{tab}");
        // A name begins with what is seen, so that it can be spoken.
        let begins = "[...document.querySelectorAll('#side button[aria-label]')].filter((one) => one.checkVisibility()) \
                      .filter((one) => /^\\w/.test(one.innerText) && !one.ariaLabel.startsWith(one.firstChild.data)).length";
        assert_eq!(page.js(begins), 0, "{tab}");
    }
    assert_eq!(page.complaints(), [""; 0]);
}

use super::*;
use k485_proto::address::Address;
use k485_proto::dialect::K2;
use k485_proto::exchange::Pairer;
use k485_proto::frame::{Frame, Hex};
use k485_proto::status::Status;

use crate::format::hex::read_hex_text;

const MS: i64 = Time::MILLISECOND;

fn line(ms: i64, addr: u8, status: u8, func: u8, data: &[u8]) -> String {
    let frame = Frame::to_vec(Address(addr), Status(status), func, data).unwrap();
    format!("({}.{:03}) {}\n", ms / 1000, ms % 1000, Hex(&frame))
}

fn ask(ms: i64, addr: u8, func: u8, data: &[u8], reply: &[u8]) -> String {
    line(ms, addr, 0xff, func, data) + &line(ms + 2, addr, 0, func, reply)
}

/// The state of a box.
fn state(ms: i64, addr: u8, temperature: u8) -> String {
    ask(ms, addr, 0x0a, &[], &[temperature, 40, 0, 0])
}

fn seen(text: &str) -> Vec<Seen> {
    let mut pairer = Pairer::new();
    read_hex_text("test", text).for_each(|record| pairer.push(record.unwrap()));
    pairer.finish();
    std::iter::from_fn(|| pairer.pull()).collect()
}

fn time(seen: &Seen) -> Time {
    seen.time().unwrap()
}

/// Pushes what is in a text, and gives what changed as `device.name: old -> new`.
fn push(changes: &mut Changes, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for seen in seen(text) {
        let Some(change) = changes.push(&seen, time(&seen)) else { continue };
        let device = &change.row.device;
        if change.is_first {
            out.push(format!("{device} is new"));
            continue;
        }
        for field in change.fields {
            let old = field.old.map_or("none".to_owned(), |old| old.to_string());
            out.push(format!("{device}.{}: {old} -> {}", field.name, field.new));
        }
    }
    out
}

fn cell<'a>(changes: &'a Changes, addr: u8, name: &str) -> &'a Cell {
    let rows = changes.rows.values().filter(|row| row.key.addr == addr);
    rows.flat_map(|row| &row.cells).find(|cell| cell.name == name).unwrap()
}

#[test]
fn only_what_changes_is_told() {
    let mut changes = Changes::new();
    let text = [state(0, 1, 25), state(1000, 1, 25), state(2000, 1, 26), state(3000, 2, 24)];
    let told = push(&mut changes, &text.concat());
    assert_eq!(told, ["box1 is new", "box1.temperature: 25 -> 26", "box2 is new"]);
    let row = changes.rows()[0];
    assert_eq!((row.count, row.period_ns, row.latency_ns), (3, Some(1000 * MS), Some(2 * MS)));
    assert_eq!((changes.frames, changes.len()), (8, 2));
    let temperature = cell(&changes, 1, "temperature");
    assert_eq!((temperature.changes, temperature.unit), (1, "C"));
    assert!(temperature.before.is_some());
    assert!(temperature.is_hot(Time(2000 * MS)) && !temperature.is_hot(Time(2000 * MS + HOT)));
    assert_eq!(cell(&changes, 1, "humidity").changed, None);
}

/// The requests of a function are rows of their own; an outcome and a STATUS change as fields do.
#[test]
fn silence_and_statuses() {
    let mut changes = Changes::new();
    push(&mut changes, &[state(0, 1, 25), ask(100, 1, 0x0e, &[1], &1f32.to_be_bytes())].concat());
    assert_eq!(changes.len(), 2);
    let silent = line(1000, 1, 0xff, 0x0a, &[]);
    let told = push(&mut changes, &[silent, state(3000, 2, 24)].concat());
    assert_eq!(told, ["box1.outcome: answered -> timeout", "box2 is new"]);
    let temperature = cell(&changes, 1, "temperature");
    assert!(!temperature.is_there);
    assert_eq!(temperature.value.to_string(), "25");
    // It is back, with an error and another temperature.
    let asked = line(4000, 1, 0xff, 0x0a, &[]);
    let error = line(4002, 1, 0x14, 0x0a, &[27, 40, 0, 0]);
    let told = push(&mut changes, &[asked, error].concat());
    let wanted = [
        "box1.outcome: timeout -> answered",
        "box1.status: OK -> RETRUDE_ERR2",
        "box1.temperature: 25 -> 27",
    ];
    assert_eq!(told, wanted);
}

#[test]
fn bytes_without_a_meaning_are_cells_of_their_own() {
    let mut changes = Changes::new();
    let ask = |ms, data: &[u8]| ask(ms, 1, 0x7e, &[9], data);
    let told = push(&mut changes, &[ask(0, &[1, 2, 3]), ask(1000, &[1, 5, 3])].concat());
    assert_eq!(told, ["box1 is new", "box1.data: 010203 -> 010503"]);
    let changed = |changes: &Changes| -> Vec<(What, u64, bool)> {
        let cells = changes.rows()[0].cells.iter().filter(|cell| cell.name == "data");
        cells.map(|cell| (cell.what, cell.changes, cell.is_there)).collect()
    };
    let [a, b, c] = [What::Byte(0), What::Byte(1), What::Byte(2)];
    assert_eq!(changed(&changes), [(a, 0, true), (b, 1, true), (c, 0, true)]);
    let told = push(&mut changes, &ask(2000, &[1, 5]));
    assert_eq!(told, ["box1.data: 010503 -> 0105"]);
    assert_eq!(changed(&changes), [(a, 0, true), (b, 1, true), (c, 0, false)]);
}

#[test]
fn notches_mute_what_changes_now() {
    let mut changes = Changes::new();
    push(&mut changes, &[state(0, 1, 25), state(0, 2, 25), state(1000, 1, 26)].concat());
    assert_eq!(changes.notch(Time(1000 * MS + HOT)), 0, "it is not changing any more");
    assert_eq!(changes.notch(Time(1500 * MS)), 1);
    assert_eq!(changes.notches(), 1);
    push(&mut changes, &[state(2000, 1, 27), state(2000, 2, 26)].concat());
    // It is followed, and no news.
    let muted = cell(&changes, 1, "temperature");
    assert_eq!((muted.changes, muted.is_hot(Time(2000 * MS))), (2, false));
    assert!(cell(&changes, 2, "temperature").is_hot(Time(2000 * MS)));
    changes.order = Order::Changed;
    let devices: Vec<&str> = changes.rows().iter().map(|row| &*row.device).collect();
    assert_eq!(devices, ["box2", "box1"]);

    // A view that stands still notches what it shows.
    let mut still = changes.clone();
    assert_eq!(still.notch(Time(2000 * MS)), 1);
    push(&mut changes, &state(9000, 2, 26));
    changes.notch_as(&still);
    assert_eq!((changes.notches(), changes.clear_notches(), changes.notches()), (2, 2, 0));
}

#[test]
fn orders_and_the_filter() {
    let mut changes = Changes::new();
    let mut text = String::new();
    for second in 0..9 {
        text += &state(1000 * second, 2, 25);
        if second % 3 == 0 {
            text += &state(1000 * second + 100, 1, if second < 6 { 25 } else { 26 });
        }
    }
    text += &state(9000, 3, 25);
    push(&mut changes, &text);
    let devices = |changes: &Changes| -> String {
        changes.rows().iter().map(|row| row.device.trim_start_matches("box")).collect()
    };
    let mut orders = Vec::new();
    for _ in Order::ALL {
        orders.push((changes.order.name(), devices(&changes)));
        changes.order = changes.order.next();
    }
    let wanted = [("device", "123"), ("changed", "123"), ("count", "213"), ("period", "213")];
    assert_eq!(orders, wanted.map(|(name, order)| (name, order.to_owned())));
    changes.filter = Some(Filter::parse("temperature>25 || addr==box3", &K2).unwrap());
    assert_eq!((devices(&changes).as_str(), changes.len()), ("13", 3));
    // What is not shown is not notched either.
    changes.filter = Some(Filter::parse("addr==box3", &K2).unwrap());
    assert_eq!(changes.notch(Time(6100 * MS)), 0);
}

#[test]
fn quiet_is_what_was_silent_for_its_periods() {
    let mut changes = Changes::new();
    push(&mut changes, &[state(0, 1, 25), state(10_000, 1, 25), state(10_000, 2, 25)].concat());
    let is_quiet = |addr: u8, ms: i64| {
        let row = changes.rows.values().find(|row| row.key.addr == addr).unwrap();
        row.is_quiet(Time(ms * MS))
    };
    assert!(!is_quiet(2, 15_000) && is_quiet(2, 15_001));
    assert!(!is_quiet(1, 50_000) && is_quiet(1, 50_001));
}

#[test]
fn rows_are_bounded() {
    let mut changes = Changes::new();
    let mut text = String::new();
    for at in 0..(MAX_ROWS as i64 + 10) {
        text += &ask(10 * at, 1, 0x60, &at.to_be_bytes(), &[]);
    }
    push(&mut changes, &text);
    assert_eq!((changes.len(), changes.forgotten), (MAX_ROWS, 10));
    // Those that were silent for longest are gone.
    let first = Some(0i64.to_be_bytes().to_vec());
    assert!(changes.rows.keys().all(|key| key.asked != first));
}

/// A reply that comes after the host gave up belongs to the request before.
#[test]
fn a_late_reply_is_no_exchange_of_its_own() {
    let mut changes = Changes::new();
    let text = [
        state(0, 1, 25),
        line(1000, 1, 0xff, 0x0a, &[]),
        line(2000, 2, 0xff, 0xa2, &[]),
        line(2001, 1, 0, 0x0a, &[25, 40, 0, 0]),
    ];
    let told = push(&mut changes, &text.concat());
    let wanted = [
        "box1 is new",
        "box1.outcome: answered -> timeout",
        "box1.outcome: timeout -> unsolicited",
    ];
    assert_eq!(told, wanted);
    assert_eq!(changes.rows()[0].count, 2);
}

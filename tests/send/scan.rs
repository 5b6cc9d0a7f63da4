//! `k485 scan`.

use k485_proto::frame::Frame;
use serde_json::Value;

use crate::bench::{Bus, reply};
use crate::common::{bytes, hex};

/// Box 1 answers everything, box 3 A3 alone, something at 05 too.
fn boxes(frame: &Frame<'_>, _: usize) -> Vec<Vec<u8>> {
    let identity = |uniid: &str| [bytes("0100"), bytes(uniid)].concat();
    let data = match (frame.addr().0, frame.func()) {
        (1, 0xa2) => identity("690630021853331152353832"),
        (1, 0x14) => b"11310000843215B625AHSC".to_vec(),
        (3, 0xa3) => [bytes("0101"), bytes("4b9b30021853331052353832")].concat(),
        (5, 0xa2) => identity("0b7430021853331052353832"),
        _ => return Vec::new(),
    };
    vec![reply(frame.addr().0, 0, frame.func(), &data)]
}

#[test]
fn a_scan() {
    let bus = Bus::new(boxes);
    let end = bus.run("scan", &["--transmit", "--timeout", "1s"]);
    assert_eq!(end.code, Some(0), "{end:?}");
    let rows: Vec<Vec<&str>> =
        end.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows[0],
        ["addr", "device", "answer", "type", "mode", "uniid", "version", "serial", "ms"]
    );
    let one = ["01", "box1", "OK", "box", "app", "690630021853331152353832", "1.1.3"];
    assert_eq!(rows[1][..7], one);
    assert_eq!(rows[1][7], "10000843215B625AHSC");
    assert_eq!(rows[2], ["02", "box2", "none"]);
    assert_eq!(rows[3][..6], ["03", "box3", "OK", "box", "loader", "4b9b30021853331052353832"]);
    assert_eq!(rows[4], ["04", "box4", "none"]);
    // Twice at most, and nothing but pure reads.
    let twice = |addr: u8| [0xa2, 0xa3, 0xa2, 0xa3].map(|func| reply(addr, 0, func, &[])).concat();
    let first = [reply(1, 0, 0xa2, &[]), reply(1, 0xff, 0x14, &[])].concat();
    let third =
        [reply(3, 0, 0xa2, &[]), reply(3, 0, 0xa3, &[]), reply(3, 0xff, 0x14, &[])].concat();
    assert_eq!(bus.heard(), hex(&[first, twice(2), third, twice(4)].concat()));
}

#[test]
fn a_scan_of_other_addresses() {
    let bus = Bus::new(boxes);
    let words = ["--transmit", "--addr", "box4,5-5", "--timeout", "1s", "--to", "json"];
    let end = bus.run("scan", &words);
    assert_eq!(end.code, Some(0), "{end:?}");
    let lines: Vec<Value> =
        end.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["addr"], &lines[0]["answered"]), (&4.into(), &false.into()));
    assert_eq!(lines[1]["uniid"], "0b7430021853331052353832");
    assert_eq!(lines[1]["device_type"], "box");
    assert!(lines[1]["latency_ms"].is_number());
    // Nobody at all.
    let bus = Bus::silent();
    let end = bus.run("scan", &["--transmit", "--addr", "2", "--timeout", "20ms"]);
    assert_eq!(end.code, Some(5), "{end:?}");
}

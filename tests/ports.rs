//! `k485 ports` on whatever machine this is.

mod common;

use common::k485;
use serde_json::Value;

/// The list is the library's, a line a port, and each path is one that `sniff` names when it is
/// asked for a port that is not there.
#[test]
fn every_port_is_a_line() {
    let known = k485_link::ports::list();
    let run = k485(["ports", "--to", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let lines: Vec<Value> =
        run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<&str> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    let expected: Vec<&str> = known.iter().map(|port| port.path.to_str().unwrap()).collect();
    assert_eq!(paths, expected);
    for line in &lines {
        assert!(line["node"].as_str().unwrap().starts_with("/dev/"), "{line}");
        assert!(line["users"].is_array(), "{line}");
    }
    let err = k485(["sniff", "/dev/no-such-port"]).failed(1);
    assert!(paths.iter().all(|path| err.contains(path)), "{err}");
    let nothing = "k485: no serial port was found: is the adapter plugged in?\n";
    assert_eq!(run.err, if paths.is_empty() { nothing } else { "" });
}

#[test]
fn the_table_has_a_row_for_each() {
    let run = k485(["ports"]);
    assert_eq!(run.code, Some(0));
    for port in k485_link::ports::list() {
        let node = port.node.to_str().unwrap();
        assert!(run.out.lines().any(|line| line.starts_with(node)), "{}", run.out);
    }
}

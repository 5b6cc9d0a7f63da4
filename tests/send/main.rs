//! `k485 send` and `k485 scan` on real pseudo-terminals.

mod bench;
#[path = "../common/mod.rs"]
mod common;
mod scan;
mod send;

use bench::Bus;
use common::command;

#[test]
fn wrong_words() {
    let bus = Bus::silent();
    for (words, code, what) in [
        (&["--transmit", "box9", "05"][..], 2, "no address"),
        (&["--transmit", "box1", "GET_BUFFER_STAT"], 1, "did you mean GET_BUFFER_STATE"),
        (&["--transmit", "box1", "10", "slot=A"], 1, "stage is missing"),
        (&["--allow", "everything", "box1", "05"], 2, "there are read, clear, motion"),
        (&["--listen", "1s", "box1", "05"], 2, "3s is the least"),
        (&["--every", "5", "box1", "05"], 2, "with its unit"),
        (&["box1"], 2, "<FUNCTION>"),
        (&["--raw", "box1", "05"], 2, "cannot be used with"),
    ] {
        let end = bus.run("send", words);
        assert_eq!(end.code, Some(code), "{words:?} {end:?}");
        assert!(end.err.contains(what), "{words:?} {end:?}");
    }
    let end = command(["send", "/dev/no-such-port", "--transmit", "box1", "05"]).output().unwrap();
    assert_eq!(end.status.code(), Some(1));
    for (list, what) in [
        ("0", "no address"),
        ("1-130", "no address"),
        ("0xfe", "no address"),
        ("4-1", "the larger"),
        ("x", "no address: "),
        ("0xeb", "no address"),
        ("17", "no address"),
    ] {
        let end = bus.run("scan", &["--transmit", "--addr", list]);
        assert_eq!(end.code, Some(2), "{list} {end:?}");
        assert!(end.err.contains(what), "{list} {end:?}");
    }
    assert_eq!(bus.heard(), "");
}

//! `k485 replay` on real pseudo-terminals.

mod bench;
#[path = "../common/mod.rs"]
mod common;
mod device;
mod host;

use common::{bytes, k485, sample};

#[test]
fn command_lines_that_mean_nothing() {
    let sample = sample().display().to_string();
    for (args, said) in [
        (&["--as", "device", "--step"][..], "--step is for --as host"),
        (&["--as", "device", "--allow", "clear"], "--allow is for --as host"),
        (&["--as", "host", "--speed", "0"], "a speed is a number above 0"),
        (&["--as", "host", "--allow", "all"], "there are read, clear, motion"),
        (&["--as", "host", "-F", "addr==box9"], "box9"),
        (&["--as", "host", "-F", "addr==0x44"], "there is no request in it"),
        (&["--as", "device", "-F", "addr==box4"], "no device answers in it"),
    ] {
        let err = k485([&["replay", &*sample, "/dev/no-such-port"], args].concat()).failed(2);
        assert!(err.contains(said), "{args:?}: {err}");
    }
    let err = k485(["replay", &*sample, "--as", "host"]).failed(2);
    assert!(err.contains("a capture and a port are needed"), "{err}");
    assert_eq!(bytes("f7"), [0xf7]);
}

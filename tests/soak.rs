//! The long runs of `benches/` in a short form: a busy bus that knows what it said, and an adapter
//! that is pulled out.

use std::path::Path;
use std::process::Command;

/// Runs a script with the binary; what it said, if it succeeded.
#[track_caller]
fn script(name: &str, args: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(name);
    let output = Command::new("python3")
        .arg(path)
        .args(["--k485", env!("CARGO_BIN_EXE_k485")])
        .args(args)
        .output()
        .expect("python3 runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out
}

/// The script itself fails where a byte is missing, or a frame without a reason. Whether the
/// generator lost bytes for want of room is up to the machine, so that is only counted.
#[test]
fn ten_seconds_of_a_busy_bus_are_in_the_capture() {
    let out = script("soak.py", &["--seconds", "10"]);
    assert!(out.contains("MISSING: 0"), "{out}");
    assert!(out.contains("sent back: 0 bytes"), "{out}");
}

#[test]
fn two_ports_at_once_are_told_apart() {
    let out = script("soak.py", &["--seconds", "3", "--ports", "2", "--seed", "7"]);
    assert_eq!(out.matches("MISSING: 0").count(), 2, "{out}");
}

#[test]
fn an_adapter_that_is_pulled_out_is_heard_again() {
    let out = script("unplug.py", &["--times", "3"]);
    assert!(out.contains("3 times gone, 3 times back, exit code 0"), "{out}");
}

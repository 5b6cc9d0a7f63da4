//! The README shows what its command prints.

use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../README.md");

/// What stands in the code blocks of a language, one after the other.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    let parts = page.split(start.as_str()).skip(1);
    parts.map(|part| part.split("```").next().unwrap_or_default()).collect()
}

#[test]
fn the_example_is_real_output() {
    let commands = [
        "cargo run --release -- sniff emu:\n",
        "./test\n",
        "cargo run --release -- decode captures/sample-load.hex\n",
    ];
    assert_eq!(blocks(README, "sh")[..3], commands);
    let output = Command::new(env!("CARGO_BIN_EXE_k485"))
        .args(["decode", "captures/sample-load.hex"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .env("TZ", "UTC")
        .output()
        .expect("k485 runs");
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stdout).expect("text");
    let examples = blocks(README, "text");
    assert_eq!(examples.len(), 1);
    assert!(examples[0].lines().count() > 5);
    assert!(shown.contains(examples[0]), "not in the output:\n{}", examples[0]);
}

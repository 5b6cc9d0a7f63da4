//! Golden transcripts: small dialogues in `vectors/`, and what `decode` makes of them, in
//! `vectors/snapshots/`. Every line of a snapshot was read against what is known of the bus; after
//! a wanted change `INSTA_UPDATE=always cargo test --test golden` writes them anew, to be read
//! again in the diff.

mod common;

use std::fs;

use common::{k485, project};
use serde_json::Value;

/// The dialogues, with how many frames and exchanges are in each, and how many bytes of noise.
const VECTORS: [(&str, usize, usize, usize); 8] = [
    ("single-box", 61, 34, 0),
    ("load-unload", 48, 24, 0),
    ("feed-stalled", 11, 5, 0),
    ("motors", 50, 26, 0),
    ("belts-rack", 20, 8, 0),
    ("boot", 32, 19, 0),
    ("errors", 39, 21, 6),
    ("tags", 14, 7, 0),
];

fn decode(name: &str, args: &[&str]) -> String {
    let path = project("tests/vectors").join(name).with_extension("hex");
    let run = k485(["decode", path.to_str().expect("UTF-8")].iter().chain(args));
    assert_eq!(run.code, Some(0), "{name}: {}", run.err);
    run.out
}

#[test]
fn snapshots() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("vectors/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, ..) in VECTORS {
            insta::assert_snapshot!(name, decode(name, &[]));
            insta::assert_snapshot!(format!("{name}-frames"), decode(name, &["--frames", "-v"]));
        }
    });
}

/// The other face, and what holds for every dialogue here.
#[test]
fn counts() {
    for (name, frames, exchanges, noise) in VECTORS {
        let lines = |args: &[&str]| -> Vec<Value> {
            let args: Vec<&str> = ["--to", "json"].iter().chain(args).copied().collect();
            decode(name, &args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let of = |lines: &[Value], kind: &str| lines.iter().filter(|v| v["type"] == kind).count();
        let all = lines(&["--frames"]);
        let junk = all.iter().filter_map(|v| v["bytes"].as_str()).map(|hex| hex.len() / 2);
        let counts = (of(&all, "frame"), junk.sum::<usize>());
        assert_eq!(counts, (frames, noise), "{name}");
        assert_eq!(of(&lines(&[]), "exchange"), exchanges, "{name}");
        for frame in all.iter().filter(|v| v["type"] == "frame") {
            assert!(!frame["dir"].is_null(), "{name}: {frame}");
            assert_eq!(frame.get("implausible_addr"), None, "{name}: {frame}");
        }
    }
}

/// Every file is listed, and every frame has a right CRC but the one that must not.
#[test]
fn every_file_is_used() {
    let mut files: Vec<String> = fs::read_dir(project("tests/vectors"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".hex").map(str::to_owned))
        .collect();
    files.sort();
    let mut listed = VECTORS.map(|(name, ..)| name);
    listed.sort_unstable();
    assert_eq!(files, listed);
    let readme = fs::read_to_string(project("tests/vectors/README.md")).unwrap();
    for name in listed {
        assert!(readme.contains(&format!("`{name}.hex`")), "{name} is not in the README");
    }
}

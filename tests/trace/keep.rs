//! Files that rotate, and a disk that is full.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::bench::*;
use crate::common::live::next;
use crate::common::{folder, k485};

#[test]
fn files_rotate_and_are_read_as_one() {
    let (tracer, folder) = (Tracer::new(), folder());
    let args = ["--rotate", "1k", "--count", "80", "--quiet"];
    let capture = start(&tracer.address(), &folder, &args);
    let mut stream = tracer.accept();
    say(&mut stream, SEED);
    for id in 1..=40 {
        let time = 1_767_128_272.0 + f64::from(id);
        say(&mut stream, call(id, time, "box", "m", "x") + &back(id, time + 0.5, "box", "m", "1"));
    }
    let (code, _, err) = capture.end();
    assert_eq!(code, Some(0), "{err}");
    let sizes: Vec<u64> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert!(sizes.len() > 15 && sizes.iter().all(|size| *size <= 1024), "{sizes:?}");
    let path = folder.path().to_str().unwrap();
    let tree = k485(["trace", "tree", path]).clean();
    assert_eq!(tree.lines().count(), 2, "{tree}");
    assert!(
        tree.contains("box.m(x) -> 1 x40 alike: 20.5 ms to 20.5 ms, 820.0 ms in all"),
        "{tree}"
    );
    // The same of the files of the object alone.
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("_all") {
            fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(k485(["trace", "tree", path]).clean(), tree);
    let stats = k485(["trace", "stats", path, "--to", "csv"]).clean();
    let expected = "box,C,m,40,0,0,0,820,820,20.5,20.5,20.5,20.5,20.5";
    assert_eq!(stats.lines().nth(1), Some(expected), "{stats}");
}

#[test]
fn a_full_disk_is_told_once_and_lines_stay_whole() {
    let (tracer, folder) = (Tracer::new(), folder());
    let kept = folder.path().join("kept");
    // A limit of the file's size stands for a full disk: the same errors come from the same call.
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -f 8; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_k485")])
        .args(["trace", "capture", &tracer.address(), "--files", "all", "--quiet", "-o"])
        .arg(&kept);
    let capture = run(command);
    let mut stream = tracer.accept();
    say(&mut stream, SEED);
    for id in 1..=100 {
        say(&mut stream, call(id, 1_767_128_272.0, "box", "m", &"x".repeat(50)));
    }
    let said = next(&capture.err).unwrap();
    assert!(said.contains("cannot write") && said.contains("reading waits"), "{said}");
    // It is tried again, and said no more.
    thread::sleep(Duration::from_millis(1_500));
    capture.interrupt();
    let (code, _, err) = capture.end();
    assert_eq!(code, Some(1), "{err}");
    assert!(!err.contains("cannot write"), "{err}");
    assert!(err.contains("lines could not be written and are lost"), "{err}");
    let files = files(&kept);
    let all = &files["_all"];
    assert!(all.ends_with('\n') && all.len() <= 8 * 1024 && all.len() > 4_000, "{}", all.len());
    assert_eq!(types(all)[0], "connected");
}

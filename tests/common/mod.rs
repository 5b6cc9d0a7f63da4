//! Running the binary as a person does, and the folder of captures that are not part of the
//! project.

// Every test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub(crate) mod live;
pub(crate) mod printer;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a run of the binary left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    fn of(output: Output) -> Run {
        Run {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            err: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// stdout of a run that succeeded and had nothing to complain about.
    #[track_caller]
    pub(crate) fn clean(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// stderr of a run that failed with this exit code and gave no data.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{}", self.err);
        self.err
    }
}

/// The binary, in UTC and without a terminal's settings.
pub(crate) fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_k485"));
    command.args(args).env("TZ", "UTC").env_remove("NO_COLOR").env_remove("COLUMNS");
    command
}

/// Runs the binary with nothing on stdin.
pub(crate) fn k485<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    Run::of(command(args).stdin(Stdio::null()).output().expect("k485 runs"))
}

/// Runs the binary with these bytes on stdin.
pub(crate) fn k485_with<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, stdin: &[u8]) -> Run {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("k485 runs");
    let mut pipe = child.stdin.take().expect("piped");
    let bytes = stdin.to_vec();
    // A writer of its own: the pipe is smaller than some inputs, and so is that of the output.
    let writer = std::thread::spawn(move || {
        let _ = pipe.write_all(&bytes);
    });
    let output = child.wait_with_output().expect("k485 ends");
    writer.join().expect("the writer does not panic");
    Run::of(output)
}

/// A file of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The sample capture's path.
pub(crate) fn sample() -> PathBuf {
    project("captures/sample-load.hex")
}

/// The bytes of the sample capture, line by line in the order of the wire.
pub(crate) fn sample_lines() -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(sample()).expect("the sample is there");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (_, digits) = line.split_once(')').expect("every line has its time");
            bytes(digits)
        })
        .collect()
}

/// Bytes from hex digits with any white space between.
pub(crate) fn bytes(digits: &str) -> Vec<u8> {
    let digits: String = digits.split_whitespace().collect();
    k485_proto::message::kind::hex_bytes(&digits).expect("hex")
}

/// A folder that is deleted at the end, for files of a test.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A file in that folder.
pub(crate) fn file(folder: &tempfile::TempDir, name: &str, content: &[u8]) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("a temporary file");
    path.to_str().expect("UTF-8").to_owned()
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    k485_proto::frame::Hex(bytes).to_string()
}

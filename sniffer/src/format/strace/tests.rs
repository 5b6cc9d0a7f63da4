use super::*;
use crate::format::told;
use k485_proto::record::{Complaint, Record};
use proptest::prelude::*;

fn read(text: impl Into<Vec<u8>>) -> Vec<Result<Record, Complaint>> {
    told::read(&Strace, text)
}

fn told(text: impl Into<Vec<u8>>) -> Vec<String> {
    told::told(&Strace, text)
}

#[test]
fn which_descriptor_is_the_bus() {
    let text = "execve(\"/bin/host\", [\"host\"], 0x7ffd /* 9 vars */) = 0\n\
                12:34:56.5 read(3, \"\\177ELF\\2\\1\"..., 832) = 832\n\
                12:34:57.000001 write(3, \"\\xf7\\x01\\x03\\xff\\x0a\\x5c\", 6) = 6\n\
                12:34:57.000002 write(1, \"f70103ff0a5c\\n\", 13) = 13\n\
                12:34:57.1 read(3</dev/ttyS0>, \"\", 4096) = 0\n\
                12:34:57.2 read(3, 0x7ffe, 4096)          = -1 EAGAIN (Resource temporarily unavailable)\n\
                12:34:57.3 read(3, \"\\367\\1\\7\\0\\n\\31$\\0\\0\\347\", 4096) = 10 <0.000100>\n\
                12:34:57.4 +++ exited with 0 +++\n";
    assert_eq!(Strace.detect(text.as_bytes()), Likelihood::Sure);
    assert_eq!(
        told(text),
        [
            "45297000001000 fd3 request f70103ff0a5c",
            "45297300100000 fd3 response f70107000a19240000e7"
        ]
    );
}

#[test]
fn threads_names_and_calls_in_parts() {
    let text = "7 1700000000.5 read(5</dev/ttyUSB0<char 188:0>>,  <unfinished ...>\n\
                8 1700000000.6 write(5</dev/ttyUSB0<char 188:0>>, \"\\367\\1\\3\\377\\n\\\\\", 6 <unfinished ...>\n\
                7 1700000000.7 <... read resumed>\"\\367\\1\\7\\0\\n\\31$\\0\\0\\347\", 64) = 10\n\
                8 1700000000.8 <... write resumed>) = 6\n";
    assert_eq!(
        told(text),
        [
            "1700000000700000000 /dev/ttyUSB0 response f70107000a19240000e7",
            "1700000000600000000 /dev/ttyUSB0 request f70103ff0a5c",
        ]
    );
    // A byte a call, of a device.
    let mut text = String::new();
    for byte in ["\\xf7", "\\1", "\\3", "\\377", "\\n", "\\134"] {
        text += &format!("[pid  7]      0.001000 read(4, \"{byte}\", 1) = 1\n");
    }
    text += "      0.001 writev(4, [{iov_base=\"\\367\\1\\7\\0\\n\", iov_len=5}, {iov_base=\"\\31$\\0\\0\\347\", iov_len=5}], 2) = 10\n";
    assert_eq!(
        told(text),
        ["6000000 fd4 request f70103ff0a5c", "7000000 fd4 response f70107000a19240000e7"]
    );
}

#[test]
fn what_strace_cut_off_is_told() {
    let text = "write(4, \"\\367\\1\\3\\377\\n\\\\\", 6) = 6\n\
                read(4, \"\\367\\1\\7\\0\"..., 4096) = 10\nclose(4) = 0\nread(4, \"text\", 4096) = 4\nrubbish\n";
    assert_eq!(
        told(text),
        [
            "- fd4 request f70103ff0a5c",
            "- fd4 response f7010700 noise",
            "a.txt:2: strace left out 6 bytes: run it with -s 4096",
            "a.txt:5: expected a call as `read(3, \"\\xf7\", 1) = 1`; the line was skipped",
        ]
    );
    assert_eq!(Strace.detect(b"int main(void)\n{\n  f(x);\n"), Likelihood::No);
}

const PARTS: [&str; 16] = [
    "read(",
    "write(",
    "3",
    ", ",
    "\"",
    "\\x",
    "f7",
    "\\367",
    "\\9",
    ") = ",
    "6",
    "<",
    ">",
    "\n",
    " <unfinished ...>",
    "<... read resumed>",
];

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        Strace.detect(&bytes);
        read(bytes);
    }

    #[test]
    fn nothing_that_is_almost_right_panics(parts in proptest::collection::vec(
        proptest::sample::select(&PARTS[..]), 0..40,
    )) {
        let text = parts.concat();
        Strace.detect(text.as_bytes());
        read(text);
    }
}

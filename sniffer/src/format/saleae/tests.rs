use super::*;
use crate::format::told;
use k485_proto::record::{Complaint, Record};
use proptest::prelude::*;

fn read(text: impl Into<Vec<u8>>) -> Vec<Result<Record, Complaint>> {
    told::read(&Saleae, text)
}

fn told(text: impl Into<Vec<u8>>) -> Vec<String> {
    told::told(&Saleae, text)
}

const HEADER: &str = "name,type,start_time,duration,\"data\",\"error\"\n";

#[test]
fn logic_2_names_its_analyzers() {
    let text = "\u{feff}name,type,start_time,duration,\"data\",\"error\"\r\n\
                \"RX\",\"data\",1.5,8.6e-05,0xF7,\r\n\
                \"bus 2\",\"data\",1.55,0.000043,0xF7,\r\n\
                \"RX\",\"data\",1.6,0.0001,0x01,\r\n\
                \"I2C\",\"start\",1.6,0.0001,,\r\n\
                RX,data,1.65,0.0001,0x03\r\n\r\n\
                \"bus 2\",\"data\",1.7,0.000043,0x01,\"framing\"\r\n\
                RX,data,1.6501,0.0001,0xFF,\r\nRX,data,1.6502,0,0x0A,\r\nRX,data,1.66,0.0001,0x5C,\r\n";
    assert_eq!(Saleae.detect(text.as_bytes()), Likelihood::Sure);
    assert_eq!(
        told(text),
        [
            "1550043000 bus 2 ? f7 noise",
            "1700043000 bus 2 ? 01 noise",
            "1660100000  request f70103ff0a5c",
        ]
    );
}

#[test]
fn every_radix_that_logic_shows() {
    let values = |values: [&str; 6]| {
        let line = |(at, value): (usize, &&str)| format!("0.00{at},{value},,\n");
        let lines: String = values.iter().enumerate().map(line).collect();
        format!("Time [s],Value,Parity Error,Framing Error\n{lines}")
    };
    for shown in [
        ["0xF7", "0x01", "0x03", "0xff", "0x0A", "0x5C"],
        ["247", "1", "3", "255", "10", "92"],
        ["'247'", "'1'", "'3'", "'255'", "\\n", "\\"],
        ["\\xF7", "\\x01", "\\x03", "\\xFF", "\\n", "\\\\"],
        ["0b1111 0111", "0b0000 0001", "0b00000011", "0b1111 1111", "0b00001010", "0b01011100"],
    ] {
        let text = values(shown);
        assert_eq!(Saleae.detect(text.as_bytes()), Likelihood::Sure);
        assert_eq!(told(text.clone()), ["5000000  ? f70103ff0a5c"], "{text}");
    }
    // Behind a character a digit is one, too: `F7 31 03 20 2c …`.
    let text = values(["'247'", "1", "'3'", " ", ",", "COMMA"]);
    assert_eq!(told(text), ["5000000  ? f73103202c2c noise"]);
}

#[test]
fn a_silence_ends_what_is_open() {
    let text = format!("{HEADER}a,data,1,0,0xF7,\na,data,1.2,0,0x01,\n");
    assert_eq!(told(text), ["1000000000 a ? f7 noise", "1200000000 a ? 01 noise"]);
}

#[test]
fn broken_lines_are_told_and_skipped() {
    let text = format!("{HEADER}a,data,x,0,0xF7,\na,data,1,0,256,\na,data,1,0,0xF7,\na,da");
    assert_eq!(
        told(text),
        [
            "a.txt:2: `x` is no time; the line was skipped",
            "a.txt:3: `256` is no byte: export with the display radix hexadecimal; the line was skipped",
            "1000000000 a ? f7 noise",
        ]
    );
    assert!(told("f7\n")[0].starts_with("a.txt:1: expected a header as `name,type,"));
    assert_eq!(Saleae.detect(b"time,data\n1,0xF7\n"), Likelihood::No);
}

const PARTS: [&str; 12] = [
    "name,type,start_time,duration,data,error",
    "Time [s],Value,Parity Error,Framing Error",
    "\n",
    ",",
    "a",
    "data",
    "1.5",
    "0xF7",
    "'",
    "\\x",
    "0b",
    " ",
];

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        Saleae.detect(&bytes);
        read(bytes);
    }

    #[test]
    fn nothing_that_is_almost_right_panics(parts in proptest::collection::vec(
        proptest::sample::select(&PARTS[..]), 0..40,
    )) {
        let text = parts.concat();
        Saleae.detect(text.as_bytes());
        read(text);
    }
}

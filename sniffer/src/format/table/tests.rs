use super::*;
use crate::format::told;
use k485_proto::record::{Complaint, Record};
use proptest::prelude::*;

fn read(text: impl Into<Vec<u8>>) -> Vec<Result<Record, Complaint>> {
    told::read(&Table, text)
}

fn told(text: impl Into<Vec<u8>>) -> Vec<String> {
    told::told(&Table, text)
}

#[test]
fn columns_by_header_and_by_content() {
    let (ask, reply) = ("request f70103ff0a5c", "response f70107000a19240000e7");
    for text in [
        "No,time,dir,hex\n1,0.001,tx,F7 01 03 FF 0A 5C\n2,0.002,rx,\"F7,01,07,00,0A,19,24,00,00,E7\"\n",
        "0.001;TX;F70103FF0A5C\n0.002;RX;F70107000A19240000E7\n",
        "\u{feff}a log\r\n\r\n1\t0.001\t->\tf7:01:03:ff:0a:5c\r\n2\t0.002\t<-\tf7:01:07:00:0a:19:24:00:00:e7\r\n",
        "\"Time [s]\",\"Direction\",\"Data (hex)\"\n00:00:00.001,Write,0xF7 0x01 0x03 0xFF 0x0A 0x5C\n00:00:00.002,Read,0xF70107000A19240000E7\n",
    ] {
        assert_eq!(Table.detect(text.as_bytes()), Likelihood::Sure, "{text}");
        assert_eq!(told(text), [format!("1000000  {ask}"), format!("2000000  {reply}")], "{text}");
    }
}

#[test]
fn listings_of_portmon() {
    let text = "0\t0.00000364\thost.exe\tIRP_MJ_CREATE\tSerial0\tSUCCESS\tOptions: Open \n\
                1\t0.00002\thost.exe\tIRP_MJ_WRITE\tSerial0\tSUCCESS\tLength 6: F7 01 03 FF 0A 5C \n\
                2\t0.00001\thost.exe\tIOCTL_SERIAL_GET_COMMSTATUS\tSerial0\tSUCCESS\t\n\
                3\t0.00001\thost.exe\tIRP_MJ_READ\tSerial0\tTIMEOUT\tLength 0: \n\
                4\t0.00001\thost.exe\tIRP_MJ_READ\tSerial0\tSUCCESS\tLength 10: F7 01 07 00 0A 19 24 00 00 E7 \n\
                5\t0.00001\thost.exe\tIRP_MJ_READ\tSerial0\tSUCCESS\tLength 10: F7 01 07 \n";
    assert_eq!(Table.detect(text.as_bytes()), Likelihood::Sure);
    assert_eq!(
        told(text),
        [
            "- Serial0 request f70103ff0a5c",
            "- Serial0 response f70107000a19240000e7",
            "a.txt:6: 3 bytes of 10: the listing cuts long ones off; the line was skipped",
        ]
    );
    let text =
        "184\t11:26:50\thost\tIRP_MJ_WRITE\tSerial0\tSUCCESS\tLength 6: F7 01 03 FF 0A 5C \t\n";
    assert_eq!(told(text), ["41210000000000 Serial0 request f70103ff0a5c"]);
}

#[test]
fn what_is_no_table() {
    for text in [
        "f7, 01, 03, ff, 0a, 5c\n",
        "f70103ff0a5c\n",
        "time,temperature\n0.1,22\n",
        "time,data\n0.1,22\n",
        "0.1,22,33\n",
    ] {
        assert_eq!(Table.detect(text.as_bytes()), Likelihood::No, "{text}");
    }
    assert!(told("prose\n")[0].starts_with("a.txt: no table: "));
    let text = "time,hex\nsoon,f7\n0.1,g7\n0.2,f70103ff0a5c\n0.3,f701";
    assert_eq!(
        told(text),
        [
            "a.txt:2: `soon` is no time; the line was skipped",
            "a.txt:3: `g7` is no hex; the line was skipped",
            "200000000  ? f70103ff0a5c",
            "300000000  ? f701 noise",
        ]
    );
}

const PARTS: [&str; 14] = [
    "time",
    "dir",
    "hex",
    ",",
    ";",
    "\t",
    "\"",
    "0.5",
    "tx",
    "F70103FF0A5C",
    "Length 3:",
    "IRP_MJ_READ",
    "\n",
    "\u{e4}",
];

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        Table.detect(&bytes);
        read(bytes);
    }

    #[test]
    fn nothing_that_is_almost_right_panics(parts in proptest::collection::vec(
        proptest::sample::select(&PARTS[..]), 0..40,
    )) {
        let text = parts.concat();
        Table.detect(text.as_bytes());
        read(text);
    }
}

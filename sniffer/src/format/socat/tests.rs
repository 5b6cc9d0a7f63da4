use super::*;
use crate::format::told;
use k485_proto::record::{Complaint, Direction, Record};
use proptest::prelude::*;

fn read(text: impl Into<Vec<u8>>) -> Vec<Result<Record, Complaint>> {
    told::read(&Socat, text)
}

fn told(text: impl Into<Vec<u8>>) -> Vec<String> {
    told::told(&Socat, text)
}

#[test]
fn blocks_of_both_kinds() {
    let text = "2025/01/01 12:34:55 socat[12] N starting data transfer loop\r\n\
                > 2025/01/01 12:34:56.000357196  length=6 from=0 to=5\r\n f7 01 03 ff 0a 5c\r\n\
                < 2025/01/01 12:34:57.000000001  length=10 from=0 to=9\r\n\
                \x20f7 01 07 00 0a                                   .....\r\n\
                \x2019 24 00 00 e7                                   .$...\r\n--\r\n";
    assert_eq!(Socat.detect(&text.as_bytes()[..130]), Likelihood::Sure);
    // Nine digits that begin with three zeros are microseconds.
    assert_eq!(
        told(text),
        [
            "1735734896357196000  request f70103ff0a5c",
            "1735734897000001000  response f70107000a19240000e7"
        ]
    );
    let nanos = "< 2025/01/01 12:34:56.100000001  length=1 from=0 to=0\n 55\n\
                 < 2025/01/01 12:34:56.200000001  length=1 from=1 to=1\n 66\n\
                 < 2025/01/01 12:34:57.000000001  length=1 from=1 to=1\n 66\n";
    let times: Vec<_> = read(nanos).into_iter().map(|item| item.unwrap().time.unwrap().0).collect();
    assert_eq!(times, [1_735_734_896_200_000_001, 1_735_734_897_000_000_001]);
}

#[test]
fn the_host_may_be_the_second_address() {
    let text = "< 2025/01/01 12:34:56.100000000  length=6 from=0 to=5\n f7 01 03 ff 0a 5c\n\
                > 2025/01/01 12:34:56.110000000  length=10 from=0 to=9\n f7 01 07 00 0a 19 24 00 00 e7\n";
    assert_eq!(
        told(text),
        [
            "1735734896100000000  request f70103ff0a5c",
            "1735734896110000000  response f70107000a19240000e7"
        ]
    );
}

#[test]
fn an_echo_keeps_no_wrong_direction() {
    let block = |sign, bytes: &str| {
        format!(
            "{sign} 2025/01/01 12:34:56.100000000  length={} from=0 to=0\n {bytes}\n",
            bytes.len() / 3 + 1
        )
    };
    let (ask, reply) = ("f7 01 03 ff 0a 5c", "f7 01 07 00 0a 19 24 00 00 e7");
    let text = [block('>', ask), block('<', ask), block('<', reply), block('>', ask)].concat();
    let dirs: Vec<_> = read(text).into_iter().map(|item| item.unwrap().dir).collect();
    let (request, response) = (Some(Direction::Request), Some(Direction::Response));
    assert_eq!(dirs, [request, None, response, request]);
}

#[test]
fn broken_blocks_are_told() {
    let text = "> 2025/01/01 12:34:56.000357196  length=6 from=0 to=5\n f7 01\n\
                > 2025/01/01 12:34:56.000357196  length=6 from=0 to=5\n......\nmore\n\
                > 2025/01/01 12:34:56.000357196  length=2 from=0 to=1\n f7\n";
    let told = told(text);
    assert_eq!(told[0], "1735734896357196000  request f701 noise");
    assert_eq!(told[1], "a.txt:3: the block before lacks 4 bytes: run socat with -x");
    assert_eq!(told[2], "a.txt:4: no bytes in hex: run socat with -x; the line was skipped");
    assert_eq!(told[3], "a.txt: the last block lacks 1 byte: run socat with -x");
    assert_eq!(told.len(), 5);
    assert_eq!(Socat.detect(b"> quoted\n< f7 01\n"), Likelihood::No);
}

const PARTS: [&str; 10] = [
    "> 2025/01/01 12:34:56.000357196  length=6 from=0 to=5",
    "< ",
    "length=",
    "18446744073709551615",
    " from=",
    " to=",
    "\n",
    " f7 01",
    "--",
    "\u{e4}",
];

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        Socat.detect(&bytes);
        read(bytes);
    }

    #[test]
    fn nothing_that_is_almost_right_panics(parts in proptest::collection::vec(
        proptest::sample::select(&PARTS[..]), 0..40,
    )) {
        let text = parts.concat();
        Socat.detect(text.as_bytes());
        read(text);
    }
}

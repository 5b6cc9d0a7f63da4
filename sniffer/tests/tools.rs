//! What the tools of others write of a bus is read as the same spans, times and directions.

use std::fmt::Write as _;
use std::io::Cursor;

use k485_proto::address::Address;
use k485_proto::frame::{Frame, Hex};
use k485_proto::record::{Direction, Record, Time, Verdict};
use k485_proto::status::Status;
use k485_sniffer::capture::detect;
use k485_sniffer::format::ALL;
use proptest::collection::vec;
use proptest::prelude::*;

/// A frame on a bus, with the time of its last byte in microseconds.
#[derive(Debug, Clone)]
struct Said {
    micros: i64,
    dir: Direction,
    bytes: Vec<u8>,
}

/// What a byte takes, in microseconds.
const BYTE: i64 = 43;

/// Polls of a box and its replies, at a date of ours; the first is a poll.
fn bus() -> impl Strategy<Value = Vec<Said>> {
    let frame = (1u8..5, prop_oneof![Just(0x0au8), Just(0x08)], vec(any::<u8>(), 0..20));
    let part = (frame, 0i64..200_000);
    (1_735_700_000_000_000i64..1_735_703_000_000_000, vec(part, 1..20)).prop_map(
        |(start, parts)| {
            let mut micros = start;
            let said = parts.into_iter().enumerate().map(|(at, ((addr, func, data), pause))| {
                let (dir, status, data) = match at % 2 {
                    0 => (Direction::Request, Status::REQUEST, &data[..0]),
                    _ => (Direction::Response, Status::OK, &data[..]),
                };
                let bytes = Frame::to_vec(Address(addr), status, func, data).unwrap();
                micros += pause + BYTE * bytes.len() as i64;
                Said { micros, dir, bytes }
            });
            said.collect()
        },
    )
}

/// Reads a text whose format is told by its content; everything in it must be readable.
fn read(format: &str, text: String) -> Vec<Record> {
    let found = detect(ALL, text.as_bytes()).unwrap();
    assert_eq!(found.name(), format, "{text}");
    let reading = found.read("a", Box::new(Cursor::new(text.clone())));
    reading.map(|item| item.unwrap_or_else(|what| panic!("{what}\n{text}"))).collect()
}

/// What is compared: time, direction, bytes.
type Told = Vec<(Option<Time>, Option<Direction>, Vec<u8>)>;

fn told(records: Vec<Record>) -> Told {
    let tell = |record: Record| {
        assert_eq!(record.verdict, Verdict::Frame, "{record:?}");
        (record.time, record.dir, record.bytes)
    };
    records.into_iter().map(tell).collect()
}

/// What there is to tell where the format has times or directions.
fn expected(said: &[Said], has_time: bool, has_dir: bool) -> Told {
    let tell = |said: &Said| {
        let time = has_time.then_some(Time(said.micros * 1000));
        (time, has_dir.then_some(said.dir), said.bytes.clone())
    };
    said.iter().map(tell).collect()
}

/// Seconds with six digits.
fn seconds(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// A date and a time of day with six digits.
fn date(micros: i64, form: &str) -> String {
    let time = jiff::Timestamp::from_microsecond(micros).unwrap();
    format!("{}.{:06}", time.strftime(form), micros % 1_000_000)
}

fn lines(said: &[Said], mut line: impl FnMut(&mut String, &Said)) -> String {
    let mut text = String::new();
    said.iter().for_each(|said| line(&mut text, said));
    text
}

/// Every byte with the time at which it ends.
fn each_byte(said: &Said) -> impl Iterator<Item = (i64, u8)> {
    let left = said.bytes.len() as i64 - 1;
    (0..).zip(&said.bytes).map(move |(at, byte)| (said.micros - (left - at) * BYTE, *byte))
}

/// `first` for what the host sends, `second` for what it gets, or the other way round.
fn sign<'t>(said: &Said, swap: bool, first: &'t str, second: &'t str) -> &'t str {
    if (said.dir == Direction::Request) == swap { second } else { first }
}

proptest! {
    #[test]
    fn tables_of_logic_analysers(said in bus(), crlf: bool) {
        let end = if crlf { "\r\n" } else { "\n" };
        let two = lines(&said, |text, said| for (micros, byte) in each_byte(said) {
            let start = seconds(micros - BYTE);
            write!(text, "\"Bus\",\"data\",{start},0.000043,0x{byte:02X},{end}").unwrap();
        });
        let two = format!("name,type,start_time,duration,\"data\",\"error\"{end}{two}");
        prop_assert_eq!(told(read("saleae", two)), expected(&said, true, false));

        let one = lines(&said, |text, said| for (micros, byte) in each_byte(said) {
            write!(text, "{},{byte},,{end}", seconds(micros)).unwrap();
        });
        let one = format!("Time [s],Value,Parity Error,Framing Error{end}{one}");
        prop_assert_eq!(told(read("saleae", one)), expected(&said, true, false));

        let plain = lines(&said, |text, said| for byte in &said.bytes {
            write!(text, "uart-1: {byte:02X}{end}").unwrap();
        });
        prop_assert_eq!(told(read("sigrok", plain)), expected(&said, false, false));

        let rows = lines(&said, |text, said| for (micros, byte) in each_byte(said) {
            let side = sign(said, false, "TX", "RX");
            write!(text, "{}-{micros} UART: {side} data: {byte:02X}{end}", micros - 40).unwrap();
            write!(text, "{micros}-{micros} UART: {side} stop bits: Stop bit{end}").unwrap();
        });
        let rows = format!("samplerate: 1 MHz{end}{rows}");
        prop_assert_eq!(told(read("sigrok", rows)), expected(&said, true, true));
    }

    #[test]
    fn socat(said in bus(), swap: bool) {
        let head = |said: &Said| {
            let date = date(said.micros, "%Y/%m/%d %H:%M:%S");
            let (date, micros) = date.split_once('.').unwrap();
            let sign = sign(said, swap, ">", "<");
            format!("{sign} {date}.000{micros}  length={} from=0 to=5\n", said.bytes.len())
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!(" {byte:02x}")).collect::<String>();
        let plain = lines(&said, |text, said| {
            writeln!(text, "{}{}", head(said), hex(&said.bytes)).unwrap();
        });
        prop_assert_eq!(told(read("socat", plain)), expected(&said, true, true));
        // With -v a line ends behind a line feed, too.
        let shown = lines(&said, |text, said| {
            text.push_str(&head(said));
            for line in said.bytes.split_inclusive(|byte| *byte == b'\n') {
                for part in line.chunks(16) {
                    let is_shown = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
                    let show = |byte: &u8| if is_shown(byte) { char::from(*byte) } else { '.' };
                    let shown: String = part.iter().map(show).collect();
                    writeln!(text, "{:<48}  {shown}", hex(part)).unwrap();
                }
            }
            text.push_str("--\n");
        });
        prop_assert_eq!(told(read("socat", shown)), expected(&said, true, true));
    }

    #[test]
    fn strace(said in bus(), swap: bool, escapes in 0..3, cut in 1usize..9) {
        let escaped = |bytes: &[u8]| bytes.iter().map(|byte| match escapes {
            0 => format!("\\x{byte:02x}"),
            1 => format!("\\{byte:03o}"),
            _ if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
            _ => format!("\\{byte:03o}"),
        }).collect::<String>();
        let text = lines(&said, |text, said| {
            let call = sign(said, swap, "write", "read");
            let time = seconds(said.micros);
            for part in said.bytes.chunks(if call == "read" { cut } else { 999 }) {
                let size = part.len();
                writeln!(text, "7 {time} {call}(3, \"{}\", {size}) = {size}", escaped(part)).unwrap();
                writeln!(text, "7 {time} ioctl(3, FIONREAD, [0]) = 0").unwrap();
                writeln!(text, "7 {time} write(1, \"ok\\n\", 3) = 3").unwrap();
            }
        });
        prop_assert_eq!(told(read("strace", text)), expected(&said, true, true));
    }

    #[test]
    fn json_and_tables(said in bus(), swap: bool) {
        let json = lines(&said, |text, said| {
            let (time, hex) = (date(said.micros, "%Y-%m-%dT%H:%M:%S"), Hex(&said.bytes));
            let way = sign(said, swap, "tx", "rx");
            writeln!(text, "{{\"type\": \"frame\", \"timestamp\": \"{time}\", \"dir\": \"{way}\", \
                            \"raw_hex\": \"{hex}\"}}").unwrap();
        });
        prop_assert_eq!(told(read("json", json)), expected(&said, true, true));

        let table = lines(&said, |text, said| {
            let (time, hex) = (seconds(said.micros), Hex(&said.bytes));
            writeln!(text, "{time};{};{hex}", sign(said, swap, "TX", "RX")).unwrap();
        });
        prop_assert_eq!(told(read("table", table)), expected(&said, true, true));

        let portmon = lines(&said, |text, said| {
            let (way, size) = (sign(said, swap, "IRP_MJ_WRITE", "IRP_MJ_READ"), said.bytes.len());
            let hex: String = said.bytes.iter().map(|byte| format!(" {byte:02X}")).collect();
            writeln!(text, "1\t0.0001\th.exe\t{way}\tSerial0\tSUCCESS\tLength {size}:{hex} ").unwrap();
        });
        prop_assert_eq!(told(read("table", portmon)), expected(&said, false, true));
    }

    #[test]
    fn monitors(said in bus(), swap: bool) {
        let dump = lines(&said, |text, said| {
            let time = date(said.micros, "%d/%m/%Y %H:%M:%S");
            writeln!(text, "[{time}] {} data (COM3) ", sign(said, swap, "Written", "Read")).unwrap();
            for part in said.bytes.chunks(16) {
                let hex: String = part.iter().map(|byte| format!("{byte:02x} ")).collect();
                writeln!(text, "    {hex:<50}ab cd").unwrap();
            }
        });
        prop_assert_eq!(told(read("monitor", dump)), expected(&said, true, true));
    }

    /// Damage changes what is read, but every line is still either read or told, and the reading
    /// ends.
    #[test]
    fn damage_is_told(said in bus(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let text = lines(&said, |text, said| {
            writeln!(text, "{};TX;{}", seconds(said.micros), Hex(&said.bytes)).unwrap();
        });
        let mut text = text.into_bytes();
        let size = text.len();
        text[at.index(size)] = byte;
        text.truncate(cut.index(size) + 1);
        let most = text.iter().filter(|byte| **byte == b'\n').count() + 2;
        for format in ALL {
            let reading = format.read("a", Box::new(Cursor::new(text.clone())));
            let complaints = reading.filter(Result::is_err).count();
            prop_assert!(complaints <= most || format.name().starts_with("pcap"), "{}", format.name());
        }
    }
}

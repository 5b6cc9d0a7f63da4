//! A box and its host, one story a test.

use k485_proto::frame::Frame;
use k485_proto::message::codes::BoxState;
use k485_proto::message::kind::hex_bytes;
use k485_proto::record::Time;

use super::{BoxConfig, BoxDevice};
use crate::device::Device;
use crate::plant::{Drive, Plant, Port, Spool};

const A: Port = Port { unit: 0, slot: 0 };

struct Bench {
    plant: Plant,
    device: BoxDevice,
    now: Time,
}

impl Bench {
    fn new(config: BoxConfig) -> Bench {
        let plant = Plant::new(Time(0), 1);
        Bench { plant, device: BoxDevice::new(config, 3), now: Time(0) }
    }

    /// Address 1 and a loaded spool in A, before the hub.
    fn ready() -> Bench {
        let mut bench = Bench::new(BoxConfig {
            address: Some(k485_proto::address::Address(1)),
            ..BoxConfig::default()
        });
        bench.plant.place(A, Spool::default(), 285.0);
        bench.wait(100);
        bench
    }

    fn wait(&mut self, ms: i64) {
        self.now = Time(self.now.0 + ms * Time::MILLISECOND);
        self.device.advance(self.now, &mut self.plant);
    }

    /// Sends a bare frame (address to the last data byte) and waits so long; what was said, as
    /// bare frames.
    fn ask(&mut self, bare: &str, ms: i64) -> Vec<String> {
        let bytes = hex_bytes(bare).unwrap();
        let mut frame = vec![0xf7];
        frame.extend(&bytes);
        frame.push(k485_proto::crc::crc8(&bytes[1..]));
        self.device.heard(&frame, self.now, &mut self.plant);
        self.wait(ms);
        let said = self.device.said();
        let bare = |bytes: &[u8]| {
            let raw = Frame::from_bytes(bytes).expect("a whole frame").raw();
            raw[1..raw.len() - 1].iter().map(|byte| format!("{byte:02x}")).collect()
        };
        said.iter().map(|said| bare(&said.bytes)).collect()
    }
}

#[test]
fn a_host_loads_prints_and_unloads() {
    let mut bench = Bench::ready();
    assert_eq!(bench.ask("0105ff040001", 10), ["01030004"]);
    assert_eq!(bench.ask("0106ff10010000", 5_000), ["0104001000"]);
    assert_eq!(bench.ask("0106ff10010400", 10), ["01030010"]);
    assert_eq!(bench.device.state(), BoxState::WRAPPING);
    let mut polls = 0;
    while !bench.plant.toolhead() {
        bench.wait(100);
        polls += 1;
        assert!(polls < 200, "the filament never comes");
    }
    assert!(bench.ask("0103ff0a", 50).is_empty(), "a feeding box hears nothing else");
    assert_eq!(bench.ask("0106ff10010600", 3_100), ["01030010"]);
    assert!(bench.plant.printer().full());
    bench.plant.extrude(15.0);
    bench.wait(10);
    assert_eq!(bench.ask("0106ff10010703", 400), ["01030010"]);
    assert_eq!(bench.ask("0103ff05", 10), ["0104000500"]);
    assert_eq!(bench.ask("0105ff040100", 10), ["01030004"]);
    assert_eq!(bench.device.state(), BoxState::PRINTING);

    // A print: the box keeps the buffer filled.
    bench.plant.printer_mut().speed = 5.0;
    let mut fills = 0;
    for _ in 0..600 {
        let before = bench.plant.path(0).hub;
        bench.wait(100);
        fills += usize::from(before == Drive::Stop && bench.plant.path(0).hub == Drive::Forward);
        assert!(bench.plant.path(0).wheel() > 0.0);
    }
    assert!(fills > 5, "300 mm are more than five buffers");
    bench.plant.printer_mut().speed = 0.0;
    bench.wait(1_000);

    bench.plant.extrude(-10.0);
    bench.plant.cut();
    assert_eq!(bench.ask("0105ff040001", 10), ["01030004"]);
    assert_eq!(bench.ask("0105ff110100", 6_000), ["01030011"]);
    assert!(bench.plant.printer().empty());
    assert_eq!(bench.ask("0105ff110101", 41_000), ["01030011"]);
    assert!(!bench.plant.path(0).in_hub(0));
    assert!(bench.plant.path(0).inlet(0));
    assert!(!bench.plant.toolhead());
    assert_eq!(bench.device.state(), BoxState::IDLE);
}

#[test]
fn a_spool_that_ends_is_told_in_print_mode() {
    let mut bench = Bench::ready();
    bench.plant.place(A, Spool::default(), 1500.0);
    bench.ask("0105ff040100", 10);
    assert!(bench.ask("0103ff0a", 100)[0].starts_with("0107000a"));
    bench.plant.run_out(A, 0.0);
    bench.plant.printer_mut().speed = 20.0;
    bench.wait(2_000);
    assert_eq!(bench.ask("0103ff0a", 100), ["0107300a02000000"]);
    assert!(bench.ask("0103ff0a", 100)[0].starts_with("0107500a"));
}

#[test]
fn a_tag_is_read_when_a_spool_is_put_in() {
    let mut bench = Bench::new(BoxConfig {
        address: Some(k485_proto::address::Address(1)),
        ..BoxConfig::default()
    });
    bench.wait(100);
    let tag = *b"AB1240276A21001001260FFFFFF0165000001000";
    bench.plant.insert(A, Spool { tag: Some(tag), remain: 61, ..Spool::default() });
    bench.wait(1_000);
    assert_eq!(bench.ask("0103ff0a", 10), ["0107300a01000000"]);
    assert_eq!(bench.ask("0104ff0201", 50), ["010a0002413a627573793b"]);
    bench.wait(60_000);
    assert_eq!(bench.ask("0103ff0a", 10), ["0107300a03000000"]);
    let told = bench.ask("0104ff0201", 50);
    let text: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(told, [format!("012e0002413a{text}3b")]);
    assert_eq!(bench.ask("0104ff0301", 50), ["010700033dffffff"]);
    assert_eq!(bench.device.state(), BoxState::IDLE);
}

#[test]
fn an_unassigned_box_introduces_itself_once_and_takes_an_address() {
    let mut bench = Bench::new(BoxConfig::default());
    bench.wait(10);
    let said = bench.ask("fe0500a1fefe", 1_000);
    assert_eq!(said, ["fe1100a10100690630021853331152353832"]);
    let said = bench.ask("fe1000a003690630021853331152353832", 10);
    assert_eq!(said, vec!["031100a00100690630021853331152353832"; 3]);
    assert!(bench.ask("fe0500a1fefe", 1_500).is_empty());
    assert_eq!(bench.ask("0303ff01", 10), ["03030001"]);
    // Its address is gone after a reset.
    bench.device.reset(bench.now, &mut bench.plant);
    assert!(bench.ask("0303ff01", 10).is_empty());
    assert_eq!(bench.ask("fe03ff01", 10), ["fe030001"]);
}

#[test]
fn a_loader_knows_address_management_until_it_starts_the_application() {
    let mut bench = Bench::new(BoxConfig { loader_ms: u32::MAX, ..BoxConfig::default() });
    assert_eq!(bench.ask("fe0300a2", 10), ["fe1100a20101690630021853331152353832"]);
    assert!(bench.ask("fe03ff05", 10).is_empty());
    // Said once.
    let assigned = bench.ask("fe1000a001690630021853331152353832", 10);
    assert_eq!(assigned, ["011100a00101690630021853331152353832"]);
    assert_eq!(bench.ask("010300a2", 10).len(), 1);
    assert!(bench.ask("ff04000b01", 10).is_empty());
    assert_eq!(bench.ask("010300a2", 10), ["011100a20100690630021853331152353832"]);
    assert_eq!(bench.ask("0103ff05", 10).len(), 1);
    assert!(bench.ask("ff04000b01", 10).is_empty(), "the application does not hear FF");
}

#[test]
fn what_comes_while_a_motion_runs_is_answered_after_it() {
    let mut bench = Bench::ready();
    assert!(bench.ask("0106ff10010000", 500).is_empty());
    assert!(bench.ask("0103ff05", 500).is_empty());
    bench.wait(4_000);
    assert_eq!(bench.ask("0103ff01", 0), ["0104001000", "0104000502", "01030001"]);
}

#[test]
fn a_reboot_is_answered_first() {
    let mut bench = Bench::ready();
    assert_eq!(bench.ask("0104ff5007", 10), ["01030050"]);
    assert_eq!(bench.ask("fe03ff0c", 10), ["fe04000c07"]);
}

#[test]
fn a_host_that_is_silent_for_a_minute_is_missed() {
    let mut bench = Bench::ready();
    assert!(bench.device.misses_host(), "none was heard yet");
    bench.ask("0103ff05", 59_000);
    assert!(!bench.device.misses_host());
    // What goes to others is no frame to this one.
    bench.ask("0203ff05", 1_000);
    assert!(bench.device.misses_host());
    assert_eq!(bench.ask("0103ff05", 10), ["0104000502"]);
    assert!(!bench.device.misses_host());
}

#[test]
fn a_day_of_polling_is_cheap() {
    let mut bench = Bench::ready();
    for _ in 0..86_400 {
        assert_eq!(bench.ask("0103ff0a", 1_000).len(), 1);
    }
    assert_eq!(bench.device.next_event(), None);
}

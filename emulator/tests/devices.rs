//! Motors, belt modules and the rack, asked as the vendor's host asks them.

use k485_emulator::device::belt::{BeltConfig, BeltDevice};
use k485_emulator::device::motor::{MotorConfig, MotorDevice};
use k485_emulator::device::rack::RackDevice;
use k485_emulator::device::{Device, Said};
use k485_emulator::plant::Plant;
use k485_proto::address::Address;
use k485_proto::frame::Frame;
use k485_proto::message::kind::hex_bytes;
use k485_proto::message::motors::{Errors, Warnings};
use k485_proto::record::Time;
use k485_proto::status::Status;
use proptest::prelude::*;

fn ms(ms: i64) -> Time {
    Time(ms * Time::MILLISECOND)
}

/// What a device answers to a frame at a time.
fn ask(device: &mut impl Device, at: i64, frame: &str) -> Vec<Said> {
    let mut plant = Plant::new(Time(0), 0);
    device.heard(&hex_bytes(frame).unwrap(), ms(at), &mut plant);
    device.said()
}

/// The same as the data of the one reply, in hex; nothing for silence.
fn data(device: &mut impl Device, at: i64, frame: &str) -> Option<String> {
    let said = ask(device, at, frame);
    let said = said.first()?;
    let frame = Frame::from_bytes(&said.bytes).expect("a whole frame");
    Some(frame.data().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[test]
fn a_motor_answers_all_that_its_host_asks() {
    let mut motor = MotorDevice::new(MotorConfig {
        firmware: [1, 2, 3, 4],
        counters: [7, 0],
        params: vec![(0x0e, 1.5_f32.to_le_bytes().to_vec())],
        ..MotorConfig::default()
    });
    assert_eq!(data(&mut motor, 0, "f7ff04000e0189"), None, "to everyone");
    assert_eq!(data(&mut motor, 1, "f78204000e0280"), None, "to another one");
    let mut ask = |frame| data(&mut motor, 2, frame).unwrap_or_else(|| "silence".to_owned());
    assert_eq!(ask("f78104000e0280"), "81");
    assert_eq!(ask("f7810400110214"), "02");
    assert_eq!(ask("f78104000c0b95"), "0000000000000000");
    assert_eq!(ask("f781050006020e90"), "0000c03f");
    assert_eq!(ask("f781090006010e3333b33f0d"), "3333b33f");
    assert_eq!(ask("f781050006020e90"), "3333b33f");
    assert_eq!(ask("f781050007060eaf"), "0000c03f", "not saved yet");
    assert_eq!(ask("f781040006032f"), "01");
    assert_eq!(ask("f781050007060eaf"), "3333b33f");
    assert_eq!(ask("f7810400050405"), "010101");
    assert_eq!(ask("f78104000801f7"), "00000000");
    assert_eq!(ask("f78104000f009b"), "010203040100010001000100");
    assert_eq!(ask("f7810400070134"), "");
    assert_eq!(motor.stall_mode(), 2);
}

#[test]
fn parameters_nobody_set_are_the_vendors_defaults() {
    let read = |address: u8| {
        let address = Address(address);
        let mut motor = MotorDevice::new(MotorConfig { address, ..MotorConfig::default() });
        let frame = Frame::to_vec(address, Status::OK, 0x06, &[2, 0x46]).unwrap();
        let mut plant = Plant::new(Time(0), 0);
        motor.heard(&frame, ms(0), &mut plant);
        Frame::from_bytes(&motor.said()[0].bytes).unwrap().data().to_vec()
    };
    // The position loop's gain is another one on x.
    assert_eq!(read(0x81), 100.0_f32.to_le_bytes());
    assert_eq!(read(0x83), 300.0_f32.to_le_bytes());
}

#[test]
fn a_motors_errors_stay_until_they_are_cleared() {
    let mut motor = MotorDevice::new(MotorConfig::default());
    motor.protect(Errors(1 << 8), Warnings(1 << 1));
    assert_eq!(data(&mut motor, 0, "f78104000c0b95").unwrap(), "0001000002000000");
    assert_eq!(data(&mut motor, 1, "f78104000c05bf").unwrap(), "0000000000000000");
    assert_eq!(data(&mut motor, 2, "f78104000c0b95").unwrap(), "0000000000000000");
}

#[test]
fn a_motor_calibrates_for_a_while() {
    let mut motor = MotorDevice::new(MotorConfig { calibrate_ms: 500, ..MotorConfig::default() });
    let mut ask = |at, frame| data(&mut motor, at, frame);
    assert_eq!(ask(0, "f7810400030067").unwrap(), "04");
    assert_eq!(ask(400, "f7810400030067").unwrap(), "04");
    assert_eq!(ask(500, "f7810400030067").unwrap(), "0c");
    assert_eq!(ask(600, "f781040004000c"), None, "answered when it is done");
    assert_eq!(motor.next_event(), Some(ms(1_100)));
    motor.advance(ms(2_000), &mut Plant::new(Time(0), 0));
    let said = motor.said();
    assert_eq!(said[0].at, ms(1_100));
    assert_eq!(said[0].bytes[5], 1);
}

#[test]
fn a_belt_module_keeps_its_calibration() {
    let mut belt = BeltDevice::new(BeltConfig::default());
    let mut ask = |frame| data(&mut belt, 0, frame).unwrap_or_else(|| "silence".to_owned());
    assert_eq!(ask("f721030000bd"), "01000100");
    assert_eq!(ask("f721040002037b"), "0300001388000003e800000bb8");
    assert_eq!(ask("f721030006af"), "000007d0");
    assert_eq!(ask("f7210800080000000063f9"), "0000000063");
    assert_eq!(belt.moved(), 0x63);
}

#[test]
fn the_rack_has_a_tag_or_is_silent() {
    let tag = *b"AB1240276A21001001260FFFFFF0165000001000";
    let mut rack = RackDevice::new(None);
    assert!(ask(&mut rack, 0, "f71103ff0264").is_empty());
    rack.set_tag(Some(tag));
    let said = ask(&mut rack, 1, "f71103ff0264");
    assert_eq!(Frame::from_bytes(&said[0].bytes).unwrap().data(), tag);
}

#[test]
fn a_silence_ends_what_has_begun() {
    let mut motor = MotorDevice::new(MotorConfig::default());
    assert!(ask(&mut motor, 0, "f78120").is_empty());
    assert_eq!(data(&mut motor, 100, "f78104000e0280").unwrap(), "81");
}

proptest! {
    #[test]
    fn any_bytes_do_no_harm(chunks in prop::collection::vec((any::<Vec<u8>>(), 0_i64..200), 0..20)) {
        let mut plant = Plant::new(Time(0), 0);
        let mut devices: Vec<Box<dyn Device>> = vec![
            Box::new(MotorDevice::new(MotorConfig::default())),
            Box::new(BeltDevice::new(BeltConfig::default())),
            Box::new(RackDevice::new(None)),
        ];
        for device in &mut devices {
            let mut at = 0;
            for (bytes, wait) in &chunks {
                at += wait;
                device.heard(bytes, ms(at), &mut plant);
            }
            for said in device.said() {
                prop_assert!(Frame::from_bytes(&said.bytes).is_ok());
            }
        }
    }
}

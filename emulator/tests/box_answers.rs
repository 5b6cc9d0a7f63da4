//! What a box answers, pair by pair: the firmware's rules without its own answers at hand.

use k485_emulator::device::Device;
use k485_emulator::device::boxes::{BoxConfig, BoxDevice, Climate};
use k485_emulator::plant::{Plant, Port, Spool};
use k485_proto::address::Address;
use k485_proto::message::kind::hex_bytes;
use k485_proto::record::Time;

fn ms(ms: i64) -> Time {
    Time(ms * Time::MILLISECOND)
}

/// Box 1 with filament before the hub in A and B, and what it says to a request within 100 ms.
fn answer(address: Option<u8>, request: &str) -> String {
    let mut plant = Plant::new(Time(0), 1);
    for slot in 0..2 {
        plant.place(Port { unit: 0, slot }, Spool::default(), 285.0);
    }
    let config = BoxConfig {
        address: address.map(Address),
        version: *b"110",
        serial: "10000843215B625AHSC".to_owned(),
        climate: Some(Climate { temperature: 25, humidity: 36 }),
        ..BoxConfig::default()
    };
    let mut device = BoxDevice::new(config, 1);
    device.advance(ms(1_000), &mut plant);
    device.heard(&hex_bytes(request).unwrap(), ms(1_000), &mut plant);
    device.advance(ms(1_100), &mut plant);
    let said = device.said();
    said.iter().flat_map(|said| &said.bytes).map(|byte| format!("{byte:02x}")).collect()
}

/// Request and reply of box 1.
const PAIRS: &[(&str, &str, &str)] = &[
    ("climate and state", "f70103ff0a5c", "f70107000a19240000e7"),
    ("inlets", "f70104ff0800db", "f70104000803f9"),
    ("hub", "f70104ff0801dc", "f70104000800f0"),
    ("buffer empty", "f70103ff0571", "f7010400050217"),
    ("idle mode", "f70105ff04000190", "f701030004a1"),
    (
        "version and serial",
        "f70103ff1406",
        "f7011900143131303130303030383433323135423632354148534384",
    ),
    ("preloading on", "f70105ff0d0f0169", "f70103000d9e"),
    ("take-up", "f70104ff0f01b7", "f70103000f90"),
    ("parts", "f70103ff1501", "f70113001510203040506000000000000000000000ad"),
    ("the line", "f70104ff55072b", "f701040055082d"),
    ("argument missing", "f70103ff0f47", "f70103010f85"),
    ("wrong CRC", "f70103ff0a5d", "f70103020aa1"),
    ("two slots in 10", "f70106ff1003000015", "f701030110d8"),
    ("online", "f7010300a2da", "f7011100a2010069063002185333115235383244"),
    ("the factory's address", "f7eb03ff0571", "f7010400050217"),
    ("the silent one, unknown function", "f7ea03ff1214", ""),
    ("another box", "f70203ff0a5c", ""),
    ("everyone", "f7ff03ff0a5c", ""),
    ("two at once", "f70103ff016df70103ff0571", "f701030001baf7010400050217"),
    ("a stray F7", "f7f70103ff0571", ""),
    ("in another's data", "f70209ff10f70103ff057132", "f7010400050217"),
];

#[test]
fn box_1_answers_as_the_firmware() {
    for (what, request, reply) in PAIRS {
        assert_eq!(&answer(Some(1), request), reply, "{what}: {request}");
    }
}

#[test]
fn without_an_address_it_answers_to_fe() {
    assert_eq!(answer(None, "f7fe03ff0571"), "f7fe0400050217");
    assert_eq!(answer(None, "f70103ff0571"), "");
}
